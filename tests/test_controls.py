"""Commands take effect at once: also on what is being prepared, and also when the halt file cannot be written."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.controls import Controls
from keeper.domain.opportunity import Fate, FateChange
from keeper.execution.kill_switch import KillSwitch
from keeper.orchestrator import Orchestrator, Stopwatch
from keeper.risk.gate import RiskGate
from keeper.store.control import Action, Command
from tests.store.samples import block_report, opportunity


class Execution:
    """Stands in front of the chain: proves everything, and lets a test act between two steps."""

    pending = 0

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.forgotten: list[Any] = []
        self.while_signing: Any = lambda: None

    async def prepare(self, found: Any, _: Any) -> Any:
        return [SimpleNamespace(opportunity=one) for one in found], [
            FateChange(one.id, Fate.SIMULATED, "ok", 1, {}) for one in found
        ]

    async def sign(self, plans: Any) -> Any:
        self.while_signing()
        return [SimpleNamespace(plan=plan) for plan in plans], []

    async def send(self, signed: Any) -> list[FateChange]:
        self.sent += signed
        return [FateChange(one.plan.opportunity.id, Fate.SUBMITTED, "", 2, {}) for one in signed]

    def forget(self, signed: Any) -> None:
        self.forgotten += signed


class Books:
    """Outbox and bus: remembers what was noted."""

    def __init__(self) -> None:
        self.noted: list[tuple[Fate, str]] = []
        self.status: dict[str, object] = {}

    def opportunities(self, _: Any) -> None: ...

    def fates(self, changes: Any) -> None:
        self.noted += [(one.fate, one.reason) for one in changes]

    async def flush(self) -> bool:
        return True


class Bus:
    def __init__(self) -> None:
        self.status: dict[str, Any] = {}

    async def opportunities(self, _: Any) -> None: ...

    async def fates(self, _: Any) -> None: ...

    def set_status(self, **fields: Any) -> None:
        self.status |= fields

    def publish(self, *_: Any) -> None: ...


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    execution, books, bus = Execution(), Books(), Bus()
    parts: Any = {
        "chain_id": 1,
        "book": SimpleNamespace(pools={}),
        "search": None,
        "strategies": (),
        "rules": SimpleNamespace(apply=lambda found, _: (list(found), [])),
        "gate": RiskGate(10**30, 3),
        "execution": execution,
        "outbox": books,
        "treasurer": None,
        "bus": bus,
        "max_plans": 8,
        "chain_ends_too": False,
    }
    orchestrator = Orchestrator(**parts)
    switch = KillSwitch(tmp_path)
    controls = Controls(orchestrator, switch, bus, "trading")  # type: ignore[arg-type]
    return SimpleNamespace(**locals())


async def trade(desk: Any) -> int:
    draw = random.Random(5)
    event: Any = SimpleNamespace(header=block_report(draw, 24_000_000, 1).header)
    return int(await desk.orchestrator._trade([opportunity(draw)], event, Stopwatch()))


async def test_a_pause_stops_what_is_being_prepared(desk: Any) -> None:
    assert await trade(desk) == 1
    desk.execution.while_signing = lambda: desk.orchestrator.pause("now")
    assert await trade(desk) == 0
    assert len(desk.execution.sent) == 1
    assert len(desk.execution.forgotten) == 1
    assert desk.books.noted[-1] == (Fate.LOST, "not_sent_paused")


async def test_what_is_found_in_a_pause_is_rejected_and_looked_at_again(desk: Any) -> None:
    desk.orchestrator._unseen = frozenset()
    answer = await desk.controls.carry_out(Command("1", Action.PAUSE, "ann", "lunch"))
    assert (answer.done, answer.state, answer.details) == (True, "paused", {"before": "trading", "in_flight": 0})
    assert desk.bus.status["cause"] == "pause by ann: lunch"
    assert await trade(desk) == 0
    assert desk.books.noted == [(Fate.REJECTED, "paused")]
    assert desk.orchestrator._unseen == frozenset()
    await desk.controls.carry_out(Command("2", Action.RESUME, "ann"))
    assert desk.bus.status["state"] == "trading"
    assert len(desk.orchestrator._unseen) >= 2, "the pools of what was passed over"
    assert await trade(desk) == 1


async def test_halt_holds_until_it_is_released_on_purpose(desk: Any) -> None:
    await desk.controls.carry_out(Command("1", Action.HALT, "ann", "odd"))
    assert desk.switch.reason == "halt by ann: odd"
    assert desk.bus.status["state"] == "halted"
    refused = await desk.controls.carry_out(Command("2", Action.RESUME, "bob"))
    assert (refused.done, refused.state) == (False, "halted")
    assert desk.switch.reason is not None
    released = await desk.controls.carry_out(Command("3", Action.RESUME, "bob", release_halt=True))
    assert (released.done, released.state, desk.switch.reason) == (True, "trading", None)


async def test_halt_is_in_force_even_without_its_file(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.switch, "file", Path("/dev/null/HALT"))
    answer = await desk.controls.carry_out(Command("1", Action.HALT, "ann"))
    assert answer.state == "halted"
    assert "cannot be written" in answer.details["warning"]
    assert desk.switch.reason is not None
