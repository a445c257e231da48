"""The outbox: order is kept and nothing is lost or doubled while the database is away."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest

from keeper import outbox as module
from keeper.domain.errors import ComponentError
from keeper.domain.opportunity import Fate, FateChange
from keeper.outbox import Outbox
from tests.routes import loop, opportunity


class Database:
    """A recorder in memory that can be away."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.away = False

    async def _write(self, records: Sequence[Any]) -> None:
        if self.away:
            raise ComponentError("database", "does not answer", "Start it.")
        self.written.extend(records)

    opportunities = fates = trades = _write

    async def block(self, report: Any) -> None:
        await self._write([report])


def change(n: int) -> FateChange:
    return FateChange(opportunity(loop((1, 2), n)).id, Fate.DETECTED, f"step_{n}", n, {})


async def test_order_is_kept_through_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    database = Database()
    outbox = Outbox(database)
    found, first, second = opportunity(loop((1, 2), 1)), change(1), change(2)
    outbox.opportunities([found])
    assert await outbox.flush()
    database.away = True
    outbox.fates([first])
    with caplog.at_level(logging.WARNING):
        assert not await outbox.flush()
        outbox.fates([second])
        assert not await outbox.flush()
    assert outbox.waiting == 2
    assert len(caplog.records) == 1, "an outage is said once"
    database.away = False
    assert await outbox.flush()
    assert database.written == [found, first, second]
    assert outbox.waiting == 0


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 3)
    database = Database()
    database.away = True
    outbox = Outbox(database)
    outbox.fates([change(n) for n in range(3)])
    assert not await outbox.flush()
    outbox.fates([change(3)])
    with pytest.raises(ComponentError, match="4 records wait"):
        await outbox.flush()
