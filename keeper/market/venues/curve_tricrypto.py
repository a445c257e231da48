"""Curve's pools of three coins that are not pegged to each other: tricrypto2 and Tricrypto-NG.

Each swap and each deposit moves the invariant, and may move the internal prices through a moving average of the block's
time that no event tells. After them a pool has to be read again; only new fees are told whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Any, Self

from eth_utils.crypto import keccak

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.domain.swap_detail import CurveCoins, CurveInterface
from keeper.domain.token import VenueKind
from keeper.domain.units import to_address
from keeper.market.venues.arithmetic import div_up, least_input, uint256
from keeper.market.venues.base import InsufficientLiquidity, ReadAgain
from keeper.market.venues.fields import FEE_DENOMINATOR as PIPS
from keeper.market.venues.fields import MAX_UINT128, bounded, read, read_int, read_text, words
from keeper.market.venues.multi import MultiTokenPool, read_ints, read_token_list
from keeper.market.venues.tricrypto_math import (
    A_MULTIPLIER,
    COINS,
    MAX_A,
    MAX_D,
    MAX_GAMMA,
    MIN_A,
    MIN_D,
    MIN_GAMMA,
    get_y,
    newton_y,
    reduction_coefficient,
)

FEE_DENOMINATOR = 10**10
MAX_DECIMALS = 18
_ONE = 10**18
_HARMLESS = frozenset(
    keccak(text=text)
    for text in (
        "Transfer(address,address,uint256)",
        "Approval(address,address,uint256)",
        "CommitNewParameters(uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256)",
        "CommitNewParameters(uint256,uint256,uint256,uint256,uint256,uint256,uint256)",
        "CommitNewAdmin(uint256,address)",
        "NewAdmin(address)",
    )
)
"""A pool of NG is its own share token; what is only announced changes nothing yet."""
NEW_PARAMETERS = {
    keccak(text="NewParameters(uint256,uint256,uint256,uint256,uint256,uint256,uint256)"): (7, 1),
    keccak(text="NewParameters(uint256,uint256,uint256,uint256,uint256,uint256)"): (6, 0),
}
"""Of tricrypto2 and of NG: how many words, and which is the first of mid_fee, out_fee and fee_gamma."""


class Variant(StrEnum):
    V2 = "v2"
    """tricrypto2: Newton's method."""
    NG = "ng"
    """Tricrypto-NG: the roots of the cubic equation."""


