"""Single loops taken one after the other: the best one, then the best on what it left behind, and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from keeper.discovery.search.bundle import Flow
from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.joint_instance import JointMarket
from keeper.discovery.search.loop_filter import LoopFilter
from keeper.domain.route import Route
from keeper.domain.token import TRADED_VENUES
from keeper.domain.units import Address
from keeper.market.venues.base import Pool

MAX_LOOPS = 64
"""Loops taken at most."""
CHOICE = 16
"""Of so many loops with the largest gross profit the one with the largest net profit is taken."""


def greedy_flows(market: JointMarket, profit_token: Address, gas: int) -> list[Flow]:
    """What all loops together put through each pool, netted; a pool is paid for once, with its first loop.

    Pools whose state after a swap is not known are used once.

    Args:
        gas: of a leg, raw units of the profit token.
    """
    before: dict[Address, Pool] = {
        pool.key: pool for pool in market.pools if pool is not None and pool.venue in TRADED_VENUES
    }
    pools = dict(before)
    if not pools:
        return []
    search = LoopSearch(pools, [profit_token])
    taken: dict[Address, dict[Address, int]] = {}
    worth: dict[Address, int] = {}

    def net(route: Route) -> int:
        return route.gross_profit - gas * sum(hop.pool not in taken for hop in route.hops)

    for _ in range(MAX_LOOPS):
        # all that is left may earn: the loops that one takes away may not be the only ones
        routes = search.find(pools, allow=LoopFilter(), limit=CHOICE)
        route = max(routes, key=net, default=None)
        if route is None or net(route) <= 0:
            break
        for hop in route.hops:
            change = taken.setdefault(hop.pool, {})
            change[hop.token_in] = change.get(hop.token_in, 0) + hop.amount_in
            change[hop.token_out] = change.get(hop.token_out, 0) - hop.amount_out
            worth[hop.pool] = worth.get(hop.pool, 0) + route.amount_in
            after_swap = getattr(pools[hop.pool], "after_swap", None)
            if after_swap is None:
                del pools[hop.pool]
            else:
                step = cast(Callable[[Address, int], tuple[Pool, int]], after_swap)
                pools[hop.pool] = step(hop.token_in, hop.amount_in)[0]
        search.update(pools, [hop.pool for hop in route.hops])
    flows = []
    for key, change in taken.items():
        (token_out, paid), (token_in, given) = sorted(change.items(), key=lambda entry: entry[1])
        # loops in both directions may leave nothing but their fees
        if given > 0 > paid:
            flows.append(Flow(before[key], token_in, token_out, given, worth[key]))
    return flows
