"""Aave V3 in exact integers: interest, health, liquidations, loan premiums.

Formulas: ``LiquidationLogic.sol``, ``GenericLogic.sol``, ``FlashLoanLogic.sol``, ``MathUtils.sol``, ``WadRayMath.sol``
and ``PercentageMath.sol`` of aave-v3-core 1.19 (Aave 3.0.2). From 3.3 on, a pool also looks at how large a position is
when it caps a liquidation, which `liquidation` does not know; the adapter measures what it gets from either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keeper.domain.units import WAD

BPS = 10_000
HALF_BPS = 5_000
RAY = 10**27
HALF_RAY = 5 * 10**26
SECONDS_PER_YEAR = 365 * 24 * 3600
CLOSE_FACTOR_THRESHOLD = 95 * WAD // 100
DEFAULT_CLOSE_FACTOR_BPS = 5_000


@dataclass(frozen=True, slots=True)
class Reserve:
    """What the pool's configuration says of one asset.

    Attributes:
        price: by the market's oracle, of one whole token.
        threshold_bps: share of the worth up to which debt is safe.
        bonus_bps: what a liquidator gets for a debt of 10,000; 10,500 for 5% more.
        protocol_fee_bps: share of the bonus that the protocol keeps.
    """

    decimals: int
    price: int
    threshold_bps: int
    bonus_bps: int
    protocol_fee_bps: int

    @classmethod
    def from_configuration(cls, configuration: int, price: int) -> Reserve:
        """Out of the bit map of ``ReserveConfiguration.sol``."""

        def field(at: int, width: int) -> int:
            return configuration >> at & (1 << width) - 1

        return cls(field(48, 8), price, field(16, 16), field(32, 16), field(152, 16))

    @property
    def unit(self) -> int:
        return int(10**self.decimals)

    def worth(self, amount: int) -> int:
        """In the market's currency, rounded down."""
        return amount * self.price // self.unit


@dataclass(frozen=True, slots=True)
class Liquidation:
    """What a liquidation comes to, raw units: debt repaid, collateral received, collateral that the protocol keeps."""

    debt: int
    collateral: int
    protocol_fee: int


def percent_mul(value: int, bps: int) -> int:
    """``PercentageMath.percentMul``: rounds half up."""
    return (value * bps + HALF_BPS) // BPS


def percent_div(value: int, bps: int) -> int:
    """``PercentageMath.percentDiv``: rounds half up."""
    return (value * BPS + bps // 2) // bps


def ray_mul(value: int, ray: int) -> int:
    """``WadRayMath.rayMul``: rounds half up; turns a scaled balance into a balance."""
    return (value * ray + HALF_RAY) // RAY


def ray_div(value: int, ray: int) -> int:
    """``WadRayMath.rayDiv``: rounds half up; turns a balance into a scaled balance."""
    return (value * RAY + ray // 2) // ray


def wad_div(value: int, wad: int) -> int:
    """``WadRayMath.wadDiv``: rounds half up."""
    return (value * WAD + wad // 2) // wad


def linear_interest(rate: int, seconds: int) -> int:
    """By what the liquidity index grows, in ray; ``rate`` in ray a year (``calculateLinearInterest``)."""
    return RAY + rate * seconds // SECONDS_PER_YEAR


def compounded_interest(rate: int, seconds: int) -> int:
    """By what the variable borrow index grows, in ray; ``rate`` in ray a year (``calculateCompoundedInterest``)."""
    if seconds == 0:
        return RAY
    before, two_before = seconds - 1, max(seconds - 2, 0)
    square = ray_mul(rate, rate) // (SECONDS_PER_YEAR * SECONDS_PER_YEAR)
    cube = ray_mul(square, rate) // SECONDS_PER_YEAR
    second = seconds * before * square // 2
    third = seconds * before * two_before * cube // 6
    return RAY + rate * seconds // SECONDS_PER_YEAR + second + third


def added(scaled: int, amount: int, index: int) -> int:
    """A scaled balance after ``amount`` was supplied or borrowed; ``index`` (ray) of that moment."""
    return scaled + ray_div(amount, index)


def taken(scaled: int, amount: int, index: int) -> int:
    """A scaled balance after ``amount`` of it was repaid, transferred or withdrawn."""
    return scaled - ray_div(amount, index)


def premium(amount: int, premium_bps: int) -> int:
    """What ``flashLoanSimple`` asks for beyond ``amount``."""
    return percent_mul(amount, premium_bps)


def health_factor(collaterals: Sequence[tuple[Reserve, int]], debts: Sequence[tuple[Reserve, int]]) -> int | None:
    """10^18 at the point of liquidation; None without debt (``GenericLogic.calculateUserAccountData``).

    Args:
        collaterals, debts: each asset with its amount in raw units; not in efficiency mode.
    """
    owed = sum(reserve.worth(amount) for reserve, amount in debts)
    if owed == 0:
        return None
    worths = [(reserve.worth(amount), reserve.threshold_bps) for reserve, amount in collaterals]
    total = sum(worth for worth, _ in worths)
    threshold = sum(worth * bps for worth, bps in worths) // total if total else 0
    return wad_div(percent_mul(total, threshold), owed)


def close_factor_bps(health: int) -> int:
    """Share of a debt that one liquidation may repay."""
    return DEFAULT_CLOSE_FACTOR_BPS if health > CLOSE_FACTOR_THRESHOLD else BPS


def liquidation(
    *, cover: int, debt: int, collateral: int, health: int, collateral_reserve: Reserve, debt_reserve: Reserve
) -> Liquidation:
    """What ``liquidationCall`` repays and pays out.

    Args:
        cover: what the liquidator offers to repay, raw units.
        debt: all that the borrower owes of the asset, raw units.
        collateral: what the borrower has of the asset, raw units.
        health: of the borrower before it.
    """
    repaid = min(cover, percent_mul(debt, close_factor_bps(health)))
    bonus, unit, debt_unit = collateral_reserve.bonus_bps, collateral_reserve.unit, debt_reserve.unit
    base = debt_reserve.price * repaid * unit // (collateral_reserve.price * debt_unit)
    seized = percent_mul(base, bonus)
    if seized > collateral:
        seized = collateral
        repaid = percent_div(
            collateral_reserve.price * seized * debt_unit // (debt_reserve.price * unit),
            bonus,
        )
    fee = percent_mul(seized - percent_div(seized, bonus), collateral_reserve.protocol_fee_bps)
    return Liquidation(repaid, seized - fee, fee)
