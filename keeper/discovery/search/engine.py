"""The loop search: tables kept up to date with the market, and the loops that earn in exact integers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from threading import RLock

import numpy as np

from keeper.discovery.search.arrays import BoolArray, Graph, LongArray
from keeper.discovery.search.candidates import Singles, legs_of_singles, size_singles, split
from keeper.discovery.search.detection import ENUMERATED_STEPS, Layer, TokenLoops
from keeper.discovery.search.exact import Work
from keeper.discovery.search.hubs import Hubs
from keeper.discovery.search.integer import Disproof
from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from keeper.discovery.search.proven import Legs, ProvenLoop, prove_each
from keeper.discovery.search.split import Walk
from keeper.discovery.search.supposed import Saved
from keeper.discovery.search.tables import NO_RANK, PoolTable
from keeper.domain.errors import InputError
from keeper.domain.joint_route import JointRoute
from keeper.domain.route import Route
from keeper.domain.units import Address
from keeper.market.venues.base import Pool

MAX_PROOFS = 1_024
"""Candidates whose integers one search checks at most."""
MAX_ROUNDS = 4
"""Times that one search starts over without pools that fail in integers and may have crowded out others."""
UNPRICED = 1e-60
"""Worth of a profit token that no pool trades for the first one: its loops come last."""


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


class LoopSearch:
    """Finds profitable loops of two to four hops. Several threads may ask it; they are served one after the other.

    Args:
        pools: the market by `Pool.key`; the search keeps its own tables, `update` tells it what changed.
        profit_tokens: where loops may start and end. A loop that holds several starts at the first named of them;
            profits in other tokens than the first are compared at the deepest pool between the two.
        probe: raw units of the first profit token at whose worth rates are compared; 0 compares them at the margin. A
            loop that earns nothing with this input earns less than about this input at any other: so with what a
            transaction's gas costs no loop is missed that could pay for it, and pools of dust cannot hide any. The
            worth of other tokens is taken when the tables are made.
        enumerated_steps: see `ENUMERATED_STEPS`.
    """

    def __init__(
        self,
        pools: Mapping[Address, Pool],
        profit_tokens: Sequence[Address],
        *,
        probe: int = 0,
        enumerated_steps: int = ENUMERATED_STEPS,
    ) -> None:
        if not profit_tokens:
            raise InputError("profit_tokens", list(profit_tokens), "Name at least one token to take profit in.")
        if probe < 0:
            raise InputError("probe", probe, "Give an amount of the first profit token, or 0.")
        self._profit_tokens = tuple(dict.fromkeys(profit_tokens))
        self._probe = probe
        self.counters = SearchCounters()
        self._enumerated_steps = enumerated_steps
        self._lock = RLock()
        self._work, self._walk = Work.new(), Walk.new()
        self._rebuild(pools)

    def update(self, pools: Mapping[Address, Pool], changed: Collection[Address]) -> None:
        """Bring the tables to the state of ``pools``.

        Args:
            pools: the whole market after the change.
            changed: every pool that is new, gone or different since the last call. What the pools share with their
                states before (tokens, DEX) is taken from there.
        """
        with self._lock:
            table = self._table
            rows, left = table.swapped(changed if isinstance(changed, list) else list(changed), pools)
            others: dict[int, Pool | None] = {}
            for key in left:
                pool = pools.get(key)
                if pool is not None and not table.fits(key, pool):
                    self._rebuild(pools)
                    return
                mine = table.rows_of(key)
                if not mine or mine[0] in others:
                    continue
                self._listed += (pool is not None) - (table.pools[mine[0]] is not None)
                others.update(dict.fromkeys(mine) if pool is None else table.views(key, pool))
            if self._listed != len(pools):
                # a pool came or went without being named in ``changed``
                self._rebuild(pools)
                return
            for k, view in others.items():
                table.write(k, view)
            self._refresh(np.concatenate((rows, np.array(list(others), dtype=np.int64))) if others else rows)

    @property
    def table(self) -> PoolTable:
        """Numbers of tokens and pools, ranges and rates; replaced when a pool comes that was not there before."""
        return self._table

    @property
    def lock(self) -> AbstractContextManager[bool]:
        """Hold it while several tables are read together: a supposed change is in them only for a while."""
        return self._lock

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
        with self._lock:
            layer = self._layer(allow)
            return layer.detect(
                self._table.heads,
                self._table.positions(changed),
                allow.hops,
                self._admitted(layer.graph, allow.pairs),
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
        found: dict[tuple[int, ...], ProvenLoop] = {}
        with self._lock:
            for loops, singles, usable in self._rounds(changed, allow, limit):
                self._prove_singles(loops, singles, usable, found, limit)
            routes = [(loop.worth, loop.route()) for loop in found.values()]
        routes.sort(key=lambda pair: (-pair[0] * pair[1].gross_profit, -pair[1].gross_profit))
        return [route for _, route in routes if isinstance(route, Route)]

    def find_split(
        self, changed: Collection[Address], *, allow: LoopFilter, limit: int = 64, gas_per_leg: float = 0.0
    ) -> list[Route | JointRoute]:
        """As `rank`, as routes; `Route` where one pool a hop is best."""
        return [loop.route() for loop in self.rank(changed, allow=allow, limit=limit, gas_per_leg=gas_per_leg)]

    def find_after(
        self,
        changes: Mapping[Address, Pool],
        *,
        allow: LoopFilter,
        limit: int = 64,
        gas_per_leg: float | None = None,
    ) -> list[Route | JointRoute]:
        """What `find` would say, or `find_split` where ``gas_per_leg`` is given, if pools had the states ``changes``.

        The tables take these states in for the time of the search and are put back to the last bit after it, at a cost
        that depends on the changes and not on the market. The search still stands on the states of `update`.

        Raises:
            InputError: a pool was not there at the last `update`, or has other tokens than then.
        """
        with self._lock, self._supposed(changes, allow):
            if gas_per_leg is None:
                return list(self.find(list(changes), allow=allow, limit=limit))
            return self.find_split(list(changes), allow=allow, limit=limit, gas_per_leg=gas_per_leg)

    def rank(
        self, changed: Collection[Address], *, allow: LoopFilter, limit: int = 64, gas_per_leg: float = 0.0
    ) -> list[ProvenLoop]:
        """For each of the best token loops through the pairs of ``changed`` its best split, proven in exact integers,
        where that earns more than its best single pools after gas, else these. The largest net profit first.

        Under `DexRule.DISTINCT` no hop is split.

        Args:
            limit: at most so many loops, no two through the same tokens.
            gas_per_leg: what a swap costs, raw units of the first profit token.
        """
        best: dict[bytes, ProvenLoop] = {}
        with self._lock:
            for loops, singles, usable in self._rounds(changed, allow, limit):
                self._prove_splits(loops, singles, usable, allow, gas_per_leg, best, limit)
        return sorted(best.values(), key=lambda loop: -loop.net(gas_per_leg))

    def _rounds(
        self, changed: Collection[Address], allow: LoopFilter, limit: int
    ) -> Iterator[tuple[TokenLoops, Singles, BoolArray]]:
        """Sized loops. Whoever finds pools that refuse marks them unusable; it is then tried again without them."""
        if limit <= 0 or not any(key in self._table.index for key in changed):
            return
        self.counters.searches += 1
        usable = np.ones(len(self._table.pools), dtype=np.bool_)
        loops = self.detect(changed, allow=allow)
        for _ in range(MAX_ROUNDS):
            left = np.count_nonzero(usable)
            singles = size_singles(self._table, self._layer(allow), loops, allow, usable, limit)
            self.counters.loops += len(loops.hop_counts)
            self.counters.sized += singles.sized
            self.counters.cut_short += loops.cut_short or singles.cut_short
            yield loops, singles, usable
            if np.count_nonzero(usable) == left:
                return

    def _prove_singles(
        self,
        loops: TokenLoops,
        singles: Singles,
        usable: BoolArray,
        found: dict[tuple[int, ...], ProvenLoop],
        limit: int,
    ) -> None:
        """Add the first loops that earn in integers to ``found``, until it holds ``limit``."""
        legs = legs_of_singles(self._table, loops, singles)
        at, end = 0, min(len(singles.loop), MAX_PROOFS)
        keys = [tuple(row[:count]) for row, count in zip(singles.pools[:end].tolist(), singles.hops.tolist())]  # noqa: B905
        while at < end and len(found) < limit:
            chosen: list[int] = []
            while at < end and len(chosen) < limit - len(found):
                if keys[at] not in found:
                    chosen.append(at)
                at += 1
            for i, proof in zip(chosen, prove_each(self._table, legs.take(chosen), self._work), strict=True):
                if isinstance(proof, ProvenLoop):
                    found[keys[i]] = proof
                else:
                    self._disproved(singles, i, proof, usable)

    def _prove_splits(
        self,
        loops: TokenLoops,
        singles: Singles,
        usable: BoolArray,
        allow: LoopFilter,
        gas_per_leg: float,
        best: dict[bytes, ProvenLoop],
        limit: int,
    ) -> None:
        """For each token loop the better of its best single pools and its best split into ``best``."""
        table = self._table
        _, first = np.unique(singles.loop, return_index=True)
        first.sort()
        first = first[:limit]
        chosen = singles.loop[first]
        legs = legs_of_singles(table, loops, singles).take(first)
        count = first.size
        if allow.dexes is not DexRule.DISTINCT and count:
            # loops whose single pools promise less than those of others are split all the same
            others = np.setdiff1d(np.arange(min(len(loops.hop_counts), 2 * limit)), chosen)[: limit - count]
            tried = np.concatenate((chosen, others))
            splits = split(table, self._layer(allow), loops, tried, usable, gas_per_leg, self._walk)
            swaps = np.diff(splits.start)
            more = np.flatnonzero((swaps > loops.hop_counts[tried]) | ((np.arange(tried.size) >= count) & (swaps > 0)))
            legs = Legs.joined(legs, splits.take(more))
            chosen = np.concatenate((chosen, tried[more]))
        for i, (loop, proof) in enumerate(zip(chosen.tolist(), prove_each(table, legs, self._work), strict=True)):
            if isinstance(proof, ProvenLoop):
                key = loops.edges[loop, : loops.hop_counts[loop]].tobytes()
                before = best.get(key)
                if before is None or proof.net(gas_per_leg) > before.net(gas_per_leg):
                    best[key] = proof
            elif i < count:
                self._disproved(singles, int(first[i]), proof, usable)

    def _disproved(self, singles: Singles, at: int, disproof: Disproof, usable: BoolArray) -> None:
        """Count a loop that earns in floating point only; where it crowded out others, mark the pool to blame.

        That is the pool that refused, or the one that paid the least of what its rate promises.
        """
        self.counters.disproved += 1
        if not singles.crowded[at]:
            return
        table, token = self._table, int(singles.start[at])
        rows, amounts = singles.pools[at, : singles.hops[at]].tolist(), disproof.amounts
        if len(amounts) <= len(rows):
            usable[rows[len(amounts) - 1]] = False
            return
        worst, blamed = np.inf, rows[0]
        for k, given, paid in zip(rows, amounts[:-1], amounts[1:], strict=True):
            direction = 0 if token == table.low[k] else 1
            token = int(table.high[k] if direction == 0 else table.low[k])
            share = paid / given / table.heads.root_rate[2 * k + direction] ** 2
            if share < worst:
                worst, blamed = share, k
        usable[blamed] = False

    @contextmanager
    def _supposed(self, changes: Mapping[Address, Pool], allow: LoopFilter) -> Iterator[None]:
        """The tables with the states ``changes``."""
        table, layer = self._table, self._layer(allow)
        states: dict[int, Pool] = {}
        for key, pool in changes.items():
            if not table.fits(key, pool):
                raise InputError("changes", key, "Tell the search of a new pool by `update` first.")
            states.update(table.views(key, pool))
        rows = np.array(list(states), dtype=np.int64)
        layers = [self._market] if layer is self._market else [self._market, layer]
        saved = Saved(table, layers, rows.tolist())
        try:
            for k, view in states.items():
                table.write(k, view)
            self._market.refresh_all(table, rows)
            if layer is not self._market:
                layer.refresh(table.heads, rows)
            self._value_tokens(layers)
            yield
        finally:
            saved.put_back()

    def _rebuild(self, pools: Mapping[Address, Pool]) -> None:
        self._table: PoolTable = PoolTable(pools)
        table, first = self._table, self._profit_tokens[0]
        self._listed = len(pools)
        if self._probe:
            worth = table.token_worth(first)
            np.divide(self._probe, worth, out=table.ends.probe, where=worth > 0.0)
            table.refresh_heads()
        rank = np.full(len(table.tokens), NO_RANK, dtype=np.int32)
        for place, token in enumerate(self._profit_tokens):
            if token in table.token_index:
                rank[table.token_index[token]] = place
        market = table.graph(by_dex=False)
        self._exchange: list[LongArray] = [table.pair_slots(market, token, first) for token in self._profit_tokens]
        self._rank = rank
        self._market: Layer = Layer.of(market, table.heads, rank)
        self._within: Layer | None = None
        self._behind: list[LongArray] = []
        self._value_tokens([self._market])

    def _refresh(self, rows: LongArray) -> None:
        self._market.refresh_all(self._table, rows)
        if self._within is not None:
            self._behind.append(rows)
        if len(self._profit_tokens) > 1:
            self._value_tokens([self._market])

    def _value_tokens(self, layers: Sequence[Layer]) -> None:
        """Worth of each profit token's raw unit in the first of them, at the deepest pool between the two."""
        worth = np.full(len(self._profit_tokens), UNPRICED)
        worth[0] = 1.0
        heads = self._table.heads
        for place, slots in enumerate(self._exchange):
            deepest = slots[np.argmax(heads.depth[slots])] if slots.size else -1
            if deepest >= 0 and heads.depth[deepest] > 0:
                worth[place] = heads.root_rate[deepest] ** 2
        for layer in layers:
            layer.value[layer.anchors] = worth[layer.rank[layer.anchors]]

    def _layer(self, allow: LoopFilter) -> Layer:
        """The graph to search in; that within the DEXes is made at the first question and refreshed at the next."""
        if allow.dexes is not DexRule.SAME:
            return self._market
        if self._within is None:
            self._within = Layer.of(self._table.graph(by_dex=True), self._table.heads, self._rank)
        elif self._behind:
            self._within.refresh(self._table.heads, np.unique(np.concatenate(self._behind)))
        self._behind.clear()
        self._value_tokens([self._within])
        return self._within

    def _admitted(self, graph: Graph, pairs: frozenset[frozenset[Address]] | None) -> BoolArray | None:
        if pairs is None:
            return None
        index, tokens = self._table.token_index, len(self._table.tokens)
        ends = (sorted(index[token] for token in pair) for pair in pairs if all(token in index for token in pair))
        keys = np.array([low * tokens + high for low, high in ends], dtype=np.int64)
        return np.isin(graph.token[graph.low].astype(np.int64) * tokens + graph.token[graph.high], keys)

    @staticmethod
    def warm_up() -> None:
        """Compile all kernels, or load them from the cache, so that the first block does not wait for it."""
        from keeper.discovery.search.warm_up import run_all_kernels

        run_all_kernels()
