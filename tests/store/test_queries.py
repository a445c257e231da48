"""Every figure by SQL equals the same figure computed in Python from what was recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from itertools import accumulate
from uuid import UUID, uuid4

import pytest

from keeper.domain.errors import ComponentError
from keeper.domain.opportunity import Fate
from keeper.domain.trade import TradeStatus
from keeper.store.queries import Key, Ledger, LedgerView, Page
from keeper.store.recorder import PostgresRecorder, trade_id
from tests.store.samples import TOKENS, Recorded, record_blocks, replica_run


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    ledger = Ledger(database_url)
    yield ledger
    await ledger.close()


async def fill(url: str, *, off_by: int = 0, seed: int = 7) -> tuple[UUID, Recorded]:
    async with PostgresRecorder(url, replica_run(seed)) as recorder:
        return recorder.run.id, await record_blocks(recorder, 25, seed=seed, off_by=off_by)


async def test_summary_and_totals(database_url: str, ledger: Ledger) -> None:
    run, recorded = await fill(database_url)
    await fill(database_url, seed=8)
    landed = [trade for trade in recorded.trades if trade.status is TradeStatus.LANDED]
    last = Counter(life[-1] for life in recorded.fates.values())
    assert await ledger.run_summary(run) == {
        "blocks": 25,
        "opportunities": len(recorded.opportunities),
        "submitted": sum(Fate.SUBMITTED in life for life in recorded.fates.values()),
        "landed": last[Fate.LANDED],
        "lost": last[Fate.LOST],
        "reverted": last[Fate.REVERTED],
        "predicted_wei": sum(trade.plan.prediction.net for trade in landed),
        "realised_wei": sum(trade.net for trade in landed),
        "mismatched": 0,
    }
    async with ledger.view() as view:
        totals = await view.totals(run)
        assert totals.net == sum(trade.net for trade in recorded.trades)
        assert totals.gas == sum(trade.gas_cost for trade in recorded.trades)
        finished = last[Fate.LANDED] + last[Fate.LOST] + last[Fate.REVERTED]
        assert totals.win_rate_bps == last[Fate.LANDED] * 10_000 // finished
        assert await view.fate_counts(run) == {fate.value: last[fate] for fate in Fate}
        assert len(await view.runs()) == 2
        assert (await view.runs())[1]["id"] == run
        assert await view.tokens() == {(1, token.address): (token.symbol, token.decimals) for token in TOKENS}
        block = await view.latest_block(run)
        assert block is not None
        assert block["number"] == 24_000_024


async def test_mismatch_is_seen(database_url: str, ledger: Ledger) -> None:
    run, recorded = await fill(database_url, off_by=1)
    landed = sum(trade.status is TradeStatus.LANDED for trade in recorded.trades)
    async with ledger.view() as view:
        accuracy = await view.accuracy(run)
    assert (accuracy.mismatched, accuracy.realised - accuracy.predicted) == (landed, landed)


async def test_empty_run_has_zeroes(ledger: Ledger) -> None:
    summary = await ledger.run_summary(uuid4())
    assert set(summary.values()) == {0}
    async with ledger.view() as view:
        assert (await view.totals(None)).win_rate_bps is None
        assert await view.profit_curve(None) == []
        assert await view.latest_block(None) is None
        assert await view.trades(None) == Page([], None)
        assert await view.life(uuid4()) is None


@pytest.mark.parametrize("points", [2, 3, 10, 1000])
async def test_curve_is_exact_and_bounded(database_url: str, ledger: Ledger, points: int) -> None:
    run, recorded = await fill(database_url)
    async with ledger.view() as view:
        curve = await view.profit_curve(run, points)
        order = [row["id"] for row in reversed(await every_trade(view, run))]
    net = {trade_id(trade): trade.net for trade in recorded.trades}
    sums = list(accumulate(net[key] for key in order))
    values = [value for _, value in curve]
    assert len(values) <= points
    assert values[-1] == sums[-1]
    assert values[0] == sums[0]
    remaining = iter(sums)
    assert all(value in remaining for value in values), "each point is a true sum, in order"
    if points >= len(sums):
        assert values == sums


async def every_trade(view: LedgerView, run: UUID, **filters: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    before: Key | None = None
    while True:
        page = await view.trades(run, before=before, limit=7, **filters)
        rows += page.rows
        before = page.older
        if before is None:
            return rows


async def test_pages_together_are_the_whole_history(database_url: str, ledger: Ledger) -> None:
    run, recorded = await fill(database_url)
    await fill(database_url, seed=9)
    async with ledger.view() as view:
        paged = await every_trade(view, run)
        assert len(paged) == len(recorded.trades)
        assert {row["id"] for row in paged} == {trade_id(trade) for trade in recorded.trades}
        keys = [(row["timestamp"], row["id"]) for row in paged]
        assert keys == sorted(keys, reverse=True)
        lost = await every_trade(view, run, status="lost", strategy="cross_dex", chain="ethereum")
        assert {row["id"] for row in lost} == {
            trade_id(trade)
            for trade in recorded.trades
            if trade.status is TradeStatus.LOST and trade.plan.opportunity.strategy == "cross_dex"
        }
        assert (await view.trades(run, chain="base")).rows == []
        page = await view.opportunities(run, fate="filtered", limit=200)
        assert {row["id"] for row in page.rows} == {
            key for key, life in recorded.fates.items() if life[-1] is Fate.FILTERED
        }


async def test_life_of_an_opportunity(database_url: str, ledger: Ledger) -> None:
    _, recorded = await fill(database_url)
    landed = next(trade for trade in recorded.trades if trade.status is TradeStatus.LANDED)
    found = landed.plan.opportunity
    async with ledger.view() as view:
        life = await view.life(found.id)
    assert life is not None
    assert [step["fate"] for step in life["fates"]] == recorded.fates[found.id]
    assert [trade["transaction_hash"] for trade in life["trades"]] == [landed.transaction_hash]
    assert life["predicted_gross"] == found.route.gross_profit
    assert [hop["amount_out"] for hop in life["route"]["hops"]] == [str(hop.amount_out) for hop in found.route.hops]


async def test_view_is_one_moment(database_url: str, ledger: Ledger) -> None:
    run, recorded = await fill(database_url)
    async with ledger.view() as view:
        before = await view.totals(run)
        await fill(database_url, seed=10)
        assert await view.totals(None) == before
    assert before.opportunities == len(recorded.opportunities)


async def test_absent_database_is_said() -> None:
    ledger = Ledger("postgresql://orion:hunter2@127.0.0.1:1/orion")
    with pytest.raises(ComponentError, match="no answer from PostgreSQL"):
        await ledger.run_summary(uuid4())
