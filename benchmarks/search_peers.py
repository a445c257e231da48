"""Other ways to look for a loop in the same graph: negative cycles (rustworkx, Bellman-Ford) and exhaustive search."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import rustworkx
from numpy.typing import NDArray

from keeper.discovery.search.compiled import lean_kernel
from keeper.discovery.search.tables import Graph

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]


def rustworkx_finder(graph: Graph) -> Callable[[], bool]:
    """A call of `rustworkx.find_negative_cycle` on the best rate of each edge; True when there is a cycle.

    The graph is built here, outside of the call: only the search is measured.
    """
    peer = rustworkx.PyDiGraph()
    peer.add_nodes_from(range(graph.token.size))
    usable = np.isfinite(graph.log_rate)
    ends = np.empty((2 * graph.low.size, 2), dtype=np.int64)
    ends[0::2, 0], ends[0::2, 1] = graph.low, graph.high
    ends[1::2, 0], ends[1::2, 1] = graph.high, graph.low
    weights = -graph.log_rate
    peer.add_edges_from([(a, b, w) for (a, b), w in zip(ends[usable].tolist(), weights[usable].tolist(), strict=True)])

    def find() -> bool:
        try:
            return bool(rustworkx.find_negative_cycle(peer, float))
        except ValueError:
            return False

    return find


def bellman_ford_finder(graph: Graph, source: int, rounds: int) -> Callable[[], bool]:
    """Bellman and Ford's algorithm, compiled: ``rounds`` over all edges, then the cycles among the predecessors.

    After so many rounds the shortest ways of so many edges are known, which loops of that length need.
    """
    distance = np.empty(graph.token.size)
    before = np.empty(graph.token.size, dtype=np.int32)
    seen = np.empty(graph.token.size, dtype=np.int32)

    def find() -> bool:
        return bool(_bellman_ford(graph, source, rounds, distance, before, seen))

    return find


@lean_kernel
def _bellman_ford(
    graph: Graph, source: int, rounds: int, distance: FloatArray, before: IntArray, seen: IntArray
) -> bool:
    distance[:] = np.inf
    distance[source] = 0.0
    before[:] = -1
    for _ in range(rounds):
        relaxed = False
        for edge in range(graph.log_rate.size):
            pair = edge >> 1
            a, b = graph.low[pair], graph.high[pair]
            if edge & 1:
                a, b = b, a
            through = distance[a] - graph.log_rate[edge]
            if through < distance[b] - 1e-12:
                distance[b], before[b] = through, a
                relaxed = True
        if not relaxed:
            return False
    seen[:] = -1
    for first in range(seen.size):
        node = first
        while node >= 0 and seen[node] < 0:
            seen[node] = first
            node = before[node]
        if node >= 0 and seen[node] == first:
            return True
    return False


@lean_kernel
def exhaustive(graph: Graph, anchored: NDArray[np.bool_], edges: IntArray, closing: IntArray, best: FloatArray) -> None:
    """The rate of the best loop of 2, 3 and 4 edges through each edge, by looking at all of them.

    Args:
        anchored: by node; a loop counts if one of its nodes is.
        closing: work space, by node, all -1.
        best: output, shape (edges, 5); column h holds the best summed log rate of h edges.
    """
    best[:] = -np.inf
    for i in range(edges.size):
        edge = edges[i]
        a, b = graph.low[edge >> 1], graph.high[edge >> 1]
        if edge & 1:
            a, b = b, a
        fixed = anchored[a] or anchored[b]
        rate = graph.log_rate[edge]
        if fixed:
            best[i, 2] = rate + graph.log_rate[edge ^ 1]
        for n in range(graph.start[a], graph.start[a + 1]):
            closing[graph.to[n]] = graph.edge[n] ^ 1
        for n in range(graph.start[b], graph.start[b + 1]):
            x = graph.to[n]
            if x == a:
                continue
            through = rate + graph.log_rate[graph.edge[n]]
            if closing[x] >= 0 and (fixed or anchored[x]):
                best[i, 3] = max(best[i, 3], through + graph.log_rate[closing[x]])
            for m in range(graph.start[x], graph.start[x + 1]):
                y = graph.to[m]
                if y != b and closing[y] >= 0 and (fixed or anchored[x] or anchored[y]):
                    best[i, 4] = max(best[i, 4], through + graph.log_rate[graph.edge[m]] + graph.log_rate[closing[y]])
        for n in range(graph.start[a], graph.start[a + 1]):
            closing[graph.to[n]] = -1
