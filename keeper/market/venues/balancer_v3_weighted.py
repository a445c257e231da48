"""Weighted pools of Balancer V3: the product of balances, each raised to its weight, stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.market.venues import fixed_point as fp
from keeper.market.venues.balancer_v2_weighted import MIN_WEIGHT, calc_in_given_out, calc_out_given_in
from keeper.market.venues.balancer_v3 import MAX_TOKENS, BalancerV3Pool, read_common
from keeper.market.venues.base import InsufficientLiquidity
from keeper.market.venues.fields import MAX_UINT128
from keeper.market.venues.multi import read_ints


@dataclass(frozen=True, slots=True)
class BalancerV3WeightedPool(BalancerV3Pool):
    """The state of one pool. ``amount_in`` is what a swap given the output charges.

    Attributes:
        weights: by token, 18 decimals, together one.
        minimum_balances: by token, 18 decimals, what a swap leaves at least; empty for the first release of the pools,
            which has no such bound and takes the balance of the input as it is, where later ones add a unit.
    """

    weights: tuple[int, ...]
    minimum_balances: tuple[int, ...]

    @property
    def venue(self) -> VenueKind:
        return VenueKind.BALANCER_V3_WEIGHTED

    def to_json(self) -> dict[str, Any]:
        return {
            **BalancerV3Pool.to_json(self),
            "weights": list(map(str, self.weights)),
            "minimum_balances": list(map(str, self.minimum_balances)),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        common = read_common(state, MAX_TOKENS)
        count = len(common["tokens"])
        weights = read_ints(state, "weights", count, MIN_WEIGHT, fp.ONE)
        if sum(weights) != fp.ONE:
            raise InputError("weights", weights, "Weights add up to 1e18.")
        least = read_ints(state, "minimum_balances", count, 0, MAX_UINT128) if state.get("minimum_balances") else ()
        return cls(**common, weights=weights, minimum_balances=least)

    def _pool_out(self, live: Sequence[int], i: int, j: int, amount_in: int) -> int:
        balance_in = self._balance_in(live, i)
        out = calc_out_given_in(balance_in, self.weights[i], live[j], self.weights[j], amount_in, shortcuts=True)
        self._check_least(j, live[j] - out)
        return out

    def _pool_in(self, live: Sequence[int], i: int, j: int, amount_out: int) -> int:
        balance_in = self._balance_in(live, i)
        amount = calc_in_given_out(balance_in, self.weights[i], live[j], self.weights[j], amount_out, shortcuts=True)
        self._check_least(j, live[j] - amount_out)
        return amount

    def _live_price(self, live: Sequence[int], i: int, j: int) -> Fraction:
        return Fraction(live[j] * self.weights[i], live[i] * self.weights[j])

    def _balance_in(self, live: Sequence[int], i: int) -> int:
        if not self.minimum_balances:
            return live[i]
        self._check_least(i, live[i] + 1)
        return live[i] + 1

    def _check_least(self, k: int, held: int) -> None:
        if self.minimum_balances and held < self.minimum_balances[k]:
            raise InsufficientLiquidity(f"{self.address} keeps {self.minimum_balances[k]} of {self.tokens[k]}")
