"""The feed of blocks: every canonical block once, in order, with its logs, across reorgs and lost connections."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from keeper.domain.chain import BlockEvent, BlockHeader
from keeper.domain.errors import ComponentError, InputError
from keeper.domain.units import Hash32
from keeper.feeds.listener import Listener
from keeper.market.book import ReorgTooDeep
from keeper.market.node import COMPONENT, Node, RpcError, to_header, to_quantity

log = logging.getLogger(__name__)

HISTORY_BLOCKS = 1024
"""Blocks whose hashes are remembered, so that a reorg finds its ancestor; far more than a book can undo."""
_SUBSCRIBE_SECONDS = 10.0
_REMEDY = "Check the node at ORION_WS_URL; the keeper resumes at the block where it stopped."


class _Head(NamedTuple):
    """A block that the node named, and when the keeper first heard of it (Unix time, nanoseconds)."""

    header: BlockHeader
    has_logs: bool
    seen_at: int


class BlockFeed(Listener):
    """An async iterator of `BlockEvent`; a `keeper.domain.protocols.Feed`.

    The websocket only says that there is news. What the events hold is worked out from the parent hashes, starting at
    ``start``, and fetched over HTTP; so heads that were dropped, or missed while the connection was down, are filled in
    block by block, and a head that the node has given up does no harm. Use it as an async context manager, or call
    `close` at the end. Awaiting the next event may be cancelled; nothing is lost by it.

    Args:
        url: websocket endpoint of the node; it may hold a key and does not appear in errors.
        node: the same node, or one as far as it, over HTTP.
        start: the block at whose end the pools were read; the first event is its successor, or displaces it.
        attempts: failures in a row, without an event between them, that are borne.
        first_delay, longest_delay: seconds between attempts; doubled from the first up to the longest.
        silence: seconds without a head after which the node is asked for its latest block.
        queue_size: heads that may wait; beyond them the oldest are dropped, counted, and filled in later.

    Attributes:
        dropped: heads dropped so far.
        filled: blocks so far that were found by their number or as a parent, without having been told.
        connections: websockets that came about so far.
        failures: websockets lost or refused, and attempts at a block that failed, so far.

    Iterating raises `ComponentError` when the attempts are used up, and `ReorgTooDeep` when the node's chain and ours
    have nothing in common within `HISTORY_BLOCKS`.
    """

    def __init__(
        self,
        url: str,
        node: Node,
        start: BlockHeader,
        *,
        attempts: int = 8,
        first_delay: float = 0.25,
        longest_delay: float = 15.0,
        silence: float = 30.0,
        queue_size: int = 64,
    ) -> None:
        if urlsplit(url).scheme not in ("ws", "wss"):
            raise InputError(
                "ORION_WS_URL", f"{urlsplit(url).scheme}://...", "Give an address that starts with ws(s)://."
            )
        self._url = url
        self._node = node
        self._history: dict[Hash32, BlockHeader] = {start.hash: start}
        self._tip = start
        self._attempts = attempts
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._silence = silence
        self._heads: deque[_Head | None] = deque(maxlen=queue_size)
        self._news = asyncio.Event()
        self._target: _Head | None = None
        self._failures = 0
        super().__init__()
        self.dropped = 0
        self.filled = 0
        self.connections = 0
        self.failures = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BlockEvent:
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen(), name="block feed")
            self._listener.add_done_callback(lambda _: self._news.set())
        while True:
            if self._target is None:
                await self._wait_for_news()
            try:
                if self._target is None:
                    self._target = await self._take_head()
                event = await self._advance(self._target)
            except (RpcError, ComponentError) as error:
                await self._bear(error)
                # whatever was wrong with that head, the latest one leads to the same chain
                self._target = None
                self._push(None)
                continue
            if event is not None:
                self._failures = 0
                return event
            self._target = None

    async def _wait_for_news(self) -> None:
        """Return when a head waits, after a long silence too; raise when the connection is lost for good."""
        while not self._heads:
            if self._listener is not None and self._listener.done():
                self._listener.result()
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), self._silence)
            except TimeoutError:
                self._push(None)

    async def _take_head(self) -> _Head:
        first = self._heads[0]
        head = first or await self._fetch("latest", time.time_ns())
        # taken out only now, so that a cancelled wait does not lose it; by now it may have been dropped for a newer one
        if self._heads[0] is first:
            self._heads.popleft()
        return head

    async def _advance(self, target: _Head) -> BlockEvent | None:
        """The next event on the way to ``target``; None once that is behind us."""
        if target.header.hash in self._history:
            return None
        head = target
        if target.header.number > self._tip.number + 1:
            head = await self._fetch(self._tip.number + 1, target.seen_at)
        oldest = next(iter(self._history.values()))
        while head.header.parent_hash not in self._history:
            if head.header.number <= oldest.number + 1:
                await self._check_ancestry(oldest)
                return None
            head = await self._fetch(head.header.parent_hash, target.seen_at)
        ancestor = self._history[head.header.parent_hash]
        if head.header.number != ancestor.number + 1:
            raise _trouble(f"block {head.header.hash} does not count on from its parent")
        logs = await self._node.logs(head.header.hash)
        if head.has_logs and not logs:
            raise _trouble(f"it has no logs of block {head.header.hash}, whose bloom filter says that there are some")

        reverted: list[Hash32] = []
        while next(reversed(self._history)) != ancestor.hash:
            reverted.append(self._history.popitem()[0])
        if reverted:
            log.warning("reorg: %d blocks displaced from block %d on", len(reverted), head.header.number)
        self._history[head.header.hash] = self._tip = head.header
        if head.header.hash != target.header.hash:
            self.filled += 1
        if len(self._history) > HISTORY_BLOCKS:
            del self._history[next(iter(self._history))]
        return BlockEvent(header=head.header, logs=logs, reverted=tuple(reverted), seen_at=target.seen_at)

    async def _check_ancestry(self, oldest: BlockHeader) -> None:
        """A head below all we remember is a late one, unless the node's chain has left ours altogether."""
        if (await self._fetch(oldest.number, 0)).header.hash != oldest.hash:
            raise ReorgTooDeep(f"The node's chain has another block {oldest.number} than {oldest.hash}.")

    async def _fetch(self, block: int | Hash32 | str, seen_at: int) -> _Head:
        raw = await self._node.raw_block(block)
        if raw is None:
            raise _trouble(f"it has no block {block}")
        head = _to_head(raw, seen_at)
        if block not in ("latest", head.header.number, head.header.hash):
            raise _trouble(f"it answers block {head.header.hash} for block {block}")
        return head

    async def _bear(self, error: RpcError | ComponentError) -> None:
        """Wait before the next attempt; raise when they are used up."""
        self.failures += 1
        self._failures += 1
        if self._failures > self._attempts:
            self._failures = 0
            raise _trouble(f"{self._attempts + 1} attempts at the next block failed; last: {error}") from error
        log.warning("next block, attempt %d: %s", self._failures, error)
        await asyncio.sleep(self._delay(self._failures))

    async def _listen(self) -> None:
        """Put the heads that the websocket tells into the queue; connect again whenever it is lost."""
        failures = 0
        while True:
            try:
                async with connect(self._url, proxy=None) as socket:
                    await self._subscribe(socket)
                    self.connections += 1
                    # what came while nobody listened is found from the latest block
                    self._push(None)
                    async for message in socket:
                        head = _read_head(message)
                        failures = 0
                        self._push(head)
                problem = "the node closed the websocket"
            except (OSError, WebSocketException, RpcError, ComponentError) as error:
                # a websocket error may quote the endpoint
                problem = str(error) if isinstance(error, RpcError | ComponentError) else type(error).__name__
            self.failures += 1
            failures += 1
            if failures > self._attempts:
                raise _trouble(f"its websocket failed {failures} times without a block; last: {problem}")
            log.warning("websocket, attempt %d: %s", failures, problem)
            await asyncio.sleep(self._delay(failures))

    async def _subscribe(self, socket: ClientConnection) -> None:
        await socket.send(orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}))
        async with asyncio.timeout(_SUBSCRIBE_SECONDS):
            answer = _read_object(await socket.recv())
        error = answer.get("error")
        if isinstance(error, dict):
            raise RpcError(int(error.get("code", 0)), str(error.get("message", "")))
        if answer.get("id") != 1 or not isinstance(answer.get("result"), str):
            raise _trouble("it does not answer eth_subscribe with a subscription")

    def _push(self, head: _Head | None) -> None:
        if len(self._heads) == self._heads.maxlen:
            self.dropped += 1
        self._heads.append(head)
        self._news.set()

    def _delay(self, failures: int) -> float:
        return min(self._longest_delay, self._first_delay * 2.0 ** (failures - 1))


def _to_head(raw: Mapping[str, Any], seen_at: int) -> _Head:
    return _Head(to_header(raw), to_quantity(raw.get("logsBloom"), "block.logsBloom") != 0, seen_at)


def _read_head(message: str | bytes) -> _Head:
    """The header in a ``newHeads`` message."""
    seen_at = time.time_ns()
    params = _read_object(message).get("params")
    header = params.get("result") if isinstance(params, dict) else None
    if not isinstance(header, dict):
        raise _trouble("its websocket message holds no block header")
    return _to_head(header, seen_at)


def _read_object(message: str | bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError as error:
        raise _trouble("its websocket message is no JSON") from error
    if not isinstance(value, dict):
        raise _trouble("its websocket message is no JSON object")
    return value


def _trouble(problem: str) -> ComponentError:
    return ComponentError(COMPONENT, problem, _REMEDY)
