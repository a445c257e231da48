"""What the strategies admit and leave out, and that they change nothing."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import pytest

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.strategies import STRATEGIES, build
from keeper.discovery.strategies.cross_dex import CrossDex, CrossDexConfig
from keeper.discovery.strategies.triangular import Triangular, TriangularConfig
from keeper.discovery.view import MarketView
from keeper.domain.chain import BlockHeader
from keeper.domain.errors import InputError
from keeper.domain.opportunity import Opportunity, RiskClass
from keeper.domain.units import ZERO_ADDRESS, Hash32, Wei
from tests.discovery.markets import TOKENS, Market, check_integers, random_market, v2, v3

WETH, USDC, DAI = TOKENS[:3]


def view_of(market: Market, changed: list[str] | None = None) -> MarketView:
    header = BlockHeader(
        number=77,
        hash=Hash32("0x" + "11" * 32),
        parent_hash=Hash32("0x" + "22" * 32),
        timestamp=1_700_000_000,
        base_fee=Wei(10**9),
        gas_limit=30_000_000,
        gas_used=15_000_000,
        coinbase=ZERO_ADDRESS,
    )
    return MarketView(
        chain_id=31337,
        header=header,
        pools=market,
        changed=[pool for pool in market if changed is None or pool in changed],
        search=LoopSearch(market, [WETH]),
        seen_at=0,
    )


def market_of(*pools: object) -> Market:
    return {pool.address: pool for pool in pools}  # type: ignore[attr-defined]


def pools_of(found: list[Opportunity]) -> list[set[str]]:
    return [set(one.route.pools) for one in found]


def test_cross_dex_finds_one_pair_across_dexes() -> None:
    cheap, dear = v2(1, "uniswap_v2", WETH, USDC, 1e6), v2(2, "sushiswap", WETH, USDC, 1e6, 1.05)
    (found,) = CrossDex().find(view_of(market_of(cheap, dear)))
    assert found.strategy == "cross_dex"
    assert found.risk is RiskClass.LOW
    assert (found.chain_id, found.block_number) == (31337, 77)
    assert found.found_after_ns > 0
    check_integers(found.route, market_of(cheap, dear))


def test_cross_dex_takes_fee_tiers_of_one_dex_for_venues_unless_told_not_to() -> None:
    market = market_of(
        v3(1, WETH, USDC, 500, [(300, 300, 1e7)]),
        v3(2, WETH, USDC, 3000, [(60, 60, 1e7)], 1.02),
    )
    assert len(CrossDex().find(view_of(market))) == 1
    assert CrossDex(CrossDexConfig(fee_tiers=False)).find(view_of(market)) == []


def test_cross_dex_leaves_out_triangles_and_other_pairs() -> None:
    triangle = (
        v2(1, "uniswap_v2", WETH, USDC, 1e6),
        v2(2, "sushiswap", USDC, DAI, 1e6),
        v2(3, "uniswap_v2", WETH, DAI, 1e6, 1.2),
    )
    assert CrossDex().find(view_of(market_of(*triangle))) == []
    pair = market_of(v2(4, "uniswap_v2", WETH, DAI, 1e6), v2(5, "sushiswap", WETH, DAI, 1e6, 1.1))
    only_usdc = CrossDexConfig(pairs=frozenset({frozenset({WETH, USDC})}))
    assert CrossDex(only_usdc).find(view_of(pair)) == []
    assert len(CrossDex().find(view_of(pair))) == 1


def test_triangular_stays_within_one_dex() -> None:
    sides = [(WETH, USDC, 1.0), (USDC, DAI, 1.0), (WETH, DAI, 1.05)]
    one = market_of(*(v2(n, "uniswap_v2", a, b, 1e6, skew) for n, (a, b, skew) in enumerate(sides)))
    (found,) = Triangular().find(view_of(one))
    assert found.strategy == "triangular"
    assert len(found.route.hops) == 3
    check_integers(found.route, one)
    mixed = {**one, **market_of(replace(v2(1, "sushiswap", USDC, DAI, 1e6)))}
    assert Triangular().find(view_of(mixed)) == []
    # a better side on another DEX does not hide the triangle
    both = {**one, **market_of(v2(9, "sushiswap", WETH, DAI, 1e8, 1.2))}
    assert pools_of(Triangular().find(view_of(both))) == [set(one)]


def test_bounds_are_kept() -> None:
    market = random_market(random.Random(8), 40)
    everything = CrossDex().find(view_of(market))
    assert len(everything) > 3
    assert len(CrossDex(CrossDexConfig(limit=2)).find(view_of(market))) == 2
    floor = everything[1].route.gross_profit
    kept = CrossDex(CrossDexConfig(min_gross=floor)).find(view_of(market))
    assert [one.route for one in kept] == [one.route for one in everything[:2]]


def test_only_changed_pairs_are_looked_at() -> None:
    market = market_of(v2(1, "a", WETH, USDC, 1e6), v2(2, "b", WETH, USDC, 1e6, 1.05), v2(3, "a", WETH, DAI, 1e6))
    last = list(market)[-1]
    assert CrossDex().find(view_of(market, [last])) == []


def test_strategies_are_pure() -> None:
    market = random_market(random.Random(8), 30)
    before = copy.deepcopy(market)
    view = view_of(market)
    for strategy in build(STRATEGIES):
        first, second = strategy.find(view), strategy.find(view)
        assert first
        assert [one.route for one in first] == [one.route for one in second]
    assert market == before


def test_registry_builds_by_name_in_order() -> None:
    assert [strategy.name for strategy in build(["triangular", "cross_dex", "triangular"])] == [
        "triangular",
        "cross_dex",
    ]
    assert {name: STRATEGIES[name]().name for name in STRATEGIES} == {name: name for name in STRATEGIES}
    with pytest.raises(InputError, match="cross_dex, triangular"):
        build(["quadrangular"])


@pytest.mark.parametrize("config", [CrossDexConfig, TriangularConfig])
@pytest.mark.parametrize("bounds", [{"limit": 0}, {"min_gross": 0}])
def test_senseless_bounds_are_refused(config: type, bounds: dict[str, int]) -> None:
    with pytest.raises(InputError):
        config(**bounds)
