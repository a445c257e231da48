"""A seeded ledger, the panel in a process of its own, and a real browser in front of it."""

from __future__ import annotations

import os
import queue
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keeper.embedded.postgres import EmbeddedPostgres
from keeper.embedded.valkey import EmbeddedValkey
from keeper.store.bus import EventBus
from keeper.store.recorder import PostgresRecorder
from tests.store.samples import EXECUTOR, Recorded, block_report, record_blocks, replica_run
from tests.store.servers import TEMPLATE, create_database, postgres, valkey

__all__ = ["postgres", "valkey"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_START_SECONDS = 90


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium of the system, which Playwright drives but does not download."""
    found = os.environ.get("ORION_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if not found:
        pytest.skip(
            "no Chromium on this machine (apt-get install chromium, or ORION_CHROMIUM=/path): "
            "not shown is that the panel works in a real browser"
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to start as root
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        running = playwright.chromium.launch(executable_path=found, args=arguments)
        yield running
        running.close()


@dataclass(frozen=True, slots=True)
class Panel:
    """A running panel and the means to make something happen on it."""

    url: str
    recorder: PostgresRecorder
    bus: EventBus
    recorded: Recorded
    background: Any

    def record(self, *, seed: int, first: int) -> Recorded:
        """Another block with its opportunities and trades, told on the bus."""

        async def write() -> Recorded:
            new = await record_blocks(self.recorder, 3, seed=seed, first=first)
            report = block_report(random.Random(seed), first + 2, 1)
            await self.bus.block(report.header, seen_at=report.seen_at, opportunities=len(new.opportunities))
            return new

        return self.background.run(write())


@contextmanager
def panel_process(database: str, redis: str) -> Iterator[str]:
    environment = {**os.environ, "ORION_DATABASE_URL": database, "ORION_REDIS_URL": redis, "ORION_PANEL_PORT": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "keeper.panel"],
        env=environment,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=lambda told: [lines.put(line) for line in told], args=(process.stderr,))
    reader.start()
    try:
        line = lines.get(timeout=_START_SECONDS)
        assert line.startswith("panel: http://127.0.0.1:"), line
        yield line.removeprefix("panel: ").strip()
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
            reader.join()
            process.stderr.close()


@pytest.fixture(scope="module")
def panel(
    browser: Any,  # noqa: ARG001 - without a browser nothing is started
    postgres: EmbeddedPostgres,
    valkey: EmbeddedValkey,
    background: Any,
) -> Iterator[Panel]:
    """A keeper's ledger of 40 blocks, a live status, and the panel on both."""
    url = create_database(postgres.url, template=TEMPLATE)

    async def begin() -> tuple[PostgresRecorder, EventBus, Recorded]:
        recorder = PostgresRecorder(url, replica_run())
        await recorder.start()
        recorded = await record_blocks(recorder, 40)
        bus = EventBus(valkey.url, run_id=str(recorder.run.id))
        await bus.start()
        bus.set_status(
            mode="replica",
            network="replica",
            chain_id=1,
            state="trading",
            since=time.time_ns(),
            run_id=recorder.run.id,
            executor=EXECUTOR,
            head_block=24_000_039,
            seen_at=time.time_ns(),
        )
        return recorder, bus, recorded

    async def end() -> None:
        await bus.close()
        await recorder.close()

    recorder, bus, recorded = background.run(begin())
    try:
        with panel_process(url, valkey.url) as address:
            yield Panel(address, recorder, bus, recorded, background)
    finally:
        background.run(end())
