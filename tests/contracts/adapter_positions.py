"""Positions of the treasury on the real Aave and Morpho, as the adapter's tests see them."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.token import LenderKind, VenueKind
from keeper.execution import adapter_aave
from keeper.execution.adapter import Lender, Leverage, Mandate, Position, Venue, mandate_of_calldata
from keeper.execution.adapter_leverage import Terms
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
from tests.contracts.adapter_site import AAVE, ANY_LENDER, FOREVER, MORPHO, SLOT_SECONDS, USER, AdapterSite
from tests.contracts.site import AAVE_PREMIUM_BPS, DAI, ETHER, OPERATOR, TREASURY, USDC, WETH, calldata

DOLLAR = 10**6
MONTH = 30 * 24 * 3600
ALL = 2**256 - 1
MANDATE = Mandate(max_debt=30_000 * DOLLAR, loss_budget=500 * DOLLAR, min_health=11 * ETHER // 10, last_block=FOREVER)
UNBOUNDED = 10**30


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
