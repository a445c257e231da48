"""The tables of the search after any changes are those of a search made anew; and no pool state can upset it."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from keeper.domain.errors import InputError
from keeper.domain.units import Address
from keeper.market.venues.base import InsufficientLiquidity, Pool
from keeper.market.venues.tick_math import MAX_SQRT_RATIO, MAX_TICK, MIN_SQRT_RATIO, MIN_TICK, get_sqrt_ratio_at_tick
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import UniswapV3Pool
from tests.discovery.markets import TOKENS, Market, address, at_tick, check_integers, random_market, random_pool, v2, v3

WETH = TOKENS[0]
FILTERS = (
    LoopFilter(),
    LoopFilter(dexes=DexRule.SAME),
    LoopFilter(dexes=DexRule.DISTINCT, fee_tiers_are_venues=True),
)


def moved(rng: random.Random, pool: Pool) -> Pool:
    """A later state of ``pool``."""
    if isinstance(pool, UniswapV2Pool):
        return replace(pool, reserve0=max(int(pool.reserve0 * rng.uniform(0.98, 1.02)), 1))
    assert isinstance(pool, UniswapV3Pool)
    tick = pool.tick + rng.randint(-200, 200)
    at = sum(net for at, net in zip(pool.tick_indices, pool.liquidity_net, strict=True) if at <= tick)
    same_ticks = replace(pool, tick=tick, sqrt_price_x96=get_sqrt_ratio_at_tick(tick) + 1, liquidity=at)
    if rng.random() < 0.5:
        return same_ticks
    lower, upper = min(pool.tick_indices) - pool.tick_spacing, max(pool.tick_indices) + 7 * pool.tick_spacing
    return replace(
        same_ticks,
        liquidity=at + 10**15,
        tick_indices=(lower, *pool.tick_indices, upper),
        liquidity_net=(10**15, *pool.liquidity_net, -(10**15)),
        liquidity_gross=(10**15, *pool.liquidity_gross, 10**15),
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_updates_equal_a_rebuild(seed: int) -> None:
    rng = random.Random(seed)
    market = random_market(rng, 10, 4)
    gone: Market = {}
    search = LoopSearch(market, [WETH, TOKENS[1]])
    for step in range(6):
        market = dict(market)
        changed = rng.sample(list(market), rng.randint(1, 4))
        for one in changed:
            if rng.random() < 0.25:
                gone[one] = market.pop(one)
            else:
                market[one] = moved(rng, market[one])
        if gone and rng.random() < 0.5:
            back, pool = gone.popitem()
            market[back] = pool
            changed.append(back)
        if rng.random() < 0.3:
            new = random_pool(rng, 100 + step, TOKENS)
            market[new.address] = new
            changed.append(new.address)
        search.update(market, changed)
        anew = LoopSearch(market, [WETH, TOKENS[1]])
        for allow in FILTERS:
            assert search.find(market, allow=allow) == anew.find(market, allow=allow)


def test_a_pool_that_vanishes_unnamed_is_not_traded() -> None:
    market: Market = {p.address: p for p in (v2(1, "a", WETH, TOKENS[1], 1e6), v2(2, "b", WETH, TOKENS[1], 1e6, 1.1))}
    search = LoopSearch(market, [WETH])
    assert search.find(market, allow=LoopFilter())
    left = {address(1): market[address(1)]}
    search.update(left, [])
    assert search.find(market, allow=LoopFilter()) == []


def test_a_swap_in_a_pool_with_many_ticks_moves_only_its_price() -> None:
    """The short way for an unchanged tick list gives the same routes as reading the pool anew."""
    wide = v3(1, WETH, TOKENS[1], 500, [(n, n, 1e5 * n) for n in range(1, 120)], 1.03)
    market: Market = {wide.address: wide, address(2): v2(2, "b", WETH, TOKENS[1], 1e7)}
    search = LoopSearch(market, [WETH])
    swapped = replace(
        wide,
        tick=wide.tick + 41,
        sqrt_price_x96=get_sqrt_ratio_at_tick(wide.tick + 41),
        liquidity=sum(
            net for at, net in zip(wide.tick_indices, wide.liquidity_net, strict=True) if at <= wide.tick + 41
        ),
    )
    market = {**market, wide.address: swapped}
    search.update(market, [wide.address])
    found = search.find(market, allow=LoopFilter())
    assert found
    assert found == LoopSearch(market, [WETH]).find(market, allow=LoopFilter())
    # a liquidity that the ticks do not tell is not taken from them
    market = {**market, wide.address: replace(swapped, liquidity=2 * swapped.liquidity)}
    search.update(market, [wide.address])
    assert search.find(market, allow=LoopFilter()) == LoopSearch(market, [WETH]).find(market, allow=LoopFilter())


@pytest.mark.parametrize("ticks", [50_000, -50_000])
def test_reach_of_a_pool_moves_with_its_price(ticks: int) -> None:
    """A swap walks over so many words of the tick bitmap at most, counted from where the price is now."""
    wide = v3(1, WETH, TOKENS[1], 100, [(60_000, 60_000, 1e7)])
    market: Market = {wide.address: wide, address(2): v2(2, "b", WETH, TOKENS[1], 1e10)}
    search = LoopSearch(market, [WETH])
    market = {**market, wide.address: at_tick(wide, wide.tick + ticks)}
    search.update(market, [wide.address])
    found = search.find(market, allow=LoopFilter())
    assert found
    assert found == LoopSearch(market, [WETH]).find(market, allow=LoopFilter())


def test_empty_market_and_unknown_changes_give_nothing() -> None:
    search = LoopSearch({}, [WETH])
    search.update({}, [address(9)])
    assert search.find([address(9)], allow=LoopFilter()) == []


def test_a_search_without_profit_tokens_is_refused() -> None:
    with pytest.raises(InputError, match="profit_tokens"):
        LoopSearch({}, [])


@pytest.mark.parametrize("hops", [set(), {1, 2}, {5}])
def test_impossible_hop_counts_are_refused(hops: set[int]) -> None:
    with pytest.raises(InputError, match="hops"):
        LoopFilter(hops=frozenset(hops))


def test_one_search_answers_several_threads_alike() -> None:
    market = random_market(random.Random(3), 40)
    search = LoopSearch(market, [WETH])
    expected = [search.find(market, allow=allow) for allow in FILTERS]
    assert any(expected)
    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(search.find, market, allow=allow) for _ in range(8) for allow in FILTERS]
        assert [job.result() for job in jobs] == expected * 8


HUGE = 2**256 - 1
hostile_v2 = st.builds(
    lambda n, fee, a, b: UniswapV2Pool(address(n), "hostile", WETH, TOKENS[1], fee, a, b),
    st.integers(50, 54),
    st.sampled_from([-1, 0, 1, 3000, 999_999, 1_000_000, HUGE]),
    st.sampled_from([-1, 0, 1, 2, 10**18, 2**112 - 1, 2**112, HUGE, 10**400]),
    st.sampled_from([-1, 0, 1, 2, 10**18, 2**112 - 1, 2**112, HUGE, 10**400]),
)


@st.composite
def hostile_v3(draw: st.DrawFn) -> UniswapV3Pool:
    ticks = draw(
        st.one_of(
            st.lists(st.sampled_from([MIN_TICK, -60, 0, 60, 197_000, MAX_TICK]), max_size=4, unique=True).map(sorted),
            st.lists(st.sampled_from([-60, 60, 10**9, -(10**9), 0, 0]), max_size=4),
        )
    )
    tick = draw(st.sampled_from([MIN_TICK, MIN_TICK + 1, -61, -60, 0, 59, 60, 197_000, MAX_TICK - 1, MAX_TICK, 10**9]))
    honest = get_sqrt_ratio_at_tick(max(min(tick, MAX_TICK), MIN_TICK))
    price = draw(st.sampled_from([honest, honest, honest, 0, -1, 1, MIN_SQRT_RATIO, MAX_SQRT_RATIO - 1, HUGE]))
    net = st.sampled_from([0, 1, -1, 10**18, -(10**18), 2**127, -(2**127), HUGE, 10**400])
    nets = draw(st.lists(net, min_size=len(ticks), max_size=len(ticks) + draw(st.integers(0, 1))))
    return UniswapV3Pool(
        address(draw(st.integers(60, 64))),
        "hostile",
        WETH,
        TOKENS[1],
        draw(st.sampled_from([0, 100, 3000, 999_999, 1_000_000, -5])),
        draw(st.sampled_from([1, 60])),
        price,
        tick,
        draw(st.sampled_from([0, 1, 10**6, 10**18, 2**128 - 1, 2**128, -1, 10**400])),
        tuple(ticks),
        tuple(nets),
        tuple(abs(net) for net in nets),
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(hostile_v2, hostile_v3()), min_size=1, max_size=6))
def test_hostile_states_never_upset_the_search(hostile: list[Pool]) -> None:
    honest = (
        v2(1, "a", WETH, TOKENS[1], 1e6),
        v2(2, "b", WETH, TOKENS[1], 1e6, 1.05),
        v2(3, "a", WETH, TOKENS[2], 1e6),
        v2(4, "a", TOKENS[1], TOKENS[2], 1e6),
    )
    market: Market = {pool.address: pool for pool in honest}
    search = LoopSearch(market, [WETH])
    honest_profit = search.find(market, allow=LoopFilter())[0].gross_profit
    market = {**market, **{pool.address: pool for pool in hostile}}
    search.update(market, [pool.address for pool in hostile])
    found = search.find(market, allow=LoopFilter(), limit=256)
    for route in found:
        check_integers(route, market)
    # nothing hides the honest arbitrage, unless what stands before it earns more
    assert found[0].gross_profit >= honest_profit


class FrozenPool(UniswapV2Pool):
    """A pool whose state looks well and whose contract refuses every swap."""

    def amount_out(self, token_in: Address, amount_in: int) -> int:
        raise InsufficientLiquidity(f"{self.address} refuses {amount_in} of {token_in}")


def test_pools_that_refuse_do_not_hide_others_of_their_pair() -> None:
    market: Market = {p.address: p for p in (v2(1, "a", WETH, TOKENS[1], 1e6), v2(2, "b", WETH, TOKENS[1], 1e6, 1.05))}
    for n in range(3, 12):
        fine = v2(n, f"frozen{n}", WETH, TOKENS[1], 1e7, 1.2 + n / 100)
        market[fine.address] = FrozenPool(
            fine.address, fine.dex, fine.token0, fine.token1, fine.fee_pips, fine.reserve0, fine.reserve1
        )
    search = LoopSearch(market, [WETH])
    found = search.find(market, allow=LoopFilter())
    assert [set(route.pools) for route in found] == [{address(1), address(2)}]
    assert search.counters.disproved > 0
