"""The best input of a loop whose hops are split over all pools that trade their pairs.

Under the best split, the pools of a hop that take part pay the same marginal rate. With the identity of `sizing`, their
A add up: between two events a hop is again one range, with A the sum over the pools that take part. Events are the
rates at which a further pool joins and those at which a pool comes to the end of a range. The walk is that of
`sizing.best_input`, from event to event, in closed form between them.

A pool that is left without a rate at the end of its liquidity drops out; where others have better rates to offer than
nothing, the hop goes on with them, at a rate that falls by a jump.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keeper.discovery.search.arrays import BoolArray, FloatArray, Graph, Heads, IntArray, Ranges
from keeper.discovery.search.compiled import lean_kernel

MAX_HOPS = 4
MAX_PARALLEL = 64
"""Pools of a hop that are looked at: half of them those with the best rates, half the deepest."""
MAX_EVENTS = 4_096
MAX_LEGS = 48
"""Legs of a loop; of more, those with the least surplus are dropped."""


class Walk(NamedTuple):
    """Work space of a split: by hop and pool of the hop, and by hop.

    ``at`` is the range that a pool is in, -1 where it has none left; ``next`` the q of its next event, 0 for none.
    """

    pool: IntArray
    at: IntArray
    joined: BoolArray
    dropped: BoolArray
    depth: FloatArray
    next: FloatArray
    given: FloatArray
    surplus: FloatArray
    width: IntArray
    total: FloatArray
    rate: FloatArray
    following: FloatArray
    left: IntArray
    kept: BoolArray

    @classmethod
    def new(cls) -> Walk:
        shape = (MAX_HOPS, MAX_PARALLEL)
        numbers, flags = np.zeros((4, *shape)), np.zeros((3, *shape), dtype=np.bool_)
        return cls(
            pool=np.zeros(shape, dtype=np.int32),
            at=np.zeros(shape, dtype=np.int32),
            joined=flags[0],
            dropped=flags[1],
            depth=numbers[0],
            next=numbers[1],
            given=numbers[2],
            surplus=numbers[3],
            width=np.zeros(MAX_HOPS, dtype=np.int32),
            total=np.zeros(MAX_HOPS),
            rate=np.zeros(MAX_HOPS),
            following=np.zeros(MAX_HOPS),
            left=np.zeros(MAX_HOPS, dtype=np.int32),
            kept=flags[2],
        )


@lean_kernel
def end_of(ranges: Ranges, pool: int, token0_in: bool, at: int) -> float:
    """q at the end of a range, or where the pool's reach ends within it; 0 for a range without an end."""
    base = ranges.offset[pool] + at
    if token0_in:
        return float(ranges.root_fee[pool] * max(ranges.bounds[base], ranges.lowest[pool]))
    return float(ranges.root_fee[pool] / min(ranges.bounds[base + 1], ranges.highest[pool]))


@lean_kernel
def range_behind(ranges: Ranges, pool: int, token0_in: bool, at: int) -> tuple[int, float]:
    """The first range with liquidity behind range ``at``, and q at its start; -1 for none."""
    base, root_fee = ranges.offset[pool], ranges.root_fee[pool]
    step, stop = (-1, -1) if token0_in else (1, ranges.length[pool])
    j = at + step
    while j != stop:
        low, high = ranges.bounds[base + j], ranges.bounds[base + j + 1]
        if (high <= ranges.lowest[pool]) if token0_in else (low >= ranges.highest[pool]):
            break
        if ranges.liquidity[base + j] > 0.0 and low < high:
            return j, root_fee * high if token0_in else root_fee / low
        j += step
    return -1, 0.0


@lean_kernel
def gather(graph: Graph, heads: Heads, usable: BoolArray, walk: Walk, hop: int, edge: int) -> int:
    """The pools of a hop into ``walk.pool``; return how many."""
    first, last, direction, count = graph.first[edge >> 1], graph.last[edge >> 1], edge & 1, 0
    if last - first <= MAX_PARALLEL:
        for pool in range(first, last):
            if usable[pool] and heads.at[2 * pool + direction] >= 0:
                walk.pool[hop, count] = pool
                count += 1
        return count
    for turn in range(MAX_PARALLEL):
        by_rate, best, most = turn < MAX_PARALLEL // 2, -1, 0.0
        for pool in range(first, last):
            slot = 2 * pool + direction
            value = heads.root_rate[slot] if by_rate else heads.depth[slot]
            if not usable[pool] or heads.at[slot] < 0 or value <= most:
                continue
            known = False
            for j in range(count):
                known = known or walk.pool[hop, j] == pool
            if not known:
                best, most = pool, value
        if best < 0:
            break
        walk.pool[hop, count] = best
        count += 1
    return count


