"""The shared picture follows ledger and bus, keeps what it knew while they are away, and recovers by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from keeper.embedded.postgres import EmbeddedPostgres
from keeper.embedded.valkey import EmbeddedValkey
from keeper.panel import status_bar
from keeper.panel.overview import why_no_trades
from keeper.panel.server import bind
from keeper.panel.snapshot import ALL, CURRENT, Snapshot, Watcher
from keeper.store.bus import EventBus
from keeper.store.recorder import PostgresRecorder
from tests.store.samples import block_report, record_blocks, replica_run
from tests.store.servers import bring_back, kill


async def until(watcher: Watcher, condition: Callable[[Snapshot], Any], seconds: float = 30) -> Snapshot:
    async with asyncio.timeout(seconds):
        while not condition(watcher.current):  # noqa: ASYNC110 - it is a condition, not an event
            await asyncio.sleep(0.02)
    return watcher.current


async def test_follows_runs_and_survives_outages(
    database_url: str, postgres: EmbeddedPostgres, valkey: EmbeddedValkey, background: Any
) -> None:
    watcher = Watcher(database_url, valkey.url)
    async with watcher.running():
        empty = await until(watcher, lambda now: now.database_seen_ms)
        assert empty.of(CURRENT) is None
        assert "No run" in why_no_trades(empty, None)
        assert "Keeper not running" in status_bar.render(empty, CURRENT)

        async with PostgresRecorder(database_url, replica_run(1), patience=30) as recorder:
            old = await record_blocks(recorder, 3, seed=1)
        async with PostgresRecorder(database_url, replica_run(2), patience=30) as recorder:
            new = await record_blocks(recorder, 4, seed=2)
            bus = EventBus(valkey.url)
            await bus.start()
            bus.set_status(mode="replica", network="replica", chain_id=1, state="trading")
            report = block_report(random.Random(1), 24_000_777, 0)
            await bus.block(report.header, seen_at=report.seen_at, opportunities=0)
            watcher.look(ALL)
            seen = await until(watcher, lambda now: now.keeper.get("head_block") and now.of(ALL))
            assert seen.figures[CURRENT].totals.opportunities == len(new.opportunities)
            assert seen.figures[ALL].totals.opportunities == len(new.opportunities) + len(old.opportunities)
            assert "24,000,777" in status_bar.render(seen, CURRENT)

            still = seen.version
            await asyncio.wait_for(watcher._update(), 10)
            assert watcher.current.version == still, "heartbeats alone change nothing"

            await kill(postgres, background)
            gone = await until(watcher, lambda now: now.database_problem)
            assert gone.figures == seen.figures
            assert gone.version > still
            bar = status_bar.render(gone, CURRENT)
            assert "Database away" in bar
            assert "127.0.0.1" in bar
            await bring_back(postgres, background)
            await until(watcher, lambda now: not now.database_problem)

            await kill(valkey, background)
            away = await until(watcher, lambda now: now.bus_problem)
            assert "Bus away" in status_bar.render(away, CURRENT)
            more = await record_blocks(recorder, 1, seed=3)
            total = len(new.opportunities) + len(more.opportunities)
            await until(watcher, lambda now: now.figures[CURRENT].totals.opportunities == total)
            await bring_back(valkey, background)
            await until(watcher, lambda now: not now.bus_problem and now.keeper)
            await bus.close()
            await until(watcher, lambda now: not now.keeper)


def test_taken_port_is_left_alone() -> None:
    first = bind("127.0.0.1", 0)
    port = first.getsockname()[1]
    second = bind("127.0.0.1", port)
    assert second.getsockname()[1] not in (0, port)
    first.close()
    second.close()


def test_pools_whose_state_differed_from_the_chain_are_shown() -> None:
    quiet = Snapshot(keeper={"state": "trading", "pools": "59", "pools_quarantined": "0"})
    assert "quarantine" not in status_bar.render(quiet, CURRENT)
    told = Snapshot(keeper={"state": "trading", "pools": "<b>59", "pools_quarantined": "2"})
    bar = status_bar.render(told, CURRENT)
    assert "2 of &lt;b&gt;59 pools in quarantine" in bar
