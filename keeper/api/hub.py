"""Hands the events of the bus to every WebSocket client; one that cannot keep up never delays another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Iterator

import orjson
from redis.exceptions import RedisError

from keeper.store.bus import EVENTS, connect
from keeper.store.tasks import end

log = logging.getLogger(__name__)

_CHECK = 1.0
_PAUSE = 1.0


class Subscription:
    """The messages that wait for one client.

    Attributes:
        slow: set once the client has fallen so far behind that a message did not fit; nothing is added any more.
    """

    def __init__(self, size: int) -> None:
        self.slow = asyncio.Event()
        self._queue: asyncio.Queue[str] = asyncio.Queue(size)

    def offer(self, text: str) -> None:
        """Add a message; never waits."""
        if self.slow.is_set():
            return
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self.slow.set()

    async def next(self) -> str:
        return await self._queue.get()


class Hub:
    """One connection to the bus for all clients.

    Args:
        queue_size: messages that may wait for a client.
    """

    def __init__(self, redis_url: str, queue_size: int) -> None:
        self._url = redis_url
        self._size = queue_size
        self._clients: set[Subscription] = set()
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="websocket hub")

    async def close(self) -> None:
        if self._task is not None:
            await end(self._task)
            self._task = None

    @property
    def clients(self) -> int:
        return len(self._clients)

    @property
    def bus_state(self) -> str:
        return _bus_message(self._connected.is_set())

    async def connected(self) -> None:
        """Wait until events can arrive."""
        await self._connected.wait()

    @contextlib.contextmanager
    def subscription(self) -> Iterator[Subscription]:
        client = Subscription(self._size)
        self._clients.add(client)
        try:
            yield client
        finally:
            self._clients.discard(client)

    def tell(self, text: str) -> None:
        """Give every client a message."""
        for client in self._clients:
            client.offer(text)

    async def _listen(self) -> None:
        while True:
            client = connect(self._url)
            try:
                async with client.pubsub() as channel:
                    await channel.subscribe(EVENTS)
                    await channel.get_message(timeout=_CHECK)  # the confirmation
                    self._switch(True)
                    while True:
                        message = await channel.get_message(ignore_subscribe_messages=True, timeout=_CHECK)
                        if message is not None and (text := _event_message(str(message["data"]))) is not None:
                            self.tell(text)
            except (RedisError, OSError) as error:
                log.debug("websocket hub: bus is away: %s", error)
                self._switch(False)
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await client.aclose()
            await asyncio.sleep(_PAUSE)

    def _switch(self, up: bool) -> None:
        if up != self._connected.is_set():
            if up:
                self._connected.set()
            else:
                self._connected.clear()
            self.tell(self.bus_state)


def _event_message(text: str) -> str | None:
    """The message for clients, or None when ``text`` is no JSON object: the bus is open to other programs."""
    try:
        event = orjson.loads(text)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        log.warning("websocket hub: passed over what is no event")
        return None
    return json.dumps({"type": "event", "event": event})


def _bus_message(up: bool) -> str:
    return json.dumps({"type": "bus", "up": up, "at": time.time_ns()})
