"""What a route needs to borrow, whether its own pools can advance it, and which contracts its swaps are in."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.errors import InputError
from keeper.domain.joint_route import JointRoute
from keeper.domain.plan import Financing
from keeper.domain.route import Route
from keeper.domain.swap_detail import BalancerV2Id, BalancerV3Vault, V4Key
from keeper.domain.token import LenderKind, VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.execution.nesting import NESTED_VENUES, V2_VENUES, V3_VENUES
from keeper.execution.sequence import arrange


@dataclass(frozen=True, slots=True)
class Need:
    """What one route wants from a lender.

    Attributes:
        amount: raw units of ``token``, the profit token.
        pools: contracts that are in the midst of a swap while the loan is open.
        tokens: every token that the route touches.
        entered: vaults of Balancer V2 that the route's own swaps go through.
        unlocked: managers of Uniswap V4 and vaults of Balancer V3 that they do.
        account: the manager of Uniswap V4 through which all of a loop goes; None for all other routes.
        flash_pool: the pool of the route that pays out first; None when the route cannot do without a loan.
    """

    token: Address
    amount: int
    pools: frozenset[Address]
    tokens: frozenset[Address]
    entered: frozenset[Address]
    unlocked: frozenset[Address]
    account: Address | None
    flash_pool: Address | None


def need_of(route: Route | JointRoute) -> Need:
    """What ``route`` has to be financed with."""
    legs = route.hops if isinstance(route, Route) else route.legs
    entered, unlocked = set(), set()
    for leg in legs:
        match leg.detail:
            case BalancerV2Id(vault=contract):
                entered.add(contract)
            case V4Key(manager=contract) | BalancerV3Vault(vault=contract):
                unlocked.add(contract)
            case _:
                pass
    on_account = isinstance(route, Route) and all(leg.venue is VenueKind.UNISWAP_V4 for leg in legs)
    return Need(
        token=route.token,
        amount=amount_needed(route),
        pools=route.pools,
        tokens=frozenset(token for leg in legs for token in (leg.token_in, leg.token_out)),
        entered=frozenset(entered),
        unlocked=frozenset(unlocked),
        account=next(iter(unlocked)) if on_account and len(unlocked) == 1 else None,
        flash_pool=_flash_pool(route),
    )


def amount_needed(route: Route | JointRoute) -> int:
    """Raw units of the profit token that have to be there before the route has earned them.

    A loop needs what goes into its first pool. The legs of a joint route run in order, each paid when its turn comes:
    the amount is the largest deficit on the way.
    """
    if isinstance(route, Route):
        return route.amount_in
    held = lowest = 0
    for leg in route.legs:
        if leg.token_in == route.token:
            held -= leg.amount_in
            lowest = min(lowest, held)
        if leg.token_out == route.token:
            held += leg.amount_out
    return -lowest


def _flash_pool(route: Route | JointRoute) -> Address | None:
    """A pool that pays out before it is paid, where with its like the whole route can be laid out without a loan."""
    legs = route.hops if isinstance(route, Route) else route.legs
    first = next((leg.pool for leg in legs if leg.venue in V2_VENUES | V3_VENUES), None)
    if first is None or (isinstance(route, Route) and all(leg.venue in NESTED_VENUES for leg in legs)):
        return first
    try:
        arrange(route, Financing(LenderKind.FLASH_SWAP, first, amount_needed(route), 0, ""), ZERO_ADDRESS)
    except InputError:
        return None
    return first
