"""Sends bundles to many builders at once: signed JSON-RPC over one connection pool."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any, Protocol, cast
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import orjson
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from keeper.domain.errors import InputError
from keeper.domain.units import Hash32
from keeper.execution.circuit import Circuit
from keeper.execution.relay_answer import Reading, RelayAnswer, read_response, tidy

SIGNATURE_HEADER = "X-Flashbots-Signature"
MAX_ANSWER_BYTES = 1 << 20
ATTEMPTS = 3
FIRST_PAUSE = 0.05


class BundleRelays(Protocol):
    """Everything that can carry a bundle to builders. One answer per relay, in the order of configuration."""

    @property
    def names(self) -> tuple[str, ...]: ...

    async def send_bundle(
        self,
        txs: Sequence[bytes],
        block: int,
        replacement_uuid: UUID | None = None,
        reverting: Sequence[Hash32] = (),
    ) -> list[RelayAnswer]: ...

    async def call_bundle(
        self, txs: Sequence[bytes], block: int, *, state_block: int | None = None, timestamp: int | None = None
    ) -> list[RelayAnswer]: ...

    async def cancel_bundle(self, replacement_uuid: UUID) -> list[RelayAnswer]: ...

    async def aclose(self) -> None: ...


class RelayAccount:
    """The identity under which relays know this searcher. It signs request headers only and should never hold funds.

    Args:
        key: private key as hexadecimal; a fresh one for the life of the process when None.
    """

    def __init__(self, key: str | None = None) -> None:
        try:
            self._account = cast(LocalAccount, Account.create() if key is None else Account.from_key(key))
        except (ValueError, TypeError):
            # without its cause, which would show the key
            raise InputError("ORION_RELAY_KEY", "(not shown)", "Give a private key: 0x and 64 hex digits.") from None

    def __repr__(self) -> str:
        return f"RelayAccount({self._account.address})"

    @property
    def address(self) -> str:
        return self._account.address

    def header(self, body: bytes) -> str:
        """``address:signature`` of a request: personal_sign over the hexadecimal text of keccak(body)."""
        signed = self._account.sign_message(encode_defunct(text="0x" + keccak(body).hex()))
        return f"{self._account.address}:0x{bytes(signed.signature).hex()}"


class Relays:
    """The keeper's own relay client.

    Args:
        urls: one per relay; https, or plain http on this machine or a private network.
        account: signs the request headers.
        timeout: bound of a request with all its retries, seconds.
        clock: monotonic seconds, for the waits of the circuits.

    A relay that cannot be reached, answers rubbish or takes too long never raises: it gives a `RelayAnswer` that says
    so, and is left alone for a while (`Circuit`).
    """

    def __init__(
        self,
        urls: Sequence[str],
        account: RelayAccount,
        *,
        timeout: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._urls = {relay_name(url): url for url in urls}
        if len(self._urls) != len(urls):
            raise InputError("ORION_RELAY_URLS", list(self._urls), "Name each relay once.")
        self._account = account
        self._timeout = timeout
        self._clock = clock
        self._circuits = {name: Circuit(f"relay {name}") for name in self._urls}
        self._ids = itertools.count(1)
        # no proxy from the environment: a bundle is nobody else's to read
        self._http = httpx.AsyncClient(timeout=timeout, trust_env=False, follow_redirects=False)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._urls)

    async def send_bundle(
        self,
        txs: Sequence[bytes],
        block: int,
        replacement_uuid: UUID | None = None,
        reverting: Sequence[Hash32] = (),
    ) -> list[RelayAnswer]:
        """Offer signed transactions, in this order and all or none, for ``block``."""
        return await self._ask_all("eth_sendBundle", bundle_parameters(txs, block, replacement_uuid, reverting))

    async def call_bundle(
        self, txs: Sequence[bytes], block: int, *, state_block: int | None = None, timestamp: int | None = None
    ) -> list[RelayAnswer]:
        """Have the relays simulate; counts against the searcher's reputation, so never as a matter of routine."""
        return await self._ask_all("eth_callBundle", call_parameters(txs, block, state_block, timestamp))

    async def cancel_bundle(self, replacement_uuid: UUID) -> list[RelayAnswer]:
        """Withdraw the bundle with this UUID; bids that are already placed stay placed."""
        return await self._ask_all("eth_cancelBundle", {"replacementUuid": str(replacement_uuid)})

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _ask_all(self, method: str, parameters: dict[str, Any]) -> list[RelayAnswer]:
        body = orjson.dumps({"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": [parameters]})
        headers = {"content-type": "application/json", SIGNATURE_HEADER: self._account.header(body)}
        return await asyncio.gather(*(self._ask(name, method, body, headers) for name in self._urls))

    async def _ask(self, name: str, method: str, body: bytes, headers: dict[str, str]) -> RelayAnswer:
        circuit = self._circuits[name]
        started = time.perf_counter_ns()
        if not circuit.admits(self._clock()):
            reading = Reading(ok=False, works=False, error_message="left alone after failures")
        else:
            reading = await self._try(name, method, body, headers)
            if reading.works:
                circuit.succeeded()
            else:
                circuit.failed(self._clock(), reading.error_message)
        return RelayAnswer(
            relay=name,
            ok=reading.ok,
            bundle_hash=reading.bundle_hash,
            error_code=reading.error_code,
            error_message=reading.error_message,
            elapsed_ns=time.perf_counter_ns() - started,
            result=reading.result,
        )

    async def _try(self, name: str, method: str, body: bytes, headers: dict[str, str]) -> Reading:
        """Up to `ATTEMPTS` requests within the timeout; the last reading counts."""
        reading = Reading(ok=False, works=False, error_message=f"no answer within {self._timeout:g} s")
        try:
            async with asyncio.timeout(self._timeout):
                for attempt in range(ATTEMPTS):
                    if attempt:
                        await asyncio.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
                    reading = await self._post(self._urls[name], method, body, headers)
                    if not reading.again:
                        break
        except TimeoutError:
            if reading.error_code is None and not reading.again:
                return Reading(ok=False, works=False, error_message=f"no answer within {self._timeout:g} s")
        return reading

    async def _post(self, url: str, method: str, body: bytes, headers: dict[str, str]) -> Reading:
        answer = bytearray()
        try:
            async with self._http.stream("POST", url, content=body, headers=headers) as response:
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > MAX_ANSWER_BYTES:
                        return Reading(ok=False, works=False, error_message=f"answer over {MAX_ANSWER_BYTES} bytes")
        except httpx.TimeoutException:
            return Reading(ok=False, works=False, error_message=f"no answer within {self._timeout:g} s")
        except (httpx.TransportError, httpx.DecodingError) as error:
            return Reading(
                ok=False,
                works=False,
                again=isinstance(error, httpx.TransportError),
                error_message=tidy(f"{type(error).__name__}: {error}"),
            )
        return read_response(method, response.status_code, bytes(answer))


