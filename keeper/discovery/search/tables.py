"""The market as flat arrays: tokens and pools numbered, each pool's ranges and integers written to its row.

Tokens are numbered by falling number of pools, so that the hubs come first. The rows of one pair are contiguous, and
within them those of one DEX. A pool of more than two tokens has a row for each pair of them.

The sorted events of a pair, as a joint solve walks them: for each row k of the pair and direction d, slot 2 * k + d
begins at q = ``heads.root_rate`` with A = ``heads.depth`` in range ``heads.at``. Range j of the row has
A = L / root_fee with L = ``ranges.liquidity[ranges.offset[k] + j]``, and ends at q = root_fee * s for token0 in and
root_fee / s for token1 in, s the bound of `Ranges.bounds` that the swap moves to, no further than ``lowest`` or
``highest``; there the next range adds its A and takes this one's. Token0 comes in where d == ``flipped[k]``.
"""

from __future__ import annotations

import marshal
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keeper.discovery.search.arrays import (
    BoolArray,
    Ends,
    Exact,
    FloatArray,
    Graph,
    Heads,
    IntArray,
    LongArray,
    Ranges,
)
from keeper.discovery.search.exact import NOT_EXACT, PAIR
from keeper.discovery.search.ranges import ExactView, ranges_of
from keeper.discovery.search.rows import WORDS, refresh_heads, write_states
from keeper.domain.token import TRADED_VENUES
from keeper.domain.units import Address
from keeper.market.venues.base import Pool
from keeper.market.venues.fields import FEE_DENOMINATOR
from keeper.market.venues.multi import pairs_of
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import PancakeSwapV3Pool, UniswapV3Pool

__all__ = ["BoolArray", "Graph", "Heads", "IntArray", "LongArray", "PoolTable", "Ranges"]

NO_RANK = np.iinfo(np.int32).max
"""Rank of a token in which no profit is taken."""
UNKNOWN = -1
"""In place of a row: the search has none for this pool."""
_SLOW, _PAIR, _TICKS = range(3)
"""How a row's next state is written: from a view of the pool, or only what a swap changes."""
_RANGED = frozenset({UniswapV3Pool, PancakeSwapV3Pool})
_TICK_OFFSET = 1 << 30
_HOPS_TO_VALUE = 3
"""Pools that a token may be away from a profit token to be valued."""


def _views(pool: Pool) -> list[Pool]:
    """The pool as pools of two tokens; none where the search does not take it."""
    if pool.venue not in TRADED_VENUES:
        return []
    return [view for view in pairs_of(pool) if view.token0 != view.token1]


def _identity(pool: Pool) -> tuple[Address, Address, str]:
    return pool.token0, pool.token1, pool.dex


class SavedRows(NamedTuple):
    """Rows as they were: the arrays themselves, since growing replaces them, and their parts."""

    ranges: Ranges
    exact: Exact
    used: int
    parts: list[tuple[NDArray[Any], NDArray[np.int64] | slice, NDArray[Any]]]
    states: list[tuple[int, Pool | None, int]]


