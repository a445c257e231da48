"""The flashbots package as a second way to the relays, beside the keeper's own client (`keeper.execution.relays`).

It is synchronous, so each relay gets a thread. It neither retries nor breaks circuits: it is here to check our client
against and to fall back on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import requests

from keeper.domain.errors import InputError
from keeper.domain.units import Hash32
from keeper.execution.flashbots_compat import Web3Exception, Web3RPCError, connect
from keeper.execution.relay_answer import Reading, RelayAnswer, read_error, read_result, tidy
from keeper.execution.relays import RelayAccount, call_parameters, relay_name


class FlashbotsRelays:
    """Same calls and answers as `keeper.execution.relays.Relays`."""

    def __init__(self, urls: Sequence[str], account: RelayAccount) -> None:
        self._relays = {relay_name(url): connect(url, account) for url in urls}
        if len(self._relays) != len(urls):
            raise InputError("ORION_RELAY_URLS", list(self._relays), "Name each relay once.")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._relays)

    async def send_bundle(
        self,
        txs: Sequence[bytes],
        block: int,
        replacement_uuid: UUID | None = None,
        reverting: Sequence[Hash32] = (),
    ) -> list[RelayAnswer]:
        """Offer signed transactions, in this order and all or none, for ``block``."""
        options: dict[str, Any] = {"revertingTxHashes": list(reverting)}
        if replacement_uuid is not None:
            options["replacementUuid"] = str(replacement_uuid)
        return await self._ask_all("eth_sendBundle", lambda relay: relay.send_raw_bundle(list(txs), block, options))

    async def call_bundle(
        self, txs: Sequence[bytes], block: int, *, state_block: int | None = None, timestamp: int | None = None
    ) -> list[RelayAnswer]:
        """Have the relays simulate."""
        state = call_parameters((), block, state_block, None)["stateBlockNumber"]
        return await self._ask_all(
            "eth_callBundle", lambda relay: relay.call_bundle(list(txs), hex(block), state, timestamp)
        )

    async def cancel_bundle(self, replacement_uuid: UUID) -> list[RelayAnswer]:
        """Withdraw the bundle with this UUID."""
        return await self._ask_all("eth_cancelBundle", lambda relay: relay.cancel_bundles(str(replacement_uuid)))

    async def aclose(self) -> None:
        """Nothing is held open."""

    async def _ask_all(self, method: str, ask: Callable[[Any], Any]) -> list[RelayAnswer]:
        return await asyncio.gather(
            *(asyncio.to_thread(_ask, name, relay, method, ask) for name, relay in self._relays.items())
        )


def _ask(name: str, relay: Any, method: str, ask: Callable[[Any], Any]) -> RelayAnswer:
    started = time.perf_counter_ns()
    try:
        given = ask(relay)
        # the package wraps the answer to a cancellation
        result = given["bundleHashes"] if method == "eth_cancelBundle" else given
        reading = read_result(method, result)
    except Web3RPCError as error:
        reading = read_error((error.rpc_response or {}).get("error", str(error)))
    except Web3Exception as error:
        reading = _failed(f"not a JSON-RPC answer: {error}")
    except requests.RequestException as error:
        reading = _failed(f"{type(error).__name__}: {error}")
    except ValueError as error:
        reading = _failed(f"not JSON: {error}")
    return RelayAnswer(
        relay=name,
        ok=reading.ok,
        bundle_hash=reading.bundle_hash,
        error_code=reading.error_code,
        error_message=reading.error_message,
        elapsed_ns=time.perf_counter_ns() - started,
        result=reading.result,
    )


def _failed(message: str) -> Reading:
    return Reading(ok=False, works=False, error_message=tidy(message))
