"""Kernels that bring rows to their pools' new states, and heads and best rates to the rows.

States come as the bytes of `marshal`, the quickest way by which Python gives integers of any size to compiled code;
its second format has not changed since Python 2.5. Of it we read ``[`` with a count, ``i`` with 32 bits and ``l`` with
a signed count of 15-bit digits.
"""

from __future__ import annotations

import numpy as np

from keeper.discovery.search.arrays import (
    BoolArray,
    ByteArray,
    Ends,
    Exact,
    Graph,
    Heads,
    IntArray,
    LongArray,
    Ranges,
    WordArray,
)
from keeper.discovery.search.compiled import lean_kernel

PROBED_RANGES = 16
"""Ranges that the probe of a rate goes through at most; what is left of it then buys nothing."""
WORDS = 3
"""64-bit words of the largest integer that is read: 192 bits hold a square-root price."""
# a float64 boundary and a float64 price of the same tick differ by less
_ROUNDING = 1e-12
_WORD = 18446744073709551616.0
_Q96 = 2.0**96


@lean_kernel
def read_integers(data: ByteArray, words: WordArray, fits: BoolArray) -> int:
    """The integers of a marshalled list, three words each; return their number.

    Args:
        fits: output, whether the integer is 0 or more and below 2**192.
    """
    at, count = 5, 0
    while at < data.size:
        for i in range(WORDS):
            words[count, i] = np.uint64(0)
        kind = data[at]
        size = 0
        for i in range(4):
            size |= int(data[at + 1 + i]) << (8 * i)
        at += 5
        if kind == 105:  # i
            fits[count] = size < 1 << 31
            words[count, 0] = np.uint64(size)
        else:
            negative = size >= 1 << 31
            if negative:
                size = (1 << 32) - size
            fits[count] = not negative and size <= 12
            for i in range(size):
                digit = np.uint64(data[at + 2 * i]) | np.uint64(data[at + 2 * i + 1]) << np.uint64(8)
                bit = 15 * i
                if fits[count]:
                    words[count, bit >> 6] |= digit << np.uint64(bit & 63)
                    if bit & 63 > 49 and bit >> 6 < WORDS - 1:
                        words[count, (bit >> 6) + 1] |= digit >> np.uint64(64 - (bit & 63))
            at += 2 * size
        count += 1
    return count


@lean_kernel
def as_float(words: WordArray, row: int, at: int, count: int) -> float:
    value = 0.0
    for i in range(count - 1, -1, -1):
        value = value * _WORD + float(words[row, at + i])
    return value


@lean_kernel
def write_states(
    data: ByteArray,
    pairs: LongArray,
    ranged: LongArray,
    ranges: Ranges,
    exact: Exact,
    words: WordArray,
    fits: BoolArray,
    left: LongArray,
) -> int:
    """Write what a swap changes; return how many rows need more than that.

    Args:
        data: marshalled: the reserves of token0 and then of token1 of the rows ``pairs``; the square-root prices, the
            liquidities and the ticks, each 2**30 larger, of the rows ``ranged``, whose ranges are as they were.
        words, fits: work space, shapes (integers, 3) and (integers,).
        left: output: rows whose state is another than the ranges tell.
    """
    read_integers(data, words, fits)
    count, n, m = 0, pairs.size, ranged.size
    for i in range(n):
        k = pairs[i]
        first, second = as_float(words, i, 0, WORDS), as_float(words, n + i, 0, WORDS)
        limit = 2.0**112
        if not (fits[i] and fits[n + i] and 0.0 < first < limit and 0.0 < second < limit):
            left[count] = k
            count += 1
            continue
        ranges.price[k] = np.sqrt(second / first)
        ranges.liquidity[ranges.offset[k]] = np.sqrt(first * second)
        ranges.length[k] = 1
        for j in range(2):
            exact.words[k, j], exact.words[k, 2 + j] = words[i, j], words[n + i, j]
    for i in range(m):
        k = ranged[i]
        p, q, t = 2 * n + i, 2 * n + m + i, 2 * n + 2 * m + i
        tick = np.int64(words[t, 0]) - (1 << 30)
        base, at = ranges.offset[k], np.int64(ranges.current[k])
        good = fits[p] and fits[q] and fits[t] and words[q, 2] == np.uint64(0) and ranges.length[k] > 0
        if good:
            while at > 0 and tick < exact.ticks[base + at]:
                at -= 1
            while at + 1 < ranges.length[k] and tick >= exact.ticks[base + at + 1]:
                at += 1
            price = as_float(words, p, 0, WORDS) / _Q96
            low, high = ranges.bounds[base + at], ranges.bounds[base + at + 1]
            good = low * (1 - _ROUNDING) <= price <= high * (1 + _ROUNDING)
            for j in range(2):
                good = good and words[q, j] == exact.liquidity[base + at, j]
        if not good:
            left[count] = k
            count += 1
            continue
        ranges.price[k], ranges.current[k] = price, at
        ranges.lowest[k], ranges.highest[k] = price / ranges.span[k], price * ranges.span[k]
        exact.tick[k] = tick
        for j in range(3):
            exact.words[k, j] = words[p, j]
        for j in range(2):
            exact.words[k, 3 + j] = words[q, j]
    return count


