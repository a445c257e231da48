"""One picture of the keeper for all who look: read once when something changes, shared by every browser."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from redis.exceptions import RedisError

from keeper.domain.errors import ComponentError
from keeper.panel.text import Tokens
from keeper.store.bus import EVENTS, STATUS, connect
from keeper.store.queries import Accuracy, Ledger, LedgerView, Row, Totals

log = logging.getLogger(__name__)

CURRENT = "current"
"""The choice of run that follows the newest one."""
ALL = "all"
_POLL = 2.0
_LEAST_PAUSE = 0.5
_WATCHED_FOR = 30.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What the ledger says about the chosen run, all read at one moment."""

    run: Row | None
    totals: Totals
    accuracy: Accuracy
    fates: dict[str, int]
    reasons: list[Row]
    curve: list[tuple[datetime, int]]
    outcomes: list[Row]
    block: Row | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known now.

    Attributes:
        version: grows with every change; equal versions show the same.
        figures: by choice of run; the last ones known while the database is away.
        keeper: the status hash, empty when no keeper runs (or the bus is away).
        database_problem, bus_problem: empty while they answer.
        database_seen_ms: Unix time of the last answer, milliseconds.
    """

    version: int = 0
    figures: dict[str, Figures] = field(default_factory=dict)
    runs: tuple[Row, ...] = ()
    tokens: Tokens = field(default_factory=dict)
    keeper: dict[str, str] = field(default_factory=dict)
    database_problem: str = ""
    bus_problem: str = ""
    database_seen_ms: int | None = None

    def of(self, choice: str) -> Figures | None:
        return self.figures.get(choice)

    def run_id(self, choice: str) -> UUID | None:
        """The run that ``choice`` means now; None for all runs, or when there is none yet."""
        if choice == CURRENT:
            return self.runs[0]["id"] if self.runs else None
        return None if choice == ALL else UUID(choice)


class Watcher:
    """Keeps `current` up to date until it is cancelled; an absent database or bus is waited for, however long.

    Args:
        database_url, redis_url: see `keeper.config.Settings`.
    """

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.current = Snapshot()
        self._ledger = Ledger(database_url)
        self._redis_url = redis_url
        self._changed = asyncio.Event()
        self._watched: dict[str, float] = {}
        self._pages: dict[tuple[object, ...], Any] = {}
        self._pages_version = -1

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._refresh()), asyncio.create_task(self._listen())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._ledger.close()

    def look(self, choice: str) -> Snapshot:
        """The present picture; figures of ``choice`` are kept up to date while somebody looks at them."""
        if choice not in self._watched and choice not in self.current.figures:
            self._changed.set()
        self._watched[choice] = time.monotonic()
        return self.current

    async def read(self, key: tuple[object, ...], query: Callable[[LedgerView], Awaitable[Any]]) -> Any:
        """The answer to ``query``, asked once for each ``key`` and version; raises `ComponentError`."""
        if self._pages_version != self.current.version:
            self._pages.clear()
            self._pages_version = self.current.version
        if key not in self._pages:
            async with self._ledger.view() as view:
                answer = await query(view)
            self._pages[key] = answer
        return self._pages[key]

    async def _refresh(self) -> None:
        while True:
            started = time.monotonic()
            self._changed.clear()
            await self._update()
            # A burst of events costs one reading, and a silent bus delays one by no more than the poll.
            await asyncio.sleep(max(0.0, _LEAST_PAUSE - (time.monotonic() - started)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _POLL)

    async def _update(self) -> None:
        before = self.current
        keeper, bus_problem = await self._status()
        after = replace(before, keeper=keeper, bus_problem=bus_problem)
        try:
            async with self._ledger.view() as view:
                after = await self._figures(view, after)
        except ComponentError as error:
            after = replace(after, database_problem=error.problem)
        else:
            after = replace(after, database_problem="", database_seen_ms=time.time_ns() // 1_000_000)
        if _shown(after) != _shown(before):
            after = replace(after, version=before.version + 1)
        self.current = after

    async def _figures(self, view: LedgerView, before: Snapshot) -> Snapshot:
        now = time.monotonic()
        self._watched = {name: at for name, at in self._watched.items() if now - at < _WATCHED_FOR}
        after = replace(before, runs=tuple(await view.runs()), tokens=await view.tokens())
        figures = {}
        for choice in (CURRENT, *(name for name in self._watched if name != CURRENT)):
            run = after.run_id(choice)
            if run is None and choice == CURRENT:
                continue
            figures[choice] = Figures(
                run=next((row for row in after.runs if row["id"] == run), None),
                totals=await view.totals(run),
                accuracy=await view.accuracy(run),
                fates=await view.fate_counts(run),
                reasons=await view.reason_counts(run),
                curve=await view.profit_curve(run),
                outcomes=await view.landed_outcomes(run),
                block=await view.latest_block(run),
            )
        return replace(after, figures=figures)

    async def _status(self) -> tuple[dict[str, str], str]:
        client = connect(self._redis_url)
        try:
            status = await client.hgetall(STATUS)
            return {str(name): str(value) for name, value in status.items()}, ""
        except (RedisError, OSError) as error:
            return {}, str(error)
        finally:
            await client.aclose()

    async def _listen(self) -> None:
        """Turn events on the bus into readings; while the bus is away the poll does it alone."""
        while True:
            client = connect(self._redis_url)
            try:
                async with client.pubsub() as channel:
                    await channel.subscribe(EVENTS)
                    while True:
                        if await channel.get_message(ignore_subscribe_messages=True, timeout=1.0) is not None:
                            self._changed.set()
            except (RedisError, OSError) as error:
                log.debug("bus is away: %s", error)
            finally:
                await client.aclose()
            await asyncio.sleep(_POLL)


def _shown(snapshot: Snapshot) -> tuple[object, ...]:
    """What makes two pictures differ to the eye; heartbeats alone do not."""
    keeper = {name: value for name, value in snapshot.keeper.items() if name not in ("beat_at", "seq")}
    return (
        snapshot.figures,
        snapshot.runs,
        snapshot.tokens,
        keeper,
        bool(snapshot.database_problem),
        bool(snapshot.bus_problem),
    )
