"""Uniswap V3 pools and their forks: liquidity concentrated in ranges of ticks."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple, Self

from eth_utils.crypto import keccak

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.domain.units import Address, to_address
from keeper.market.venues.base import InsufficientLiquidity
from keeper.market.venues.fields import (
    FEE_DENOMINATOR,
    MAX_INT128,
    MAX_UINT128,
    MIN_INT128,
    bounded,
    read,
    read_int,
    read_text,
    read_tokens,
    signed,
    to_int,
    words,
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

INITIALIZE_TOPIC = keccak(text="Initialize(uint160,int24)")
SWAP_TOPIC = keccak(text="Swap(address,address,int256,int256,uint160,uint128,int24)")
PANCAKE_SWAP_TOPIC = keccak(text="Swap(address,address,int256,int256,uint160,uint128,int24,uint128,uint128)")
MINT_TOPIC = keccak(text="Mint(address,address,int24,int24,uint128,uint256,uint256)")
BURN_TOPIC = keccak(text="Burn(address,int24,int24,uint128,uint256,uint256)")

WORD_BITS = 256
"""Ticks in one word of the pool's bitmap."""
MAX_TICK_SPACING = 16_384


class SwapResult(NamedTuple):
    """Amounts swapped, the fee within ``amount_in``, and the pool's price and liquidity afterwards."""

    amount_in: int
    amount_out: int
    sqrt_price_x96: int
    liquidity: int


