"""The loop search: tables kept up to date with the market, and the loops that earn in exact integers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keeper.discovery.search.best_loops import best_loops
from keeper.discovery.search.hubs import Hubs, build_hubs, refresh_hubs
from keeper.discovery.search.integer import Disproof, Leg, prove
from keeper.discovery.search.kernels import NO_RANK, enumerate_loops, offer_each, refresh_rates
from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from keeper.discovery.search.ranges import FloatArray
from keeper.discovery.search.sizing import KEPT_COMBINATIONS, MAX_HOPS, QUICK_WIDTHS, WIDTHS, refresh_heads, size_loops
from keeper.discovery.search.tables import BoolArray, Graph, Heads, IntArray, LongArray, PoolTable
from keeper.domain.errors import InputError
from keeper.domain.route import Route
from keeper.domain.units import Address
from keeper.market.venues.base import Pool
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import UniswapV3Pool

MAX_LOOPS = 16_384
"""Token loops that one search sizes at most; of more, those with the larger estimates."""
ENUMERATED_STEPS = 1_000_000
"""Edges up to which a search enumerates all loops of a number of hops; about 5 ms. Beyond, the best of each edge."""
MAX_STEPS = 50_000_000
"""Edges that one enumeration looks at, for each number of hops."""
SIZED_OF_BEST = 2
"""Where the loops are the best of each edge, so many times the routes asked for are sized."""
MAX_SIZINGS = 200_000
"""Pool combinations that one search sizes at most."""
MAX_PROOFS = 1_024
"""Candidates whose integers one search checks at most."""
MAX_ROUNDS = 4
"""Times that one search starts over without pools that fail in integers and may have crowded out others."""
UNPRICED = 1e-60
"""Worth of a profit token that no pool trades for the first one: its loops come last."""
_WIDTHS: IntArray = np.array(WIDTHS, dtype=np.int32)
_QUICK_WIDTHS: IntArray = np.array(QUICK_WIDTHS, dtype=np.int32)


@dataclass(slots=True)
class SearchCounters:
    """What the search has done since it was made.

    Attributes:
        loops: token loops with a rate above 1.
        sized: pool combinations sized.
        disproved: candidates that earn in floating point and not in integers.
        cut_short: searches in which one of the module's bounds left something out.
    """

    searches: int = 0
    loops: int = 0
    sized: int = 0
    disproved: int = 0
    cut_short: int = 0


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sized loop.

    Attributes:
        worth: of a raw unit of its first token, in the first profit token.
        value: profit in the first profit token.
        crowded: other pool combinations of its token loop were left out for it.
    """

    rows: tuple[int, ...]
    start: int
    size: float
    at_kink: bool
    worth: float
    value: float
    crowded: bool


@dataclass(frozen=True, slots=True)
class _Layer:
    """A graph and what the search keeps about it.

    Attributes:
        anchors: nodes of profit tokens.
        rank, value: by node; see `enumerate_loops`.
        reach: by node, the edges of its neighbours.
    """

    graph: Graph
    hubs: Hubs
    anchors: IntArray
    rank: IntArray
    value: FloatArray
    reach: LongArray

    @classmethod
    def of(cls, graph: Graph, heads: Heads, token_rank: IntArray) -> _Layer:
        rows = np.arange(graph.pair_of.size, dtype=np.int32)
        refresh_rates(graph, heads, rows, np.empty_like(rows))
        rank = token_rank[graph.token]
        anchors = np.flatnonzero(rank != NO_RANK).astype(np.int32)
        degree = np.concatenate(([0], np.cumsum(np.diff(graph.start)[graph.to])))
        return cls(
            graph=graph,
            hubs=build_hubs(graph, anchors),
            anchors=anchors,
            rank=rank,
            value=np.zeros(graph.token.size),
            reach=np.diff(degree[graph.start]),
        )

    def steps(self, edges: IntArray, hops: int) -> int:
        """Edges that the enumeration of loops through ``edges`` would look at."""
        low, high = self.graph.low[edges >> 1], self.graph.high[edges >> 1]
        if hops == 4:
            return int(self.reach[np.where(edges & 1, low, high)].sum())
        degree = np.diff(self.graph.start)
        return int((degree[low] + degree[high]).sum())


def _mask(hops: Collection[int]) -> BoolArray:
    return np.array([count in hops for count in range(MAX_HOPS + 1)])


