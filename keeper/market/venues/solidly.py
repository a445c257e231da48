"""Solidly pools of Velodrome V2 and Aerodrome: ``xy = k`` for volatile pairs, ``x3y + y3x = k`` for stable ones.

The maths is that of ``getAmountOut``, which the routers pay by and which ``swap`` accepts. The fee lives in the factory
(``getFee(pool, stable)``), whose owner can change it without an event of the pool.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

from eth_utils.crypto import keccak

from keeper.domain.chain import Log
from keeper.domain.token import VenueKind
from keeper.domain.units import Address, to_address
from keeper.market.venues.arithmetic import div_up, gross_of_fee, least_input, uint256
from keeper.market.venues.base import InsufficientLiquidity, check_amount, is_token0
from keeper.market.venues.fields import FEE_DENOMINATOR, MAX_UINT256, read, read_int, read_text, read_tokens, words

SYNC_TOPIC = keccak(text="Sync(uint256,uint256)")
MAX_DECIMALS = 59
"""``10**decimals * 1e18`` has to fit into 256 bits."""

_ONE = 10**18
_STEPS = 255
_PIPS_OF_BPS = 100  # the contract has the fee in basis points


@dataclass(frozen=True, slots=True)
class _SolidlyPool(ABC):
    """The state of one pool; ``reserve0`` and ``reserve1`` are uint256 in raw token units."""

    address: Address
    dex: str
    token0: Address
    token1: Address
    fee_pips: int
    reserve0: int
    reserve1: int

    @property
    def key(self) -> Address:
        return self.address

    @property
    def holder(self) -> tuple[Address, bytes] | None:
        return None

    @property
    @abstractmethod
    def venue(self) -> VenueKind: ...

    @abstractmethod
    def marginal_price(self, token_in: Address) -> Fraction:
        """Raw units paid out per raw unit of ``token_in`` for a vanishing input, fee included."""

    @abstractmethod
    def _get_amount_out(self, amount_in: int, zero_for_one: bool) -> int:
        """The contract's ``_getAmountOut``, of an input without its fee."""

    @abstractmethod
    def _guess_amount_in(self, amount_out: int, zero_for_one: bool) -> int:
        """About the input, without its fee, that pays ``amount_out``."""

    def amount_out(self, token_in: Address, amount_in: int) -> int:
        """What ``getAmountOut`` answers."""
        check_amount(amount_in, "amount_in")
        zero_for_one = is_token0(self, token_in, "token_in")
        self._check_filled()
        return self._pay(amount_in, zero_for_one)

    def amount_in(self, token_out: Address, amount_out: int) -> int:
        """The least input for which ``getAmountOut`` answers ``amount_out`` or more; the contract has no inverse."""
        check_amount(amount_out, "amount_out")
        zero_for_one = not is_token0(self, token_out, "token_out")
        self._check_filled()
        if amount_out >= (self.reserve1 if zero_for_one else self.reserve0):
            raise InsufficientLiquidity(f"{self.address} does not hold {amount_out} of {token_out}")
        guess = gross_of_fee(self._guess_amount_in(amount_out, zero_for_one), self.fee_pips)
        return least_input(lambda amount: self._pay(amount, zero_for_one), amount_out, guess)

    def spot_liquidity(self, token: Address) -> int:
        """The reserve of ``token``."""
        return self.reserve0 if is_token0(self, token, "token") else self.reserve1

    def swap_detail(self, token_in: Address) -> None:
        """None: the pool's address is enough."""
        is_token0(self, token_in, "token_in")

    def after_swap(self, token_in: Address, amount_in: int) -> tuple[Self, int]:
        """The state after a swap of exactly ``amount_in``, and what it paid; the fee leaves the pool for its fee vault.

        Raises as `amount_out`.
        """
        amount_out = self.amount_out(token_in, amount_in)
        kept = amount_in - amount_in * self.fee_pips // FEE_DENOMINATOR
        if token_in == self.token0:
            return replace(self, reserve0=self.reserve0 + kept, reserve1=self.reserve1 - amount_out), amount_out
        return replace(self, reserve0=self.reserve0 - amount_out, reserve1=self.reserve1 + kept), amount_out

    def apply(self, log: Log) -> Self:
        """The state after ``Sync``, which follows every change of the reserves; other events change nothing."""
        if not log.topics or log.topics[0] != SYNC_TOPIC:
            return self
        reserve0, reserve1 = words(log, 2)
        if reserve0 == self.reserve0 and reserve1 == self.reserve1:
            return self
        return replace(self, reserve0=reserve0, reserve1=reserve1)

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads; see docs/venues.md."""
        return {
            "venue": self.venue.value,
            "address": self.address,
            "dex": self.dex,
            "token0": self.token0,
            "token1": self.token1,
            "fee_pips": self.fee_pips,
            "reserve0": str(self.reserve0),
            "reserve1": str(self.reserve1),
        }

    def _pay(self, amount_in: int, zero_for_one: bool) -> int:
        uint256(amount_in * self.fee_pips // _PIPS_OF_BPS)
        return self._get_amount_out(amount_in - amount_in * self.fee_pips // FEE_DENOMINATOR, zero_for_one)

    def _check_filled(self) -> None:
        if self.reserve0 == 0 or self.reserve1 == 0:
            raise InsufficientLiquidity(f"{self.address} is empty")

    def _kept(self) -> Fraction:
        return Fraction(FEE_DENOMINATOR - self.fee_pips, FEE_DENOMINATOR)


@dataclass(frozen=True, slots=True)
class SolidlyVolatilePool(_SolidlyPool):
    """A pair of tokens whose prices are not tied to each other: the constant product, the fee rounded down."""

    @property
    def venue(self) -> VenueKind:
        return VenueKind.SOLIDLY_VOLATILE

    def marginal_price(self, token_in: Address) -> Fraction:
        """Raw units paid out per raw unit of ``token_in`` for a vanishing input, fee included."""
        zero_for_one = is_token0(self, token_in, "token_in")
        self._check_filled()
        price = Fraction(self.reserve1, self.reserve0)
        return (price if zero_for_one else 1 / price) * self._kept()

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        return cls(**_read_common(state))

    def _get_amount_out(self, amount_in: int, zero_for_one: bool) -> int:
        reserve_a, reserve_b = (self.reserve0, self.reserve1) if zero_for_one else (self.reserve1, self.reserve0)
        return uint256(amount_in * reserve_b) // uint256(reserve_a + amount_in)

    def _guess_amount_in(self, amount_out: int, zero_for_one: bool) -> int:
        reserve_a, reserve_b = (self.reserve0, self.reserve1) if zero_for_one else (self.reserve1, self.reserve0)
        return div_up(reserve_a * amount_out, reserve_b - amount_out)


@dataclass(frozen=True, slots=True)
class SolidlyStablePool(_SolidlyPool):
    """A pair of tokens of like value.

    Attributes:
        decimals0, decimals1: of the tokens; the contract keeps ``10**decimals`` under these names.
    """

    decimals0: int
    decimals1: int

    @property
    def venue(self) -> VenueKind:
        return VenueKind.SOLIDLY_STABLE

    def marginal_price(self, token_in: Address) -> Fraction:
        """The slope of ``x3y + y3x = k``, fee included."""
        zero_for_one = is_token0(self, token_in, "token_in")
        self._check_filled()
        x = Fraction(self.reserve0, 10**self.decimals0)
        y = Fraction(self.reserve1, 10**self.decimals1)
        slope = (3 * x**2 * y + y**3) / (x**3 + 3 * x * y**2)
        price = slope * Fraction(10**self.decimals1, 10**self.decimals0)
        return (price if zero_for_one else 1 / price) * self._kept()

    def to_json(self) -> dict[str, Any]:
        return {**_SolidlyPool.to_json(self), "decimals0": self.decimals0, "decimals1": self.decimals1}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        return cls(
            **_read_common(state),
            decimals0=read_int(state, "decimals0", 0, MAX_DECIMALS),
            decimals1=read_int(state, "decimals1", 0, MAX_DECIMALS),
        )

    def _get_amount_out(self, amount_in: int, zero_for_one: bool) -> int:
        xy = self._k(self.reserve0, self.reserve1)
        (reserve_a, unit_a), (reserve_b, unit_b) = self._normal(zero_for_one)
        amount_in = uint256(amount_in * _ONE) // unit_a
        y = uint256(reserve_b - self._get_y(uint256(amount_in + reserve_a), xy, reserve_b))
        return uint256(y * unit_b) // _ONE

    def _guess_amount_in(self, amount_out: int, zero_for_one: bool) -> int:
        (reserve_a, unit_a), (reserve_b, unit_b) = self._normal(zero_for_one)
        left = reserve_b - amount_out * _ONE // unit_b
        if left <= 0:
            return 1
        try:
            return (self._get_y(left, self._k(self.reserve0, self.reserve1), reserve_a) - reserve_a) * unit_a // _ONE
        except InsufficientLiquidity:
            return amount_out * unit_a // unit_b

    def _normal(self, zero_for_one: bool) -> tuple[tuple[int, int], tuple[int, int]]:
        """The reserves of the token that comes in and of the other at 18 decimals, each with its token's unit."""
        unit0, unit1 = 10**self.decimals0, 10**self.decimals1
        side0 = uint256(self.reserve0 * _ONE) // unit0, unit0
        side1 = uint256(self.reserve1 * _ONE) // unit1, unit1
        return (side0, side1) if zero_for_one else (side1, side0)

    def _k(self, x: int, y: int) -> int:
        return _f(uint256(x * _ONE) // 10**self.decimals0, uint256(y * _ONE) // 10**self.decimals1)

    def _get_y(self, x0: int, xy: int, y: int) -> int:
        """The least balance ``y`` that keeps the invariant ``xy`` beside ``x0``, by Newton's method."""
        for _ in range(_STEPS):
            k = _f(x0, y)
            slope = _d(x0, y)
            if slope == 0:
                raise InsufficientLiquidity(f"{self.address} holds too little for its own arithmetic")
            if k < xy:
                dy = uint256((xy - k) * _ONE) // slope
                if dy == 0:
                    # the contract normalises once more here what is normal already: with tokens of less than 18
                    # decimals this stops a unit early at times
                    if self._k(x0, y + 1) > xy:
                        return y + 1
                    dy = 1
                y = uint256(y + dy)
            else:
                dy = uint256((k - xy) * _ONE) // slope
                if dy == 0:
                    if k == xy or _f(x0, uint256(y - 1)) < xy:
                        return y
                    dy = 1
                y = uint256(y - dy)
        raise InsufficientLiquidity(f"{self.address} finds no balance within {_STEPS} steps")


def _f(x0: int, y: int) -> int:
    a = uint256(x0 * y) // _ONE
    b = uint256(x0 * x0) // _ONE + uint256(y * y) // _ONE
    return uint256(a * b) // _ONE


def _d(x0: int, y: int) -> int:
    return uint256(3 * x0 * (uint256(y * y) // _ONE)) // _ONE + uint256(uint256(x0 * x0) // _ONE * x0) // _ONE


def _read_common(state: Mapping[str, Any]) -> dict[str, Any]:
    token0, token1 = read_tokens(state)
    return {
        "address": to_address(read(state, "address"), "address"),
        "dex": read_text(state, "dex"),
        "token0": token0,
        "token1": token1,
        "fee_pips": read_int(state, "fee_pips", 0, FEE_DENOMINATOR - 1),
        "reserve0": read_int(state, "reserve0", 0, MAX_UINT256),
        "reserve1": read_int(state, "reserve1", 0, MAX_UINT256),
    }
