"""From a size in floating point to the exact amounts that the pools' contracts will compute, with the pools' own maths.

What `keeper.discovery.search.exact` covers is computed there first; here is the rest, and the last units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from keeper.domain.joint_route import JointRoute
from keeper.domain.route import Hop, Route
from keeper.domain.units import Address
from keeper.market.venues.base import Pool

Amounts = tuple[int, ...]

BACK_OFF = (1e-12, 1e-9, 1e-6, 1e-3)
"""Shares of the float optimum by which it is lessened where it lies at the end of liquidity, a rounding too far."""
KINK_BITS = 38
"""The place of a kink is known to 2**-38 of the input or better."""
TRIM_SHARE = 10**12
"""Amounts are not cut back where a unit of the coarsest of them is worth less than the profit divided by this."""


class Leg(NamedTuple):
    """One swap before its amounts are known."""

    pool: Pool
    token_in: Address

    @property
    def token_out(self) -> Address:
        return self.pool.token1 if self.token_in == self.pool.token0 else self.pool.token0


@dataclass(frozen=True, slots=True)
class Disproof:
    """Why a loop earns nothing: its amounts, as far as its pools pay."""

    amounts: Amounts


def prove(legs: Sequence[Leg], size: float, *, at_kink: bool, known: Amounts = ()) -> Route | Disproof:
    """The loop at the best exact input near ``size``, or what shows that it earns nothing in integers.

    The exact profit is a staircase: it rises only where the coarsest amount of the loop gains a unit, and between such
    points every further unit of input is lost. So the amounts are cut back to the least input that still gives the same
    coarsest amount. Which of the steps beside the optimum is taken matters less than the rounding of one unit.

    Args:
        size: the optimum in floating point, raw units of the first leg's input.
        at_kink: the optimum is where a range ends, and the profit falls steeply beside it. Elsewhere it is flat, and
            the rounding of ``size`` costs less than a unit.
        known: the exact amounts near ``size``, where they have been computed already.
    """
    start = known or _largest_taken(legs, max(int(size), 1))
    if len(start) <= len(legs):
        return Disproof(start)
    if at_kink:
        start = _climb(legs, start)
    coarsest = min(range(len(legs)), key=start.__getitem__)
    if start[0] * TRIM_SHARE < start[coarsest] * (start[-1] - start[0]):
        return _route(legs, start)
    trimmed = _through(legs, coarsest, start[coarsest])
    best = trimmed if _profit(legs, trimmed) > _profit(legs, start) else start
    return _route(legs, best) if _profit(legs, best) > 0 else Disproof(best)


def pay_split(legs: Sequence[Leg], hops: Sequence[int], shares: Sequence[float], size: float) -> list[tuple[int, int]]:
    """What each leg of a split loop is given and pays; empty where a pool refuses all inputs near ``size``.

    Args:
        hops: by leg, ascending.
        shares: by leg, of what its hop takes in.
    """
    for share in (0.0, *BACK_OFF):
        try:
            return _pay_split(legs, hops, shares, max(int(size - size * share), 1))
        except (ArithmeticError, ValueError):
            continue
    return []


def to_hop(leg: Leg, amount_in: int, amount_out: int) -> Hop:
    """The swap of ``leg`` with these amounts."""
    pool = leg.pool
    return Hop(
        pool=pool.key,
        venue=pool.venue,
        dex=pool.dex,
        token_in=leg.token_in,
        token_out=leg.token_out,
        zero_for_one=leg.token_in == pool.token0,
        amount_in=amount_in,
        amount_out=amount_out,
        fee_pips=pool.fee_pips,
        detail=pool.swap_detail(leg.token_in),
    )


def to_joint_route(legs: Sequence[Leg], amounts: Sequence[tuple[int, int]]) -> JointRoute:
    """A split loop that starts at the token of its first leg."""
    swaps = zip(legs, amounts, strict=True)
    return JointRoute(legs[0].token_in, tuple(to_hop(leg, given, paid) for leg, (given, paid) in swaps))


def _pay_split(legs: Sequence[Leg], hops: Sequence[int], shares: Sequence[float], amount: int) -> list[tuple[int, int]]:
    amounts: list[tuple[int, int]] = []
    while len(amounts) < len(legs):
        mine = range(len(amounts), len(amounts) + hops.count(hops[len(amounts)]))
        given = {i: int(shares[i] * amount) for i in mine}
        largest = max(mine, key=shares.__getitem__)
        given[largest] += amount - sum(given.values())
        paid = [legs[i].pool.amount_out(legs[i].token_in, given[i]) for i in mine]
        if min(paid) <= 0:
            raise ArithmeticError("a leg pays nothing")
        amounts += zip(given.values(), paid, strict=True)
        amount = sum(paid)
    return amounts


def _forward(legs: Sequence[Leg], amount: int) -> Amounts:
    """The amounts before each leg and after the last, up to the first pool that refuses or pays nothing."""
    amounts = [amount]
    for leg in legs:
        try:
            amount = leg.pool.amount_out(leg.token_in, amount)
        except (ArithmeticError, ValueError):
            # not enough liquidity, an amount that is not positive, or a state that no contract can have
            break
        if amount <= 0:
            break
        amounts.append(amount)
    return tuple(amounts)


def _through(legs: Sequence[Leg], at: int, amount: int) -> Amounts:
    """The amounts for the least input with which leg ``at`` takes in ``amount`` or more; none where that fails."""
    for leg in reversed(legs[:at]):
        try:
            amount = leg.pool.amount_in(leg.token_out, amount)
        except (ArithmeticError, ValueError):
            return ()
    return _forward(legs, amount)


def _profit(legs: Sequence[Leg], amounts: Amounts) -> float:
    """Exact profit; minus infinity where some pool refused."""
    return amounts[-1] - amounts[0] if len(amounts) == len(legs) + 1 else -math.inf


def _largest_taken(legs: Sequence[Leg], amount: int) -> Amounts:
    """The amounts for ``amount``, or for the largest input just below it that every pool takes."""
    amounts = _forward(legs, amount)
    if len(amounts) > len(legs):
        return amounts
    refused, first = amount, amounts
    for share in BACK_OFF:
        amounts = _forward(legs, amount - int(amount * share) - 1)
        if len(amounts) > len(legs):
            break
        refused = amounts[0]
    else:
        return first
    while refused - amounts[0] > 1:
        middle = _forward(legs, (amounts[0] + refused) // 2)
        if len(middle) > len(legs):
            amounts = middle
        else:
            refused = middle[0]
    return amounts


def _climb(legs: Sequence[Leg], amounts: Amounts) -> Amounts:
    """Steps of halving width towards more profit, from the width of the rounding of a float64 walk."""
    step = max(amounts[0] >> KINK_BITS, 1)
    while step:
        for trial in (_forward(legs, amounts[0] + step), _forward(legs, amounts[0] - step)):
            if _profit(legs, trial) > _profit(legs, amounts):
                amounts = trial
                break
        step >>= 1
    return amounts


def _route(legs: Sequence[Leg], amounts: Amounts) -> Route:
    swaps = zip(legs, amounts[:-1], amounts[1:], strict=True)
    return Route(tuple(to_hop(leg, given, paid) for leg, given, paid in swaps))
