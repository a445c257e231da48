"""The market as flat arrays that the kernels read: pools sorted by token pair, their ranges, their marginal rates.

Tokens are numbered by falling number of pools, so that the hubs come first. Pool k is row k of every table; the pools
of one pair are contiguous, and within them the pools of one DEX. A pair (u, v) has u < v; direction 0 of a pair, and
of its pools, goes from u to v. Directed edge ``2 * pair + direction`` of a graph is thus the reverse of ``edge ^ 1``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keeper.discovery.search.ranges import FloatArray, moved_within, reach, view_ranges
from keeper.domain.token import TRADED_VENUES
from keeper.domain.units import Address
from keeper.market.venues.base import Pool

IntArray = NDArray[np.int32]
LongArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class Ranges(NamedTuple):
    """Constant-product ranges of all pools; see `keeper.discovery.search.ranges`.

    Range j of pool k lies between ``bounds[offset[k] + j]`` and the next one and has ``liquidity[offset[k] + j]``.
    No swap goes past ``lowest[k]`` or ``highest[k]``. ``length[k] == 0`` marks a pool that cannot be traded.
    ``root_fee`` is sqrt(1 - fee). ``flipped`` tells that the pool's token0 is the higher token of the pair.
    """

    price: FloatArray
    lowest: FloatArray
    highest: FloatArray
    root_fee: FloatArray
    flipped: BoolArray
    offset: LongArray
    length: IntArray
    current: IntArray
    bounds: FloatArray
    liquidity: FloatArray


class Heads(NamedTuple):
    """By ``2 * pool + direction``: the first range that a swap meets.

    ``root_rate`` is q = sqrt(marginal rate, fee included), ``depth`` is A of the sizing identity, ``at`` the range's
    index (-1: nothing can be bought), ``log_rate`` 2 ln q (-inf when ``at`` is -1).
    """

    root_rate: FloatArray
    depth: FloatArray
    at: IntArray
    log_rate: FloatArray


class Graph(NamedTuple):
    """Token pairs and the pools ``first[p] <= k < last[p]`` that trade them, with the best rate of each directed edge.

    ``pair_of[k]`` is -1 for a pool outside of the graph. The edges that leave token t are
    ``edge[start[t]:start[t + 1]]`` and lead to ``to[...]``, ascending.
    """

    low: IntArray
    high: IntArray
    first: IntArray
    last: IntArray
    pair_of: IntArray
    start: LongArray
    to: IntArray
    edge: IntArray
    log_rate: FloatArray
    best: IntArray


def _has_row(pool: Pool) -> bool:
    return pool.venue in TRADED_VENUES and pool.token0 != pool.token1


class PoolTable:
    """Numbers tokens and pools once, and keeps the ranges of each pool.

    Pools of kinds that nothing here can trade get no row: the search does not see them.

    Args:
        pools: every pool the table will ever hold; the state of each may change later.
    """

    def __init__(self, pools: Mapping[Address, Pool]) -> None:
        listed = [pool for pool in pools.values() if _has_row(pool)]
        degree = Counter(token for pool in listed for token in (pool.token0, pool.token1))
        self.tokens: list[Address] = sorted(degree, key=lambda token: (-degree[token], token))
        self.token_index = {token: i for i, token in enumerate(self.tokens)}
        self.dexes: list[str] = sorted({pool.dex for pool in listed})
        dex_index = {dex: i for i, dex in enumerate(self.dexes)}

        def row(pool: Pool) -> tuple[int, int, int, int, Address]:
            ends = sorted((self.token_index[pool.token0], self.token_index[pool.token1]))
            return ends[0], ends[1], dex_index[pool.dex], pool.fee_pips, pool.address

        rows = sorted(map(row, listed))
        self.index: dict[Address, int] = {key[4]: k for k, key in enumerate(rows)}
        self.low = np.array([key[0] for key in rows], dtype=np.int32)
        self.high = np.array([key[1] for key in rows], dtype=np.int32)
        self.dex = np.array([key[2] for key in rows], dtype=np.int32)
        self.fees = [key[3] for key in rows]
        tiers = {key: i for i, key in enumerate(sorted({key[2:4] for key in rows}))}
        self.fee_tier = np.array([tiers[key[2:4]] for key in rows], dtype=np.int32)
        self.pools: list[Pool | None] = [None] * len(rows)
        self._capacity = np.zeros(len(rows), dtype=np.int64)
        self._used = 0
        size = len(rows)
        self.ranges = Ranges(
            price=np.ones(size),
            lowest=np.zeros(size),
            highest=np.full(size, np.inf),
            root_fee=np.ones(size),
            flipped=np.zeros(size, dtype=np.bool_),
            offset=np.zeros(size, dtype=np.int64),
            length=np.zeros(size, dtype=np.int32),
            current=np.zeros(size, dtype=np.int32),
            bounds=np.zeros(4 * size + 16),
            liquidity=np.zeros(4 * size + 16),
        )
        self.heads = Heads(
            root_rate=np.zeros(2 * size),
            depth=np.zeros(2 * size),
            at=np.full(2 * size, -1, dtype=np.int32),
            log_rate=np.full(2 * size, -np.inf),
        )
        for address, k in self.index.items():
            self.put(k, pools[address])

    def fits(self, pool: Pool) -> bool:
        """True when ``pool`` is a state of the pool that has its row: what the numbering rests on is unchanged."""
        k = self.index.get(pool.address)
        if k is None:
            return not _has_row(pool)
        ends = (self.token_index.get(pool.token0), self.token_index.get(pool.token1))
        same_tier = (self.dexes[self.dex[k]], self.fees[k]) == (pool.dex, pool.fee_pips)
        return same_tier and set(ends) == {self.low[k], self.high[k]}

    def put(self, k: int, pool: Pool | None) -> None:
        """Write the ranges of ``pool`` to row ``k``; None takes the pool out of trade."""
        ranges, before = self.ranges, self.pools[k]
        self.pools[k] = pool
        if pool is None:
            ranges.length[k] = 0
            return
        at, count = int(ranges.offset[k]), int(ranges.length[k])
        if before is not None and count:
            moved = moved_within(pool, before, ranges.bounds[at : at + count + 1], ranges.liquidity[at : at + count])
            if moved is not None:
                ranges.price[k], ranges.current[k] = moved
                ranges.lowest[k], ranges.highest[k] = reach(pool, moved[0])
                return
        view = view_ranges(pool)
        if view is None:
            ranges.length[k] = 0
            return
        needed = len(view.bounds)
        if needed > self._capacity[k]:
            self._make_room(k, needed)
            ranges = self.ranges
        at = int(ranges.offset[k])
        ranges.bounds[at : at + needed] = view.bounds
        ranges.liquidity[at : at + needed - 1] = view.liquidity
        ranges.length[k] = needed - 1
        ranges.price[k], ranges.current[k] = view.price, view.current
        ranges.lowest[k], ranges.highest[k] = reach(pool, view.price)
        ranges.root_fee[k] = np.sqrt((1_000_000 - pool.fee_pips) / 1_000_000)
        ranges.flipped[k] = self.token_index[pool.token0] == self.high[k]

    def _make_room(self, k: int, needed: int) -> None:
        """Move row ``k`` to the end of the range arrays, with space for new ticks where it has ticks at all."""
        capacity = needed if needed == 2 else needed + needed // 2
        end = self._used + capacity
        if end > len(self.ranges.bounds):
            grown = max(end, 2 * len(self.ranges.bounds))
            self.ranges = self.ranges._replace(
                bounds=np.resize(self.ranges.bounds, grown), liquidity=np.resize(self.ranges.liquidity, grown)
            )
        self.ranges.offset[k] = self._used
        self._capacity[k] = capacity
        self._used = end

    def graph(self, members: LongArray) -> Graph:
        """The graph of the pools with the ascending row numbers ``members``; rates are still to be filled in.

        ``members`` must hold, of each pair, a contiguous run of rows.
        """
        tokens = len(self.tokens)
        keys = self.low[members].astype(np.int64) * tokens + self.high[members]
        _, first_at, counts = np.unique(keys, return_index=True, return_counts=True)
        first = members[first_at].astype(np.int32)
        last = (first + counts).astype(np.int32)
        pairs = len(first)
        low, high = self.low[first], self.high[first]
        pair_of = np.full(len(self.low), -1, dtype=np.int32)
        pair_of[members] = np.repeat(np.arange(pairs, dtype=np.int32), counts)
        source = np.concatenate((low, high))
        target = np.concatenate((high, low))
        edges = np.concatenate((2 * np.arange(pairs), 2 * np.arange(pairs) + 1)).astype(np.int32)
        order = np.lexsort((target, source))
        start = np.zeros(tokens + 1, dtype=np.int64)
        start[1:] = np.cumsum(np.bincount(source, minlength=tokens))
        return Graph(
            low=low,
            high=high,
            first=first,
            last=last,
            pair_of=pair_of,
            start=start,
            to=target[order].astype(np.int32),
            edge=edges[order],
            log_rate=np.full(2 * pairs, -np.inf),
            best=np.full(2 * pairs, -1, dtype=np.int32),
        )

    def rows_of(self, dex: str) -> LongArray:
        return np.flatnonzero(self.dex == self.dexes.index(dex))

    def positions(self, addresses: Collection[Address]) -> IntArray:
        """Row numbers, ascending; unknown addresses are left out."""
        return np.array(sorted(k for k in map(self.index.get, addresses) if k is not None), dtype=np.int32)