@lean_kernel
def range_from(ranges: Ranges, pool: int, token0_in: bool, at: int) -> tuple[int, float]:
    """The first range with liquidity that a swap meets from range ``at`` on, and s at its start; -1 for none."""
    base, price = ranges.offset[pool], ranges.price[pool]
    if token0_in:
        for j in range(at, -1, -1):
            start = min(price, ranges.bounds[base + j + 1])
            if start <= ranges.lowest[pool]:
                break
            if ranges.liquidity[base + j] > 0.0 and ranges.bounds[base + j] < start:
                return j, start
    else:
        for j in range(at, ranges.length[pool]):
            start = max(price, ranges.bounds[base + j])
            if start >= ranges.highest[pool]:
                break
            if ranges.liquidity[base + j] > 0.0 and ranges.bounds[base + j + 1] > start:
                return j, start
    return -1, 0.0


@lean_kernel
def probed_rate(ranges: Ranges, pool: int, token0_in: bool, at: int, start: float, probe: float) -> float:
    """What the pool pays for ``probe``, a unit of it."""
    root_fee, base = ranges.root_fee[pool], ranges.offset[pool]
    left, paid = probe, 0.0
    for _ in range(PROBED_RANGES):
        depth = ranges.liquidity[base + at] / root_fee
        if token0_in:
            q = root_fee * start
            end = root_fee * max(ranges.bounds[base + at], ranges.lowest[pool])
        else:
            q = root_fee / start
            end = root_fee / min(ranges.bounds[base + at + 1], ranges.highest[pool])
        if end <= 0.0 or left <= depth / end - depth / q:
            return float((paid + depth * q * left / (left + depth / q)) / probe)
        paid += depth * (q - end)
        left -= depth / end - depth / q
        at, start = range_from(ranges, pool, token0_in, at - 1 if token0_in else at + 1)
        if at < 0:
            break
    return paid / probe


@lean_kernel
def refresh_heads(ranges: Ranges, heads: Heads, ends: Ends, pools: LongArray) -> None:
    """Recompute the heads of ``pools`` in both directions."""
    for i in range(pools.size):
        pool = pools[i]
        for direction in range(2):
            slot = 2 * pool + direction
            token0_in = (direction == 0) != ranges.flipped[pool]
            at, start = -1, 0.0
            if ranges.length[pool] > 0:
                at, start = range_from(ranges, pool, token0_in, int(ranges.current[pool]))
            heads.at[slot] = at
            if at < 0:
                heads.root_rate[slot], heads.depth[slot], heads.log_rate[slot] = 0.0, 0.0, -np.inf
                continue
            root_fee = ranges.root_fee[pool]
            root_rate = root_fee * start if token0_in else root_fee / start
            heads.root_rate[slot] = root_rate
            heads.depth[slot] = ranges.liquidity[ranges.offset[pool] + at] / root_fee
            probe = ends.probe[ends.low[pool] if direction == 0 else ends.high[pool]]
            if probe > 0.0:
                heads.log_rate[slot] = np.log(probed_rate(ranges, pool, token0_in, at, start, probe))
            else:
                heads.log_rate[slot] = 2.0 * np.log(root_rate)


@lean_kernel
def refresh_rates(graph: Graph, heads: Heads, pools: LongArray, seen: IntArray, changed: IntArray) -> int:
    """Recompute the best rate of the pairs of ``pools``, in both directions; return how many pairs it changed.

    Args:
        seen: work space by pair, all 0.
        changed: output, as long as ``pools``: the pairs with another best rate than before.
    """
    pair_of, first, last, best_of, best_rate = graph.pair_of, graph.first, graph.last, graph.best, graph.log_rate
    rates, count = heads.log_rate, 0
    for i in range(pools.size):
        pair = pair_of[pools[i]]
        if seen[pair] != 0:
            continue
        seen[pair] = 1
        differs = False
        for direction in range(2):
            best, rate = -1, -np.inf
            for pool in range(first[pair], last[pair]):
                if rates[2 * pool + direction] > rate:
                    best, rate = pool, rates[2 * pool + direction]
            best_of[2 * pair + direction] = best
            differs = differs or best_rate[2 * pair + direction] != rate
            best_rate[2 * pair + direction] = rate
        if differs:
            changed[count] = pair
            count += 1
    for i in range(pools.size):
        seen[pair_of[pools[i]]] = 0
    return count


@lean_kernel
def refresh(
    ranges: Ranges, heads: Heads, ends: Ends, graph: Graph, pools: LongArray, seen: IntArray, changed: IntArray
) -> int:
    """`refresh_heads`, then `refresh_rates`."""
    refresh_heads(ranges, heads, ends, pools)
    return refresh_rates(graph, heads, pools, seen, changed)
