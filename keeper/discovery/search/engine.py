"""The loop search: tables kept up to date with the market, and the loops that earn in exact integers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keeper.discovery.search.integer import Disproof, Leg, prove
from keeper.discovery.search.kernels import NO_RANK, enumerate_loops, refresh_rates
from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from keeper.discovery.search.ranges import FloatArray
from keeper.discovery.search.sizing import KEPT_COMBINATIONS, MAX_HOPS, WIDTHS, refresh_heads, size_loops
from keeper.discovery.search.tables import BoolArray, Graph, IntArray, PoolTable
from keeper.domain.errors import InputError
from keeper.domain.route import Route
from keeper.domain.units import Address
from keeper.market.venues.base import Pool
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import UniswapV3Pool

MAX_LOOPS = 16_384
"""Token loops that one search sizes at most; of more, those with the larger estimates."""
MAX_STEPS = 50_000_000
"""Edges that one enumeration looks at, for each number of hops."""
MAX_SIZINGS = 200_000
"""Pool combinations that one search sizes at most."""
MAX_PROOFS = 1_024
"""Candidates whose integers one search checks at most."""
MAX_ROUNDS = 4
"""Times that one search starts over without pools that fail in integers and may have crowded out others."""
UNPRICED = 1e-60
"""Worth of a profit token that no pool trades for the first one: its loops come last."""
_WIDTHS: IntArray = np.array(WIDTHS, dtype=np.int32)


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
        value: profit in the first profit token.
        crowded: other pool combinations of its token loop were left out for it.
    """

    rows: tuple[int, ...]
    start: int
    size: float
    at_kink: bool
    value: float
    crowded: bool


class LoopSearch:
    """Finds profitable loops of two to four hops.

    Args:
        pools: the market; the search keeps its own tables, `update` tells it what changed.
        profit_tokens: where loops may start and end. A loop that holds several starts at the first named of them;
            profits in other tokens than the first are compared at the best direct rate between the two.
    """

    def __init__(self, pools: Mapping[Address, Pool], profit_tokens: Sequence[Address]) -> None:
        if not profit_tokens:
            raise InputError("profit_tokens", list(profit_tokens), "Name at least one token to take profit in.")
        self._profit_tokens = tuple(dict.fromkeys(profit_tokens))
        self.counters = SearchCounters()
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
        rows: list[int] = []
        listed = self._listed
        for address in changed:
            pool, k = pools.get(address), table.index.get(address)
            if pool is not None and not table.fits(pool):
                self._rebuild(pools)
                return
            if k is None:
                continue
            listed += (pool is not None) - (table.pools[k] is not None)
            table.put(k, pool)
            rows.append(k)
        self._listed = listed
        if listed != len(pools):
            # a pool came or went without being named in ``changed``
            self._rebuild(pools)
            return
        self._refresh(np.array(sorted(rows), dtype=np.int32))

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
        usable = np.ones(len(self._table.pools), dtype=np.bool_)
        found: dict[tuple[Address, ...], tuple[float, Route]] = {}
        for _ in range(MAX_ROUNDS):
            candidates: list[_Candidate] = []
            for graph in self._graphs(rows, allow.dexes):
                candidates += self._candidates(graph, rows, allow, usable)
            candidates.sort(key=lambda candidate: -candidate.value)
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
                    found[key] = (proof.gross_profit * self._value[candidate.start], proof)
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
        everything = np.arange(len(table.pools), dtype=np.int64)
        self._market = table.graph(everything)
        self._by_dex = [table.graph(table.rows_of(dex)) for dex in table.dexes]
        self._rank: IntArray = np.full(len(table.tokens), NO_RANK, dtype=np.int32)
        for place, token in enumerate(self._profit_tokens):
            if token in table.token_index:
                self._rank[table.token_index[token]] = place
        self._value: FloatArray = np.zeros(len(table.tokens))
        self._refresh(everything.astype(np.int32))

    def _refresh(self, rows: IntArray) -> None:
        table = self._table
        refresh_heads(table.ranges, table.heads, rows)
        refresh_rates(self._market, table.heads, rows)
        dexes = table.dex[rows]
        for dex in np.unique(dexes):
            refresh_rates(self._by_dex[dex], table.heads, rows[dexes == dex])
        for place, token in enumerate(self._profit_tokens):
            if token in table.token_index:
                self._value[table.token_index[token]] = 1.0 if place == 0 else self._worth(token)

    def _worth(self, token: Address) -> float:
        """Raw units of the first profit token for one of ``token``, at the deepest pool between them."""
        table = self._table
        first, other = table.token_index.get(self._profit_tokens[0]), table.token_index[token]
        if first is None:
            return UNPRICED
        pair = (table.low == min(first, other)) & (table.high == max(first, other))
        slots = 2 * np.flatnonzero(pair) + (0 if other < first else 1)
        slots = slots[table.heads.depth[slots] > 0]
        if slots.size == 0:
            return UNPRICED
        return float(table.heads.root_rate[slots[np.argmax(table.heads.depth[slots])]] ** 2)

    def _graphs(self, rows: IntArray, rule: DexRule) -> Iterable[Graph]:
        if rule is DexRule.SAME:
            return [self._by_dex[dex] for dex in np.unique(self._table.dex[rows])]
        return [self._market]

    def _admitted(self, graph: Graph, pairs: frozenset[frozenset[Address]] | None) -> BoolArray:
        if pairs is None:
            return np.ones(graph.first.size, dtype=np.bool_)
        index, tokens = self._table.token_index, len(self._table.tokens)
        ends = (sorted(index[token] for token in pair) for pair in pairs if all(token in index for token in pair))
        keys = np.array([low * tokens + high for low, high in ends], dtype=np.int64)
        return np.isin(graph.low.astype(np.int64) * tokens + graph.high, keys)

    def _candidates(self, graph: Graph, rows: IntArray, allow: LoopFilter, usable: BoolArray) -> list[_Candidate]:
        table, counters = self._table, self.counters
        pairs = np.unique(graph.pair_of[rows])
        pairs = pairs[pairs >= 0]
        loops = np.empty((MAX_LOOPS, MAX_HOPS), dtype=np.int32)
        hop_counts = np.empty(MAX_LOOPS, dtype=np.int32)
        estimates = np.empty(MAX_LOOPS)
        count, loops_cut = enumerate_loops(
            graph,
            table.heads,
            self._rank,
            self._value,
            self._admitted(graph, allow.pairs),
            np.concatenate((2 * pairs, 2 * pairs + 1)).astype(np.int32),
            np.array([hops in allow.hops for hops in range(MAX_HOPS + 1)]),
            loops,
            hop_counts,
            estimates,
            MAX_STEPS,
        )
        order = np.argsort(-estimates[:count], kind="stable")
        loops, hop_counts = loops[order], hop_counts[order]
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
            self._value[starts],
            _WIDTHS,
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
                start=int(starts[out_loop[i]]),
                size=float(out_size[i]),
                at_kink=bool(out_kink[i]),
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
