"""From flows in floating point to swaps with exact integers that leave no token but the profit token short.

Flows that solve the joint problem balance up to rounding. Integers have to balance exactly, or on the right side. So
one leg out of each token, the absorber, takes in whatever the token really has left. Absorbers form a tree towards the
profit token: cycles among other tokens always hold a leg that is no absorber, whose input is fixed beforehand, so that
every absorber's input is known when its turn comes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import NamedTuple

from keeper.domain.joint_route import JointRoute
from keeper.domain.route import Hop
from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.market.venues.base import Pool

PAYS_FIRST = frozenset({VenueKind.UNISWAP_V3, VenueKind.PANCAKESWAP_V3, VenueKind.UNISWAP_V4})
"""Venues that pay out before they are paid: such a leg may come before the legs that earn its input."""
BACK_OFF = (1e-15, 1e-12, 1e-9, 1e-6, 1e-3)
"""Shares by which an input is lessened that a pool refuses, because it lies a rounding behind its liquidity."""
MAX_PASSES = 12
"""Times that the amounts are worked out anew after a leg was lessened to what its token really has."""


class Flow(NamedTuple):
    """One swap before its amounts are exact.

    Attributes:
        amount: input, raw units.
        worth: of the input, in one and the same unit for all flows of a bundle.
    """

    pool: Pool
    token_in: Address
    token_out: Address
    amount: float
    worth: float


def make_bundle(flows: Sequence[Flow], profit_token: Address) -> JointRoute | None:
    """The bundle of ``flows``, each pool at most once, in an order in which swaps can be paid as far as there is one.

    Flows that cannot be turned into the profit token are left out, and so are those that pay nothing in integers.

    Returns:
        None where nothing is left that leaves more of the profit token than it takes.
    """
    absorbers = find_absorbers(flows, profit_token)
    absorbing = set(absorbers.values())
    fixed = {
        n: int(flow.amount)
        for n, flow in enumerate(flows)
        if n not in absorbing
        and flow.amount >= 1.0
        and (flow.token_in in absorbers or flow.token_in == profit_token)
        and (flow.token_out in absorbers or flow.token_out == profit_token)
    }
    paid: dict[tuple[int, int], tuple[int, int]] = {}
    for _ in range(MAX_PASSES):
        amounts, short = _work_out(flows, absorbers, fixed, paid)
        if short is None:
            break
        _lessen(flows, fixed, *short)
    else:
        return None
    hops = [_hop(flows[n], given, out) for n, (given, out) in amounts.items()]
    if not hops or sum(_change(hop, profit_token) for hop in hops) <= 0:
        return None
    return JointRoute(profit_token, tuple(order_legs(hops)))


def find_absorbers(flows: Sequence[Flow], profit_token: Address) -> dict[Address, int]:
    """For each token that can be turned into the profit token the flow out of it that does so, by the widest ways.

    Tokens come in the order in which the tree grew from the profit token: none leads to a later one.
    """
    into: dict[Address, list[tuple[float, int]]] = {}
    for n, flow in enumerate(flows):
        into.setdefault(flow.token_out, []).append((-flow.worth, n))
    absorbers: dict[Address, int] = {}
    heap = list(into.get(profit_token, ()))
    heapq.heapify(heap)
    while heap:
        _, n = heapq.heappop(heap)
        token = flows[n].token_in
        if token == profit_token or token in absorbers:
            continue
        absorbers[token] = n
        for entry in into.get(token, ()):
            heapq.heappush(heap, entry)
    return absorbers


def _work_out(
    flows: Sequence[Flow],
    absorbers: dict[Address, int],
    fixed: dict[int, int],
    paid: dict[tuple[int, int], tuple[int, int]],
) -> tuple[dict[int, tuple[int, int]], tuple[Address, int] | None]:
    """Exact input and output of each flow, or the token that is short, and by how much.

    Args:
        fixed: inputs of the flows that are no absorbers.
        paid: what pools answered before, by flow and input.
    """
    held: dict[Address, int] = {}
    amounts: dict[int, tuple[int, int]] = {}

    def swap(n: int, amount: int) -> None:
        if (n, amount) not in paid:
            paid[n, amount] = _largest_swap(flows[n], amount)
        given, out = paid[n, amount]
        if out > 0:
            flow = flows[n]
            amounts[n] = given, out
            held[flow.token_in] = held.get(flow.token_in, 0) - given
            held[flow.token_out] = held.get(flow.token_out, 0) + out

    for n, amount in fixed.items():
        swap(n, amount)
    for token in reversed(absorbers):
        left = held.get(token, 0)
        if left < 0:
            return {}, (token, -left)
        if left > 0:
            swap(absorbers[token], left)
    return amounts, None


def _largest_swap(flow: Flow, amount: int) -> tuple[int, int]:
    """Input and output for ``amount``, or for a little less where the pool's liquidity ends there; else nothing."""
    trials = [amount]
    # an absorber may be offered more than its pool has room for; what was planned fits but for rounding
    planned = min(amount, math.ceil(flow.amount))
    trials += [planned - int(planned * share) - 1 for share in BACK_OFF]
    for given in trials:
        if given <= 0:
            break
        try:
            return given, flow.pool.amount_out(flow.token_in, given)
        except (ArithmeticError, ValueError):
            # not enough liquidity, or a state that no contract can have
            continue
    return 0, 0