@dataclass(frozen=True, slots=True)
class CurveTricryptoPool(MultiTokenPool):
    """The state of one pool.

    Attributes:
        balances: by coin, as ``balances(i)`` answers.
        decimals: of the coins, at most 18.
        price_scale: of the second and third coin in the first, 18 decimals, as ``price_scale(i)`` answers.
        d: the invariant, as ``D()`` answers.
        a, gamma: as ``A()`` and ``gamma()`` answer.
        mid_fee, out_fee: in balance and far from it, of 10**10.
        fee_gamma: how fast the one becomes the other, 18 decimals.
    """

    variant: Variant
    balances: tuple[int, ...]
    decimals: tuple[int, ...]
    price_scale: tuple[int, ...]
    d: int
    a: int
    gamma: int
    mid_fee: int
    out_fee: int
    fee_gamma: int

    @property
    def venue(self) -> VenueKind:
        return VenueKind.CURVE_TRICRYPTO

    @property
    def fee_pips(self) -> int:
        """The least fee, rounded up to millionths; it is taken from the output."""
        return div_up(self.mid_fee * PIPS, FEE_DENOMINATOR)

    def apply(self, log: Log) -> Self:
        """The state with new fees; the same object for what concerns the shares or other contracts.

        Raises:
            ReadAgain: all else: swaps, deposits, withdrawals, claims of fees, changes of A and gamma.
        """
        if log.address != self.address or not log.topics or log.topics[0] in _HARMLESS:
            return self
        layout = NEW_PARAMETERS.get(log.topics[0])
        if layout is not None:
            count, first = layout
            mid_fee, out_fee, fee_gamma = words(log, count)[first : first + 3]
            bounded(max(mid_fee, out_fee), "log.data", FEE_DENOMINATOR - 1)
            return replace(self, mid_fee=mid_fee, out_fee=out_fee, fee_gamma=bounded(fee_gamma, "log.data", _ONE))
        raise ReadAgain(
            "log", "0x" + log.topics[0].hex(), "The event does not tell the new prices. Read the pool again."
        )

    def get_dy(self, i: int, j: int, dx: int) -> int:
        """What the contract's view of this name answers, and ``exchange`` pays."""
        balances = list(self.balances)
        balances[i] += dx
        xp = self._xp(balances)
        solve = newton_y if self.variant is Variant.V2 else get_y
        y = solve(self.a, self.gamma, xp, self.d, j)
        dy = xp[j] - y - 1
        if dy < 0:
            raise InsufficientLiquidity("the amount is too small for the rounding of the contract")
        xp[j] = y
        if j > 0:
            dy = dy * _ONE // self.price_scale[j - 1]
        dy //= self._precision(j)
        return dy - self._fee(xp) * dy // FEE_DENOMINATOR

    def to_json(self) -> dict[str, Any]:
        return {
            **MultiTokenPool.to_json(self),
            "variant": self.variant.value,
            "balances": list(map(str, self.balances)),
            "decimals": list(self.decimals),
            "price_scale": list(map(str, self.price_scale)),
            "d": str(self.d),
            "a": self.a,
            "gamma": str(self.gamma),
            "mid_fee": self.mid_fee,
            "out_fee": self.out_fee,
            "fee_gamma": str(self.fee_gamma),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        tokens = read_token_list(state, COINS)
        if len(tokens) != COINS:
            raise InputError("tokens", list(tokens), f"Give {COINS} addresses.")
        variant = read_text(state, "variant")
        if variant not in tuple(Variant):
            raise InputError("variant", variant, f"Give one of: {', '.join(Variant)}.")
        return cls(
            address=to_address(read(state, "address"), "address"),
            dex=read_text(state, "dex"),
            tokens=tokens,
            variant=Variant(variant),
            balances=read_ints(state, "balances", COINS, 0, MAX_UINT128),
            decimals=read_ints(state, "decimals", COINS, 0, MAX_DECIMALS),
            price_scale=read_ints(state, "price_scale", COINS - 1, 1, MAX_UINT128),
            d=read_int(state, "d", MIN_D, MAX_D),
            a=read_int(state, "a", MIN_A, MAX_A),
            gamma=read_int(state, "gamma", MIN_GAMMA, MAX_GAMMA),
            mid_fee=read_int(state, "mid_fee", 0, FEE_DENOMINATOR - 1),
            out_fee=read_int(state, "out_fee", 0, FEE_DENOMINATOR - 1),
            fee_gamma=read_int(state, "fee_gamma", 0, _ONE),
        )

    def _get_balances(self) -> tuple[int, ...]:
        return self.balances

    def _get_detail(self, i: int, j: int) -> CurveCoins:
        return CurveCoins(i, j, CurveInterface.UINT256)

    def _get_out(self, i: int, j: int, amount_in: int) -> int:
        return self.get_dy(i, j, amount_in)

    def _get_in(self, i: int, j: int, amount_out: int) -> int:
        """The least input that pays ``amount_out``; the contracts' own ``get_dx`` is an estimate."""
        if amount_out >= self.balances[j]:
            raise InsufficientLiquidity(f"{self.address} does not hold {amount_out} of {self.tokens[j]}")
        guess = div_up(amount_out * _ONE, int(self._get_price(i, j) * _ONE) or 1)
        return least_input(lambda amount: self.get_dy(i, j, amount), amount_out, guess)

    def _get_price(self, i: int, j: int) -> Fraction:
        """The slope of the invariant ``K D**2 S + P = K D**3 + (D / 3)**3``, fee included.

        P is the product of the balances and S their sum; K = A K0 gamma**2 / (gamma + 1 - K0)**2, K0 = 27 P / D**3.
        """
        xp = self._xp(self.balances)
        if not all(xp):
            raise InsufficientLiquidity(f"{self.address} is empty")
        d, gamma = self.d, Fraction(self.gamma, _ONE)
        product, total = xp[0] * xp[1] * xp[2], sum(xp)
        k0 = Fraction(COINS**COINS * product, d**3)
        away = gamma + 1 - k0
        strength = Fraction(self.a, A_MULTIPLIER * COINS**COINS) * gamma**2
        k, k_slope = strength * k0 / away**2, strength * (1 / away**2 + 2 * k0 / away**3)

        def slope(x: int) -> Fraction:
            return k * d**2 + Fraction(product, x) + (total - d) * d**2 * k_slope * k0 / x

        kept = Fraction(FEE_DENOMINATOR - self._fee(xp), FEE_DENOMINATOR)
        return slope(xp[i]) / slope(xp[j]) * Fraction(self._scale(i), self._scale(j)) * kept

    def _xp(self, balances: Sequence[int]) -> list[int]:
        return [uint256(held * self._scale(k)) // _ONE for k, held in enumerate(balances)]

    def _scale(self, k: int) -> int:
        """What brings a raw unit of coin ``k`` to 18 decimals of the first coin, times 1e18."""
        return self._precision(k) * (self.price_scale[k - 1] if k else _ONE)

    def _precision(self, k: int) -> int:
        precision: int = 10 ** (MAX_DECIMALS - self.decimals[k])
        return precision

    def _fee(self, xp: Sequence[int]) -> int:
        share = reduction_coefficient(xp, self.fee_gamma)
        return (self.mid_fee * share + self.out_fee * (_ONE - share)) // _ONE
