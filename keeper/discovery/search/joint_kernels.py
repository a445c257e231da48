"""The joint optimum of all pools of an instance, with costs: damped Newton on the logarithms of token prices.

Give each token t a price v[t] in the profit token, whose own price is 1. At these prices a pool earns by itself at
most s = max over x of (v[out] * y(x) - v[in] * x), its surplus, where x goes in until its marginal rate has fallen to
v[in] / v[out]. The sum of all surpluses, g, is convex in the prices. Its gradient by the logarithms of the prices is
what the pools pay out of each token less what they take in, valued; its Hessian is the Laplacian of the graph of pools
plus the gradient on the diagonal. Where g is least nothing is left of any token but the profit token, and g is the
joint optimum: the dual of optimal routing (Angeris, Chitra, Evans and Boyd 2022; Diamandis, Resnick, Chitra and
Angeris 2023).

With a cost of ``gas`` for each pool that trades, h = sum of max(0, s - gas) bounds from above what any bundle earns, at
any prices (docs/joint.md has the proof). h is convex in the prices, too, and its least value is the best such bound. It
has kinks where a surplus is equal to the gas; they are rounded by a parabola over a band of surpluses that becomes
narrower and narrower. The pools whose surplus is above the gas at the least h are the legs; g of these alone then
gives their flows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keeper.discovery.search.compiled import kernel, lean_kernel
from keeper.discovery.search.joint_instance import JointInstance
from keeper.discovery.search.ranges import FloatArray
from keeper.discovery.search.tables import BoolArray, IntArray, LongArray

MAX_STEPS = 10
"""Newton steps of one solve."""
DECREMENT = 1e-9
"""A solve ends where the next step promises less than this share of the sum. Where prices lie on the edge of a pool's
fee, steps become small before the gradient vanishes: a bound on the gap would not be met."""
START_STEPS, START_SHARE = 2, 1e-3
"""The same without gas, to begin with: prices from a tree of pools are as far off as those pools' fees."""
BANDS, BAND_FACTOR = 6, 0.25
"""The band is as wide as the gas at first, and so many times this much narrower."""
BAND_STEPS, BAND_SHARE = 3, 1e-4
ADMITTED = 0.95
"""Pools with a surplus above so much of the gas at the least bound are legs. At the gas itself lie the pools that a
bundle would use in part if gas could be paid in part."""
PRUNED_BELOW = 0.99
"""Where they are worth less than this share of the bound, legs are also chosen by dropping the poorer half of those
below their gas from all that trade without gas, again and again."""
MAX_ROUNDS = 24
"""Solves of one pruning."""
WIDEST_STEP = 0.5
"""By which the logarithm of a price changes in one step at most."""
ARMIJO, SHORTENING, MAX_SHORTENINGS = 1e-4, 0.4, 20
"""A step is shortened until it brings this part of what it promises."""
DAMPING = 1e-12
"""Of the greatest diagonal element, added to all: a token that hardly anything trades has next to none."""
MAX_RATIO = 0.3
"""Of its balance a weighted pool takes in at most so much (`WeightedMath`, Balancer V2)."""


class Work(NamedTuple):
    """Work space of one instance, and the best set of legs.

    ``alive`` tells the pools in use; ``best`` the greatest head of those, by ``2 * pair + direction``; ``surplus`` is
    by pool, ``last_of`` by group. The others are by token: ``lowest`` are the prices of the least bound. ``legs`` are
    the pools of the best set, those that do not trade at its prices among them, and ``leg_prices`` its prices.
    """

    alive: BoolArray
    best: FloatArray
    surplus: FloatArray
    last_of: IntArray
    price: FloatArray
    gradient: FloatArray
    hessian: FloatArray
    step: FloatArray
    trial: FloatArray
    order: IntArray
    lowest: FloatArray
    legs: BoolArray
    leg_prices: FloatArray


