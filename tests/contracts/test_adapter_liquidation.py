"""The adapter liquidates on the real Aave and Morpho, and earns what their formulas say, to the wei."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.domain.token import LenderKind, VenueKind
from keeper.execution import adapter_aave, adapter_morpho
from keeper.execution.adapter import AaveLiquidation, Lender, MorphoLiquidation
from keeper.replica.addresses import AAVE_CONFIGURATOR, BUILDER
from tests.conftest import RunningReplica
from tests.contracts.adapter_lending import (
    MorphoMarket,
    aave_borrower,
    aave_health,
    aave_reserve,
    morpho_borrow,
    morpho_market,
    morpho_supply_collateral,
    usdc_price,
)
from tests.contracts.adapter_site import (
    AAVE,
    ANY_LENDER,
    FOREVER,
    MORPHO,
    SLOT_SECONDS,
    USER,
    AdapterSite,
    compiled_adapter,
    grown,
)
from tests.contracts.site import (
    AAVE_PREMIUM_BPS,
    ETHER,
    OPERATOR,
    TREASURY,
    USDC,
    USDT,
    WETH,
    calldata,
)

DOLLAR = 10**6
ROUTES = {
    "V2": [(VenueKind.UNISWAP_V2, WETH, USDC)],
    "V3": [(VenueKind.UNISWAP_V3, WETH, USDC)],
    "V2, V3": [(VenueKind.UNISWAP_V2, WETH, USDT), (VenueKind.UNISWAP_V3, USDT, USDC)],
    "V3, V2": [(VenueKind.UNISWAP_V3, WETH, USDT), (VenueKind.UNISWAP_V2, USDT, USDC)],
    "V2, V2": [(VenueKind.UNISWAP_V2, WETH, USDT), (VenueKind.UNISWAP_V2, USDT, USDC)],
    "V3, V3": [(VenueKind.UNISWAP_V3, WETH, USDT), (VenueKind.UNISWAP_V3, USDT, USDC)],
}


@pytest.fixture(scope="module")
def site(replica: RunningReplica) -> AdapterSite:
    return AdapterSite(replica, compiled_adapter())


def eth_price(site: AdapterSite) -> int:
    return aave_reserve(site, WETH).reserve.price


def plan(
    site: AdapterSite, cover: int, lender: Lender, way: str, protocol_fee_bps: int = 0
) -> tuple[AaveLiquidation, int]:
    """The liquidation of `USER` in the next block, and the profit that the formulas give it."""
    weth, usdc = aave_reserve(site, WETH), aave_reserve(site, USDC)
    assert weth.reserve.protocol_fee_bps == protocol_fee_bps
    debt = usdc.debt_at(site, USER, site.now() + SLOT_SECONDS)
    collateral = site.balance(weth.a_token, USER)
    health = adapter_aave.health_factor([(weth.reserve, collateral)], [(usdc.reserve, debt)])
    assert health is not None
    assert health < ETHER
    found = adapter_aave.liquidation(
        cover=cover,
        debt=debt,
        collateral=collateral,
        health=health,
        collateral_reserve=weth.reserve,
        debt_reserve=usdc.reserve,
    )
    route, paid = site.route(WETH, found.collateral, *(site.pool(*hop) for hop in ROUTES[way]))
    fee = adapter_aave.premium(cover, AAVE_PREMIUM_BPS) if lender.kind is LenderKind.AAVE_V3 else 0
    profit = paid - found.debt - fee
    return AaveLiquidation(AAVE, WETH, USDC, USER, cover, lender, route, profit, FOREVER), profit


def earns(site: AdapterSite, job: AaveLiquidation | MorphoLiquidation, profit: int) -> None:
    """Exactly ``profit`` reaches the treasury, a wei more is refused, and nothing stays behind."""
    assert profit > 0
    refused = site.run(replace(job, min_profit=profit + 1).calldata())
    assert refused.error == "OutputTooSmall"
    assert refused.output[4:] == profit.to_bytes(32, "big") + (profit + 1).to_bytes(32, "big")
    before = site.balance(USDC, TREASURY)
    site.must(OPERATOR, site.adapter, job.calldata())
    assert grown(site, USDC, TREASURY, before) == profit
    assert site.left() == {}


def borrow_most(site: AdapterSite) -> None:
    """`USER` supplies 10 WETH and owes 79% of what they are worth."""
    aave_borrower(site, 10 * ETHER, eth_price(site) * 79 // 1000)


@pytest.mark.parametrize(
    ("way", "lender"), zip(ROUTES, ANY_LENDER * 2, strict=True), ids=[f"{way}, {n % 3}" for n, way in enumerate(ROUTES)]
)
def test_profit_of_a_liquidation_on_aave_is_exact(site: AdapterSite, way: str, lender: Lender) -> None:
    with site.undone():
        borrow_most(site)
        site.set_price("ETH", eth_price(site) * 955 // 1000)
        earns(site, *plan(site, 5_000 * DOLLAR, lender, way))


def test_a_liquidation_comes_to_nothing_when_it_is_late_repeated_or_forestalled(site: AdapterSite) -> None:
    """Whoever replays the call, puts something before it or holds it back can make it fail, and nothing else."""
    with site.undone():
        borrow_most(site)
        site.set_price("ETH", eth_price(site) * 955 // 1000)
        job, _ = plan(site, 5_000 * DOLLAR, ANY_LENDER[0], "V2")
        block = int(site.rpc("eth_blockNumber"), 16)
        assert site.run(replace(job, last_block=block + 1).calldata()).ok
        assert site.run(replace(job, last_block=block).calldata()).error == "Expired"
        with site.undone():
            site.cheapen(site.pool(*ROUTES["V2"][0]), WETH, 50 * ETHER)
            assert site.run(job.calldata()).error == "OutputTooSmall"
        site.must(OPERATOR, site.adapter, job.calldata())
        assert not site.run(job.calldata()).ok


@pytest.mark.parametrize(
    ("drop_permille", "cover", "close_factor_bps"),
    [(955, 40_000, 5_000), (900, 40_000, 10_000), (880, 11_111, 10_000)],
    ids=["half of the debt", "all of the debt", "a part below 0.95"],
)
def test_what_the_pool_does_not_take_goes_back_to_the_lender(
    site: AdapterSite, drop_permille: int, cover: int, close_factor_bps: int
) -> None:
    with site.undone():
        borrow_most(site)
        site.set_price("ETH", eth_price(site) * drop_permille // 1000)
        assert adapter_aave.close_factor_bps(aave_health(site, USER)) == close_factor_bps
        earns(site, *plan(site, cover * DOLLAR, ANY_LENDER[0], "V3"))


def test_a_liquidation_that_the_collateral_limits_is_exact(site: AdapterSite) -> None:
    """The collateral is worth less than the debt with its bonus: all of it is taken, for less than was offered."""
    with site.undone():
        borrow_most(site)
        price = eth_price(site)
        site.set_price("ETH", price * 75 // 100)
        job, profit = plan(site, 40_000 * DOLLAR, ANY_LENDER[1], "V3, V2")
        earns(site, job, profit)
        assert site.balance(aave_reserve(site, WETH).a_token, USER) == 0


def test_the_share_of_the_protocol_in_the_bonus_is_known(site: AdapterSite) -> None:
    with site.undone():
        setter = calldata("setLiquidationProtocolFee(address,uint256)", WETH, 1_000)
        site.must(BUILDER, AAVE_CONFIGURATOR, setter)
        borrow_most(site)
        site.set_price("ETH", eth_price(site) * 94 // 100)
        earns(site, *plan(site, 9_000 * DOLLAR, ANY_LENDER[2], "V2, V3", protocol_fee_bps=1_000))


def test_a_healthy_borrower_is_left_alone(site: AdapterSite) -> None:
    with site.undone():
        borrow_most(site)
        job = AaveLiquidation(AAVE, WETH, USDC, USER, 10**9, ANY_LENDER[0], (), 0, FOREVER)
        health_not_below_threshold = b"45".hex()
        assert site.run(job.calldata()).error.count(health_not_below_threshold) == 1


def morpho_borrower(site: AdapterSite, rate: int) -> MorphoMarket:
    """`USER` supplies 10 WETH at 3,000 USDC and owes 85% of what they are worth."""
    market = morpho_market(site, 10**6 * DOLLAR, 3_000, rate)
    morpho_supply_collateral(site, market, USER, 10 * ETHER)
    morpho_borrow(site, market, USER, 25_500 * DOLLAR)
    return market


TEN_PERCENT_A_YEAR = ETHER // 10 // (365 * 24 * 3600)


@pytest.mark.parametrize(
    ("rate", "way", "by_shares"),
    [
        (0, "V2", True),
        (TEN_PERCENT_A_YEAR, "V3, V2", True),
        (TEN_PERCENT_A_YEAR, "V3", False),
        (10**12, "V2, V3", False),
    ],
    ids=["free", "by shares", "by assets", "a lot of interest"],
)
def test_profit_of_a_liquidation_on_morpho_is_exact(site: AdapterSite, rate: int, way: str, by_shares: bool) -> None:
    with site.undone():
        market = morpho_borrower(site, rate)
        price = usdc_price(2_900)
        market.set(site, price, rate)
        collateral, shares = market.position(site, USER)
        accrued = market.accrued(site)
        assert not adapter_morpho.is_healthy(accrued, collateral, shares, price)
        found = (
            adapter_morpho.seize_for_shares(accrued, shares // 3, price)
            if by_shares
            else adapter_morpho.seize_assets(accrued, 4 * ETHER, price)
        )
        route, paid = site.route(WETH, found.seized, *(site.pool(*hop) for hop in ROUTES[way]))
        profit = paid - found.repaid
        amounts = (0, found.shares) if by_shares else (found.seized, 0)
        job = MorphoLiquidation(MORPHO, market.params, USER, *amounts, route, profit, FOREVER)
        earns(site, job, profit)
        assert market.position(site, USER) == (collateral - found.seized, shares - found.shares)


@pytest.mark.parametrize(("dollars", "all_collateral"), [(2_900, False), (2_600, True)])
def test_the_largest_liquidation_on_morpho_is_exact(site: AdapterSite, dollars: int, all_collateral: bool) -> None:
    with site.undone():
        market = morpho_borrower(site, TEN_PERCENT_A_YEAR)
        price = usdc_price(dollars)
        market.set(site, price, TEN_PERCENT_A_YEAR)
        collateral, shares = market.position(site, USER)
        found = adapter_morpho.best_seizure(market.accrued(site), collateral, shares, price)
        assert (found.seized == collateral) == all_collateral
        route, paid = site.route(WETH, found.seized, site.pool(VenueKind.UNISWAP_V3, WETH, USDC))
        amounts = (found.seized, 0) if all_collateral else (0, found.shares)
        profit = paid - found.repaid
        earns(site, MorphoLiquidation(MORPHO, market.params, USER, *amounts, route, profit, FOREVER), profit)
        assert 0 in market.position(site, USER)
