"""The planning formulas against the deployed Aave and Morpho, for prices and amounts that hypothesis draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from eth_abi import decode
from eth_utils import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keeper.execution import adapter_aave, adapter_morpho
from keeper.execution.adapter_leverage import Terms, debt_for_leverage, equity_loss, largest_opening
from tests.conftest import RunningReplica
from tests.contracts.adapter_lending import (
    MARKET,
    MorphoMarket,
    aave_borrow,
    aave_borrower,
    aave_health,
    aave_reserve,
    morpho_borrow,
    morpho_market,
    morpho_supply_collateral,
    usdc_price,
)
from tests.contracts.adapter_site import AAVE, MORPHO, SLOT_SECONDS, SUPPLIER, USER, AdapterSite, compiled_adapter
from tests.contracts.site import DAI, ETHER, STRANGER, USDC, WETH, calldata

DOLLAR = 10**6
MONTH = 30 * 24 * 3600
ON_CHAIN = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LIQUIDATION_CALL = "0x" + keccak(text="LiquidationCall(address,address,address,uint256,uint256,address,bool)").hex()


@pytest.fixture(scope="module")
def site(replica: RunningReplica) -> AdapterSite:
    return AdapterSite(replica, compiled_adapter())


# ---------------------------------------------------------------------- Aave


@pytest.fixture(scope="module")
def indebted(site: AdapterSite) -> Iterator[AdapterSite]:
    """`USER` owes USDC and DAI for its WETH, for a month; `STRANGER` may liquidate, and the protocol keeps a tenth."""
    with site.undone():
        aave_borrower(site, 10 * ETHER, aave_reserve(site, WETH).reserve.price * 70 // 1000)
        aave_borrow(site, USER, DAI, 1_000 * ETHER)
        site.rpc("evm_increaseTime", hex(MONTH))
        site.rpc("evm_mine")
        for name, token in (("ETH", WETH), ("USDC", USDC), ("DAI", DAI)):
            site.set_price(name, aave_reserve(site, token).reserve.price)
        site.give(USDC, STRANGER, 10**6 * DOLLAR)
        site.must(STRANGER, USDC, calldata("approve(address,uint256)", AAVE, 10**6 * DOLLAR))
        yield site


def simulated_logs(site: AdapterSite, sender: str, to: str, data: bytes) -> list[dict[str, Any]]:
    head = site.rpc("eth_getBlockByNumber", "latest", False)
    overrides = {"number": hex(int(head["number"], 16) + 1), "time": hex(int(head["timestamp"], 16) + SLOT_SECONDS)}
    request = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(5_000_000)}
    block_calls = {"blockOverrides": {**overrides, "baseFeePerGas": "0x0"}, "calls": [request]}
    (block,) = site.rpc("eth_simulateV1", {"blockStateCalls": [block_calls]}, "latest")
    (result,) = block["calls"]
    assert result["status"] == "0x1", result
    return list(result["logs"])


@ON_CHAIN
@given(permille=st.integers(550, 880), cover=st.integers(10**4, 10**11), fee_bps=st.sampled_from([0, 1_000, 3_333]))
def test_liquidations_on_aave_come_to_what_the_formulas_say(
    indebted: AdapterSite, permille: int, cover: int, fee_bps: int
) -> None:
    from keeper.replica.addresses import AAVE_CONFIGURATOR, BUILDER

    site = indebted
    with site.undone():
        setter = calldata("setLiquidationProtocolFee(address,uint256)", WETH, fee_bps)
        site.must(BUILDER, AAVE_CONFIGURATOR, setter)
        site.set_price("ETH", aave_reserve(site, WETH).reserve.price * permille // 1000)
        weth, usdc, dai = (aave_reserve(site, token) for token in (WETH, USDC, DAI))
        time = site.now() + SLOT_SECONDS
        debts = [(reserve.reserve, reserve.debt_at(site, USER, time)) for reserve in (usdc, dai)]
        collateral = site.balance(weth.a_token, USER)
        health = adapter_aave.health_factor([(weth.reserve, collateral)], debts)
        assert health is not None
        found = adapter_aave.liquidation(
            cover=cover,
            debt=debts[0][1],
            collateral=collateral,
            health=health,
            collateral_reserve=weth.reserve,
            debt_reserve=usdc.reserve,
        )
        call = calldata("liquidationCall(address,address,address,uint256,bool)", WETH, USDC, USER, cover, False)
        (event,) = (log for log in simulated_logs(site, STRANGER, AAVE, call) if log["topics"][0] == LIQUIDATION_CALL)
        debt, received, _, _ = decode(["uint256", "uint256", "address", "bool"], bytes.fromhex(event["data"][2:]))
        assert (found.debt, found.collateral) == (debt, received)


def test_health_on_aave_is_what_the_pool_says(indebted: AdapterSite) -> None:
    weth, usdc, dai = (aave_reserve(indebted, token) for token in (WETH, USDC, DAI))
    with indebted.undone():
        indebted.rpc("evm_mine")
        time = indebted.now()
        debts = [(reserve.reserve, reserve.debt_at(indebted, USER, time)) for reserve in (usdc, dai)]
        found = adapter_aave.health_factor([(weth.reserve, indebted.balance(weth.a_token, USER))], debts)
        # the node answers as of its next block; a second of interest is some parts in a billion
        assert found is not None
        assert abs(found - aave_health(indebted, USER)) < 10**11
    assert adapter_aave.health_factor([], []) is None


@given(value=st.integers(0, 2**128), factor=st.integers(1, 10**28))
def test_scaled_amounts_are_found_again_within_a_unit(value: int, factor: int) -> None:
    index = adapter_aave.RAY + factor
    assert abs(adapter_aave.ray_mul(adapter_aave.ray_div(value, index), index) - value) <= index // adapter_aave.RAY


# ---------------------------------------------------------------------- Morpho


@pytest.fixture(scope="module")
def market(site: AdapterSite) -> Iterator[MorphoMarket]:
    """`USER` owes 25,500 USDC for 10 WETH at 3,000; `STRANGER` may liquidate; interest is 10% a year."""
    with site.undone():
        found = morpho_market(site, 10**6 * DOLLAR, 3_000, ETHER // 10 // (365 * 24 * 3600))
        morpho_supply_collateral(site, found, SUPPLIER, 100 * ETHER)
        morpho_borrow(site, found, SUPPLIER, 123_456_789_012)
        morpho_supply_collateral(site, found, USER, 10 * ETHER)
        morpho_borrow(site, found, USER, 25_500 * DOLLAR)
        site.rpc("evm_increaseTime", hex(MONTH))
        site.rpc("evm_mine")
        site.give(USDC, STRANGER, 10**6 * DOLLAR)
        site.must(STRANGER, USDC, calldata("approve(address,uint256)", MORPHO, 10**6 * DOLLAR))
        yield found


def liquidated(site: AdapterSite, market: MorphoMarket, seized: int, shares: int) -> tuple[int, int]:
    signature = f"liquidate({MARKET},address,uint256,uint256,bytes)"
    outcome = site.call(STRANGER, MORPHO, calldata(signature, market.params.values(), USER, seized, shares, b""))
    assert outcome.ok, outcome.error
    first, second = decode(["uint256", "uint256"], outcome.output)
    return int(first), int(second)


@ON_CHAIN
@given(dollars=st.integers(2_000, 2_900), share=st.integers(1, 1000), seized=st.integers(10**9, 10 * ETHER))
def test_liquidations_on_morpho_come_to_what_the_formulas_say(
    site: AdapterSite, market: MorphoMarket, dollars: int, share: int, seized: int
) -> None:
    with site.undone():
        price = usdc_price(dollars)
        market.set(site, price, site.read(market.params.irm, "rate()", ["uint256"]))
        accrued = market.accrued(site)
        collateral, shares = market.position(site, USER)
        assert not adapter_morpho.is_healthy(accrued, collateral, shares, price)
        by_shares = adapter_morpho.seize_for_shares(accrued, shares * share // 1000, price)
        if by_shares.seized <= collateral and by_shares.shares:
            assert liquidated(site, market, 0, by_shares.shares) == (by_shares.seized, by_shares.repaid)
        by_assets = adapter_morpho.seize_assets(accrued, seized, price)
        if by_assets.shares <= shares:
            assert liquidated(site, market, seized, 0) == (seized, by_assets.repaid)
        best = adapter_morpho.best_seizure(accrued, collateral, shares, price)
        amounts = (best.seized, 0) if best.seized == collateral else (0, best.shares)
        assert liquidated(site, market, *amounts) == (best.seized, best.repaid)


@pytest.mark.parametrize(
    ("lltv", "factor"),
    [(945 * 10**15, 1_016_776_817_488_561_260), (86 * 10**16, 1_043_841_336_116_910_229), (385 * 10**15, 115 * 10**16)],
)
def test_the_incentive_of_a_market(lltv: int, factor: int) -> None:
    assert adapter_morpho.incentive(lltv) == factor


# ---------------------------------------------------------------------- leverage


TERMS = st.builds(
    Terms,
    numerator=st.integers(10**8, 10**11),
    denominator=st.integers(10**8, 10**11),
    threshold=st.integers(5 * 10**17, 95 * 10**16),
    min_health=st.integers(ETHER, 2 * ETHER),
    max_debt=st.integers(10**15, 10**24),
    max_loss=st.integers(10**12, 10**22),
)


@given(
    terms=TERMS, collateral=st.integers(10**15, 10**24), depth=st.integers(10**18, 10**26), fee_bps=st.integers(0, 10)
)
def test_the_largest_opening_keeps_the_bounds_and_the_next_one_does_not(
    terms: Terms, collateral: int, depth: int, fee_bps: int
) -> None:
    """A pool of constant product with its price at the oracle's; amounts far above the units that rounding moves."""
    limit = 10**25

    def quote(amount: int) -> int:
        fair = amount * terms.denominator // terms.numerator
        return fair * depth // (depth + fair)

    def fee(amount: int) -> int:
        return adapter_aave.premium(amount, fee_bps)

    def fits(amount: int) -> bool:
        owed, bought = amount + fee(amount), quote(amount)
        loss = equity_loss(terms, (collateral, 0), (collateral + bought, owed), 0)
        health = terms.health(collateral + bought, owed)
        assert health is not None
        return owed <= terms.max_debt and loss <= terms.max_loss and health >= terms.min_health

    found = largest_opening(terms, collateral=collateral, debt=0, quote=quote, fee=fee, limit=limit)
    if found is None:
        assert not fits(10**10)
        return
    assert fits(found.borrowed)
    assert found.borrowed == limit or not fits(found.borrowed + found.borrowed // 10**6 + 10**6)


@given(equity=st.integers(0, 10**30), leverage=st.integers(0, 10 * ETHER))
def test_leverage_is_position_over_equity(equity: int, leverage: int) -> None:
    debt = debt_for_leverage(equity, leverage)
    assert debt >= 0
    if leverage >= ETHER:
        assert 0 <= equity * leverage // ETHER - (equity + debt) <= 1
