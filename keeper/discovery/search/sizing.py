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

from keeper.discovery.search.arrays import BoolArray, FloatArray, Graph, Heads, IntArray, Ranges
from keeper.discovery.search.compiled import lean_kernel

MAX_HOPS = 4
KEPT_COMBINATIONS = 4
"""Pool combinations that are kept of one token loop: where the best fails in integers, the next may not."""
WIDTHS = (0, 0, 64, 16, 8)
"""By hops: the most pools tried for one hop; 4096 combinations a token loop."""
QUICK_WIDTHS = (0, 0, 12, 5, 3)
"""The same where many loops wait: 144 combinations."""


@lean_kernel
def next_range(ranges: Ranges, pool: int, token0_in: bool, at: int) -> tuple[int, float]:
    """The first range with liquidity behind range ``at``, and q = sqrt(marginal rate) at its start; -1 for none."""
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
def keep_best(values: FloatArray, slot: int, out: IntArray, first: int, size: int, room: int) -> int:
    """Put the pool of ``slot`` among ``out[first:first + size]``, the largest value first; return the new size."""
    direction, value = slot & 1, values[slot]
    at = first + size
    if size == room:
        at -= 1
        if value <= values[2 * out[at] + direction]:
            return size
    else:
        size += 1
    while at > first and values[2 * out[at - 1] + direction] < value:
        out[at] = out[at - 1]
        at -= 1
    out[at] = slot >> 1
    return size


@lean_kernel
def candidate_pools(
    graph: Graph, heads: Heads, usable: BoolArray, edge: int, others: float, width: int, out: IntArray, spare: IntArray
) -> int:
    """Pools of an edge that can be part of a profitable loop; at most ``width``, half by rate and half by depth.

    Args:
        usable: by pool.
        others: sum of the best log rates of the loop's other edges.
        spare: work space, as long as ``out``.
    """
    direction = edge & 1
    count = 0
    for pool in range(graph.first[edge >> 1], graph.last[edge >> 1]):
        if usable[pool] and heads.log_rate[2 * pool + direction] + others > 0.0:
            spare[count] = pool
            count += 1
    if count <= width:
        for i in range(count):
            out[i] = spare[i]
        return count
    half, by_rate, by_depth = width // 2, 0, 0
    for i in range(count):
        by_rate = keep_best(heads.log_rate, 2 * spare[i] + direction, out, 0, by_rate, half)
    for i in range(count):
        known = False
        for j in range(half):
            known = known or out[j] == spare[i]
        if not known:
            by_depth = keep_best(heads.depth, 2 * spare[i] + direction, out, half, by_depth, width - half)
    return width


@lean_kernel
def size_loops(
    graph: Graph,
    ranges: Ranges,
    heads: Heads,
    usable: BoolArray,
    owner: IntArray,
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
        owner: by pool; no two pools of a loop may have the same.
        venue: by pool; with ``distinct``, no two pools of a loop may have the same.
        value: by loop, worth of a raw unit of its first token in the first profit token.
        widths: by hops, the most pools that are tried for one hop.
        max_sizings: bound on the combinations sized in all.
        candidates: work space, shape (`MAX_HOPS` + 1, pools of the widest pair); ``work`` and ``scratch`` the same, of
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
            counts[h] = candidate_pools(
                graph, heads, usable, edge, others, widths[hops], candidates[h], candidates[MAX_HOPS]
            )
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
                    if owner[pools[g]] == owner[pools[h]] or (distinct and venue[pools[g]] == venue[pools[h]]):
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


@lean_kernel
def sift(estimates: FloatArray, order: IntArray, at: int, size: int) -> None:
    """Let the entry at ``at`` of a heap with the least estimate first sink to its place."""
    while 2 * at + 1 < size:
        below = 2 * at + 1
        if below + 1 < size and estimates[order[below + 1]] < estimates[order[below]]:
            below += 1
        if estimates[order[at]] <= estimates[order[below]]:
            return
        order[at], order[below] = order[below], order[at]
        at = below


@lean_kernel
def size_best(
    graph: Graph,
    ranges: Ranges,
    heads: Heads,
    usable: BoolArray,
    owner: IntArray,
    venue: IntArray,
    distinct: bool,
    loops: IntArray,
    hop_counts: IntArray,
    value: FloatArray,
    widths: IntArray,
    candidates: IntArray,
    work: IntArray,
    scratch: FloatArray,
    order: IntArray,
    estimates: FloatArray,
    out_pools: IntArray,
    out_loop: IntArray,
    out_size: FloatArray,
    out_kink: BoolArray,
    out_value: FloatArray,
) -> int:
    """Size, of all pool combinations of all loops, those that promise most; return their number.

    What one promises is its profit if its first ranges had no end. Arguments as of `size_loops`.

    Args:
        order, estimates: work space, as long as the outputs.
        out_pools, out_loop, out_size, out_kink, out_value: outputs; their length bounds what is sized.
    """
    counts, digit, pools, directions, at = work[0], work[1], work[2], work[3], work[4]
    rows, room = 0, out_loop.size
    for i in range(hop_counts.size):
        hops = hop_counts[i]
        best_sum = 0.0
        for h in range(hops):
            best_sum += graph.log_rate[loops[i, h]]
        combinations = 1
        for h in range(hops):
            edge = loops[i, h]
            directions[h] = edge & 1
            others = best_sum - graph.log_rate[edge]
            counts[h] = candidate_pools(
                graph, heads, usable, edge, others, widths[hops], candidates[h], candidates[MAX_HOPS]
            )
            combinations *= counts[h]
            digit[h] = 0
        for _ in range(combinations):
            gain, curve, fits = 1.0, 0.0, True
            for h in range(hops):
                pools[h] = candidates[h, digit[h]]
                slot = 2 * pools[h] + directions[h]
                curve += gain * heads.root_rate[slot] / heads.depth[slot]
                gain *= heads.root_rate[slot] * heads.root_rate[slot]
                for g in range(h):
                    if owner[pools[g]] == owner[pools[h]] or (distinct and venue[pools[g]] == venue[pools[h]]):
                        fits = False
            if fits and gain > 1.0:
                root = np.sqrt(gain) - 1.0
                estimate = value[i] * root * root / curve
                row = rows if rows < room else order[0]
                if rows < room or estimate > estimates[row]:
                    for h in range(hops):
                        out_pools[row, h] = pools[h]
                    out_loop[row], estimates[row] = i, estimate
                    if rows == room:
                        sift(estimates, order, 0, room)
                    else:
                        order[row] = row
                        rows += 1
                        # a heap with the least first, from when the room is full
                        for j in range(room // 2 - 1 if rows == room else -1, -1, -1):
                            sift(estimates, order, j, room)
            h = 0
            while h < hops:
                digit[h] += 1
                if digit[h] < counts[h]:
                    break
                digit[h] = 0
                h += 1
    for row in range(rows):
        i = out_loop[row]
        for h in range(hop_counts[i]):
            pools[h], directions[h] = out_pools[row, h], loops[i, h] & 1
        profit, out_size[row], out_kink[row] = best_input(ranges, heads, pools, directions, hop_counts[i], scratch, at)
        out_value[row] = profit * value[i] if np.isfinite(profit * value[i]) else 0.0
    return rows
