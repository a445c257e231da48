"""Pools of every kind in one search: fitted, of many tokens, with a key of their own; and pools of dust."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.loop_filter import LoopFilter
from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.market.venues import Pool, load
from keeper.market.venues.multi import pairs_of
from tests.discovery import joint_cases
from tests.discovery.joint_cases import stable, weighted
from tests.discovery.markets import TOKENS, Market, address, best_by_golden_section, check_integers, grain, v2, v3
from tests.market.every_kind import STATES

WETH, USDC, DAI, WBTC, _ = TOKENS
ALL = LoopFilter()


@pytest.fixture
def _every_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keeper.discovery.search.tables.TRADED_VENUES", tuple(VenueKind))


def market_of(pools: Iterable[Pool]) -> Market:
    return {pool.key: pool for pool in pools}


@pytest.mark.usefixtures("_every_venue")
@pytest.mark.parametrize("state", STATES, ids=lambda state: str(state["venue"]))
def test_every_kind_of_pool_is_traded_by_its_own_integers(state: dict[str, Any]) -> None:
    """Beside a pair with a price that is 8% off."""
    pool = load(state)
    view = pairs_of(pool)[0]
    held = view.spot_liquidity(view.token0)
    reserves = held, int(held * float(view.marginal_price(view.token0)) * 1.08)
    pair = replace(v2(99, "a", WETH, USDC, 1e6), token0=view.token0, token1=view.token1)
    market = market_of([pool, replace(pair, reserve0=reserves[0], reserve1=reserves[1])])
    search = LoopSearch(market, [view.token0])
    known = joint_cases.views(market.values())
    (route,) = search.find(market, allow=ALL)
    (split,) = search.find_split(market, allow=ALL)
    assert split == route
    assert route.pools == market.keys()
    for hop in route.hops:
        joint_cases.check_leg(hop, known)
    # the input is near the best: a fitted curve is off by a millionth
    legs = [(known[hop.pool, frozenset((hop.token_in, hop.token_out))], hop.token_in) for hop in route.hops]
    best, _ = best_by_golden_section(legs, largest=10**27)
    assert route.gross_profit >= best * (1 - 1e-6) - grain(route)
    # a state after an event is taken in like any other
    search.update({pair.key: market[pair.key]}, [pool.key])
    assert search.find(list(market), allow=ALL) == []
    search.update(market, [pool.key])
    assert search.find(list(market), allow=ALL) == [route]


@pytest.mark.usefixtures("_every_venue")
def test_two_views_of_one_pool_are_not_in_one_loop() -> None:
    """USDC and DAI are cheap in one pool of three: a loop WETH, USDC, DAI would use it three times."""
    three = weighted(1, [WETH, USDC, DAI], [0.4, 0.3, 0.3], 1e6, 1.1)
    market = market_of(
        [three, v2(2, "a", WETH, USDC, 1e6), v2(3, "b", WETH, DAI, 1e6), stable(4, [USDC, DAI], [1e6, 9e5])]
    )
    search = LoopSearch(market, [WETH])
    found = search.find(market, allow=ALL)
    assert any(three.key in route.pools for route in found)
    for route in [*found, *search.find_split(market, allow=ALL)]:
        legs = getattr(route, "legs", None) or route.hops
        assert len({leg.pool for leg in legs}) == len(legs)
    gone = {key: pool for key, pool in market.items() if key != three.key}
    search.update(gone, [three.key])
    assert search.find(gone, allow=ALL) == LoopSearch(gone, [WETH]).find(gone, allow=ALL)
    search.update(market, [three.key])
    assert search.find(market, allow=ALL) == found


@pytest.mark.parametrize("hops", [3, 4])
def test_dust_hides_a_loop_from_rates_at_the_margin_and_not_from_a_probe(hops: int) -> None:
    """Of the loops through a changed edge the tables know the one with the best rate. A pool of dust with an absurd
    price gives it to a loop that earns next to nothing, and the loop with depth beside it goes unseen."""
    path = [WETH, *(address(0x5000 + n) for n in range(hops - 1))]
    dust = address(0x6000)
    pools = [plain(n, "deep", a, b, 10**21, 10**21) for n, (a, b) in enumerate(pairwise(path))]
    changed = plain(50, "deep", path[-1], WETH, 10**21, 102 * 10**19)
    pools += [
        changed,
        plain(51, "dust", WETH, dust, 10**8, 2 * 10**8),
        plain(52, "deep", dust, path[2], 10**21, 10**21),
    ]
    market = market_of(pools)
    wanted = LoopFilter(hops=frozenset({hops}))
    (best, *_) = LoopSearch(market, [WETH], enumerated_steps=10**9).find([changed.key], allow=wanted)
    assert best.gross_profit > 10**15
    at_the_margin, probed = (
        LoopSearch(market, [WETH], enumerated_steps=0, probe=probe).find([changed.key], allow=wanted)
        for probe in (0, 10**15)
    )
    assert [dust in (hop.token_in for hop in route.hops) for route in at_the_margin] == [True]
    assert probed == [best]
    check_integers(best, market)


def plain(number: int, dex: str, a: Address, b: Address, reserve_a: int, reserve_b: int) -> Pool:
    """A pair of so much of each."""
    pool = v2(number, dex, WETH, USDC, 1e6)
    first, second = sorted((a, b))
    reserves = (reserve_a, reserve_b) if first == a else (reserve_b, reserve_a)
    return replace(pool, token0=first, token1=second, reserve0=reserves[0], reserve1=reserves[1])


def test_what_a_probe_leaves_out_earns_less_than_the_probe() -> None:
    tiny = [v3(1, WETH, USDC, 500, [(2, 3, 1e3)], 1.01), v2(2, "a", WETH, USDC, 1e3)]
    market = market_of(tiny)
    (route,) = LoopSearch(market, [WETH]).find(market, allow=ALL)
    assert LoopSearch(market, [WETH], probe=route.gross_profit // 2).find(market, allow=ALL) == [route]
    assert LoopSearch(market, [WETH], probe=10**19).find(market, allow=ALL) == []