def work_space(made: JointInstance, tokens: int) -> Work:
    """For an instance of ``tokens`` tokens; all its pools are in use."""
    pools = made.group.size
    return Work(
        alive=np.ones(pools, dtype=np.bool_),
        best=made.best.copy(),
        surplus=np.zeros(pools),
        last_of=np.empty(int(made.group.max(initial=-1)) + 1, dtype=np.int32),
        price=np.empty(tokens),
        gradient=np.empty(tokens),
        hessian=np.empty((tokens, tokens)),
        step=np.empty(tokens),
        trial=np.empty(tokens),
        order=np.empty(tokens, dtype=np.int32),
        lowest=np.empty(tokens),
        legs=np.zeros(pools, dtype=np.bool_),
        leg_prices=np.empty(tokens),
    )


@lean_kernel
def fill(made: JointInstance, slot: int, target: float) -> tuple[float, float, float]:
    """What a pool takes in and pays until q has fallen to ``target``, and -dx / d ln(q**2) there; target < head."""
    pool, q, root_fee = slot >> 1, made.head[slot], made.root_fee[slot]
    weight = made.weight[slot]
    if weight > 0.0:
        # y = S (1 - r**-w) with r = 1 + (1 - fee) x / R; the marginal rate falls as r**-(w + 1)
        kept, reserve = root_fee * root_fee, made.reserve[slot]
        paid_of = q * q * reserve / (kept * weight)
        r = (q / target) ** (2.0 / (weight + 1.0))
        slope = reserve * r / (kept * (weight + 1.0))
        if r > 1.0 + MAX_RATIO:
            r, slope = 1.0 + MAX_RATIO, 0.0
        return (r - 1.0) * reserve / kept, paid_of * (1.0 - r**-weight), slope
    down = made.downwards[pool] == (slot & 1 == 0)
    at, x, y = made.at[slot], 0.0, 0.0
    while True:
        depth = made.liquidity[at] / root_fee
        if down:
            border = root_fee * max(made.bounds[at], made.lowest[pool])
        else:
            border = root_fee / min(made.bounds[at + 1], made.highest[pool])
        stop = max(border, target)
        if stop < q:
            x += depth * (q - stop) / (q * stop)
            y += depth * (q - stop)
        if border < target:
            return x, y, 0.5 * depth / target
        # the next range with liquidity; none, or beyond the target: all that lies before is taken
        while True:
            at += -1 if down else 1
            if at < made.begin[pool] or at >= made.end[pool]:
                return x, y, 0.0
            if down:
                edge = made.bounds[at + 1]
                if edge <= made.lowest[pool]:
                    return x, y, 0.0
                q = root_fee * edge
            else:
                edge = made.bounds[at]
                if edge >= made.highest[pool]:
                    return x, y, 0.0
                q = root_fee / edge
            if q <= target:
                return x, y, 0.0
            if made.liquidity[at] > 0.0:
                break


@lean_kernel
def evaluate(made: JointInstance, work: Work, log_price: FloatArray, gas: float, band: float) -> tuple[float, float]:
    """The sum over the pools in use of the surplus above gas, smoothed, and the same without smoothing.

    Fills surplus, gradient, and the lower half of the Hessian without the gradient on its diagonal. What a surplus s
    counts is 0 up to ``gas - band``, s - gas from ``gas + band`` on, and a parabola between.
    """
    total, exact = 0.0, 0.0
    price, gradient, hessian, surplus, alive, best = (
        work.price,
        work.gradient,
        work.hessian,
        work.surplus,
        work.alive,
        work.best,
    )
    low, high, first, head = made.low, made.high, made.first, made.head
    gradient[:] = 0.0
    hessian[:] = 0.0
    surplus[:] = 0.0
    for t in range(price.size):
        price[t] = np.exp(log_price[t])
    for p in range(low.size):
        rate = np.sqrt(price[low[p]] / price[high[p]])
        for d in range(2):
            target = rate if d == 0 else 1.0 / rate
            if best[2 * p + d] <= target:
                continue
            a, b = (low[p], high[p]) if d == 0 else (high[p], low[p])
            given, paid, of_in, of_out, between = 0.0, 0.0, 0.0, 0.0, 0.0
            for pool in range(first[p], first[p + 1]):
                if not alive[pool] or head[2 * pool + d] <= target:
                    continue
                x, y, slope = fill(made, 2 * pool + d, target)
                x *= price[a]
                y *= price[b]
                slope *= price[a]
                # rounding may turn a pool at the very edge of its fee into a loss
                earned = max(y - x, 0.0)
                surplus[pool] = earned
                if earned <= gas - band:
                    continue
                exact += max(earned - gas, 0.0)
                if earned >= gas + band:
                    total += earned - gas
                    given += x
                    paid += y
                    of_in += slope
                    of_out += slope
                    between += slope
                else:
                    above = earned - gas + band
                    share, curve = above / (2.0 * band), 1.0 / (2.0 * band)
                    total += above * above / (4.0 * band)
                    given += share * x
                    paid += share * y
                    of_in += share * slope + curve * x * x
                    of_out += share * slope + curve * y * y
                    between += share * slope + curve * x * y
            gradient[a] -= given
            gradient[b] += paid
            hessian[a, a] += of_in
            hessian[b, b] += of_out
            hessian[max(a, b), min(a, b)] -= between
    return total, exact


