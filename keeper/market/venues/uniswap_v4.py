"""Uniswap V4 pools without hooks: the maths of V3 in one contract that holds every pool under its id.

Ether itself is a token here, under the zero address. Pools with hooks or with a dynamic fee are refused: what they
charge and pay is up to another contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from eth_utils.crypto import keccak

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.domain.swap_detail import V4Key
from keeper.domain.token import VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address, Hash32, to_address, to_hash32
from keeper.market.venues.arithmetic import div_up
from keeper.market.venues.base import InsufficientLiquidity, is_token0
from keeper.market.venues.concentrated import (
    ConcentratedPool,
    SwapResult,
    SwapStep,
    check_price,
    read_ranges,
)
from keeper.market.venues.fields import (
    FEE_DENOMINATOR,
    MAX_INT128,
    bounded,
    read,
    read_int,
    read_text,
    read_tokens,
    signed,
    words,
)
from keeper.market.venues.sqrt_price_math import (
    get_amount0_delta,
    get_amount1_delta,
    get_next_sqrt_price_from_input,
    get_next_sqrt_price_from_output,
)
from keeper.market.venues.tick_math import MAX_TICK, MIN_TICK

INITIALIZE_TOPIC = keccak(text="Initialize(bytes32,address,address,uint24,int24,address,uint160,int24)")
SWAP_TOPIC = keccak(text="Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)")
MODIFY_LIQUIDITY_TOPIC = keccak(text="ModifyLiquidity(bytes32,address,int24,int24,int256,bytes32)")
PROTOCOL_FEE_TOPIC = keccak(text="ProtocolFeeUpdated(bytes32,uint24)")
MAX_PROTOCOL_FEE = 1000
"""In each direction, millionths."""
_DIRECTION_BITS = 12


def to_pool_id(token0: Address, token1: Address, fee_pips: int, tick_spacing: int) -> Hash32:
    """The id of the pool with this key and no hooks."""
    words = (int(token0, 16), int(token1, 16), fee_pips, tick_spacing, 0)
    return Hash32("0x" + keccak(b"".join(word.to_bytes(32, "big") for word in words)).hex())


def calculate_swap_fee(protocol_fee: int, lp_fee: int) -> int:
    """``ProtocolFeeLibrary.calculateSwapFee``: the protocol takes its part first, the rest pays the pool's fee."""
    return protocol_fee + lp_fee - protocol_fee * lp_fee // FEE_DENOMINATOR


def compute_swap_step(
    sqrt_price_current_x96: int,
    sqrt_price_target_x96: int,
    liquidity: int,
    amount_remaining: int,
    fee_pips: int,
) -> tuple[int, int, int]:
    """V4's ``SwapMath.computeSwapStep``; arguments and results as V3's have here.

    It differs from V3's where a price that the amount does not reach rounds to the target all the same: here the
    whole amount is then taken.
    """
    if sqrt_price_current_x96 >= sqrt_price_target_x96:
        zero_for_one, delta_in, delta_out = True, get_amount0_delta, get_amount1_delta
    else:
        zero_for_one, delta_in, delta_out = False, get_amount1_delta, get_amount0_delta
    kept = FEE_DENOMINATOR - fee_pips
    next_x96 = sqrt_price_target_x96
    if amount_remaining >= 0:
        amount_in = delta_in(sqrt_price_target_x96, sqrt_price_current_x96, liquidity, True)
        less_fee = amount_remaining * kept // FEE_DENOMINATOR
        if less_fee >= amount_in:
            amount_in += div_up(amount_in * fee_pips, kept)
        else:
            amount_in = amount_remaining
            next_x96 = get_next_sqrt_price_from_input(sqrt_price_current_x96, liquidity, less_fee, zero_for_one)
        return next_x96, amount_in, delta_out(next_x96, sqrt_price_current_x96, liquidity, False)
    amount_out = delta_out(sqrt_price_target_x96, sqrt_price_current_x96, liquidity, False)
    if -amount_remaining < amount_out:
        amount_out = -amount_remaining
        next_x96 = get_next_sqrt_price_from_output(sqrt_price_current_x96, liquidity, amount_out, zero_for_one)
    amount_in = delta_in(next_x96, sqrt_price_current_x96, liquidity, True)
    return next_x96, amount_in + div_up(amount_in * fee_pips, kept), amount_out


