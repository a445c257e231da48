"""The best loops of two, three and four edges through given edges, from the hub tables."""

from __future__ import annotations

import numpy as np

from keeper.discovery.search.arrays import BoolArray, Graph, IntArray, LongArray
from keeper.discovery.search.compiled import lean_kernel
from keeper.discovery.search.hubs import Hubs

MAX_HOPS = 4


@lean_kernel
def edge_to_hub(start: LongArray, to: IntArray, edge: IntArray, node: int, hub: int) -> int:
    """The edge from a node to a hub, -1 if there is none; ``start``, ``to`` and ``edge`` are those of `Hubs`."""
    low, end = start[node], start[node + 1]
    high = end
    while low < high:
        middle = (low + high) >> 1
        if to[middle] < hub:
            low = middle + 1
        else:
            high = middle
    if low < end and to[low] == hub:
        return int(edge[low])
    return -1


@lean_kernel
def best_two(graph: Graph, hubs: Hubs, source: int, target: int, excluded: int) -> tuple[float, int, int, int]:
    """The best path of two edges between nodes of which at least one is a hub: its rate, node and edges.

    The rate is minus infinity if there is none. Between two hubs the edges are left to `edge_to_hub` (-1).
    """
    h, g = hubs.number[source], hubs.number[target]
    if h >= 0 and g >= 0:
        i = 1 if hubs.two_node[h, g, 0] == excluded else 0
        return hubs.two_rate[h, g, i], hubs.two_node[h, g, i], -1, -1
    best, best_node, best_first, best_second = -np.inf, -1, -1, -1
    spoke, hub = (source, g) if g >= 0 else (target, h)
    rates, to, edge, start, hub_to, hub_edge = (graph.log_rate, graph.to, graph.edge, hubs.start, hubs.to, hubs.edge)
    for n in range(graph.start[spoke], graph.start[spoke + 1]):
        node = to[n]
        if node == excluded:
            continue
        first, second = edge[n], edge_to_hub(start, hub_to, hub_edge, node, hub)
        if second < 0:
            continue
        if g < 0:
            first, second = second ^ 1, first ^ 1
        rate = rates[first] + rates[second]
        if rate > best:
            best, best_node, best_first, best_second = rate, node, first, second
    return best, best_node, best_first, best_second


@lean_kernel
def best_loop_of_three(graph: Graph, hubs: Hubs, a: int, b: int, loop: IntArray) -> float:
    """Fill ``loop[1:3]`` with the best way b -> x -> a that makes an anchored loop; return its rate."""
    h, g = hubs.number[b], hubs.number[a]
    start, to, hub_edge, rates = hubs.start, hubs.to, hubs.edge, graph.log_rate
    if 0 <= h < hubs.anchors or 0 <= g < hubs.anchors:
        best, node, loop[1], loop[2] = best_two(graph, hubs, b, a, -1)
        if node >= 0 and loop[1] < 0:
            loop[1], loop[2] = edge_to_hub(start, to, hub_edge, node, h) ^ 1, edge_to_hub(start, to, hub_edge, node, g)
        return best
    best = -np.inf
    for anchor in range(hubs.anchors):
        first, second = edge_to_hub(start, to, hub_edge, b, anchor), edge_to_hub(start, to, hub_edge, a, anchor)
        if first >= 0 and second >= 0 and rates[first] + rates[second ^ 1] > best:
            best = rates[first] + rates[second ^ 1]
            loop[1], loop[2] = first, second ^ 1
    return best


@lean_kernel
def four_between_hubs(hubs: Hubs, a: int, b: int, loop: IntArray) -> float:
    """`best_loop_of_four` where a and b are hubs, one of them an anchor: over a third hub, or `three_rate`."""
    h, g = hubs.number[b], hubs.number[a]
    direct, two_rate, two_node = hubs.direct_rate, hubs.two_rate, hubs.two_node
    best, near, first = float(hubs.three_rate[h, g]), -1, False
    for k in range(direct.shape[0]):
        rate = float(direct[h, k])
        rate += two_rate[k, g, 1] if two_node[k, g, 0] == b else two_rate[k, g, 0]
        if rate > best:
            best, near, first = rate, k, True
        rate = float(direct[k, g])
        rate += two_rate[h, k, 1] if two_node[h, k, 0] == a else two_rate[h, k, 0]
        if rate > best:
            best, near, first = rate, k, False
    if best == -np.inf:
        return best
    start, to, edge = hubs.start, hubs.to, hubs.edge
    if near < 0:
        path = hubs.three_path[h, g]
        loop[1], loop[2], loop[3] = hubs.paths[path, 0], hubs.paths[path, 1], hubs.paths[path, 2]
    elif first:
        node = two_node[near, g, 1 if two_node[near, g, 0] == b else 0]
        loop[1], loop[2] = hubs.direct[h, near], edge_to_hub(start, to, edge, node, near) ^ 1
        loop[3] = edge_to_hub(start, to, edge, node, g)
    else:
        node = two_node[h, near, 1 if two_node[h, near, 0] == a else 0]
        loop[1], loop[2] = edge_to_hub(start, to, edge, node, h) ^ 1, edge_to_hub(start, to, edge, node, near)
        loop[3] = hubs.direct[near, g]
    return best