@lean_kernel
def solve_system(matrix: FloatArray, right: FloatArray, order: IntArray) -> None:
    """Solve for all unknowns but the last, whose value is 0; the solution replaces ``right``.

    Gaussian elimination of a symmetric matrix, given by its lower half, which it destroys. Columns are sparse where
    tokens with few pools come first, so that only what is not zero is touched. An unknown that nothing ties to others
    stays 0.

    Args:
        order: work space, as long as ``right``.
    """
    size = right.size - 1
    for j in range(size):
        pivot = matrix[j, j]
        if pivot <= 0.0:
            right[j] = 0.0
            matrix[j, j] = 0.0
            continue
        count = 0
        for i in range(j + 1, size):
            if matrix[i, j] != 0.0:
                order[count] = i
                count += 1
        for n in range(count):
            i = order[n]
            share = matrix[i, j] / pivot
            right[i] -= share * right[j]
            for m in range(n + 1):
                matrix[i, order[m]] -= share * matrix[order[m], j]
    for back in range(size):
        j = size - 1 - back
        if matrix[j, j] == 0.0:
            continue
        value = right[j]
        for i in range(j + 1, size):
            value -= matrix[i, j] * right[i]
        right[j] = value / matrix[j, j]
    right[size] = 0.0


@lean_kernel
def newton(
    made: JointInstance,
    work: Work,
    log_price: FloatArray,
    gas: float,
    band: float,
    most_steps: int,
    least_share: float,
) -> tuple[float, float, int]:
    """Bring ``log_price`` towards the least of `evaluate`; return its two sums there, and the steps taken.

    Args:
        least_share: the solve ends where the next step promises less than this part of the sum.
    """
    tokens = log_price.size
    gradient, hessian, step, trial = work.gradient, work.hessian, work.step, work.trial
    total, exact = evaluate(made, work, log_price, gas, band)
    for steps in range(most_steps):
        widest = 0.0
        for t in range(tokens):
            widest = max(widest, hessian[t, t])
        for t in range(tokens):
            step[t] = -gradient[t]
            hessian[t, t] += abs(gradient[t]) + DAMPING * widest
        solve_system(hessian, step, work.order)
        promised, longest = 0.0, 0.0
        for t in range(tokens):
            promised -= gradient[t] * step[t]
            longest = max(longest, abs(step[t]))
        if not promised > least_share * total:
            return total, exact, steps
        length = min(1.0, WIDEST_STEP / longest)
        reached, exact_there = np.inf, 0.0
        for _ in range(MAX_SHORTENINGS):
            for t in range(tokens):
                trial[t] = log_price[t] + length * step[t]
            reached, exact_there = evaluate(made, work, trial, gas, band)
            if reached <= total - ARMIJO * length * promised:
                break
            length *= SHORTENING
        if not reached < total:
            # no progress in floating point: back to where the prices are
            evaluate(made, work, log_price, gas, band)
            return total, exact, steps
        total, exact = reached, exact_there
        put(log_price, trial)
    return total, exact, most_steps