@lean_kernel
def settle(walk: Walk, hop: int) -> float:
    """Add up A of the pools that take part in a hop; return the q of its next event, 0 for none."""
    total, following = 0.0, 0.0
    for j in range(walk.width[hop]):
        if walk.joined[hop, j]:
            total += walk.depth[hop, j]
        following = max(following, walk.next[hop, j])
    walk.total[hop] = total
    return following


@lean_kernel
def advance(ranges: Ranges, walk: Walk, hop: int, edge: int, q: float) -> None:
    """Carry out the events of a hop at ``q`` and above: pools join, enter their next range, or have none left."""
    for j in range(walk.width[hop]):
        while walk.next[hop, j] >= q and walk.next[hop, j] > 0.0:
            pool = walk.pool[hop, j]
            token0_in = (edge & 1 == 0) != ranges.flipped[pool]
            if walk.joined[hop, j]:
                at, start = range_behind(ranges, pool, token0_in, walk.at[hop, j])
                walk.at[hop, j] = at
                if at < 0:
                    walk.joined[hop, j], walk.next[hop, j] = False, 0.0
                    break
                if start < walk.next[hop, j] * (1.0 - 1e-12):
                    # a gap in its liquidity: it joins again on the other side
                    walk.joined[hop, j], walk.next[hop, j] = False, start
                    continue
            walk.joined[hop, j] = True
            at = walk.at[hop, j]
            walk.depth[hop, j] = ranges.liquidity[ranges.offset[pool] + at] / ranges.root_fee[pool]
            walk.next[hop, j] = end_of(ranges, pool, token0_in, at)


@lean_kernel
def solve(ranges: Ranges, heads: Heads, walk: Walk, loop: IntArray, hops: int) -> tuple[float, float]:
    """The optimum over the pools that are not dropped: profit and input. ``walk.rate`` has each hop's q there."""
    for h in range(hops):
        direction, best = loop[h] & 1, 0.0
        for j in range(walk.width[h]):
            slot = 2 * walk.pool[h, j] + direction
            walk.joined[h, j] = False
            walk.at[h, j] = heads.at[slot]
            walk.next[h, j] = 0.0 if walk.dropped[h, j] else heads.root_rate[slot]
            best = max(best, walk.next[h, j])
        if best <= 0.0:
            return 0.0, 0.0
        walk.rate[h] = best
        advance(ranges, walk, h, loop[h], best)
    events, size, profit = 0, 0.0, 0.0
    rate, total, following = walk.rate, walk.total, walk.following
    for h in range(hops):
        following[h] = settle(walk, h)
    while events < MAX_EVENTS:
        events += 1
        gain, curve, reach, binding = 1.0, 0.0, np.inf, -1
        for h in range(hops):
            if following[h] > 0.0:
                limit = max(total[h] / following[h] - total[h] / rate[h], 0.0)
                # the loop input at which this hop is given ``limit``; never, where the hops before pay out less
                room = gain - curve * limit
                if room > 0.0 and limit / room < reach:
                    reach, binding = limit / room, h
            curve += gain * rate[h] / total[h]
            gain *= rate[h] * rate[h]
        if not gain > 1.0:
            break
        step = (np.sqrt(gain) - 1.0) / curve
        last = not step > reach
        flow = step if last else reach
        if not np.isfinite(flow):
            return 0.0, 0.0
        size += flow
        profit -= flow
        for h in range(hops):
            paid = total[h] * rate[h] * flow / (flow + total[h] / rate[h])
            rate[h] = total[h] / (flow + total[h] / rate[h])
            flow = paid
        profit += flow
        if last:
            break
        rate[binding] = following[binding]
        advance(ranges, walk, binding, loop[binding], following[binding])
        following[binding] = settle(walk, binding)
        if total[binding] <= 0.0:
            if following[binding] <= 0.0:
                break
            rate[binding] = following[binding]
            advance(ranges, walk, binding, loop[binding], following[binding])
            following[binding] = settle(walk, binding)
    return profit, size


@lean_kernel
def fill(ranges: Ranges, heads: Heads, pool: int, direction: int, q: float) -> tuple[float, float]:
    """What a pool takes in and pays when it is traded down to ``q``."""
    slot = 2 * pool + direction
    token0_in = (direction == 0) != ranges.flipped[pool]
    at, here, given, paid = heads.at[slot], heads.root_rate[slot], 0.0, 0.0
    while at >= 0 and here > q:
        depth = ranges.liquidity[ranges.offset[pool] + at] / ranges.root_fee[pool]
        end = max(end_of(ranges, pool, token0_in, at), q)
        given += depth / end - depth / here
        paid += depth * (here - end)
        at, here = range_behind(ranges, pool, token0_in, at)
    return given, paid


