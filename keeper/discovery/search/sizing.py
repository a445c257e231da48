"""The best input of a loop, in closed form range by range, and the best pools for its pairs.

Sizing identity. With q = sqrt(marginal rate, fee included), a constant-product range that is entered at q pays, for a
further input u, A * q * u / (u + A / q), where A = L / sqrt(1 - fee); its rate falls to q' after u = A / q' - A / q.
Such maps are Moebius maps that fix 0, and so is their composition g * u / (1 + c * u), with g the product of all q^2
and c the sum over the hops of (g of the hops before) * q / A. Its profit is greatest at u = (sqrt(g) - 1) / c, where it
is (sqrt(g) - 1)^2 / c. When a hop reaches the end of its range first, the loop is carried to that point, the hop enters
its next range, and the same holds from there. No step is iterative; a loop takes as many steps as ranges it crosses.
"""

from __future__ import annotations

import numpy as np

from keeper.discovery.search.compiled import lean_kernel
from keeper.discovery.search.ranges import FloatArray
from keeper.discovery.search.tables import BoolArray, Graph, Heads, IntArray, Ranges

MAX_HOPS = 4
KEPT_COMBINATIONS = 4
"""Pool combinations that are kept of one token loop: where the best fails in integers, the next may not."""
WIDTHS = (0, 0, 64, 16, 8)
"""By hops: the most pools tried for one hop; 4096 combinations a token loop."""
QUICK_WIDTHS = (0, 0, 12, 5, 3)
"""The same where many loops wait: 144 combinations."""


@lean_kernel
def first_range(ranges: Ranges, pool: int, token0_in: bool) -> tuple[int, float]:
    """Index of the first range with liquidity that a swap meets, and q = sqrt(marginal rate) at its start.

    The index is -1 when there is none.
    """
    if ranges.length[pool] == 0:
        return -1, 0.0
    price, root_fee = ranges.price[pool], ranges.root_fee[pool]
    base, at = ranges.offset[pool], ranges.current[pool]
    if ranges.liquidity[base + at] > 0.0:
        if token0_in and price > ranges.bounds[base + at]:
            return at, root_fee * price
        if not token0_in and price < ranges.bounds[base + at + 1]:
            return at, root_fee / price
    return next_range(ranges, pool, token0_in, at)


@lean_kernel
def next_range(ranges: Ranges, pool: int, token0_in: bool, at: int) -> tuple[int, float]:
    """As `first_range`, for the ranges behind range ``at``."""
    base, root_fee = ranges.offset[pool], ranges.root_fee[pool]
    if token0_in:
        for j in range(at - 1, -1, -1):
            start = ranges.bounds[base + j + 1]
            if start <= ranges.lowest[pool]:
                break
            if ranges.liquidity[base + j] > 0.0 and ranges.bounds[base + j] < start:
                return j, root_fee * start
    else:
        for j in range(at + 1, ranges.length[pool]):
            start = ranges.bounds[base + j]
            if start >= ranges.highest[pool]:
                break
            if ranges.liquidity[base + j] > 0.0 and ranges.bounds[base + j + 1] > start:
                return j, root_fee / start
    return -1, 0.0


@lean_kernel
def refresh_heads(ranges: Ranges, heads: Heads, pools: IntArray) -> None:
    """Recompute the heads of ``pools`` in both directions."""
    for i in range(pools.size):
        pool = pools[i]
        for direction in range(2):
            slot = 2 * pool + direction
            at, root_rate = first_range(ranges, pool, (direction == 0) != ranges.flipped[pool])
            heads.at[slot] = at
            heads.root_rate[slot] = root_rate
            if at < 0:
                heads.depth[slot] = 0.0
                heads.log_rate[slot] = -np.inf
            else:
                heads.depth[slot] = ranges.liquidity[ranges.offset[pool] + at] / ranges.root_fee[pool]
                heads.log_rate[slot] = 2.0 * np.log(root_rate)


@lean_kernel
def range_end(ranges: Ranges, pool: int, token0_in: bool, at: int) -> float:
    """q at the end of a range, or where the pool's reach ends within it; 0 for a range without an end."""
    base = ranges.offset[pool] + at
    if token0_in:
        return float(ranges.root_fee[pool] * max(ranges.bounds[base], ranges.lowest[pool]))
    return float(ranges.root_fee[pool] / min(ranges.bounds[base + 1], ranges.highest[pool]))


@lean_kernel
def best_input(
    ranges: Ranges, heads: Heads, pools: IntArray, directions: IntArray, hops: int, scratch: FloatArray, at: IntArray
) -> tuple[float, float, bool]:
    """The optimum of a loop with one pool a hop: profit and input, raw units of the first token, and if it is a kink.

    It is one when some range ends there; if no range follows, the rates have not met but nothing more can be traded.

    Args:
        scratch: work space, shape (3, hops or more); ``at`` the same, shape (hops or more,).
    """
    root_rate, depth, end = scratch[0], scratch[1], scratch[2]
    for i in range(hops):
        slot = 2 * pools[i] + directions[i]
        at[i] = heads.at[slot]
        if at[i] < 0:
            return 0.0, 0.0, False
        root_rate[i] = heads.root_rate[slot]
        depth[i] = heads.depth[slot]
        end[i] = range_end(ranges, pools[i], (directions[i] == 0) != ranges.flipped[pools[i]], at[i])
    total, profit = 0.0, 0.0
    while True:
        gain, curve = 1.0, 0.0
        reach, binding = np.inf, -1
        for i in range(hops):
            if end[i] > 0.0:
                limit = max(depth[i] / end[i] - depth[i] / root_rate[i], 0.0)
                # the loop input at which this hop is given ``limit``; never, where the hops before pay out less
                room = gain - curve * limit
                if room > 0.0 and limit / room < reach:
                    reach, binding = limit / room, i
            curve += gain * root_rate[i] / depth[i]
            gain *= root_rate[i] * root_rate[i]
        if not gain > 1.0:
            return profit, total, True
        step = (np.sqrt(gain) - 1.0) / curve
        if not step > reach:
            return profit + step * (np.sqrt(gain) - 1.0), total + step, False
        flow = reach
        for i in range(hops):
            paid = depth[i] * root_rate[i] * flow / (flow + depth[i] / root_rate[i])
            root_rate[i] = depth[i] / (flow + depth[i] / root_rate[i])
            flow = paid
        total += reach
        profit += flow - reach
        pool = pools[binding]
        token0_in = (directions[binding] == 0) != ranges.flipped[pool]
        at[binding], root_rate[binding] = next_range(ranges, pool, token0_in, at[binding])
        if at[binding] < 0:
            return profit, total, True
        depth[binding] = ranges.liquidity[ranges.offset[pool] + at[binding]] / ranges.root_fee[pool]
        end[binding] = range_end(ranges, pool, token0_in, at[binding])


