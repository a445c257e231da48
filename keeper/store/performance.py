"""The key figures by SQL alone, so that anybody can check them; `keeper.treasury.kpis` says what each one means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from keeper.domain.performance import (
    EVERYTHING,
    UNKNOWN,
    Grouping,
    OpportunityRecord,
    Performance,
    TradeRecord,
    Window,
)
from keeper.domain.trade import TradeStatus
from keeper.store.database import async_engine, away
from keeper.store.documents import CHAINS

_DEXES = """(
    SELECT string_agg(DISTINCT (hop ->> 'dex') COLLATE "C", '+' ORDER BY (hop ->> 'dex') COLLATE "C")
    FROM jsonb_array_elements({hops}) AS hop
  )"""
_TRADE_DEXES = _DEXES.format(hops="t.details -> 'route' -> 'hops'")
_ROUTE_DEXES = _DEXES.format(hops="o.route -> 'hops'")
_CHAIN = "CASE o.chain_id {} ELSE 'chain-' || o.chain_id END".format(
    " ".join(f"WHEN {chain_id} THEN '{name}'" for chain_id, name in CHAINS.items())
)
# the booking that stands: the last attempt, unless a reorg has taken it back
_BUILDER = f"""COALESCE((
    SELECT e.details ->> 'builder' FROM journal_entries e
    WHERE e.subject = t.id::text AND e.kind = 'outcome'
      AND NOT EXISTS (SELECT 1 FROM journal_entries r WHERE r.reverses = e.id)
    ORDER BY e.attempt DESC LIMIT 1
  ), '{UNKNOWN}')"""

_TRADE_GROUPS: dict[Grouping | None, str] = {
    None: f"'{EVERYTHING}'",
    Grouping.STRATEGY: "t.strategy",
    Grouping.CHAIN: "t.chain",
    Grouping.LENDER: "t.lender",
    Grouping.DEX: _TRADE_DEXES,
    Grouping.BUILDER: _BUILDER,
}
_OPPORTUNITY_GROUPS: dict[Grouping | None, str] = {
    None: f"'{EVERYTHING}'",
    Grouping.STRATEGY: "o.strategy",
    Grouping.CHAIN: _CHAIN,
    Grouping.DEX: _ROUTE_DEXES,
}

_IN_WINDOW = """
      (CAST(:since AS timestamptz) IS NULL OR {at} >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR {at} < :until)
      AND (CAST(:run AS uuid) IS NULL OR {table}.run_id = :run)"""
_TRADES_IN = _IN_WINDOW.format(at="t.timestamp", table="t")
_OPPORTUNITIES_IN = _IN_WINDOW.format(at="o.detected_at", table="o")

_FIGURES = """
WITH outcome AS (
  SELECT t.id, t.opportunity_id, t.timestamp AS at, t.status, t.details ->> 'reason' AS reason, t.profit, t.gas_cost,
    {trade_group} AS name
  FROM trades t WHERE {trades_in}
),
found AS ({found}),
settled AS (SELECT * FROM outcome WHERE status <> 'lost'),
counted AS (
  SELECT name, count(*) AS executed,
    count(*) FILTER (WHERE status = 'landed') AS successful,
    count(*) FILTER (WHERE status = 'lost') AS lost,
    count(*) FILTER (WHERE status = 'lost' AND reason = 'lost_race') AS lost_races,
    count(*) FILTER (WHERE status = 'reverted') AS reverted,
    sum(gas_cost) AS gas,
    COALESCE(sum(gas_cost) FILTER (WHERE status = 'reverted'), 0) AS gas_reverted
  FROM outcome GROUP BY name
),
returns AS (
  SELECT name, count(*) AS n, sum(profit) AS s1, sum(profit * profit) AS s2,
    sum(least(profit, 0) * least(profit, 0)) AS d2,
    sum(greatest(profit, 0)) AS win, count(*) FILTER (WHERE profit > 0) AS wins,
    -sum(least(profit, 0)) AS loss, count(*) FILTER (WHERE profit < 0) AS losses
  FROM settled GROUP BY name
),
curve AS (
  SELECT name, at, id, sum(profit) OVER (PARTITION BY name ORDER BY at, id) AS total FROM settled
),
falls AS (
  SELECT name, greatest(max(total) OVER (PARTITION BY name ORDER BY at, id), 0) - total AS fall FROM curve
),
drawdown AS (SELECT name, max(fall) AS deepest FROM falls GROUP BY name),
days AS (
  SELECT name, (at AT TIME ZONE 'UTC')::date AS day, sum(profit) AS profit FROM settled GROUP BY 1, 2
),
daily AS (
  SELECT name, max(day) - min(day) + 1 AS n, sum(profit) AS s1, sum(profit * profit) AS s2,
    sum(least(profit, 0) * least(profit, 0)) AS d2
  FROM days GROUP BY name
)
SELECT name,
  COALESCE(f.opportunities, 0) AS opportunities,
  COALESCE(c.executed, 0) AS executed, COALESCE(c.successful, 0) AS successful, COALESCE(c.lost, 0) AS lost,
  COALESCE(c.lost_races, 0) AS lost_races, COALESCE(c.reverted, 0) AS reverted,
  COALESCE(r.s1, 0) AS total_profit,
  div(r.s1 - ((r.s1 % r.n) + r.n) % r.n, r.n) AS average_profit,
  COALESCE(r.win, 0) AS gross_win, COALESCE(r.loss, 0) AS gross_loss,
  COALESCE(c.gas, 0) AS gas_burned, COALESCE(c.gas_reverted, 0) AS gas_reverted,
  COALESCE(w.deepest, 0) AS max_drawdown,
  c.successful::float8 / c.executed AS win_rate,
  r.win::float8 / NULLIF(r.loss, 0)::float8 AS profit_factor,
  CASE WHEN r.wins > 0 AND r.losses > 0
    THEN (r.loss * r.wins)::float8 / (r.win * r.losses + r.loss * r.wins)::float8
    WHEN r.wins > 0 THEN 0 WHEN r.losses > 0 THEN 1 END AS break_even_win_rate,
  div(c.gas + c.successful - 1, NULLIF(c.successful, 0)) AS break_even_gross,
  CASE WHEN r.n >= 2 AND r.n * r.s2 > r.s1 * r.s1
    THEN sign(r.s1)::float8 * sqrt((r.s1 * r.s1 * (r.n - 1))::float8 / (r.n * (r.n * r.s2 - r.s1 * r.s1))::float8)
    END AS sharpe,
  CASE WHEN r.n >= 2 AND r.d2 > 0
    THEN sign(r.s1)::float8 * sqrt((r.s1 * r.s1)::float8 / (r.n * r.d2)::float8) END AS sortino,
  CASE WHEN d.n >= 2 AND d.n * d.s2 > d.s1 * d.s1
    THEN sign(d.s1)::float8 * sqrt((d.s1 * d.s1 * (d.n - 1))::float8 / (d.n * (d.n * d.s2 - d.s1 * d.s1))::float8)
      * sqrt(365) END AS sharpe_annual,
  CASE WHEN d.n >= 2 AND d.d2 > 0
    THEN sign(d.s1)::float8 * sqrt((d.s1 * d.s1)::float8 / (d.n * d.d2)::float8) * sqrt(365) END AS sortino_annual
