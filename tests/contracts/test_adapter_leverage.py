"""The treasury's positions on the real Aave and Morpho: opened and closed exactly, and within its mandate alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from keeper.domain.token import LenderKind, VenueKind
from keeper.execution.adapter import (
    AaveLiquidation,
    Fill,
    Lender,
    Leverage,
    Mandate,
    MarketParams,
    MorphoLiquidation,
    Step,
    StepKind,
    set_mandate_calldata,
    swap_calldata,
)
from keeper.execution.adapter_leverage import equity_loss, largest_opening
from tests.conftest import RunningReplica
from tests.contracts.adapter_lending import aave_reserve
from tests.contracts.adapter_positions import (
    ALL,
    DOLLAR,
    MANDATE,
    UNBOUNDED,
    OnAave,
    OnMorpho,
    Protocol,
    budget,
    fee_of,
    loss_of,
    open_position,
    opening,
)
from tests.contracts.adapter_site import (
    AAVE,
    ANY_LENDER,
    FOREVER,
    MORPHO,
    AdapterSite,
    compiled_adapter,
    grown,
    stand_in,
)
from tests.contracts.site import ETHER, OPERATOR, STRANGER, TREASURY, USDC, WETH, calldata


@pytest.fixture(scope="module")
def site(replica: RunningReplica) -> AdapterSite:
    return AdapterSite(replica, compiled_adapter())


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
