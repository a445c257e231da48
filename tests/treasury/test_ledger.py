"""Every event becomes entries that balance, and the accounts say what they claim to say, to the wei."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.booking import COIN, SHARES, Account, Entry, EntryKind, Leg
from keeper.domain.errors import InputError
from keeper.domain.trade import Trade, TradeStatus
from keeper.domain.units import Hash32, Wei
from keeper.treasury.ledger import Settled, opening, outcome_entries, reversal, split, sums, withdrawal
from tests.store.samples import USDC
from tests.treasury.samples import BOOK, BUILDER, WETH, rates, settled_of, trade_of, trades, wei

TRANSACTION = Hash32("0x" + "ab" * 32)


def entry(*legs: Leg) -> Entry:
    return Entry(BOOK, 1, "subject", EntryKind.OUTCOME, legs)


@pytest.mark.parametrize(
    "legs",
    [
        (),
        (Leg(Account.TREASURY, WETH, 1),),
        (Leg(Account.TREASURY, WETH, 1), Leg(Account.EXECUTOR_BALANCE, WETH, -2)),
        (Leg(Account.TREASURY, WETH, 1), Leg(Account.EXECUTOR_BALANCE, USDC.address, -1)),
        (Leg(Account.TREASURY, WETH, 0), Leg(Account.EXECUTOR_BALANCE, WETH, 0)),
        (Leg(Account.TREASURY, WETH, 1.0), Leg(Account.EXECUTOR_BALANCE, WETH, -1.0)),  # type: ignore[arg-type]
        (Leg(Account.TREASURY, WETH, True), Leg(Account.EXECUTOR_BALANCE, WETH, -1)),
    ],
    ids=["no legs", "one leg", "off by one", "two tokens", "zeros", "floats", "bool"],
)
def test_an_entry_that_does_not_balance_cannot_be_made(legs: tuple[Leg, ...]) -> None:
    with pytest.raises(InputError):
        entry(*legs)


@given(net=st.integers(-(2**100), 2**100), bps=rates)
def test_a_split_is_exact_and_odd_wei_go_where_documented(net: int, bps: int) -> None:
    capital, available = split(net, bps)
    assert capital + available == net
    assert 0 <= net * bps - capital * 10_000 < 10_000
    if net >= 0:
        assert 0 <= capital <= net


@pytest.mark.parametrize(
    ("net", "bps", "parts"),
    [
        (100, 5_000, (50, 50)),
        (101, 5_000, (50, 51)),
        (-101, 5_000, (-51, -50)),
        (7, 0, (0, 7)),
        (7, 10_000, (7, 0)),
        (1, 9_999, (0, 1)),
    ],
)
def test_splits_of_known_amounts(net: int, bps: int, parts: tuple[int, int]) -> None:
    assert split(net, bps) == parts


@pytest.mark.parametrize("bps", [-1, 10_001])
def test_impossible_rates_are_refused(bps: int) -> None:
    with pytest.raises(InputError, match="ORION_REINVESTMENT_BPS"):
        split(1, bps)


@given(trade=trades(), bps=rates, base_fee=st.none() | st.integers(0, 10**13))
def test_an_outcome_is_booked_to_the_wei(trade: Trade, bps: int, base_fee: int | None) -> None:
    booked = outcome_entries(
        settled_of(trade),
        book=BOOK,
        token=WETH,
        reinvestment_bps=bps,
        base_fee=None if base_fee is None else Wei(base_fee),
    )
    totals = sums(booked)
    assert totals[Account.EXECUTOR_BALANCE, WETH] == trade.gross
    assert totals[Account.OPERATOR_BALANCE, COIN] == -trade.gas_cost
    assert totals[Account.GAS_PAID, COIN] + totals[Account.BUILDER_PAYMENTS, COIN] == trade.gas_cost
    assert totals[Account.GAS_PAID, COIN] >= 0
    assert totals[Account.BUILDER_PAYMENTS, COIN] >= 0
    assert -totals[Account.TRADING_INCOME, WETH] - totals[Account.LOAN_FEES, WETH] == trade.gross
    assert totals[Account.ALLOCATED, WETH] == trade.gross == -sum(totals[share, WETH] for share in SHARES)
    assert -totals[Account.GAS_RESERVE, WETH] == trade.gas_cost
    capital, available = split(trade.net, bps)
    assert -totals[Account.TRADING_CAPITAL, WETH] == capital
    assert -totals[Account.AVAILABLE_FOR_WITHDRAWAL, WETH] == available


def test_gas_is_parted_into_what_is_burnt_and_what_the_builder_gets() -> None:
    trade = trade_of(10**16, gas_used=200_000, price=5 * 10**9)
    booked = outcome_entries(
        settled_of(trade), book=BOOK, token=WETH, reinvestment_bps=5_000, base_fee=Wei(3 * 10**9), builder=BUILDER
    )
    totals = sums(booked)
    assert totals[Account.GAS_PAID, COIN] == 200_000 * 3 * 10**9
    assert totals[Account.BUILDER_PAYMENTS, COIN] == 200_000 * 2 * 10**9
    assert booked[0].details["builder"] == BUILDER


def test_what_a_transaction_pays_the_builder_itself_is_income_that_was_spent() -> None:
    trade = trade_of(10**16, gas_used=200_000, price=10**9, loan_fee=7)
    settled = replace(settled_of(trade), builder_payment=Wei(4 * 10**15))
    totals = sums(outcome_entries(settled, book=BOOK, token=WETH, reinvestment_bps=5_000, base_fee=Wei(10**9)))
    assert totals[Account.BUILDER_PAYMENTS, WETH] == 4 * 10**15
    assert totals[Account.BUILDER_PAYMENTS, COIN] == 0
    assert totals[Account.EXECUTOR_BALANCE, WETH] == 10**16
    assert -totals[Account.TRADING_INCOME, WETH] == 10**16 + 4 * 10**15 + 7
    prediction = replace(trade.plan.prediction, builder_payment=Wei(5))
    for status, paid in ((TradeStatus.LANDED, 5), (TradeStatus.REVERTED, 0)):
        sent = replace(trade, plan=replace(trade.plan, prediction=prediction), status=status)
        assert settled_of(sent).builder_payment == paid


def test_a_reverted_transaction_costs_its_gas_and_both_shares_bear_it() -> None:
    trade = trade_of(0, gas_used=100_000, price=10**9, status=TradeStatus.REVERTED, loan_fee=5)
    totals = sums(outcome_entries(settled_of(trade), book=BOOK, token=WETH, reinvestment_bps=2_500))
    assert totals[Account.EXECUTOR_BALANCE, WETH] == totals[Account.LOAN_FEES, WETH] == 0
    assert totals[Account.GAS_PAID, COIN] == 10**14
    assert -totals[Account.TRADING_CAPITAL, WETH] == -(10**14) // 4
    assert -totals[Account.AVAILABLE_FOR_WITHDRAWAL, WETH] == -(10**14) * 3 // 4
    assert -totals[Account.GAS_RESERVE, WETH] == 10**14


def test_a_lost_race_has_no_entry() -> None:
    lost = trade_of(0, 0, 0, status=TradeStatus.LOST)
    assert Settled.of(lost) is None


@given(done=st.lists(trades(), max_size=6), bps=rates, back=st.sets(st.integers(0, 5)))
def test_reversals_leave_exactly_what_was_not_taken_back(done: list[Trade], bps: int, back: set[int]) -> None:
    booked = [outcome_entries(settled_of(one), book=BOOK, token=WETH, reinvestment_bps=bps) for one in done]
    taken = [reversal(item, reason="reorg") for index, group in enumerate(booked) if index in back for item in group]
    left = sums(item for index, group in enumerate(booked) if index not in back for item in group)
    assert sums([*(item for group in booked for item in group), *taken]) == left
    assert len({item.id for item in taken}) == len({item.reverses for item in taken})


@given(held=wei, coin=wei, amount=st.integers(1, 2**100), share=st.sampled_from(SHARES))
def test_what_the_shares_hold_is_what_the_executor_holds(held: int, coin: int, amount: int, share: Account) -> None:
    first = opening(book=BOOK, chain_id=1, token=WETH, executor_holds=held, operator_holds=coin, block_number=1)
    assert (first is None) == (held == coin == 0)
    out = withdrawal(
        book=BOOK,
        chain_id=1,
        token=WETH,
        amount=amount,
        transaction_hash=TRANSACTION,
        block_number=2,
        charged_to=share,
    )
    totals = sums([*([] if first is None else [first]), out])
    assert totals[Account.EXECUTOR_BALANCE, WETH] == held - amount
    assert -sum(totals[one, WETH] for one in SHARES) == held - amount == totals[Account.ALLOCATED, WETH]
    assert totals[Account.TREASURY, WETH] == amount
    assert totals[Account.OPERATOR_BALANCE, COIN] == coin


@pytest.mark.parametrize(
    ("amount", "share"), [(0, Account.GAS_RESERVE), (-1, Account.GAS_RESERVE), (1, Account.TRADING_INCOME)]
)
def test_impossible_withdrawals_are_refused(amount: int, share: Account) -> None:
    with pytest.raises(InputError):
        withdrawal(
            book=BOOK,
            chain_id=1,
            token=WETH,
            amount=amount,
            transaction_hash=TRANSACTION,
            block_number=1,
            charged_to=share,
        )


def test_the_id_follows_from_what_is_booked() -> None:
    trade = trade_of(10**16)
    first, again = (outcome_entries(settled_of(trade), book=BOOK, token=WETH, reinvestment_bps=5_000) for _ in range(2))
    later = outcome_entries(settled_of(trade), book=BOOK, token=WETH, reinvestment_bps=5_000, attempt=1)
    elsewhere = outcome_entries(settled_of(trade), book="other", token=WETH, reinvestment_bps=5_000)
    assert [item.id for item in first] == [item.id for item in again]
    assert len({item.id for item in (*first, *later, *elsewhere)}) == 6
