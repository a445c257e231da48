"""Outcomes are booked when they are deep enough, taken back by reorgs, and booked again as often as it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.booking import COIN, Account, Entry, EntryKind
from keeper.domain.errors import InputError
from keeper.domain.opportunity import Fate, FateChange
from keeper.domain.trade import Trade, TradeStatus
from keeper.domain.units import Wei
from keeper.treasury.ledger import sums
from keeper.treasury.treasurer import Treasurer
from tests.market.chain import header
from tests.treasury.samples import BOOK, WETH, settled_of, trade_of

FATES = {
    TradeStatus.LANDED: Fate.LANDED,
    TradeStatus.REVERTED: Fate.REVERTED,
    TradeStatus.LOST: Fate.LOST,
}


def treasurer(confirmations: int = 1, depth: int = 64) -> Treasurer:
    return Treasurer(book=BOOK, token=WETH, confirmations=confirmations, reinvestment_bps=5_000, depth=depth)


def fate(trade: Trade, fate: Fate | None = None) -> FateChange:
    return FateChange(trade.plan.opportunity.id, fate or FATES[trade.status], "", 1, {})


def kinds(entries: list[Entry]) -> list[EntryKind]:
    return [entry.kind for entry in entries]


BOOKING = [EntryKind.OUTCOME, EntryKind.ALLOCATION]


def test_a_trade_is_booked_with_its_block() -> None:
    trade = trade_of(10**16, block_number=101)
    keeper = treasurer()
    entries = keeper.observe(header(101), [trade], [fate(trade)])
    assert kinds(entries) == BOOKING
    totals = sums(entries)
    assert totals[Account.EXECUTOR_BALANCE, WETH] == 10**16
    assert totals[Account.GAS_PAID, COIN] == trade.gas_used * header(101).base_fee
    assert entries[0].details["builder"] == header(101).coinbase
    assert keeper.observe(header(102), [], []) == []
    assert keeper.waiting == 0


@pytest.mark.parametrize("confirmations", [1, 2, 5])
def test_a_trade_waits_for_its_confirmations(confirmations: int) -> None:
    trade = trade_of(10**16, block_number=101)
    keeper = treasurer(confirmations)
    found = [
        (number, keeper.observe(header(number), [trade] * (number == 101), [fate(trade)] * (number == 101)))
        for number in range(101, 110)
    ]
    assert [(number, kinds(entries)) for number, entries in found if entries] == [(100 + confirmations, BOOKING)]
    assert keeper.booked_up_to(100 + confirmations) == 101


def test_confirmations_are_at_least_one() -> None:
    with pytest.raises(InputError, match="ORION_CONFIRMATIONS"):
        treasurer(0)


def test_a_reorg_takes_a_trade_back_and_its_return_books_it_again() -> None:
    trade = trade_of(10**16, block_number=101)
    keeper = treasurer()
    first = keeper.observe(header(101), [trade], [fate(trade)])
    back = keeper.observe(header(101, "b"), [], [fate(trade, Fate.SUBMITTED)])
    assert kinds(back) == [EntryKind.REVERSAL] * 2
    assert not any(sums([*first, *back]).values())
    moved = replace(trade, block_number=102, gas_cost=Wei(trade.gas_cost + 1))
    again = keeper.observe(header(102, "b", "b"), [moved], [fate(moved)])
    assert kinds(again) == BOOKING
    assert sums([*first, *back, *again]) == sums(again)
    assert len({entry.id for entry in (*first, *back, *again)}) == 6


def test_an_outcome_that_a_reorg_did_not_change_is_booked_again() -> None:
    trade = trade_of(10**16, block_number=101)
    keeper = treasurer()
    first = keeper.observe(header(101), [trade], [fate(trade)])
    changes = [fate(trade, Fate.SUBMITTED), fate(trade)]
    swapped = keeper.observe(header(101, "b"), [], changes)
    assert kinds(swapped) == [EntryKind.REVERSAL] * 2 + BOOKING
    assert sums([*first, *swapped]) == sums(first)


def test_a_trade_that_a_reorg_loses_is_out_of_the_books() -> None:
    trade = trade_of(10**16, block_number=101)
    keeper = treasurer()
    lost = replace(trade, status=TradeStatus.LOST, block_number=None, gross=Wei(0), gas_used=0, gas_cost=Wei(0))
    entries = keeper.observe(header(101), [trade], [fate(trade)])
    entries += keeper.observe(header(101, "b"), [lost], [fate(lost, Fate.SUBMITTED), fate(lost)])
    assert not any(sums(entries).values())
    assert keeper.observe(header(102, "b", "b"), [], []) == []


def test_a_trade_that_was_lost_to_a_reorg_and_came_back_has_keys_of_its_own() -> None:
    trade = trade_of(10**16, block_number=101)
    lost = replace(trade, status=TradeStatus.LOST, block_number=None, gross=Wei(0), gas_used=0, gas_cost=Wei(0))
    keeper = treasurer()
    entries = keeper.observe(header(101), [trade], [fate(trade)])
    entries += keeper.observe(header(101, "b"), [lost], [fate(trade, Fate.SUBMITTED), fate(lost)])
    entries += keeper.observe(header(102), [], [fate(trade, Fate.SUBMITTED), fate(lost)])
    assert kinds(entries) == BOOKING + [EntryKind.REVERSAL] * 2
    entries += keeper.observe(header(102, "b"), [trade], [fate(trade, Fate.SUBMITTED), fate(trade)])
    assert kinds(entries)[4:] == BOOKING
    assert len({entry.id for entry in entries}) == 6
    assert sums(entries)[Account.EXECUTOR_BALANCE, WETH] == 10**16


def test_a_reorg_before_the_confirmations_leaves_no_trace() -> None:
    trade = trade_of(10**16, block_number=101)
    keeper = treasurer(3)
    entries = keeper.observe(header(101), [trade], [fate(trade)])
    entries += keeper.observe(header(102), [], [fate(trade, Fate.SUBMITTED)])
    entries += keeper.observe(header(103), [], [])
    assert entries == []


def test_what_was_left_by_an_earlier_run_is_booked_under_a_new_key() -> None:
    settled = settled_of(trade_of(10**16, block_number=90))
    keeper = treasurer()
    keeper.follow(settled, header(90), attempt=2)
    entries = keeper.observe(header(101), [], [])
    assert kinds(entries) == BOOKING
    assert {entry.attempt for entry in entries} == {2}
    totals = sums(entries)
    assert totals[Account.GAS_PAID, COIN] == settled.gas_used * header(90).base_fee
    assert totals[Account.BUILDER_PAYMENTS, COIN] == settled.gas_cost - settled.gas_used * header(90).base_fee


def test_memory_is_bounded_by_the_depth() -> None:
    keeper = treasurer(depth=4)
    for number in range(101, 131):
        trade = trade_of(10**16, seed=number, block_number=number)
        keeper.observe(header(number), [trade], [fate(trade)])
    assert len(keeper._followed) == 4
    assert len(keeper._headers) <= 5


@given(data=st.data(), confirmations=st.integers(1, 4))
def test_whatever_the_chain_does_the_books_hold_what_stands(data: st.DataObject, confirmations: int) -> None:
    """A model: outcomes that are decided and deep enough count, at any moment; nothing else does."""
    keeper = treasurer(confirmations)
    known = [trade_of(10**16 + seed, seed=seed, block_number=101) for seed in range(3)]
    standing: dict[int, Trade] = {}
    seen: set[int] = set()
    entries: list[Entry] = []
    for number in range(101, 101 + data.draw(st.integers(1, 12))):
        trades, fates = [], []
        for index, trade in enumerate(known):
            event = data.draw(st.sampled_from(["nothing", "nothing", "reopen", "decide", "same"]))
            if index in standing and event in ("reopen", "same"):
                fates.append(fate(trade, Fate.SUBMITTED))
                before = standing.pop(index)
                if event == "same":
                    fates.append(fate(before))
                    standing[index] = before
            elif index not in standing and event == "decide":
                status = data.draw(st.sampled_from(list(TradeStatus)))
                outcome = replace(
                    trade,
                    status=status,
                    block_number=None if status is TradeStatus.LOST else number,
                    gross=trade.gross if status is TradeStatus.LANDED else Wei(0),
                    gas_cost=Wei(0) if status is TradeStatus.LOST else Wei(number * 10**9),
                )
                trades.append(outcome)
                fates.append(fate(outcome))
                if status is not TradeStatus.LOST:
                    standing[index] = outcome
                seen.add(index)
        entries += keeper.observe(header(number), trades, fates)
        deep = [one for one in standing.values() if (one.block_number or 0) + confirmations - 1 <= number]
        totals = sums(entries)
        assert totals[Account.EXECUTOR_BALANCE, WETH] == sum(one.gross for one in deep)
        assert totals[Account.OPERATOR_BALANCE, COIN] == -sum(one.gas_cost for one in deep)
        assert len({entry.id for entry in entries}) == len(entries), "every entry has a key of its own"
        assert keeper.waiting == len(standing) - len(deep)
