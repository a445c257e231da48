"""The loops that the search finds, and their sizes, against an exhaustive search in exact integers."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from keeper.domain.route import Route
from keeper.market.venues.base import InsufficientLiquidity
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from tests.discovery.markets import (
    TOKENS,
    Leg,
    Market,
    address,
    best_by_golden_section,
    check_integers,
    exact_profit,
    grain,
    legs_of,
    profitable_loops,
    random_market,
    v2,
    v3,
)

WETH = TOKENS[0]
PROPERTY = settings(max_examples=40, deadline=None)


def search(market: Market, allow: LoopFilter, limit: int = 64) -> list[Route]:
    return LoopSearch(market, [WETH]).find(market, allow=allow, limit=limit)


def assert_best(market: Market, allow: LoopFilter, admitted: Callable[[list[Leg]], bool]) -> None:
    routes = search(market, allow)
    loops = [(legs, profit) for legs, profit in profitable_loops(market, WETH, allow.hops) if admitted(legs)]
    best = max((profit for _, profit in loops), default=0)
    for route in routes:
        check_integers(route, market)
        assert admitted(legs_of(route, market))
        assert route.gross_profit + grain(route) >= best_by_golden_section(legs_of(route, market))[0]
    if routes:
        assert routes[0].gross_profit + grain(routes[0]) >= best
    else:
        assert best == 0
    assert [route.gross_profit for route in routes] == sorted((r.gross_profit for r in routes), reverse=True)
    assert len({tuple(hop.pool for hop in route.hops) for route in routes}) == len(routes)
    assert all(route.token == WETH for route in routes)


@PROPERTY
@given(st.integers(0, 2**32), st.integers(3, 11), st.integers(2, 5))
def test_best_loop_of_two_and_three_hops_is_that_of_exhaustive_search(seed: int, pools: int, tokens: int) -> None:
    market = random_market(random.Random(seed), pools, tokens)
    assert_best(market, LoopFilter(hops=frozenset({2, 3})), lambda legs: True)  # noqa: ARG005


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(4, 9))
def test_best_loop_of_four_hops_is_that_of_exhaustive_search(seed: int, pools: int) -> None:
    market = random_market(random.Random(seed), pools)
    assert_best(market, LoopFilter(hops=frozenset({4})), lambda legs: True)  # noqa: ARG005


@PROPERTY
@given(st.integers(0, 2**32), st.integers(3, 10), st.booleans())
def test_rule_distinct_hides_no_admissible_loop(seed: int, pools: int, fee_tiers: bool) -> None:
    market = random_market(random.Random(seed), pools, 3)

    def distinct(legs: list[Leg]) -> bool:
        venues = {(pool.dex, pool.fee_pips if fee_tiers else 0) for pool, _ in legs}
        return len(venues) == len(legs)

    allow = LoopFilter(hops=frozenset({2, 3}), dexes=DexRule.DISTINCT, fee_tiers_are_venues=fee_tiers)
    assert_best(market, allow, distinct)


@PROPERTY
@given(st.integers(0, 2**32), st.integers(3, 12))
def test_rule_same_hides_no_admissible_loop(seed: int, pools: int) -> None:
    market = random_market(random.Random(seed), pools, 4)
    allow = LoopFilter(hops=frozenset({2, 3}), dexes=DexRule.SAME)
    assert_best(market, allow, lambda legs: len({pool.dex for pool, _ in legs}) == 1)


@PROPERTY
@given(st.integers(0, 2**32), st.integers(4, 10))
def test_pair_restriction_hides_no_admissible_loop(seed: int, pools: int) -> None:
    market = random_market(random.Random(seed), pools, 3)
    pairs = frozenset({frozenset({WETH, TOKENS[1]}), frozenset({TOKENS[1], TOKENS[2]})})
    allow = LoopFilter(hops=frozenset({2, 3}), pairs=pairs)
    assert_best(market, allow, lambda legs: all(frozenset({p.token0, p.token1}) in pairs for p, _ in legs))


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(500, 20_000)] * 4))
def test_size_is_the_best_of_all_integers(reserves: tuple[int, int, int, int]) -> None:
    """On pools so small that every input can be tried. A unit is coarse here, so the grain of a unit is allowed."""
    a, b, c, d = reserves
    market = {
        pool.address: pool
        for pool in (
            UniswapV2Pool(address(1), "uniswap_v2", WETH, TOKENS[1], 3000, a, b),
            UniswapV2Pool(address(2), "sushiswap", WETH, TOKENS[1], 3000, c, d),
        )
    }
    best = 0
    for legs, _ in profitable_loops(market, WETH, [2]):
        best = max(best, *(exact_profit(legs, amount) or 0 for amount in range(1, 20_000)))
    routes = search(market, LoopFilter())
    for route in routes:
        check_integers(route, market)
    found = routes[0].gross_profit if routes else 0
    coarse = max(a / b, c / d) + 2
    assert best - coarse <= found <= best


@PROPERTY
@given(st.integers(0, 2**32), st.lists(st.floats(-0.0005, 0.0005), min_size=9, max_size=9))
def test_consistent_market_offers_nothing(seed: int, noise: list[float]) -> None:
    """Prices that differ by less than two fees leave no loop."""
    rng = random.Random(seed)
    pairs = [(0, 1), (0, 2), (1, 2)] * 3
    market: Market = {}
    for n, ((a, b), skew) in enumerate(zip(pairs, noise, strict=True)):
        dollars = 10 ** rng.uniform(4, 8)
        pool = (
            v3(n, TOKENS[a], TOKENS[b], 3000, [(5, 10, dollars)], 1 + skew)
            if n % 2
            else v2(n, "uniswap_v2", TOKENS[a], TOKENS[b], dollars, 1 + skew)
        )
        market[pool.address] = pool
    assert search(market, LoopFilter()) == []


@PROPERTY
@given(st.integers(0, 2**32), st.integers(3, 10))
def test_another_pool_never_lowers_the_optimum(seed: int, pools: int) -> None:
    market = random_market(random.Random(seed), pools + 1, 4)
    fewer = dict(list(market.items())[:-1])
    before, after = search(fewer, LoopFilter()), search(market, LoopFilter())
    if before:
        assert after
        assert after[0].gross_profit + grain(after[0]) >= before[0].gross_profit


def test_of_parallel_pools_the_deeper_one_beats_the_better_rate() -> None:
    shallow = v2(1, "sushiswap", WETH, TOKENS[1], 2_000, 1.10)
    deep = v2(2, "pancake", WETH, TOKENS[1], 5_000_000, 1.04)
    fair = v2(3, "uniswap_v2", WETH, TOKENS[1], 5_000_000)
    market: Market = {pool.address: pool for pool in (shallow, deep, fair)}
    best = search(market, LoopFilter(hops=frozenset({2})))[0]
    assert {deep.address, fair.address} == {hop.pool for hop in best.hops}


def test_dust_pools_with_absurd_prices_do_not_crowd_out_a_deep_loop() -> None:
    market: Market = {}
    for n in range(100):
        dust = v2(n, f"dust{n}", WETH, TOKENS[1], 0.05, 30.0 + n)
        market[dust.address] = dust
    for n, skew in ((200, 1.0), (201, 1.03)):
        deep = v2(n, f"deep{n}", WETH, TOKENS[1], 10_000_000, skew)
        market[deep.address] = deep
    best = search(market, LoopFilter(hops=frozenset({2})), limit=4)[0]
    assert {market[hop.pool].dex for hop in best.hops} == {"deep200", "deep201"}


def test_full_output_keeps_the_loops_with_the_largest_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    market = random_market(random.Random(5), 60)
    unbounded = search(market, LoopFilter())
    monkeypatch.setattr("keeper.discovery.search.detection.MAX_LOOPS", 8)
    bounded = LoopSearch(market, [WETH])
    found = bounded.find(market, allow=LoopFilter())
    assert bounded.counters.cut_short == 1
    assert bounded.counters.loops <= 8
    assert found
    assert set(found) <= set(unbounded) | set(search(market, LoopFilter(), limit=1024))


def test_only_loops_through_changed_pairs_are_found() -> None:
    near = [v2(1, "a", WETH, TOKENS[1], 1e6), v2(2, "b", WETH, TOKENS[1], 1e6, 1.05)]
    far = [v2(3, "a", WETH, TOKENS[2], 1e6), v2(4, "b", WETH, TOKENS[2], 1e6, 1.05)]
    market: Market = {pool.address: pool for pool in near + far}
    found = LoopSearch(market, [WETH]).find([near[0].address], allow=LoopFilter(hops=frozenset({2})))
    assert [route.pools for route in found] == [frozenset(pool.address for pool in near)]


def test_profit_is_taken_in_the_first_named_token_of_the_loop() -> None:
    market: Market = {
        pool.address: pool
        for pool in (
            v2(1, "a", WETH, TOKENS[1], 1e6),
            v2(2, "b", WETH, TOKENS[1], 1e6, 1.05),
            v2(3, "a", TOKENS[1], TOKENS[2], 1e6),
            v2(4, "b", TOKENS[1], TOKENS[2], 1e6, 1.08),
            v2(5, "a", TOKENS[2], TOKENS[3], 1e6),
            v2(6, "b", TOKENS[2], TOKENS[3], 1e6, 1.08),
        )
    }
    found = LoopSearch(market, [WETH, TOKENS[1]]).find(market, allow=LoopFilter(hops=frozenset({2})))
    # the loop in USDC is worth more dollars than the one in WETH, though fewer raw units; nobody takes profit in the
    # tokens of the third
    assert [route.token for route in found] == [TOKENS[1], WETH]


@PROPERTY
@given(st.floats(0.9, 0.98), st.floats(4, 8), st.floats(4, 8))
def test_input_is_exact_where_the_amount_between_is_coarse(skew: float, first: float, second: float) -> None:
    """One unit of USDC is 400 million wei: no wei is given that does not buy another, and no unit too few or many."""
    market: Market = {
        pool.address: pool
        for pool in (
            v2(1, "uniswap_v2", WETH, TOKENS[1], 10**first),
            v2(2, "sushiswap", WETH, TOKENS[1], 10**second, skew),
        )
    }
    for route in search(market, LoopFilter()):
        buy, sell = (market[hop.pool] for hop in route.hops)
        middle = route.hops[0].amount_out

        def profit(units: int) -> int:
            return sell.amount_out(TOKENS[1], units) - buy.amount_in(TOKENS[1], units)  # noqa: B023

        assert route.amount_in == buy.amount_in(TOKENS[1], middle)
        # near the optimum neighbours differ by less than the two roundings of a wei each
        assert route.gross_profit >= max(map(profit, range(max(middle - 20, 1), middle + 21))) - 2


@PROPERTY
@given(st.integers(0, 2**32))
def test_end_of_liquidity_is_used_to_the_last_unit(seed: int) -> None:
    """Where a pool runs out before the prices meet, all of it is taken, but for the fraction of a unit."""
    rng = random.Random(seed)
    short = v3(1, WETH, TOKENS[1], 500, [(rng.randint(1, 3), rng.randint(2, 4), 10 ** rng.uniform(4, 7))], 1.2)
    market: Market = {short.address: short, address(2): v2(2, "sushiswap", WETH, TOKENS[1], 1e9)}
    (route,) = search(market, LoopFilter())
    assert route.hops[0].pool == short.address
    assert best_by_golden_section(legs_of(route, market))[0] <= route.gross_profit + grain(route)
    with pytest.raises(InsufficientLiquidity):
        short.amount_in(TOKENS[1], route.hops[0].amount_out + 2)