@lean_kernel
def best_loop_of_four(graph: Graph, hubs: Hubs, a: int, b: int, loop: IntArray) -> float:
    """Fill ``loop[1:4]`` with the best way b -> x -> y -> a that makes an anchored loop; return its rate."""
    h, g = hubs.number[b], hubs.number[a]
    anchored = 0 <= h < hubs.anchors or 0 <= g < hubs.anchors
    if anchored and h >= 0 and g >= 0:
        return four_between_hubs(hubs, a, b, loop)
    start, to, hub_edge, rates = hubs.start, hubs.to, hubs.edge, graph.log_rate
    best = -np.inf
    # one edge next to a or b is chosen, the other two come from the tables: which, tells ``side``
    side, near, node, first, second = 0, -1, -1, -1, -1
    if not anchored:
        for k in range(hubs.anchors):
            edge = edge_to_hub(start, to, hub_edge, b, k)
            if edge >= 0:
                rate, middle, one, two = best_two(graph, hubs, hubs.node[k], a, b)
                if rates[edge] + rate > best:
                    best = rates[edge] + rate
                    side, near, node, first, second = 0, edge, middle, one, two
            edge = edge_to_hub(start, to, hub_edge, a, k) ^ 1
            if edge >= 0:
                rate, middle, one, two = best_two(graph, hubs, b, hubs.node[k], a)
                if rate + rates[edge] > best:
                    best = rate + rates[edge]
                    side, near, node, first, second = 1, edge, middle, one, two
    else:
        # from the one that is no hub to all its neighbours, and from there to the anchor
        outer, inner, anchor, turn = (b, a, g, 0) if g >= 0 else (a, b, h, 1)
        side = turn
        for n in range(graph.start[outer], graph.start[outer + 1]):
            edge, x = graph.edge[n] ^ turn, graph.to[n]
            if x == inner or rates[edge] == -np.inf:
                continue
            k = hubs.number[x]
            if k >= 0:
                i, j = (k, anchor) if turn == 0 else (anchor, k)
                at = 1 if hubs.two_node[i, j, 0] == outer else 0
                if rates[edge] + hubs.two_rate[i, j, at] > best:
                    best = rates[edge] + hubs.two_rate[i, j, at]
                    near, node, first, second = edge, hubs.two_node[i, j, at], -1, -1
                continue
            for m in range(graph.start[x], graph.start[x + 1]):
                y = graph.to[m]
                if y in (outer, inner):
                    continue
                one, two = graph.edge[m] ^ turn, edge_to_hub(start, to, hub_edge, y, anchor)
                if two >= 0 and rates[edge] + rates[one] + rates[two ^ turn] > best:
                    best = rates[edge] + rates[one] + rates[two ^ turn]
                    near, node = edge, y
                    first, second = (one, two) if turn == 0 else (two ^ 1, one)
    if best == -np.inf:
        return best
    pair = near >> 1
    if side == 0:
        far = graph.high[pair] if near & 1 == 0 else graph.low[pair]
        if first < 0:
            first = edge_to_hub(start, to, hub_edge, node, hubs.number[far]) ^ 1
            second = edge_to_hub(start, to, hub_edge, node, g)
        loop[1], loop[2], loop[3] = near, first, second
    else:
        far = graph.low[pair] if near & 1 == 0 else graph.high[pair]
        if first < 0:
            first = edge_to_hub(start, to, hub_edge, node, h) ^ 1
            second = edge_to_hub(start, to, hub_edge, node, hubs.number[far])
        loop[1], loop[2], loop[3] = first, second, near
    return best


@lean_kernel
def best_loops(
    graph: Graph,
    hubs: Hubs,
    edges: IntArray,
    want_hops: BoolArray,
    loop: IntArray,
    loops: IntArray,
    hop_counts: IntArray,
) -> int:
    """For each edge and wanted number of hops the best loop that earns and holds an anchor; return their number.

    A loop may come several times, from different edges.

    Args:
        edges: directed.
        want_hops: index 2, 3 and 4 tell which loops are wanted.
        loop: work space for `MAX_HOPS` edges.
        loops, hop_counts: outputs, three rows an edge; ``loops[i, 0]`` is the edge.
    """
    count = 0
    for i in range(edges.size):
        loop[0] = edges[i]
        rate = graph.log_rate[loop[0]]
        if rate == -np.inf:
            continue
        a, b = graph.low[loop[0] >> 1], graph.high[loop[0] >> 1]
        if loop[0] & 1:
            a, b = b, a
        for hops in range(2, MAX_HOPS + 1):
            if not want_hops[hops]:
                continue
            if hops == 2:
                anchored = 0 <= hubs.number[a] < hubs.anchors or 0 <= hubs.number[b] < hubs.anchors
                loop[1] = loop[0] ^ 1
                back = graph.log_rate[loop[1]] if anchored else -np.inf
            elif hops == 3:
                back = best_loop_of_three(graph, hubs, a, b, loop)
            else:
                back = best_loop_of_four(graph, hubs, a, b, loop)
            if rate + back > 0.0:
                for j in range(hops):
                    loops[count, j] = loop[j]
                hop_counts[count] = hops
                count += 1
    return count
