"""Swaps through every venue, loans from every lender: what is earned is what the exact maths of the pools says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from keeper.domain.errors import InputError
from keeper.domain.joint_route import JointRoute
from keeper.domain.plan import Financing
from keeper.domain.route import Hop, Route
from keeper.domain.swap_detail import BalancerV3Vault, V4Key
from keeper.domain.token import LenderKind, VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.execution.codec import V4Swap, decode, encode
from keeper.market.specs import PoolSpec
from keeper.market.venues.uniswap_v4 import UniswapV4Pool
from keeper.replica import addresses
from tests.conftest import RunningReplica
from tests.contracts.market import MANAGER, V4Market, hop, hops, load, spec_of
from tests.contracts.site import (
    DAI,
    ETHER,
    FOREVER,
    LENDERS,
    OPERATOR,
    STRANGER,
    TREASURY,
    USDC,
    USDT,
    WETH,
    Site,
    above,
    calldata,
)
from tests.market import balancer_v3_site

DOLLAR = 10**6
DSS_FLASH = Address("0x60744434d6339a6B27d73d9Eda62b6F66a0a04FA")


def borrow(kind: LenderKind, lender: Address, amount: int, fee: int = 0, token0: bool | None = None) -> Financing:
    return Financing(kind, lender, amount, fee, "chosen by the test", token0)


def self_financed(route: Route | JointRoute) -> Financing:
    legs = route.hops if isinstance(route, Route) else route.legs
    return borrow(LenderKind.FLASH_SWAP, legs[0].pool, route.amount_in if isinstance(route, Route) else 0)


def earns(site: Site, route: Route | JointRoute, financing: Financing, builder_bps: int = 0) -> int:
    """What the executor's balance of the profit token grows by, no other balance or allowance having changed."""
    profit = route.gross_profit - financing.fee
    kept = profit - profit * builder_bps // 10_000
    legs = route.hops if isinstance(route, Route) else route.legs
    tokens = {token for leg in legs for token in (leg.token_in, leg.token_out)} - {route.token}

    def stream(min_profit: int) -> bytes:
        terms = {"executor": site.executor, "last_block": FOREVER, "builder_bps": builder_bps}
        return encode(route, financing, min_profit=min_profit, **terms)  # type: ignore[arg-type]

    assert site.call(OPERATOR, site.executor, stream(above(kept))).error == "ProfitTooSmall"
    before = {token: held(site, token) for token in tokens | {route.token}}
    site.must(OPERATOR, site.executor, stream(kept))
    for token in tokens:
        left = held(site, token) - before[token]
        assert left == (route.changes.get(token, 0) if isinstance(route, JointRoute) else 0)
    return held(site, route.token) - before[route.token]


def held(site: Site, token: Address) -> int:
    if token == ZERO_ADDRESS:
        return int(site.rpc("eth_getBalance", site.executor, "latest"), 16)
    return site.balance(token, site.executor)


@pytest.fixture(autouse=True)
def undone(site: Site) -> Iterator[None]:
    with site.undone():
        yield


