"""What feeds have in common that are told things over a connection: it is kept up, and what is told waits in a queue
that has an end."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from typing import Generic, Self, TypeVar

import aiohttp
from websockets.exceptions import WebSocketException

from keeper.domain.errors import ComponentError
from keeper.feeds.listener import Listener
from keeper.market.node import RpcError

log = logging.getLogger(__name__)

Event = TypeVar("Event")


class PushFeed(Listener, ABC, Generic[Event]):
    """An async iterator of events; a `keeper.domain.protocols.Feed`.

    Use it as an async context manager, or call `close` at the end. Awaiting the next event may be cancelled; nothing
    is lost by it.

    Args:
        name: in the log and in errors.
        remedy: what to do when the connection cannot be kept up.
        attempts: failures in a row, without an event between them, that are borne.
        first_delay, longest_delay: seconds between attempts; doubled from the first up to the longest.
        queue_size: events that may wait; beyond them the oldest are dropped and counted, being worth least.

    Attributes:
        dropped: events dropped so far.
        connections: connections that came about so far.
        failures: connections lost or refused so far.

    Iterating raises `ComponentError` when the attempts are used up and the queue is empty.
    """

    def __init__(
        self,
        name: str,
        remedy: str,
        *,
        attempts: int = 8,
        first_delay: float = 0.25,
        longest_delay: float = 15.0,
        queue_size: int = 1024,
    ) -> None:
        self._name = name
        self._remedy = remedy
        self._attempts = attempts
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._waiting: deque[Event] = deque(maxlen=queue_size)
        self._news = asyncio.Event()
        super().__init__()
        self._in_a_row = 0
        self.dropped = 0
        self.connections = 0
        self.failures = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._listener is None:
            self._in_a_row = 0
            self._listener = asyncio.create_task(self._listen(), name=self._name)
            self._listener.add_done_callback(lambda _: self._news.set())
        listener = self._listener
        while not self._waiting:
            if listener.done():
                # whoever asks again begins anew
                self._listener = None
                listener.result()
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()

    @abstractmethod
    async def _follow(self) -> str:
        """Connect, hand what comes to `_push`, and return why the connection ended; `_connected` and `_alive` tell of
        progress."""

    def _connected(self) -> None:
        self.connections += 1

    def _alive(self) -> None:
        """Something that makes sense has come."""
        self._in_a_row = 0

    def _push(self, event: Event) -> None:
        if len(self._waiting) == self._waiting.maxlen:
            self.dropped += 1
        self._waiting.append(event)
        self._news.set()

    async def _listen(self) -> None:
        while True:
            try:
                problem = await self._follow()
            except (OSError, TimeoutError, aiohttp.ClientError, WebSocketException, RpcError, ComponentError) as error:
                # errors of the libraries may quote the endpoint, which may hold a key
                problem = str(error) if isinstance(error, RpcError | ComponentError) else type(error).__name__
            self.failures += 1
            self._in_a_row += 1
            if self._in_a_row > self._attempts:
                raise ComponentError(
                    self._name, f"its connection failed {self._in_a_row} times in a row; last: {problem}", self._remedy
                )
            log.warning("%s, attempt %d: %s", self._name, self._in_a_row, problem)
            await asyncio.sleep(self._delay())

    def _delay(self) -> float:
        return min(self._longest_delay, self._first_delay * 2.0 ** (self._in_a_row - 1))
