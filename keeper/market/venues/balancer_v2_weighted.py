"""Weighted pools of Balancer V2: the product of balances, each raised to its weight, stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.market.venues import fixed_point as fp
from keeper.market.venues.balancer_v2 import BalancerV2Pool, read_common
from keeper.market.venues.base import InsufficientLiquidity
from keeper.market.venues.fields import read_text
from keeper.market.venues.multi import read_ints

MAX_TOKENS = 50
MIN_WEIGHT = 10**16
POW_VERSIONS = ("v1", "v2")
_MAX_RATIO = 3 * 10**17
_MAX_DECIMALS = 18


def calc_out_given_in(
    balance_in: int, weight_in: int, balance_out: int, weight_out: int, amount_in: int, *, shortcuts: bool
) -> int:
    """``WeightedMath._calcOutGivenIn``; all arguments with 18 decimals."""
    if amount_in > fp.mul_down(balance_in, _MAX_RATIO):
        raise InsufficientLiquidity("a swap brings in at most 30% of the balance")
    base = fp.div_up(balance_in, balance_in + amount_in)
    power = fp.pow_up(base, fp.div_down(weight_in, weight_out), shortcuts=shortcuts)
    return fp.mul_down(balance_out, fp.complement(power))


def calc_in_given_out(
    balance_in: int, weight_in: int, balance_out: int, weight_out: int, amount_out: int, *, shortcuts: bool
) -> int:
    """``WeightedMath._calcInGivenOut``."""
    if amount_out > fp.mul_down(balance_out, _MAX_RATIO):
        raise InsufficientLiquidity("a swap takes out at most 30% of the balance")
    base = fp.div_up(balance_out, balance_out - amount_out)
    power = fp.pow_up(base, fp.div_up(weight_out, weight_in), shortcuts=shortcuts)
    return fp.mul_up(balance_in, power - fp.ONE)


@dataclass(frozen=True, slots=True)
class BalancerV2WeightedPool(BalancerV2Pool):
    """The state of one pool.

    ``amount_in`` is what a swap given the output charges. It errs to the pool's side by the error bound of its power,
    so a swap given the input may pay that output for less.

    Attributes:
        weights: by token, 18 decimals, together one.
        decimals: of the tokens, at most 18.
        pow_version: ``v1`` of the pools of 2021, ``v2`` of the later ones, which multiply out exponents of 1, 2 and 4.
    """

    weights: tuple[int, ...]
    decimals: tuple[int, ...]
    pow_version: str

    @property
    def venue(self) -> VenueKind:
        return VenueKind.BALANCER_V2_WEIGHTED

    def to_json(self) -> dict[str, Any]:
        return {
            **BalancerV2Pool.to_json(self),
            "weights": list(map(str, self.weights)),
            "decimals": list(self.decimals),
            "pow_version": self.pow_version,
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        common = read_common(state, MAX_TOKENS)
        count = len(common["tokens"])
        weights = read_ints(state, "weights", count, MIN_WEIGHT, fp.ONE)
        if sum(weights) != fp.ONE:
            raise InputError("weights", weights, "Weights add up to 1e18.")
        version = read_text(state, "pow_version")
        if version not in POW_VERSIONS:
            raise InputError("pow_version", version, f"Give one of: {', '.join(POW_VERSIONS)}.")
        decimals = read_ints(state, "decimals", count, 0, _MAX_DECIMALS)
        return cls(**common, weights=weights, decimals=decimals, pow_version=version)

    def _get_out(self, i: int, j: int, amount_in: int) -> int:
        scale_in, scale_out = self._scale(i), self._scale(j)
        self._check_held(i, amount_in, j, 0)
        out = calc_out_given_in(
            self.balances[i] * scale_in,
            self.weights[i],
            self.balances[j] * scale_out,
            self.weights[j],
            self._less_fee(amount_in) * scale_in,
            shortcuts=self.pow_version == "v2",
        )
        return out // scale_out

    def _get_in(self, i: int, j: int, amount_out: int) -> int:
        scale_in, scale_out = self._scale(i), self._scale(j)
        self._check_held(i, 0, j, amount_out)
        amount = calc_in_given_out(
            self.balances[i] * scale_in,
            self.weights[i],
            self.balances[j] * scale_out,
            self.weights[j],
            amount_out * scale_out,
            shortcuts=self.pow_version == "v2",
        )
        amount_in = self._plus_fee(-(-amount // scale_in))
        self._check_held(i, amount_in, j, amount_out)
        return amount_in

    def _get_price(self, i: int, j: int) -> Fraction:
        if not self.balances[i] or not self.balances[j]:
            raise InsufficientLiquidity(f"{self.address} is empty")
        price = Fraction(self.balances[j] * self.weights[i], self.balances[i] * self.weights[j])
        return price * Fraction(fp.ONE - self.swap_fee, fp.ONE)

    def _scale(self, index: int) -> int:
        scale: int = 10 ** (_MAX_DECIMALS - self.decimals[index])
        return scale
