"""Composable stable pools of Balancer V2: the StableSwap invariant over balances at their rates.

The pool's own token is registered with the Vault too, but swaps to and from it are joins and exits, which are not
traded here. Rates and, while it is being changed, the amplification move without an event of the Vault: they are as of
the state's block and have to be read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

from keeper.domain.token import VenueKind
from keeper.market.venues import fixed_point as fp
from keeper.market.venues.arithmetic import is_power_of_ten
from keeper.market.venues.balancer_v2 import BalancerV2Pool, read_common
from keeper.market.venues.base import InsufficientLiquidity
from keeper.market.venues.fields import read_int
from keeper.market.venues.multi import read_ints
from keeper.market.venues.stable_math import (
    AMP_PRECISION,
    calc_in_given_out,
    calc_out_given_in,
    calculate_invariant,
)
from keeper.market.venues.stable_price import stable_price

MAX_TOKENS = 5
MAX_AMPLIFICATION = 5000 * AMP_PRECISION
MAX_SCALING_FACTOR = 10**54


@dataclass(frozen=True, slots=True)
class BalancerV2StablePool(BalancerV2Pool):
    """The state of one pool; ``tokens`` and ``balances`` are without the pool's own token.

    Attributes:
        amplification: as ``getAmplificationParameter`` answers: A n**(n - 1), times 1000.
        scaling_factors: as ``getScalingFactors`` answers, without the pool's own token: by token,
            ``10**(18 - decimals)`` times the rate, with 18 decimals.
    """

    amplification: int
    scaling_factors: tuple[int, ...]

    @property
    def venue(self) -> VenueKind:
        return VenueKind.BALANCER_V2_STABLE

    @property
    def drifts(self) -> bool:
        """Whether a token has a rate: a factor that is no power of ten."""
        return any(not is_power_of_ten(factor) for factor in self.scaling_factors)

    def drifted(self, fresh: Self) -> Self:
        """With the rates and the amplification of ``fresh``."""
        return replace(self, scaling_factors=fresh.scaling_factors, amplification=fresh.amplification)

    def to_json(self) -> dict[str, Any]:
        return {
            **BalancerV2Pool.to_json(self),
            "amplification": self.amplification,
            "scaling_factors": list(map(str, self.scaling_factors)),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        common = read_common(state, MAX_TOKENS)
        factors = read_ints(state, "scaling_factors", len(common["tokens"]), 1, MAX_SCALING_FACTOR)
        amplification = read_int(state, "amplification", AMP_PRECISION, MAX_AMPLIFICATION)
        return cls(**common, amplification=amplification, scaling_factors=factors)

    def _get_out(self, i: int, j: int, amount_in: int) -> int:
        self._check_held(i, amount_in, j, 0)
        upscaled = fp.mul_down(self._less_fee(amount_in), self.scaling_factors[i])
        out = calc_out_given_in(self.amplification, self._upscaled(), i, j, upscaled)
        return fp.div_down(out, self.scaling_factors[j])

    def _get_in(self, i: int, j: int, amount_out: int) -> int:
        self._check_held(i, 0, j, amount_out)
        upscaled = fp.mul_down(amount_out, self.scaling_factors[j])
        amount = calc_in_given_out(self.amplification, self._upscaled(), i, j, upscaled)
        amount_in = self._plus_fee(fp.div_up(amount, self.scaling_factors[i]))
        self._check_held(i, amount_in, j, amount_out)
        return amount_in

    def _get_price(self, i: int, j: int) -> Fraction:
        balances = self._upscaled()
        if not all(balances):
            raise InsufficientLiquidity(f"{self.address} is empty")
        invariant = calculate_invariant(self.amplification, balances)
        amplification = Fraction(self.amplification * len(balances), AMP_PRECISION)
        price = stable_price(amplification, balances, invariant, i, j)
        kept = Fraction(fp.ONE - self.swap_fee, fp.ONE)
        return price * Fraction(self.scaling_factors[i], self.scaling_factors[j]) * kept

    def _upscaled(self) -> list[int]:
        pairs = zip(self.balances, self.scaling_factors, strict=True)
        return [fp.mul_down(balance, factor) for balance, factor in pairs]
