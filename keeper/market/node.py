"""The client of an execution node: JSON-RPC over HTTP, answers checked before they are used."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import lru_cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import orjson

from keeper.domain.chain import BlockHeader, Log
from keeper.domain.errors import ComponentError, InputError, OrionError
from keeper.domain.units import Address, Hash32, Wei, to_address, to_hash32

COMPONENT = "node"
_REMEDY = "Check the node at ORION_RPC_URL."
_SHOWN_CHARACTERS = 120

Block = int | Hash32 | str
"""A block number, a block hash, or a tag such as ``latest``."""


class RpcError(OrionError):
    """The node understood the request and answered with an error object.

    Args:
        code: as in JSON-RPC; 3 is a revert on most nodes.
        data: what came with it, for a revert the returned bytes as hexadecimal digits.
    """

    def __init__(self, code: int, message: str, data: object = None) -> None:
        self.code = code
        self.message = message
        self.data = data
        super().__init__(f"the node answers with error {code}: {message}")


class Node:
    """One node. Use it as an async context manager, or call `close` at the end.

    Nothing is repeated here: whoever asks knows whether asking again makes sense.

    Args:
        url: HTTP endpoint. It may hold a key, so errors name its host alone.
        timeout_seconds: for one request, connecting included.

    Every method raises `ComponentError` when the node cannot be reached, takes too long or makes no sense, and
    `RpcError` when it answers with an error.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 10.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError("ORION_RPC_URL", f"{parts.scheme}://...", "Give an address that starts with http(s)://.")
        self._url = url
        self._host = parts.hostname
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None
        self._ids = itertools.count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(self, method: str, *params: object) -> Any:
        """The ``result`` of one JSON-RPC call; ``params`` are anything that JSON can hold."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, headers={"Content-Type": "application/json"}, cookie_jar=aiohttp.DummyCookieJar()
            )
        number = next(self._ids)
        body = orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        try:
            async with self._session.post(self._url, data=body) as response:
                status, raw = response.status, await response.read()
        except TimeoutError as error:
            raise self._trouble(f"{method} took longer than {self._timeout.total} s") from error
        except (aiohttp.ClientError, OSError) as error:
            # the text of these errors may quote the whole endpoint
            raise self._trouble(f"{method} failed at {self._host}: {type(error).__name__}") from None
        try:
            answer = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise self._trouble(f"{method} got status {status} and no JSON: {_shown(raw)}") from error
        return self._result(method, number, status, answer)

    async def chain_id(self) -> int:
        return to_quantity(await self.request("eth_chainId"), "eth_chainId")

    async def block_number(self) -> int:
        return to_quantity(await self.request("eth_blockNumber"), "eth_blockNumber")

    async def block(self, block: Block = "latest") -> BlockHeader:
        """The header; `ComponentError` when the node has no such block."""
        raw = await self.raw_block(block)
        if raw is None:
            raise self._trouble(f"it has no block {block}")
        return to_header(raw)

    async def raw_block(self, block: Block) -> dict[str, Any] | None:
        """The header as the node words it, or None when it has no such block."""
        if isinstance(block, str) and block.startswith("0x") and len(block) == 66:
            raw = await self.request("eth_getBlockByHash", block, False)
        else:
            raw = await self.request("eth_getBlockByNumber", to_block_tag(block), False)
        if raw is not None and not isinstance(raw, dict):
            raise self._trouble(f"block {block} is answered with {_shown(raw)}")
        return raw

    async def logs(self, block_hash: Hash32) -> tuple[Log, ...]:
        """The logs of exactly this block, in order."""
        raw = await self.request("eth_getLogs", {"blockHash": block_hash})
        if not isinstance(raw, list):
            raise self._trouble(f"eth_getLogs is answered with {_shown(raw)}")
        for one in raw:
            if not isinstance(one, dict) or one.get("blockHash") != block_hash or one.get("removed"):
                raise self._trouble(f"eth_getLogs of {block_hash} is answered with {_shown(one)}")
        logs = tuple(map(to_log, raw))
        if any(after.log_index <= before.log_index for before, after in itertools.pairwise(logs)):
            raise self._trouble(f"the logs of {block_hash} are out of order")
        return logs

    async def logs_between(self, first: int, last: int, address: Address, topic: bytes) -> tuple[Log, ...]:
        """The logs of ``address`` with ``topic`` as their first, in the blocks from ``first`` to ``last``."""
        wanted = {"fromBlock": hex(first), "toBlock": hex(last), "address": address, "topics": ["0x" + topic.hex()]}
        raw = await self.request("eth_getLogs", wanted)
        if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
            raise self._trouble(f"eth_getLogs is answered with {_shown(raw)}")
        logs = tuple(map(to_log, raw))
        if any(log.address != address or not first <= log.block_number <= last for log in logs):
            raise self._trouble(f"eth_getLogs of {address} from {first} to {last} is answered with others")
        return logs

    async def call(self, to: Address, data: bytes, block: Block = "latest", **fields: object) -> bytes:
        """What ``eth_call`` returns; ``fields`` are further fields of the call, such as ``gas``.

        A block given by its hash has to be canonical still, so several calls at one hash see one state.
        """
        request = {"to": to, "data": "0x" + data.hex(), **fields}
        at: object = to_block_tag(block)
        if isinstance(at, str) and len(at) == 66:
            at = {"blockHash": at, "requireCanonical": True}
        return to_bytes(await self.request("eth_call", request, at), "eth_call")

    async def receipt(self, transaction_hash: Hash32) -> dict[str, Any] | None:
        """The receipt as the node words it, or None while there is none."""
        raw = await self.request("eth_getTransactionReceipt", transaction_hash)
        if raw is not None and (not isinstance(raw, dict) or raw.get("transactionHash") != transaction_hash):
            raise self._trouble(f"the receipt of {transaction_hash} is answered with {_shown(raw)}")
        return raw

    def _result(self, method: str, number: int, status: int, answer: object) -> Any:
        if not isinstance(answer, dict):
            raise self._trouble(f"{method} got status {status} and {_shown(answer)}")
        error = answer.get("error")
        if error is not None:
            if not isinstance(error, dict) or not isinstance(error.get("code"), int):
                raise self._trouble(f"{method} got status {status} and {_shown(answer)}")
            raise RpcError(error["code"], str(error.get("message", "")), error.get("data"))
        if status != 200 or "result" not in answer or answer.get("id") != number:
            raise self._trouble(f"{method} got status {status} and {_shown(answer)}")
        return answer["result"]

    def _trouble(self, problem: str) -> ComponentError:
        return ComponentError(COMPONENT, problem, _REMEDY)


def to_block_tag(block: Block) -> str:
    return hex(block) if isinstance(block, int) else block


def to_quantity(value: object, field: str) -> int:
    """A JSON-RPC quantity; `ComponentError` names the field when it is none."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise _rubbish(field, value)
    try:
        return int(value, 16)
    except ValueError as error:
        raise _rubbish(field, value) from error


