"""Kernels that keep the best rate of each pair and enumerate profitable loops through given pairs."""

from __future__ import annotations

import numpy as np

from keeper.discovery.search.compiled import kernel, lean_kernel
from keeper.discovery.search.ranges import FloatArray
from keeper.discovery.search.tables import BoolArray, Graph, Heads, IntArray

NO_RANK = np.iinfo(np.int32).max
"""Rank of a token in which no profit is taken."""


@lean_kernel
def refresh_rates(graph: Graph, heads: Heads, pools: IntArray, changed: IntArray) -> int:
    """Recompute the best rate of the pairs of ``pools``, in both directions; return how many pairs it changed.

    Args:
        changed: output, as long as ``pools``: the pairs with another best rate than before.
    """
    count = 0
    pair_of, first, last, best_of, best_rate = graph.pair_of, graph.first, graph.last, graph.best, graph.log_rate
    rates = heads.log_rate
    for i in range(pools.size):
        pair = pair_of[pools[i]]
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
    return count


@lean_kernel
def source_of(graph: Graph, edge: int) -> int:
    pair = edge >> 1
    return int(graph.low[pair]) if edge & 1 == 0 else int(graph.high[pair])


@lean_kernel
def halve(loops: IntArray, hop_counts: IntArray, estimates: FloatArray) -> tuple[int, float]:
    """Keep the loops above the geometric mean of the estimates, about half; return their number and the mean."""
    smallest, logarithms = np.inf, 0.0
    for i in range(estimates.size):
        smallest = min(smallest, estimates[i])
        logarithms += np.log(estimates[i])
    floor = max(smallest, np.exp(logarithms / estimates.size))
    size = 0
    for i in range(estimates.size):
        if estimates[i] > floor:
            for h in range(loops.shape[1]):
                loops[size, h] = loops[i, h]
            hop_counts[size] = hop_counts[i]
            estimates[size] = estimates[i]
            size += 1
    return size, floor


@lean_kernel
def offer_loop(
    graph: Graph,
    heads: Heads,
    rank: IntArray,
    value: FloatArray,
    loop: IntArray,
    hops: int,
    loops: IntArray,
    hop_counts: IntArray,
    estimates: FloatArray,
    size: int,
    floor: float,
) -> tuple[int, float]:
    """Append a loop, turned to start at its best-ranked profit token; return the number of loops and the floor.

    The estimate is the profit of the best-rate pools if their first ranges had no end, in the first profit token. It
    keeps dust pools with absurd prices from crowding out loops with depth. Only estimates above the floor count.
    """
    turn, lowest = 0, NO_RANK
    for i in range(hops):
        here = rank[source_of(graph, loop[i])]
        if here < lowest:
            turn, lowest = i, here
    if lowest == NO_RANK:
        return size, floor
    gain, curve = 1.0, 0.0
    for i in range(hops):
        edge = loop[(turn + i) % hops]
        slot = 2 * graph.best[edge] + (edge & 1)
        curve += gain * heads.root_rate[slot] / heads.depth[slot]
        gain *= heads.root_rate[slot] ** 2
    if not gain > 1.0:
        return size, floor
    estimate = value[source_of(graph, loop[turn])] * (np.sqrt(gain) - 1.0) ** 2 / curve
    if not estimate > floor:
        return size, floor
    if size == estimates.size:
        size, floor = halve(loops, hop_counts, estimates)
        if not estimate > floor:
            return size, floor
    for i in range(hops):
        loops[size, i] = loop[(turn + i) % hops]
    hop_counts[size] = hops
    estimates[size] = estimate
    return size + 1, floor


@kernel
def offer_each(
    graph: Graph,
    heads: Heads,
    rank: IntArray,
    value: FloatArray,
    given: IntArray,
    given_hops: IntArray,
    loops: IntArray,
    hop_counts: IntArray,
    estimates: FloatArray,
) -> int:
    """`offer_loop` for each of ``given``, which may hold a loop several times, from different edges; return how many.

    Args:
        loops, hop_counts, estimates: outputs, as long as ``given``.
    """
    size, floor = 0, 0.0
    buckets = 64
    while buckets < 4 * given_hops.size:
        buckets *= 2
    table = np.full(buckets, -1, np.int32)
    for i in range(given_hops.size):
        before = size
        size, floor = offer_loop(
            graph, heads, rank, value, given[i], given_hops[i], loops, hop_counts, estimates, size, floor
        )
        if size == before:
            continue
        code = 0
        for h in range(given_hops[i]):
            code = (code * 1_000_003 + loops[before, h]) & 0xFFFFFFFF
        at = (code ^ (code >> 15)) & (buckets - 1)
        while table[at] >= 0:
            known = hop_counts[table[at]] == given_hops[i]
            for h in range(given_hops[i]):
                known = known and loops[table[at], h] == loops[before, h]
            if known:
                size = before
                break
            at = (at + 1) & (buckets - 1)
        if size > before:
            table[at] = before
    return size


