"""The tables of the ledger; every amount of money is an exact integer, every row knows the run it belongs to."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Index, MetaData, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from keeper.store.columns import WeiNumeric

Document = dict[str, Any]


class Base(DeclarativeBase):
    """Names constraints the same way in models and migrations, so that the two can be compared."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy, never changed
        datetime: DateTime(timezone=True),
        Document: JSONB,
        str: Text,
    }


class RunRow(Base):
    """One start of the keeper. ``ended_at`` stays empty while it runs and after a crash."""

    __tablename__ = "runs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    mode: Mapped[str]
    network: Mapped[str]
    chain_id: Mapped[int] = mapped_column(BigInteger)
    seed: Mapped[int | None] = mapped_column(BigInteger)
    version: Mapped[str]

    __table_args__ = (Index(None, "started_at"),)


class TokenRow(Base):
    """Symbol and decimals of a token, for display. A symbol is whatever its deployer wrote: never trust it."""

    __tablename__ = "tokens"

    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    address: Mapped[str] = mapped_column(primary_key=True)
    symbol: Mapped[str]
    decimals: Mapped[int]


class BlockRow(Base):
    """How a block went through the keeper; a reorg replaces the row of the same number."""

    __tablename__ = "blocks"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[str]
    timestamp: Mapped[datetime]
    base_fee: Mapped[int] = mapped_column(WeiNumeric)
    seen_at: Mapped[datetime]
    changed_pools: Mapped[int]
    opportunities: Mapped[int]
    stage_ns: Mapped[Document]

    __table_args__ = (Index(None, "run_id", "seen_at"), Index(None, "seen_at"))


class OpportunityRow(Base):
    """An opportunity and its present fate; `FateRow` has how it got there.

    Attributes:
        predicted_gross: raw units of the route's token, before loan fee, gas and bid.
        fate_seq: number of the last step in `FateRow`.
    """

    __tablename__ = "opportunities"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id"))
    chain_id: Mapped[int] = mapped_column(BigInteger)
    block_number: Mapped[int] = mapped_column(BigInteger)
    strategy: Mapped[str]
    risk: Mapped[str]
    detected_at: Mapped[datetime]
    found_after_ns: Mapped[int] = mapped_column(BigInteger)
    fate: Mapped[str]
    fate_seq: Mapped[int]
    reason: Mapped[str]
    predicted_gross: Mapped[int] = mapped_column(WeiNumeric)
    route: Mapped[Document]
    updated_at: Mapped[datetime]

    __table_args__ = (
        Index(None, "detected_at", "id"),
        Index(None, "run_id", "detected_at", "id"),
        Index(None, "run_id", "fate", "detected_at", "id"),
        Index(None, "fate", "detected_at", "id"),
        Index(None, "strategy", "detected_at", "id"),
        Index(None, "chain_id", "block_number"),
    )


