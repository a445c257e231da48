"""Morpho Blue in exact integers: shares, interest, liquidations.

Formulas: ``Morpho.sol``, ``SharesMathLib.sol``, ``MathLib.sol``, ``ConstantsLib.sol`` of morpho-blue 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from keeper.domain.units import WAD

VIRTUAL_SHARES = 10**6
VIRTUAL_ASSETS = 1
PRICE_SCALE = 10**36
LIQUIDATION_CURSOR = 3 * WAD // 10
MAX_LIQUIDATION_INCENTIVE = 115 * WAD // 100


@dataclass(frozen=True, slots=True)
class Market:
    """Totals of a market. Assets in raw units of the loan token; shares have six decimals more."""

    borrow_assets: int
    borrow_shares: int
    updated: int
    lltv: int

    def accrued(self, rate: int, now: int) -> Market:
        """The market at ``now`` (seconds) after interest at ``rate`` (10^18 for all of it, per second)."""
        elapsed = now - self.updated
        interest = self.borrow_assets * taylor_compounded(rate, elapsed) // WAD
        return replace(self, borrow_assets=self.borrow_assets + interest, updated=now)

    def assets_up(self, shares: int) -> int:
        """What has to be paid for ``shares`` of debt."""
        divisor = self.borrow_shares + VIRTUAL_SHARES
        return -(-shares * (self.borrow_assets + VIRTUAL_ASSETS) // divisor)

    def assets_down(self, shares: int) -> int:
        return shares * (self.borrow_assets + VIRTUAL_ASSETS) // (self.borrow_shares + VIRTUAL_SHARES)

    def shares_up(self, assets: int) -> int:
        """The shares that a debt of ``assets`` becomes."""
        return -(-assets * (self.borrow_shares + VIRTUAL_SHARES) // (self.borrow_assets + VIRTUAL_ASSETS))

    def borrowed(self, assets: int) -> tuple[Market, int]:
        """The market after ``assets`` were borrowed, and their shares; it is already accrued."""
        shares = self.shares_up(assets)
        return self._plus(assets, shares), shares

    def repaid(self, assets: int) -> tuple[Market, int]:
        """The market after ``assets`` were repaid, and the shares that this took off; it is already accrued."""
        shares = assets * (self.borrow_shares + VIRTUAL_SHARES) // (self.borrow_assets + VIRTUAL_ASSETS)
        return self._plus(-assets, -shares), shares

    def _plus(self, assets: int, shares: int) -> Market:
        return replace(self, borrow_assets=self.borrow_assets + assets, borrow_shares=self.borrow_shares + shares)


@dataclass(frozen=True, slots=True)
class Seizure:
    """What a liquidation comes to: collateral and repaid debt in raw units, shares of the debt."""

    seized: int
    repaid: int
    shares: int


def taylor_compounded(rate: int, seconds: int) -> int:
    """exp(rate * seconds) - 1 to its third term, 10^18 for one (``wTaylorCompounded``)."""
    first = rate * seconds
    second = first * first // (2 * WAD)
    third = second * first // (3 * WAD)
    return first + second + third


def incentive(lltv: int) -> int:
    """By how much a liquidator gets more than it repays, 10^18 for no more: min(1.15, 1 / (1 - 0.3 (1 - lltv)))."""
    return min(MAX_LIQUIDATION_INCENTIVE, WAD * WAD // (WAD - LIQUIDATION_CURSOR * (WAD - lltv) // WAD))


def worth(collateral: int, price: int) -> int:
    """Raw units of the loan token. ``price`` is the oracle's, 10^36 for one raw unit of one for one of the other."""
    return collateral * price // PRICE_SCALE


def health(market: Market, collateral: int, shares: int, price: int) -> int | None:
    """10^18 at the point of liquidation, as the adapter computes it; None without debt."""
    debt = market.assets_up(shares)
    return worth(collateral, price) * market.lltv // debt if debt else None


def is_healthy(market: Market, collateral: int, shares: int, price: int) -> bool:
    """``_isHealthy``: below it the position can be liquidated."""
    return worth(collateral, price) * market.lltv // WAD >= market.assets_up(shares)


def seize_for_shares(market: Market, shares: int, price: int) -> Seizure:
    """Repay ``shares``; ``market`` is already accrued."""
    bonus = market.assets_down(shares) * incentive(market.lltv) // WAD
    return Seizure(bonus * PRICE_SCALE // price, market.assets_up(shares), shares)


def seize_assets(market: Market, seized: int, price: int) -> Seizure:
    """Take ``seized`` raw units of collateral; ``market`` is already accrued."""
    quoted = -(-seized * price // PRICE_SCALE)
    shares = market.shares_up(-(-quoted * WAD // incentive(market.lltv)))
    return Seizure(seized, market.assets_up(shares), shares)


def best_seizure(market: Market, collateral: int, shares: int, price: int) -> Seizure:
    """The largest liquidation of a position: all its debt, or all its collateral where that is worth less."""
    whole = seize_for_shares(market, shares, price)
    return whole if whole.seized <= collateral else seize_assets(market, collateral, price)