@lean_kernel
def enumerate_loops(
    graph: Graph,
    heads: Heads,
    rank: IntArray,
    value: FloatArray,
    admitted: BoolArray,
    dirty: IntArray,
    want_hops: BoolArray,
    order: IntArray,
    closing: IntArray,
    loop: IntArray,
    loops: IntArray,
    hop_counts: IntArray,
    estimates: FloatArray,
    max_steps: int,
) -> tuple[int, bool]:
    """Every loop of two to four pairs whose best rates multiply to above 1 and that has a dirty edge, each once.

    Nothing about loops is kept between calls. A loop is found from the first of its dirty edges a -> b: back by the
    same pair; by b -> x -> a; by b -> x -> y -> a. Where the output fills up, the half with the smaller estimates goes.

    Args:
        rank: by token, the place among the profit tokens; `NO_RANK` outside of them.
        value: by token, worth in the first profit token; read for ranked tokens only.
        admitted: by pair.
        dirty: directed edges, distinct.
        want_hops: index 2, 3 and 4 tell which loops are wanted.
        order, closing, loop: work space: by edge, all `NO_RANK`; by node, all -1; of four edges.
        loops, hop_counts, estimates: outputs of equal length; the edges of loop i are ``loops[i, :hop_counts[i]]``.
        max_steps: bound on the edges looked at, for each number of hops.

    Returns:
        the number of loops, and whether a bound cut the enumeration short.
    """
    size, floor, truncated = 0, 0.0, False
    for i in range(dirty.size):
        order[dirty[i]] = i
    for hops in range(2, 5):
        if not want_hops[hops]:
            continue
        steps = 0
        for i in range(dirty.size):
            loop[0] = dirty[i]
            rate = graph.log_rate[loop[0]]
            if rate == -np.inf or not admitted[loop[0] >> 1]:
                continue
            if steps > max_steps:
                truncated = True
                break
            if hops == 2:
                steps += 1
                loop[1] = loop[0] ^ 1
                if order[loop[1]] > i and rate + graph.log_rate[loop[1]] > 0.0:
                    size, floor = offer_loop(
                        graph, heads, rank, value, loop, hops, loops, hop_counts, estimates, size, floor
                    )
                continue
            a, b = source_of(graph, loop[0]), source_of(graph, loop[0] ^ 1)
            for n in range(graph.start[a], graph.start[a + 1]):
                back = graph.edge[n] ^ 1
                if order[back] > i and admitted[back >> 1]:
                    closing[graph.to[n]] = back
            steps += graph.start[a + 1] - graph.start[a]
            for n in range(graph.start[b], graph.start[b + 1]):
                x, loop[1] = graph.to[n], graph.edge[n]
                through_x = rate + graph.log_rate[loop[1]]
                steps += 1
                if x == a or through_x == -np.inf or order[loop[1]] < i or not admitted[loop[1] >> 1]:
                    continue
                if hops == 3:
                    loop[2] = closing[x]
                    if loop[2] >= 0 and through_x + graph.log_rate[loop[2]] > 0.0:
                        size, floor = offer_loop(
                            graph, heads, rank, value, loop, hops, loops, hop_counts, estimates, size, floor
                        )
                    continue
                for m in range(graph.start[x], graph.start[x + 1]):
                    y, loop[2] = graph.to[m], graph.edge[m]
                    loop[3] = closing[y]
                    if loop[3] < 0 or y == b or order[loop[2]] < i or not admitted[loop[2] >> 1]:
                        continue
                    if through_x + graph.log_rate[loop[2]] + graph.log_rate[loop[3]] > 0.0:
                        size, floor = offer_loop(
                            graph, heads, rank, value, loop, hops, loops, hop_counts, estimates, size, floor
                        )
                steps += graph.start[x + 1] - graph.start[x]
            for n in range(graph.start[a], graph.start[a + 1]):
                closing[graph.to[n]] = -1
    return size, truncated or floor > 0.0