FROM found f
  FULL JOIN counted c USING (name)
  LEFT JOIN returns r USING (name)
  LEFT JOIN drawdown w USING (name)
  LEFT JOIN daily d USING (name)
ORDER BY name COLLATE "C"
"""

_RATIOS = frozenset(
    {
        *("win_rate", "profit_factor", "break_even_win_rate"),
        *("sharpe", "sortino", "sharpe_annual", "sortino_annual"),
    }
)
_NOTHING = Performance(
    **dict.fromkeys(("opportunities", "executed", "successful", "lost", "lost_races", "reverted"), 0),
    **dict.fromkeys(("total_profit", "gross_win", "gross_loss", "gas_burned", "gas_reverted", "max_drawdown"), 0),
    **dict.fromkeys(("average_profit", "break_even_gross", *_RATIOS)),  # type: ignore[arg-type]
)


def figures_query(grouping: Grouping | None) -> str:
    """The statement behind `performance`; its parameters are ``since``, ``until`` and ``run``."""
    if grouping in _OPPORTUNITY_GROUPS:
        found = (
            f"SELECT {_OPPORTUNITY_GROUPS[grouping]} AS name, count(*) AS opportunities"
            f" FROM opportunities o WHERE {_OPPORTUNITIES_IN} GROUP BY 1"
        )
    else:
        found = "SELECT name, count(DISTINCT opportunity_id) AS opportunities FROM outcome GROUP BY name"
    return _FIGURES.format(trade_group=_TRADE_GROUPS[grouping], trades_in=_TRADES_IN, found=found)


async def performance(
    connection: AsyncConnection, window: Window, grouping: Grouping | None = None
) -> dict[str, Performance]:
    """The figures of each group by its name; one group `EVERYTHING` without a grouping."""
    rows = await connection.execute(text(figures_query(grouping)), _parameters(window))
    found = {row["name"]: Performance(**_exact(row)) for row in rows.mappings()}
    return found or ({EVERYTHING: _NOTHING} if grouping is None else {})


async def trade_records(connection: AsyncConnection, window: Window) -> list[TradeRecord]:
    """The trades of ``window`` as `keeper.treasury.kpis` takes them, oldest first."""
    query = f"""
      SELECT t.id, t.opportunity_id, t.timestamp AS at, t.status, t.details ->> 'reason' AS reason, t.profit,
        t.gas_cost, t.strategy, t.chain, t.lender, {_TRADE_DEXES} AS dex, {_BUILDER} AS builder
      FROM trades t WHERE {_TRADES_IN} ORDER BY t.timestamp, t.id"""
    rows = await connection.execute(text(query), _parameters(window))
    return [TradeRecord(**_exact(row) | {"status": TradeStatus(row["status"])}) for row in rows.mappings()]


async def opportunity_records(connection: AsyncConnection, window: Window) -> list[OpportunityRecord]:
    """The opportunities of ``window`` as `keeper.treasury.kpis` takes them, oldest first."""
    query = f"""
      SELECT o.id, o.strategy, {_CHAIN} AS chain, {_ROUTE_DEXES} AS dex
      FROM opportunities o WHERE {_OPPORTUNITIES_IN} ORDER BY o.detected_at, o.id"""
    rows = await connection.execute(text(query), _parameters(window))
    return [OpportunityRecord(**row) for row in rows.mappings()]


class PerformanceView:
    """Read access to the figures; every call raises `ComponentError` when the database is away."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = async_engine(url).execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which all figures agree with each other; keep it short."""
        try:
            async with self._engine.connect() as connection:
                yield connection
        except OperationalError as error:
            raise away(self._url, error) from error

    async def performance(self, window: Window, grouping: Grouping | None = None) -> dict[str, Performance]:
        """`performance` as it is now."""
        async with self.reading() as connection:
            return await performance(connection, window, grouping)

    async def close(self) -> None:
        await self._engine.dispose()


def _parameters(window: Window) -> dict[str, Any]:
    return {"since": window.since, "until": window.until, "run": window.run}


def _exact(row: Any) -> dict[str, Any]:
    """A row with amounts as ints and ratios as floats."""
    return {
        name: value
        if value is None
        else float(value)
        if name in _RATIOS
        else int(value)
        if isinstance(value, Decimal)
        else value
        for name, value in row.items()
        if name != "name"
    }
