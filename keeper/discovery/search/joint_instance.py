"""The part of the market that a joint solve looks at: a few tokens and all pools among them, as flat arrays.

Everything the joint solve knows about the search's tables is in this file.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from keeper.discovery.search.compiled import kernel
from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.hubs import Hubs
from keeper.discovery.search.loop_filter import LoopFilter
from keeper.discovery.search.ranges import FloatArray
from keeper.discovery.search.tables import BoolArray, Graph, Heads, IntArray, LongArray, Ranges
from keeper.domain.units import Address
from keeper.market.venues.base import Pool


class JointInstance(NamedTuple):
    """Pools among local tokens ``0 <= t < tokens``, sorted by pair; the profit token is the last token.

    Tokens come in the order in which the linear systems eliminate them: those with few pools first. Pair p trades
    ``low[p]`` and ``high[p]`` through the pools ``first[p] <= k < first[p + 1]``. Direction 0 of a pair and of its
    pools goes from low to high; slot ``2 * k + d`` is pool k in direction d.

    Attributes:
        group: by pool, from 0; pools of one group are pairs of one contract, of which a bundle may use one.
        head: by slot, q = sqrt(marginal rate, fee included) where a swap begins; 0 where nothing can be bought.
        best: by ``2 * pair + direction``, the greatest of ``head``.
        at: by slot, index into ``bounds`` and ``liquidity`` of the first range that a swap meets.
        begin, end: by pool, its ranges are ``begin[k] <= j < end[k]``; see `keeper.discovery.search.ranges`.
        downwards: by pool, direction 0 sells the pool's token0, so that its price falls.
        root_fee: by slot, sqrt(1 - fee).
        lowest, highest: by pool, no swap moves the price beyond.
        weight: by slot, weight of the token that comes in by that of the other; 0 where the pool is made of ranges.
        reserve: by slot, of a weighted pool its balance of the token that comes in, raw units.
    """

    low: IntArray
    high: IntArray
    first: LongArray
    group: IntArray
    head: FloatArray
    best: FloatArray
    at: LongArray
    begin: LongArray
    end: LongArray
    downwards: BoolArray
    root_fee: FloatArray
    lowest: FloatArray
    highest: FloatArray
    bounds: FloatArray
    liquidity: FloatArray
    weight: FloatArray
    reserve: FloatArray


class JointMarket(NamedTuple):
    """An instance with what its numbers stand for: tokens and pools by local number."""

    instance: JointInstance
    tokens: list[Address]
    pools: list[Pool | None]


def market_around(search: LoopSearch, changed: Collection[Address], profit_token: Address) -> JointMarket | None:
    """The tokens of the loops through the pairs of ``changed`` that earn, the hubs, and all pools among them.

    None where no loop earns, or where no pool trades the profit token.
    """
    # the tables belong together, and a supposed change is in them only for a while
    with search._lock:
        table, graph = search.table, search.graph
        profit = table.token_index.get(profit_token)
        if profit is None:
            return None
        loops = search.detect(changed, allow=LoopFilter())
        if len(loops.edges) == 0:
            return None
        # a graph that is split by DEX has other nodes; this one has the tokens of the table themselves
        nodes, pairs = cut_out(graph, search.hubs, loops.edges, loops.hop_counts, profit)
        rows, made = gather(graph, table.ranges, table.heads, table.owner, nodes, np.sort(pairs))
        pools = table.pools
        return JointMarket(
            made, [table.tokens[t] for t in graph.token[nodes].tolist()], [pools[k] for k in rows.tolist()]
        )


@kernel
def cut_out(graph: Graph, hubs: Hubs, loops: IntArray, hop_counts: IntArray, profit: int) -> tuple[IntArray, IntArray]:
    """The nodes of the loops and the hubs, by falling number, ``profit`` last; and the pairs among them."""
    local = np.full(graph.token.size, -1, np.int32)
    count = 0
    for i in range(loops.shape[0]):
        for h in range(hop_counts[i]):
            pair = loops[i, h] >> 1
            for node in (graph.low[pair], graph.high[pair]):
                if local[node] < 0:
                    local[node] = 0
                    count += 1
    for node in hubs.node:
        if local[node] < 0:
            local[node] = 0
            count += 1
    nodes = np.empty(count, np.int32)
    place = 0
    for back in range(local.size):
        node = local.size - 1 - back
        if local[node] == 0 and graph.token[node] != profit:
            nodes[place] = node
            place += 1
    for node in hubs.node:
        if graph.token[node] == profit:
            nodes[place] = node
            place += 1
    nodes = nodes[:place]
    pairs = np.empty(graph.low.size if graph.low.size < 65_536 else 65_536, np.int32)
    found = 0
    for node in nodes:
        # hubs have pairs without number: those between two of them come from a table instead
        if hubs.number[node] >= 0:
            for g in range(hubs.number[node]):
                edge = hubs.direct[hubs.number[node], g]
                if edge >= 0 and found < pairs.size:
                    pairs[found] = edge >> 1
                    found += 1
            continue
        for n in range(graph.start[node], graph.start[node + 1]):
            to = graph.to[n]
            if local[to] == 0 and (to < node or hubs.number[to] >= 0) and found < pairs.size:
                pairs[found] = graph.edge[n] >> 1
                found += 1
    return nodes, pairs[:found]


@kernel
def gather(
    graph: Graph, ranges: Ranges, heads: Heads, owner: IntArray, nodes: IntArray, pairs: IntArray
) -> tuple[LongArray, JointInstance]:
    """The rows of the pools of ``pairs``, and what the instance holds of them, in arrays of its own.

    Args:
        owner: by row, the first row of the same contract.
    """
    count, space = 0, 0
    for pair in pairs:
        count += graph.last[pair] - graph.first[pair]
        for k in range(graph.first[pair], graph.last[pair]):
            space += ranges.length[k] + 1
    rows = np.empty(count, np.int64)
    group_of = np.full(owner.size, -1, np.int32)
    groups, used = 0, 0
    local = np.full(graph.token.size, -1, np.int32)
    for place in range(nodes.size):
        local[nodes[place]] = place
    made = JointInstance(
        np.empty(pairs.size, np.int32),
        np.empty(pairs.size, np.int32),
        np.empty(pairs.size + 1, np.int64),
        np.empty(count, np.int32),
        np.zeros(2 * count),
        np.zeros(2 * pairs.size),
        np.zeros(2 * count, np.int64),
        np.empty(count, np.int64),
        np.empty(count, np.int64),
        np.empty(count, np.bool_),
        np.empty(2 * count),
        np.empty(count),
        np.empty(count),
        np.empty(space),
        np.empty(space),
        np.zeros(2 * count),
        np.zeros(2 * count),
    )
    at = 0
    for p in range(pairs.size):
        pair = pairs[p]
        made.low[p], made.high[p] = local[graph.low[pair]], local[graph.high[pair]]
        made.first[p] = at
        for k in range(graph.first[pair], graph.last[pair]):
            rows[at] = k
            if group_of[owner[k]] < 0:
                group_of[owner[k]] = groups
                groups += 1
            made.group[at] = group_of[owner[k]]
            made.begin[at], made.end[at] = used, used + ranges.length[k]
            for j in range(ranges.length[k] + 1):
                made.bounds[used + j] = ranges.bounds[ranges.offset[k] + j]
                made.liquidity[used + j] = ranges.liquidity[ranges.offset[k] + j]
            made.downwards[at] = not ranges.flipped[k]
            made.lowest[at], made.highest[at] = ranges.lowest[k], ranges.highest[k]
            for d in range(2):
                slot = 2 * at + d
                made.root_fee[slot] = ranges.root_fee[k]
                if heads.at[2 * k + d] >= 0:
                    made.head[slot] = heads.root_rate[2 * k + d]
                    made.at[slot] = used + heads.at[2 * k + d]
                    made.best[2 * p + d] = max(made.best[2 * p + d], made.head[slot])
            used += ranges.length[k] + 1
            at += 1
    made.first[pairs.size] = at
    return rows, made
