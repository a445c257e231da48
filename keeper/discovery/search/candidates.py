"""From token loops to loops of pools with an input: one pool a hop, or each hop split over its pools."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keeper.discovery.search.arrays import BoolArray, FloatArray, IntArray, LongArray
from keeper.discovery.search.detection import Layer, TokenLoops
from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from keeper.discovery.search.proven import Legs
from keeper.discovery.search.sizing import (
    KEPT_COMBINATIONS,
    MAX_HOPS,
    QUICK_WIDTHS,
    WIDTHS,
    size_best,
    size_loops,
)
from keeper.discovery.search.split import MAX_LEGS, Walk, split_loops
from keeper.discovery.search.tables import PoolTable

SIZED_OF_BEST = 2
"""Where the loops are the best of each edge, so many times the routes asked for are sized."""
TRIED_OF_BEST = 3
"""Pool combinations that are sized then, times the routes asked for."""
MAX_SIZINGS = 200_000
"""Pool combinations that one search sizes at most."""
_WIDTHS: IntArray = np.array(WIDTHS, dtype=np.int32)
_QUICK_WIDTHS: IntArray = np.array(QUICK_WIDTHS, dtype=np.int32)


class Singles(NamedTuple):
    """Loops with one pool a hop, the largest profit first.

    Attributes:
        pools: rows, shape (loops, `MAX_HOPS`); a loop has the first ``hops[i]``.
        loop: index of its token loop.
        start: number of its first token.
        size: input, raw units of the first token; ``at_kink`` as `best_input` tells.
        value: profit in the first profit token; ``worth`` of a raw unit of the first token in it.
        crowded: other pool combinations of its token loop were left out for it.
        sized: combinations sized in all; ``cut_short`` tells that a bound left some out.
    """

    pools: IntArray
    hops: IntArray
    loop: IntArray
    start: IntArray
    size: FloatArray
    at_kink: BoolArray
    value: FloatArray
    worth: FloatArray
    crowded: BoolArray
    sized: int
    cut_short: bool


def starts_of(loops: TokenLoops) -> IntArray:
    """The node that each loop starts from."""
    first = loops.edges[:, 0]
    return np.where(first & 1, loops.graph.high[first >> 1], loops.graph.low[first >> 1])


def size_singles(
    table: PoolTable, layer: Layer, loops: TokenLoops, allow: LoopFilter, usable: BoolArray, limit: int
) -> Singles:
    """The best pools and inputs of ``loops``, the first few of them where they are the best of their edges only."""
    graph, edges, hop_counts = loops.graph, loops.edges, loops.hop_counts
    if not loops.complete:
        edges, hop_counts = edges[: SIZED_OF_BEST * limit], hop_counts[: SIZED_OF_BEST * limit]
    count = len(hop_counts)
    starts = starts_of(loops)[:count]
    worth = layer.value[starts]
    room = KEPT_COMBINATIONS * count if loops.complete else min(TRIED_OF_BEST * limit, 64 * count)
    out_pools = np.zeros((room, MAX_HOPS), dtype=np.int32)
    out_loop, out_size = np.empty(room, dtype=np.int32), np.empty(room)
    out_kink, out_value = np.empty(room, dtype=np.bool_), np.empty(room)
    common: tuple[Any, ...] = (
        graph,
        table.ranges,
        table.heads,
        usable,
        table.owner,
        table.fee_tier if allow.fee_tiers_are_venues else table.dex,
        allow.dexes is DexRule.DISTINCT,
        edges,
        hop_counts,
        worth,
    )
    work = (
        np.empty((MAX_HOPS + 1, layer.widest), dtype=np.int32),
        np.empty((5, MAX_HOPS), dtype=np.int32),
        np.empty((3, MAX_HOPS)),
    )
    outputs = (out_pools, out_loop, out_size, out_kink, out_value)
    if loops.complete:
        arguments = [*common, _WIDTHS, MAX_SIZINGS, *work, *outputs]
        rows, sized, cut = size_loops(*arguments)
    else:
        heap = np.empty(room, dtype=np.int32), np.empty(room)
        arguments = [*common, _QUICK_WIDTHS, *work, *heap, *outputs]
        rows = size_best(*arguments) if room else 0
        sized, cut = rows, rows == room
    best = np.argsort(-out_value[:rows], kind="stable")
    best = best[out_value[best] > 0.0]
    crowded = np.bincount(out_loop[:rows], minlength=count) >= KEPT_COMBINATIONS
    if not loops.complete:
        best = best[_places(out_loop[best]) < KEPT_COMBINATIONS]
        crowded |= rows == room
    loop = out_loop[best]
    return Singles(
        out_pools[best],
        hop_counts[loop],
        loop,
        graph.token[starts[loop]],
        out_size[best],
        out_kink[best],
        out_value[best],
        worth[loop],
        crowded[loop],
        sized,
        cut,
    )


def _places(loops: IntArray) -> LongArray:
    """How many entries before have the same number."""
    order = np.argsort(loops, kind="stable")
    places = np.empty(loops.size, dtype=np.int64)
    places[order] = np.arange(loops.size) - np.searchsorted(loops[order], loops[order])
    return places


def legs_of_singles(table: PoolTable, loops: TokenLoops, singles: Singles) -> Legs:
    """The loops with one leg a hop."""
    used = np.arange(MAX_HOPS) < singles.hops[:, None]
    start = np.zeros(singles.hops.size + 1, dtype=np.int32)
    np.cumsum(singles.hops, out=start[1:])
    pools = singles.pools[used]
    directions = loops.edges[singles.loop][used] & 1
    return Legs(
        start=start,
        sizes=singles.size,
        worth=singles.worth,
        at_kink=singles.at_kink,
        hops=np.broadcast_to(np.arange(MAX_HOPS, dtype=np.int32), used.shape)[used],
        pools=pools,
        shares=np.ones(pools.size),
        first_in=(directions == 0) != table.ranges.flipped[pools],
    )


def split(
    table: PoolTable,
    layer: Layer,
    loops: TokenLoops,
    chosen: IntArray,
    usable: BoolArray,
    gas_per_leg: float,
    walk: Walk,
) -> Legs:
    """The best splits of the token loops ``chosen``, net of their legs' gas; a loop that earns nothing has no legs.

    Args:
        gas_per_leg: in the first profit token.
    """
    edges, hop_counts = loops.edges[chosen], loops.hop_counts[chosen]
    worth = layer.value[starts_of(loops)[chosen]]
    count = chosen.size
    start = np.zeros(count + 1, dtype=np.int32)
    sizes, profits = np.empty(count), np.empty(count)
    room = MAX_LEGS * count
    pools, hops, shares = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int32), np.empty(room)
    split_loops(
        loops.graph,
        table.ranges,
        table.heads,
        usable,
        table.owner,
        edges,
        hop_counts,
        gas_per_leg / worth,
        walk,
        start,
        sizes,
        profits,
        pools,
        hops,
        shares,
    )
    legs = int(start[-1])
    pools, hops = pools[:legs], hops[:legs]
    directions = edges[np.repeat(np.arange(count), np.diff(start)), hops] & 1
    return Legs(
        start=start,
        sizes=sizes,
        worth=worth,
        at_kink=np.zeros(count, dtype=np.bool_),
        hops=hops,
        pools=pools,
        shares=shares[:legs],
        first_in=(directions == 0) != table.ranges.flipped[pools],
    )
