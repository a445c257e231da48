"""The key figures: known cases by hand, and Python against SQL on whatever is drawn."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from keeper.domain.opportunity import Fate
from keeper.domain.performance import EVERYTHING, UNKNOWN, Grouping, Performance, TradeRecord, Window
from keeper.domain.trade import TradeStatus
from keeper.store.database import sync_engine
from keeper.store.documents import chain_name, route_document
from keeper.store.journal import Journal
from keeper.store.models import OpportunityRow, RunRow, TradeRow
from keeper.store.performance import (
    PerformanceView,
    figures_query,
    opportunity_records,
    trade_records,
)
from keeper.store.performance import performance as by_sql
from keeper.treasury.kpis import grouped_performance, performance
from keeper.treasury.ledger import outcome_entries, reversal
from tests.store.samples import opportunity, replica_run
from tests.treasury.samples import BOOK, BUILDER, WETH, settled_of, trade_of

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)


def record(
    profit: int,
    hours: float = 0.0,
    status: TradeStatus = TradeStatus.LANDED,
    *,
    gas_cost: int = 10,
    reason: str = "",
    strategy: str = "cross_dex",
) -> TradeRecord:
    return TradeRecord(
        id=uuid4(),
        opportunity_id=uuid4(),
        at=MIDNIGHT + timedelta(hours=hours),
        status=status,
        reason=reason,
        profit=profit,
        gas_cost=gas_cost,
        strategy=strategy,
        chain="ethereum",
        lender="morpho",
        dex="sushiswap+uniswap_v2",
        builder=UNKNOWN,
    )


LOST = record(0, 3, TradeStatus.LOST, gas_cost=0, reason="lost_race")


def test_figures_of_a_known_history() -> None:
    """Two wins, a loss and a lost race: every figure worked out by hand."""
    history = [record(30, 0), record(-20, 1, TradeStatus.REVERTED, gas_cost=20), record(50, 2), LOST]
    found = performance(history, opportunities=9)
    assert (found.opportunities, found.executed, found.successful, found.lost, found.reverted) == (9, 4, 2, 1, 1)
    assert found.lost_races == 1
    assert (found.total_profit, found.average_profit) == (60, 20)
    assert (found.gross_win, found.gross_loss, found.profit_factor) == (80, 20, 4.0)
    assert (found.gas_burned, found.gas_reverted, found.break_even_gross) == (40, 20, 20)
    assert found.win_rate == 0.5
    assert found.max_drawdown == 20
    assert found.break_even_win_rate == pytest.approx(20 / (40 + 20))
    assert found.sharpe == pytest.approx(20 / math.sqrt((10**2 + 40**2 + 30**2) / 2))
    assert found.sortino == pytest.approx(20 / math.sqrt(20**2 / 3))
    assert found.sharpe_annual is found.sortino_annual is None, "one day has no deviation"


def test_days_without_a_trade_count_as_zero() -> None:
    found = performance([record(40, 1), record(-10, 23.9), record(-12, 3 * 24)], 0)
    days = [30, 0, 0, -12]
    mean = sum(days) / 4
    spread = math.sqrt(sum((day - mean) ** 2 for day in days) / 3)
    assert found.sharpe_annual == pytest.approx(mean / spread * math.sqrt(365))
    assert found.sortino_annual == pytest.approx(mean / math.sqrt(12**2 / 4) * math.sqrt(365))


@pytest.mark.parametrize(
    ("profits", "drawdown"),
    [([], 0), ([5, 5], 0), ([-3], 3), ([-3, -4, 10, -2], 7), ([10, -4, 1, -6, 20, -8], 9)],
)
def test_drawdown_is_from_the_highest_value_so_far(profits: list[int], drawdown: int) -> None:
    assert performance([record(one, hour) for hour, one in enumerate(profits)], 0).max_drawdown == drawdown


def test_what_is_not_defined_is_none() -> None:
    nothing = performance([], 3)
    assert nothing.opportunities == 3
    assert all(
        getattr(nothing, name) is None
        for name in ("average_profit", "win_rate", "profit_factor", "break_even_win_rate", "break_even_gross", "sharpe")
    )
    same = performance([record(5, 0), record(5, 1)], 0)
    assert same.sharpe is None, "no deviation"
    assert same.sortino is None, "no loss"
    assert same.profit_factor is None
    assert same.break_even_win_rate == 0.0
    assert performance([record(-5)], 0).break_even_win_rate == 1.0
    assert performance([record(-1, 0), record(0, 1), record(0, 2)], 0).average_profit == -1, "rounded down"


@dataclass(frozen=True)
class Drawn:
    """A trade to be: how it ended and when, how many opportunities beside it went nowhere."""

    status: TradeStatus
    profit: int
    gas: int
    minutes: int
    reason: str
    chain_id: int
    idle: int
    booked: str


@st.composite
def histories(draw: st.DrawFn) -> list[Drawn]:
    def one() -> Drawn:
        status = draw(st.sampled_from(TradeStatus))
        gas = 0 if status is TradeStatus.LOST else draw(st.integers(0, 10**17))
        profit = {
            TradeStatus.LANDED: draw(st.integers(-(10**3), 10**3) | st.integers(-(10**17), 2**120)),
            TradeStatus.REVERTED: -gas,
            TradeStatus.LOST: 0,
        }[status]
        return Drawn(
            status=status,
            profit=profit,
            gas=gas,
            minutes=draw(st.integers(0, 6 * 24 * 60)),
            reason=draw(st.sampled_from(["lost_race", "not_included"])) if status is TradeStatus.LOST else "",
            chain_id=draw(st.sampled_from([1, 137, 999])),
            idle=draw(st.integers(0, 2)),
            booked=draw(st.sampled_from(["no", "yes", "reversed", "again"])),
        )

    return [one() for _ in range(draw(st.integers(0, 9)))]


async def write(url: str, history: Sequence[Drawn], seed: int) -> UUID:
    """Put ``history`` into the tables, as a run of its own; returns the run."""
    draw = random.Random(seed)
    run = replica_run()
    opportunities: list[dict[str, Any]] = []
    trades: list[dict[str, Any]] = []
    entries = []
    for item in history:
        at = MIDNIGHT + timedelta(minutes=item.minutes)
        for index in range(item.idle + 1):
            found = replace(opportunity(draw), id=uuid4())
            opportunities.append(
                {
                    "id": found.id,
                    "run_id": run.id,
                    "chain_id": item.chain_id,
                    "block_number": 1,
                    "strategy": found.strategy,
                    "risk": "LOW",
                    "detected_at": at,
                    "found_after_ns": 1,
                    "fate": Fate.DETECTED.value,
                    "fate_seq": 0,
                    "reason": "",
                    "predicted_gross": 1,
                    "route": route_document(found.route),
                    "updated_at": at,
                }
            )
            if index == item.idle:
                key = uuid4()
                trades.append(
                    {
                        "id": key,
                        "run_id": run.id,
                        "opportunity_id": found.id,
                        "timestamp": at,
                        "chain": chain_name(item.chain_id),
                        "strategy": found.strategy,
                        "status": item.status.value,
                        "profit": item.profit,
                        "transaction_hash": "0x" + draw.randbytes(32).hex(),
                        "block_number": None,
                        "gas_cost": item.gas,
                        "loan_amount": 1,
                        "predicted_wei": 1,
                        "realised_wei": item.profit,
                        "lender": draw.choice(["morpho", "aave_v3"]),
                        "details": {"reason": item.reason, "route": route_document(found.route)},
                    }
                )
                entries += booking(key, item)
    with sync_engine(url).begin() as connection:
        connection.execute(
            insert(RunRow),
            {
                "id": run.id,
                "started_at": MIDNIGHT,
                "mode": "replica",
                "network": "replica",
                "chain_id": 1,
                "seed": 1,
                "version": "0",
            },
        )
        if opportunities:
            connection.execute(insert(OpportunityRow), opportunities)
            connection.execute(insert(TradeRow), trades)
    journal = Journal(url)
    await journal.post(entries)
    await journal.close()
    return run.id


def booking(key: UUID, item: Drawn) -> list[Any]:
    """The books of a drawn trade: none, standing, taken back by a reorg, or standing again with another builder."""
    if item.booked == "no" or item.status is TradeStatus.LOST:
        return []
    settled = settled_of(trade_of(10**16))

    def book(attempt: int, builder: Any) -> Any:
        (entry, _) = outcome_entries(
            settled, book=f"{BOOK}/{key}", token=WETH, reinvestment_bps=5_000, attempt=attempt, builder=builder
        )
        return type(entry)(**{**{name: getattr(entry, name) for name in entry.__slots__}, "subject": str(key)})

    first = book(0, BUILDER)
    if item.booked == "yes":
        return [first]
    back = reversal(first, reason="reorg")
    return [first, back] if item.booked == "reversed" else [first, back, book(1, WETH)]


def same(found: Performance, expected: Performance) -> None:
    """Equal to the wei, and ratios to the twelfth digit."""
    for name, value in asdict(expected).items():
        other = getattr(found, name)
        if isinstance(value, float):
            assert other == pytest.approx(value, rel=1e-12, abs=1e-300), name
        else:
            assert other == value, name
            assert type(other) is type(value), name


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(), seed=st.integers(0, 2**32), cut=st.none() | st.integers(0, 6 * 24 * 60))
def test_python_and_sql_agree_on_every_figure_of_every_group(
    database_url: str, history: list[Drawn], seed: int, cut: int | None
) -> None:
    async def compare() -> None:
        run = await write(database_url, history, seed)
        since = None if cut is None else MIDNIGHT + timedelta(minutes=cut)
        view = PerformanceView(database_url)
        try:
            async with view.reading() as connection:
                for window in (Window(since=since, run=run), Window(until=since, run=run)):
                    trades = await trade_records(connection, window)
                    opportunities = await opportunity_records(connection, window)
                    for grouping in (None, *Grouping):
                        expected = grouped_performance(trades, opportunities, grouping)
                        found = await by_sql(connection, window, grouping)
                        assert list(found) == list(expected)
                        for name, figures in expected.items():
                            same(found[name], figures)
                assert sum(one.executed for one in (await by_sql(connection, Window(run=run))).values()) == len(history)
        finally:
            await view.close()

    asyncio.run(compare())


async def test_groups_part_the_whole(database_url: str) -> None:
    drawn = [
        Drawn(TradeStatus.LANDED, 10**16 + number, 10**14, number, "", (1, 137)[number % 2], 1, "yes")
        for number in range(8)
    ]
    run = await write(database_url, drawn, 5)
    view = PerformanceView(database_url)
    whole = (await view.performance(Window(run=run)))[EVERYTHING]
    assert (whole.executed, whole.opportunities) == (8, 16)
    for grouping in Grouping:
        groups = await view.performance(Window(run=run), grouping)
        assert sum(group.total_profit for group in groups.values()) == whole.total_profit
        assert sum(group.executed for group in groups.values()) == whole.executed
    assert list(await view.performance(Window(run=run), Grouping.CHAIN)) == ["ethereum", "polygon"]
    assert list(await view.performance(Window(run=run), Grouping.BUILDER)) == [BUILDER]
    elsewhere = Window(since=MIDNIGHT + timedelta(days=9), run=run)
    assert (await view.performance(elsewhere))[EVERYTHING].executed == 0
    assert await view.performance(elsewhere, Grouping.STRATEGY) == {}
    await view.close()


def test_the_statement_runs_in_psql_as_it_is(database_url: str) -> None:
    """No value is formatted into the statement: it has three parameters and constants of the code alone."""
    for grouping in (None, *Grouping):
        with sync_engine(database_url).connect() as connection:
            connection.execute(text("EXPLAIN " + figures_query(grouping)), {"since": None, "until": None, "run": None})
