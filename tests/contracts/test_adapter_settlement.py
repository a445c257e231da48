"""The adapter as an interaction of the real CoW settlement, and as a swap for anybody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keeper.domain.token import VenueKind
from keeper.execution.adapter import Step, StepKind, settlement_interactions, swap_calldata
from tests.conftest import RunningReplica
from tests.contracts.adapter_orders import SETTLEMENT, SWAPPER, settle, settlement, swapper_has
from tests.contracts.adapter_site import USER, AdapterSite, compiled_adapter, grown
from tests.contracts.site import ETHER, STRANGER, USDC, USDT, WETH, calldata

DOLLAR = 10**6
V2, V3 = VenueKind.UNISWAP_V2, VenueKind.UNISWAP_V3
WAYS = [
    ((V2, WETH, USDC),),
    ((V3, WETH, USDC),),
    ((V3, WETH, USDT), (V2, USDT, USDC)),
    ((V2, WETH, USDT), (V3, USDT, USDC)),
]


@pytest.fixture(scope="module")
def prepared(replica: RunningReplica) -> AdapterSite:
    found = AdapterSite(replica, compiled_adapter())
    swapper_has(found, WETH, 5 * ETHER, settlement(found))
    return found


@pytest.fixture
def site(prepared: AdapterSite) -> Iterator[AdapterSite]:
    with prepared.undone():
        yield prepared


@pytest.mark.parametrize("way", WAYS, ids=lambda way: ", ".join(hop[0] for hop in way))
def test_a_settlement_sells_through_pools_and_keeps_the_surplus(
    site: AdapterSite, way: tuple[tuple[VenueKind, str, str], ...]
) -> None:
    sold = 2 * ETHER
    route, paid = site.route(WETH, sold, *(site.pool(*hop) for hop in way))
    bought, valid_to = paid - 5 * DOLLAR, site.now() + 3600
    steps = settlement_interactions(site.adapter, SETTLEMENT, WETH, sold, route, paid)
    too_much = settlement_interactions(site.adapter, SETTLEMENT, WETH, sold, route, paid + 1)
    assert (
        site.call(STRANGER, SETTLEMENT, settle(WETH, sold, USDC, bought, valid_to, too_much)).error == "OutputTooSmall"
    )
    before = site.balance(USDC, SWAPPER.address)
    site.must(STRANGER, SETTLEMENT, settle(WETH, sold, USDC, bought, valid_to, steps))
    assert grown(site, USDC, SWAPPER.address, before) == bought
    assert site.balance(USDC, SETTLEMENT) == 5 * DOLLAR
    assert site.left() == {}


def test_anybody_sells_what_it_sends_along(site: AdapterSite) -> None:
    """Two transactions here: in between, the tokens are anybody's, and that is what the documents say."""
    route, paid = site.route(WETH, ETHER, site.pool(V3, WETH, USDC))
    site.give(WETH, site.adapter, ETHER)
    outcome = site.run(swap_calldata(WETH, route, paid, USER), STRANGER)
    assert (outcome.error, int.from_bytes(outcome.output, "big")) == ("", paid)
    site.must(STRANGER, site.adapter, swap_calldata(WETH, route, paid, USER))
    assert site.balance(USDC, USER) == paid
    assert site.left() == {}


def test_a_pool_that_names_its_callback_otherwise_is_served(site: AdapterSite, replica: RunningReplica) -> None:
    """PancakeSwap's pools are Uniswap's with another callback."""
    (pool,) = (
        found
        for found in (*replica.pools, *replica.state.other_pools())
        if "pancake" in f"{found['venue']} {found.get('dex')}" and {found["token0"], found["token1"]} == {WETH, USDC}
    )
    _, fair = site.route(WETH, ETHER, site.pool(V3, WETH, USDC))
    route = (Step(StepKind.V3, pool["address"], 0, USDC),)
    site.give(WETH, site.adapter, ETHER)
    before = site.balance(WETH, pool["address"])
    site.must(STRANGER, site.adapter, swap_calldata(WETH, route, fair * 97 // 100, USER))
    assert grown(site, WETH, pool["address"], before) == ETHER
    assert site.left() == {}


def test_there_is_nothing_to_sell_between_transactions(site: AdapterSite) -> None:
    for way in WAYS:
        pools = [site.pool(*hop) for hop in way]
        route, _ = site.route(WETH, ETHER, *pools)
        assert not site.run(swap_calldata(WETH, route, 0, STRANGER), STRANGER).ok


def test_a_route_that_makes_no_sense_is_refused(site: AdapterSite) -> None:
    route, _ = site.route(WETH, ETHER, site.pool(V3, WETH, USDC))
    site.give(WETH, site.adapter, ETHER)
    good = b"".join(step.to_bytes() for step in route)
    spoilt = [b"", good[:-1], good + b"\x01", b"\x00" + good[1:], b"\x03" + good[1:], good[:19]]
    for data in spoilt:
        call = calldata("swap(address,bytes,uint256,address)", WETH, data, 0, USER)
        assert site.run(call, STRANGER).error == "BadRoute"
    assert site.run(swap_calldata(WETH, route, 0, site.adapter), STRANGER).error == "BadRoute"
