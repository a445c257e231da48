"""The market as flat arrays that the kernels read: pools sorted by token pair, their ranges, their marginal rates.

Tokens are numbered by falling number of pools, so that the hubs come first. Pool k is row k of every table; the pools
of one pair are contiguous, and within them the pools of one DEX. A pair (u, v) has u < v; direction 0 of a pair, and
of its pools, goes from u to v. Directed edge ``2 * pair + direction`` of a graph is thus the reverse of ``edge ^ 1``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keeper.discovery.search.ranges import FloatArray, holds, moved_within, reach, view_ranges
from keeper.domain.token import TRADED_VENUES
from keeper.domain.units import Address
from keeper.market.venues.base import Pool
from keeper.market.venues.fields import FEE_DENOMINATOR, MAX_UINT112
from keeper.market.venues.uniswap_v2 import UniswapV2Pool

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
    """Pairs of nodes and the pools ``first[p] <= k < last[p]`` that trade them, with the best rate of each edge.

    A node is a token, or a token at one DEX: node n stands for token ``token[n]``. The edges that leave it are
    ``edge[start[n]:start[n + 1]]`` and lead to ``to[...]``, ascending.
    """

    token: IntArray
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


_NONE, _PAIR, _TICKS = range(3)
"""What a row's ranges are laid out for, so that only what a swap changes has to be written."""


def _has_row(pool: Pool) -> bool:
    return pool.venue in TRADED_VENUES and pool.token0 != pool.token1


def _identity(pool: Pool) -> tuple[Address, Address, str, int]:
    return pool.token0, pool.token1, pool.dex, pool.fee_pips


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
        self._identity = [_identity(pools[key[4]]) for key in rows]
        tiers = {key: i for i, key in enumerate(sorted({key[2:4] for key in rows}))}
        self.fee_tier = np.array([tiers[key[2:4]] for key in rows], dtype=np.int32)
        self.pools: list[Pool | None] = [None] * len(rows)
        size = len(rows)
        fees = np.array([key[3] if 0 <= key[3] < FEE_DENOMINATOR else 0 for key in rows])
        # every row begins as a pair's: one range without ends
        self._layout = bytearray(_PAIR if 0 <= key[3] < FEE_DENOMINATOR else _NONE for key in rows)
        self._capacity = np.full(size, 2, dtype=np.int64)
        self._used = 2 * size
        self._span = np.ones(size)
        self.ranges = Ranges(
            price=np.ones(size),
            lowest=np.zeros(size),
            highest=np.full(size, np.inf),
            root_fee=np.sqrt((FEE_DENOMINATOR - fees) / FEE_DENOMINATOR),
            flipped=np.array(
                [token0 != self.tokens[key[0]] for key, (token0, *_) in zip(rows, self._identity, strict=True)],
                dtype=np.bool_,
            ),
            offset=2 * np.arange(size, dtype=np.int64),
            length=np.zeros(size, dtype=np.int32),
            current=np.zeros(size, dtype=np.int32),
            bounds=np.tile([0.0, np.inf], 2 * size + 8),
            liquidity=np.zeros(4 * size + 16),
        )
        self.heads = Heads(
            root_rate=np.zeros(2 * size),
            depth=np.zeros(2 * size),
            at=np.full(2 * size, -1, dtype=np.int32),
            log_rate=np.full(2 * size, -np.inf),
        )
        self.put([(k, pools[address]) for address, k in self.index.items()])

    def fits(self, pool: Pool) -> bool:
        """True when ``pool`` is a state of the pool that has its row: what the numbering rests on is unchanged."""
        k = self.index.get(pool.address)
        return not _has_row(pool) if k is None else self._identity[k] == _identity(pool)

    def put(self, states: Iterable[tuple[int, Pool | None]]) -> None:
        """Write the ranges of each pool to its row; None takes the pool out of trade.

        A pair's reserves, and a price that moved between known ticks, are written array by array.
        """
        pools, layout = self.pools, self._layout
        reserves: list[tuple[int, float, float]] = []
        moves: list[tuple[int, float, int, float]] = []
        for k, pool in states:
            before, pools[k] = pools[k], pool
            if layout[k] == _PAIR:
                if type(pool) is UniswapV2Pool:
                    reserve0, reserve1 = pool.reserve0, pool.reserve1
                    if 0 < reserve0 <= MAX_UINT112 and 0 < reserve1 <= MAX_UINT112:
                        reserves.append((k, float(reserve0), float(reserve1)))
                        continue
            elif layout[k] == _TICKS:
                move = moved_within(pool, before)
                if move is not None:
                    moves.append((k, *move))
                    continue
            self._write(k, pool)
        if reserves:
            self._write_reserves(np.array(reserves, dtype=np.float64))
        if moves:
            self._write_moves(np.array(moves, dtype=np.float64))

    def _write_reserves(self, columns: FloatArray) -> None:
        """Row number, reserve0 and reserve1 of rows that are laid out as pairs."""
        ranges, rows = self.ranges, columns[:, 0].astype(np.int64)
        ranges.price[rows] = np.sqrt(columns[:, 2] / columns[:, 1])
        ranges.liquidity[ranges.offset[rows]] = np.sqrt(columns[:, 1] * columns[:, 2])
        ranges.length[rows] = 1

    def _write_moves(self, columns: FloatArray) -> None:
        """Row number, price, current range and liquidity of rows whose ticks are as they were."""
        ranges, rows, current = self.ranges, columns[:, 0].astype(np.int64), columns[:, 2].astype(np.int32)
        at, price = ranges.offset[rows] + current, columns[:, 1]
        fits = (ranges.liquidity[at] == columns[:, 3]) & holds(ranges.bounds[at], ranges.bounds[at + 1], price)
        for k in rows[~fits]:
            self._write(int(k), self.pools[k])
        rows, price = rows[fits], price[fits]
        ranges.price[rows], ranges.current[rows] = price, current[fits]
        ranges.lowest[rows], ranges.highest[rows] = price / self._span[rows], price * self._span[rows]

    def _write(self, k: int, pool: Pool | None) -> None:
        """Write one row from a view of the pool."""
        view = None if pool is None else view_ranges(pool)
        if pool is None or view is None:
            self.ranges.length[k] = 0
            if self._layout[k] == _TICKS:
                self._layout[k] = _NONE
            return
        needed = len(view.bounds)
        if needed > self._capacity[k]:
            self._make_room(k, needed)
        ranges, at = self.ranges, int(self.ranges.offset[k])
        ranges.bounds[at : at + needed] = view.bounds
        ranges.liquidity[at : at + needed - 1] = view.liquidity
        ranges.length[k] = needed - 1
        ranges.price[k], ranges.current[k] = view.price, view.current
        span = reach(pool)
        self._span[k] = span
        ranges.lowest[k], ranges.highest[k] = view.price / span, view.price * span
        self._layout[k] = _TICKS if np.isfinite(span) else _PAIR

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

    def positions(self, addresses: Collection[Address]) -> IntArray:
        """Row numbers, ascending; unknown addresses are left out."""
        return np.array(sorted(k for k in map(self.index.get, addresses) if k is not None), dtype=np.int32)
