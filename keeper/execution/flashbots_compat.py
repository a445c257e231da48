"""Makes the PyPI package flashbots 2.0.0, which was written for web3 6, run on web3 7.

What it needs: two modules that moved, a middleware that is a class, the old name of a signed transaction's bytes, and
hexadecimal text with the ``0x`` that hexbytes 1.x no longer writes. `load` supplies these and returns the package;
until it is called, nothing is touched.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import orjson
import requests
from eth_account.datastructures import SignedTransaction
from eth_account.typed_transactions.access_list_transaction import AccessListTransaction
from eth_account.typed_transactions.dynamic_fee_transaction import DynamicFeeTransaction

from keeper.execution.relays import SIGNATURE_HEADER, RelayAccount

with warnings.catch_warnings():
    # web3 7 imports the old interface of websockets, which warns; the keeper does not use it
    warnings.filterwarnings("ignore", message="websockets.legacy is deprecated", category=DeprecationWarning)
    import web3.middleware
    from web3.exceptions import BadResponseFormat, Web3Exception, Web3RPCError
    from web3.middleware import Web3Middleware

__all__ = ["Web3Exception", "Web3RPCError", "connect", "load"]

HTTP_TIMEOUT = 3.0
"""Seconds that a relay has for an answer."""


@cache
def load() -> Any:
    """Import flashbots with what it misses put in its way, and mend what does not fit web3 7."""
    _supply("eth_account._utils.typed_transactions", AccessListTransaction, DynamicFeeTransaction)
    _supply("web3._utils.request", _post)
    web3.middleware.Middleware = Web3Middleware  # type: ignore[assignment]
    SignedTransaction.rawTransaction = property(lambda signed: signed.raw_transaction)  # type: ignore[attr-defined]

    import flashbots
    from flashbots.flashbots import Flashbots
    from flashbots.middleware import FLASHBOTS_METHODS
    from flashbots.provider import FlashbotProvider

    def middleware_for(provider: Any) -> type[Web3Middleware]:
        class FlashbotsMiddleware(Web3Middleware):
            """Sends the relay's methods to the relay and everything else on."""

            def wrap_make_request(self, make_request: Callable[..., Any]) -> Callable[..., Any]:
                def choose(method: Any, parameters: Any) -> Any:
                    target = provider.make_request if method in FLASHBOTS_METHODS else make_request
                    return target(method, parameters)

                return choose

        return FlashbotsMiddleware

    flashbots.construct_flashbots_middleware = middleware_for
    FlashbotProvider._get_flashbots_headers = lambda provider, body: {
        SIGNATURE_HEADER: provider.signature_account.header(body)
    }
    Flashbots.__dict__["call_bundle"].mungers = [_call_bundle_parameters]
    return flashbots


def connect(url: str, account: RelayAccount) -> Any:
    """The ``flashbots`` object of a `Web3` that speaks to the relay at ``url`` and to no node."""
    client = web3.Web3()
    load().flashbot(client, account, url)
    return client.flashbots  # type: ignore[attr-defined]


def _supply(name: str, *members: Any) -> None:
    """Stand in for a module that web3 7 has no more; one that exists is left as it is."""
    module = ModuleType(name)
    for member in members:
        setattr(module, "make_post_request" if member is _post else member.__name__, member)
    sys.modules.setdefault(name, module)


def _post(url: str, body: bytes, **options: Any) -> bytes:
    """One request; the content comes back whatever the status, because relays put their errors there."""
    response = requests.post(url, data=body, timeout=HTTP_TIMEOUT, allow_redirects=False, **options)
    if not isinstance(orjson.loads(response.content), dict):  # web3 takes it for granted
        raise BadResponseFormat("not an object")
    return response.content


def _call_bundle_parameters(
    module: Any, txs: list[bytes], block: str, state_block: str, timestamp: int | None, _options: object = None
) -> list[dict[str, Any]]:
    parameters = {"txs": [module.to_hex(tx) for tx in txs], "blockNumber": block, "stateBlockNumber": state_block}
    return [parameters if timestamp is None else parameters | {"timestamp": timestamp}]
