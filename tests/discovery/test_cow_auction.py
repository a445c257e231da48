"""A real batch auction: loops that earn before gas and none that does after it, which is what an honest keeper says."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.search_auction import AUCTIONS, ROUTES, Auction, AuctionResult, load_auction, search_auction
from keeper.domain.token import TRADED_VENUES, VenueKind
from keeper.domain.units import Address
from keeper.market.venues.multi import MultiTokenPool, pairs_of
from tests.discovery.markets import all_loops, exact_profit

DATA = os.environ.get("ORION_TEST_DATA")
PAIRS = (VenueKind.UNISWAP_V2, VenueKind.UNISWAP_V3)
DEEP = 30 * 10**18
"""Wei on one side of a pool whose price counts."""
DUST = 10**12
"""Wei: loops that earn less may fail in integers at the sizes tried."""
BIGGER = 1_000
"""Loops are worth sending in this auction if gas costs so many times less."""

pytestmark = pytest.mark.skipif(
    not DATA,
    reason="ORION_TEST_DATA is not set: would have shown that in a real auction of 842 pools the search finds loops "
    "that earn before gas, and none that is worth its gas",
)


@pytest.fixture(scope="module")
def auction() -> Auction:
    (path,) = Path(str(DATA), AUCTIONS).glob("*.json.gz")
    return load_auction(path)


@pytest.fixture(scope="module")
def result(auction: Auction) -> AuctionResult:
    return search_auction(auction)


def test_every_pool_is_read(auction: Auction) -> None:
    kinds = Counter(pool.venue for pool in auction.pools.values())
    assert kinds == {
        VenueKind.UNISWAP_V2: 351,
        VenueKind.UNISWAP_V3: 299,
        VenueKind.BALANCER_V2_WEIGHTED: 185,
        VenueKind.BALANCER_V2_STABLE: 7,
    }
    assert sum(len(pool.tick_indices) for pool in auction.pools.values() if hasattr(pool, "tick_indices")) == 15_153


def test_pools_price_tokens_as_the_auction_does(auction: Auction) -> None:
    """States are read rightly: among pools of some depth a swap's rate agrees with the auction's own prices."""
    off = []
    for pool in auction.pools.values():
        for pair in pairs_of(pool):
            here, there = pair.token0, pair.token1
            if {here, there} <= auction.price.keys() and pair.spot_liquidity(here) * auction.price[here] > DEEP:
                off.append(abs(float(pair.marginal_price(here)) * auction.price[there] / auction.price[here] - 1))
    assert len(off) > 100
    assert sorted(off)[len(off) // 2] < 0.02


def test_loops_earn_before_gas_and_none_after_it(auction: Auction, result: AuctionResult) -> None:
    assert result.pools[0] == sum(pool.venue in TRADED_VENUES for pool in auction.pools.values()) >= 650
    assert result.gross is not None
    assert result.gross > 10**15
    assert result.net is not None
    assert result.net < 0
    assert result.sent == []
    for route in result.routes:
        assert route.gross_profit > 0
        for hop in route.hops:
            pool = auction.pools[hop.pool]
            pair = pool.pair(hop.token_in, hop.token_out) if isinstance(pool, MultiTokenPool) else pool
            assert pair.amount_out(hop.token_in, hop.amount_in) == hop.amount_out
    for hops in (2, 3, 4):
        some = [route for route in result.routes if len(route.hops) == hops]
        if len(some) == ROUTES:
            # what was left out has less gross profit than the cheapest swaps cost
            least = min(route.gross_profit * auction.price[route.token] for route in some)
            assert least < hops * min(auction.cost.values())


def test_without_gas_cost_they_would_be_sent(auction: Auction) -> None:
    """That nothing is sent is due to the gas: at a thousandth of it, something is."""
    cheap = Auction(
        auction.name,
        auction.pools,
        {pool: cost // BIGGER for pool, cost in auction.cost.items()},
        auction.price,
        auction.weth,
    )
    found = search_auction(cheap)
    assert found.sent
    assert found.net is not None
    assert found.net > 0


def test_no_loop_of_two_is_overlooked(auction: Auction, result: AuctionResult) -> None:
    """Between WETH and any other token no two pairs, at any size tried, earn more than the best loop found there."""
    market = {address: pool for address, pool in auction.pools.items() if pool.venue in PAIRS}
    best: dict[Address, int] = {}
    for route in result.routes:
        if len(route.hops) == 2 and route.token == auction.weth:
            other = route.hops[0].token_out
            best[other] = max(best.get(other, 0), route.gross_profit)
    sizes = [int(10 ** (k / 2)) for k in range(26, 41)]
    earning = 0
    for legs in all_loops(market, auction.weth, 2):
        profits = [profit for size in sizes if (profit := exact_profit(legs, size)) is not None]
        if max(profits, default=0) > DUST:
            earning += 1
            assert max(profits) <= best[legs[1][1]]
    assert earning >= 20
