"""A pool as the search sees it: a row of constant-product ranges over the square root of its price.

With s the square root of raw token1 per raw token0 and L the liquidity, a range holds L / s of token0 and L * s of
token1 (Uniswap V3 white paper, section 6.2). A Uniswap V2 pair is the one range from 0 to infinity with
L = sqrt(reserve0 * reserve1) and s = sqrt(reserve1 / reserve0). A fee f on the input makes the rate (1 - f) times the
price; where a venue takes it from the output instead, L times (1 - f) gives the same amounts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from keeper.discovery.search.arrays import BoolArray, FloatArray
from keeper.discovery.search.exact import CONCENTRATED, CONCENTRATED_V4, PAIR, SOLIDLY
from keeper.market.venues.base import Pool
from keeper.market.venues.concentrated import WORD_BITS, ConcentratedPool
from keeper.market.venues.fields import FEE_DENOMINATOR, MAX_UINT112, MAX_UINT128
from keeper.market.venues.solidly import SolidlyVolatilePool
from keeper.market.venues.tick_math import MAX_SQRT_RATIO, MAX_TICK, MIN_SQRT_RATIO, MIN_TICK
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import PancakeSwapV3Pool, UniswapV3Pool
from keeper.market.venues.uniswap_v4 import UniswapV4Pool

__all__ = ["EXACT_KINDS", "MAX_WORDS", "ExactView", "FloatArray", "RangeView", "ranges_of", "reach", "view_ranges"]

Q96 = 2.0**96
_HALF_LOG_TICK = 0.5 * math.log1p(1e-4)
MAX_WORDS = 128
"""Words of a tick bitmap that one swap walks over at most. Each costs gas, an empty one as well (about 4,000); a state
that needs more is not worth a transaction, and could keep the exact check busy for long."""
# a float64 boundary and a float64 price of the same tick differ by less
_ROUNDING = 1e-12
EXACT_KINDS: dict[type, int] = {
    UniswapV2Pool: PAIR,
    SolidlyVolatilePool: SOLIDLY,
    UniswapV3Pool: CONCENTRATED,
    PancakeSwapV3Pool: CONCENTRATED,
    UniswapV4Pool: CONCENTRATED_V4,
}
"""Classes whose integers are compiled; a class derived from one of them may pay otherwise and is not among them."""


@dataclass(frozen=True, slots=True)
class ExactView:
    """The integers behind a `RangeView`: what `keeper.discovery.search.exact` computes with.

    Attributes:
        kind: of its maths.
        state: the reserves of a pair, or square-root price and liquidity.
        ticks: at ``RangeView.bounds``; empty for a pair.
        liquidity: of each range; empty for a pair.
    """

    kind: int
    state: tuple[int, int]
    tick: int = 0
    spacing: int = 1
    ticks: Sequence[int] = ()
    liquidity: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class RangeView:
    """The ranges of one pool state.

    Attributes:
        price: s now.
        current: index of the range that holds ``price``.
        bounds: s at the ends of the ranges, ascending, shape (ranges + 1,).
        liquidity: L of each range, raw units, shape (ranges,).
        fee_pips: fee on the input, millionths, where it is another than the pool's ``fee_pips``.
        span: the factor by which a swap may move s at most, up or down.
        exact: None where only the pool's own Python integers are known.
    """

    price: float
    current: int
    bounds: FloatArray
    liquidity: FloatArray
    fee_pips: int | None = None
    span: float = math.inf
    exact: ExactView | None = None


_V2_BOUNDS: FloatArray = np.array([0.0, math.inf])


def ranges_of(pool: Pool) -> RangeView | None:
    """The ranges of ``pool``, or None when nothing can be traded or its numbers cannot be those of a pool.

    Other curves than the constant product are fitted: `keeper.discovery.search.fitted`.
    """
    if not 0 <= pool.fee_pips < FEE_DENOMINATOR or pool.token0 == pool.token1:
        return None
    if isinstance(pool, UniswapV2Pool | SolidlyVolatilePool | ConcentratedPool):
        return view_ranges(pool)
    from keeper.discovery.search.fitted import fitted_view  # it needs the types of this module

    return fitted_view(pool)


def view_ranges(pool: UniswapV2Pool | SolidlyVolatilePool | ConcentratedPool) -> RangeView | None:
    """As `ranges_of`, for pools that are made of such ranges."""
    if not 0 <= pool.fee_pips < FEE_DENOMINATOR or pool.token0 == pool.token1:
        return None
    return _of_concentrated(pool) if isinstance(pool, ConcentratedPool) else _of_pair(pool)


def reach(pool: Pool) -> float:
    """The factor by which a swap may move s of ``pool`` at most, up or down: it walks over the bitmap word by word."""
    if not isinstance(pool, ConcentratedPool):
        return math.inf
    return math.exp(_HALF_LOG_TICK * min(MAX_WORDS * WORD_BITS * pool.tick_spacing, 2 * MAX_TICK))


def _of_pair(pool: UniswapV2Pool | SolidlyVolatilePool) -> RangeView | None:
    reserves = pool.reserve0, pool.reserve1
    if not (min(reserves) > 0 and max(reserves) <= MAX_UINT112):
        return None
    kind = EXACT_KINDS.get(type(pool))
    return RangeView(
        price=math.sqrt(pool.reserve1 / pool.reserve0),
        current=0,
        bounds=_V2_BOUNDS,
        liquidity=np.array([math.sqrt(float(pool.reserve0) * float(pool.reserve1))]),
        exact=None if kind is None else ExactView(kind, reserves),
    )


def _of_concentrated(pool: ConcentratedPool) -> RangeView | None:
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
    if not _holds(bounds[current : current + 1], bounds[current + 1 : current + 2], np.array([price])).all():
        return None
    # from the range that holds the price outwards, in integers: what is unknown further out does not reach in;
    # where the ticks do not add up the liquidity ends
    liquidity = [0] * (len(ticks) + 1)
    liquidity[current] = pool.liquidity
    whole = True
    for way in (range(current, len(ticks)), range(current - 1, -1, -1)):
        amount = pool.liquidity
        for at in way:
            amount += nets[at] if at >= current else -nets[at]
            if not 0 <= amount <= MAX_UINT128:
                whole = False
                break
            liquidity[at + 1 if at >= current else at] = amount
    if not any(liquidity):
        return None
    fees = {pool.swap_fee_pips(zero_for_one) for zero_for_one in (True, False)}
    if not all(0 <= fee < FEE_DENOMINATOR for fee in fees):
        return None
    kind = EXACT_KINDS.get(type(pool)) if whole and len(fees) == 1 else None
    exact = None
    if kind is not None and pool.tick_spacing <= MAX_TICK and MIN_TICK <= pool.tick <= MAX_TICK:
        state = pool.sqrt_price_x96, pool.liquidity
        exact = ExactView(kind, state, pool.tick, pool.tick_spacing, (MIN_TICK, *ticks, MAX_TICK), liquidity)
    amounts = np.array(liquidity, dtype=np.float64)
    return RangeView(price, current, bounds, amounts, max(fees), reach(pool), exact)


def _holds(low: FloatArray, high: FloatArray, price: FloatArray) -> BoolArray:
    """Whether each ``price`` lies in its range, up to rounding."""
    held: BoolArray = (low * (1 - _ROUNDING) <= price) & (price <= high * (1 + _ROUNDING))
    return held