@kernel
def first_prices(made: JointInstance, tokens: int) -> FloatArray:
    """Logarithms of prices along the tree of the deepest pools, from the profit token outwards.

    Tokens that no pool ties to it keep 0; nothing that they trade can be turned into profit.
    """
    log_price = np.zeros(tokens)
    depth, through = np.zeros(tokens), np.zeros(tokens)
    known = np.zeros(tokens, np.bool_)
    start = np.zeros(tokens + 1, np.int64)
    for p in range(made.low.size):
        start[made.low[p] + 1] += 1
        start[made.high[p] + 1] += 1
    start = np.cumsum(start)
    place, of = start.copy(), np.empty(start[-1], np.int64)
    for p in range(made.low.size):
        for token in (made.low[p], made.high[p]):
            of[place[token]] = p
            place[token] += 1
    token = tokens - 1
    while token >= 0:
        known[token] = True
        for n in range(start[token], start[token + 1]):
            p = of[n]
            other = made.high[p] if made.low[p] == token else made.low[p]
            if known[other]:
                continue
            for pool in range(made.first[p], made.first[p + 1]):
                d = 0 if made.head[2 * pool] > 0.0 else 1
                slot = 2 * pool + d
                if made.head[slot] == 0.0:
                    continue
                if made.weight[slot] > 0.0:
                    amount = made.reserve[slot] * made.head[slot]
                else:
                    amount = made.liquidity[made.at[slot]]
                rate = 2.0 * np.log(made.head[slot] / made.root_fee[slot])
                # the token that comes in is worth ``rate`` of the other
                price = log_price[token] + (rate if (d == 0) == (made.low[p] == other) else -rate)
                value = amount * np.exp(0.5 * (price + log_price[token]))
                if value > depth[other]:
                    depth[other], through[other] = value, price
        token, deepest = -1, 0.0
        for t in range(tokens):
            if not known[t] and depth[t] > deepest:
                token, deepest = t, depth[t]
        if token >= 0:
            log_price[token] = through[token]
    return log_price


@lean_kernel
def use_pools(made: JointInstance, work: Work) -> None:
    """Bring ``best`` to the pools in use, so that pairs without any are passed over."""
    for p in range(made.low.size):
        for d in range(2):
            work.best[2 * p + d] = 0.0
            for pool in range(made.first[p], made.first[p + 1]):
                if work.alive[pool]:
                    work.best[2 * p + d] = max(work.best[2 * p + d], made.head[2 * pool + d])


@lean_kernel
def count_legs(work: Work, gas: float) -> tuple[int, int]:
    """Legs, and those of them that earn less than their gas."""
    legs, poor = 0, 0
    for pool in range(work.alive.size):
        if work.surplus[pool] > 0.0:
            legs += 1
            poor += work.surplus[pool] < gas
    return legs, poor


@lean_kernel
def drop_poor(work: Work, gas: float, poor: int) -> None:
    """Take those of the ``poor`` legs out of use that earn no more than the mean of them, about half."""
    total = 0.0
    for pool in range(work.alive.size):
        if 0.0 < work.surplus[pool] < gas:
            total += work.surplus[pool]
    for pool in range(work.alive.size):
        # a single leg is its own mean, up to rounding
        if 0.0 < work.surplus[pool] < gas and work.surplus[pool] <= total / poor * (1.0 + 1e-9):
            work.alive[pool] = False


@lean_kernel
def put(target: FloatArray, source: FloatArray) -> None:
    """Copy an array; assigning the whole takes longer to compile than all else in this file."""
    for n in range(source.size):
        target[n] = source[n]


@lean_kernel
def put_flags(target: BoolArray, source: BoolArray) -> None:
    """As `put`."""
    for n in range(source.size):
        target[n] = source[n]


@lean_kernel
def keep_one_of_group(made: JointInstance, work: Work) -> int:
    """Of the pools of one contract leave only that with the largest surplus in use; return how many were dropped."""
    dropped, last_of = 0, work.last_of
    last_of[:] = -1
    for pool in range(work.alive.size):
        if work.surplus[pool] <= 0.0:
            continue
        other = last_of[made.group[pool]]
        if other < 0:
            last_of[made.group[pool]] = pool
            continue
        worse = pool if work.surplus[pool] <= work.surplus[other] else other
        work.alive[worse] = False
        last_of[made.group[pool]] = other + pool - worse
        dropped += 1
    return dropped


