"""The arrays that the kernels read, by subject: ranges of pools, their exact integers, their heads, graphs.

Pools are rows. Pool k trades the tokens ``low < high`` of its pair, by their numbers; direction 0 of a pair, and of its
pools, goes from the lower to the higher. Slot ``2 * k + direction`` is a pool in one direction, edge ``2 * pair +
direction`` a pair in one direction; the reverse of edge e is ``e ^ 1``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]
LongArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
WordArray = NDArray[np.uint64]
ByteArray = NDArray[np.uint8]


class Ranges(NamedTuple):
    """Constant-product ranges of all pools; see `keeper.discovery.search.ranges`.

    Range j of pool k lies between ``bounds[offset[k] + j]`` and the next one and has ``liquidity[offset[k] + j]``.
    No swap goes past ``lowest[k]`` or ``highest[k]``, which are ``span[k]`` away. ``length[k] == 0`` marks a pool that
    cannot be traded. ``root_fee`` is sqrt(1 - fee). ``flipped`` tells that the pool's token0 is the higher token.
    """

    price: FloatArray
    lowest: FloatArray
    highest: FloatArray
    span: FloatArray
    root_fee: FloatArray
    flipped: BoolArray
    offset: LongArray
    length: IntArray
    current: IntArray
    bounds: FloatArray
    liquidity: FloatArray


class Exact(NamedTuple):
    """The integers behind `Ranges`, in 64-bit words, lowest first.

    ``kind`` is one of `keeper.discovery.search.exact`'s. ``words[k]`` are the reserves of token0 and token1, two words
    each, or the square-root price in three and the liquidity in two. ``fee`` is in millionths. ``ticks`` has the ticks
    at ``Ranges.bounds``, ``liquidity`` the integers of ``Ranges.liquidity``.
    """

    kind: IntArray
    fee: IntArray
    words: WordArray
    tick: IntArray
    spacing: IntArray
    ticks: IntArray
    liquidity: WordArray


class Ends(NamedTuple):
    """By pool its two tokens; by token the amount at which rates are taken, see `LoopSearch`."""

    low: IntArray
    high: IntArray
    probe: FloatArray


class Heads(NamedTuple):
    """By slot: the first range that a swap meets, and the rate.

    ``root_rate`` is q = sqrt(marginal rate, fee included), ``depth`` is A of the sizing identity, ``at`` the range's
    index (-1: nothing can be bought). ``log_rate`` is the logarithm of the rate for the token's probe, which is the
    marginal rate for a probe of 0 (-inf when ``at`` is -1).
    """

    root_rate: FloatArray
    depth: FloatArray
    at: IntArray
    log_rate: FloatArray


class Graph(NamedTuple):
    """Pairs of nodes and the pools ``first[p] <= k < last[p]`` that trade them, with the best rate of each edge.

    A node is a token, or a token at one DEX: node n stands for token ``token[n]``. The edges that leave it are
    ``edge[start[n]:start[n + 1]]`` and lead to ``to[...]``, ascending. ``best`` is the pool with the best rate.
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
