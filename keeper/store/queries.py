"""Every figure that is shown or reported, each by SQL alone, so that anybody can check it against the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, or_, select, true, tuple_
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from keeper.domain.opportunity import Fate
from keeper.domain.trade import TradeStatus
from keeper.store.columns import WeiNumeric
from keeper.store.database import async_engine, away
from keeper.store.models import BlockRow, FateRow, OpportunityRow, RunRow, TokenRow, TradeRow

CURVE_POINTS = 1_000
MAX_PAGE = 200

Row = dict[str, Any]
AnySelect = Select[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Key:
    """Where a page begins or ends: rows are ordered by time, then id, newest first."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, newest first.

    Attributes:
        older: pass it as ``before`` to get the next older page; None on the last one.
    """

    rows: list[Row]
    older: Key | None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Predicted and realised net profit of landed trades, wei; ``mismatched`` counts those that differ."""

    landed: int
    predicted: int
    realised: int
    mismatched: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Key figures; money in wei. ``net`` counts the gas of reverted transactions against the profit."""

    opportunities: int
    submitted: int
    landed: int
    lost: int
    reverted: int
    net: int
    gas: int

    @property
    def win_rate_bps(self) -> int | None:
        """Landed trades per finished ones, basis points; None before the first has finished."""
        finished = self.landed + self.lost + self.reverted
        return self.landed * 10_000 // finished if finished else None


class LedgerView:
    """The ledger at one moment: all figures read from the same view agree with each other.

    ``run`` limits a figure to one run of the keeper; None takes all of them.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def runs(self, limit: int = 20) -> list[Row]:
        """The latest runs, newest first."""
        return await self._rows(select(RunRow.__table__).order_by(RunRow.started_at.desc(), RunRow.id).limit(limit))

    async def latest_block(self, run: UUID | None) -> Row | None:
        query = select(BlockRow.__table__).where(_in_run(BlockRow.run_id, run)).order_by(BlockRow.seen_at.desc())
        rows = await self._rows(query.limit(1))
        return rows[0] if rows else None

    async def fate_counts(self, run: UUID | None) -> dict[str, int]:
        """How many opportunities have each fate now; fates that no opportunity has count zero."""
        query = (
            select(OpportunityRow.fate, func.count().label("count"))
            .where(_in_run(OpportunityRow.run_id, run))
            .group_by(OpportunityRow.fate)
        )
        counts = {row["fate"]: int(row["count"]) for row in await self._rows(query)}
        return {fate.value: counts.get(fate.value, 0) for fate in Fate}

    async def reason_counts(self, run: UUID | None, limit: int = 8) -> list[Row]:
        """The commonest reasons why opportunities did not become profit."""
        query = (
            select(OpportunityRow.fate, OpportunityRow.reason, func.count().label("count"))
            .where(_in_run(OpportunityRow.run_id, run), OpportunityRow.fate.in_(_UNPROFITABLE))
            .group_by(OpportunityRow.fate, OpportunityRow.reason)
            .order_by(func.count().desc(), OpportunityRow.fate, OpportunityRow.reason)
        )
        return await self._rows(query.limit(limit))

    async def totals(self, run: UUID | None) -> Totals:
        counts = await self.fate_counts(run)
        submitted = await self._scalar(
            select(func.count())
            .select_from(OpportunityRow)
            .where(
                _in_run(OpportunityRow.run_id, run),
                exists().where(FateRow.opportunity_id == OpportunityRow.id, FateRow.fate == Fate.SUBMITTED.value),
            )
        )
        money = (
            await self._rows(
                select(_sum(TradeRow.profit).label("net"), _sum(TradeRow.gas_cost).label("gas")).where(
                    _in_run(TradeRow.run_id, run)
                )
            )
        )[0]
        return Totals(
            opportunities=sum(counts.values()),
            submitted=int(submitted),
            landed=counts[Fate.LANDED.value],
            lost=counts[Fate.LOST.value],
            reverted=counts[Fate.REVERTED.value],
            net=money["net"],
            gas=money["gas"],
        )

    async def accuracy(self, run: UUID | None) -> Accuracy:
        differs = TradeRow.predicted_wei != TradeRow.realised_wei
        query = select(
            func.count().label("landed"),
            _sum(TradeRow.predicted_wei).label("predicted"),
            _sum(TradeRow.realised_wei).label("realised"),
            func.count(case((differs, 1))).label("mismatched"),
        ).where(_in_run(TradeRow.run_id, run), TradeRow.status == TradeStatus.LANDED.value)
        return Accuracy(**(await self._rows(query))[0])

    async def profit_curve(self, run: UUID | None, points: int = CURVE_POINTS) -> list[tuple[datetime, int]]:
        """Cumulative net profit after each trade, wei, oldest first.

        Thinned evenly to at most ``points``; what is left out moves no other point, and the last trade is always in.
        """
        order = (TradeRow.timestamp, TradeRow.id)
        running = (
            select(
                TradeRow.timestamp,
                TradeRow.id,
                func.sum(TradeRow.profit, type_=WeiNumeric()).over(order_by=order).label("cumulative"),
                func.row_number().over(order_by=order).label("position"),
                func.count().over().label("total"),
            )
            .where(_in_run(TradeRow.run_id, run))
            .subquery()
        )
        step = (running.c.total - 1) // literal(max(points - 1, 1)) + 1
        query = (
            select(running.c.timestamp, running.c.cumulative)
            .where(or_((running.c.position - 1) % step == 0, running.c.position == running.c.total))
            .order_by(running.c.position)
        )
        return [(row["timestamp"], row["cumulative"]) for row in await self._rows(query)]

    async def landed_outcomes(self, run: UUID | None, limit: int = 60) -> list[Row]:
        """Predicted and realised net profit of the latest landed trades, oldest first."""
        latest = (
            select(
                TradeRow.timestamp,
                TradeRow.id,
                TradeRow.block_number,
                TradeRow.strategy,
                TradeRow.predicted_wei,
                TradeRow.realised_wei,
            )
            .where(_in_run(TradeRow.run_id, run), TradeRow.status == TradeStatus.LANDED.value)
            .order_by(TradeRow.timestamp.desc(), TradeRow.id.desc())
        )
        return list(reversed(await self._rows(latest.limit(limit))))

    async def trades(
        self,
        run: UUID | None,
        *,
        before: Key | None = None,
        limit: int = 50,
        chain: str | None = None,
        strategy: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        newest: Key | None = None,
        skip: int = 0,
    ) -> Page:
        """A page of the history, newest first.

        Args:
            since, until: times of the first and of the last trade that counts.
            newest: leaves out what was written after this trade, so that pages by number do not move.
            skip: rows to leave out at the start; costs as much as reading them.
        """
        query = _filtered_trades(select(TradeRow.__table__), run, chain, strategy, status, since, until)
        if newest is not None:
            query = query.where(tuple_(TradeRow.timestamp, TradeRow.id) <= tuple_(*_literals(newest)))
        return await self._page(query.offset(skip), (TradeRow.timestamp, TradeRow.id), before, limit)

    async def trade_count(
        self,
        run: UUID | None,
        *,
        chain: str | None = None,
        strategy: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        newest: Key | None = None,
        most: int = 10_000,
    ) -> int:
        """How many trades fit, counted no further than ``most`` + 1: a long history does not make it slow."""
        query = _filtered_trades(select(TradeRow.id), run, chain, strategy, status, since, until)
        if newest is not None:
            query = query.where(tuple_(TradeRow.timestamp, TradeRow.id) <= tuple_(*_literals(newest)))
        return int(await self._scalar(select(func.count()).select_from(query.limit(most + 1).subquery())))

    async def contributions(self, run: UUID | None, by: Literal["strategy", "lender", "chain"]) -> list[Row]:
        """Outcomes and net profit of the trades of each strategy, lender or chain, the most profitable first.

        Rows have ``name``, ``trades``, ``landed``, ``lost``, ``reverted``, ``net`` and ``gas`` (wei).
        """
        name = {"strategy": TradeRow.strategy, "lender": TradeRow.lender, "chain": TradeRow.chain}[by]
        outcomes = [
            func.count(case((TradeRow.status == status.value, 1))).label(status.value) for status in TradeStatus
        ]
        query = (
            select(
                name.label("name"),
                func.count().label("trades"),
                *outcomes,
                _sum(TradeRow.profit).label("net"),
                _sum(TradeRow.gas_cost).label("gas"),
            )
            .where(_in_run(TradeRow.run_id, run))
            .group_by(name)
            .order_by(_sum(TradeRow.profit).desc(), name)
        )
        return await self._rows(query)

    async def opportunities(
        self,
        run: UUID | None,
        *,
        before: Key | None = None,
        limit: int = 50,
        fate: str | None = None,
        strategy: str | None = None,
    ) -> Page:
        """A page of opportunities, newest first."""
        query = select(OpportunityRow.__table__).where(_in_run(OpportunityRow.run_id, run))
        for column, wanted in ((OpportunityRow.fate, fate), (OpportunityRow.strategy, strategy)):
            if wanted is not None:
                query = query.where(column == wanted)
        return await self._page(query, (OpportunityRow.detected_at, OpportunityRow.id), before, limit)

    async def life(self, opportunity: UUID) -> Row | None:
        """One opportunity with its ``fates``, oldest first, and its ``trades``; None when there is none of this id."""
        found = await self._rows(select(OpportunityRow.__table__).where(OpportunityRow.id == opportunity))
        if not found:
            return None
        fates = select(FateRow.__table__).where(FateRow.opportunity_id == opportunity).order_by(FateRow.seq)
        trades = select(TradeRow.__table__).where(TradeRow.opportunity_id == opportunity).order_by(TradeRow.timestamp)
        return found[0] | {"fates": await self._rows(fates), "trades": await self._rows(trades)}

    async def tokens(self) -> dict[tuple[int, str], tuple[str, int]]:
        """Symbol and decimals by chain id and address."""
        rows = await self._rows(select(TokenRow.__table__))
        return {(row["chain_id"], row["address"]): (row["symbol"], row["decimals"]) for row in rows}

    async def run_summary(self, run: UUID) -> dict[str, int]:
        """The figures of one run: counts, and sums in wei over its landed trades."""
        blocks = await self._scalar(select(func.count()).select_from(BlockRow).where(BlockRow.run_id == run))
        totals = await self.totals(run)
        accuracy = await self.accuracy(run)
        return {
            "blocks": int(blocks),
            "opportunities": totals.opportunities,
            "submitted": totals.submitted,
            "landed": totals.landed,
            "lost": totals.lost,
            "reverted": totals.reverted,
            "predicted_wei": accuracy.predicted,
            "realised_wei": accuracy.realised,
            "mismatched": accuracy.mismatched,
        }

    async def _page(self, query: AnySelect, key: tuple[Any, Any], before: Key | None, limit: int) -> Page:
        limit = max(1, min(limit, MAX_PAGE))
        if before is not None:
            query = query.where(tuple_(*key) < tuple_(*_literals(before)))
        rows = await self._rows(query.order_by(key[0].desc(), key[1].desc()).limit(limit + 1))
        shown = rows[:limit]
        older = Key(shown[-1][key[0].key], shown[-1]["id"]) if len(rows) > limit else None
        return Page(rows=shown, older=older)

    async def _rows(self, query: AnySelect) -> list[Row]:
        return [dict(row) for row in (await self._connection.execute(query)).mappings()]

    async def _scalar(self, query: AnySelect) -> Any:
        return (await self._connection.execute(query)).scalar_one()


