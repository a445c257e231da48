"""Loops split over parallel pools: never worse than single pools, exact to the unit, worth the gas of their legs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from keeper.domain.joint_route import JointRoute
from keeper.domain.route import Route
from keeper.domain.units import Address
from tests.discovery import joint_cases
from tests.discovery.markets import TOKENS, Market, grain, legs_of, random_market, v2, v3

WETH = TOKENS[0]
PROPERTY = settings(max_examples=25, deadline=None)
ALL = LoopFilter()
Split = Route | JointRoute


def swaps(route: Split) -> int:
    return len(route.legs) if isinstance(route, JointRoute) else len(route.hops)


def rounding(route: Split) -> int:
    return joint_cases.grain(route) if isinstance(route, JointRoute) else grain(route)


def tokens(route: Split) -> tuple[tuple[Address, Address], ...]:
    """The token loop."""
    legs = route.legs if isinstance(route, JointRoute) else route.hops
    return tuple(dict.fromkeys((leg.token_in, leg.token_out) for leg in legs))


def check(route: Split, market: Market) -> None:
    known = joint_cases.views(market.values())
    for leg in route.legs if isinstance(route, JointRoute) else route.hops:
        joint_cases.check_leg(leg, known)
    assert route.gross_profit > 0
    if isinstance(route, JointRoute):
        # all of what a hop pays goes into the next
        assert {token: change for token, change in route.changes.items() if change} == {WETH: route.gross_profit}


@PROPERTY
@given(st.integers(0, 2**32), st.integers(3, 24), st.integers(2, 4), st.booleans())
def test_split_is_exact_and_never_worse_than_single_pools(seed: int, pools: int, count: int, tables: bool) -> None:
    market = random_market(random.Random(seed), pools, count)
    search = LoopSearch(market, [WETH], enumerated_steps=0 if tables else 10**6)
    single = {tokens(route): route for route in reversed(search.find(market, allow=ALL, limit=256))}
    found = search.find_split(market, allow=ALL, limit=256)
    assert bool(found) == bool(single)
    split = {tokens(route): route for route in found}
    assert len(split) == len(found)
    for route in found:
        check(route, market)
    for loop, route in single.items():
        assert split[loop].gross_profit + rounding(split[loop]) >= route.gross_profit
    assert [r.gross_profit for r in found] == sorted((r.gross_profit for r in found), reverse=True)


@PROPERTY
@given(st.integers(0, 2**32), st.integers(3, 16), st.floats(12, 16))
def test_after_gas_no_loop_is_worse_than_single_pools_or_all_pools(seed: int, pools: int, gas: float) -> None:
    market = random_market(random.Random(seed), pools, 3)
    search, gas = LoopSearch(market, [WETH]), 10**gas
    single = {tokens(route): route for route in reversed(search.find(market, allow=ALL, limit=256))}
    whole = {tokens(route): route for route in search.find_split(market, allow=ALL, limit=256)}
    for route in search.find_split(market, allow=ALL, limit=256, gas_per_leg=gas):
        check(route, market)
        net = route.gross_profit - gas * swaps(route) + rounding(route)
        for other in (single[tokens(route)], whole[tokens(route)]):
            assert net >= other.gross_profit - gas * swaps(other)


@PROPERTY
@given(st.integers(0, 2**32), st.integers(3, 14))
def test_another_pool_never_lowers_the_optimum(seed: int, pools: int) -> None:
    market = random_market(random.Random(seed), pools + 1, 3)
    fewer = dict(list(market.items())[:-1])
    before = LoopSearch(fewer, [WETH]).find_split(fewer, allow=ALL)
    after = LoopSearch(market, [WETH]).find_split(market, allow=ALL)
    if before:
        assert after
        assert after[0].gross_profit + rounding(after[0]) >= before[0].gross_profit


@PROPERTY
@given(st.integers(0, 2**32), st.integers(2, 5), st.integers(1, 4))
def test_no_random_change_of_the_split_earns_more(seed: int, cheap: int, dear: int) -> None:
    """Shares and input moved at random, in the pools' integers."""
    rng = random.Random(seed)
    market: Market = {}
    for n in range(cheap + dear):
        skew = (1.0 if n < cheap else 1.06) * rng.uniform(0.99, 1.01)
        dollars = 10 ** rng.uniform(5, 7)
        narrow = [(rng.randint(1, 3), rng.randint(2, 5), 10 * dollars), (20, 20, dollars)]
        pool = v2(n, f"dex{n}", WETH, TOKENS[1], dollars, skew)
        ranged = v3(n, WETH, TOKENS[1], rng.choice([500, 3000]), narrow, skew)
        market[pool.address] = rng.choice([pool, ranged])
    (best, *_) = LoopSearch(market, [WETH]).find_split(market, allow=ALL)
    legs = best.legs if isinstance(best, JointRoute) else best.hops
    out, back = ([leg for leg in legs if (leg.token_in == WETH) == first] for first in (True, False))
    for _ in range(30):
        scale = 10 ** rng.uniform(-8, -1)
        given_ = [max(int(leg.amount_in * (1 + rng.uniform(-scale, scale))), 1) for leg in out]
        shares = [leg.amount_in * (1 + rng.uniform(-scale, scale)) for leg in back]
        try:
            between = sum(market[leg.pool].amount_out(WETH, x) for leg, x in zip(out, given_, strict=True))
            passed = [int(between * share / sum(shares)) for share in shares]
            passed[0] += between - sum(passed)
            paid = sum(market[leg.pool].amount_out(TOKENS[1], x) for leg, x in zip(back, passed, strict=True))
        except ArithmeticError:
            continue
        assert paid - sum(given_) <= best.gross_profit + rounding(best) + 1e-9 * best.gross_profit


def test_parallel_pools_are_used_together() -> None:
    market: Market = {}
    for n in range(8):
        pool = v2(n, f"dex{n}", WETH, TOKENS[1], 1e6, 1.0 if n < 4 else 1.05)
        market[pool.address] = pool
    search = LoopSearch(market, [WETH])
    (single, *_), (best,) = search.find(market, allow=ALL), search.find_split(market, allow=ALL)
    assert isinstance(best, JointRoute)
    assert len(best.legs) == 8
    # four alike pools give the single loop's profit each
    assert best.gross_profit == pytest.approx(4 * single.gross_profit, rel=1e-6)
    dear = float(single.gross_profit)
    (kept,) = search.find_split(market, allow=ALL, gas_per_leg=dear)
    assert isinstance(kept, Route)


def test_distinct_venues_are_not_split() -> None:
    market: Market = {}
    for n in range(6):
        pool = v2(n, f"dex{n}", WETH, TOKENS[1], 1e6, 1.0 if n < 3 else 1.05)
        market[pool.address] = pool
    found = LoopSearch(market, [WETH]).find_split(market, allow=LoopFilter(dexes=DexRule.DISTINCT))
    assert found
    for route in found:
        assert isinstance(route, Route)
        assert len({pool.dex for pool, _ in legs_of(route, market)}) == 2
