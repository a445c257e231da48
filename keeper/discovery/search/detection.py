"""Which token loops are worth sizing: all that earn where they are few, the best of each changed edge where not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from keeper.discovery.search.arrays import BoolArray, FloatArray, Graph, Heads, IntArray, LongArray
from keeper.discovery.search.best_loops import MAX_HOPS, best_loops
from keeper.discovery.search.hubs import Hubs, build_hubs, refresh_hubs
from keeper.discovery.search.kernels import NO_RANK, enumerate_loops, offer_each
from keeper.discovery.search.rows import refresh, refresh_rates
from keeper.discovery.search.tables import PoolTable

MAX_LOOPS = 16_384
"""Token loops that one search sizes at most; of more, those with the larger estimates."""
ENUMERATED_STEPS = 1_000_000
"""Edges up to which a search enumerates all loops of a number of hops; about 5 ms. Beyond, the best of each edge."""
MAX_STEPS = 50_000_000
"""Edges that one enumeration looks at, for each number of hops."""


class TokenLoops(NamedTuple):
    """Loops before pools and sizes are chosen.

    Attributes:
        edges: of ``graph``, shape (loops, `MAX_HOPS`); a loop has the first ``hop_counts[i]``.
        complete: all loops were looked at, not only the best of each changed edge and number of hops.
        cut_short: one of the module's bounds left some out.
    """

    graph: Graph
    edges: IntArray
    hop_counts: IntArray
    complete: bool
    cut_short: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """A graph and what the search keeps about it.

    Attributes:
        anchors: nodes of profit tokens.
        rank, value: by node; see `enumerate_loops`.
        degree, reach: by node, its edges and those of its neighbours.
        widest: the most pools that a pair has.
        seen: work space by pair, all 0.
    """

    graph: Graph
    hubs: Hubs
    anchors: IntArray
    rank: IntArray
    value: FloatArray
    degree: LongArray
    reach: LongArray
    widest: int
    seen: IntArray

    @classmethod
    def of(cls, graph: Graph, heads: Heads, token_rank: IntArray) -> Layer:
        rows = np.arange(graph.pair_of.size, dtype=np.int64)
        seen = np.zeros(graph.low.size, dtype=np.int32)
        refresh_rates(graph, heads, rows, seen, np.empty(rows.size, dtype=np.int32))
        rank = token_rank[graph.token]
        anchors = np.flatnonzero(rank != NO_RANK).astype(np.int32)
        degree = np.diff(graph.start)
        edges_before = np.concatenate(([0], np.cumsum(degree[graph.to])))
        return cls(
            graph=graph,
            hubs=build_hubs(graph, anchors),
            anchors=anchors,
            rank=rank,
            value=np.zeros(graph.token.size),
            degree=degree,
            reach=np.diff(edges_before[graph.start]),
            widest=int((graph.last - graph.first).max(initial=0)),
            seen=seen,
        )

    def steps(self, edges: IntArray, hops: int) -> int:
        """Edges that the enumeration of loops through ``edges`` would look at."""
        low, high = self.graph.low[edges >> 1], self.graph.high[edges >> 1]
        if hops == 4:
            return int(self.reach[np.where(edges & 1, low, high)].sum())
        return int((self.degree[low] + self.degree[high]).sum())

    def refresh_all(self, table: PoolTable, rows: LongArray) -> None:
        """Bring heads, rates and tables to the state of the pools ``rows``."""
        changed = np.empty(rows.size, dtype=np.int32)
        count = refresh(table.ranges, table.heads, table.ends, self.graph, rows, self.seen, changed)
        refresh_hubs(self.graph, self.hubs, changed, count)

    def refresh(self, heads: Heads, rows: LongArray) -> None:
        """Bring rates and tables to the heads of the pools ``rows``."""
        changed = np.empty(rows.size, dtype=np.int32)
        count = refresh_rates(self.graph, heads, rows, self.seen, changed)
        refresh_hubs(self.graph, self.hubs, changed, count)

    def detect(
        self,
        heads: Heads,
        rows: IntArray,
        wanted: frozenset[int],
        admitted: BoolArray | None,
        enumerated_steps: int,
    ) -> TokenLoops:
        """Loops of ``wanted`` hops through the pairs of the pools ``rows``, the largest estimate first.

        Args:
            rows: ascending.
            admitted: by pair; all pairs when None.
            enumerated_steps: see `ENUMERATED_STEPS`.
        """
        graph = self.graph
        pairs = graph.pair_of[rows]
        if pairs.size:
            pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])]
        edges = np.concatenate((2 * pairs, 2 * pairs + 1))
        if admitted is not None:
            edges = edges[admitted[edges >> 1]]
        # loops of two edges are all found by either way; the tables know all pairs and serve no restriction to some
        few = {
            hops
            for hops in wanted - {2}
            if admitted is not None or (enumerated_steps and self.steps(edges, hops) <= enumerated_steps)
        }
        found: list[tuple[IntArray, IntArray, FloatArray]] = []
        cut_short = False
        if wanted - few:
            found.append(self._best(heads, edges, wanted - few))
        if few:
            loops, hop_counts = np.empty((MAX_LOOPS, MAX_HOPS), dtype=np.int32), np.empty(MAX_LOOPS, dtype=np.int32)
            estimates = np.empty(MAX_LOOPS)
            count, cut_short = enumerate_loops(
                graph,
                heads,
                self.rank,
                self.value,
                np.ones(graph.low.size, dtype=np.bool_) if admitted is None else admitted,
                edges,
                _mask(few),
                np.full(graph.log_rate.size, NO_RANK, dtype=np.int32),
                np.full(graph.token.size, -1, dtype=np.int32),
                np.empty(MAX_HOPS, dtype=np.int32),
                loops,
                hop_counts,
                estimates,
                MAX_STEPS,
            )
            found.append((loops[:count], hop_counts[:count], estimates[:count]))
        all_loops, all_hops, all_estimates = found[0]
        if len(found) > 1:
            all_loops, all_hops, all_estimates = (np.concatenate(part) for part in zip(*found, strict=True))
        cut_short = cut_short or all_estimates.size > MAX_LOOPS
        order = np.argsort(-all_estimates, kind="stable")[:MAX_LOOPS]
        return TokenLoops(graph, all_loops[order], all_hops[order], wanted - few <= {2}, cut_short)

    def _best(self, heads: Heads, edges: IntArray, hops: Collection[int]) -> tuple[IntArray, IntArray, FloatArray]:
        """From the tables, the best loop of each edge and number of hops, with its estimate."""
        room = 3 * edges.size
        given, given_hops = np.empty((room, MAX_HOPS), dtype=np.int32), np.empty(room, dtype=np.int32)
        work = np.empty(MAX_HOPS, dtype=np.int32)
        count = best_loops(self.graph, self.hubs, edges, _mask(hops), work, given, given_hops)
        loops, hop_counts = np.empty((count + 1, MAX_HOPS), dtype=np.int32), np.empty(count + 1, dtype=np.int32)
        estimates = np.empty(count + 1)
        buckets = np.full(1 << (4 * count + 1).bit_length(), -1, dtype=np.int32)
        count = offer_each(
            self.graph,
            heads,
            self.rank,
            self.value,
            given,
            given_hops,
            count,
            buckets,
            loops,
            hop_counts,
            estimates,
        )
        return loops[:count], hop_counts[:count], estimates[:count]


def _mask(hops: Collection[int]) -> BoolArray:
    return np.array([count in hops for count in range(MAX_HOPS + 1)])
