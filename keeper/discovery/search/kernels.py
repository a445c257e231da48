"""Kernels that gather token loops with estimates of their worth: those given, or all through given pairs."""

from __future__ import annotations

import numpy as np

from keeper.discovery.search.arrays import BoolArray, FloatArray, Graph, Heads, IntArray
from keeper.discovery.search.compiled import lean_kernel

NO_RANK = np.iinfo(np.int32).max
"""Rank of a token in which no profit is taken."""


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
def turn_of(graph: Graph, rank: IntArray, loop: IntArray, hops: int) -> int:
    """Place of the edge that starts at the loop's best-ranked profit token; -1 where it holds none."""
    turn, lowest = -1, NO_RANK
    for i in range(hops):
        here = rank[source_of(graph, loop[i])]
        if here < lowest:
            turn, lowest = i, here
    return turn


@lean_kernel
def estimate_of(graph: Graph, heads: Heads, value: FloatArray, loop: IntArray, hops: int, turn: int) -> float:
    """The profit of the best-rate pools if their first ranges had no end, in the first profit token; 0 for none.

    It keeps dust pools with absurd prices from crowding out loops with depth.
    """
    gain, curve = 1.0, 0.0
    for i in range(hops):
        edge = loop[(turn + i) % hops]
        slot = 2 * graph.best[edge] + (edge & 1)
        curve += gain * heads.root_rate[slot] / heads.depth[slot]
        gain *= heads.root_rate[slot] * heads.root_rate[slot]
    if not gain > 1.0:
        return 0.0
    return float(value[source_of(graph, loop[turn])] * (np.sqrt(gain) - 1.0) ** 2 / curve)


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

    Only estimates above the floor count.
    """
    turn = turn_of(graph, rank, loop, hops)
    if turn < 0:
        return size, floor
    estimate = estimate_of(graph, heads, value, loop, hops, turn)
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


@lean_kernel
def offer_each(
    graph: Graph,
    heads: Heads,
    rank: IntArray,
    value: FloatArray,
    given: IntArray,
    given_hops: IntArray,
    count: int,
    buckets: IntArray,
    loops: IntArray,
    hop_counts: IntArray,
    estimates: FloatArray,
) -> int:
    """The first ``count`` of ``given`` with their estimates, each loop once whatever edge it begins with; return how
    many.

    Args:
        buckets: work space, all -1; a power of two, four times ``count`` or more.
        loops, hop_counts, estimates: outputs, ``count`` or more rows.
    """
    size = 0
    for i in range(count):
        hops = given_hops[i]
        turn = turn_of(graph, rank, given[i], hops)
        if turn < 0:
            continue
        code = hops
        for h in range(hops):
            edge = given[i, (turn + h) % hops]
            loops[size, h] = edge
            code = (code * 1_000_003 + edge) & 0xFFFFFFFF
        at = (code ^ (code >> 15)) & (buckets.size - 1)
        known = False
        while buckets[at] >= 0 and not known:
            known = hop_counts[buckets[at]] == hops
            for h in range(hops):
                known = known and loops[buckets[at], h] == loops[size, h]
            at = (at + 1) & (buckets.size - 1)
        if known:
            continue
        buckets[at] = size
        hop_counts[size] = hops
        estimates[size] = estimate_of(graph, heads, value, given[i], hops, turn)
        if estimates[size] > 0.0:
            size += 1
        else:
            buckets[at] = -1
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
