"""Uniswap V2 pairs and their forks: the constant product ``x * y = k`` with a fee on the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

from eth_utils.crypto import keccak

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.domain.units import Address, to_address
from keeper.market.venues.base import InsufficientLiquidity
from keeper.market.venues.fields import (
    FEE_DENOMINATOR,
    MAX_UINT112,
    bounded,
    read,
    read_int,
    read_text,
    read_tokens,
    words,
)

SYNC_TOPIC = keccak(text="Sync(uint112,uint112)")


def get_amount_out(amount_in: int, reserve_in: int, reserve_out: int, fee_pips: int = 3000) -> int:
    """`UniswapV2Library.getAmountOut`.

    The contracts write the fee in their own fraction (997/1000, Pancake 9975/10000). A quotient's floor does not
    change when both its sides are multiplied by the same number, so millionths give the same integers.
    """
    amount_in_with_fee = amount_in * (FEE_DENOMINATOR - fee_pips)
    return amount_in_with_fee * reserve_out // (reserve_in * FEE_DENOMINATOR + amount_in_with_fee)


def get_amount_in(amount_out: int, reserve_in: int, reserve_out: int, fee_pips: int = 3000) -> int:
    """`UniswapV2Library.getAmountIn`: one unit more than the pair asks for where the division leaves no rest.

    Raises:
        InsufficientLiquidity: ``amount_out`` is the whole reserve or more.
    """
    if amount_out >= reserve_out:
        raise InsufficientLiquidity(f"{amount_out} is asked for and {reserve_out} is there")
    return reserve_in * amount_out * FEE_DENOMINATOR // ((reserve_out - amount_out) * (FEE_DENOMINATOR - fee_pips)) + 1


@dataclass(frozen=True, slots=True)
class UniswapV2Pool:
    """The state of one pair; ``reserve0`` and ``reserve1`` are uint112 in raw token units."""

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
    def venue(self) -> VenueKind:
        return VenueKind.UNISWAP_V2

    def amount_out(self, token_in: Address, amount_in: int) -> int:
        """The most that ``UniswapV2Pair.swap`` lets go for ``amount_in``."""
        if amount_in <= 0:
            raise InputError("amount_in", amount_in, "Give a positive amount.")
        reserve_in, reserve_out = self._reserves(token_in, "token_in")
        if reserve_in == 0 or reserve_out == 0:
            raise InsufficientLiquidity(f"{self.address} is empty")
        if reserve_in + amount_in > MAX_UINT112:
            raise InsufficientLiquidity(f"{self.address} cannot hold more than {MAX_UINT112}")
        return get_amount_out(amount_in, reserve_in, reserve_out, self.fee_pips)

    def amount_in(self, token_out: Address, amount_out: int) -> int:
        """The least input for which ``UniswapV2Pair.swap`` lets ``amount_out`` go.

        It is the quotient of `get_amount_in` rounded up, where the router always adds one.
        """
        if amount_out <= 0:
            raise InputError("amount_out", amount_out, "Give a positive amount.")
        reserve_out, reserve_in = self._reserves(token_out, "token_out")
        if reserve_in == 0 or amount_out >= reserve_out:
            raise InsufficientLiquidity(f"{self.address} holds {reserve_out} of {token_out}")
        kept = FEE_DENOMINATOR - self.fee_pips
        amount_in = -(-reserve_in * amount_out * FEE_DENOMINATOR // ((reserve_out - amount_out) * kept))
        if reserve_in + amount_in > MAX_UINT112:
            raise InsufficientLiquidity(f"{self.address} cannot hold more than {MAX_UINT112}")
        return amount_in

    def after_swap(self, token_in: Address, amount_in: int) -> tuple[Self, int]:
        """The state after a swap of exactly ``amount_in`` for all that it pays, and what that is; raises as
        `amount_out`."""
        amount_out = self.amount_out(token_in, amount_in)
        return self.exchanged(token_in, amount_in, amount_out), amount_out

    def exchanged(self, token_in: Address, amount_in: int, amount_out: int) -> Self:
        """The state after ``amount_in`` came and ``amount_out`` of the other token went.

        Raises:
            InsufficientLiquidity: ``UniswapV2Pair.swap`` would not let so much go.
        """
        if not 0 < amount_out <= self.amount_out(token_in, amount_in):
            raise InsufficientLiquidity(f"{self.address} does not pay {amount_out} for {amount_in} of {token_in}")
        if token_in == self.token0:
            return replace(self, reserve0=self.reserve0 + amount_in, reserve1=self.reserve1 - amount_out)
        return replace(self, reserve0=self.reserve0 - amount_out, reserve1=self.reserve1 + amount_in)

    def marginal_price(self, token_in: Address) -> Fraction:
        """Raw units paid out per raw unit of ``token_in`` for a vanishing input, fee included."""
        reserve_in, reserve_out = self._reserves(token_in, "token_in")
        if reserve_in == 0 or reserve_out == 0:
            raise InsufficientLiquidity(f"{self.address} is empty")
        return Fraction(reserve_out * (FEE_DENOMINATOR - self.fee_pips), reserve_in * FEE_DENOMINATOR)

    def spot_liquidity(self, token: Address) -> int:
        """The reserve of ``token``."""
        return self._reserves(token, "token")[0]

    def swap_detail(self, token_in: Address) -> None:
        """None: the pair's address is enough."""
        self._reserves(token_in, "token_in")

    def apply(self, log: Log) -> Self:
        """The state after ``Sync``, which follows every change of the reserves; other events change nothing."""
        if not log.topics or log.topics[0] != SYNC_TOPIC:
            return self
        reserve0, reserve1 = (bounded(word, "log.data", MAX_UINT112) for word in words(log, 2))
        if reserve0 == self.reserve0 and reserve1 == self.reserve1:
            return self
        # `replace` takes five times as long, and this is what most logs of a block do
        names = (self.address, self.dex, self.token0, self.token1, self.fee_pips)
        return type(self)(*names, reserve0, reserve1)

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads; see `keeper.market.venues`."""
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

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        token0, token1 = read_tokens(state)
        return cls(
            address=to_address(read(state, "address"), "address"),
            dex=read_text(state, "dex"),
            token0=token0,
            token1=token1,
            fee_pips=read_int(state, "fee_pips", 0, FEE_DENOMINATOR - 1),
            reserve0=read_int(state, "reserve0", 0, MAX_UINT112),
            reserve1=read_int(state, "reserve1", 0, MAX_UINT112),
        )

    def _reserves(self, token: Address, name: str) -> tuple[int, int]:
        """The reserve of ``token`` and that of the other token."""
        if token == self.token0:
            return self.reserve0, self.reserve1
        if token == self.token1:
            return self.reserve1, self.reserve0
        raise InputError(name, token, f"Pool {self.address} trades {self.token0} and {self.token1}.")
