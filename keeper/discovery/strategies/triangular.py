"""Three assets within one DEX, round the triangle. See docs/strategies/triangular.md."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from keeper.discovery.strategies.loops import check_bounds, find_loops
from keeper.discovery.view import MarketView
from keeper.domain.opportunity import Opportunity, RiskClass


@dataclass(frozen=True, slots=True)
class TriangularConfig:
    """Bounds of `Triangular`.

    Attributes:
        limit: most opportunities a block.
        min_gross: least gross profit, raw units of the profit token.
    """

    limit: int = 64
    min_gross: int = 1

    def __post_init__(self) -> None:
        check_bounds("triangular", self.limit, self.min_gross)


class Triangular:
    """Three hops over three assets whose pools all belong to one DEX."""

    name = "triangular"
    risk = RiskClass.LOW
    _allow = LoopFilter(hops=frozenset({3}), dexes=DexRule.SAME)

    def __init__(self, config: TriangularConfig | None = None) -> None:
        self.config = config or TriangularConfig()

    def find(self, view: MarketView) -> list[Opportunity]:
        """Profitable triangles through the pairs that changed, the largest profit first."""
        return find_loops(
            view,
            name=self.name,
            allow=self._allow,
            limit=self.config.limit,
            min_gross=self.config.min_gross,
            risk=self.risk,
        )
