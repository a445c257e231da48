"""From a size in floating point to the exact amounts that the pools' contracts will compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keeper.domain.route import Hop, Route
from keeper.domain.units import Address
from keeper.market.venues.base import Pool

BACK_OFF = (1.0, 1.0 - 1e-9, 1.0 - 1e-6, 1.0 - 1e-3)
"""Sizes tried, as shares of the float optimum: one at the end of liquidity can be a rounding too large."""
MAX_CLIMB = 8
"""Steps of one raw unit that the polish takes at most in each direction."""


class Leg(NamedTuple):
    """One hop before its amounts are known."""

    pool: Pool
    token_in: Address

    @property
    def token_out(self) -> Address:
        return self.pool.token1 if self.token_in == self.pool.token0 else self.pool.token0


def prove(legs: Sequence[Leg], size: float) -> Route | None:
    """The loop at the best exact input near ``size``, or None when it earns nothing in integers.

    The exact profit is a staircase: it rises only where the coarsest amount of the loop gains a unit, and between such
    points every further unit of input is lost. So the amounts are first cut back to the least input that still gives
    the same coarsest amount, and then that amount is varied by single units while the profit rises.
    """
    for share in BACK_OFF:
        start = _forward(legs, max(int(size * share), 1))
        if start is not None:
            break
    else:
        return None
    coarsest = min(range(len(legs)), key=start.__getitem__)
    best = start
    for step in (0, 1, -1):
        for n in range(1, MAX_CLIMB + 1):
            trial = _through(legs, coarsest, start[coarsest] + step * n)
            if trial is None or trial[-1] - trial[0] <= best[-1] - best[0]:
                break
            best = trial
    return _route(legs, best) if best[-1] > best[0] else None


def _forward(legs: Sequence[Leg], amount: int) -> tuple[int, ...] | None:
    """The amounts before each leg and after the last; None when a pool cannot take or pays nothing."""
    amounts = [amount]
    for leg in legs:
        if amount <= 0:
            return None
        try:
            amount = leg.pool.amount_out(leg.token_in, amount)
        except (ArithmeticError, ValueError):
            # the venue refuses: not enough liquidity, or a state no contract can have
            return None
        amounts.append(amount)
    return tuple(amounts)


def _through(legs: Sequence[Leg], at: int, amount: int) -> tuple[int, ...] | None:
    """The amounts for the least input with which leg ``at`` takes in ``amount`` or more."""
    for leg in reversed(legs[:at]):
        if amount <= 0:
            return None
        try:
            amount = leg.pool.amount_in(leg.token_out, amount)
        except (ArithmeticError, ValueError):
            return None
    return _forward(legs, amount)


def _route(legs: Sequence[Leg], amounts: tuple[int, ...]) -> Route:
    return Route(
        tuple(
            Hop(
                pool=leg.pool.address,
                venue=leg.pool.venue,
                dex=leg.pool.dex,
                token_in=leg.token_in,
                token_out=leg.token_out,
                zero_for_one=leg.token_in == leg.pool.token0,
                amount_in=amount_in,
                amount_out=amount_out,
                fee_pips=leg.pool.fee_pips,
            )
            for leg, amount_in, amount_out in zip(legs, amounts[:-1], amounts[1:], strict=True)
        )
    )