@dataclass(frozen=True, slots=True)
class UniswapV3Pool:
    """The state of one pool.

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
    def venue(self) -> VenueKind:
        return VenueKind.UNISWAP_V3

    def amount_out(self, token_in: Address, amount_in: int) -> int:
        """What ``QuoterV2.quoteExactInputSingle`` answers where the pool can take the whole input."""
        if amount_in <= 0:
            raise InputError("amount_in", amount_in, "Give a positive amount.")
        result = self.swap(self._is_token0(token_in, "token_in"), amount_in)
        if result.amount_in != amount_in:
            raise InsufficientLiquidity(f"{self.address} takes no more than {result.amount_in} of {token_in}")
        return result.amount_out

    def amount_in(self, token_out: Address, amount_out: int) -> int:
        """What ``QuoterV2.quoteExactOutputSingle`` answers where the pool can pay the whole output."""
        if amount_out <= 0:
            raise InputError("amount_out", amount_out, "Give a positive amount.")
        result = self.swap(not self._is_token0(token_out, "token_out"), -amount_out)
        if result.amount_out != amount_out:
            raise InsufficientLiquidity(f"{self.address} pays no more than {result.amount_out} of {token_out}")
        return result.amount_in

    def marginal_price(self, token_in: Address) -> Fraction:
        """Raw units paid out per raw unit of ``token_in`` for a vanishing input, fee included."""
        zero_for_one = self._is_token0(token_in, "token_in")
        if self.sqrt_price_x96 == 0 or self.liquidity == 0:
            raise InsufficientLiquidity(f"{self.address} has no liquidity at its price")
        square = self.sqrt_price_x96**2
        price, unit = (square, 1 << 192) if zero_for_one else (1 << 192, square)
        return Fraction(price * (FEE_DENOMINATOR - self.fee_pips), unit * FEE_DENOMINATOR)

    def swap(self, zero_for_one: bool, amount_specified: int, sqrt_price_limit_x96: int | None = None) -> SwapResult:
        """``UniswapV3Pool.swap``: like it, this stops at the price limit with whatever was swapped by then.

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
        spacing, fee_pips = self.tick_spacing, self.fee_pips
        exact_input = amount_specified > 0
        # the next initialised tick: at or below the current one going down, above it going up
        at = bisect_right(ticks, tick) - (1 if zero_for_one else 0)
        remaining, calculated = amount_specified, 0
        while remaining != 0 and price != limit:
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
            price, step_in, step_out = compute_swap_step(price, target, liquidity, remaining, fee_pips)
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
                tick = step_tick - 1 if zero_for_one else step_tick
        if exact_input:
            return SwapResult(amount_specified - remaining, calculated, price, liquidity)
        return SwapResult(calculated, remaining - amount_specified, price, liquidity)

    def apply(self, log: Log) -> Self:
        """The state after ``Swap`` (Uniswap's or Pancake's), ``Mint``, ``Burn`` or ``Initialize``.

        Other events, changes of the protocol's fee share among them, change no amount.
        """
        match log.topics[0] if log.topics else None:
            case topic if topic == SWAP_TOPIC:
                _, _, price, liquidity, tick = words(log, 5)
            case topic if topic == PANCAKE_SWAP_TOPIC:
                _, _, price, liquidity, tick, _, _ = words(log, 7)
            case topic if topic == INITIALIZE_TOPIC:
                price, tick = words(log, 2)
                liquidity = self.liquidity
            case topic if topic == MINT_TOPIC:
                return self._position_changed(log, words(log, 4)[1])
            case topic if topic == BURN_TOPIC:
                return self._position_changed(log, -words(log, 3)[0])
            case _:
                return self
        _check_price(price, signed(tick), "log.data")
        bounded(liquidity, "log.data", MAX_UINT128)
        return replace(self, sqrt_price_x96=price, tick=signed(tick), liquidity=liquidity)

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads; see `keeper.market.venues`."""
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

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        token0, token1 = read_tokens(state)
        spacing = read_int(state, "tick_spacing", 1, MAX_TICK_SPACING)
        price = read_int(state, "sqrt_price_x96", 0, MAX_SQRT_RATIO - 1)
        tick = read_int(state, "tick", MIN_TICK, MAX_TICK)
        if price:
            _check_price(price, tick, "sqrt_price_x96")
        indices, nets, grosses = _read_ticks(read(state, "ticks"), spacing)
        return cls(
            address=to_address(read(state, "address"), "address"),
            dex=read_text(state, "dex"),
            token0=token0,
            token1=token1,
            fee_pips=read_int(state, "fee_pips", 0, FEE_DENOMINATOR - 1),
            tick_spacing=spacing,
            sqrt_price_x96=price,
            tick=tick,
            liquidity=read_int(state, "liquidity", 0, MAX_UINT128),
            tick_indices=indices,
            liquidity_net=nets,
            liquidity_gross=grosses,
        )

    def _is_token0(self, token: Address, name: str) -> bool:
        if token == self.token0:
            return True
        if token == self.token1:
            return False
        raise InputError(name, token, f"Pool {self.address} trades {self.token0} and {self.token1}.")

    def _position_changed(self, log: Log, amount: int) -> Self:
        """The state after a position grew by ``amount``, or shrank where it is negative."""
        if len(log.topics) != 4:
            raise InputError("log.topics", f"{len(log.topics)} topics", "Mint and Burn have four.")
        lower, upper = (signed(int.from_bytes(topic, "big")) for topic in log.topics[2:])
        if not (MIN_TICK <= lower < upper <= MAX_TICK and lower % self.tick_spacing == upper % self.tick_spacing == 0):
            raise InputError("log.topics", (lower, upper), f"The pool's ticks are multiples of {self.tick_spacing}.")
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


def _check_price(price: int, tick: int, name: str) -> None:
    """Refuse a price outside the contract's range or a tick that does not go with it."""
    if not MIN_SQRT_RATIO <= price < MAX_SQRT_RATIO:
        raise InputError(name, price, f"A square-root price is from {MIN_SQRT_RATIO} to below {MAX_SQRT_RATIO}.")
    at = get_tick_at_sqrt_ratio(price)
    # after a swap down that stopped exactly at a tick, slot0 names the tick below
    if tick != at and not (tick == at - 1 and price == get_sqrt_ratio_at_tick(at)):
        raise InputError("tick", tick, f"The price {price} is at tick {at}.")


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
