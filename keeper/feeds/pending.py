"""The feed of pending transactions: those that somebody wants to hear of, with what they mean."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import orjson
from websockets.asyncio.client import ClientConnection, connect

from keeper.domain.errors import ComponentError, InputError
from keeper.domain.pending import PendingEvent, PendingTransaction, Undecodable
from keeper.domain.units import Wei, to_address, to_hash32
from keeper.feeds.push import PushFeed
from keeper.market.node import Node, RpcError, to_bytes, to_quantity

Content = TypeVar("Content")
Decode = Callable[[PendingTransaction], Content | Undecodable | None]
"""Pure; None means that the transaction is of no interest."""

_NAME = "node"
_REMEDY = "Check the node at ORION_WS_URL; it has to serve newPendingTransactions."
_SUBSCRIBE_SECONDS = 10.0


class PendingFeed(PushFeed[PendingEvent[Content]], Generic[Content]):
    """Pending transactions that ``decode`` recognises; `PushFeed` has what every feed has.

    The node is asked for whole transactions. One that refuses tells hashes only, and so do some that accept; each hash
    is then asked for over HTTP. After every connection, the first one too, the node's pending block is read, which
    holds the best of what was told while nobody listened. There is no way to learn of the rest.

    Args:
        url: websocket endpoint of the node; it may hold a key and does not appear in errors.
        node: the same node over HTTP.
        decode: what is recognised, for example `keeper.market.routers.Decoder`.
        fetchers: hashes that are asked for at a time.
        fetch_queue: hashes that may wait to be asked for; beyond them the oldest are dropped and counted.
        remembered: hashes by which a transaction that is told again is known.

    Attributes:
        received: transactions that were heard of, each once.
        repeated: told again.
        ignored: of no interest to ``decode``.
        refused: what did not decode, by reason.
        malformed: messages of the node that make no sense as transactions.
        fetched: told as a hash, and asked for.
        unfetched: hashes of which the node knew nothing any more, did not answer, or which were dropped.
        filled: heard of from the pending block first.
        unfilled: times that the node did not tell its pending block.
    """

    def __init__(
        self,
        url: str,
        node: Node,
        decode: Decode[Content],
        *,
        fetchers: int = 8,
        fetch_queue: int = 1024,
        remembered: int = 1 << 15,
        **options: Any,
    ) -> None:
        if urlsplit(url).scheme not in ("ws", "wss"):
            raise InputError(
                "ORION_WS_URL", f"{urlsplit(url).scheme}://...", "Give an address that starts with ws(s)://."
            )
        super().__init__(_NAME, _REMEDY, **options)
        self._url = url
        self._node = node
        self._decode = decode
        self._fetchers = fetchers
        self._hashes: deque[tuple[str, int]] = deque(maxlen=fetch_queue)
        self._hash_news = asyncio.Event()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._remembered = remembered
        self.received = self.repeated = self.ignored = self.malformed = 0
        self.fetched = self.unfetched = self.filled = self.unfilled = 0
        self.refused: Counter[str] = Counter()

    async def _follow(self) -> str:
        async with connect(self._url, proxy=None) as socket:
            await self._subscribe(socket)
            self._connected()
            reader = asyncio.create_task(self._read(socket))
            tasks = {reader, asyncio.create_task(self._fill())}
            tasks |= {asyncio.create_task(self._fetch()) for _ in range(self._fetchers)}
            running = set(tasks)
            try:
                while not reader.done():
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return "the node closed the websocket"

    async def _read(self, socket: ClientConnection) -> None:
        async for message in socket:
            if self._hear(_read_result(message), time.time_ns()):
                self._alive()

    async def _subscribe(self, socket: ClientConnection) -> None:
        """For whole transactions, or for hashes where the node knows no better."""
        for number, parameters in enumerate((["newPendingTransactions", True], ["newPendingTransactions"]), 1):
            request = {"jsonrpc": "2.0", "id": number, "method": "eth_subscribe", "params": parameters}
            await socket.send(orjson.dumps(request))
            async with asyncio.timeout(_SUBSCRIBE_SECONDS):
                answer = _read_object(await socket.recv())
            error = answer.get("error")
            if not isinstance(error, dict):
                if answer.get("id") != number or not isinstance(answer.get("result"), str):
                    raise _trouble("it does not answer eth_subscribe with a subscription")
                return
            refusal = RpcError(_code(error), str(error.get("message", "")))
        raise refusal

    async def _fill(self) -> None:
        """Hear what waits in the pending block."""
        try:
            block = await self._node.request("eth_getBlockByNumber", "pending", True)
        except (RpcError, ComponentError):
            block = None
        told = block.get("transactions") if isinstance(block, dict) else None
        if not isinstance(told, list):
            self.unfilled += 1
            return
        seen_at = time.time_ns()
        for one in told:
            before = self.received
            self._hear(one, seen_at)
            self.filled += self.received - before

    async def _fetch(self) -> None:
        """Ask for the transactions whose hashes wait."""
        while True:
            if not self._hashes:
                self._hash_news.clear()
                await self._hash_news.wait()
                continue
            name, seen_at = self._hashes.popleft()
            try:
                raw = await self._node.request("eth_getTransactionByHash", name)
            except (RpcError, ComponentError):
                raw = None
            if not isinstance(raw, dict) or raw.get("hash") != name or raw.get("blockHash") is not None:
                self.unfetched += 1
                continue
            self.fetched += 1
            self._recognise(raw, seen_at)

    def _hear(self, told: object, seen_at: int) -> bool:
        """A transaction or the hash of one; whether it makes sense."""
        name = told.get("hash") if isinstance(told, dict) else told
        if not isinstance(name, str) or len(name) != 66:
            self.malformed += 1
            return False
        if name in self._known:
            self.repeated += 1
            return True
        self._known[name] = None
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
        self.received += 1
        if isinstance(told, dict):
            self._recognise(told, seen_at)
            return True
        if len(self._hashes) == self._hashes.maxlen:
            self.unfetched += 1
        self._hashes.append((name, seen_at))
        self._hash_news.set()
        return True

    def _recognise(self, raw: Mapping[str, Any], seen_at: int) -> None:
        try:
            transaction = to_pending(raw, seen_at)
        except (ComponentError, InputError):
            self.malformed += 1
            return
        content = self._decode(transaction)
        if content is None:
            self.ignored += 1
        elif isinstance(content, Undecodable):
            self.refused[content.reason] += 1
        else:
            self._push(PendingEvent(transaction, content))


def to_pending(raw: Mapping[str, Any], seen_at: int) -> PendingTransaction:
    """A transaction as nodes word it; `ComponentError` or `InputError` names the field that makes no sense."""
    to, data = raw.get("to"), raw.get("input", raw.get("data"))
    price = raw.get("maxFeePerGas") or raw.get("gasPrice")
    return PendingTransaction(
        hash=to_hash32(raw.get("hash"), "transaction.hash"),
        sender=to_address(raw.get("from"), "transaction.from"),
        to=None if to is None else to_address(to, "transaction.to"),
        nonce=to_quantity(raw.get("nonce"), "transaction.nonce"),
        value=Wei(to_quantity(raw.get("value"), "transaction.value")),
        data=to_bytes(data, "transaction.input"),
        gas=to_quantity(raw.get("gas"), "transaction.gas"),
        max_fee=Wei(to_quantity(price, "transaction.maxFeePerGas")),
        priority_fee=Wei(to_quantity(raw.get("maxPriorityFeePerGas") or price, "transaction.maxPriorityFeePerGas")),
        seen_at=seen_at,
    )


def _read_result(message: str | bytes) -> object:
    """What a message of the subscription holds."""
    params = _read_object(message).get("params")
    if not isinstance(params, dict) or "result" not in params:
        raise _trouble("its websocket message holds no transaction")
    return params["result"]


def _read_object(message: str | bytes) -> dict[str, Any]:
    value: object = None
    with suppress(orjson.JSONDecodeError):
        value = orjson.loads(message)
    if not isinstance(value, dict):
        raise _trouble("its websocket message is no JSON object")
    return value


def _code(error: Mapping[str, Any]) -> int:
    code = error.get("code")
    return code if isinstance(code, int) else 0


def _trouble(problem: str) -> ComponentError:
    return ComponentError(_NAME, problem, _REMEDY)