class FateRow(Base):
    """One step in the life of an opportunity; rows are added, never changed.

    The same step reported twice has the same ``(opportunity_id, fate, at_ns)`` and is kept once.
    """

    __tablename__ = "opportunity_fates"

    opportunity_id: Mapped[UUID] = mapped_column(ForeignKey("opportunities.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    fate: Mapped[str]
    reason: Mapped[str]
    at_ns: Mapped[int] = mapped_column(BigInteger)
    details: Mapped[Document]

    __table_args__ = (
        UniqueConstraint("opportunity_id", "fate", "at_ns"),
        Index(None, "fate", "opportunity_id"),
    )


class TradeRow(Base):
    """A transaction that was sent and what the chain paid for it; all amounts in wei of the chain's coin.

    Attributes:
        profit: net of gas; negative when a reverted transaction burned gas.
        loan_amount: raw units of the borrowed token.
        predicted_wei, realised_wei: net of gas, by the plan's prediction and by the receipt.
        lender: kind of financing, see `keeper.domain.token.LenderKind`.
    """

    __tablename__ = "trades"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id"))
    opportunity_id: Mapped[UUID] = mapped_column(ForeignKey("opportunities.id"))
    timestamp: Mapped[datetime]
    chain: Mapped[str]
    strategy: Mapped[str]
    status: Mapped[str]
    profit: Mapped[int] = mapped_column(WeiNumeric)
    transaction_hash: Mapped[str]
    block_number: Mapped[int | None] = mapped_column(BigInteger)
    gas_cost: Mapped[int] = mapped_column(WeiNumeric)
    loan_amount: Mapped[int] = mapped_column(WeiNumeric)
    predicted_wei: Mapped[int] = mapped_column(WeiNumeric)
    realised_wei: Mapped[int] = mapped_column(WeiNumeric)
    lender: Mapped[str]
    details: Mapped[Document]

    # Every filter of the history is the first column of an index that ends in the paging key (timestamp, id),
    # so that a page costs the same wherever it is in the history.
    __table_args__ = (
        Index(None, "timestamp", "id"),
        Index(None, "chain", "timestamp", "id"),
        Index(None, "strategy", "timestamp", "id"),
        Index(None, "status", "timestamp", "id"),
        Index(None, "chain", "strategy", "status", "timestamp", "id"),
        Index(None, "run_id", "timestamp", "id"),
        Index(None, "run_id", "status", "timestamp", "id"),
        Index(None, "opportunity_id"),
        Index(None, "transaction_hash"),
    )


class TokenGrantRow(Base):
    """A bearer token for the API: what it may do, and the hash by which it is recognised; never the token itself.

    Attributes:
        key: the public part of the token, which finds the row.
        digest: SHA-256 of the whole token, hexadecimal.
    """

    __tablename__ = "api_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    digest: Mapped[str]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class ControlActionRow(Base):
    """One control action: who asked for what, when, and what the keeper answered; rows are never removed.

    The unique ``idempotency_key`` is what makes a repeated request act once.

    Attributes:
        finished_at, result: empty until the keeper has answered or the wait for it has ended.
    """

    __tablename__ = "control_actions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    actor: Mapped[str]
    role: Mapped[str]
    action: Mapped[str]
    request: Mapped[Document]
    requested_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    result: Mapped[str | None]
    details: Mapped[Document]

    __table_args__ = (Index(None, "requested_at", "id"),)


class JournalEntryRow(Base):
    """An entry of the books; `JournalLegRow` has its lines. Rows are added, never changed: the database refuses it.

    Attributes:
        run_id: empty for what an operator recorded outside of a run.
        book, subject, kind, attempt, block_number, reverses: see `keeper.domain.booking.Entry`.
    """

    __tablename__ = "journal_entries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    book: Mapped[str]
    chain_id: Mapped[int] = mapped_column(BigInteger)
    subject: Mapped[str]
    kind: Mapped[str]
    attempt: Mapped[int]
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id"))
    block_number: Mapped[int | None] = mapped_column(BigInteger)
    booked_at: Mapped[datetime]
    reverses: Mapped[UUID | None] = mapped_column(ForeignKey("journal_entries.id"))
    details: Mapped[Document]

    __table_args__ = (
        UniqueConstraint("book", "subject", "kind", "attempt"),
        UniqueConstraint("reverses"),
        Index(None, "book", "booked_at"),
        Index(None, "subject"),
    )


class JournalLegRow(Base):
    """A line of an entry, raw units of its token; debits above zero. At commit the lines of an entry sum to zero."""

    __tablename__ = "journal_legs"

    entry_id: Mapped[UUID] = mapped_column(ForeignKey("journal_entries.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    account: Mapped[str]
    token: Mapped[str]
    amount: Mapped[int] = mapped_column(WeiNumeric)

    __table_args__ = (CheckConstraint("amount <> 0", name="amount"), Index(None, "account", "token"))


class ReconciliationRow(Base):
    """What the books say an account holds beside what the chain says, at one block."""

    __tablename__ = "reconciliations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id"))
    at: Mapped[datetime]
    book: Mapped[str]
    chain_id: Mapped[int] = mapped_column(BigInteger)
    block_number: Mapped[int] = mapped_column(BigInteger)
    account: Mapped[str]
    token: Mapped[str]
    booked: Mapped[int] = mapped_column(WeiNumeric)
    on_chain: Mapped[int] = mapped_column(WeiNumeric)

    __table_args__ = (Index(None, "run_id", "at"),)