class LoopSearch:
    """Finds profitable loops of two to four hops.

    Args:
        pools: the market; the search keeps its own tables, `update` tells it what changed.
        profit_tokens: where loops may start and end. A loop that holds several starts at the first named of them;
            profits in other tokens than the first are compared at the deepest pool between the two.
        enumerated_steps: see `ENUMERATED_STEPS`.
    """

    def __init__(
        self,
        pools: Mapping[Address, Pool],
        profit_tokens: Sequence[Address],
        *,
        enumerated_steps: int = ENUMERATED_STEPS,
    ) -> None:
        if not profit_tokens:
            raise InputError("profit_tokens", list(profit_tokens), "Name at least one token to take profit in.")
        self._profit_tokens = tuple(dict.fromkeys(profit_tokens))
        self.counters = SearchCounters()
        self._enumerated_steps = enumerated_steps
        self._listed = 0
        self._rebuild(pools)

    @staticmethod
    def warm_up() -> None:
        """Compile all kernels, or load them from the cache, so that the first block does not wait for it."""
        tokens = [Address(f"0x{n:040x}") for n in (1, 2, 3)]
        pools: dict[Address, Pool] = {}
        for n, (a, b, reserve) in enumerate(((0, 1, 10**9), (1, 2, 10**9), (0, 2, 2 * 10**9))):
            address = Address(f"0x{16 + n:040x}")
            pools[address] = UniswapV2Pool(address, "warm", tokens[a], tokens[b], 3000, 10**9, reserve)
        address = Address(f"0x{32:040x}")
        ticks = ((-600, 600), (10**12, -(10**12)), (10**12, 10**12))
        pools[address] = UniswapV3Pool(address, "warm", tokens[0], tokens[1], 500, 10, 1 << 96, 0, 10**12, *ticks)
        search = LoopSearch(pools, tokens[:2])
        search.update(pools, pools)
        search.find(pools, allow=LoopFilter())

    def update(self, pools: Mapping[Address, Pool], changed: Collection[Address]) -> None:
        """Bring the tables to the state of ``pools``.

        Args:
            pools: the whole market after the change.
            changed: every pool that is new, gone or different since the last call.
        """
        table = self._table
        states: dict[int, Pool | None] = {}
        listed = self._listed
        for address in changed:
            pool, k = pools.get(address), table.index.get(address)
            if pool is not None and not table.fits(pool):
                self._rebuild(pools)
                return
            if k is None or k in states:
                continue
            listed += (pool is not None) - (table.pools[k] is not None)
            states[k] = pool
        if listed != len(pools):
            # a pool came or went without being named in ``changed``
            self._rebuild(pools)
            return
        self._listed = listed
        table.put(states.items())
        self._refresh(np.array(list(states), dtype=np.int32))

    def find(self, changed: Collection[Address], *, allow: LoopFilter, limit: int = 64) -> list[Route]:
        """Loops through the pairs of ``changed`` that earn in exact integers, the largest gross profit first.

        Args:
            changed: usually the pools of the last block; loops that touch none of their pairs are not looked at.
            limit: at most so many routes.

        Returns:
            routes that start and end in a profit token, no two alike.
        """
        rows = self._table.positions(changed)
        if rows.size == 0 or limit <= 0:
            return []
        self.counters.searches += 1
        layer = self._by_dex if allow.dexes is DexRule.SAME else self._market
        usable = np.ones(len(self._table.pools), dtype=np.bool_)
        found: dict[tuple[Address, ...], tuple[float, Route]] = {}
        for _ in range(MAX_ROUNDS):
            candidates = self._candidates(layer, rows, allow, usable, limit)
            again = False
            for candidate in candidates[:MAX_PROOFS]:
                legs = self._legs(candidate)
                key = tuple(leg.pool.address for leg in legs)
                if key in found:
                    continue
                if len(found) == limit:
                    break
                proof = prove(legs, candidate.size, at_kink=candidate.at_kink)
                if isinstance(proof, Route):
                    found[key] = (proof.gross_profit * candidate.worth, proof)
                    continue
                self.counters.disproved += 1
                if candidate.crowded:
                    usable[self._culprit(candidate, proof)] = False
                    again = True
            if not again:
                break
        routes = sorted(found.values(), key=lambda pair: (-pair[0], -pair[1].gross_profit))
        return [route for _, route in routes]

    def _culprit(self, candidate: _Candidate, disproof: Disproof) -> int:
        """Row of the pool that refused, or of the one that paid the least of what its rate promises."""
        if len(disproof.amounts) <= len(candidate.rows):
            return candidate.rows[len(disproof.amounts) - 1]
        table, token = self._table, candidate.start
        worst, row = np.inf, candidate.rows[0]
        for k, given, paid in zip(candidate.rows, disproof.amounts[:-1], disproof.amounts[1:], strict=True):
            direction = 0 if token == table.low[k] else 1
            token = table.high[k] if direction == 0 else table.low[k]
            share = paid / given / table.heads.root_rate[2 * k + direction] ** 2
            if share < worst:
                worst, row = share, k
        return row

    def _rebuild(self, pools: Mapping[Address, Pool]) -> None:
        self._table: PoolTable = PoolTable(pools)
        table = self._table
        self._listed = len(pools)
        everything = np.arange(len(table.pools), dtype=np.int32)
        refresh_heads(table.ranges, table.heads, everything)
        rank = np.full(len(table.tokens), NO_RANK, dtype=np.int32)
        for place, token in enumerate(self._profit_tokens):
            if token in table.token_index:
                rank[table.token_index[token]] = place
        market = table.graph(by_dex=False)
        self._exchange = [self._slots_between(market, token) for token in self._profit_tokens]
        self._market = _Layer.of(market, table.heads, rank)
        self._by_dex = _Layer.of(table.graph(by_dex=True), table.heads, rank)
        self._value_tokens()

    def _refresh(self, rows: IntArray) -> None:
        table = self._table
        refresh_heads(table.ranges, table.heads, rows)
        for layer in (self._market, self._by_dex):
            changed = np.empty(rows.size, dtype=np.int32)
            count = refresh_rates(layer.graph, table.heads, rows, changed)
            refresh_hubs(layer.graph, layer.hubs, changed[:count])
        self._value_tokens()

    def _value_tokens(self) -> None:
        """Worth of each profit token's raw unit in the first of them, at the deepest pool between the two."""
        worth = np.full(len(self._profit_tokens), UNPRICED)
        worth[0] = 1.0
        heads = self._table.heads
        for place, slots in enumerate(self._exchange):
            deepest = slots[np.argmax(heads.depth[slots])] if slots.size else -1
            if deepest >= 0 and heads.depth[deepest] > 0:
                worth[place] = heads.root_rate[deepest] ** 2
        for layer in (self._market, self._by_dex):
            layer.value[layer.anchors] = worth[layer.rank[layer.anchors]]

    def _slots_between(self, market: Graph, token: Address) -> LongArray:
        """By `Heads`: the pools that sell ``token`` for the first profit token."""
        index = self._table.token_index
        first, other = index.get(self._profit_tokens[0]), index.get(token)
        if first is None or other is None or first == other:
            return np.empty(0, dtype=np.int64)
        (pair,) = np.nonzero((market.low == min(first, other)) & (market.high == max(first, other)))
        if pair.size == 0:
            return np.empty(0, dtype=np.int64)
        rows = np.arange(market.first[pair[0]], market.last[pair[0]], dtype=np.int64)
        return 2 * rows + (0 if other < first else 1)

    def _admitted(self, graph: Graph, pairs: frozenset[frozenset[Address]] | None) -> BoolArray:
        if pairs is None:
            return np.ones(graph.first.size, dtype=np.bool_)
        index, tokens = self._table.token_index, len(self._table.tokens)
        ends = (sorted(index[token] for token in pair) for pair in pairs if all(token in index for token in pair))
        keys = np.array([low * tokens + high for low, high in ends], dtype=np.int64)
        return np.isin(graph.low.astype(np.int64) * tokens + graph.high, keys)

    def _loops(self, layer: _Layer, rows: IntArray, allow: LoopFilter) -> tuple[IntArray, IntArray, bool, bool]:
        """Token loops, the largest estimate first, and their numbers of hops; if all loops were looked at, and if a
        bound left some of them out."""
        graph, heads = layer.graph, self._table.heads
        pairs = np.unique(graph.pair_of[rows])
        admitted = self._admitted(graph, allow.pairs)
        edges = np.concatenate((2 * pairs, 2 * pairs + 1)).astype(np.int32)
        edges = edges[admitted[edges >> 1]]
        # loops of two edges are all found by either way; the tables know all pairs and serve no restriction to some
        few = {
            hops
            for hops in allow.hops - {2}
            if allow.pairs is not None or layer.steps(edges, hops) <= self._enumerated_steps
        }
        found: list[tuple[IntArray, IntArray, FloatArray]] = []
        cut_short = False
        if allow.hops - few:
            given = np.empty((3 * edges.size, MAX_HOPS), dtype=np.int32)
            given_hops = np.empty(3 * edges.size, dtype=np.int32)
            count = best_loops(graph, layer.hubs, edges, _mask(allow.hops - few), given, given_hops)
            loops, hop_counts = np.empty((count, MAX_HOPS), dtype=np.int32), np.empty(count, dtype=np.int32)
            estimates = np.empty(count)
            count = offer_each(
                graph,
                heads,
                layer.rank,
                layer.value,
                given[:count],
                given_hops[:count],
                loops,
                hop_counts,
                estimates,
            )
            found.append((loops[:count], hop_counts[:count], estimates[:count]))
        if few:
            loops, hop_counts = np.empty((MAX_LOOPS, MAX_HOPS), dtype=np.int32), np.empty(MAX_LOOPS, dtype=np.int32)
            estimates = np.empty(MAX_LOOPS)
            count, cut_short = enumerate_loops(
                graph,
                heads,
                layer.rank,
                layer.value,
                admitted,
                edges,
                _mask(few),
                loops,
                hop_counts,
                estimates,
                MAX_STEPS,
            )
            found.append((loops[:count], hop_counts[:count], estimates[:count]))
        all_loops, all_hops, all_estimates = (np.concatenate(part) for part in zip(*found, strict=True))
        cut_short = cut_short or all_estimates.size > MAX_LOOPS
        order = np.argsort(-all_estimates, kind="stable")[:MAX_LOOPS]
        return all_loops[order], all_hops[order], allow.hops - few <= {2}, cut_short

    def _candidates(
        self, layer: _Layer, rows: IntArray, allow: LoopFilter, usable: BoolArray, limit: int
    ) -> list[_Candidate]:
        table, counters, graph = self._table, self.counters, layer.graph
        loops, hop_counts, complete, loops_cut = self._loops(layer, rows, allow)
        if not complete:
            loops, hop_counts = loops[: SIZED_OF_BEST * limit], hop_counts[: SIZED_OF_BEST * limit]
        count = len(loops)
        first_edge = loops[:, 0]
        starts = np.where(first_edge & 1, graph.high[first_edge >> 1], graph.low[first_edge >> 1])
        out_pools = np.empty((KEPT_COMBINATIONS * count, MAX_HOPS), dtype=np.int32)
        out_loop = np.empty(KEPT_COMBINATIONS * count, dtype=np.int32)
        out_size = np.empty(KEPT_COMBINATIONS * count)
        out_kink = np.empty(KEPT_COMBINATIONS * count, dtype=np.bool_)
        out_value = np.empty(KEPT_COMBINATIONS * count)
        found, sized, sizings_cut = size_loops(
            graph,
            table.ranges,
            table.heads,
            usable,
            table.fee_tier if allow.fee_tiers_are_venues else table.dex,
            allow.dexes is DexRule.DISTINCT,
            loops,
            hop_counts,
            layer.value[starts],
            _WIDTHS if complete else _QUICK_WIDTHS,
            MAX_SIZINGS,
            out_pools,
            out_loop,
            out_size,
            out_kink,
            out_value,
        )
        counters.loops += count
        counters.sized += sized
        counters.cut_short += loops_cut or sizings_cut
        kept = np.bincount(out_loop[:found], minlength=count)
        best = np.argsort(-out_value[:found], kind="stable")[:MAX_PROOFS]
        return [
            _Candidate(
                rows=tuple(out_pools[i, : hop_counts[out_loop[i]]].tolist()),
                start=int(graph.token[starts[out_loop[i]]]),
                size=float(out_size[i]),
                at_kink=bool(out_kink[i]),
                worth=float(layer.value[starts[out_loop[i]]]),
                value=float(out_value[i]),
                crowded=bool(kept[out_loop[i]] == KEPT_COMBINATIONS),
            )
            for i in best
        ]

    def _legs(self, candidate: _Candidate) -> list[Leg]:
        legs: list[Leg] = []
        token = self._table.tokens[candidate.start]
        for k in candidate.rows:
            pool = self._table.pools[k]
            assert pool is not None, "a pool without a state has no rate"
            legs.append(Leg(pool, token))
            token = legs[-1].token_out
        return legs