def cheap_pair(site: Site, token: Address, other: Address, by: int = 3) -> PoolSpec:
    """A V2 pair that pays a lot of ``token`` for ``other``."""
    pair = site.pools(VenueKind.UNISWAP_V2, token, other)[0]
    site.cheapen(pair, token, site.balance(token, pair["address"]) // by)
    return PoolSpec.from_json(pair)


# ---------------------------------------------------------------------- venues


PULLED = [
    (VenueKind.CURVE_STABLESWAP, USDC, DAI, 50_000 * DOLLAR),
    (VenueKind.BALANCER_V2_WEIGHTED, WETH, USDC, 3 * ETHER),
    (VenueKind.PANCAKESWAP_V3, WETH, USDC, 3 * ETHER),
    (VenueKind.SOLIDLY_VOLATILE, WETH, USDC, 3 * ETHER),
    (VenueKind.SOLIDLY_STABLE, USDC, DAI, 50_000 * DOLLAR),
]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("funded", [True, False])
@pytest.mark.parametrize(("venue", "earned", "other", "amount"), PULLED)
def test_each_venue_in_a_loop_with_a_pair(
    site: Site,
    replica: RunningReplica,
    venue: VenueKind,
    earned: Address,
    other: Address,
    amount: int,
    first: bool,
    funded: bool,
) -> None:
    pair = cheap_pair(site, earned if first else other, other if first else earned)
    specs = [spec_of(replica, venue, earned, other), pair]
    pools = load(replica, specs if first else specs[::-1])
    route = Route(hops(pools, (earned, other, earned), amount))
    assert route.gross_profit > 0
    financing = borrow(LenderKind.MORPHO, LENDERS[LenderKind.MORPHO], amount) if funded else self_financed(route)
    assert earns(site, route, financing) == route.gross_profit


def test_three_venues_in_a_row(site: Site, replica: RunningReplica) -> None:
    """WETH through Balancer, USDC through Curve, DAI through a pair: each is paid out of what the one before left."""
    pair = cheap_pair(site, WETH, DAI)
    specs = [
        spec_of(replica, VenueKind.BALANCER_V2_WEIGHTED, WETH, USDC),
        spec_of(replica, VenueKind.CURVE_STABLESWAP, USDC, DAI),
        pair,
    ]
    route = Route(hops(load(replica, specs), (WETH, USDC, DAI, WETH), 2 * ETHER))
    assert earns(site, route, self_financed(route)) == route.gross_profit > 0
    loan = borrow(LenderKind.AAVE_V3, LENDERS[LenderKind.AAVE_V3], 2 * ETHER, (2 * ETHER * 5 + 5_000) // 10_000)
    assert earns(site, again(replica, route, specs), loan) > 0


def again(replica: RunningReplica, route: Route, specs: list[PoolSpec]) -> Route:
    """The same route on the state that it left behind."""
    tokens = [leg.token_in for leg in route.hops] + [route.token]
    return Route(hops(load(replica, specs), tokens, route.amount_in))


# ---------------------------------------------------------------------- Uniswap V4


@pytest.fixture
def v4(site: Site, replica: RunningReplica) -> tuple[V4Market, PoolSpec]:
    spec = spec_of(replica, VenueKind.UNISWAP_V4, ZERO_ADDRESS, USDC)
    (pool,) = load(replica, [spec])
    assert isinstance(pool, UniswapV4Pool)
    market = V4Market(site, USDC, pool.sqrt_price_x96)
    market.sell_ether(market.key, 300 * ETHER)
    return market, spec


def test_a_loop_through_v4_earns_the_coin_itself(
    site: Site, replica: RunningReplica, v4: tuple[V4Market, PoolSpec]
) -> None:
    market, spec = v4
    pools = load(replica, [spec, market.spec])
    route = Route(hops(pools, (ZERO_ADDRESS, USDC, ZERO_ADDRESS), 2 * ETHER))
    on_account = borrow(LenderKind.UNISWAP_V4, MANAGER, 2 * ETHER)
    assert earns(site, route, on_account) == route.gross_profit > 0


def test_pools_with_hooks_are_refused_unless_they_are_allowed(site: Site) -> None:
    hooks = Address("0x" + "40" * 20)
    keys = [V4Key(MANAGER, ZERO_ADDRESS, USDC, fee, 10, hooks) for fee in (500, 3000)]
    there = Hop(Address("0x01"), VenueKind.UNISWAP_V4, "v4", ZERO_ADDRESS, USDC, True, 10, 20, 500, keys[0])
    back = Hop(Address("0x02"), VenueKind.UNISWAP_V4, "v4", USDC, ZERO_ADDRESS, False, 20, 30, 3000, keys[1])
    route, loan = Route((there, back)), borrow(LenderKind.UNISWAP_V4, MANAGER, 10)
    terms = {"executor": site.executor, "min_profit": 1, "last_block": 1}
    with pytest.raises(InputError, match="foreign code"):
        encode(route, loan, **terms)  # type: ignore[arg-type]
    swaps = decode(encode(route, loan, hooks=[hooks], **terms)).operations[1:]  # type: ignore[arg-type]
    assert [swap.hooks for swap in swaps if isinstance(swap, V4Swap)] == [hooks, hooks]


def test_v4_between_other_venues(site: Site, replica: RunningReplica, v4: tuple[V4Market, PoolSpec]) -> None:
    """USDC through V4, its ETH back through the other pool and DAI through Curve: USDC is borrowed from the manager."""
    market, spec = v4
    curve = spec_of(replica, VenueKind.CURVE_STABLESWAP, USDC, DAI)
    pair = cheap_pair(site, USDC, DAI)
    first, second, third = load(replica, [market.spec, curve, pair])
    amount = 20_000 * DOLLAR
    one = hop(first, USDC, ZERO_ADDRESS, amount)
    (other_pool,) = load(replica, [spec])
    two = hop(other_pool, ZERO_ADDRESS, USDC, one.amount_out)
    three = hop(second, USDC, DAI, two.amount_out)
    four = hop(third, DAI, USDC, three.amount_out)
    route = Route((one, two, three, four))
    for financing in (
        borrow(LenderKind.UNISWAP_V4, MANAGER, amount),
        borrow(LenderKind.MORPHO, LENDERS[LenderKind.MORPHO], amount),
    ):
        with site.undone():
            assert earns(site, route, financing) == route.gross_profit > 0


# ---------------------------------------------------------------------- lenders


def test_loans_of_all_other_lenders(site: Site, replica: RunningReplica) -> None:
    pair = cheap_pair(site, DAI, USDC)
    curve = spec_of(replica, VenueKind.CURVE_STABLESWAP, USDC, DAI)
    amount = 50_000 * ETHER
    route = Route(hops(load(replica, [curve, pair]), (DAI, USDC, DAI), amount))
    flash = site.pools(VenueKind.UNISWAP_V3, DAI, WETH)[0]
    spark = Address("0xC13e21B648A5Ee794902342038FF3aDAB66BE987")
    dodo = addresses.DODO_DAI_USDT  # DAI is its base token
    v3_fee = -(-amount * flash["fee_pips"] // 10**6)
    for financing in (
        borrow(LenderKind.ERC3156, DSS_FLASH, amount),
        borrow(LenderKind.SPARK, spark, amount),
        borrow(LenderKind.UNISWAP_V3, Address(flash["address"]), amount, v3_fee, token0=flash["token0"] == DAI),
        borrow(LenderKind.DODO, dodo, amount, token0=True),
        borrow(LenderKind.INVENTORY, site.executor, amount),
    ):
        with site.undone():
            if financing.kind is LenderKind.INVENTORY:
                site.give(DAI, site.executor, amount)
            assert earns(site, route, financing) == route.gross_profit - financing.fee, financing.kind


# ---------------------------------------------------------------------- joint routes


def joint(site: Site, replica: RunningReplica) -> JointRoute:
    """WETH sold for USDC and USDT in three pools, a part of the USDT swapped to USDC, and all bought back."""
    site.cheapen(site.pools(VenueKind.UNISWAP_V2, WETH, USDC)[0], WETH, 500 * ETHER)
    site.cheapen(site.pools(VenueKind.UNISWAP_V3, WETH, USDT)[0], WETH, 500 * ETHER)
    sells = [
        (PoolSpec.from_json(site.pools(VenueKind.UNISWAP_V3, WETH, USDC)[0]), USDC, 3 * ETHER),
        (PoolSpec.from_json(site.pools(VenueKind.UNISWAP_V3, WETH, USDC)[1]), USDC, 2 * ETHER),
        (spec_of(replica, VenueKind.BALANCER_V2_WEIGHTED, WETH, USDC), USDC, ETHER),
    ]
    legs: list[Hop] = []
    for spec, token, amount in sells:
        (pool,) = load(replica, [spec])
        legs.append(hop(pool, WETH, token, amount))
    usdc = sum(leg.amount_out for leg in legs)
    (curve,) = load(replica, [spec_of(replica, VenueKind.CURVE_STABLESWAP, USDC, USDT)])
    legs.append(hop(curve, USDC, USDT, usdc // 3))
    back = [
        (PoolSpec.from_json(site.pools(VenueKind.UNISWAP_V2, WETH, USDC)[0]), USDC, usdc - usdc // 3),
        (PoolSpec.from_json(site.pools(VenueKind.UNISWAP_V3, WETH, USDT)[0]), USDT, legs[-1].amount_out),
    ]
    for spec, token, amount in back:
        (pool,) = load(replica, [spec])
        legs.append(hop(pool, token, WETH, amount))
    return JointRoute(WETH, tuple(legs))


def test_splits_and_loops_netted_in_one_transaction(site: Site, replica: RunningReplica) -> None:
    route = joint(site, replica)
    needed = 6 * ETHER
    for financing in (
        self_financed(route),
        borrow(LenderKind.MORPHO, LENDERS[LenderKind.MORPHO], needed),
        borrow(LenderKind.UNISWAP_V3, Address(site.pools(VenueKind.UNISWAP_V3, WETH, DAI)[0]["address"]), needed, 0),
    ):
        with site.undone():
            if financing.kind is LenderKind.UNISWAP_V3:
                pool = site.pools(VenueKind.UNISWAP_V3, WETH, DAI)[0]
                fee = -(-needed * pool["fee_pips"] // 10**6)
                financing = replace(financing, fee=fee, token0=pool["token0"] == WETH)  # noqa: PLW2901
            assert earns(site, route, financing) == route.gross_profit - financing.fee > 0


def test_a_leg_before_its_turn_is_paid_at_the_end_of_a_loan(site: Site, replica: RunningReplica) -> None:
    legs = joint(site, replica).legs
    early = JointRoute(WETH, (legs[-1], *legs[:-1]))
    assert legs[-1].venue is VenueKind.UNISWAP_V3
    loan = borrow(LenderKind.MORPHO, LENDERS[LenderKind.MORPHO], 6 * ETHER)
    assert earns(site, early, loan) == early.gross_profit > 0


def test_roles_are_read_without_a_sender(site: Site) -> None:
    for function, role in (("operator()", OPERATOR), ("treasury()", TREASURY)):
        request = {"to": site.executor, "data": "0x" + calldata(function).hex(), "from": ZERO_ADDRESS}
        assert int(site.rpc("eth_call", request, "latest"), 16) == int(role, 16)


# ---------------------------------------------------------------------- the builder


@pytest.mark.parametrize("bps", [1, 5_000, 9_999, 10_000])
def test_the_builder_is_paid_a_share_of_the_profit(site: Site, bps: int) -> None:
    venues = [VenueKind.UNISWAP_V3, VenueKind.UNISWAP_V2]
    route = site.profitable_route((WETH, USDC), venues, 2 * ETHER)
    coinbase = Address("0x" + "c0" * 20)
    site.rpc("anvil_setCoinbase", coinbase)
    before = int(site.rpc("eth_getBalance", coinbase, "latest"), 16)
    paid = route.gross_profit * bps // 10_000
    head = site.rpc("eth_getBlockByNumber", "latest", False)
    site.rpc("anvil_setNextBlockBaseFeePerGas", head["baseFeePerGas"])
    assert earns(site, route, self_financed(route), builder_bps=bps) == route.gross_profit - paid
    tips = int(site.rpc("eth_getBalance", coinbase, "latest"), 16) - before - paid
    assert 0 <= tips < paid or bps == 1


def test_a_builder_that_does_not_take_its_share_stops_the_stream(site: Site) -> None:
    venues = [VenueKind.UNISWAP_V3, VenueKind.UNISWAP_V2]
    route = site.profitable_route((WETH, USDC), venues, 2 * ETHER)
    refusing = site.create(bytes.fromhex("6005600c60003960056000f360006000fd"))
    site.rpc("anvil_setCoinbase", refusing)
    terms = {"executor": site.executor, "last_block": FOREVER}
    data = encode(route, self_financed(route), min_profit=0, builder_bps=5_000, **terms)  # type: ignore[arg-type]
    assert not site.send(OPERATOR, site.executor, data).ok
    assert site.send(OPERATOR, site.executor, encode(route, self_financed(route), min_profit=0, **terms)).ok  # type: ignore[arg-type]


def test_coins_that_come_without_a_word_are_kept_for_the_treasury(site: Site) -> None:
    site.must(STRANGER, site.executor, b"", value=ETHER)
    assert held(site, ZERO_ADDRESS) == ETHER
    assert (
        site.call(STRANGER, site.executor, calldata("sweep(address,uint256)", ZERO_ADDRESS, 1)).error == "Unauthorized"
    )


# ---------------------------------------------------------------------- Balancer V3


def test_balancer_v3_swaps_and_lends_on_account(site: Site, replica: RunningReplica) -> None:
    vault = balancer_v3_site.build(replica)
    pair = cheap_pair(site, WETH, USDC)
    route = Route(hops(load(replica, [vault.weighted[0], pair]), (WETH, USDC, WETH), 2 * ETHER))
    for financing in (
        borrow(LenderKind.BALANCER_V3, balancer_v3_site.VAULT, 2 * ETHER),
        borrow(LenderKind.MORPHO, LENDERS[LenderKind.MORPHO], 2 * ETHER),
        self_financed(route),
    ):
        with site.undone():
            assert earns(site, route, financing) == route.gross_profit > 0, financing.kind


def test_two_contracts_cannot_be_unlocked_in_one_transaction(site: Site) -> None:
    route = site.profitable_route((WETH, USDC), [VenueKind.UNISWAP_V3, VenueKind.UNISWAP_V2], ETHER)
    detail = BalancerV3Vault(balancer_v3_site.VAULT)
    first = replace(route.hops[0], venue=VenueKind.BALANCER_V3_WEIGHTED, detail=detail)
    with pytest.raises(InputError, match="Unlock one contract"):
        encode(
            Route((first, route.hops[1])),
            borrow(LenderKind.UNISWAP_V4, MANAGER, ETHER),
            executor=site.executor,
            min_profit=0,
            last_block=1,
        )
