"""Tells whoever listens what happens now, over Redis; it may miss an event but never holds up a trade."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis, from_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from keeper.domain.chain import BlockHeader
from keeper.domain.errors import InputError
from keeper.domain.opportunity import FateChange, Opportunity
from keeper.domain.trade import Trade
from keeper.store.documents import chain_name, clean

log = logging.getLogger(__name__)

EVENTS = "orion:events"
"""Channel of events: JSON objects with ``kind``, ``seq`` and ``at`` (Unix ns) beside the facts of their kind."""
RECENT = "orion:recent"
"""List of the latest events, newest first, trimmed."""
STATUS = "orion:status"
"""Hash of what the keeper is doing; it expires when the keeper no longer renews it."""
CONTROL = "orion:control"
"""Channel of commands to the keeper, which alone carries them out."""

HEARTBEAT = 1.0
STATUS_TTL = 5
RECENT_EVENTS = 500
QUEUED_EVENTS = 2_000
_BATCH = 200
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_TIMEOUT = 2.0


def connect(url: str) -> Redis:
    """A client that gives up at once; raises `InputError` when ``url`` is not one of Redis."""
    try:
        return from_url(
            url,
            decode_responses=True,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise InputError("ORION_REDIS_URL", "(not a Redis URL)", "Write redis://:password@host:port/0.") from error


class EventBus:
    """Publishes events and keeps the status hash alive.

    Every method that publishes returns at once: events go into a bounded queue that a task of its own empties. While
    Redis is away they wait; when the queue is full the oldest are dropped and counted. The outage is reported once,
    and once more when it is over.

    Attributes:
        dropped: events that nobody was told about.
    """

    def __init__(self, url: str, *, run_id: str = "") -> None:
        self.dropped = 0
        self._run_id = run_id
        self._client = connect(url)
        self._queue: deque[str] = deque()
        self._status: dict[str, str] = {}
        self._seq = 0
        self._wake = asyncio.Event()
        self._down_since: float | None = None
        self._dropped_before = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def away(self) -> bool:
        """True while Redis does not answer."""
        return self._down_since is not None

    async def start(self) -> None:
        """Begin to publish; returns at once whether or not Redis answers."""
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="event bus")

    async def close(self) -> None:
        """Publish what waits, if Redis answers within a second or two, and withdraw the status."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        try:
            while self._queue:
                await self._send()
            await self._client.delete(STATUS)
        except (RedisError, OSError) as error:
            self.dropped += len(self._queue)
            log.warning("bus: closed without Redis (%s), %d events untold", error, self.dropped)
        await self._client.aclose()

    async def block(self, header: BlockHeader, *, seen_at: int, opportunities: int) -> None:
        """Tell of a finished block; it becomes the head in the status."""
        self.set_status(head_block=header.number, seen_at=seen_at)
        self.publish(
            "block", {"number": header.number, "hash": header.hash, "seen_at": seen_at, "opportunities": opportunities}
        )

    async def opportunities(self, found: Sequence[Opportunity]) -> None:
        for one in found:
            self.publish(
                "opportunity",
                {
                    "id": str(one.id),
                    "strategy": one.strategy,
                    "chain": chain_name(one.chain_id),
                    "block_number": one.block_number,
                    "predicted_gross": str(one.route.gross_profit),
                },
            )

    async def fates(self, changes: Sequence[FateChange]) -> None:
        for change in changes:
            self.publish("fate", {"id": str(change.opportunity_id), "fate": change.fate.value, "reason": change.reason})

    async def trade(self, trade: Trade) -> None:
        self.publish(
            "trade",
            {
                "opportunity_id": str(trade.plan.opportunity.id),
                "status": trade.status.value,
                "transaction_hash": trade.transaction_hash,
                "block_number": trade.block_number,
                "net_wei": str(trade.net),
            },
        )

    def set_status(self, **fields: object) -> None:
        """Change fields of the status hash, for example ``mode="replica", chain_id=1``; None removes one."""
        for name, value in fields.items():
            if value is None:
                self._status.pop(name, None)
            else:
                self._status[name] = str(clean(str(value)))
        self._wake.set()

    def publish(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Queue one event; never waits and never raises for an absent Redis."""
        self._seq += 1
        event = {"kind": kind, "seq": self._seq, "at": time.time_ns(), "run": self._run_id, **facts}
        if len(self._queue) >= QUEUED_EVENTS:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(json.dumps(clean(event)))
        self._wake.set()

    async def _work(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            # with nothing new the status is renewed all the same
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), HEARTBEAT)
            self._wake.clear()
            try:
                await self._send()
            except (RedisError, OSError) as error:
                self._report_loss(error)
                self._wake.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._report_recovery()
                pause = _FIRST_PAUSE

    async def _send(self) -> None:
        """One round trip: up to `_BATCH` events and the status. What was sent leaves the queue only afterwards."""
        batch = [self._queue[index] for index in range(min(_BATCH, len(self._queue)))]
        last = self._seq
        pipe = self._client.pipeline(transaction=True)
        for event in batch:
            pipe.publish(EVENTS, event)
        if batch:
            pipe.lpush(RECENT, *batch)
            pipe.ltrim(RECENT, 0, RECENT_EVENTS - 1)
        if self._status:
            status: dict[Any, Any] = {**self._status, "beat_at": str(time.time_ns()), "seq": str(last)}
            pipe.delete(STATUS)
            pipe.hset(STATUS, mapping=status)
            pipe.expire(STATUS, STATUS_TTL)
        await pipe.execute()
        for event in batch:
            # while the batch was under way a full queue may have dropped its oldest
            if self._queue and self._queue[0] is event:
                self._queue.popleft()
        if self._queue:
            self._wake.set()

    def _report_loss(self, error: Exception) -> None:
        if self._down_since is None:
            self._down_since = time.monotonic()
            self._dropped_before = self.dropped
            log.warning("bus: Redis does not answer (%s); trading goes on, the panel may lag.", error)

    def _report_recovery(self) -> None:
        if self._down_since is not None:
            gone = time.monotonic() - self._down_since
            self._down_since = None
            log.warning(
                "bus: Redis is back after %.1f s, %d events dropped.", gone, self.dropped - self._dropped_before
            )
