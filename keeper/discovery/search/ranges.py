"""A pool as the search sees it: a row of constant-product ranges over the square root of its price.

With s the square root of raw token1 per raw token0 and L the liquidity, a range holds L / s of token0 and L * s of
token1 (Uniswap V3 white paper, section 6.2). A Uniswap V2 pair is the one range from 0 to infinity with
L = sqrt(reserve0 * reserve1) and s = sqrt(reserve1 / reserve0).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from keeper.market.venues.base import Pool
from keeper.market.venues.concentrated import WORD_BITS, ConcentratedPool
from keeper.market.venues.fields import FEE_DENOMINATOR, MAX_UINT112, MAX_UINT128
from keeper.market.venues.tick_math import MAX_SQRT_RATIO, MAX_TICK, MIN_SQRT_RATIO, MIN_TICK
from keeper.market.venues.uniswap_v2 import UniswapV2Pool

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

Q96 = 2.0**96
_HALF_LOG_TICK = 0.5 * math.log1p(1e-4)
MAX_WORDS = 128
"""Words of a tick bitmap that one swap walks over at most. Each costs gas, an empty one as well (about 4,000); a state
that needs more is not worth a transaction, and could keep the exact check busy for long."""
# a float64 boundary and a float64 price of the same tick differ by less
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class RangeView:
    """The ranges of one pool state.

    Attributes:
        price: s now.
        current: index of the range that holds ``price``.
        bounds: s at the ends of the ranges, ascending, shape (ranges + 1,).
        liquidity: L of each range, raw units, shape (ranges,).
    """

    price: float
    current: int
    bounds: FloatArray
    liquidity: FloatArray


_V2_BOUNDS: FloatArray = np.array([0.0, math.inf])


def view_ranges(pool: Pool) -> RangeView | None:
    """The ranges of ``pool``, or None when nothing can be traded or its numbers cannot be those of a pool.

    Raises:
        TypeError: no ranges are known for this kind of pool.
    """
    if not 0 <= pool.fee_pips < FEE_DENOMINATOR or pool.token0 == pool.token1:
        return None
    if isinstance(pool, UniswapV2Pool):
        return _of_v2(pool)
    if isinstance(pool, ConcentratedPool):
        return _of_v3(pool)
    raise TypeError(f"the search has no ranges for {type(pool).__name__}")


def reach(pool: Pool) -> float:
    """The factor by which a swap may move s of ``pool`` at most, up or down."""
    if not isinstance(pool, ConcentratedPool):
        return math.inf
    return math.exp(_HALF_LOG_TICK * min(MAX_WORDS * WORD_BITS * pool.tick_spacing, 2 * MAX_TICK))


def moved_within(pool: Pool | None, before: Pool | None) -> tuple[float, int, float] | None:
    """s, current range and liquidity of ``pool`` when its ticks are those of ``before``, else None.

    Saves the work of `view_ranges` for a swap in a pool with many ticks. Whether the ranges of ``before`` have that
    liquidity and hold that price is left to the caller.
    """
    if not (isinstance(pool, ConcentratedPool) and isinstance(before, ConcentratedPool)):
        return None
    if pool.tick_indices is not before.tick_indices or pool.liquidity_net is not before.liquidity_net:
        return None
    if pool.tick_spacing != before.tick_spacing or not 0 <= pool.liquidity <= MAX_UINT128:
        return None
    if not MIN_SQRT_RATIO <= pool.sqrt_price_x96 < MAX_SQRT_RATIO:
        return None
    return pool.sqrt_price_x96 / Q96, bisect_right(pool.tick_indices, pool.tick), float(pool.liquidity)


def holds(low: FloatArray, high: FloatArray, price: FloatArray) -> BoolArray:
    """Whether each ``price`` lies in its range, up to rounding."""
    held: BoolArray = (low * (1 - _ROUNDING) <= price) & (price <= high * (1 + _ROUNDING))
    return held


def _of_v2(pool: UniswapV2Pool) -> RangeView | None:
    if not (0 < pool.reserve0 <= MAX_UINT112 and 0 < pool.reserve1 <= MAX_UINT112):
        return None
    liquidity = math.sqrt(float(pool.reserve0) * float(pool.reserve1))
    return RangeView(math.sqrt(pool.reserve1 / pool.reserve0), 0, _V2_BOUNDS, np.array([liquidity]))


def _of_v3(pool: ConcentratedPool) -> RangeView | None:
    ticks, nets = pool.tick_indices, pool.liquidity_net
    if pool.tick_spacing < 1:
        return None
    if not MIN_SQRT_RATIO <= pool.sqrt_price_x96 < MAX_SQRT_RATIO or not 0 <= pool.liquidity <= MAX_UINT128:
        return None
    if len(ticks) != len(nets) or any(b <= a for a, b in pairwise(ticks)):
        return None
    if ticks and not MIN_TICK <= ticks[0] <= ticks[-1] <= MAX_TICK:
        return None
    inner = np.exp(_HALF_LOG_TICK * np.array(ticks, dtype=np.float64))
    bounds = np.concatenate(([MIN_SQRT_RATIO / Q96], inner, [MAX_SQRT_RATIO / Q96]))
    current = bisect_right(ticks, pool.tick)
    price = pool.sqrt_price_x96 / Q96
    if not holds(bounds[current : current + 1], bounds[current + 1 : current + 2], np.array([price])).all():
        return None
    # from the range that holds the price outwards, in integers: what is unknown further out does not reach in;
    # where the ticks do not add up the liquidity ends
    liquidity = np.zeros(len(ticks) + 1)
    liquidity[current] = float(pool.liquidity)
    amount = pool.liquidity
    for at in range(current, len(ticks)):
        amount += nets[at]
        if not 0 <= amount <= MAX_UINT128:
            break
        liquidity[at + 1] = float(amount)
    amount = pool.liquidity
    for at in range(current - 1, -1, -1):
        amount -= nets[at]
        if not 0 <= amount <= MAX_UINT128:
            break
        liquidity[at] = float(amount)
    if not liquidity.any():
        return None
    return RangeView(price, current, bounds, liquidity)
