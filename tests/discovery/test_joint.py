"""The joint optimum: never worse than loops taken singly, never above its bound, exact in integers."""

from __future__ import annotations

import math
import random
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.fitted import FITTED_ERROR
from keeper.discovery.search.joint import JointSolution, JointSolver
from keeper.discovery.search.loop_filter import LoopFilter
from keeper.domain.errors import InputError
from keeper.domain.units import Address
from keeper.market.venues import Pool
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from tests.discovery.joint_cases import (
    DAI,
    DOLLAR,
    USDC,
    WBTC,
    WETH,
    check,
    grain,
    one_after_the_other,
    stable,
    views,
    volume,
    wander,
    weighted,
)
from tests.discovery.markets import Market, best_by_golden_section, profitable_loops, random_market, v2, v3

PROPERTY = settings(max_examples=60, deadline=None)
GAS = st.sampled_from([0, DOLLAR // 20, DOLLAR, 20 * DOLLAR])


def solve(market: Market, gas: int, greedy_below: float = 0.99) -> JointSolution:
    return JointSolver(WETH, greedy_below=greedy_below).solve(LoopSearch(market, [WETH]), market, gas)


@PROPERTY
@given(st.integers(0, 2**32), st.integers(2, 30), st.integers(2, 5), GAS)
def test_every_answer_is_exact_and_within_its_bound(seed: int, pools: int, tokens: int, gas: int) -> None:
    market = random_market(random.Random(seed), pools, tokens)
    check(solve(market, gas), market.values(), gas)
    check(JointSolver(WETH).solve_pools(market.values(), gas), market.values(), gas)


@PROPERTY
@given(st.integers(0, 2**32), st.integers(3, 20), st.integers(2, 5), GAS)
def test_never_worse_than_the_best_single_loop(seed: int, pools: int, tokens: int, gas: int) -> None:
    market = random_market(random.Random(seed), pools, tokens)
    solution = solve(market, gas, greedy_below=1.0)
    routes = LoopSearch(market, [WETH]).find(market, allow=LoopFilter())
    best = max((route.gross_profit - gas * len(route.hops) for route in routes), default=0)
    assert solution.value + (grain(solution.route) if solution.route else 0) >= best


@PROPERTY
@given(st.integers(0, 2**32), st.integers(3, 20), st.integers(2, 5), GAS)
def test_never_worse_than_loops_one_after_the_other(seed: int, pools: int, tokens: int, gas: int) -> None:
    market = random_market(random.Random(seed), pools, tokens)
    solution = solve(market, gas, greedy_below=1.0)
    rival = one_after_the_other(market, gas)
    # two swaps in one pool pay a little more than one of both amounts, since the first leaves its fee there
    allowance = (grain(solution.route) if solution.route else 0) + rival // 500
    assert solution.value + allowance >= rival


@PROPERTY
@given(st.integers(0, 2**32), st.integers(2, 14), st.integers(2, 4), GAS)
def test_no_random_trade_earns_more_than_the_bound(seed: int, pools: int, tokens: int, gas: int) -> None:
    rng = random.Random(seed)
    market = random_market(rng, pools, tokens)
    solution = JointSolver(WETH).solve_pools(market.values(), gas)
    for _ in range(200):
        profit, swaps = wander(rng, list(market.values()), 10**18)
        assert profit - gas * swaps <= solution.bound * (1 + 1e-9) + 1


@PROPERTY
@given(st.integers(0, 2**32), st.integers(4, 20), st.integers(2, 4), GAS)
def test_no_neighbour_of_the_bundle_earns_more_than_the_bound(seed: int, pools: int, tokens: int, gas: int) -> None:
    """Amounts of the bundle itself, some changed and some left out, where no token comes short: close to the bound."""
    rng = random.Random(seed)
    market = random_market(rng, pools, tokens)
    solution = JointSolver(WETH).solve_pools(market.values(), gas)
    if solution.route is None:
        return
    for _ in range(50):
        changes: dict[Address, int] = {}
        legs = 0
        for hop in solution.route.legs:
            amount = int(hop.amount_in * rng.choice([0, 1, 1, 1, 1 + rng.gauss(0, 0.05), 1 + rng.gauss(0, 0.001)]))
            if amount <= 0:
                continue
            try:
                paid = market[hop.pool].amount_out(hop.token_in, amount)
            except ArithmeticError:
                continue
            legs += 1
            changes[hop.token_in] = changes.get(hop.token_in, 0) - amount
            changes[hop.token_out] = changes.get(hop.token_out, 0) + paid
        if all(change >= 0 for token, change in changes.items() if token != WETH):
            assert changes.get(WETH, 0) - gas * legs <= solution.bound * (1 + 1e-9) + 1


def test_a_bound_without_gas_in_it_would_be_broken_by_too_little() -> None:
    """A bound that charged each pool twice its gas would be exceeded by the bundle itself: the checks see it."""
    market: Market = {p.address: p for p in (v2(1, "a", WETH, USDC, 1e7), v2(2, "b", WETH, USDC, 1e7, 1.02))}
    solution = solve(market, 20 * DOLLAR)
    twice = solve(market, 40 * DOLLAR)
    assert solution.route is not None
    wrong = JointSolution(solution.route, solution.value, twice.bound, 2, 1, 0.0)
    with pytest.raises(AssertionError):
        check(wrong, market.values(), 20 * DOLLAR)


def closed_form(a: UniswapV2Pool, b: UniswapV2Pool) -> float:
    """The most that two pairs of the same tokens earn in token0 or in WETH, whichever it is, in real numbers."""
    best = 0.0
    for buy, sell in ((a, b), (b, a)):
        weth_first = buy.token0 == WETH
        x, y = (buy.reserve0, buy.reserve1) if weth_first else (buy.reserve1, buy.reserve0)
        u, w = (sell.reserve0, sell.reserve1) if weth_first else (sell.reserve1, sell.reserve0)
        kept = 0.997
        # y_out = kept y t / (x + kept t), then w: u kept y_out / (w + kept y_out) = g t / (1 + c t)
        gain = kept * kept * y * u / (x * w)
        curve = kept / x + kept * kept * y / (x * w)
        if gain > 1.0:
            best = max(best, (math.sqrt(gain) - 1.0) ** 2 / curve)
    return best


@PROPERTY
@given(st.floats(4, 8), st.floats(4, 8), st.floats(0.9, 1.1), GAS)
def test_two_pairs_meet_the_closed_form(first: float, second: float, skew: float, gas: int) -> None:
    a, b = v2(1, "uniswap_v2", WETH, USDC, 10**first), v2(2, "sushiswap", WETH, USDC, 10**second, skew)
    market: Market = {pool.address: pool for pool in (a, b)}
    solution = solve(market, gas)
    best = max(closed_form(a, b) - 2 * gas, 0.0)
    # with gas there is a gap: prices at which both pools earn theirs may not balance what they trade
    assert gas > 0 or math.isclose(solution.bound, best, rel_tol=1e-3, abs_tol=1e3)
    assert solution.bound >= best * (1 - 1e-9)
    check(solution, market.values(), gas)
    coarse = 4 * 10**10
    assert solution.value >= best * (1 - 1e-6) - coarse


def brute_force(pools: list[UniswapV2Pool], gas: int) -> float:
    """The best of all ways to buy USDC in some of three pairs and to sell it in others, by search over amounts."""

    def paid(pool: UniswapV2Pool, token: Address, amount: float) -> float:
        zero = token == pool.token0
        a, b = (pool.reserve0, pool.reserve1) if zero else (pool.reserve1, pool.reserve0)
        return 0.997 * amount * b / (a + 0.997 * amount)

    best = 0.0
    for sides in product((0, 1, 2), repeat=len(pools)):
        buys = [pool for pool, side in zip(pools, sides, strict=True) if side == 1]
        sells = [pool for pool, side in zip(pools, sides, strict=True) if side == 2]
        if not buys or not sells:
            continue
        cost = gas * (len(buys) + len(sells))

        def profit(
            total: float,
            left: float,
            right: float,
            buys: list[UniswapV2Pool] = buys,
            sells: list[UniswapV2Pool] = sells,
        ) -> float:
            inputs = [total] if len(buys) == 1 else [total * left, total * (1 - left)]
            bought = sum(paid(pool, WETH, x) for pool, x in zip(buys, inputs, strict=True))
            shares = [1.0] if len(sells) == 1 else [right, 1 - right]
            sold = (paid(pool, USDC, bought * share) for pool, share in zip(sells, shares, strict=True))
            return sum(sold) - total

        low, high, at = [0.0, 0.0, 0.0], [3e21, 1.0, 1.0], [1e16, 0.5, 0.5]
        value = -math.inf
        # a grid that closes in around its best point
        for _ in range(40):
            grid = [[low[n] + (high[n] - low[n]) * k / 6 for k in range(7)] for n in range(3)]
            if len(buys) == 1:
                grid[1] = [1.0]
            if len(sells) == 1:
                grid[2] = [1.0]
            trials = [(profit(*point), point) for point in product(*grid)]
            found, point = max(trials)
            value = max(value, found)
            at = list(point)
            for n in range(3):
                width = (high[n] - low[n]) * 0.35
                low[n], high[n] = max(at[n] - width, 0.0), at[n] + width if n == 0 else min(at[n] + width, 1.0)
        best = max(best, value - cost)
    return best


@settings(max_examples=12, deadline=None)
@given(st.tuples(*[st.floats(4.5, 7)] * 3), st.tuples(*[st.floats(0.95, 1.05)] * 2), st.sampled_from([0, 3 * DOLLAR]))
def test_bound_and_value_against_brute_force(
    sizes: tuple[float, float, float], skews: tuple[float, float], gas: int
) -> None:
    pools = [
        v2(n, f"d{n}", WETH, USDC, 10**size, skew)
        for n, (size, skew) in enumerate(zip(sizes, (1.0, *skews), strict=True))
    ]
    market: Market = {pool.address: pool for pool in pools}
    solution = solve(market, gas, greedy_below=1.0)
    best = brute_force(pools, gas)
    coarse = 10**11
    assert best <= solution.bound * (1 + 1e-9) + coarse
    check(solution, market.values(), gas)
    if gas == 0:
        assert solution.value >= best * (1 - 1e-4) - coarse
    else:
        # which legs are worth their gas is a choice; what it may cost is the gas of one of them
        assert solution.value >= best - gas - coarse


def test_parallel_pools_share_the_trade() -> None:
    """Two equal pools on the cheap side: both are used, and more is earned than by the best single loop."""
    market: Market = {
        pool.address: pool
        for pool in (
            v2(1, "a", WETH, USDC, 1e6, 1.03),
            v2(2, "b", WETH, USDC, 1e6, 1.03),
            v2(3, "c", WETH, USDC, 2e6, 1.0),
        )
    }
    solution = solve(market, DOLLAR)
    single = LoopSearch(market, [WETH]).find(market, allow=LoopFilter())[0]
    assert solution.legs == 3
    assert solution.value > 1.2 * (single.gross_profit - 2 * DOLLAR)
    assert solution.captured > 0.9999


@PROPERTY
@given(st.integers(0, 2**32), st.integers(4, 16))
def test_more_gas_never_earns_more(seed: int, pools: int) -> None:
    market = random_market(random.Random(seed), pools, 4)
    solutions = [solve(market, gas) for gas in (0, DOLLAR, 10 * DOLLAR, 100 * DOLLAR)]
    for before, after in pairwise(solutions):
        assert after.bound <= before.bound * (1 + 1e-9) + 1
        assert after.value <= before.bound * (1 + 1e-9) + 1


@PROPERTY
@given(st.integers(0, 2**32))
def test_end_of_liquidity_is_used_and_not_passed(seed: int) -> None:
    """A kink: the pool runs out before the prices meet."""
    rng = random.Random(seed)
    short = v3(1, WETH, USDC, 500, [(rng.randint(1, 3), rng.randint(2, 4), 10 ** rng.uniform(4, 7))], 1.2)
    market: Market = {short.address: short, v2(2, "s", WETH, USDC, 1e9).address: v2(2, "s", WETH, USDC, 1e9)}
    solution = solve(market, 0)
    check(solution, market.values(), 0)
    best = max(profit for _, profit in profitable_loops(market, WETH, [2]))
    assert solution.route is not None
    assert solution.value + grain(solution.route) >= best
    assert solution.captured > 0.999


def test_a_gap_between_ranges_is_jumped() -> None:
    """Liquidity above and below the price with nothing between: the trade goes on behind the gap."""
    gap = v3(1, WETH, USDC, 3000, [(20, -6, 5e6), (-6, 20, 5e6)], 1.2)
    market: Market = {gap.address: gap, v2(2, "s", WETH, USDC, 1e9).address: v2(2, "s", WETH, USDC, 1e9)}
    solution = solve(market, DOLLAR)
    check(solution, market.values(), DOLLAR)
    assert solution.route is not None
    best = max(profit for _, profit in profitable_loops(market, WETH, [2]))
    assert solution.value + 2 * DOLLAR + grain(solution.route) >= best


@PROPERTY
@given(st.floats(0.95, 1.05), st.floats(5, 7), st.sampled_from([0.2, 0.5, 0.8]), st.floats(0.6, 1.6), GAS)
def test_weighted_and_stable_pools(skew: float, size: float, weight: float, tilt: float, gas: int) -> None:
    pools: list[Pool] = [
        weighted(1, [WETH, USDC], [weight, 1 - weight], 10**size, skew),
        v2(2, "a", WETH, DAI, 3e6),
        stable(3, [DAI, USDC, WBTC][:2], [2e6 * tilt, 2e6]),
        v2(4, "b", WETH, USDC, 1e6),
    ]
    solution = JointSolver(WETH).solve_pools(pools, gas)
    error = FITTED_ERROR * volume(solution.route) if solution.route else 0.0
    check(solution, pools, gas, 1.0 + error)
    loops = [
        best_by_golden_section(legs, 10**22)
        for legs in (
            [(pools[0], WETH), (pools[3], USDC)],
            [(pools[3], WETH), (pools[0], USDC)],
            [(pools[0], WETH), (pools[2], USDC), (pools[1], DAI)],
            [(pools[1], WETH), (pools[2], DAI), (pools[0], USDC)],
            [(pools[3], WETH), (pools[2], USDC), (pools[1], DAI)],
            [(pools[1], WETH), (pools[2], DAI), (pools[3], USDC)],
        )
    ]
    hops = (2, 2, 3, 3, 3, 3)
    best = max(profit - gas * count for (profit, _), count in zip(loops, hops, strict=True))
    # which of few legs are worth their gas is a choice that may go wrong by one of them
    slack = grain(solution.route) if solution.route else 10**12
    assert solution.value + slack + gas >= best
    assert best <= solution.bound * (1 + 1e-9) + slack + error


def test_a_pool_of_three_tokens_is_used_once() -> None:
    """All three pairs of one contract are mispriced; each would change the others."""
    pool = weighted(1, [WETH, USDC, DAI], [0.4, 0.3, 0.3], 1e7, 1.04)
    pools: list[Pool] = [
        pool,
        v2(2, "a", WETH, USDC, 1e7),
        v2(3, "b", WETH, DAI, 1e7),
        v2(4, "c", USDC, DAI, 1e7, 1.03),
    ]
    solution = JointSolver(WETH).solve_pools(pools, DOLLAR)
    check(solution, pools, DOLLAR)
    assert solution.route is not None
    assert len(views(pools)) == 6
    assert sum(hop.pool == pool.key for hop in solution.route.legs) == 1


def apart_from_profit() -> list[Pool]:
    """Two loops between stablecoins and WBTC that earn in USDC."""
    return [
        v2(1, "a", USDC, DAI, 5e6),
        v2(2, "b", USDC, DAI, 5e6, 1.05),
        v2(3, "a", USDC, WBTC, 5e6),
        v2(4, "b", USDC, WBTC, 5e6, 1.05),
    ]


def test_loops_apart_from_the_profit_token_are_turned_into_it() -> None:
    converting = v2(9, "a", WETH, USDC, 1e7)
    pools = [*apart_from_profit(), converting]
    solution = JointSolver(WETH).solve_pools(pools, DOLLAR)
    check(solution, pools, DOLLAR)
    assert solution.route is not None
    assert {hop.pool for hop in solution.route.legs} == {pool.key for pool in pools}
    assert solution.captured > 0.999


def test_loops_that_cannot_be_turned_into_the_profit_token_are_dropped() -> None:
    far: list[Pool] = [v2(8, "a", WETH, DAI, 1e7)]
    assert JointSolver(WETH).solve_pools(apart_from_profit(), 0).route is None
    # the only way out costs more than there is
    solution = JointSolver(WETH).solve_pools([*apart_from_profit()[2:], *far], DOLLAR)
    assert solution.route is None
    assert solution.value == 0


@PROPERTY
@given(st.integers(0, 2**32), st.integers(4, 20), GAS)
def test_the_search_s_tables_and_the_pools_themselves_give_the_same(seed: int, pools: int, gas: int) -> None:
    market = random_market(random.Random(seed), pools, 4)
    search = LoopSearch(market, [WETH])
    by_tables, by_pools = (
        JointSolver(WETH).solve(search, market, gas),
        JointSolver(WETH).solve_pools(market.values(), gas),
    )
    if search.detect(market, allow=LoopFilter()).edges.size == 0:
        return
    assert math.isclose(by_tables.bound, by_pools.bound, rel_tol=1e-4, abs_tol=1e6)


def test_nothing_changed_and_nothing_known_earn_nothing() -> None:
    market = random_market(random.Random(3), 8)
    search = LoopSearch(market, [WETH])
    empty = JointSolver(WETH).solve(search, [], DOLLAR)
    assert (empty.route, empty.value, empty.bound, empty.captured) == (None, 0, 0.0, 1.0)
    assert JointSolver(Address("0x" + "99" * 20)).solve(search, market, DOLLAR).route is None
    assert JointSolver(WETH).solve_pools([], DOLLAR).route is None


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(InputError, match="gas_per_leg"):
        JointSolver(WETH).solve_pools([], -1)
    with pytest.raises(InputError, match="greedy_below"):
        JointSolver(WETH, greedy_below=1.5)