@lean_kernel
def solve_joint(made: JointInstance, work: Work, log_price: FloatArray, gas: float) -> tuple[float, float, int, int]:
    """The bound, and the set of legs that earns most, or next to it; see `Work` and `flows`.

    Args:
        log_price: where to begin; the last token's is 0. Overwritten.
        gas: of a leg, in the profit token.

    Returns:
        value: of the legs, in the profit token, net of gas, if flows were real numbers. 0 where nothing earns.
        bound: on what any bundle of the instance's pools earns net of gas.
        legs, steps: of the best set, and of Newton in all.
    """
    bound, band, steps = np.inf, gas, 0
    for stage in range(BANDS + 1):
        # at first without gas: it brings the prices near
        _, exact, taken = newton(
            made,
            work,
            log_price,
            gas if stage > 0 else 0.0,
            band if stage > 0 else 0.0,
            BAND_STEPS if stage > 0 else START_STEPS,
            BAND_SHARE if stage > 0 else START_SHARE,
        )
        steps += taken
        if stage > 0:
            band *= BAND_FACTOR
            if exact < bound:
                bound = exact
                put(work.lowest, log_price)
    evaluate(made, work, work.lowest, 0.0, 0.0)
    for pool in range(work.alive.size):
        # without gas all stay: prices may still move to where one more trades
        work.alive[pool] = work.surplus[pool] >= ADMITTED * gas
    put(log_price, work.lowest)
    value, legs = 0.0, 0
    for attempt in range(2):
        if attempt == 1:
            if value >= PRUNED_BELOW * bound:
                break
            work.alive[:] = True
        value, legs, taken = prune(made, work, log_price, gas, value, legs, attempt == 1)
        steps += taken
    if gas == 0.0 and work.legs.all():
        # the sum of all surpluses is a bound itself, as long as no pair of a contract was left out for another
        bound = min(bound, value)
    return value, bound, legs, steps


@lean_kernel
def prune(
    made: JointInstance, work: Work, log_price: FloatArray, gas: float, value: float, legs: int, to_the_end: bool
) -> tuple[float, int, int]:
    """Solve the pools in use without gas, drop half of the legs that earn less than theirs, and so on.

    Args:
        value, legs: of the best set so far, which is replaced by a better one.
        to_the_end: go on where a set is worse than the one before it.

    Returns:
        value and legs of the best set, and Newton steps.
    """
    steps = 0
    for _ in range(MAX_ROUNDS):
        use_pools(made, work)
        total, _, taken = newton(made, work, log_price, 0.0, 0.0, MAX_STEPS, DECREMENT)
        steps += taken
        if keep_one_of_group(made, work) > 0:
            continue
        trading, poor = count_legs(work, gas)
        if total - gas * trading > value:
            value, legs = total - gas * trading, trading
            put(work.leg_prices, log_price)
            put_flags(work.legs, work.alive)
        elif not to_the_end:
            break
        if poor == 0:
            break
        drop_poor(work, gas, poor)
    return value, legs, steps


@lean_kernel
def flows(made: JointInstance, work: Work, slot: LongArray, given: FloatArray) -> int:
    """Slots and inputs of the best set of legs; return their number.

    Args:
        slot, given: outputs, as long as there are legs or longer; inputs in raw units.
    """
    place = 0
    for p in range(made.low.size):
        rate = np.exp(0.5 * (work.leg_prices[made.low[p]] - work.leg_prices[made.high[p]]))
        for pool in range(made.first[p], made.first[p + 1]):
            if not work.legs[pool]:
                continue
            for d in range(2):
                target = rate if d == 0 else 1.0 / rate
                if made.head[2 * pool + d] > target and place < slot.size:
                    slot[place] = 2 * pool + d
                    given[place], _, _ = fill(made, 2 * pool + d, target)
                    place += 1
    return place
