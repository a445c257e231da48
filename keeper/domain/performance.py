"""The key figures of trading, and the records that they are figures of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from keeper.domain.trade import TradeStatus

EVERYTHING = "all"
"""The name of the one group when figures are not grouped."""

UNKNOWN = "unknown"
"""The builder of a trade that is in no block, or in one that the books do not name a builder for."""


class Grouping(StrEnum):
    """What figures can be grouped by."""

    STRATEGY = "strategy"
    CHAIN = "chain"
    LENDER = "lender"
    """Kind of financing. Opportunities count where they were sent, because only a plan has a lender."""
    DEX = "dex"
    """The exchanges of the route, each once, in alphabetical order and joined by ``+``: no profit counts twice."""
    BUILDER = "builder"
    """Fee recipient of the block, from the books. Opportunities count where they were sent."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which records count: from ``since``, included, to ``until``, not included; None is unbounded.

    Attributes:
        run: one run of the keeper; None takes all.
    """

    since: datetime | None = None
    until: datetime | None = None
    run: UUID | None = None


@dataclass(frozen=True, slots=True)
class OpportunityRecord:
    """An opportunity as the figures see it."""

    id: UUID
    strategy: str
    chain: str
    dex: str


@dataclass(frozen=True, slots=True)
class TradeRecord:
    """The outcome of a sent transaction as the figures see it; amounts in wei."""

    id: UUID
    opportunity_id: UUID
    at: datetime
    status: TradeStatus
    reason: str
    profit: int
    gas_cost: int
    strategy: str
    chain: str
    lender: str
    dex: str
    builder: str


@dataclass(frozen=True, slots=True)
class Performance:
    """Key figures; `keeper.treasury.kpis` defines each. Amounts in wei, ratios as floats, None where not defined."""

    opportunities: int
    executed: int
    successful: int
    lost: int
    lost_races: int
    reverted: int
    total_profit: int
    average_profit: int | None
    gross_win: int
    gross_loss: int
    gas_burned: int
    gas_reverted: int
    max_drawdown: int
    win_rate: float | None
    profit_factor: float | None
    break_even_win_rate: float | None
    break_even_gross: int | None
    sharpe: float | None
    sortino: float | None
    sharpe_annual: float | None
    sortino_annual: float | None