@lean_kernel
def candidate_pools(
    graph: Graph, heads: Heads, usable: BoolArray, edge: int, others: float, width: int, out: IntArray
) -> int:
    """Pools of an edge that can be part of a profitable loop; at most ``width``, half by rate and half by depth.

    Args:
        usable: by pool.
        others: sum of the best log rates of the loop's other edges.
    """
    direction = edge & 1
    count = 0
    for pool in range(graph.first[edge >> 1], graph.last[edge >> 1]):
        if usable[pool] and heads.log_rate[2 * pool + direction] + others > 0.0:
            out[count] = pool
            count += 1
    if count <= width:
        return count
    # selection sort of the places that stay
    for i in range(width):
        best = i
        for j in range(i + 1, count):
            a, b = 2 * out[j] + direction, 2 * out[best] + direction
            better = heads.log_rate[a] > heads.log_rate[b] if i < width // 2 else heads.depth[a] > heads.depth[b]
            if better:
                best = j
        out[i], out[best] = out[best], out[i]
    return width


@lean_kernel
def size_loops(
    graph: Graph,
    ranges: Ranges,
    heads: Heads,
    usable: BoolArray,
    venue: IntArray,
    distinct: bool,
    loops: IntArray,
    hop_counts: IntArray,
    value: FloatArray,
    widths: IntArray,
    max_sizings: int,
    candidates: IntArray,
    work: IntArray,
    scratch: FloatArray,
    out_pools: IntArray,
    out_loop: IntArray,
    out_size: FloatArray,
    out_kink: BoolArray,
    out_value: FloatArray,
) -> tuple[int, int, bool]:
    """Size the pool combinations of each loop and keep the best `KEPT_COMBINATIONS` of each.

    Args:
        usable: by pool; the others are left out.
        venue: by pool; with ``distinct``, no two pools of a loop may have the same.
        value: by loop, worth of a raw unit of its first token in the first profit token.
        widths: by hops, the most pools that are tried for one hop.
        max_sizings: bound on the combinations sized in all.
        candidates: work space, shape (`MAX_HOPS`, pools of the widest pair); ``work`` and ``scratch`` the same, of
            shapes (5, `MAX_HOPS`) and (3, `MAX_HOPS`).
        out_pools, out_loop, out_size, out_kink, out_value: outputs, `KEPT_COMBINATIONS` rows a loop.

    Returns:
        the number of rows written, the number of combinations sized, and whether a bound left any out.
    """
    counts, digit, pools, directions, at = work[0], work[1], work[2], work[3], work[4]
    rows, sized, truncated = 0, 0, False
    for i in range(hop_counts.size):
        hops = hop_counts[i]
        best_sum = 0.0
        for h in range(hops):
            best_sum += graph.log_rate[loops[i, h]]
        empty = False
        for h in range(hops):
            edge = loops[i, h]
            directions[h] = edge & 1
            others = best_sum - graph.log_rate[edge]
            counts[h] = candidate_pools(graph, heads, usable, edge, others, widths[hops], candidates[h])
            if counts[h] == widths[hops] and graph.last[edge >> 1] - graph.first[edge >> 1] > widths[hops]:
                truncated = True
            empty = empty or counts[h] == 0
            digit[h] = 0
        first_row = rows
        while not empty:
            total = 0.0
            for h in range(hops):
                pools[h] = candidates[h, digit[h]]
                total += heads.log_rate[2 * pools[h] + directions[h]]
            fits = total > 0.0
            for h in range(hops):
                for g in range(h):
                    if pools[g] == pools[h] or (distinct and venue[pools[g]] == venue[pools[h]]):
                        fits = False
            if fits:
                if sized == max_sizings:
                    return rows, sized, True
                sized += 1
                profit, size, at_kink = best_input(ranges, heads, pools, directions, hops, scratch, at)
                worth = profit * value[i]
                row = rows
                if rows - first_row == KEPT_COMBINATIONS:
                    row = first_row
                    for r in range(first_row, rows):
                        if out_value[r] < out_value[row]:
                            row = r
                    if not worth > out_value[row]:
                        row = -1
                if row >= 0 and profit > 0.0 and np.isfinite(worth):
                    for h in range(hops):
                        out_pools[row, h] = pools[h]
                    out_loop[row] = i
                    out_size[row] = size
                    out_kink[row] = at_kink
                    out_value[row] = worth
                    rows = max(rows, row + 1)
            # the next combination, as an odometer counts
            h = 0
            while h < hops:
                digit[h] += 1
                if digit[h] < counts[h]:
                    break
                digit[h] = 0
                h += 1
            if h == hops:
                break
    return rows, sized, truncated
