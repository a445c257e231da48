"""The best loop through an edge without enumerating loops: tables of the best paths between hub nodes.

A hub is a node with many pairs, or one in which profit is taken. For each ordered pair of hubs the tables hold the two
best paths of two edges, with different nodes between, so that one node can be excluded; and, where profit is taken at
one of the two, the best path over two nodes that are not hubs. An edge's best loop of two to four edges then takes a
few look-ups, and a changed edge touches a few entries. Loops are not stored: at 100,000 pools there are billions.

Loops count only if they hold a node where profit is taken ("anchor"). Paths are compared by their summed log rates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keeper.discovery.search.arrays import BoolArray, FloatArray, Graph, IntArray, LongArray
from keeper.discovery.search.compiled import kernel, lean_kernel

HUBS = 32
"""Hubs of a graph, when there are not more anchors. The tables grow with its square."""


KEPT = 8
"""Best paths of two edges that are kept between two hubs. Two are needed; with the others at hand, an entry is found
anew only after several of its best have fallen."""


class Hubs(NamedTuple):
    """Tables of one graph. Hub h is node ``node[h]``, ``number`` the inverse (-1: no hub); anchors come first.

    Edges from node n to hubs: ``edge[start[n]:start[n + 1]]``, to hub ``to[...]``, ascending. ``direct[h, g]`` is the
    edge between two hubs, -1 if there is none, ``direct_rate`` its log rate. The nodes between hubs h < g, with their
    edges to h and to g: ``middles[two_start[h * H + g]:...]``. The paths h -> x -> y -> g over two other nodes, as
    three edges and ``h * H + g``: ``paths[three_start[h * H + g]:...]``; those that use a pair:
    ``path_of[path_start[pair]:...]``.

    ``two_rate[h, g]`` and ``two_node[h, g]`` are the best two-edge paths h -> node -> g, the best first, ``two_size``
    of them and at least two where so many exist; no other has a rate above ``two_floor``. ``three_rate`` and
    ``three_path`` are the best of ``paths``. Without a path: minus infinity and -1. ``stale``, all False, and
    ``marked`` are work space.
    """

    anchors: int
    node: IntArray
    number: IntArray
    start: LongArray
    to: IntArray
    edge: IntArray
    direct: IntArray
    direct_rate: FloatArray
    two_start: LongArray
    middles: IntArray
    three_start: LongArray
    paths: IntArray
    path_start: LongArray
    path_of: LongArray
    two_rate: FloatArray
    two_node: IntArray
    two_size: IntArray
    two_floor: FloatArray
    three_rate: FloatArray
    three_path: LongArray
    stale: BoolArray
    marked: IntArray


def build_hubs(graph: Graph, anchors: IntArray, hubs: int = HUBS) -> Hubs:
    """Tables of ``graph`` at its present rates.

    Args:
        anchors: nodes where profit is taken; all become hubs.
        hubs: with the nodes that have the most pairs, so many hubs.
    """
    nodes = graph.start.size - 1
    degree = np.diff(graph.start)
    degree[anchors] = np.iinfo(np.int64).max
    chosen = np.argsort(-degree, kind="stable")[: max(hubs, anchors.size)]
    size = chosen.size
    number = np.full(nodes, -1, dtype=np.int32)
    number[chosen] = np.arange(size)
    source = np.repeat(np.arange(nodes), np.diff(graph.start))
    to_hub = np.flatnonzero(number[graph.to] >= 0)
    to_hub = to_hub[np.lexsort((number[graph.to[to_hub]], source[to_hub]))]
    start = np.zeros(nodes + 1, dtype=np.int64)
    start[1:] = np.cumsum(np.bincount(source[to_hub], minlength=nodes))
    to, edge = number[graph.to[to_hub]], graph.edge[to_hub]
    direct = np.full((size, size), -1, dtype=np.int32)
    between = number[source[to_hub]] >= 0
    direct[number[source[to_hub[between]]], to[between]] = edge[between]
    two_start, middles = middle_nodes(start, to, edge, size)
    three_start, paths = outer_paths(graph, number, start, to, edge, anchors.size, size)
    flat = (paths[:, :3] >> 1).ravel()
    path_start = np.zeros(graph.low.size + 1, dtype=np.int64)
    path_start[1:] = np.cumsum(np.bincount(flat, minlength=graph.low.size))
    tables = Hubs(
        anchors=int(anchors.size),
        node=chosen.astype(np.int32),
        number=number,
        start=start,
        to=to,
        edge=edge,
        direct=direct,
        direct_rate=np.full((size, size), -np.inf),
        two_start=two_start,
        middles=middles,
        three_start=three_start,
        paths=paths,
        path_start=path_start,
        path_of=np.argsort(flat, kind="stable") // 3,
        two_rate=np.full((size, size, KEPT), -np.inf),
        two_node=np.full((size, size, KEPT), -1, dtype=np.int32),
        two_size=np.zeros((size, size), dtype=np.int32),
        two_floor=np.full((size, size), -np.inf),
        three_rate=np.full((size, size), -np.inf),
        three_path=np.full((size, size), -1, dtype=np.int64),
        stale=np.zeros((size, size), dtype=np.bool_),
        marked=np.empty((size * size, 2), dtype=np.int32),
    )
    fill_hubs(graph, tables)
    return tables


@kernel
def middle_nodes(start: LongArray, to: IntArray, edge: IntArray, size: int) -> tuple[LongArray, IntArray]:
    """The offsets and rows (node, its edge to h, its edge to g) of the nodes next to two hubs h < g."""
    offset = np.zeros(size * size + 1, np.int64)
    for node in range(start.size - 1):
        for i in range(start[node], start[node + 1]):
            for j in range(i + 1, start[node + 1]):
                offset[to[i] * size + to[j] + 1] += 1
    offset = np.cumsum(offset)
    rows = np.empty((offset[-1], 3), np.int32)
    place = offset.copy()
    for node in range(start.size - 1):
        for i in range(start[node], start[node + 1]):
            for j in range(i + 1, start[node + 1]):
                key = to[i] * size + to[j]
                rows[place[key], 0], rows[place[key], 1], rows[place[key], 2] = node, edge[i], edge[j]
                place[key] += 1
    return offset, rows


@kernel
def outer_paths(
    graph: Graph, number: IntArray, start: LongArray, to: IntArray, edge: IntArray, anchors: int, size: int
) -> tuple[LongArray, IntArray]:
    """The offsets and rows (three edges and key) of the paths hub, two others, hub, with an anchor at an end."""
    offset = np.zeros(size * size + 1, np.int64)
    rows = np.empty((0, 4), np.int32)
    place = offset
    for fill in range(2):
        for pair in range(graph.low.size):
            if number[graph.low[pair]] >= 0 or number[graph.high[pair]] >= 0:
                continue
            for direction in range(2):
                x, y = graph.low[pair], graph.high[pair]
                if direction == 1:
                    x, y = y, x
                for i in range(start[x], start[x + 1]):
                    for j in range(start[y], start[y + 1]):
                        if to[i] == to[j] or (to[i] >= anchors and to[j] >= anchors):
                            continue
                        key = to[i] * size + to[j]
                        if fill == 0:
                            offset[key + 1] += 1
                            continue
                        at = place[key]
                        rows[at, 0], rows[at, 1] = edge[i] ^ 1, 2 * pair + direction
                        rows[at, 2], rows[at, 3] = edge[j], key
                        place[key] += 1
        if fill == 0:
            offset = np.cumsum(offset)
            place = offset.copy()
            rows = np.empty((offset[-1], 4), np.int32)
    return offset, rows


@lean_kernel
def insert(
    rates: FloatArray, nodes: IntArray, sizes: IntArray, floors: FloatArray, h: int, g: int, node: int, rate: float
) -> None:
    """Put a path among the kept ones of an entry that does not have its node; the last makes room for it.

    The arrays are ``two_rate``, ``two_node``, ``two_size`` and ``two_floor``: handed over alone, they cost a call less
    than all the tables do.
    """
    at = sizes[h, g]
    if at == KEPT:
        at -= 1
        floors[h, g] = max(floors[h, g], rates[h, g, at])
    else:
        sizes[h, g] = at + 1
    while at > 0 and rates[h, g, at - 1] < rate:
        rates[h, g, at], nodes[h, g, at] = rates[h, g, at - 1], nodes[h, g, at - 1]
        at -= 1
    rates[h, g, at], nodes[h, g, at] = rate, node


@lean_kernel
def fill_two(graph: Graph, hubs: Hubs, h: int, g: int) -> None:
    """Find the best of all two-edge paths from hub h to hub g."""
    rates, middles = graph.log_rate, hubs.middles
    key = min(h, g) * hubs.direct.shape[0] + max(h, g)
    inward, outward = (1, 2) if h < g else (2, 1)
    for i in range(KEPT):
        hubs.two_rate[h, g, i], hubs.two_node[h, g, i] = -np.inf, -1
    hubs.two_size[h, g], hubs.two_floor[h, g] = 0, -np.inf
    last = -np.inf
    for i in range(hubs.two_start[key], hubs.two_start[key + 1]):
        rate = rates[middles[i, inward] ^ 1] + rates[middles[i, outward]]
        if rate > last:
            insert(hubs.two_rate, hubs.two_node, hubs.two_size, hubs.two_floor, h, g, middles[i, 0], rate)
            last = hubs.two_rate[h, g, KEPT - 1]
        elif rate > hubs.two_floor[h, g]:
            hubs.two_floor[h, g] = rate


@lean_kernel
def change_two(
    rates: FloatArray, nodes: IntArray, sizes: IntArray, floors: FloatArray, h: int, g: int, node: int, rate: float
) -> bool:
    """Enter the new rate of the path h -> node -> g; False where the entry has to be found anew."""
    size, floor = sizes[h, g], floors[h, g]
    at = 0
    while at < size and nodes[h, g, at] != node:
        at += 1
    if at < size:
        # in most cases it keeps its place
        above = rates[h, g, at - 1] if at > 0 else np.inf
        below = rates[h, g, at + 1] if at + 1 < size else floor
        if below <= rate <= above and rate > -np.inf:
            rates[h, g, at] = rate
            return True
        size -= 1
        for i in range(at, size):
            rates[h, g, i], nodes[h, g, i] = rates[h, g, i + 1], nodes[h, g, i + 1]
        rates[h, g, size], nodes[h, g, size] = -np.inf, -1
        sizes[h, g] = size
    # a path that is no better than one outside may be is outside as well
    if rate > floor:
        insert(rates, nodes, sizes, floors, h, g, node, rate)
    return bool(sizes[h, g] >= 2 or floor == -np.inf)


@lean_kernel
def path_rate(graph: Graph, hubs: Hubs, at: int) -> float:
    """Summed log rate of one of the paths over two other nodes."""
    rates = graph.log_rate
    return float(rates[hubs.paths[at, 0]] + rates[hubs.paths[at, 1]] + rates[hubs.paths[at, 2]])


@lean_kernel
def fill_three(graph: Graph, hubs: Hubs, h: int, g: int) -> None:
    """Find the best of the paths from hub h to hub g over two other nodes."""
    key = h * hubs.direct.shape[0] + g
    best, at = -np.inf, -1
    for i in range(hubs.three_start[key], hubs.three_start[key + 1]):
        rate = path_rate(graph, hubs, i)
        if rate > best:
            best, at = rate, i
    hubs.three_rate[h, g], hubs.three_path[h, g] = best, at


@lean_kernel
def fill_hubs(graph: Graph, hubs: Hubs) -> None:
    """Find the best paths between all hubs."""
    for h in range(hubs.direct.shape[0]):
        for g in range(hubs.direct.shape[0]):
            if hubs.direct[h, g] >= 0:
                hubs.direct_rate[h, g] = graph.log_rate[hubs.direct[h, g]]
            if h != g:
                fill_two(graph, hubs, h, g)
                fill_three(graph, hubs, h, g)


@lean_kernel
def refresh_hubs(graph: Graph, hubs: Hubs, pairs: IntArray, count: int) -> None:
    """Bring the tables to the graph's rates after those of the first ``count`` of ``pairs`` changed.

    A path that got better moves up in place. One that fell out of what is kept marks its entry, and all marked entries
    are found anew at the end, so that the order of the changes does not matter.
    """
    size = hubs.direct.shape[0]
    rates, low, high = graph.log_rate, graph.low, graph.high
    number, start, to, edge = hubs.number, hubs.start, hubs.to, hubs.edge
    two_rate, two_node, two_size, two_floor = hubs.two_rate, hubs.two_node, hubs.two_size, hubs.two_floor
    stale, marked, marks = hubs.stale, hubs.marked, 0
    for i in range(count):
        pair = pairs[i]
        for side in range(2):
            # the pair joins ``hub`` to ``node``; other hubs next to that node are reached over it
            end, node, out = low[pair], high[pair], 2 * pair
            if side == 1:
                end, node, out = node, end, 2 * pair + 1
            hub = number[end]
            if hub < 0:
                continue
            there, back = rates[out], rates[out ^ 1]
            if number[node] >= 0:
                hubs.direct_rate[hub, number[node]] = there
            for j in range(start[node], start[node + 1]):
                if to[j] == hub:
                    continue
                for direction in range(2):
                    if direction == 0:
                        h, g = hub, to[j]
                        rate = there + rates[edge[j]]
                    else:
                        h, g = to[j], hub
                        rate = rates[edge[j] ^ 1] + back
                    if not stale[h, g] and not change_two(two_rate, two_node, two_size, two_floor, h, g, node, rate):
                        stale[h, g] = True
                        marked[marks, 0], marked[marks, 1] = h, g
                        marks += 1
    for i in range(marks):
        fill_two(graph, hubs, marked[i, 0], marked[i, 1])
        stale[marked[i, 0], marked[i, 1]] = False
    marks = 0
    for i in range(count):
        for j in range(hubs.path_start[pairs[i]], hubs.path_start[pairs[i] + 1]):
            at = hubs.path_of[j]
            h, g = hubs.paths[at, 3] // size, hubs.paths[at, 3] % size
            if stale[h, g]:
                continue
            rate = path_rate(graph, hubs, at)
            if rate >= hubs.three_rate[h, g] and rate > -np.inf:
                hubs.three_rate[h, g], hubs.three_path[h, g] = rate, at
            elif hubs.three_path[h, g] == at:
                stale[h, g] = True
                marked[marks, 0], marked[marks, 1] = h, g
                marks += 1
    for i in range(marks):
        fill_three(graph, hubs, marked[i, 0], marked[i, 1])
        stale[marked[i, 0], marked[i, 1]] = False