def to_bytes(value: object, field: str) -> bytes:
    """JSON-RPC data; `ComponentError` names the field when it is none."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise _rubbish(field, value)
    try:
        return bytes.fromhex(value[2:])
    except ValueError as error:
        raise _rubbish(field, value) from error


def to_header(raw: Mapping[str, Any]) -> BlockHeader:
    """A header from a block or a ``newHeads`` message; `ComponentError` names the field that makes no sense."""
    return BlockHeader(
        number=to_quantity(raw.get("number"), "block.number"),
        hash=_hash(raw.get("hash"), "block.hash"),
        parent_hash=_hash(raw.get("parentHash"), "block.parentHash"),
        timestamp=to_quantity(raw.get("timestamp"), "block.timestamp"),
        base_fee=Wei(to_quantity(raw.get("baseFeePerGas"), "block.baseFeePerGas")),
        gas_limit=to_quantity(raw.get("gasLimit"), "block.gasLimit"),
        gas_used=to_quantity(raw.get("gasUsed"), "block.gasUsed"),
        coinbase=_address(raw.get("miner"), "block.miner"),
    )


def to_log(raw: Mapping[str, Any]) -> Log:
    """A log as nodes word it; `ComponentError` names the field that makes no sense."""
    topics = raw.get("topics")
    if not isinstance(topics, list) or len(topics) > 4:
        raise _rubbish("log.topics", topics)
    return Log(
        address=_address(raw.get("address"), "log.address"),
        topics=tuple(to_bytes(topic, "log.topics") for topic in topics),
        data=to_bytes(raw.get("data"), "log.data"),
        block_number=to_quantity(raw.get("blockNumber"), "log.blockNumber"),
        transaction_hash=_hash(raw.get("transactionHash"), "log.transactionHash"),
        transaction_index=to_quantity(raw.get("transactionIndex"), "log.transactionIndex"),
        log_index=to_quantity(raw.get("logIndex"), "log.logIndex"),
    )


@lru_cache(maxsize=1 << 16)
def _checksummed(value: str) -> Address:
    return to_address(value, "address")


def _address(value: object, field: str) -> Address:
    if not isinstance(value, str):
        raise _rubbish(field, value)
    try:
        return _checksummed(value)
    except InputError as error:
        raise _rubbish(field, value) from error


def _hash(value: object, field: str) -> Hash32:
    try:
        return to_hash32(value, field)
    except InputError as error:
        raise _rubbish(field, value) from error


def _rubbish(field: str, value: object) -> ComponentError:
    return ComponentError(COMPONENT, f"it answers {_shown(value)} as {field}", _REMEDY)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
