"""Borrowers and markets on the replica's Aave and Morpho, for the adapter to liquidate and to lever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keeper.domain.units import Address
from keeper.execution.adapter import MarketParams
from keeper.execution.adapter_aave import Reserve, compounded_interest, ray_mul
from keeper.execution.adapter_morpho import Market
from keeper.replica.addresses import AAVE_ORACLE, MORPHO_OWNER
from tests.contracts.adapter_site import AAVE, MORPHO, SLOT_SECONDS, SUPPLIER, USER, AdapterSite, stand_in
from tests.contracts.site import STRANGER, USDC, WETH, calldata

LLTV = 86 * 10**16
MARKET = "(address,address,address,address,uint256)"
RESERVE = ["uint256", *["uint128"] * 5, "uint40", "uint16", "address", "address", "address"]


# ---------------------------------------------------------------------- Aave


@dataclass(frozen=True)
class AaveReserve:
    """One asset as the pool knows it now; indices and rates in ray."""

    reserve: Reserve
    variable_rate: int
    variable_index: int
    liquidity_rate: int
    liquidity_index: int
    updated: int
    a_token: Address
    debt_token: Address

    def debt_at(self, site: AdapterSite, owner: str, time: int) -> int:
        """What ``owner`` owes at ``time``: its scaled balance by the index of then."""
        scaled = site.read(self.debt_token, "scaledBalanceOf(address)", ["uint256"], owner)
        index = ray_mul(compounded_interest(self.variable_rate, time - self.updated), self.variable_index)
        return ray_mul(scaled, index)


def aave_reserve(site: AdapterSite, asset: str) -> AaveReserve:
    found = site.read(AAVE, "getReserveData(address)", RESERVE, asset)
    price = site.read(AAVE_ORACLE, "getAssetPrice(address)", ["uint256"], asset)
    configuration, index, liquidity_rate, variable_index, variable_rate, _, updated, _, a_token, _, debt_token = found
    reserve = Reserve.from_configuration(configuration, price)
    checksummed = [Address(site_address) for site_address in (a_token, debt_token)]
    return AaveReserve(
        reserve, variable_rate, variable_index, liquidity_rate, index, updated, checksummed[0], checksummed[1]
    )


def aave_health(site: AdapterSite, owner: str) -> int:
    return int(site.read(AAVE, "getUserAccountData(address)", ["uint256"] * 6, owner)[5])


def aave_supply(site: AdapterSite, owner: Address, token: Address, amount: int) -> None:
    site.give(token, owner, amount)
    site.must(owner, token, calldata("approve(address,uint256)", AAVE, amount))
    site.must(owner, AAVE, calldata("supply(address,uint256,address,uint16)", token, amount, owner, 0))


def aave_borrow(site: AdapterSite, owner: Address, token: Address, amount: int) -> None:
    site.must(owner, AAVE, calldata("borrow(address,uint256,uint256,uint16,address)", token, amount, 2, 0, owner))


def aave_borrower(site: AdapterSite, collateral: int, debt: int) -> None:
    """`USER` supplies WETH and owes USDC."""
    aave_supply(site, USER, WETH, collateral)
    aave_borrow(site, USER, USDC, debt)


# ---------------------------------------------------------------------- Morpho


@dataclass(frozen=True)
class MorphoMarket:
    """A market with WETH as collateral and USDC to borrow, its price and rate set by the test."""

    params: MarketParams

    def set(self, site: AdapterSite, price: int, rate: int) -> None:
        site.must(STRANGER, self.params.oracle, calldata("set(uint256,uint256)", price, rate))

    def totals(self, site: AdapterSite) -> Market:
        found = site.read(MORPHO, "market(bytes32)", ["uint128"] * 6, bytes.fromhex(self.params.id[2:]))
        return Market(found[2], found[3], found[4], self.params.lltv)

    def accrued(self, site: AdapterSite) -> Market:
        """The totals in the next block."""
        rate = site.read(self.params.irm, "rate()", ["uint256"])
        return self.totals(site).accrued(rate, site.now() + SLOT_SECONDS)

    def position(self, site: AdapterSite, owner: str) -> tuple[int, int]:
        """Collateral and shares of debt."""
        key = bytes.fromhex(self.params.id[2:])
        found = site.read(MORPHO, "position(bytes32,address)", ["uint256", "uint128", "uint128"], key, owner)
        return found[2], found[1]


def usdc_price(dollars: int) -> int:
    """The oracle's answer for WETH in USDC."""
    return dollars * 10**6 * 10**36 // 10**18


def morpho_market(site: AdapterSite, supplied: int, dollars: int, rate: int = 0) -> MorphoMarket:
    """A new market in which `SUPPLIER` lends ``supplied`` USDC."""
    mock = site.create(stand_in("AdapterMarket").init_code)
    market = MorphoMarket(MarketParams(USDC, WETH, mock, mock, LLTV))
    market.set(site, usdc_price(dollars), rate)
    site.rpc("anvil_setBalance", MORPHO_OWNER, hex(10**24))
    site.must(MORPHO_OWNER, MORPHO, calldata("enableIrm(address)", mock))
    if not site.read(MORPHO, "isLltvEnabled(uint256)", ["bool"], LLTV):
        site.must(MORPHO_OWNER, MORPHO, calldata("enableLltv(uint256)", LLTV))
    site.must(STRANGER, MORPHO, calldata(f"createMarket({MARKET})", market.params.values()))
    site.give(USDC, SUPPLIER, supplied)
    site.must(SUPPLIER, USDC, calldata("approve(address,uint256)", MORPHO, supplied))
    signature = f"supply({MARKET},uint256,uint256,address,bytes)"
    site.must(SUPPLIER, MORPHO, calldata(signature, market.params.values(), supplied, 0, SUPPLIER, b""))
    return market


def morpho_supply_collateral(site: AdapterSite, market: MorphoMarket, owner: Address, amount: int) -> None:
    site.give(WETH, owner, amount)
    site.must(owner, WETH, calldata("approve(address,uint256)", MORPHO, amount))
    signature = f"supplyCollateral({MARKET},uint256,address,bytes)"
    site.must(owner, MORPHO, calldata(signature, market.params.values(), amount, owner, b""))


def morpho_borrow(site: AdapterSite, market: MorphoMarket, owner: Address, amount: int) -> None:
    signature = f"borrow({MARKET},uint256,uint256,address,address)"
    site.must(owner, MORPHO, calldata(signature, market.params.values(), amount, 0, owner, owner))


def repaid_by(outcome: Any) -> int:
    """The number that a call of the adapter returns."""
    return int.from_bytes(outcome.output, "big")