@lean_kernel
def account(ranges: Ranges, heads: Heads, walk: Walk, loop: IntArray, hops: int) -> int:
    """By leg what it is given, and what it adds to the profit at the marginal rates there; return the legs' number."""
    onwards, legs = 1.0, 0
    for h in range(hops - 1, -1, -1):
        q = walk.rate[h]
        for j in range(walk.width[h]):
            walk.given[h, j], walk.surplus[h, j], walk.kept[h, j] = 0.0, 0.0, False
            if walk.dropped[h, j]:
                continue
            given, paid = fill(ranges, heads, walk.pool[h, j], loop[h] & 1, q)
            if given >= 1.0:
                walk.given[h, j], walk.surplus[h, j] = given, (paid - q * q * given) * onwards
                walk.kept[h, j] = True
                legs += 1
        onwards *= q * q
    return legs


@lean_kernel
def separate(walk: Walk, owner: IntArray, hops: int) -> int:
    """Of two legs of one pool, in different hops, drop the one with the lesser surplus; return how many went."""
    gone = 0
    for h in range(hops):
        for j in range(walk.width[h]):
            for g in range(h):
                for i in range(walk.width[g]):
                    both = walk.kept[h, j] and walk.kept[g, i]
                    if both and owner[walk.pool[h, j]] == owner[walk.pool[g, i]]:
                        a, b = (h, j) if walk.surplus[h, j] < walk.surplus[g, i] else (g, i)
                        walk.kept[a, b], walk.dropped[a, b] = False, True
                        gone += 1
    return gone


@lean_kernel
def thin(walk: Walk, hops: int, legs: int, least: float) -> int:
    """Drop the worse half of the legs that earn less than ``least``, and what is above `MAX_LEGS`; return how many.

    The last leg of a hop stays.
    """
    worse, gone, left = 0, 0, walk.left
    for h in range(hops):
        left[h] = 0
        for j in range(walk.width[h]):
            if walk.kept[h, j]:
                left[h] += 1
                worse += 1 if walk.surplus[h, j] < least else 0
    wanted = max((worse + 1) // 2, legs - MAX_LEGS)
    while gone < wanted:
        a, b = -1, -1
        for h in range(hops):
            for j in range(walk.width[h]):
                if left[h] > 1 and walk.kept[h, j] and (a < 0 or walk.surplus[h, j] < walk.surplus[a, b]):
                    a, b = h, j
        if a < 0 or (walk.surplus[a, b] >= least and legs - gone <= MAX_LEGS):
            break
        walk.kept[a, b], walk.dropped[a, b] = False, True
        left[a] -= 1
        gone += 1
    return gone


@lean_kernel
def split_loops(
    graph: Graph,
    ranges: Ranges,
    heads: Heads,
    usable: BoolArray,
    owner: IntArray,
    loops: IntArray,
    hop_counts: IntArray,
    gas: FloatArray,
    walk: Walk,
    start: IntArray,
    sizes: FloatArray,
    profits: FloatArray,
    pools: IntArray,
    hops: IntArray,
    shares: FloatArray,
) -> None:
    """The best split of each loop, net of its legs' gas.

    Legs that earn less than their gas at the marginal rates are dropped, the worse half at a time, and the rest is
    solved anew, as long as the net profit grows. What a leg adds there is less than what its loss costs, so the result
    is a lower bound of the best choice of legs.

    Args:
        gas: by loop, of one leg, in the loop's first token.
        start, sizes, profits: outputs by loop: its first leg (and the end, one entry more), input, profit before gas;
            a loop that earns nothing has no legs.
        pools, hops, shares: outputs by leg; `MAX_LEGS` rows a loop are enough.
    """
    at = 0
    start[0] = 0
    for i in range(hop_counts.size):
        count, loop = hop_counts[i], loops[i]
        for h in range(count):
            walk.width[h] = gather(graph, heads, usable, walk, h, loop[h])
            for j in range(walk.width[h]):
                walk.dropped[h, j] = False
        best_net, first = 0.0, at
        sizes[i], profits[i] = 0.0, 0.0
        while True:
            profit, size = solve(ranges, heads, walk, loop, count)
            if not profit > 0.0:
                break
            legs = account(ranges, heads, walk, loop, count)
            if separate(walk, owner, count) > 0:
                continue
            if legs <= MAX_LEGS and (at == first or profit - legs * gas[i] > best_net):
                best_net, at = profit - legs * gas[i], first
                sizes[i], profits[i] = size, profit
                for h in range(count):
                    taken = 0.0
                    for j in range(walk.width[h]):
                        taken += walk.given[h, j]
                    for j in range(walk.width[h]):
                        if walk.kept[h, j]:
                            pools[at], hops[at], shares[at] = walk.pool[h, j], h, walk.given[h, j] / taken
                            at += 1
            if thin(walk, count, legs, gas[i]) == 0:
                break
        start[i + 1] = at
