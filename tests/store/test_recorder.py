"""What is recorded is recorded once, exactly, and whatever happens to the connection."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import literal, select

from keeper.domain.errors import ComponentError, InputError
from keeper.domain.opportunity import Fate, FateChange
from keeper.domain.protocols import Recorder
from keeper.domain.trade import TradeStatus
from keeper.domain.units import Wei
from keeper.embedded.postgres import EmbeddedPostgres
from keeper.store.columns import WeiNumeric
from keeper.store.database import async_engine, sync_engine
from keeper.store.fates import NEXT
from keeper.store.models import BlockRow, FateRow, OpportunityRow, RunRow, TradeRow
from keeper.store.recorder import PostgresRecorder, trade_id
from tests.store.samples import TOKENS, block_report, change, opportunity, record_blocks, replica_run, trade
from tests.store.servers import bring_back, cutting_proxy, kill


@pytest.fixture
async def recorder(database_url: str) -> AsyncIterator[PostgresRecorder]:
    async with PostgresRecorder(database_url, replica_run()) as recorder:
        yield recorder


def rows(url: str, table: Any) -> list[dict[str, Any]]:
    engine = sync_engine(url)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(table.__table__)).mappings()]


def test_fits_the_protocol(database_url: str) -> None:
    recorder: Recorder = PostgresRecorder(database_url, replica_run())
    assert recorder


async def test_money_survives_exactly(database_url: str) -> None:
    engine = async_engine(database_url)
    amounts = [0, 1, -1, 2**63, -(2**63) - 1, 2**128 + 1, 2**255, -(2**255), 2**256 - 1, 10**78 - 1]
    async with engine.begin() as connection:
        for amount in amounts:
            answer = await connection.execute(select(literal(amount, WeiNumeric())))
            assert answer.scalar_one() == amount
    await engine.dispose()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amount=st.integers(-(2**255), 2**255))
async def test_trade_keeps_every_digit(recorder: PostgresRecorder, database_url: str, amount: int) -> None:
    draw = random.Random(amount)
    found = opportunity(draw)
    sent = replace(trade(draw, found), gross=Wei(amount), gas_cost=Wei(0))
    await recorder.opportunities([found])
    await recorder.trades([sent])
    with sync_engine(database_url).connect() as connection:
        row = connection.execute(select(TradeRow.__table__).where(TradeRow.id == trade_id(sent))).mappings().one()
    assert row["realised_wei"] == row["profit"] == amount
    assert isinstance(row["profit"], int)
    assert row["details"]["gross"] == str(amount)


@pytest.mark.parametrize("amount", [1.5, True, 10**78])
async def test_money_that_is_no_whole_number_is_refused(recorder: PostgresRecorder, amount: Any) -> None:
    draw = random.Random(1)
    found = opportunity(draw)
    await recorder.opportunities([found])
    with pytest.raises(InputError, match="amount"):
        await recorder.trades([replace(trade(draw, found), gas_cost=amount)])


async def test_same_report_twice_is_one(recorder: PostgresRecorder, database_url: str) -> None:
    draw = random.Random(2)
    found = [opportunity(draw) for _ in range(5)]
    changes = [change(one, Fate.SIMULATED, "ok") for one in found]
    changes += [change(one, Fate.SUBMITTED, "relay") for one in found]
    changes += [change(one, Fate.LANDED) for one in found]
    trades = [trade(draw, one) for one in found]
    report = block_report(draw, 10, 5)
    for _ in range(3):
        await recorder.tokens(1, TOKENS)
        await recorder.opportunities(found)
        await recorder.fates([change(one, Fate.DETECTED) for one in found])
        await recorder.fates(changes)
        await recorder.trades(trades)
        await recorder.block(report)
    assert len(rows(database_url, OpportunityRow)) == len(rows(database_url, TradeRow)) == 5
    assert len(rows(database_url, BlockRow)) == 1
    fates = sorted((str(row["opportunity_id"]), row["seq"], row["fate"]) for row in rows(database_url, FateRow))
    lives = ["detected", "simulated", "submitted", "landed"]
    assert fates == sorted((str(one.id), seq, fate) for one in found for seq, fate in enumerate(lives))
    assert {row["fate"] for row in rows(database_url, OpportunityRow)} == {"landed"}


async def test_run_has_beginning_and_end(database_url: str) -> None:
    run = replica_run(seed=11)
    async with PostgresRecorder(database_url, run):
        (open_run,) = rows(database_url, RunRow)
    (closed,) = rows(database_url, RunRow)
    assert open_run["ended_at"] is None
    assert closed["ended_at"] >= closed["started_at"]
    assert (closed["id"], closed["seed"], closed["mode"]) == (run.id, 11, "replica")


async def test_reorg_replaces_block_and_takes_trade_back(recorder: PostgresRecorder, database_url: str) -> None:
    draw = random.Random(3)
    found = opportunity(draw)
    landed = trade(draw, found)
    await recorder.opportunities([found])
    await recorder.fates([change(found, fate) for fate in (Fate.SIMULATED, Fate.SUBMITTED, Fate.LANDED)])
    await recorder.trades([landed])
    await recorder.block(block_report(draw, 7, 1))
    other = block_report(draw, 7, 0)
    await recorder.block(other)
    await recorder.fates([change(found, Fate.LOST, "reorg")])
    gone = replace(landed, status=TradeStatus.LOST, gross=Wei(0), gas_cost=Wei(0), block_number=None, reason="reorg")
    before = rows(database_url, TradeRow)[0]["timestamp"]
    await recorder.trades([gone])
    (row,) = rows(database_url, TradeRow)
    assert (row["status"], row["profit"], row["block_number"], row["timestamp"]) == ("lost", 0, None, before)
    (block,) = rows(database_url, BlockRow)
    assert block["hash"] == other.header.hash


PATHS: dict[Fate, list[Fate]] = {
    Fate.DETECTED: [],
    Fate.FILTERED: [Fate.FILTERED],
    Fate.REJECTED: [Fate.REJECTED],
    Fate.SIMULATED: [Fate.SIMULATED],
    Fate.SUBMITTED: [Fate.SIMULATED, Fate.SUBMITTED],
    Fate.LANDED: [Fate.SIMULATED, Fate.SUBMITTED, Fate.LANDED],
    Fate.LOST: [Fate.SIMULATED, Fate.SUBMITTED, Fate.LOST],
    Fate.REVERTED: [Fate.SIMULATED, Fate.SUBMITTED, Fate.REVERTED],
}
FINAL = {Fate.FILTERED, Fate.REJECTED}  # a reorg can open all others again


@pytest.mark.parametrize("before", list(Fate))
async def test_only_true_lives_are_recorded(recorder: PostgresRecorder, database_url: str, before: Fate) -> None:
    draw = random.Random(before.value)
    for after in set(Fate) - {Fate.DETECTED}:
        found = opportunity(draw)
        await recorder.opportunities([found])
        await recorder.fates([change(found, fate, at=index) for index, fate in enumerate(PATHS[before])])
        if after in NEXT[before]:
            assert before not in FINAL
            await recorder.fates([change(found, after, at=99)])
        else:
            with pytest.raises(InputError, match=f"{before} -> {after}"):
                await recorder.fates([change(found, after, at=99)])
        expected = [Fate.DETECTED, *PATHS[before], *([after] if after in NEXT[before] else [])]
        steps = [row for row in rows(database_url, FateRow) if row["opportunity_id"] == found.id]
        assert [step["fate"] for step in sorted(steps, key=lambda step: step["seq"])] == expected


async def test_one_wrong_step_writes_nothing_of_its_call(recorder: PostgresRecorder, database_url: str) -> None:
    draw = random.Random(4)
    good, bad = opportunity(draw), opportunity(draw)
    await recorder.opportunities([good, bad])
    with pytest.raises(InputError, match="detected -> landed"):
        await recorder.fates([change(good, Fate.FILTERED), change(bad, Fate.LANDED)])
    with pytest.raises(InputError, match="Record the opportunity before its fates"):
        await recorder.fates([change(good, Fate.FILTERED), FateChange(uuid4(), Fate.FILTERED, "", 1, {})])
    assert {row["fate"] for row in rows(database_url, OpportunityRow)} == {"detected"}
    with pytest.raises(InputError, match="record"):
        await recorder.trades([trade(draw, opportunity(draw))])
    assert not rows(database_url, TradeRow)


async def test_hostile_text_is_kept_harmless(recorder: PostgresRecorder, database_url: str) -> None:
    draw = random.Random(5)
    found = opportunity(draw)
    await recorder.opportunities([found])
    hostile = "revert\x00';DROP TABLE trades;--\udc80"
    await recorder.fates([FateChange(found.id, Fate.FILTERED, hostile, 1, {"why\x00": [hostile]})])
    (row,) = rows(database_url, OpportunityRow)
    assert row["reason"].startswith("revert\ufffd';DROP TABLE trades;--")
    assert rows(database_url, TradeRow) == []


@pytest.mark.parametrize("deliver", [True, False], ids=["answer lost", "request lost"])
async def test_connection_cut_at_commit_neither_loses_nor_doubles(database_url: str, deliver: bool) -> None:
    async with cutting_proxy(database_url, marker=b"COMMIT", deliver=deliver, times=0) as (url, cuts):
        async with PostgresRecorder(url, replica_run(), patience=15) as recorder:
            draw = random.Random(6)
            found = [opportunity(draw) for _ in range(20)]
            simulated = [change(one, Fate.SIMULATED, at=1) for one in found]
            submitted = [change(one, Fate.SUBMITTED, at=2) for one in found]
            trades = [trade(draw, one) for one in found]
            for call in (
                lambda: recorder.opportunities(found),
                lambda: recorder.fates(simulated + submitted),
                lambda: recorder.trades(trades),
                lambda: recorder.block(block_report(draw, 5, 20)),
            ):
                cuts.left = 1
                await call()
        assert cuts.done == 4
    assert len(rows(database_url, OpportunityRow)) == len(rows(database_url, TradeRow)) == 20
    assert len(rows(database_url, FateRow)) == 60
    assert len(rows(database_url, BlockRow)) == 1


async def test_killed_server_comes_back_and_nothing_is_missing(
    postgres: EmbeddedPostgres, database_url: str, background: Any
) -> None:
    async def power_cut() -> None:
        await kill(postgres, background)
        await bring_back(postgres, background)

    async with cutting_proxy(database_url, marker=b"COMMIT", deliver=True, times=0, meanwhile=power_cut) as proxied:
        url, cuts = proxied
        async with PostgresRecorder(url, replica_run(), patience=30) as recorder:
            first = await record_blocks(recorder, 2, seed=1)
            cuts.left = 1
            second = await record_blocks(recorder, 2, seed=2, first=24_000_002)
        assert cuts.done == 1
    found = first.opportunities | second.opportunities
    stored = {row["id"]: row for row in rows(database_url, OpportunityRow)}
    assert stored.keys() == found.keys()
    lives = first.fates | second.fates
    assert {key: row["fate"] for key, row in stored.items()} == {key: life[-1] for key, life in lives.items()}
    assert len(rows(database_url, FateRow)) == sum(map(len, lives.values()))
    assert len(rows(database_url, TradeRow)) == len(first.trades) + len(second.trades)
    assert len(rows(database_url, BlockRow)) == 4


async def test_absent_database_is_one_clear_error_within_the_bound() -> None:
    recorder = PostgresRecorder("postgresql://orion:hunter2@127.0.0.1:1/orion", replica_run(), patience=0.3)
    with pytest.raises(ComponentError, match="no answer from PostgreSQL") as caught:
        await recorder.start()
    assert caught.value.component == "database"
    assert "hunter2" not in str(caught.value)


async def test_missing_tables_are_named_as_such(empty_database_url: str) -> None:
    recorder = PostgresRecorder(empty_database_url, replica_run())
    with pytest.raises(ComponentError, match="keeper doctor"):
        await recorder.start()