def bundle_parameters(
    txs: Sequence[bytes], block: int, replacement_uuid: UUID | None, reverting: Sequence[Hash32]
) -> dict[str, Any]:
    """The parameter object of eth_sendBundle; only the fields that every builder takes."""
    parameters: dict[str, Any] = {"txs": [_hex(tx) for tx in txs], "blockNumber": hex(block)}
    if replacement_uuid is not None:
        parameters["replacementUuid"] = str(replacement_uuid)
    if reverting:
        parameters["revertingTxHashes"] = list(reverting)
    return parameters


def call_parameters(txs: Sequence[bytes], block: int, state_block: int | None, timestamp: int | None) -> dict[str, Any]:
    """The parameter object of eth_callBundle; the state is the latest one unless a block is named."""
    parameters: dict[str, Any] = {
        "txs": [_hex(tx) for tx in txs],
        "blockNumber": hex(block),
        "stateBlockNumber": "latest" if state_block is None else hex(state_block),
    }
    if timestamp is not None:
        parameters["timestamp"] = timestamp
    return parameters


def relay_name(url: str) -> str:
    """Host (and port) of a relay, which is all of its URL that is ever shown: paths may hold keys."""
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in {"http", "https"} or not host:
        raise InputError("ORION_RELAY_URLS", url, "Give URLs such as https://relay.flashbots.net.")
    if parts.scheme == "http" and not _is_near(host):
        raise InputError("ORION_RELAY_URLS", host, "Use https: over plain http anybody on the way reads the bundle.")
    try:
        port = parts.port
    except ValueError:
        raise InputError("ORION_RELAY_URLS", host, "Give a port between 1 and 65535, or none.") from None
    return host if port is None else f"{host}:{port}"


def bundle_hash(transaction_hashes: Sequence[Hash32]) -> Hash32:
    """keccak of the concatenated transaction hashes: the name by which relays know a bundle."""
    return Hash32("0x" + keccak(b"".join(bytes.fromhex(one[2:]) for one in transaction_hashes)).hex())


def _is_near(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_private
    except ValueError:
        return False


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
