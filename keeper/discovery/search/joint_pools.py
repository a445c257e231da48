"""An instance of the joint problem from pool states of any kind, without the tables of the loop search."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from keeper.discovery.search.fitted import fitted_ranges
from keeper.discovery.search.joint_instance import JointInstance, JointMarket
from keeper.discovery.search.ranges import RangeView, reach, view_ranges
from keeper.discovery.search.tables import LongArray
from keeper.domain.units import Address
from keeper.market.venues import fixed_point as fp
from keeper.market.venues.balancer_v2_weighted import BalancerV2WeightedPool
from keeper.market.venues.base import Pool
from keeper.market.venues.concentrated import ConcentratedPool
from keeper.market.venues.fields import FEE_DENOMINATOR
from keeper.market.venues.multi import PairView, pairs_of
from keeper.market.venues.uniswap_v2 import UniswapV2Pool


class _Start(NamedTuple):
    """One direction of a pool: q where it begins (0: nothing to buy), the range it begins in, sqrt(1 - fee).

    ``weight`` and ``reserve`` are those of `JointInstance`.
    """

    head: float
    at: int
    root_fee: float
    weight: float = 0.0
    reserve: float = 0.0


class _Shape(NamedTuple):
    """A pool of two tokens: where it begins when token0 and when token1 is sold, and its ranges."""

    down: _Start
    up: _Start
    bounds: list[float]
    liquidity: list[float]
    lowest: float
    highest: float


_NOTHING = _Start(0.0, 0, 1.0)


def market_of(pools: Iterable[Pool], profit_token: Address) -> JointMarket | None:
    """All of ``pools``; None where none of them trades the profit token.

    Pairs of constant product and liquidity in ranges are taken as they are, weighted pools by the closed form of their
    marginal rate; all others are fitted, see `keeper.discovery.search.fitted`.
    """
    pairs = [pair for pool in pools for pair in pairs_of(pool) if pair.token0 != pair.token1]
    degree = Counter(token for pair in pairs for token in (pair.token0, pair.token1))
    if profit_token not in degree:
        return None
    tokens = sorted(degree, key=lambda token: (token == profit_token, degree[token], token))
    local = {token: n for n, token in enumerate(tokens)}

    def ends(pool: Pool) -> tuple[int, int]:
        a, b = local[pool.token0], local[pool.token1]
        return min(a, b), max(a, b)

    pairs.sort(key=ends)
    made = _arrange(pairs, [ends(pair) for pair in pairs], [local[pair.token0] for pair in pairs])
    return JointMarket(made, tokens, list(pairs))


def _arrange(pools: list[Pool], ends: list[tuple[int, int]], token0: list[int]) -> JointInstance:
    shapes = [_shape(pool) for pool in pools]
    # direction 0 sells the lower local token
    downwards = [low == zero for (low, _), zero in zip(ends, token0, strict=True)]
    starts = [
        start
        for shape, down in zip(shapes, downwards, strict=True)
        for start in ((shape.down, shape.up) if down else (shape.up, shape.down))
    ]
    begin: LongArray = np.cumsum([0] + [len(shape.bounds) for shape in shapes], dtype=np.int64)
    head = np.array([start.head for start in starts])
    pairs = sorted(set(ends))
    first = np.searchsorted(np.array([pairs.index(end) for end in ends]), np.arange(len(pairs) + 1)).astype(np.int64)
    best = np.zeros(2 * len(pairs))
    for p in range(len(pairs)):
        for d in range(2):
            best[2 * p + d] = head[2 * first[p] + d : 2 * first[p + 1] : 2].max()
    groups = {key: n for n, key in enumerate(dict.fromkeys(pool.key for pool in pools))}
    return JointInstance(
        low=np.array([low for low, _ in pairs], dtype=np.int32),
        high=np.array([high for _, high in pairs], dtype=np.int32),
        first=first,
        group=np.array([groups[pool.key] for pool in pools], dtype=np.int32),
        head=head,
        best=best,
        at=np.repeat(begin[:-1], 2) + np.array([start.at for start in starts]),
        begin=begin[:-1],
        # one more bound than ranges
        end=begin[1:] - 1,
        downwards=np.array(downwards, dtype=np.bool_),
        root_fee=np.array([start.root_fee for start in starts]),
        lowest=np.array([shape.lowest for shape in shapes]),
        highest=np.array([shape.highest for shape in shapes]),
        bounds=np.array([bound for shape in shapes for bound in shape.bounds]),
        liquidity=np.array([amount for shape in shapes for amount in (*shape.liquidity, 0.0)]),
        weight=np.array([start.weight for start in starts]),
        reserve=np.array([start.reserve for start in starts]),
    )


def _shape(pool: Pool) -> _Shape:
    whole = pool.pool if isinstance(pool, PairView) else pool
    if isinstance(whole, BalancerV2WeightedPool):
        i, j = whole.index(pool.token0, "token0"), whole.index(pool.token1, "token1")
        return _Shape(_weighted(whole, i, j), _weighted(whole, j, i), [0.0, math.inf], [0.0], 0.0, math.inf)
    if isinstance(pool, UniswapV2Pool | ConcentratedPool):
        return _of_ranges(pool, view_ranges(pool))
    return _of_fit(pool)


def _weighted(pool: BalancerV2WeightedPool, i: int, j: int) -> _Start:
    if not pool.balances[i] or not pool.balances[j]:
        return _NOTHING
    head = math.sqrt(float(pool.marginal_price(pool.tokens[i], pool.tokens[j])))
    root_fee = math.sqrt((fp.ONE - pool.swap_fee) / fp.ONE)
    return _Start(head, 0, root_fee, pool.weights[i] / pool.weights[j], float(pool.balances[i]))


def _of_ranges(pool: UniswapV2Pool | ConcentratedPool, view: RangeView | None) -> _Shape:
    if view is None:
        return _Shape(_NOTHING, _NOTHING, [0.0, math.inf], [0.0], 0.0, math.inf)
    span = reach(pool)
    bounds, liquidity = view.bounds.tolist(), view.liquidity.tolist()
    lowest, highest = view.price / span, view.price * span
    starts = []
    for down in (True, False):
        fee = pool.swap_fee_pips(down) if isinstance(pool, ConcentratedPool) else pool.fee_pips
        root_fee = math.sqrt((FEE_DENOMINATOR - fee) / FEE_DENOMINATOR)
        at = view.current
        while 0 <= at < len(liquidity):
            near, far = (bounds[at + 1], bounds[at]) if down else (bounds[at], bounds[at + 1])
            price = min(view.price, near) if down else max(view.price, near)
            if liquidity[at] > 0.0 and price != far and lowest < price < highest:
                starts.append(_Start(root_fee * price if down else root_fee / price, at, root_fee))
                break
            at += -1 if down else 1
        else:
            starts.append(_NOTHING)
    return _Shape(starts[0], starts[1], bounds, liquidity, lowest, highest)


def _of_fit(pool: Pool) -> _Shape:
    """The ranges of both directions beside each other, nothing between them; each begins where its own rate is."""
    root_fee = math.sqrt((FEE_DENOMINATOR - pool.fee_pips) / FEE_DENOMINATOR)
    down, up = fitted_ranges(pool, pool.token0), fitted_ranges(pool, pool.token1)
    bounds, liquidity = [], []
    starts = [_NOTHING, _NOTHING]
    if down is not None:
        bounds, liquidity = down.bounds.tolist(), [*down.liquidity.tolist(), 0.0]
        starts[0] = _Start(root_fee * down.price, down.current, root_fee)
    if up is not None:
        starts[1] = _Start(root_fee / up.price, len(liquidity), root_fee)
        bounds, liquidity = bounds + up.bounds.tolist(), liquidity + up.liquidity.tolist()
    elif down is not None:
        liquidity = liquidity[:-1]
    else:
        bounds, liquidity = [0.0, math.inf], [0.0]
    return _Shape(starts[0], starts[1], bounds, liquidity, 0.0, math.inf)
