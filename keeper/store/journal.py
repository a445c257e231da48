"""The journal in PostgreSQL: entries are booked once, never changed, and read back as sums."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Text, cast, exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from keeper.domain.booking import Account, Balance, Entry, EntryKind, Leg
from keeper.domain.errors import InputError
from keeper.domain.trade import TradeStatus
from keeper.domain.units import to_address
from keeper.store.columns import WeiNumeric
from keeper.store.documents import clean
from keeper.store.models import JournalEntryRow, JournalLegRow, OpportunityRow, ReconciliationRow, RunRow, TradeRow
from keeper.store.transactions import Transactions


async def post(connection: AsyncConnection, entries: Sequence[Entry], run_id: UUID | None) -> int:
    """Write ``entries``; the same entry again is passed over. Returns how many were new.

    Raises:
        InputError: what is booked under an entry's key has other lines, or the entry it reverses is reversed already.
    """
    if not entries:
        return 0
    now = datetime.now(UTC)
    new: set[UUID] = set()
    for entry in entries:  # one by one: a reversal may follow the entry that it reverses
        row = {
            "id": entry.id,
            "book": entry.book,
            "chain_id": entry.chain_id,
            "subject": entry.subject,
            "kind": entry.kind.value,
            "attempt": entry.attempt,
            "run_id": run_id,
            "block_number": entry.block_number,
            "booked_at": now,
            "reverses": entry.reverses,
            "details": clean(dict(entry.details)),
        }
        statement = insert(JournalEntryRow).on_conflict_do_nothing().returning(JournalEntryRow.id)
        if (await connection.execute(statement, row)).first() is not None:
            new.add(entry.id)
    lines = [
        {
            "entry_id": entry.id,
            "position": position,
            "account": leg.account.value,
            "token": leg.token,
            "amount": leg.amount,
        }
        for entry in {entry.id: entry for entry in entries}.values()
        if entry.id in new
        for position, leg in enumerate(entry.legs)
    ]
    if lines:
        await connection.execute(insert(JournalLegRow), lines)
    await _require_same(connection, [entry for entry in entries if entry.id not in new])
    return len(new)


async def _require_same(connection: AsyncConnection, entries: Sequence[Entry]) -> None:
    """Raise `InputError` unless each entry is booked with exactly these lines."""
    if not entries:
        return
    booked = await _legs(connection, [entry.id for entry in entries])
    for entry in entries:
        if booked.get(entry.id) != entry.legs:
            remedy = "It is booked with other lines: reverse that entry first."
            raise InputError(f"{entry.kind} of {entry.subject}", entry.attempt, remedy)


async def _legs(connection: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, tuple[Leg, ...]]:
    query = (
        select(JournalLegRow.entry_id, JournalLegRow.account, JournalLegRow.token, JournalLegRow.amount)
        .where(JournalLegRow.entry_id.in_(ids))
        .order_by(JournalLegRow.entry_id, JournalLegRow.position)
    )
    found: defaultdict[UUID, list[Leg]] = defaultdict(list)
    for row in await connection.execute(query):
        found[row.entry_id].append(Leg(Account(row.account), to_address(row.token, "token"), row.amount))
    return {id_: tuple(legs) for id_, legs in found.items()}


async def balances(connection: AsyncConnection, book: str, *, up_to_block: int | None = None) -> list[Balance]:
    """The sum of every account of ``book`` that has lines, by chain, token and account.

    Args:
        up_to_block: leave out what happened on chain in later blocks.
    """
    query = (
        select(
            JournalEntryRow.chain_id,
            JournalLegRow.token,
            JournalLegRow.account,
            func.sum(JournalLegRow.amount, type_=WeiNumeric()).label("amount"),
        )
        .join(JournalEntryRow, JournalEntryRow.id == JournalLegRow.entry_id)
        .where(JournalEntryRow.book == book)
        .group_by(JournalEntryRow.chain_id, JournalLegRow.token, JournalLegRow.account)
        .order_by(JournalEntryRow.chain_id, JournalLegRow.token, JournalLegRow.account)
    )
    if up_to_block is not None:
        query = query.where(JournalEntryRow.block_number <= up_to_block)
    return [
        Balance(row.chain_id, to_address(row.token, "token"), Account(row.account), row.amount)
        for row in await connection.execute(query)
    ]


class Journal:
    """The books for whoever reads them or is not a running keeper.

    Args:
        patience: seconds that a call goes on trying while the database is away; then it raises `ComponentError`.
    """

    def __init__(self, url: str, *, patience: float = 3.0) -> None:
        self._transactions = Transactions(url, patience=patience)

    async def post(self, entries: Sequence[Entry]) -> int:
        """`post` in a transaction of its own."""
        return await self._transactions.run(lambda connection: post(connection, entries, None))

    async def balances(self, book: str, *, up_to_block: int | None = None) -> list[Balance]:
        """`balances` as they are now."""
        return await self._transactions.run(lambda connection: balances(connection, book, up_to_block=up_to_block))

    async def latest_book(self, network: str) -> str | None:
        """The book of ``network`` that was written to last; a network beside replicas has one book only."""
        query = (
            select(JournalEntryRow.book)
            .where((JournalEntryRow.book == network) | JournalEntryRow.book.startswith(f"{network}/", autoescape=True))
            .order_by(JournalEntryRow.booked_at.desc())
            .limit(1)
        )
        found = await self._rows(query)
        return str(found[0]["book"]) if found else None

    async def difference(self, run: UUID) -> int | None:
        """By how much books and chain differed when ``run`` ended, summed over the accounts, raw units.

        None when they were not compared: in paper mode nothing is booked.
        """
        differences = func.abs(ReconciliationRow.booked - ReconciliationRow.on_chain)
        query = select(func.sum(differences).label("total")).where(ReconciliationRow.run_id == run)
        total = (await self._rows(query))[0]["total"]
        return None if total is None else int(total)

    async def entries(self, book: str, kinds: Sequence[EntryKind] = tuple(EntryKind)) -> list[dict[str, Any]]:
        """The entries of ``book``, oldest first, each with its ``legs``."""
        query = (
            select(JournalEntryRow.__table__)
            .where(JournalEntryRow.book == book, JournalEntryRow.kind.in_([kind.value for kind in kinds]))
            .order_by(JournalEntryRow.booked_at, JournalEntryRow.id)
        )
        rows = await self._rows(query)
        legs = await self._transactions.run(lambda connection: _legs(connection, [row["id"] for row in rows]))
        return [row | {"legs": legs[row["id"]]} for row in rows]

    async def unbooked(self, book: str, network: str) -> list[dict[str, Any]]:
        """Trades of ``network`` that the chain included after ``book`` began and that do not stand in it, oldest first.

        Each has ``id, opportunity_id, chain_id, transaction_hash, loan_fee, builder_payment`` and ``attempt``, how
        often it was booked and taken back.
        """
        outcome = aliased(JournalEntryRow)
        back = aliased(JournalEntryRow)
        of_trade = (
            outcome.book == book,
            outcome.subject == cast(TradeRow.id, Text),
            outcome.kind == EntryKind.OUTCOME.value,
        )
        began = select(JournalEntryRow.block_number).where(
            JournalEntryRow.book == book, JournalEntryRow.kind == EntryKind.OPENING.value
        )
        query = (
            select(
                TradeRow.id,
                TradeRow.opportunity_id,
                OpportunityRow.chain_id,
                TradeRow.transaction_hash,
                TradeRow.details["financing"]["fee"].astext.label("loan_fee"),
                TradeRow.details["prediction"]["builder_payment"].astext.label("builder_payment"),
                select(func.count()).where(*of_trade).scalar_subquery().label("attempt"),
            )
            .join(RunRow, RunRow.id == TradeRow.run_id)
            .join(OpportunityRow, OpportunityRow.id == TradeRow.opportunity_id)
            .where(
                RunRow.network == network,
                TradeRow.status != TradeStatus.LOST.value,
                TradeRow.block_number > began.scalar_subquery(),
                ~exists().where(*of_trade, ~exists().where(back.reverses == outcome.id)),
            )
            .order_by(TradeRow.timestamp, TradeRow.id)
        )
        return await self._rows(query)

    async def close(self) -> None:
        await self._transactions.close()

    async def _rows(self, query: Select[*tuple[Any, ...]]) -> list[dict[str, Any]]:
        async def read(connection: AsyncConnection) -> list[dict[str, Any]]:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

        return await self._transactions.run(read)


def book_of(network: str, run_id: UUID) -> str:
    """The book of a run: a replica's chain ends with its run, so each run of one has a book of its own."""
    return f"{network}/{run_id}" if network == "replica" else network
