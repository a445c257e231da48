"""The loop search: tables kept up to date with the market, and the loops that earn in exact integers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keeper.discovery.search.detection import ENUMERATED_STEPS, Layer, TokenLoops
from keeper.discovery.search.hubs import Hubs
from keeper.discovery.search.integer import Disproof, Leg, prove
from keeper.discovery.search.kernels import NO_RANK
from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from keeper.discovery.search.sizing import KEPT_COMBINATIONS, MAX_HOPS, QUICK_WIDTHS, WIDTHS, refresh_heads, size_loops
from keeper.discovery.search.tables import BoolArray, Graph, IntArray, LongArray, PoolTable
from keeper.domain.errors import InputError
from keeper.domain.route import Route
from keeper.domain.units import Address
from keeper.market.venues.base import Pool
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import UniswapV3Pool

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
        crowded: other pool combinations of its token loop were left out for it.
    """

    rows: tuple[int, ...]
    start: int
    size: float
    at_kink: bool
    worth: float
    crowded: bool


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
        listed, index, known = self._listed, table.index, table.pools
        for address in changed:
            pool, k = pools.get(address), index.get(address)
            before = None if k is None else known[k]
            # a state made from the one before has the very same names
            same = (
                pool is not None
                and before is not None
                and pool.token0 is before.token0
                and pool.token1 is before.token1
                and pool.dex is before.dex
                and pool.fee_pips == before.fee_pips
            )
            if not same and pool is not None and not table.fits(pool):
                self._rebuild(pools)
                return
            if k is None or k in states:
                continue
            if not same:
                listed += (pool is not None) - (before is not None)
            states[k] = pool
        if listed != len(pools):
            # a pool came or went without being named in ``changed``
            self._rebuild(pools)
            return
        self._listed = listed
        table.put(states.items())
        self._refresh(np.array(list(states), dtype=np.int32))

    @property
    def table(self) -> PoolTable:
        """Numbers of tokens and pools, ranges and rates; replaced when a pool comes that was not there before."""
        return self._table

    @property
    def graph(self) -> Graph:
        """The pairs of the whole market."""
        return self._market.graph

    @property
    def hubs(self) -> Hubs:
        """The tables of the best paths in `graph`."""
        return self._market.hubs

    def detect(self, changed: Collection[Address], *, allow: LoopFilter) -> TokenLoops:
        """Loops through the pairs of ``changed`` whose best rates multiply to above 1, the largest estimate first."""
        return self._layer(allow).detect(
            self._table.heads,
            self._table.positions(changed),
            allow.hops,
            self._admitted(self._layer(allow).graph, allow.pairs),
            self._enumerated_steps,
        )

    def find(self, changed: Collection[Address], *, allow: LoopFilter, limit: int = 64) -> list[Route]:
        """Loops through the pairs of ``changed`` that earn in exact integers, the largest gross profit first.

        Args:
            changed: usually the pools of the last block; loops that touch none of their pairs are not looked at.
            limit: at most so many routes.

        Returns:
            routes that start and end in a profit token, no two alike.
        """
        if limit <= 0 or not any(address in self._table.index for address in changed):
            return []
        self.counters.searches += 1
        usable = np.ones(len(self._table.pools), dtype=np.bool_)
        found: dict[tuple[Address, ...], tuple[float, Route]] = {}
        for _ in range(MAX_ROUNDS):
            again = False
            for candidate in self._candidates(changed, allow, usable, limit):
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
        self._market = Layer.of(market, table.heads, rank)
        self._by_dex = Layer.of(table.graph(by_dex=True), table.heads, rank)
        self._value_tokens()

    def _refresh(self, rows: IntArray) -> None:
        table = self._table
        refresh_heads(table.ranges, table.heads, rows)
        for layer in (self._market, self._by_dex):
            layer.refresh(table.heads, rows)
        if len(self._profit_tokens) > 1:
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

    def _layer(self, allow: LoopFilter) -> Layer:
        return self._by_dex if allow.dexes is DexRule.SAME else self._market

    def _admitted(self, graph: Graph, pairs: frozenset[frozenset[Address]] | None) -> BoolArray | None:
        if pairs is None:
            return None
        index, tokens = self._table.token_index, len(self._table.tokens)
        ends = (sorted(index[token] for token in pair) for pair in pairs if all(token in index for token in pair))
        keys = np.array([low * tokens + high for low, high in ends], dtype=np.int64)
        return np.isin(graph.token[graph.low].astype(np.int64) * tokens + graph.token[graph.high], keys)

    def _candidates(
        self, changed: Collection[Address], allow: LoopFilter, usable: BoolArray, limit: int
    ) -> Iterator[_Candidate]:
        """Sized loops, the largest profit first."""
        table, counters, layer = self._table, self.counters, self._layer(allow)
        graph = layer.graph
        _, loops, hop_counts, complete, loops_cut = self.detect(changed, allow=allow)
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
            np.empty((MAX_HOPS, layer.widest), dtype=np.int32),
            np.empty((5, MAX_HOPS), dtype=np.int32),
            np.empty((3, MAX_HOPS)),
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
        loop = out_loop[best]
        columns = (
            out_pools[best],
            hop_counts[loop],
            graph.token[starts[loop]],
            out_size[best],
            out_kink[best],
            layer.value[starts[loop]],
            kept[loop] == KEPT_COMBINATIONS,
        )
        for rows, hops, start, size, at_kink, worth, crowded in zip(*(c.tolist() for c in columns), strict=True):
            yield _Candidate(tuple(rows[:hops]), start, size, at_kink, worth, crowded)

    def _legs(self, candidate: _Candidate) -> list[Leg]:
        legs: list[Leg] = []
        token = self._table.tokens[candidate.start]
        for k in candidate.rows:
            pool = self._table.pools[k]
            assert pool is not None, "a pool without a state has no rate"
            legs.append(Leg(pool, token))
            token = legs[-1].token_out
        return legs