def _lessen(flows: Sequence[Flow], fixed: dict[int, int], token: Address, missing: int) -> None:
    """Take ``missing`` off the fixed flows out of ``token``, the largest first."""
    for n in sorted((n for n in fixed if flows[n].token_in == token), key=lambda n: -fixed[n]):
        taken = min(missing, fixed[n])
        fixed[n] -= taken
        missing -= taken
        if fixed[n] == 0:
            del fixed[n]
        if missing == 0:
            return


def order_legs(hops: Sequence[Hop]) -> list[Hop]:
    """The legs such that each takes in what legs before it paid out, as far as possible.

    Where no leg can go on, one goes first whose pool pays before it is paid, if possible one that lets a leg go on
    that cannot do so; what it takes in is paid at the end. Without such a pool any leg does: financing has to bridge.
    """
    ordered, unpaid = _order(hops, at_the_end=False)
    if unpaid == 0:
        return ordered
    rival, unpaid_then = _order(hops, at_the_end=True)
    return rival if unpaid_then < unpaid else ordered


def _order(hops: Sequence[Hop], *, at_the_end: bool) -> tuple[list[Hop], int]:
    """The legs in order, and how many of those that have to be paid at once are not.

    Args:
        at_the_end: all pools that pay first are paid at the end, so that they take nothing from other legs.
    """
    funds: dict[Address, int] = {}
    waiting: dict[Address, list[Hop]] = {}
    # small amounts first, and before them the legs that have to be paid at once
    for hop in sorted(hops, key=lambda hop: (hop.venue in PAYS_FIRST, hop.amount_in)):
        if not (at_the_end and hop.venue in PAYS_FIRST):
            waiting.setdefault(hop.token_in, []).append(hop)
    eager = sorted((hop for hop in hops if hop.venue in PAYS_FIRST), key=lambda hop: -hop.amount_out)
    ordered: dict[Address, Hop] = {}
    fresh: list[Address] = []
    unpaid = 0

    def emit(hop: Hop) -> None:
        ordered[hop.pool] = hop
        funds[hop.token_out] = funds.get(hop.token_out, 0) + hop.amount_out
        fresh.append(hop.token_out)

    while len(ordered) < len(hops):
        while fresh:
            token = fresh.pop()
            rest: list[Hop] = []
            for hop in waiting.get(token, ()):
                if hop.pool in ordered:
                    continue
                if hop.amount_in <= funds[token]:
                    funds[token] -= hop.amount_in
                    emit(hop)
                else:
                    rest.append(hop)
            waiting[token] = rest
        if len(ordered) == len(hops):
            break
        eager = [hop for hop in eager if hop.pool not in ordered]
        blocked = {hop.token_in for rest in waiting.values() for hop in rest if hop.venue not in PAYS_FIRST}
        helping = [hop for hop in eager if hop.token_out in blocked]
        if eager:
            emit((helping or eager)[0])
        else:
            unpaid += 1
            emit(next(hop for rest in waiting.values() for hop in rest if hop.pool not in ordered))
    return list(ordered.values()), unpaid


def _hop(flow: Flow, given: int, out: int) -> Hop:
    pool = flow.pool
    return Hop(
        pool=pool.key,
        venue=pool.venue,
        dex=pool.dex,
        token_in=flow.token_in,
        token_out=flow.token_out,
        zero_for_one=flow.token_in == pool.token0,
        amount_in=given,
        amount_out=out,
        fee_pips=pool.fee_pips,
        detail=pool.swap_detail(flow.token_in),
    )


def _change(hop: Hop, token: Address) -> int:
    return hop.amount_out * (hop.token_out == token) - hop.amount_in * (hop.token_in == token)
