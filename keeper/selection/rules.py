"""The rules that decide which opportunities are worth a plan when no model does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from keeper.domain.opportunity import Fate, FateChange, Opportunity, RiskClass
from keeper.domain.route import Route
from keeper.domain.token import VenueKind
from keeper.domain.units import Address, Wei

BASE_GAS = 60_000
"""Transaction, calldata, executor and profit check; measured on two-hop routes, rounded up."""

HOP_GAS = {
    VenueKind.UNISWAP_V2: 45_000,
    VenueKind.UNISWAP_V3: 60_000,
    VenueKind.PANCAKESWAP_V3: 65_000,
    VenueKind.SOLIDLY_VOLATILE: 65_000,
    VenueKind.SOLIDLY_STABLE: 85_000,
    VenueKind.UNISWAP_V4: 35_000,
    VenueKind.BALANCER_V2_WEIGHTED: 110_000,
    VenueKind.BALANCER_V2_STABLE: 130_000,
    VenueKind.BALANCER_V3_WEIGHTED: 95_000,
    VenueKind.BALANCER_V3_STABLE: 105_000,
    VenueKind.CURVE_STABLESWAP: 130_000,
    VenueKind.CURVE_TRICRYPTO: 260_000,
}
"""A swap through a warm-storage pool of the venue, tokens and approvals included; an estimate for filtering only: the
simulation gives the exact figure before anything is sent."""


def estimate_gas(route: Route) -> int:
    """Gas that the route is likely to use, for filtering; the plan itself is priced by simulation."""
    return BASE_GAS + sum(HOP_GAS[hop.venue] for hop in route.hops)


@dataclass(frozen=True, slots=True)
class Rules:
    """Thresholds of the rule-based filter.

    Attributes:
        profit_token: the wrapped native coin; profit in another token has no exact value in wei.
        min_profit: smallest estimated profit after gas, wei.
        max_gas_share_bps: largest share of the gross profit that gas may take.
    """

    profit_token: Address
    min_profit: Wei
    max_gas_share_bps: int

    def apply(self, opportunities: Sequence[Opportunity], base_fee: Wei) -> tuple[list[Opportunity], list[FateChange]]:
        """Keep what passes every rule; each of the others gets the fate `FILTERED` with the rule it broke."""
        kept: list[Opportunity] = []
        dropped: list[FateChange] = []
        for opportunity in opportunities:
            gas_cost = estimate_gas(opportunity.route) * base_fee
            reason = self._broken_rule(opportunity, gas_cost)
            if reason is None:
                kept.append(opportunity)
                continue
            dropped.append(
                FateChange(
                    opportunity_id=opportunity.id,
                    fate=Fate.FILTERED,
                    reason=reason,
                    at=time.time_ns(),
                    details={
                        "gross_profit": str(opportunity.route.gross_profit),
                        "estimated_gas_cost": str(gas_cost),
                    },
                )
            )
        return kept, dropped

    def _broken_rule(self, opportunity: Opportunity, gas_cost: int) -> str | None:
        gross = opportunity.route.gross_profit
        if opportunity.risk is RiskClass.VERY_HIGH:
            return "risk_very_high"
        if opportunity.route.token != self.profit_token:
            return "profit_token_not_accounted"
        if gross - gas_cost < self.min_profit:
            return "below_minimum_profit"
        if gas_cost * 10_000 > gross * self.max_gas_share_bps:
            return "gas_share_too_high"
        return None
