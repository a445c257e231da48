"""Turns what happened into balanced entries: outcomes, their division, withdrawals and reversals. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from keeper.domain.booking import COIN, SHARES, Account, Entry, EntryKind, Leg
from keeper.domain.errors import InputError
from keeper.domain.plan import NOTHING
from keeper.domain.trade import Trade, TradeStatus
from keeper.domain.units import Address, Hash32, Wei
from keeper.store.recorder import trade_id

BPS = 10_000


@dataclass(frozen=True, slots=True)
class Settled:
    """A transaction that the chain included, as far as the books care; amounts in wei.

    Attributes:
        gross: what the executor's balance of the profit token grew by; zero when it reverted.
        loan_fee: what of the income went to the lender before that; zero when it reverted.
        builder_payment: what of it the transaction itself sent to the block's fee recipient; zero when it reverted.
    """

    trade_id: UUID
    opportunity_id: UUID
    chain_id: int
    status: TradeStatus
    transaction_hash: Hash32
    block_number: int
    gross: Wei
    loan_fee: Wei
    gas_used: int
    gas_cost: Wei
    builder_payment: Wei = NOTHING

    @property
    def net(self) -> Wei:
        return Wei(self.gross - self.gas_cost)

    @classmethod
    def of(cls, trade: Trade) -> Self | None:
        """None for a trade that is in no block."""
        if trade.block_number is None:
            return None
        landed = trade.status is TradeStatus.LANDED
        return cls(
            trade_id=trade_id(trade),
            opportunity_id=trade.plan.opportunity.id,
            chain_id=trade.plan.opportunity.chain_id,
            status=trade.status,
            transaction_hash=trade.transaction_hash,
            block_number=trade.block_number,
            gross=trade.gross,
            loan_fee=Wei(trade.plan.financing.fee if landed else 0),
            gas_used=trade.gas_used,
            gas_cost=trade.gas_cost,
            builder_payment=trade.plan.prediction.builder_payment if landed else NOTHING,
        )


def split(net: int, reinvestment_bps: int) -> tuple[int, int]:
    """Divide a net profit, or a loss, between trading capital and what can be withdrawn; the parts sum to ``net``.

    Trading capital gets ``floor(net * reinvestment_bps / 10000)``, withdrawal the rest. So the odd wei of a profit is
    available, the odd wei of a loss is capital's, and what is available never exceeds its share.

    Raises:
        InputError: the rate is outside 0 .. 10000.
    """
    if not 0 <= reinvestment_bps <= BPS:
        raise InputError("ORION_REINVESTMENT_BPS", reinvestment_bps, "Give basis points from 0 to 10000.")
    capital = net * reinvestment_bps // BPS
    return capital, net - capital


def outcome_entries(
    settled: Settled,
    *,
    book: str,
    token: Address,
    reinvestment_bps: int,
    attempt: int = 0,
    base_fee: Wei | None = None,
    builder: Address | None = None,
) -> tuple[Entry, ...]:
    """The entries for a transaction that the chain included: what it paid, and how the net profit is divided.

    A reverted transaction has its gas alone, which is a loss.

    Args:
        token: the profit token, which is worth the chain's coin one to one (the wrapped coin).
        base_fee: of its block; None when the keeper did not see that block: all gas is then `GAS_PAID`.
        builder: fee recipient of that block.
    """
    gas = settled.gas_cost
    burned = gas if base_fee is None else min(gas, settled.gas_used * base_fee)
    details: dict[str, Any] = {"status": settled.status.value, "transaction_hash": settled.transaction_hash}
    if builder is not None:
        details["builder"] = builder
    capital, available = split(settled.net, reinvestment_bps)
    drafts: list[tuple[EntryKind, tuple[Leg, ...], dict[str, Any]]] = [
        (
            EntryKind.OUTCOME,
            (
                Leg(Account.EXECUTOR_BALANCE, token, settled.gross),
                Leg(Account.LOAN_FEES, token, settled.loan_fee),
                Leg(Account.BUILDER_PAYMENTS, token, settled.builder_payment),
                Leg(Account.TRADING_INCOME, token, -(settled.gross + settled.loan_fee + settled.builder_payment)),
                Leg(Account.GAS_PAID, COIN, burned),
                Leg(Account.BUILDER_PAYMENTS, COIN, gas - burned),
                Leg(Account.OPERATOR_BALANCE, COIN, -gas),
            ),
            details,
        ),
        (
            EntryKind.ALLOCATION,
            (
                Leg(Account.ALLOCATED, token, settled.gross),
                Leg(Account.GAS_RESERVE, token, -gas),
                Leg(Account.TRADING_CAPITAL, token, -capital),
                Leg(Account.AVAILABLE_FOR_WITHDRAWAL, token, -available),
            ),
            {"net": str(settled.net), "reinvestment_bps": reinvestment_bps},
        ),
    ]
    return tuple(
        Entry(
            book=book,
            chain_id=settled.chain_id,
            subject=str(settled.trade_id),
            kind=kind,
            legs=kept,
            attempt=attempt,
            block_number=settled.block_number,
            details=facts,
        )
        for kind, legs, facts in drafts
        if (kept := _without_zeros(legs))
    )


def opening(
    *, book: str, chain_id: int, token: Address, executor_holds: int, operator_holds: int, block_number: int
) -> Entry | None:
    """The first entry of a book; what the executor holds already is trading capital. None when there is nothing."""
    legs = _without_zeros(
        (
            Leg(Account.EXECUTOR_BALANCE, token, executor_holds),
            Leg(Account.OPENING_BALANCE, token, -executor_holds),
            Leg(Account.ALLOCATED, token, executor_holds),
            Leg(Account.TRADING_CAPITAL, token, -executor_holds),
            Leg(Account.OPERATOR_BALANCE, COIN, operator_holds),
            Leg(Account.OPENING_BALANCE, COIN, -operator_holds),
        )
    )
    if not legs:
        return None
    return Entry(book, chain_id, "opening", EntryKind.OPENING, legs, block_number=block_number)


def withdrawal(
    *,
    book: str,
    chain_id: int,
    token: Address,
    amount: int,
    transaction_hash: Hash32,
    block_number: int,
    charged_to: Account = Account.AVAILABLE_FOR_WITHDRAWAL,
) -> Entry:
    """What left the executor for the treasury, charged to one of `SHARES`.

    It has happened on chain and is booked in any case: a share that becomes negative is filled first by later profits.

    Raises:
        InputError: the amount is not above zero, or ``charged_to`` is none of `SHARES`.
    """
    if amount <= 0:
        raise InputError("amount", amount, "A withdrawal moves more than zero.")
    if charged_to not in SHARES:
        raise InputError("charged_to", str(charged_to), f"Charge it to one of {', '.join(SHARES)}.")
    legs = (
        Leg(Account.TREASURY, token, amount),
        Leg(Account.EXECUTOR_BALANCE, token, -amount),
        Leg(charged_to, token, amount),
        Leg(Account.ALLOCATED, token, -amount),
    )
    return Entry(book, chain_id, transaction_hash, EntryKind.WITHDRAWAL, legs, block_number=block_number, details={})


def reversal(entry: Entry, *, reason: str) -> Entry:
    """Takes ``entry`` back, leg by leg."""
    return Entry(
        book=entry.book,
        chain_id=entry.chain_id,
        subject=str(entry.id),
        kind=EntryKind.REVERSAL,
        legs=tuple(Leg(leg.account, leg.token, -leg.amount) for leg in entry.legs),
        block_number=entry.block_number,
        reverses=entry.id,
        details={"reason": reason},
    )


def sums(entries: Iterable[Entry]) -> Counter[tuple[Account, Address]]:
    """Sums of the legs by account and token; an account without legs has zero."""
    totals: Counter[tuple[Account, Address]] = Counter()
    for entry in entries:
        for leg in entry.legs:
            totals[leg.account, leg.token] += leg.amount
    return totals


def _without_zeros(legs: Iterable[Leg]) -> tuple[Leg, ...]:
    return tuple(leg for leg in legs if leg.amount)
