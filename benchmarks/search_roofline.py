"""How near detection comes to what the memory of this machine allows.

An evaluation is one candidate loop whose rate is compared. The least memory that it needs is that of a screen of
stored loops of three hops: 12 bytes of edge numbers, read in order, and three rates from anywhere in the table of
rates. `screen` does that and nothing else; its evaluations a second are the limit, on the rates of the same market.

The enumeration of loops stores no loops and is measured against that limit. The hub tables are not bound by it: they
answer for the same edges with some thousand look-ups in place of millions, each of which waits for the one before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np

from keeper.discovery.search.arrays import FloatArray, IntArray
from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.kernels import NO_RANK, enumerate_loops

STORED_LOOPS = 2_000_000
REPEATS = 9
KEPT = 16_384
STEPS = 20_000_000
"""Edges that one run of the enumeration looks at, about."""


@dataclass(frozen=True)
class Roofline:
    """Millions of evaluations a second."""

    limit: float
    enumeration: float

    @property
    def fraction(self) -> float:
        return self.enumeration / self.limit


def measure_roofline(search: LoopSearch, edges: IntArray) -> Roofline:
    """Run both in turn, so that what slows the machine down slows both; the best run of each counts.

    Args:
        edges: directed edges of the market's graph, changed ones; the first of them are taken, up to `STEPS`.
    """
    graph = search.graph
    loops = np.random.default_rng(2).integers(0, graph.log_rate.size, (STORED_LOOPS, 3), dtype=np.int32)
    degree = np.diff(graph.start)
    steps = np.cumsum(degree[graph.low[edges >> 1]] + degree[graph.high[edges >> 1]])
    dirty = edges[: max(int(np.searchsorted(steps, STEPS)), 1)]
    enumerate_dirty = _enumeration(search, dirty)
    screen(loops[:1], graph.log_rate)
    enumerate_dirty()
    seconds = [(_seconds(lambda: screen(loops, graph.log_rate)), _seconds(enumerate_dirty)) for _ in range(REPEATS)]
    limit, enumeration = (min(column) for column in zip(*seconds, strict=True))
    return Roofline(STORED_LOOPS / limit / 1e6, float(steps[dirty.size - 1]) / enumeration / 1e6)


@numba.njit(nogil=True, error_model="numpy", fastmath=True, _nrt=False)
def screen(loops: IntArray, rates: FloatArray) -> int:
    """How many of the loops, shape (loops, 3), have rates that multiply to above 1."""
    count = 0
    for i in range(loops.shape[0]):
        if rates[loops[i, 0]] + rates[loops[i, 1]] + rates[loops[i, 2]] > 0.0:
            count += 1
    return count


def _enumeration(search: LoopSearch, dirty: IntArray) -> Callable[[], object]:
    graph = search.graph
    rank = np.full(graph.token.size, NO_RANK, dtype=np.int32)
    rank[graph.token == 0] = 0
    value = np.ones(graph.token.size)
    admitted = np.ones(graph.low.size, dtype=np.bool_)
    three = np.array([hops == 3 for hops in range(5)])
    order = np.full(graph.log_rate.size, NO_RANK, dtype=np.int32)
    closing = np.full(graph.token.size, -1, dtype=np.int32)
    outputs = np.empty((KEPT, 4), dtype=np.int32), np.empty(KEPT, dtype=np.int32), np.empty(KEPT)
    heads, loop = search.table.heads, np.empty(4, dtype=np.int32)
    known = (graph, heads, rank, value, admitted, dirty, three, order, closing, loop)
    return lambda: enumerate_loops(*known, *outputs, 10 * STEPS)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
