"""Writes the ledger: every opportunity, every step of its life and every outcome, once each, whatever fails between."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4, uuid5

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from keeper.domain.booking import Entry, Reconciliation
from keeper.domain.errors import InputError
from keeper.domain.opportunity import Fate, FateChange, Opportunity
from keeper.domain.protocols import BlockReport
from keeper.domain.token import Token
from keeper.domain.trade import Trade
from keeper.store import journal
from keeper.store.documents import chain_name, clean, clean_text, route_document, trade_document
from keeper.store.fates import require_transition
from keeper.store.models import BlockRow, FateRow, OpportunityRow, ReconciliationRow, RunRow, TokenRow, TradeRow
from keeper.store.transactions import Transactions

_TRADE_NAMES = UUID("6a3b4b0e-5f7e-4c55-9d0a-0b7a3c0f1d52")

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Run:
    """One start of the keeper; everything written during it carries its id.

    Attributes:
        mode: ``paper``, ``replica`` or ``live``.
        seed: seed of the replica's traffic, if there is one.
    """

    mode: str
    network: str
    chain_id: int
    seed: int | None
    version: str
    id: UUID


def new_run(*, mode: str, network: str, chain_id: int, version: str, seed: int | None = None) -> Run:
    return Run(mode=mode, network=network, chain_id=chain_id, seed=seed, version=version, id=uuid4())


def trade_id(trade: Trade) -> UUID:
    """The same for the same transaction of the same opportunity, so that a repeated report updates its row."""
    return uuid5(_TRADE_NAMES, f"{trade.plan.opportunity.id}:{trade.transaction_hash}")


class PostgresRecorder:
    """`keeper.domain.protocols.Recorder` on PostgreSQL.

    Each call is one transaction: it is written as a whole or not at all. A call whose connection breaks is repeated,
    which is safe even when the server had already committed it.

    Args:
        url: ``postgresql://user:password@host:port/name``, migrated to the present tables.
        patience: seconds that a call goes on trying while the database is away; then it raises `ComponentError`.
    """

    def __init__(self, url: str, run: Run, *, patience: float = 3.0) -> None:
        self.run = run
        self._transactions = Transactions(url, patience=patience)

    async def start(self) -> None:
        """Write down that the run began; after an error there is nothing to close."""
        row = {
            "id": self.run.id,
            "started_at": datetime.now(UTC),
            "mode": self.run.mode,
            "network": self.run.network,
            "chain_id": self.run.chain_id,
            "seed": self.run.seed,
            "version": self.run.version,
        }

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(insert(RunRow).on_conflict_do_nothing(), row)

        try:
            await self._transactions.run(write)
        except BaseException:
            await self._transactions.close()
            raise

    async def close(self) -> None:
        """Write down that the run ended and close the connections."""
        ended = update(RunRow).where(RunRow.id == self.run.id).values(ended_at=datetime.now(UTC))

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(ended)

        try:
            await self._transactions.run(write)
        finally:
            await self._transactions.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def tokens(self, chain_id: int, tokens: Sequence[Token]) -> None:
        """Symbols and decimals, so that routes can be shown by name."""
        rows = [
            {
                "chain_id": chain_id,
                "address": token.address,
                "symbol": clean_text(token.symbol),
                "decimals": token.decimals,
            }
            for token in tokens
        ]
        await self._write(lambda connection: _upsert(connection, TokenRow, rows, ("chain_id", "address")), rows)

    async def opportunities(self, found: Sequence[Opportunity]) -> None:
        """Write down what was found, each with its first fate ``detected``."""
        rows, first = self._opportunity_rows(found)

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(insert(OpportunityRow).on_conflict_do_nothing(), rows)
            await connection.execute(insert(FateRow).on_conflict_do_nothing(), first)

        await self._write(write, rows)

    async def fates(self, changes: Sequence[FateChange]) -> None:
        """Append steps to the lives of recorded opportunities, in the order given.

        ``detected`` is already written by `opportunities` and is passed over; so is a step that was written before.

        Raises:
            InputError: an opportunity is unknown, or a step cannot follow the one before; nothing is written.
        """
        await self._write(lambda connection: _append_fates(connection, changes), changes)

    async def trades(self, trades: Sequence[Trade]) -> None:
        """Write down outcomes; a later report of the same transaction (a reorg) replaces the earlier one."""
        rows = [self._trade_row(trade) for trade in trades]
        await self._write(lambda connection: _upsert(connection, TradeRow, rows, ("id",), keep=("timestamp",)), rows)

    async def entries(self, entries: Sequence[Entry]) -> None:
        """Book entries of the journal, in the order given; one that is booked already is passed over.

        Raises:
            InputError: an entry of the same key with other lines is booked; nothing of this call is written.
        """
        await self._write(lambda connection: journal.post(connection, entries, self.run.id), entries)

    async def reconciliations(self, found: Sequence[Reconciliation]) -> None:
        """Write down how books and chain compare."""
        now = datetime.now(UTC)
        rows = [{"id": uuid4(), "run_id": self.run.id, "at": now, **asdict(one)} for one in found]

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(insert(ReconciliationRow).on_conflict_do_nothing(), rows)

        await self._write(write, rows)

    async def block(self, report: BlockReport) -> None:
        """Write down a block; one of the same number in the same run is replaced."""
        header = report.header
        row = {
            "run_id": self.run.id,
            "chain_id": report.chain_id,
            "number": header.number,
            "hash": header.hash,
            "timestamp": datetime.fromtimestamp(header.timestamp, UTC),
            "base_fee": header.base_fee,
            "seen_at": _moment(report.seen_at),
            "changed_pools": report.changed_pools,
            "opportunities": report.opportunities,
            "stage_ns": report.stage_ns,
        }
        await self._write(
            lambda connection: _upsert(connection, BlockRow, [row], ("run_id", "chain_id", "number")), (row,)
        )

    def _opportunity_rows(self, found: Sequence[Opportunity]) -> tuple[Rows, Rows]:
        at_ns = time.time_ns()
        at = _moment(at_ns)
        rows: Rows = [
            {
                "id": one.id,
                "run_id": self.run.id,
                "chain_id": one.chain_id,
                "block_number": one.block_number,
                "strategy": one.strategy,
                "risk": one.risk.value,
                "detected_at": at,
                "found_after_ns": one.found_after_ns,
                "fate": Fate.DETECTED.value,
                "fate_seq": 0,
                "reason": "",
                "predicted_gross": one.route.gross_profit,
                "route": clean(route_document(one.route)),
                "updated_at": at,
            }
            for one in found
        ]
        first: Rows = [
            {
                "opportunity_id": one.id,
                "seq": 0,
                "fate": Fate.DETECTED.value,
                "reason": "",
                "at_ns": at_ns,
                "details": {},
            }
            for one in found
        ]
        return rows, first

    def _trade_row(self, trade: Trade) -> dict[str, Any]:
        opportunity = trade.plan.opportunity
        return {
            "id": trade_id(trade),
            "run_id": self.run.id,
            "opportunity_id": opportunity.id,
            "timestamp": datetime.now(UTC),
            "chain": chain_name(opportunity.chain_id),
            "strategy": opportunity.strategy,
            "status": trade.status.value,
            "profit": trade.net,
            "transaction_hash": trade.transaction_hash,
            "block_number": trade.block_number,
            "gas_cost": trade.gas_cost,
            "loan_amount": trade.plan.financing.amount,
            "predicted_wei": trade.plan.prediction.net,
            "realised_wei": trade.net,
            "lender": trade.plan.financing.kind.value,
            "details": clean(trade_document(trade)),
        }

    async def _write(self, work: Callable[[AsyncConnection], Awaitable[object]], records: Sequence[object]) -> None:
        if records:
            await self._transactions.run(work)


async def _upsert(
    connection: AsyncConnection,
    table: type[TokenRow] | type[BlockRow] | type[TradeRow],
    rows: Rows,
    key: tuple[str, ...],
    keep: tuple[str, ...] = (),
) -> None:
    statement = insert(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in key and name not in keep}
    await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), rows)


async def _append_fates(connection: AsyncConnection, changes: Sequence[FateChange]) -> None:
    ids = {change.opportunity_id for change in changes}
    # Locked in one order, so that two writers can wait for each other but never for ever.
    present = await connection.execute(
        select(OpportunityRow.id, OpportunityRow.fate, OpportunityRow.fate_seq)
        .where(OpportunityRow.id.in_(ids))
        .order_by(OpportunityRow.id)
        .with_for_update()
    )
    last = {row.id: (Fate(row.fate), row.fate_seq) for row in present}
    written = await connection.execute(
        select(FateRow.opportunity_id, FateRow.fate, FateRow.at_ns).where(FateRow.opportunity_id.in_(ids))
    )
    known = {(row.opportunity_id, row.fate, row.at_ns) for row in written}

    steps: Rows = []
    heads: dict[UUID, dict[str, Any]] = {}
    for change in changes:
        opportunity = change.opportunity_id
        if opportunity not in last:
            raise InputError("opportunity_id", str(opportunity), "Record the opportunity before its fates.")
        step = (opportunity, change.fate.value, change.at)
        if change.fate is Fate.DETECTED or step in known:
            continue
        before, seq = last[opportunity]
        require_transition(opportunity, before, change.fate)
        known.add(step)
        last[opportunity] = (change.fate, seq + 1)
        reason = clean_text(change.reason)
        steps.append(
            {
                "opportunity_id": opportunity,
                "seq": seq + 1,
                "fate": change.fate.value,
                "reason": reason,
                "at_ns": change.at,
                "details": clean(change.details),
            }
        )
        heads[opportunity] = {
            "key": opportunity,
            "fate": change.fate.value,
            "fate_seq": seq + 1,
            "reason": reason,
            "updated_at": _moment(change.at),
        }
    if not steps:
        return
    await connection.execute(insert(FateRow), steps)
    await connection.execute(
        update(OpportunityRow.__table__).where(OpportunityRow.id == bindparam("key")),  # type: ignore[arg-type]
        list(heads.values()),
    )


def _moment(nanoseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
