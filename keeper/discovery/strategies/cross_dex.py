"""One pair across DEXes: buy where the token is cheap, sell where it is dear. See docs/strategies/cross_dex.md."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from keeper.discovery.strategies.loops import check_bounds, find_loops
from keeper.discovery.view import MarketView
from keeper.domain.opportunity import Opportunity, RiskClass
from keeper.domain.units import Address


@dataclass(frozen=True, slots=True)
class CrossDexConfig:
    """Bounds of `CrossDex`.

    Attributes:
        limit: most opportunities a block.
        min_gross: least gross profit, raw units of the profit token.
        fee_tiers: pools of one DEX with different fees count as different venues, so that a loop between them is
            admitted. They have separate liquidity and prices, and nobody else's pools are needed.
        pairs: only these token pairs; all pairs when None.
    """

    limit: int = 64
    min_gross: int = 1
    fee_tiers: bool = True
    pairs: frozenset[frozenset[Address]] | None = None

    def __post_init__(self) -> None:
        check_bounds("cross_dex", self.limit, self.min_gross)


class CrossDex:
    """Two hops over one pair between two venues."""

    name = "cross_dex"
    risk = RiskClass.LOW

    def __init__(self, config: CrossDexConfig | None = None) -> None:
        self.config = config or CrossDexConfig()
        self._allow = LoopFilter(
            hops=frozenset({2}),
            dexes=DexRule.DISTINCT,
            fee_tiers_are_venues=self.config.fee_tiers,
            pairs=self.config.pairs,
        )

    def find(self, view: MarketView) -> list[Opportunity]:
        """Profitable two-hop loops through the pairs that changed, the largest profit first."""
        return find_loops(
            view,
            name=self.name,
            allow=self._allow,
            limit=self.config.limit,
            min_gross=self.config.min_gross,
            risk=self.risk,
        )
