"""Kinds of pools that nothing here can trade yet: refused by name where they are asked for, unseen by the search."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.loop_filter import LoopFilter
from keeper.domain.errors import InputError
from keeper.domain.route import Route
from keeper.domain.token import TRADED_VENUES, VenueKind
from keeper.domain.units import Wei
from keeper.market.loader import read_pool_specs
from keeper.market.venues import Pool, SolidlyVolatilePool
from keeper.selection.rules import Rules
from tests.market.chain import TOKEN0, TOKEN1, address, v2_pool
from tests.routes import WETH, loop, opportunity

UNTRADED = [kind for kind in VenueKind if kind not in TRADED_VENUES]


def route_through(kind: VenueKind) -> Route:
    first, second = loop((1, 2), 10**18).hops
    return Route((replace(first, venue=kind), second))


@pytest.mark.parametrize("kind", UNTRADED)
def test_no_route_through_them_passes_the_rules(kind: VenueKind) -> None:
    route = route_through(kind)
    rules = Rules(profit_token=WETH, min_profit=Wei(1), max_gas_share_bps=10_000)
    kept, dropped = rules.apply([opportunity(route)], Wei(1))
    assert kept == []
    assert [change.reason for change in dropped] == ["venue_not_traded"]


@pytest.mark.parametrize("kind", UNTRADED)
def test_the_list_of_the_book_does_not_take_them(kind: VenueKind, tmp_path: Path) -> None:
    path = tmp_path / "pools.json"
    path.write_text(json.dumps([{**v2_pool().to_json(), "venue": kind.value}]))
    with pytest.raises(InputError, match=r"^pools\.json\[0\]\.venue: "):
        read_pool_specs(path)


def test_the_search_does_not_see_them() -> None:
    # a loop between these two would earn a tenth
    other = SolidlyVolatilePool(address(8), "solidly", TOKEN0, TOKEN1, 0, 10**21, 2 * 10**22)
    pools: dict[str, Pool] = {pool.address: pool for pool in (v2_pool(2), other)}
    search = LoopSearch(pools, [TOKEN0])
    assert search.find(list(pools), allow=LoopFilter()) == []
    pools[other.address] = replace(other, reserve0=10**22)
    search.update(pools, [other.address])
    assert search.find(list(pools), allow=LoopFilter()) == []
    pools[address(3)] = v2_pool(3, reserves=(10**21, 2 * 10**22))
    search.update(pools, [address(3)])
    assert search.find(list(pools), allow=LoopFilter())