class PoolTable:
    """Numbers tokens and pools once, and keeps the ranges of each pool.

    Pools of kinds that are not traded get no row: the search does not see them.

    Args:
        pools: every pool the table will ever hold, by `Pool.key`; the state of each may change later.

    Attributes:
        index: the row of each pool of two tokens; of a pool of more, -2 or less, for `rows_of`.
        pools: by row, the state that was written; None where the pool is out of trade.
        keys: by row.
        owner: by row, the first row of the same pool; a loop uses each pool once.
    """

    def __init__(self, pools: Mapping[Address, Pool]) -> None:
        listed = [(key, view) for key, pool in pools.items() for view in _views(pool)]
        degree = Counter(token for _, view in listed for token in (view.token0, view.token1))
        self.tokens: list[Address] = sorted(degree, key=lambda token: (-degree[token], token))
        self.token_index = {token: i for i, token in enumerate(self.tokens)}
        dexes = {dex: i for i, dex in enumerate(sorted({view.dex for _, view in listed}))}

        def row(entry: tuple[Address, Pool]) -> tuple[int, int, int, Address]:
            key, view = entry
            low, high = sorted((self.token_index[view.token0], self.token_index[view.token1]))
            return low, high, dexes[view.dex], key

        listed.sort(key=row)
        rows = list(map(row, listed))
        size = len(rows)
        self.keys: list[Address] = [key for key, _ in listed]
        self.pools: list[Pool | None] = [None] * size
        self._number_pools()
        self.low = np.array([key[0] for key in rows], dtype=np.int32)
        self.high = np.array([key[1] for key in rows], dtype=np.int32)
        self.dex = np.array([key[2] for key in rows], dtype=np.int32)
        self.fee_tier = np.zeros(size, dtype=np.int32)
        self._tiers: dict[tuple[str, int], int] = {}
        self._fees: list[int] = [UNKNOWN] * size
        self._identity = [_identity(view) for _, view in listed]
        # the last one stands for rows that are none
        self._layout: NDArray[np.int8] = np.zeros(size + 1, dtype=np.int8)
        self._capacity = np.full(size, 2, dtype=np.int64)
        self._used = 2 * size
        room = 4 * size + 16
        flipped = [low != self.token_index[view.token0] for (low, *_), (_, view) in zip(rows, listed, strict=True)]
        self.ranges = Ranges(
            price=np.ones(size),
            lowest=np.zeros(size),
            highest=np.full(size, np.inf),
            span=np.full(size, np.inf),
            root_fee=np.ones(size),
            flipped=np.array(flipped, dtype=np.bool_),
            offset=2 * np.arange(size, dtype=np.int64),
            length=np.zeros(size, dtype=np.int32),
            current=np.zeros(size, dtype=np.int32),
            bounds=np.tile([0.0, np.inf], room // 2),
            liquidity=np.zeros(room),
        )
        self.exact = Exact(
            kind=np.zeros(size, dtype=np.int32),
            fee=np.zeros(size, dtype=np.int32),
            words=np.zeros((size, 5), dtype=np.uint64),
            tick=np.zeros(size, dtype=np.int32),
            spacing=np.ones(size, dtype=np.int32),
            ticks=np.zeros(room, dtype=np.int32),
            liquidity=np.zeros((room, 2), dtype=np.uint64),
        )
        self.ends = Ends(low=self.low, high=self.high, probe=np.zeros(max(len(self.tokens), 1)))
        self.heads = Heads(
            root_rate=np.zeros(2 * size),
            depth=np.zeros(2 * size),
            at=np.full(2 * size, -1, dtype=np.int32),
            log_rate=np.full(2 * size, -np.inf),
        )
        plain = [
            k
            for k, (_, view) in enumerate(listed)
            if type(view) is UniswapV2Pool and 0 <= view.fee_pips < FEE_DENOMINATOR
        ]
        for k in plain:
            self.pools[k] = view = listed[k][1]
            self._layout[k], self.exact.kind[k] = _PAIR, PAIR
            self._set_fee(k, view, view.fee_pips)
        known = set(plain)
        for k, (_, view) in enumerate(listed):
            if k not in known:
                self.write(k, view)
        self._write_states(np.array(plain, dtype=np.int64), [listed[k][1] for k in plain], np.empty(0, np.int64), [])
        self.refresh_heads()

    def _number_pools(self) -> None:
        self.index: dict[Address, int] = {}
        self._groups: list[list[int]] = []
        self.owner: IntArray = np.arange(len(self.keys), dtype=np.int32)
        for k, key in enumerate(self.keys):
            known = self.index.get(key)
            if known is None:
                self.index[key] = k
                continue
            if known >= 0:
                self._groups.append([known])
                known = self.index[key] = -1 - len(self._groups)
            group = self._groups[-2 - known]
            group.append(k)
            self.owner[k] = group[0]

    def rows_of(self, key: Address) -> Sequence[int]:
        """The rows of a pool; none where the search does not see it."""
        known = self.index.get(key, UNKNOWN)
        if known >= 0:
            return (known,)
        return () if known == UNKNOWN else self._groups[-2 - known]

    def _numbers(self, keys: Collection[Address]) -> list[int]:
        """As in ``index``, `UNKNOWN` for pools that are not in it."""
        known = self.index.get
        return [known(key, UNKNOWN) for key in keys]

    def positions(self, keys: Collection[Address]) -> IntArray:
        """Row numbers, ascending; unknown pools are left out."""
        found = self._numbers(keys)
        if min(found, default=0) < 0:
            found = [k for key in keys for k in self.rows_of(key)]
        rows = np.array(found, dtype=np.int32)
        rows.sort()
        return rows

    def fits(self, key: Address, pool: Pool) -> bool:
        """True when ``pool`` is a state of the pool that has its rows: what the numbering rests on is unchanged."""
        return [self._identity[k] for k, _ in self.views(key, pool)] == list(map(_identity, _views(pool)))

    def views(self, key: Address, pool: Pool) -> list[tuple[int, Pool]]:
        """The rows of a pool with what stands in them, in the order of `_views`; short where they do not fit."""
        found = {self._identity[k]: k for k in self.rows_of(key)}
        seen = [(found.get(_identity(view), UNKNOWN), view) for view in _views(pool)]
        return [(k, view) for k, view in seen if k != UNKNOWN] if len(seen) == len(found) else []

    def swapped(self, keys: Sequence[Address], pools: Mapping[Address, Pool]) -> tuple[LongArray, list[Address]]:
        """Write the states after swaps in the usual kinds of pools, all at once.

        A known pool keeps its tokens and its DEX for life, so they are not compared.

        Returns:
            the rows written, and the pools that are left to be written one by one.
        """
        rows = np.array(self._numbers(keys), dtype=np.int64)
        layout = self._layout[np.maximum(rows, UNKNOWN)]
        left = [keys[i] for i in np.flatnonzero(layout == _SLOW).tolist()]
        # of each kind the rows and their states; columns of integers are read off states of one class the quickest
        pairs, paired = self._usual(_PAIR, layout, rows, keys, pools, left)
        ranged, priced = self._usual(_TICKS, layout, rows, keys, pools, left)
        self._write_states(pairs, paired, ranged, priced)
        return np.concatenate((pairs, ranged)), left

    def _write_states(self, pairs: LongArray, paired: list[Any], ranged: LongArray, priced: list[Any]) -> None:
        """What swaps change, in rows that are laid out for these states."""
        columns = [
            *[pool.reserve0 for pool in paired],
            *[pool.reserve1 for pool in paired],
            *[pool.sqrt_price_x96 for pool in priced],
            *[pool.liquidity for pool in priced],
            *[pool.tick + _TICK_OFFSET for pool in priced],
        ]
        if columns:
            data = np.frombuffer(marshal.dumps(columns, 2), dtype=np.uint8)
            words, fits = np.empty((len(columns), WORDS), dtype=np.uint64), np.empty(len(columns), dtype=np.bool_)
            other = np.empty(pairs.size + ranged.size, dtype=np.int64)
            count = write_states(data, pairs, ranged, self.ranges, self.exact, words, fits, other)
            for k in other[:count].tolist():
                self.write(k, self.pools[k])

    def _usual(
        self,
        kind: int,
        layout: NDArray[np.int8],
        rows: LongArray,
        keys: Sequence[Address],
        pools: Mapping[Address, Pool],
        left: list[Address],
    ) -> tuple[LongArray, list[Any]]:
        """The rows laid out as ``kind`` and their states; where one of them has changed otherwise, all are left."""
        at = np.flatnonzero(layout == kind)
        mine = rows[at]
        numbers, states, fees = mine.tolist(), [pools.get(keys[i]) for i in at.tolist()], self._fees
        usual = {*map(type, states)} <= {UniswapV2Pool} if kind == _PAIR else self._same_ticks(numbers, states)
        chosen: list[Any] = states
        if not usual or [pool.fee_pips for pool in chosen] != [fees[k] for k in numbers]:
            left += [keys[i] for i in at.tolist()]
            return mine[:0], []
        known = self.pools
        for k, pool in zip(numbers, states, strict=True):
            known[k] = pool
        return mine, chosen

    def _same_ticks(self, rows: Sequence[int], pools: Sequence[Pool | None]) -> bool:
        """Whether each state has the ticks of the one before."""
        if not {*map(type, pools)} <= _RANGED:
            return False
        before: list[Any] = [self.pools[k] for k in rows]
        now: list[Any] = list(pools)
        # lists compare what they hold by identity first, which a state made from the one before fulfils
        return (
            list(map(type, before)) == list(map(type, now))
            and [p.tick_indices for p in before] == [p.tick_indices for p in now]
            and [p.liquidity_net for p in before] == [p.liquidity_net for p in now]
            and [p.tick_spacing for p in before] == [p.tick_spacing for p in now]
        )

    def write(self, k: int, pool: Pool | None) -> None:
        """Write one row from a view of the pool; None takes it out of trade."""
        self.pools[k] = pool
        view = None if pool is None else ranges_of(pool)
        self._layout[k] = _SLOW
        if pool is None or view is None:
            self.ranges.length[k] = 0
            return
        needed = len(view.bounds)
        if needed > self._capacity[k]:
            self._make_room(k, needed)
        ranges, at = self.ranges, int(self.ranges.offset[k])
        ranges.bounds[at : at + needed] = view.bounds
        ranges.liquidity[at : at + needed - 1] = view.liquidity
        ranges.length[k] = needed - 1
        ranges.price[k], ranges.current[k], ranges.span[k] = view.price, view.current, view.span
        ranges.lowest[k], ranges.highest[k] = view.price / view.span, view.price * view.span
        self._set_fee(k, pool, pool.fee_pips if view.fee_pips is None else view.fee_pips)
        self._write_exact(k, at, view.exact)
        if type(pool) is UniswapV2Pool:
            self._layout[k] = _PAIR
        elif type(pool) in _RANGED and view.exact is not None:
            self._layout[k] = _TICKS

    def _set_fee(self, k: int, pool: Pool, fee: int) -> None:
        self.ranges.root_fee[k], self.exact.fee[k] = ((FEE_DENOMINATOR - fee) / FEE_DENOMINATOR) ** 0.5, fee
        self._fees[k] = pool.fee_pips
        self.fee_tier[k] = self._tiers.setdefault((pool.dex, pool.fee_pips), len(self._tiers))

    def _write_exact(self, k: int, at: int, known: ExactView | None) -> None:
        exact = self.exact
        if known is None:
            exact.kind[k] = NOT_EXACT
            return
        exact.kind[k] = known.kind
        exact.tick[k], exact.spacing[k] = known.tick, known.spacing
        shift = 192 if known.ticks else 128
        exact.words[k] = np.frombuffer((known.state[0] | known.state[1] << shift).to_bytes(40, "little"), np.uint64)
        if known.ticks:
            exact.ticks[at : at + len(known.ticks)] = known.ticks
            data = b"".join([amount.to_bytes(16, "little") for amount in known.liquidity])
            exact.liquidity[at : at + len(known.liquidity)] = np.frombuffer(data, np.uint64).reshape(-1, 2)

    def _make_room(self, k: int, needed: int) -> None:
        """Move row ``k`` to the end of the range arrays, with space for new ticks where it has ticks at all."""
        capacity = needed if needed == 2 else needed + needed // 2
        end = self._used + capacity
        if end > len(self.ranges.bounds):
            grown = max(end, 2 * len(self.ranges.bounds))
            self.ranges = self.ranges._replace(
                bounds=np.resize(self.ranges.bounds, grown), liquidity=np.resize(self.ranges.liquidity, grown)
            )
            self.exact = self.exact._replace(
                ticks=np.resize(self.exact.ticks, grown), liquidity=np.resize(self.exact.liquidity, (grown, 2))
            )
        self.ranges.offset[k] = self._used
        self._capacity[k] = capacity
        self._used = end

    def save(self, rows: Sequence[int]) -> SavedRows:
        """All that the table holds about ``rows``."""
        chosen = np.array(rows, dtype=np.int64)
        slots = np.concatenate((2 * chosen, 2 * chosen + 1))
        parts: list[tuple[NDArray[Any], NDArray[np.int64] | slice, NDArray[Any]]] = []
        ranges, exact = self.ranges, self.exact
        by_row = (
            *(ranges.price, ranges.lowest, ranges.highest, ranges.span, ranges.root_fee),
            *(ranges.offset, ranges.length, ranges.current),
            *(exact.kind, exact.fee, exact.words, exact.tick, exact.spacing),
            *(self.fee_tier, self._layout, self._capacity),
        )
        parts += [(array, chosen, array[chosen]) for array in by_row]
        parts += [(array, slots, array[slots]) for array in self.heads]
        for k in rows:
            at = slice(int(ranges.offset[k]), int(ranges.offset[k] + self._capacity[k]))
            for array in (ranges.bounds, ranges.liquidity, exact.ticks, exact.liquidity):
                parts.append((array, at, array[at].copy()))
        states = [(k, self.pools[k], self._fees[k]) for k in rows]
        return SavedRows(ranges, exact, self._used, parts, states)

    def restore(self, saved: SavedRows) -> None:
        """Put back what `save` returned."""
        self.ranges, self.exact, self._used = saved.ranges, saved.exact, saved.used
        for array, at, values in saved.parts:
            array[at] = values
        for k, pool, fee in saved.states:
            self.pools[k], self._fees[k] = pool, fee

    def refresh_heads(self) -> None:
        """Recompute the heads of all pools."""
        refresh_heads(self.ranges, self.heads, self.ends, np.arange(len(self.pools), dtype=np.int64))

    def token_worth(self, first: Address) -> FloatArray:
        """By token, what a raw unit is worth in raw units of ``first``, in round terms; 0 where no way leads there.

        The price is taken where the most of it stands behind, over pools that are so few away.
        """
        worth = np.zeros(max(len(self.tokens), 1))
        home = self.token_index.get(first)
        if home is None:
            return worth
        worth[home] = 1.0
        given = np.column_stack((self.low, self.high)).ravel()
        taken = np.column_stack((self.high, self.low)).ravel()
        rate, depth = self.heads.root_rate, self.heads.depth * self.heads.root_rate
        for _ in range(_HOPS_TO_VALUE):
            slots = np.flatnonzero((worth[given] == 0.0) & (worth[taken] > 0.0) & (rate > 0.0))
            slots = slots[np.argsort(depth[slots] * worth[taken[slots]], kind="stable")]
            values = rate[slots] ** 2 * worth[taken[slots]]
            # of several prices for a token the one written last stays, which has the most behind it
            worth[given[slots]] = values
        return worth

    def graph(self, *, by_dex: bool) -> Graph:
        """The graph of all pools; rates are still to be filled in.

        Args:
            by_dex: a token is a node of its own at each DEX, so that no path leads from one DEX to another.
        """
        tokens = len(self.tokens)
        dex = self.dex.astype(np.int64) if by_dex else np.zeros(len(self.dex), dtype=np.int64)
        ends = np.concatenate((dex * tokens + self.low, dex * tokens + self.high))
        keys, nodes = np.unique(ends, return_inverse=True)
        low_of, high_of = nodes[: len(dex)], nodes[len(dex) :]
        # rows are sorted by tokens, then DEX: a pair's pools follow each other
        new = np.ones(len(dex), dtype=np.bool_)
        new[1:] = (low_of[1:] != low_of[:-1]) | (high_of[1:] != high_of[:-1])
        first = np.flatnonzero(new).astype(np.int32)
        pairs = len(first)
        low, high = low_of[first].astype(np.int32), high_of[first].astype(np.int32)
        source = np.concatenate((low, high))
        target = np.concatenate((high, low))
        edges = np.concatenate((2 * np.arange(pairs), 2 * np.arange(pairs) + 1)).astype(np.int32)
        order = np.lexsort((target, source))
        start = np.zeros(len(keys) + 1, dtype=np.int64)
        start[1:] = np.cumsum(np.bincount(source, minlength=len(keys)))
        return Graph(
            token=(keys % max(tokens, 1)).astype(np.int32),
            low=low,
            high=high,
            first=first,
            last=np.append(first[1:], len(dex)).astype(np.int32)[:pairs],
            pair_of=(np.cumsum(new) - 1).astype(np.int32),
            start=start,
            to=target[order].astype(np.int32),
            edge=edges[order],
            log_rate=np.full(2 * pairs, -np.inf),
            best=np.full(2 * pairs, -1, dtype=np.int32),
        )

    def pair_slots(self, graph: Graph, token: Address, other: Address) -> LongArray:
        """By `Heads`: the pools that sell ``token`` for ``other``."""
        sold, bought = self.token_index.get(token), self.token_index.get(other)
        if sold is None or bought is None or sold == bought:
            return np.empty(0, dtype=np.int64)
        (pair,) = np.nonzero((graph.low == min(sold, bought)) & (graph.high == max(sold, bought)))
        if pair.size == 0:
            return np.empty(0, dtype=np.int64)
        rows = np.arange(graph.first[pair[0]], graph.last[pair[0]], dtype=np.int64)
        return 2 * rows + (0 if sold < bought else 1)
