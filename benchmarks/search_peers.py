"""Other ways to look for a loop in the same graph: negative cycles (rustworkx, Bellman-Ford) and exhaustive search."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import rustworkx
from numpy.typing import NDArray

from keeper.discovery.search.arrays import Graph
from keeper.discovery.search.compiled import lean_kernel

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


def bellman_ford_finder(graph: Graph, source: int) -> Callable[[], bool]:
    """Bellman and Ford's algorithm from one node, compiled: True when it comes upon a negative cycle.

    Rounds over all edges, each relaxed in place, until a round changes nothing (no cycle can be reached) or the
    predecessors form a cycle, which proves a negative one. They are looked at after each round; the textbook's sign, a
    change in as many rounds as there are nodes, would take minutes here.
    """
    distance = np.empty(graph.token.size)
    before = np.empty(graph.token.size, dtype=np.int32)
    seen = np.empty(graph.token.size, dtype=np.int32)

    def find() -> bool:
        return bool(_bellman_ford(graph, source, distance, before, seen))

    return find


@lean_kernel
def _bellman_ford(graph: Graph, source: int, distance: FloatArray, before: IntArray, seen: IntArray) -> bool:
    distance[:] = np.inf
    distance[source] = 0.0
    before[:] = -1
    for _ in range(distance.size):
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
    return True


@lean_kernel
def bellman_ford_of_edges(
    graph: Graph, edges: IntArray, known: NDArray[np.bool_], distance: FloatArray, best: FloatArray
) -> None:
    """The rate of the best loop of 2, 3 and 4 edges through each edge, by Bellman and Ford's rounds.

    What the search answers, by this algorithm: after n rounds from a node the best ways of n edges to all others are
    known, so three rounds from the head of an edge close its loops. Edges with the same head share their rounds. Two
    things make its answer looser than `exhaustive`, and its work less: ways may visit a node twice, and a loop needs no
    profit token.

    Args:
        known: work space, as long as ``edges``.
        distance: work space, shape (4, nodes): summed log rates after 0 to 3 rounds.
        best: output as of `exhaustive`.
    """
    known[:] = False
    for i in range(edges.size):
        if known[i]:
            continue
        head = graph.low[edges[i] >> 1] if edges[i] & 1 else graph.high[edges[i] >> 1]
        distance[:] = -np.inf
        distance[0, head] = 0.0
        for step in range(3):
            for edge in range(graph.log_rate.size):
                pair = edge >> 1
                a, b = graph.low[pair], graph.high[pair]
                if edge & 1:
                    a, b = b, a
                distance[step + 1, b] = max(distance[step + 1, b], distance[step, a] + graph.log_rate[edge])
        for j in range(i, edges.size):
            pair = edges[j] >> 1
            a, b = (graph.high[pair], graph.low[pair]) if edges[j] & 1 else (graph.low[pair], graph.high[pair])
            if b == head:
                known[j] = True
                for hops in range(2, 5):
                    best[j, hops] = graph.log_rate[edges[j]] + distance[hops - 1, a]


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