class Ledger:
    """Read access to the ledger; every call raises `ComponentError` when the database is away."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = async_engine(url).execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @asynccontextmanager
    async def view(self) -> AsyncIterator[LedgerView]:
        """A consistent view; keep it short."""
        try:
            async with self._engine.connect() as connection:
                yield LedgerView(connection)
        except OperationalError as error:
            raise away(self._url, error) from error

    async def run_summary(self, run: UUID) -> dict[str, int]:
        """`LedgerView.run_summary`: blocks, opportunities, submitted, landed, lost, reverted, predicted_wei,
        realised_wei, mismatched."""
        async with self.view() as view:
            return await view.run_summary(run)

    async def close(self) -> None:
        await self._engine.dispose()


_UNPROFITABLE = (Fate.FILTERED.value, Fate.REJECTED.value, Fate.LOST.value, Fate.REVERTED.value)


def _in_run(column: Any, run: UUID | None) -> ColumnElement[bool]:
    return true() if run is None else and_(column == run)


def _literals(key: Key) -> tuple[Any, Any]:
    return literal(key.at), literal(key.id)


def _filtered_trades(
    query: AnySelect,
    run: UUID | None,
    chain: str | None,
    strategy: str | None,
    status: str | None,
    since: datetime | None,
    until: datetime | None,
) -> AnySelect:
    query = query.where(_in_run(TradeRow.run_id, run))
    for column, wanted in ((TradeRow.chain, chain), (TradeRow.strategy, strategy), (TradeRow.status, status)):
        if wanted is not None:
            query = query.where(column == wanted)
    if since is not None:
        query = query.where(TradeRow.timestamp >= since)
    if until is not None:
        query = query.where(TradeRow.timestamp <= until)
    return query


def _sum(column: Any) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0, type_=WeiNumeric())
