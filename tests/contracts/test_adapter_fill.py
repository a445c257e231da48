"""Signed orders through the real reactors of UniswapX, filled by the adapter out of pools alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from keeper.domain.token import VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.execution.adapter import Fill
from tests.conftest import RunningReplica
from tests.contracts.adapter_orders import (
    EXCLUSIVE_DUTCH,
    SWAPPER,
    V2_DUTCH,
    Order,
    Output,
    reactors,
    swapper_has,
)
from tests.contracts.adapter_site import FOREVER, SLOT_SECONDS, USER, AdapterSite, compiled_adapter, grown
from tests.contracts.site import DAI, ETHER, OPERATOR, TREASURY, USDC, WETH

DOLLAR = 10**6
V2, V3 = VenueKind.UNISWAP_V2, VenueKind.UNISWAP_V3


@pytest.fixture(scope="module")
def prepared(replica: RunningReplica) -> AdapterSite:
    found = AdapterSite(replica, compiled_adapter())
    reactors(found)
    swapper_has(found, WETH, 5 * ETHER)
    swapper_has(found, USDC, 20_000 * DOLLAR)
    return found


@pytest.fixture
def site(prepared: AdapterSite) -> Iterator[AdapterSite]:
    with prepared.undone():
        yield prepared


def dutch(site: AdapterSite, reactor: Address, token_in: Address, amount: int, *outputs: Output, **more: str) -> Order:
    """An order whose outputs have been decaying for ten slots out of twenty when the next block comes."""
    start = site.now() - 9 * SLOT_SECONDS
    return Order(reactor, token_in, amount, outputs, start, start + 20 * SLOT_SECONDS, **more)


def filling(site: AdapterSite, order: Order, token_out: Address, *venues: VenueKind) -> tuple[Fill, int]:
    """The fill of ``order`` in the next block, and its profit."""
    time = site.now() + SLOT_SECONDS
    wanted = sum(output.at(order.decay_start, order.decay_end, time) for output in order.outputs)
    path = [order.token_in, token_out] if len(venues) == 1 else [order.token_in, DAI, token_out]
    pools = [site.pool(venue, *pair) for venue, pair in zip(venues, pairwise(path), strict=True)]
    route, paid = site.route(order.token_in, order.amount_in, *pools)
    encoded, signature = order.signed()
    profit = paid - wanted
    assert profit > 0
    return Fill(order.reactor, encoded, signature, order.token_in, token_out, wanted, route, profit, FOREVER), profit


def earns(site: AdapterSite, job: Fill, profit: int) -> None:
    assert site.run(replace(job, min_profit=profit + 1).calldata()).error == "OutputTooSmall"
    before = site.balance(job.token_out, TREASURY)
    site.must(OPERATOR, site.adapter, job.calldata())
    assert grown(site, job.token_out, TREASURY, before) == profit
    assert site.left() == {}
    assert site.allowance(job.token_out, job.reactor) == 0


@pytest.mark.parametrize(
    ("reactor", "venues"),
    [(EXCLUSIVE_DUTCH, (V2,)), (EXCLUSIVE_DUTCH, (V3, V2)), (V2_DUTCH, (V3,)), (V2_DUTCH, (V2, V3))],
    ids=["exclusive, V2", "exclusive, V3 and V2", "cosigned, V3", "cosigned, V2 and V3"],
)
def test_a_signed_order_is_filled_at_the_price_of_its_block(
    site: AdapterSite, reactor: Address, venues: tuple[VenueKind, ...]
) -> None:
    _, paid = site.route(WETH, 2 * ETHER, site.pool(V3, WETH, USDC))
    outputs = (
        Output(USDC, paid * 99 // 100, paid * 90 // 100, SWAPPER.address),
        Output(USDC, 11 * DOLLAR, 7 * DOLLAR, USER),
    )
    order = dutch(site, reactor, WETH, 2 * ETHER, *outputs)
    job, profit = filling(site, order, USDC, *venues)
    before = [site.balance(USDC, output.recipient) for output in outputs]
    time = site.now() + SLOT_SECONDS
    earns(site, job, profit)
    for output, amount in zip(outputs, before, strict=True):
        assert grown(site, USDC, output.recipient, amount) == output.at(order.decay_start, order.decay_end, time)


def test_an_order_that_wants_coins_gets_them(site: AdapterSite) -> None:
    _, paid = site.route(USDC, 9_000 * DOLLAR, site.pool(V3, USDC, WETH))
    outputs = (
        Output(ZERO_ADDRESS, paid * 99 // 100, paid * 95 // 100, SWAPPER.address),
        Output(WETH, ETHER // 1000, ETHER // 1000, USER),
    )
    order = dutch(site, EXCLUSIVE_DUTCH, USDC, 9_000 * DOLLAR, *outputs)
    job, profit = filling(site, order, WETH, V3)
    before = int(site.rpc("eth_getBalance", SWAPPER.address, "latest"), 16)
    earns(site, job, profit)
    after = int(site.rpc("eth_getBalance", SWAPPER.address, "latest"), 16)
    assert after - before == job.max_output - ETHER // 1000


def test_an_order_reserved_for_the_adapter_is_filled(site: AdapterSite) -> None:
    output = Output(USDC, 1_000 * DOLLAR, 900 * DOLLAR, SWAPPER.address)
    order = dutch(site, EXCLUSIVE_DUTCH, WETH, ETHER, output, exclusive_filler=site.adapter)
    earns(site, *filling(site, order, USDC, V3))
    reserved = dutch(site, EXCLUSIVE_DUTCH, WETH, ETHER, output, exclusive_filler=USER)
    reserved = replace(reserved, nonce=8, decay_start=site.now() + 600, decay_end=site.now() + 900)
    assert not site.run(filling(site, reserved, USDC, V3)[0].calldata()).ok


def test_an_order_that_resolves_to_something_else_is_refused(site: AdapterSite) -> None:
    """More output than was committed, or another token; and an order cannot be filled twice."""
    output = Output(USDC, 2_000 * DOLLAR, 1_500 * DOLLAR, SWAPPER.address)
    order = dutch(site, EXCLUSIVE_DUTCH, WETH, ETHER, output)
    job, profit = filling(site, order, USDC, V3)
    assert site.run(replace(job, max_output=job.max_output - 1).calldata()).error == "UnexpectedOrder"
    for changes in ({"token_in": DAI}, {"token_out": DAI}):
        assert site.run(replace(job, **changes).calldata()).error == "UnexpectedOrder"
    earns(site, job, profit)
    assert not site.run(job.calldata()).ok
