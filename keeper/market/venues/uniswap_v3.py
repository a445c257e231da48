"""Uniswap V3 pools and the forks that a V3 pool's callback pays: liquidity concentrated in ranges of ticks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from eth_utils.crypto import keccak

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.domain.units import to_address
from keeper.market.venues.concentrated import (
    MAX_TICK_SPACING,
    WORD_BITS,
    ConcentratedPool,
    SwapResult,
    check_price,
    read_ranges,
)
from keeper.market.venues.fields import FEE_DENOMINATOR, read, read_int, read_text, read_tokens, signed, words

__all__ = ["MAX_TICK_SPACING", "WORD_BITS", "PancakeSwapV3Pool", "SwapResult", "UniswapV3Pool"]

INITIALIZE_TOPIC = keccak(text="Initialize(uint160,int24)")
SWAP_TOPIC = keccak(text="Swap(address,address,int256,int256,uint160,uint128,int24)")
PANCAKE_SWAP_TOPIC = keccak(text="Swap(address,address,int256,int256,uint160,uint128,int24,uint128,uint128)")
MINT_TOPIC = keccak(text="Mint(address,address,int24,int24,uint128,uint256,uint256)")
BURN_TOPIC = keccak(text="Burn(address,int24,int24,uint128,uint256,uint256)")


@dataclass(frozen=True, slots=True)
class _V3Pool(ConcentratedPool):
    """What Uniswap V3 and its forks have in common."""

    def apply(self, log: Log) -> Self:
        """The state after ``Swap`` (Uniswap's or Pancake's), ``Mint``, ``Burn`` or ``Initialize``.

        Other events, changes of the protocol's fee share among them, change no amount.
        """
        match log.topics[0] if log.topics else None:
            case topic if topic == SWAP_TOPIC:
                _, _, price, liquidity, tick = words(log, 5)
                return self._swapped(price, liquidity, tick)
            case topic if topic == PANCAKE_SWAP_TOPIC:
                # the two further words are the protocol's shares of the fee
                _, _, price, liquidity, tick, _, _ = words(log, 7)
                return self._swapped(price, liquidity, tick)
            case topic if topic == INITIALIZE_TOPIC:
                price, tick = words(log, 2)
                check_price(price, signed(tick), "log.data")
                return replace(self, sqrt_price_x96=price, tick=signed(tick))
            case topic if topic == MINT_TOPIC:
                return self._position_changed(*_range(log), words(log, 4)[1])
            case topic if topic == BURN_TOPIC:
                return self._position_changed(*_range(log), -words(log, 3)[0])
            case _:
                return self

    def _at(self, price: int, tick: int, liquidity: int) -> Self:
        # `replace` takes several times as long, and most logs of these pools are swaps
        names = (self.address, self.dex, self.token0, self.token1, self.fee_pips, self.tick_spacing)
        ticks = (self.tick_indices, self.liquidity_net, self.liquidity_gross)
        return type(self)(*names, price, tick, liquidity, *ticks)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        token0, token1 = read_tokens(state)
        return cls(
            address=to_address(read(state, "address"), "address"),
            dex=read_text(state, "dex"),
            token0=token0,
            token1=token1,
            fee_pips=read_int(state, "fee_pips", 0, FEE_DENOMINATOR - 1),
            **read_ranges(state),
        )


@dataclass(frozen=True, slots=True)
class UniswapV3Pool(_V3Pool):
    """The state of one pool of Uniswap V3; `ConcentratedPool` has its attributes."""

    @property
    def venue(self) -> VenueKind:
        return VenueKind.UNISWAP_V3


@dataclass(frozen=True, slots=True)
class PancakeSwapV3Pool(_V3Pool):
    """The same maths under other fees (0.01, 0.05, 0.25 and 1%); it calls back ``pancakeV3SwapCallback``."""

    @property
    def venue(self) -> VenueKind:
        return VenueKind.PANCAKESWAP_V3


def _range(log: Log) -> tuple[int, int]:
    """The lower and upper tick that ``Mint`` and ``Burn`` have among their topics."""
    if len(log.topics) != 4:
        raise InputError("log.topics", f"{len(log.topics)} topics", "Mint and Burn have four.")
    lower, upper = (signed(int.from_bytes(topic, "big")) for topic in log.topics[2:])
    return lower, upper
