"""Each strategy on a fork: it finds what a price move has left behind, and the executor earns exactly that.

To test a strategy of your own, copy the last function: move a price, let the strategy look, send what it found.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.strategies.cross_dex import CrossDex
from keeper.discovery.strategies.triangular import Triangular
from keeper.discovery.view import MarketView
from keeper.domain.protocols import Strategy
from keeper.domain.token import LenderKind
from keeper.market.loader import PoolSpec, load_pools
from keeper.market.node import Node
from tests.contracts.site import WETH, Site

if TYPE_CHECKING:
    from ape.api import AccountAPI


def view_of(site: Site) -> MarketView:
    """The market of the fork as the keeper reads it, at the newest block."""

    async def read() -> MarketView:
        async with Node(site.replica.provider.uri) as node:
            head = await node.block("latest")
            specs = [PoolSpec.from_json(pool) for pool in site.replica.pools]
            pools = await load_pools(node, specs, head)
        return MarketView(1, head, pools, frozenset(pools), LoopSearch(pools, [WETH]), time.time_ns())

    return asyncio.run(read())


@pytest.mark.parametrize(("strategy", "hops"), [(CrossDex(), 2), (Triangular(), 3)], ids=["cross_dex", "triangular"])
def test_a_strategy_finds_lands_and_earns_exactly(
    site: Site, operator: AccountAPI, strategy: Strategy[MarketView], hops: int
) -> None:
    moved = next(pool for pool in site.replica.pools if pool["token1"] == WETH and pool["token0"] != WETH)
    site.cheapen(moved, WETH, site.balance(WETH, moved["address"]) // 20)

    found = max(strategy.find(view_of(site)), key=lambda one: one.route.gross_profit)
    assert len(found.route.hops) == hops
    assert found.route.gross_profit > 0
    if strategy.name == "triangular":
        assert len({hop.dex for hop in found.route.hops}) == 1
    else:
        assert len({hop.pool for hop in found.route.hops}) == 2

    before = site.balance(WETH, site.executor)
    stream = site.stream(found.route, LenderKind.FLASH_SWAP, found.route.gross_profit)
    operator.transfer(site.executor, 0, data=stream, gas=2_000_000)
    assert site.balance(WETH, site.executor) - before == found.route.gross_profit
