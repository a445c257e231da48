"""Pools whose liquidity lies in ranges of ticks: the maths that Uniswap V3, its forks and V4 share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple, Self

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.domain.swap_detail import SwapDetail
from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.market.venues.base import InsufficientLiquidity, check_amount, is_token0
from keeper.market.venues.fields import (
    FEE_DENOMINATOR,
    MAX_INT128,
    MAX_UINT128,
    MIN_INT128,
    bounded,
    read,
    read_int,
    signed,
    to_int,
)
from keeper.market.venues.swap_math import compute_swap_step
from keeper.market.venues.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    get_sqrt_ratio_at_tick,
    get_tick_at_sqrt_ratio,
)

WORD_BITS = 256
"""Ticks in one word of the pool's bitmap."""
MAX_TICK_SPACING = 32_767

SwapStep = Callable[[int, int, int, int, int], tuple[int, int, int]]


class SwapResult(NamedTuple):
    """Amounts swapped, the fee within ``amount_in``, and the pool's price and liquidity afterwards.

    Attributes:
        tick: that of ``slot0`` afterwards where the price alone does not tell it; None where it is the price's own.
    """

    amount_in: int
    amount_out: int
    sqrt_price_x96: int
    liquidity: int
    tick: int | None = None


@dataclass(frozen=True, slots=True)
class ConcentratedPool(ABC):
    """The state of one pool of tokens whose liquidity lies in ranges of ticks.

    Attributes:
        sqrt_price_x96: square root of raw token1 per raw token0, Q64.96; 0 before the pool is initialised.
        tick: as in ``slot0``; at a price that is exactly a tick's it may be the tick below.
        liquidity: of the range that holds the price.
        tick_indices: initialised ticks, ascending.
        liquidity_net: by tick, what crossing it upwards adds to the liquidity.
        liquidity_gross: by tick, the sum over the positions that end there; a tick goes when it falls to zero.
    """

    address: Address
    dex: str
    token0: Address
    token1: Address
    fee_pips: int
    tick_spacing: int
    sqrt_price_x96: int
    tick: int
    liquidity: int
    tick_indices: tuple[int, ...]
    liquidity_net: tuple[int, ...]
    liquidity_gross: tuple[int, ...]

    @property
    def key(self) -> Address:
        return self.address

    @property
    def holder(self) -> tuple[Address, bytes] | None:
        return None

    @property
    @abstractmethod
    def venue(self) -> VenueKind: ...

    def amount_out(self, token_in: Address, amount_in: int) -> int:
        """What the venue's quoter answers to ``quoteExactInputSingle`` where the pool can take the whole input."""
        check_amount(amount_in, "amount_in")
        result = self.swap(is_token0(self, token_in, "token_in"), amount_in)
        if result.amount_in != amount_in:
            raise InsufficientLiquidity(f"{self.address} takes no more than {result.amount_in} of {token_in}")
        return result.amount_out

    def amount_in(self, token_out: Address, amount_out: int) -> int:
        """What the quoter answers to ``quoteExactOutputSingle`` where the pool can pay the whole output."""
        check_amount(amount_out, "amount_out")
        result = self.swap(not is_token0(self, token_out, "token_out"), -amount_out)
        if result.amount_out != amount_out:
            raise InsufficientLiquidity(f"{self.address} pays no more than {result.amount_out} of {token_out}")
        return result.amount_in

    def after_swap(self, token_in: Address, amount_in: int) -> tuple[Self, int]:
        """The state after a swap of exactly ``amount_in``, and what it paid; raises as `amount_out`."""
        check_amount(amount_in, "amount_in")
        result = self.swap(is_token0(self, token_in, "token_in"), amount_in)
        if result.amount_in != amount_in:
            raise InsufficientLiquidity(f"{self.address} takes no more than {result.amount_in} of {token_in}")
        return self.after(result), result.amount_out

    def after(self, result: SwapResult) -> Self:
        """The state that `swap` leaves behind."""
        price = result.sqrt_price_x96
        tick = get_tick_at_sqrt_ratio(price) if result.tick is None else result.tick
        return replace(self, sqrt_price_x96=price, tick=tick, liquidity=result.liquidity)

    def marginal_price(self, token_in: Address) -> Fraction:
        """Raw units paid out per raw unit of ``token_in`` for a vanishing input, fee included."""
        zero_for_one = is_token0(self, token_in, "token_in")
        if self.sqrt_price_x96 == 0 or self.liquidity == 0:
            raise InsufficientLiquidity(f"{self.address} has no liquidity at its price")
        square = self.sqrt_price_x96**2
        price, unit = (square, 1 << 192) if zero_for_one else (1 << 192, square)
        return Fraction(price * (FEE_DENOMINATOR - self.swap_fee_pips(zero_for_one)), unit * FEE_DENOMINATOR)

    def spot_liquidity(self, token: Address) -> int:
        """The virtual reserve of ``token`` in the range that holds the price: L / sqrt(P), or L * sqrt(P) of token1.

        Uniswap V3 white paper, section 6.2.
        """
        price = self.sqrt_price_x96
        if is_token0(self, token, "token"):
            return (self.liquidity << 96) // price if price else 0
        return self.liquidity * price >> 96

    def swap_detail(self, token_in: Address) -> SwapDetail | None:
        """What a swap needs beside the pool's address: nothing, where the pool is a contract of its own."""
        is_token0(self, token_in, "token_in")
        return None

    def swap_fee_pips(self, zero_for_one: bool) -> int:  # noqa: ARG002
        """All that a swap of this direction is charged, millionths of the input."""
        return self.fee_pips

    def swap(self, zero_for_one: bool, amount_specified: int, sqrt_price_limit_x96: int | None = None) -> SwapResult:
        """The contract's ``swap``: like it, this stops at the price limit with whatever was swapped by then.

        The contract also stops at the borders of its bitmap's words, where nothing is initialised; it rounds there,
        so the steps are repeated here.

        Args:
            amount_specified: exact input when positive, exact output when negative.
            sqrt_price_limit_x96: on the side that the swap moves the price to; the last price by default.

        Raises:
            InsufficientLiquidity: the pool is not initialised, or the contract would revert because its ticks do not
                add up.
        """
        price, tick, liquidity = self.sqrt_price_x96, self.tick, self.liquidity
        if price == 0:
            raise InsufficientLiquidity(f"{self.address} is not initialised")
        limit = sqrt_price_limit_x96 or (MIN_SQRT_RATIO + 1 if zero_for_one else MAX_SQRT_RATIO - 1)
        if not (MIN_SQRT_RATIO < limit < price if zero_for_one else price < limit < MAX_SQRT_RATIO):
            raise InsufficientLiquidity(f"{self.address} is at price {price}, with no way to {limit}")
        ticks, nets = self.tick_indices, self.liquidity_net
        spacing, fee_pips = self.tick_spacing, self.swap_fee_pips(zero_for_one)
        compute_step = self._swap_step()
        exact_input = amount_specified > 0
        # the next initialised tick: at or below the current one going down, above it going up
        at = bisect_right(ticks, tick) - (1 if zero_for_one else 0)
        remaining, calculated = amount_specified, 0
        final: int | None = tick
        while remaining != 0 and price != limit:
            start = price
            inside = 0 <= at < len(ticks)
            if liquidity == 0:
                # no step before the next initialised tick changes an amount
                initialized = inside
                step_tick = ticks[at] if inside else (MIN_TICK if zero_for_one else MAX_TICK)
            elif zero_for_one:
                step_tick = (tick // spacing >> 8 << 8) * spacing
                if initialized := inside and ticks[at] >= step_tick:
                    step_tick = ticks[at]
            else:
                step_tick = ((tick // spacing + 1 >> 8 << 8) + WORD_BITS - 1) * spacing
                if initialized := inside and ticks[at] <= step_tick:
                    step_tick = ticks[at]
            next_price = get_sqrt_ratio_at_tick(min(max(step_tick, MIN_TICK), MAX_TICK))
            target = max(next_price, limit) if zero_for_one else min(next_price, limit)
            price, step_in, step_out = compute_step(price, target, liquidity, remaining, fee_pips)
            if exact_input:
                remaining -= step_in
                calculated += step_out
            else:
                remaining += step_out
                calculated += step_in
            if price == next_price:
                if initialized:
                    liquidity += -nets[at] if zero_for_one else nets[at]
                    if not 0 <= liquidity <= MAX_UINT128:
                        raise InsufficientLiquidity(f"the ticks of {self.address} do not add up at {step_tick}")
                    at += -1 if zero_for_one else 1
                tick = final = step_tick - 1 if zero_for_one else step_tick
            elif price != start:
                final = None
        if exact_input:
            return SwapResult(amount_specified - remaining, calculated, price, liquidity, final)
        return SwapResult(calculated, remaining - amount_specified, price, liquidity, final)

    @abstractmethod
    def apply(self, log: Log) -> Self:
        """The state after ``log``; the same object when the log does not change it."""

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads; see docs/venues.md."""
        return {
            "venue": self.venue.value,
            "address": self.address,
            "dex": self.dex,
            "token0": self.token0,
            "token1": self.token1,
            "fee_pips": self.fee_pips,
            "tick_spacing": self.tick_spacing,
            "sqrt_price_x96": str(self.sqrt_price_x96),
            "tick": self.tick,
            "liquidity": str(self.liquidity),
            "ticks": [
                [tick, str(net), str(gross)]
                for tick, net, gross in zip(self.tick_indices, self.liquidity_net, self.liquidity_gross, strict=True)
            ],
        }

    def _swap_step(self) -> SwapStep:
        """The venue's ``SwapMath.computeSwapStep``; arguments and results as `compute_swap_step` has them."""
        return compute_swap_step

    def _swapped(self, price: int, liquidity: int, tick: int) -> Self:
        """The state after a swap; the arguments are the event's words."""
        check_price(price, signed(tick), "log.data")
        bounded(liquidity, "log.data", MAX_UINT128)
        return self._at(price, signed(tick), liquidity)

    def _at(self, price: int, tick: int, liquidity: int) -> Self:
        """The same ticks at another price."""
        return replace(self, sqrt_price_x96=price, tick=tick, liquidity=liquidity)

    def _position_changed(self, lower: int, upper: int, amount: int) -> Self:
        """The state after a position grew by ``amount``, or shrank where it is negative."""
        if not (MIN_TICK <= lower < upper <= MAX_TICK and lower % self.tick_spacing == upper % self.tick_spacing == 0):
            raise InputError("log", (lower, upper), f"The pool's ticks are multiples of {self.tick_spacing}.")
        bounded(abs(amount), "log.data", MAX_UINT128)
        if amount == 0:
            return self
        ticks, nets, grosses = list(self.tick_indices), list(self.liquidity_net), list(self.liquidity_gross)
        for tick, net in ((lower, amount), (upper, -amount)):
            at = bisect_left(ticks, tick)
            if at == len(ticks) or ticks[at] != tick:
                ticks.insert(at, tick)
                nets.insert(at, 0)
                grosses.insert(at, 0)
            nets[at] += net
            grosses[at] += amount
            if not 0 <= grosses[at] <= MAX_UINT128:
                raise InputError(
                    "log.data", amount, f"Tick {tick} would hold {grosses[at]}: the state is not the pool's."
                )
            if grosses[at] == 0:
                del ticks[at], nets[at], grosses[at]
        liquidity = self.liquidity
        if lower <= self.tick < upper:
            liquidity += amount
            if not 0 <= liquidity <= MAX_UINT128:
                raise InputError("log.data", amount, f"Liquidity would be {liquidity}: the state is not the pool's.")
        return replace(
            self,
            liquidity=liquidity,
            tick_indices=tuple(ticks),
            liquidity_net=tuple(nets),
            liquidity_gross=tuple(grosses),
        )


def check_price(price: int, tick: int, name: str) -> None:
    """Refuse a price outside the contract's range or a tick that does not go with it."""
    if not MIN_SQRT_RATIO <= price < MAX_SQRT_RATIO:
        raise InputError(name, price, f"A square-root price is from {MIN_SQRT_RATIO} to below {MAX_SQRT_RATIO}.")
    if MIN_TICK <= tick < MAX_TICK and get_sqrt_ratio_at_tick(tick) <= price < get_sqrt_ratio_at_tick(tick + 1):
        return
    at = get_tick_at_sqrt_ratio(price)
    # after a swap down that stopped exactly at a tick, slot0 names the tick below
    if tick != at and not (tick == at - 1 and price == get_sqrt_ratio_at_tick(at)):
        raise InputError("tick", tick, f"The price {price} is at tick {at}.")


def read_ranges(state: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that price and liquidity of every such pool have in its JSON form."""
    spacing = read_int(state, "tick_spacing", 1, MAX_TICK_SPACING)
    price = read_int(state, "sqrt_price_x96", 0, MAX_SQRT_RATIO - 1)
    tick = read_int(state, "tick", MIN_TICK, MAX_TICK)
    if price:
        check_price(price, tick, "sqrt_price_x96")
    indices, nets, grosses = _read_ticks(read(state, "ticks"), spacing)
    return {
        "tick_spacing": spacing,
        "sqrt_price_x96": price,
        "tick": tick,
        "liquidity": read_int(state, "liquidity", 0, MAX_UINT128),
        "tick_indices": indices,
        "liquidity_net": nets,
        "liquidity_gross": grosses,
    }


def _read_ticks(rows: object, spacing: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    if not isinstance(rows, list):
        raise InputError("ticks", rows, "Give a list of [tick, liquidity_net, liquidity_gross].")
    indices: list[int] = []
    nets: list[int] = []
    grosses: list[int] = []
    for number, row in enumerate(rows):
        name = f"ticks[{number}]"
        if not isinstance(row, list | tuple) or len(row) != 3:
            raise InputError(name, row, "Give [tick, liquidity_net, liquidity_gross].")
        tick = to_int(row[0], f"{name}[0]", MIN_TICK, MAX_TICK)
        if tick % spacing or (indices and tick <= indices[-1]):
            raise InputError(f"{name}[0]", tick, f"Give ascending multiples of the tick spacing {spacing}.")
        indices.append(tick)
        nets.append(to_int(row[1], f"{name}[1]", MIN_INT128, MAX_INT128))
        grosses.append(to_int(row[2], f"{name}[2]", 1, MAX_UINT128))
    return tuple(indices), tuple(nets), tuple(grosses)
