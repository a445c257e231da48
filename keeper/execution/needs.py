"""What a route needs to borrow, and which of its own contracts already hold out for payment."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.joint_route import JointRoute
from keeper.domain.route import Hop, Route
from keeper.domain.swap_detail import BalancerV2Id, BalancerV3Vault, V4Key
from keeper.domain.token import VenueKind
from keeper.domain.units import Address

PAID_LATER = frozenset((VenueKind.UNISWAP_V3, VenueKind.PANCAKESWAP_V3))
"""These pools pay out first; what they are owed is paid when all that follows in the stream is done."""

PAYS_FIRST = PAID_LATER | {VenueKind.UNISWAP_V2, VenueKind.SOLIDLY_VOLATILE, VenueKind.SOLIDLY_STABLE}
"""Pools that pay out before they are paid, when they are asked to: a flash swap."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one route wants from a lender.

    Attributes:
        amount: raw units of ``token``, the profit token.
        pools: contracts that are in the midst of a swap while the loan is open.
        tokens: every token that the route touches.
        entered: vaults and managers that the route's own swaps go through: Balancer's, Uniswap V4's.
        flash_pool: the pool of the route that can pay out first; None when a loan is needed.
    """

    token: Address
    amount: int
    pools: frozenset[Address]
    tokens: frozenset[Address]
    entered: frozenset[Address]
    flash_pool: Address | None


def need_of(route: Route | JointRoute) -> Need:
    """What ``route`` has to be financed with."""
    legs = route.hops if isinstance(route, Route) else route.legs
    amount = amount_needed(route)
    first = next((leg.pool for leg in legs if leg.venue in PAYS_FIRST), None)
    return Need(
        token=route.token,
        amount=amount,
        pools=route.pools,
        tokens=frozenset(token for leg in legs for token in (leg.token_in, leg.token_out)),
        entered=frozenset(found for leg in legs if (found := _entered_by(leg)) is not None),
        flash_pool=first if isinstance(route, Route) or amount == 0 else None,
    )


def amount_needed(route: Route | JointRoute) -> int:
    """Raw units of the profit token that have to be there before the route earns them itself.

    A loop needs what goes into its first pool. The legs of a joint route run in order: the amount is the largest
    deficit on the way, where pools of `PAID_LATER` are owed until the end, by which time all has come in.
    """
    if isinstance(route, Route):
        return route.amount_in
    held = lowest = 0
    for leg in route.legs:
        if leg.token_in == route.token and leg.venue not in PAID_LATER:
            held -= leg.amount_in
            lowest = min(lowest, held)
        if leg.token_out == route.token:
            held += leg.amount_out
    return -lowest


def _entered_by(leg: Hop) -> Address | None:
    match leg.detail:
        case V4Key(manager=contract) | BalancerV2Id(vault=contract) | BalancerV3Vault(vault=contract):
            return contract
        case _:
            return None
