"""From flows to legs: which leg takes the rest, which cycles close, and in what order legs can be paid."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.discovery.search.bundle import PAYS_FIRST, Flow, find_absorbers, make_bundle, order_legs
from keeper.domain.joint_route import JointRoute
from keeper.domain.route import Hop
from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.market.venues import Pool
from tests.discovery.joint_cases import DAI, USDC, WBTC, WETH, check_leg, views
from tests.discovery.markets import TOKENS, address, random_pool, v2, v3

PROPERTY = settings(max_examples=80, deadline=None)


def flow(pool: Pool, token_in: Address, amount: float, worth: float | None = None) -> Flow:
    token_out = pool.token1 if token_in == pool.token0 else pool.token0
    return Flow(pool, token_in, token_out, amount, amount if worth is None else worth)


def cycle_beside_profit() -> list[Flow]:
    """USDC -> DAI -> WBTC -> USDC earns; what it leaves of USDC is sold for WETH, and WETH buys some DAI."""
    return [
        flow(v2(1, "a", USDC, DAI, 1e7), USDC, 50_000e6, 20.0),
        flow(v2(2, "a", DAI, WBTC, 1e7), DAI, 52_000e18, 21.0),
        flow(v2(3, "a", USDC, WBTC, 1e7, 0.9), WBTC, 0.86e8, 21.0),
        flow(v2(4, "a", WETH, USDC, 1e7), USDC, 8_000e6, 3.0),
        flow(v2(5, "a", WETH, DAI, 1e7), WETH, 1e18, 1.0),
    ]


def test_absorbers_form_a_tree_towards_the_profit_token() -> None:
    flows = cycle_beside_profit()
    absorbers = find_absorbers(flows, WETH)
    assert list(absorbers) == [USDC, WBTC, DAI]
    assert [flows[n].token_out for n in absorbers.values()] == [WETH, USDC, WBTC]


def test_a_cycle_among_other_tokens_closes() -> None:
    flows = cycle_beside_profit()
    bundle = make_bundle(flows, WETH)
    assert bundle is not None
    assert len(bundle.legs) == 5
    known = views(flow.pool for flow in flows)
    for hop in bundle.legs:
        check_leg(hop, known)
    # the fixed leg takes what was planned, each absorber all that its token has left
    by_pool = {hop.pool: hop for hop in bundle.legs}
    assert by_pool[address(1)].amount_in == 50_000 * 10**6
    changes = dict(bundle.changes)
    assert changes.pop(WETH) > 0
    assert set(changes.values()) == {0}


def test_a_leg_is_lessened_to_what_its_token_has() -> None:
    """More DAI is planned to be spent than arrives."""
    buy, sell = v2(1, "a", WETH, DAI, 1e7), v2(2, "b", WETH, DAI, 1e7, 0.9)
    other = v2(3, "c", WETH, DAI, 1e7, 0.9)
    arriving = buy.amount_out(WETH, 10**18)
    flows = [flow(buy, WETH, 1e18), flow(sell, DAI, 0.7 * arriving, 2.0), flow(other, DAI, 0.6 * arriving, 1.0)]
    bundle = make_bundle(flows, WETH)
    assert bundle is not None
    assert sum(hop.amount_in for hop in bundle.legs if hop.token_in == DAI) == arriving
    flows[2] = flow(other, DAI, 1.5 * arriving, 1.0)
    bundle = make_bundle(flows, WETH)
    assert bundle is not None
    assert bundle.changes[DAI] == 0
    assert [hop.amount_in for hop in bundle.legs if hop.pool == other.address] == [arriving]


def test_more_than_a_pool_has_room_for_stays_behind() -> None:
    short = v3(1, WETH, USDC, 500, [(2, 3, 1e5)], 1.2)
    # about four spacings of ten ticks hold a fifth of a percent of the virtual dollars
    buy, most = v2(2, "a", WETH, USDC, 1e9, 0.7), short.swap(short.token0 == USDC, 10**30).amount_in
    bundle = make_bundle([flow(buy, WETH, 1e18), flow(short, USDC, most * (1 - 1e-9))], WETH)
    assert bundle is None or bundle.changes[USDC] > 0
    flows = [flow(buy, WETH, most / 2500e6 * 1e18), flow(short, USDC, most * (1 - 1e-9))]
    arriving = buy.amount_out(WETH, int(flows[0].amount))
    bundle = make_bundle(flows, WETH)
    assert (bundle is not None) == (short.amount_out(USDC, min(arriving, most - 1)) > int(flows[0].amount))


def test_what_does_not_reach_the_profit_token_is_left_out() -> None:
    lost = [flow(v2(1, "a", USDC, DAI, 1e6), USDC, 1e9), flow(v2(2, "a", USDC, DAI, 1e6, 1.1), DAI, 1e21)]
    assert make_bundle(lost, WETH) is None
    bundle = make_bundle([*cycle_beside_profit()[3:4], *lost], WETH)
    assert bundle is None


def test_a_bundle_that_loses_is_none() -> None:
    a, b = v2(1, "a", WETH, USDC, 1e6), v2(2, "b", WETH, USDC, 1e6)
    assert make_bundle([flow(a, WETH, 1e18), flow(b, USDC, 2500e6)], WETH) is None
    assert make_bundle([], WETH) is None


@PROPERTY
@given(st.integers(0, 2**32), st.integers(1, 25))
def test_any_flows_leave_no_token_short(seed: int, count: int) -> None:
    """Flows that do not balance at all: what comes out is exact and pays for itself, or nothing does."""
    rng = random.Random(seed)
    pools = [random_pool(rng, n, TOKENS) for n in range(count)]
    flows = [
        flow(pool, token, float(pool.spot_liquidity(token)) * 10 ** rng.uniform(-4, 0) + 1, rng.random())
        for pool in pools
        for token in [rng.choice([pool.token0, pool.token1])]
    ]
    bundle = make_bundle(flows, WETH)
    if bundle is None:
        return
    known = views(pools)
    for hop in bundle.legs:
        check_leg(hop, known)
    assert min(bundle.changes.values()) >= 0
    assert bundle.gross_profit > 0


def hop(number: int, token_in: Address, amount_in: int, token_out: Address, amount_out: int, venue: VenueKind) -> Hop:
    return Hop(address(number), venue, "d", token_in, token_out, True, amount_in, amount_out, 3000)


@PROPERTY
@given(st.integers(0, 2**32), st.integers(2, 5), st.integers(1, 6), st.booleans())
def test_legs_are_paid_in_order_where_one_pays_first(seed: int, hops: int, loops: int, netted: bool) -> None:
    """Loops of which each has a pool that pays first: all other legs find their input paid out before them."""
    rng = random.Random(seed)
    legs: list[Hop] = []
    for loop in range(loops):
        tokens = [WETH, *rng.sample([USDC, DAI, WBTC, TOKENS[4]], hops - 1)] if netted else [
            WETH, *(address(1000 + 10 * loop + n) for n in range(hops - 1))
        ]  # fmt: skip
        kinds = [rng.choice([VenueKind.UNISWAP_V2, VenueKind.UNISWAP_V3]) for _ in range(hops)]
        kinds[rng.randrange(hops)] = VenueKind.UNISWAP_V3
        legs += [
            hop(100 * loop + n, tokens[n], 1000, tokens[(n + 1) % hops], 1000 + (n == hops - 1), kinds[n])
            for n in range(hops)
        ]
    rng.shuffle(legs)
    ordered = order_legs(legs)
    assert sorted(leg.pool for leg in ordered) == sorted(leg.pool for leg in legs)
    funds: dict[Address, int] = {}
    for leg in ordered:
        if leg.venue not in PAYS_FIRST:
            assert funds.get(leg.token_in, 0) >= leg.amount_in
            funds[leg.token_in] -= leg.amount_in
        funds[leg.token_out] = funds.get(leg.token_out, 0) + leg.amount_out


def test_without_a_pool_that_pays_first_the_order_of_the_rest_still_holds() -> None:
    v2_kind = VenueKind.UNISWAP_V2
    legs = [hop(3, DAI, 10, WETH, 11, v2_kind), hop(1, WETH, 10, USDC, 10, v2_kind), hop(2, USDC, 10, DAI, 10, v2_kind)]
    ordered = order_legs(legs)
    bridged = 0
    funds: dict[Address, int] = {}
    for leg in ordered:
        bridged += funds.get(leg.token_in, 0) < leg.amount_in
        funds[leg.token_in] = funds.get(leg.token_in, 0) - leg.amount_in
        funds[leg.token_out] = funds.get(leg.token_out, 0) + leg.amount_out
    assert bridged == 1


def test_a_bundle_with_a_wrong_amount_is_noticed() -> None:
    """What the tests hold every leg against would see one unit too much."""
    bundle = make_bundle(cycle_beside_profit(), WETH)
    assert bundle is not None
    first = bundle.legs[0]
    forged = Hop(**{name: getattr(first, name) for name in Hop.__slots__} | {"amount_out": first.amount_out + 1})
    with pytest.raises(AssertionError):
        check_leg(forged, views(flow.pool for flow in cycle_beside_profit()))
    with pytest.raises(ValueError, match="unpaid"):
        JointRoute(WETH, bundle.legs[1:])
