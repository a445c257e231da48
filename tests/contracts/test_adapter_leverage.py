"""The treasury's positions on the real Aave and Morpho: opened and closed exactly, and within its mandate alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from keeper.domain.token import LenderKind, VenueKind
from keeper.execution import adapter_aave
from keeper.execution.adapter import (
    AaveLiquidation,
    Fill,
    Lender,
    Leverage,
    Mandate,
    MarketParams,
    MorphoLiquidation,
    Position,
    Step,
    StepKind,
    Venue,
    mandate_of_calldata,
    set_mandate_calldata,
    swap_calldata,
)
from keeper.execution.adapter_leverage import Terms, equity_loss, largest_opening
from tests.conftest import RunningReplica
from tests.contracts.adapter_lending import (
    AaveReserve,
    MorphoMarket,
    aave_borrow,
    aave_reserve,
    aave_supply,
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
    stand_in,
)
from tests.contracts.site import AAVE_PREMIUM_BPS, DAI, ETHER, OPERATOR, STRANGER, TREASURY, USDC, WETH, calldata

DOLLAR = 10**6
MONTH = 30 * 24 * 3600
ALL = 2**256 - 1
MANDATE = Mandate(max_debt=30_000 * DOLLAR, loss_budget=500 * DOLLAR, min_health=11 * ETHER // 10, last_block=FOREVER)
UNBOUNDED = 10**30


@pytest.fixture(scope="module")
def site(replica: RunningReplica) -> AdapterSite:
    return AdapterSite(replica, compiled_adapter())


# ---------------------------------------------------------------------- the two protocols, as the tests see them


@dataclass(frozen=True)
class OnAave:
    """The treasury has 10 WETH in a market in which others have borrowed for a month."""

    site: AdapterSite
    position: Position

    @classmethod
    def prepared(cls, site: AdapterSite) -> OnAave:
        aave_supply(site, USER, DAI, 10**6 * ETHER)
        aave_borrow(site, USER, WETH, 100 * ETHER)
        aave_borrow(site, USER, USDC, 300_000 * DOLLAR)
        site.rpc("evm_increaseTime", hex(MONTH))
        site.rpc("evm_mine")
        for name, token in (("ETH", WETH), ("USDC", USDC), ("DAI", DAI)):
            site.set_price(name, aave_reserve(site, token).reserve.price)
        aave_supply(site, TREASURY, WETH, 10 * ETHER)
        site.must(TREASURY, cls._debt(site), calldata("approveDelegation(address,uint256)", site.adapter, UNBOUNDED))
        site.must(TREASURY, cls._a_token(site), calldata("approve(address,uint256)", site.adapter, UNBOUNDED))
        return cls(site, Position(Venue.AAVE_V3, AAVE, WETH, USDC))

    @staticmethod
    def _debt(site: AdapterSite) -> str:
        return aave_reserve(site, USDC).debt_token

    @staticmethod
    def _a_token(site: AdapterSite) -> str:
        return aave_reserve(site, WETH).a_token

    def terms(self) -> Terms:
        weth, usdc = aave_reserve(self.site, WETH).reserve, aave_reserve(self.site, USDC).reserve
        numbers = weth.price * usdc.unit, usdc.price * weth.unit
        return Terms(*numbers, weth.threshold_bps * 10**14, MANDATE.min_health, MANDATE.max_debt, MANDATE.loss_budget)

    def _scaled(self) -> tuple[int, int, int, int]:
        """Scaled collateral and debt, and their indices in the next block."""
        weth, usdc, time = aave_reserve(self.site, WETH), aave_reserve(self.site, USDC), self.site.now() + SLOT_SECONDS
        growth = adapter_aave.linear_interest(weth.liquidity_rate, time - weth.updated)
        borrow_growth = adapter_aave.compounded_interest(usdc.variable_rate, time - usdc.updated)
        return (
            self._scaled_balance(weth, weth.a_token),
            self._scaled_balance(usdc, usdc.debt_token),
            adapter_aave.ray_mul(growth, weth.liquidity_index),
            adapter_aave.ray_mul(borrow_growth, usdc.variable_index),
        )

    def _scaled_balance(self, _: AaveReserve, token: str) -> int:
        return int(self.site.read(token, "scaledBalanceOf(address)", ["uint256"], TREASURY))

    def holdings(self) -> tuple[int, int]:
        """Collateral and debt in the next block."""
        collateral, debt, income, index = self._scaled()
        return adapter_aave.ray_mul(collateral, income), adapter_aave.ray_mul(debt, index)

    def increased(self, bought: int, owed: int) -> tuple[int, int]:
        collateral, debt, income, index = self._scaled()
        collateral = adapter_aave.added(collateral, bought, income)
        debt = adapter_aave.added(debt, owed, index)
        return adapter_aave.ray_mul(collateral, income), adapter_aave.ray_mul(debt, index)

    def decreased(self, repaid: int, collateral: int) -> tuple[int, int, int]:
        """Collateral and debt after it, and what comes out: an aToken is transferred first, which rounds."""
        held, debt, income, index = self._scaled()
        moved = adapter_aave.ray_div(collateral, income)
        left = 0 if repaid == self.holdings()[1] else adapter_aave.taken(debt, repaid, index)
        out = adapter_aave.ray_mul(moved, income)
        return adapter_aave.ray_mul(held - moved, income), adapter_aave.ray_mul(left, index), out


@dataclass(frozen=True)
class OnMorpho:
    """The treasury has 10 WETH in a market in which others have borrowed for a month at 10% a year."""

    site: AdapterSite
    position: Position
    market: MorphoMarket

    @classmethod
    def prepared(cls, site: AdapterSite) -> OnMorpho:
        found = eth_price(site)
        market = morpho_market(site, 10**6 * DOLLAR, found, ETHER // 10 // (365 * 24 * 3600))
        morpho_supply_collateral(site, market, USER, 200 * ETHER)
        morpho_borrow(site, market, USER, 300_000 * DOLLAR)
        site.rpc("evm_increaseTime", hex(MONTH))
        site.rpc("evm_mine")
        morpho_supply_collateral(site, market, TREASURY, 10 * ETHER)
        site.must(TREASURY, MORPHO, calldata("setAuthorization(address,bool)", site.adapter, True))
        return cls(site, Position.of_market(MORPHO, market.params), market)

    def terms(self) -> Terms:
        price = usdc_price(eth_price(self.site))
        bounds = MANDATE.min_health, MANDATE.max_debt, MANDATE.loss_budget
        return Terms(price, 10**36, self.market.params.lltv, *bounds)

    def holdings(self) -> tuple[int, int]:
        collateral, shares = self.market.position(self.site, TREASURY)
        return collateral, self.market.accrued(self.site).assets_up(shares)

    def increased(self, bought: int, owed: int) -> tuple[int, int]:
        collateral, shares = self.market.position(self.site, TREASURY)
        after, more = self.market.accrued(self.site).borrowed(owed)
        return collateral + bought, after.assets_up(shares + more)

    def decreased(self, repaid: int, collateral: int) -> tuple[int, int, int]:
        held, shares = self.market.position(self.site, TREASURY)
        after, less = self.market.accrued(self.site).repaid(repaid)
        left = 0 if repaid == self.holdings()[1] else after.assets_up(shares - less)
        return held - collateral, left, collateral


Protocol = OnAave | OnMorpho


def eth_price(site: AdapterSite) -> int:
    """Whole dollars."""
    return aave_reserve(site, WETH).reserve.price // 10**8


@pytest.fixture(scope="module", params=[OnAave, OnMorpho], ids=["Aave", "Morpho"])
def prepared(site: AdapterSite, request: pytest.FixtureRequest) -> Iterator[Protocol]:
    with site.undone():
        found: Protocol = request.param.prepared(site)
        site.must(TREASURY, site.adapter, set_mandate_calldata(found.position, MANDATE))
        yield found


@pytest.fixture
def held(prepared: Protocol) -> Iterator[Protocol]:
    """A position of the treasury and a mandate for it, as they were before each test."""
    with prepared.site.undone():
        yield prepared


def fee_of(lender: Lender, amount: int) -> int:
    return adapter_aave.premium(amount, AAVE_PREMIUM_BPS) if lender.kind is LenderKind.AAVE_V3 else 0


def opening(held: Protocol, debt: int, lender: Lender = ANY_LENDER[0], *, v3: bool = True) -> tuple[Leverage, int]:
    """Buy WETH for borrowed USDC; the job, and what it brings."""
    venue = VenueKind.UNISWAP_V3 if v3 else VenueKind.UNISWAP_V2
    route, bought = held.site.route(USDC, debt, held.site.pool(venue, USDC, WETH))
    return Leverage(held.position, debt, 0, lender, route, UNBOUNDED, FOREVER), bought


def budget(held: Protocol) -> int:
    answer = held.site.run(mandate_of_calldata(held.position)).output
    return int.from_bytes(answer[32:64], "big")


def loss_of(held: Protocol, data: bytes) -> int:
    """What the adapter says that a call would cost."""
    outcome = held.site.run(data)
    assert outcome.ok, outcome.error
    return int.from_bytes(outcome.output, "big")


def open_position(held: Protocol, debt: int) -> None:
    held.site.must(OPERATOR, held.site.adapter, opening(held, debt)[0].open_calldata())


# ---------------------------------------------------------------------- exact


@pytest.mark.parametrize(
    ("lender", "v3"), zip(ANY_LENDER, (True, False, True), strict=True), ids=["Morpho, V3", "Balancer, V2", "Aave, V3"]
)
def test_opening_costs_exactly_what_was_predicted(held: Protocol, lender: Lender, v3: bool) -> None:
    job, bought = opening(held, 15_000 * DOLLAR, lender, v3=v3)
    start, end = held.holdings(), held.increased(bought, job.debt + fee_of(lender, job.debt))
    expected = equity_loss(held.terms(), start, end, 0)
    assert expected > 0
    assert loss_of(held, job.open_calldata()) == expected
    assert held.site.run(replace(job, max_loss=expected - 1).open_calldata()).error == "LossTooLarge"
    wallet = held.site.balance(USDC, TREASURY)
    held.site.must(OPERATOR, held.site.adapter, replace(job, max_loss=expected).open_calldata())
    assert budget(held) == MANDATE.loss_budget - expected
    assert grown(held.site, USDC, TREASURY, wallet) == 0
    assert held.site.left(aave_reserve(held.site, WETH).a_token) == {}


@pytest.mark.parametrize(
    ("lender", "whole"),
    [*zip(ANY_LENDER, (False, True, False), strict=True), (ANY_LENDER[2], True)],
    ids=["Morpho, a part", "Balancer, all", "Aave, a part", "Aave, all"],
)
def test_closing_costs_exactly_what_was_predicted(held: Protocol, lender: Lender, whole: bool) -> None:
    site = held.site
    open_position(held, 15_000 * DOLLAR)
    left = budget(held)
    start = held.holdings()
    borrowed = 16_000 * DOLLAR if whole else 6_000 * DOLLAR
    wanted = ALL if whole else 3 * ETHER
    repaid = min(borrowed, start[1])
    collateral, debt, out = held.decreased(repaid, min(wanted, start[0]))
    route, paid = site.route(WETH, out, site.pool(VenueKind.UNISWAP_V3, WETH, USDC))
    rest = paid - repaid - fee_of(lender, borrowed)
    assert rest > 0
    expected = equity_loss(held.terms(), start, (collateral, debt), rest)
    job = Leverage(held.position, borrowed, wanted, lender, route, expected, FOREVER)
    assert loss_of(held, job.close_calldata()) == expected
    wallet = site.balance(USDC, TREASURY)
    site.must(OPERATOR, site.adapter, job.close_calldata())
    assert grown(site, USDC, TREASURY, wallet) == rest
    assert budget(held) == left - expected
    assert site.left(aave_reserve(site, WETH).a_token) == {}
    if whole:
        assert held.holdings() == (0, 0)


@pytest.mark.parametrize(
    ("bounds", "error"),
    [
        ({"min_health": 15 * ETHER // 10, "max_debt": 10**12, "max_loss": 10**12}, "HealthTooLow"),
        ({"min_health": 11 * ETHER // 10, "max_debt": 12_345 * DOLLAR, "max_loss": 10**12}, "DebtTooLarge"),
        ({"min_health": 11 * ETHER // 10, "max_debt": 10**12, "max_loss": 50 * DOLLAR}, "LossTooLarge"),
    ],
    ids=["health", "debt", "loss"],
)
def test_the_largest_opening_keeps_every_bound_and_a_little_more_breaks_one(
    held: Protocol, bounds: dict[str, int], error: str
) -> None:
    terms = replace(held.terms(), **bounds)
    mandate = Mandate(terms.max_debt, terms.max_loss, terms.min_health, FOREVER)
    held.site.must(TREASURY, held.site.adapter, set_mandate_calldata(held.position, mandate))
    pool = held.site.pool(VenueKind.UNISWAP_V2, USDC, WETH)
    collateral, debt = held.holdings()
    found = largest_opening(
        terms,
        collateral=collateral,
        debt=debt,
        quote=lambda amount: held.site.quote(pool, USDC, amount).amount_out,
        fee=lambda _: 0,
        limit=2**40,
    )
    assert found is not None
    for amount, answer in ((found.borrowed - 3_000, ""), (found.borrowed + 3_000, error)):
        assert held.site.run(opening(held, amount, v3=False)[0].open_calldata()).error == answer


# ---------------------------------------------------------------------- bounds


def test_the_bounds_of_the_mandate_hold(held: Protocol) -> None:
    site, job = held.site, opening(held, 15_000 * DOLLAR)[0]

    def with_mandate(data: bytes, **changes: int) -> str:
        with site.undone():
            site.must(TREASURY, site.adapter, set_mandate_calldata(held.position, replace(MANDATE, **changes)))
            return site.run(data).error

    block = int(site.rpc("eth_blockNumber"), 16)
    assert with_mandate(job.open_calldata()) == ""
    assert with_mandate(job.open_calldata(), max_debt=14_999 * DOLLAR) == "DebtTooLarge"
    assert with_mandate(job.open_calldata(), loss_budget=1) == "LossTooLarge"
    assert with_mandate(job.open_calldata(), min_health=5 * ETHER) == "HealthTooLow"
    assert with_mandate(job.open_calldata(), last_block=block + 2) == ""
    assert with_mandate(job.open_calldata(), last_block=block + 1) == "NoMandate"
    assert with_mandate(job.open_calldata(), max_debt=0, loss_budget=0, min_health=0, last_block=0) == "NoMandate"


def test_a_position_close_to_its_liquidation_can_still_be_made_safer(held: Protocol) -> None:
    site = held.site
    open_position(held, 20_000 * DOLLAR)
    strict = replace(MANDATE, min_health=3 * ETHER)
    site.must(TREASURY, site.adapter, set_mandate_calldata(held.position, strict))
    pool = site.pool(VenueKind.UNISWAP_V3, WETH, USDC)
    deleverage = Leverage(
        held.position,
        5_000 * DOLLAR,
        3 * ETHER,
        ANY_LENDER[0],
        site.route(WETH, 3 * ETHER, pool)[0],
        UNBOUNDED,
        FOREVER,
    )
    assert site.run(deleverage.close_calldata()).error == ""
    assert site.run(opening(held, 100 * DOLLAR)[0].open_calldata()).error == "HealthTooLow"
    too_much = replace(deleverage, debt=1_000 * DOLLAR)
    assert site.run(too_much.close_calldata()).error == "HealthTooLow"


def test_what_all_calls_together_cost_stays_within_the_budget(held: Protocol) -> None:
    """An operator that opens and closes as often as it can."""
    site = held.site
    worth = equity(held)
    site.must(TREASURY, site.adapter, set_mandate_calldata(held.position, replace(MANDATE, loss_budget=60 * DOLLAR)))
    errors = []
    for _ in range(8):
        job, bought = opening(held, 10_000 * DOLLAR, v3=False)
        outcome = site.run(job.open_calldata())
        errors.append(outcome.error)
        if not outcome.ok:
            break
        site.must(OPERATOR, site.adapter, job.open_calldata())
        pool = site.pool(VenueKind.UNISWAP_V2, WETH, USDC)
        route, _ = site.route(WETH, bought, pool)
        back = Leverage(held.position, 9_900 * DOLLAR, bought, ANY_LENDER[0], route, UNBOUNDED, FOREVER)
        errors.append(site.run(back.close_calldata()).error)
        site.send(OPERATOR, site.adapter, back.close_calldata())
    assert errors[:2] == ["", ""]
    assert errors[-1] == "LossTooLarge"
    interest = 10 * DOLLAR
    assert worth - equity(held) <= 60 * DOLLAR + interest


def equity(held: Protocol) -> int:
    collateral, debt = held.holdings()
    return held.terms().worth(collateral) - debt + held.site.balance(USDC, TREASURY)


def test_a_stolen_operator_key_takes_no_more_than_the_budget_whatever_it_calls(held: Protocol) -> None:
    """Pools that pay too little, and what the treasury has allowed as targets of every other function."""
    site = held.site
    open_position(held, 15_000 * DOLLAR)
    thief = site.create(stand_in("AdapterStage").init_code)
    site.give(WETH, thief, 10 * ETHER)
    site.give(USDC, thief, 10_000 * DOLLAR)
    before, left = equity(held), budget(held)
    protocol, weth, usdc = held.position.protocol, aave_reserve(site, WETH), aave_reserve(site, USDC)
    targets = {protocol, AAVE, MORPHO, weth.a_token, usdc.debt_token, thief}
    to_usdc, to_weth = (Step(StepKind.V3, thief, 0, USDC),), (Step(StepKind.V3, thief, 0, WETH),)
    cheap = replace(opening(held, 5_000 * DOLLAR)[0], route=to_weth).open_calldata()
    dear = Leverage(held.position, 5_000 * DOLLAR, 3 * ETHER, ANY_LENDER[0], to_usdc, UNBOUNDED, FOREVER)
    for pays, amount, data in ((WETH, ETHER, cheap), (USDC, 5_000 * DOLLAR, dear.close_calldata())):
        site.must(STRANGER, thief, calldata("agree(address,uint256,address,uint256)", pays, amount, thief, 0))
        assert site.run(data).error == "LossTooLarge"
    jobs: list[bytes] = []
    for target in targets:
        for token in (WETH, USDC, weth.a_token):
            at_target = tuple(Step(kind, target, 0, USDC) for kind in (StepKind.V2, StepKind.V3))
            jobs += [swap_calldata(token, (step,), 1, thief) for step in at_target]
            lender = Lender(LenderKind.AAVE_V3, target)
            jobs.append(
                AaveLiquidation(target, token, USDC, TREASURY, DOLLAR, lender, at_target[:1], 0, FOREVER).calldata()
            )
        params = MarketParams(USDC, WETH, held.position.oracle, held.position.irm, held.position.lltv)
        jobs.append(MorphoLiquidation(target, params, TREASURY, DOLLAR, 0, to_usdc, 0, FOREVER).calldata())
        jobs.append(Fill(target, b"", b"", WETH, USDC, DOLLAR, to_usdc, 0, FOREVER).calldata())
        elsewhere = replace(held.position, protocol=target)
        if elsewhere != held.position:
            jobs.append(replace(opening(held, DOLLAR)[0], position=elsewhere).open_calldata())
    for data in jobs:
        if site.run(data).ok:  # the thief plays every part itself, and pays the treasury for it
            with site.undone():
                site.must(OPERATOR, site.adapter, data)
                assert equity(held) > before
    assert budget(held) == left


def test_delegation_and_approval_are_used_up_on_aave(site: AdapterSite) -> None:
    """Credit that the treasury delegates, and aTokens that it approves, bound the operator beside the mandate."""
    with site.undone():
        held = OnAave.prepared(site)
        site.must(TREASURY, site.adapter, set_mandate_calldata(held.position, MANDATE))
        debt_token = aave_reserve(site, USDC).debt_token
        delegated = 10_000 * DOLLAR
        site.must(TREASURY, debt_token, calldata("approveDelegation(address,uint256)", site.adapter, delegated))
        assert not site.run(opening(held, delegated + 1)[0].open_calldata()).ok
        open_position(held, delegated)
        assert site.read(debt_token, "borrowAllowance(address,address)", ["uint256"], TREASURY, site.adapter) == 0
        assert not site.run(opening(held, 1 * DOLLAR)[0].open_calldata()).ok