@dataclass(frozen=True, slots=True)
class UniswapV4Pool(ConcentratedPool):
    """The state of one pool; ``address`` is the PoolManager's, which all pools share.

    Attributes:
        pool_id: hash of the pool's key.
        protocol_fee: as in ``slot0``: of swaps of token0 in the lower 12 bits, of token1 in the upper 12, millionths.
    """

    pool_id: Hash32
    protocol_fee: int

    @property
    def key(self) -> Address:
        return Address(self.pool_id)

    @property
    def holder(self) -> tuple[Address, bytes]:
        return self.address, bytes.fromhex(self.pool_id[2:])

    @property
    def venue(self) -> VenueKind:
        return VenueKind.UNISWAP_V4

    def swap_detail(self, token_in: Address) -> V4Key:
        """The pool's key, and the PoolManager that is called."""
        is_token0(self, token_in, "token_in")
        return V4Key(
            manager=self.address,
            currency0=self.token0,
            currency1=self.token1,
            fee_pips=self.fee_pips,
            tick_spacing=self.tick_spacing,
            hooks=ZERO_ADDRESS,
        )

    def swap_fee_pips(self, zero_for_one: bool) -> int:
        share = self.protocol_fee % (1 << _DIRECTION_BITS) if zero_for_one else self.protocol_fee >> _DIRECTION_BITS
        return calculate_swap_fee(share, self.fee_pips)

    def swap(self, zero_for_one: bool, amount_specified: int, sqrt_price_limit_x96: int | None = None) -> SwapResult:
        result = ConcentratedPool.swap(self, zero_for_one, amount_specified, sqrt_price_limit_x96)
        if max(result.amount_in, result.amount_out) > MAX_INT128:
            raise InsufficientLiquidity("the PoolManager counts in 128 bits with a sign")
        return result

    def apply(self, log: Log) -> Self:
        """The state after an event of the PoolManager that names the pool; donations change no amount."""
        if log.address != self.address or log.topics[1:2] != (bytes.fromhex(self.pool_id[2:]),):
            return self
        match log.topics[0]:
            case topic if topic == SWAP_TOPIC:
                _, _, price, liquidity, tick, _ = words(log, 6)
                return self._swapped(price, liquidity, tick)
            case topic if topic == MODIFY_LIQUIDITY_TOPIC:
                lower, upper, delta, _ = words(log, 4)
                ends = signed(lower), signed(upper)
                if any(not MIN_TICK <= end <= MAX_TICK for end in ends):
                    raise InputError("log.data", ends, "Ticks are within the contract's range.")
                return self._position_changed(*ends, signed(delta))
            case topic if topic == PROTOCOL_FEE_TOPIC:
                (fee,) = words(log, 1)
                _check_protocol_fee(fee, "log.data")
                return replace(self, protocol_fee=fee)
            case topic if topic == INITIALIZE_TOPIC:
                _, _, _, price, tick = words(log, 5)
                check_price(price, signed(tick), "log.data")
                return replace(self, sqrt_price_x96=price, tick=signed(tick))
            case _:
                return self

    def to_json(self) -> dict[str, Any]:
        return {**ConcentratedPool.to_json(self), "pool_id": self.pool_id, "protocol_fee": self.protocol_fee}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        token0, token1 = read_tokens(state)
        fee_pips = read_int(state, "fee_pips", 0, FEE_DENOMINATOR - 1)
        ranges = read_ranges(state)
        hooks = to_address(state.get("hooks", ZERO_ADDRESS), "hooks")
        if hooks != ZERO_ADDRESS:
            raise InputError("hooks", hooks, "Only pools without hooks can be computed.")
        pool_id = to_pool_id(token0, token1, fee_pips, ranges["tick_spacing"])
        given = to_hash32(state.get("pool_id", pool_id), "pool_id")
        if given != pool_id:
            raise InputError("pool_id", given, f"Tokens, fee and tick spacing make the id {pool_id}.")
        protocol_fee = read_int({"protocol_fee": 0, **state}, "protocol_fee", 0, (1 << 2 * _DIRECTION_BITS) - 1)
        _check_protocol_fee(protocol_fee, "protocol_fee")
        return cls(
            address=to_address(read(state, "address"), "address"),
            dex=read_text(state, "dex"),
            token0=token0,
            token1=token1,
            fee_pips=fee_pips,
            **ranges,
            pool_id=pool_id,
            protocol_fee=protocol_fee,
        )

    def _swap_step(self) -> SwapStep:
        return compute_swap_step


def _check_protocol_fee(fee: int, name: str) -> None:
    bounded(fee, name, (1 << 2 * _DIRECTION_BITS) - 1)
    if max(fee % (1 << _DIRECTION_BITS), fee >> _DIRECTION_BITS) > MAX_PROTOCOL_FEE:
        raise InputError(name, fee, f"The protocol takes at most {MAX_PROTOCOL_FEE} millionths in each direction.")
