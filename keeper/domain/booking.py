"""What the books are made of: accounts, and entries whose legs sum to zero in every token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

from keeper.domain.errors import InputError
from keeper.domain.units import ZERO_ADDRESS, Address

COIN = ZERO_ADDRESS
"""Stands for the chain's own coin where a token is named."""

_ENTRY_NAMES = UUID("0c7f3a52-2b1c-4f0e-9d57-51d4c7a3b8e6")


class Account(StrEnum):
    """The chart of accounts. A leg above zero is a debit: more of what is owned or spent."""

    EXECUTOR_BALANCE = "executor_balance"
    """Owned: what the executor holds."""
    OPERATOR_BALANCE = "operator_balance"
    """Owned: the coin from which the operator pays for transactions."""
    TREASURY = "treasury"
    """Owned: what was withdrawn from the executor to the treasury's address."""
    GAS_PAID = "gas_paid"
    """Spent: base fees, which the chain burns."""
    BUILDER_PAYMENTS = "builder_payments"
    """Spent: priority fees, and what transactions themselves pay the builder of the block."""
    LOAN_FEES = "loan_fees"
    """Spent: what lenders took beyond the loan."""
    TRADING_INCOME = "trading_income"
    """Earned: profit before the loan fee and before gas."""
    OPENING_BALANCE = "opening_balance"
    """Source of what was there before the first entry of a book."""
    ALLOCATED = "allocated"
    """What the executor holds, seen as money that the three accounts below divide among themselves."""
    GAS_RESERVE = "gas_reserve"
    """Share: replaces the gas that the operator paid."""
    TRADING_CAPITAL = "trading_capital"
    """Share: reinvested."""
    AVAILABLE_FOR_WITHDRAWAL = "available_for_withdrawal"
    """Share: free to leave."""

    @property
    def grows_by_credit(self) -> bool:
        """Whether the account is shown with the sign of its legs reversed."""
        return self in _CREDIT


_CREDIT = frozenset(
    {
        Account.TRADING_INCOME,
        Account.OPENING_BALANCE,
        Account.GAS_RESERVE,
        Account.TRADING_CAPITAL,
        Account.AVAILABLE_FOR_WITHDRAWAL,
    }
)

SHARES = (Account.AVAILABLE_FOR_WITHDRAWAL, Account.TRADING_CAPITAL, Account.GAS_RESERVE)
"""The accounts that a withdrawal can be charged to."""


class EntryKind(StrEnum):
    OPENING = "opening"
    """Balances found on chain when a book began."""
    OUTCOME = "outcome"
    """What the chain paid and charged for one transaction."""
    ALLOCATION = "allocation"
    """How the net profit of that transaction is divided."""
    WITHDRAWAL = "withdrawal"
    """What left the executor for the treasury."""
    REVERSAL = "reversal"
    """Takes another entry back, leg by leg."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One line of an entry.

    Attributes:
        token: `COIN` for the chain's coin.
        amount: raw units; above zero a debit, below zero a credit, never zero.
    """

    account: Account
    token: Address
    amount: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A balanced entry; one that does not balance cannot be made.

    Attributes:
        book: one chain's life: the network's name, on a replica with the run, whose chain ends with it.
        subject: what it is about: the id of a trade, the hash of a withdrawal, the id of the entry taken back.
        attempt: counts bookings of the same subject, which reorgs make more than one.
        block_number: block in which it happened on chain.
        reverses: id of the entry that this one takes back.
        details: JSON-ready facts; amounts as decimal strings.

    Raises:
        InputError: fewer than two legs, a leg of zero, or legs of one token that do not sum to zero.
    """

    book: str
    chain_id: int
    subject: str
    kind: EntryKind
    legs: tuple[Leg, ...]
    attempt: int = 0
    block_number: int | None = None
    reverses: UUID | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.legs) < 2:
            raise InputError(f"legs of {self.kind}", len(self.legs), "An entry has at least two legs.")
        sums: Counter[str] = Counter()
        for leg in self.legs:
            if isinstance(leg.amount, bool) or not isinstance(leg.amount, int) or leg.amount == 0:
                raise InputError(str(leg.account), leg.amount, "Give each leg an int other than zero.")
            sums[leg.token] += leg.amount
        for token, total in sums.items():
            if total:
                raise InputError(f"sum of {token}", total, "The legs of one token sum to zero.")

    @property
    def id(self) -> UUID:
        """The same for the same subject, kind and attempt, so that an entry cannot be booked twice."""
        return uuid5(_ENTRY_NAMES, f"{self.book}:{self.subject}:{self.kind}:{self.attempt}")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What the books say an account holds beside what the chain says at the end of a block; raw units."""

    book: str
    chain_id: int
    block_number: int
    account: Account
    token: Address
    booked: int
    on_chain: int

    @property
    def difference(self) -> int:
        return self.booked - self.on_chain


@dataclass(frozen=True, slots=True)
class Balance:
    """The sum of an account's legs.

    Attributes:
        amount: raw units, debits above zero.
    """

    chain_id: int
    token: Address
    account: Account
    amount: int

    @property
    def shown(self) -> int:
        """The amount in the account's usual sense: income and shares count up as they grow."""
        return -self.amount if self.account.grows_by_credit else self.amount
