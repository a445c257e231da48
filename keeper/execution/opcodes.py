"""The operations of an executor stream: the same table as `contracts/libraries/Opcodes.sol`, held to it by a test."""

from __future__ import annotations

from enum import IntEnum

from keeper.domain.token import LenderKind
from keeper.domain.units import Address


class Opcode(IntEnum):
    """The five high bits of an operation's first byte."""

    UNISWAP_V2 = 0x01
    UNISWAP_V3 = 0x02
    UNISWAP_V2_FLASH = 0x03
    UNISWAP_V2_PAID = 0x09
    UNISWAP_V3_PAID = 0x0A
    MORPHO = 0x10
    BALANCER_V2 = 0x11
    AAVE_V3 = 0x12


class To(IntEnum):
    """Where a pool delivers: the two low bits of a swap's flags."""

    SELF = 0
    """The executor."""
    NEXT = 1
    """The pool of the next operation."""
    CALLER = 2
    """The contract in whose callback the operation runs."""
    EXPLICIT = 3
    """An address in the operation."""


FLAG_BITS = 3
TO_MASK = 0x03
ZERO_FOR_ONE = 0x04
"""Flag of a swap: the pool's token0 goes in and its token1 comes out."""

V3_SWAPS = frozenset((Opcode.UNISWAP_V3, Opcode.UNISWAP_V3_PAID))
SWAPS = V3_SWAPS | {Opcode.UNISWAP_V2, Opcode.UNISWAP_V2_PAID, Opcode.UNISWAP_V2_FLASH}
PAID = frozenset((Opcode.UNISWAP_V2_PAID, Opcode.UNISWAP_V3_PAID))
CALLED_BACK = frozenset(set(Opcode) - {Opcode.UNISWAP_V2, Opcode.UNISWAP_V2_PAID})
"""What follows one of these in a stream runs in its callback."""
LOANS = {
    LenderKind.MORPHO: Opcode.MORPHO,
    LenderKind.BALANCER_V2: Opcode.BALANCER_V2,
    LenderKind.AAVE_V3: Opcode.AAVE_V3,
}

HEAD_WIDTH = 1
ADDRESS_WIDTH = 20
AMOUNT_WIDTH = 14
"""Bytes of an amount in an operation: 112 bits, as wide as a Uniswap V2 reserve."""
MIN_PROFIT_WIDTH = 16
MIN_PROFIT_LIMIT = 1 << 96
"""Keeps the first four bytes of a stream zero, so that no stream starts with a function selector."""
GUARD_WIDTH = 4
PARENT_WIDTH = 4
HAS_PARENT = 1 << 31
"""In the guard: a prefix of the parent block's hash follows."""
TOKEN_SHIFT = 28
"""In the guard: the number of the profit token, three bits; below it the last valid block."""
LAST_BLOCK_LIMIT = 1 << TOKEN_SHIFT

TOKEN_NUMBERS = {
    Address("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"): 1,  # WETH on Ethereum
    Address("0x4200000000000000000000000000000000000006"): 2,  # WETH on Base and Optimism
    Address("0x82aF49447D8a07e3bd95BD0d56f35241523fBab1"): 3,  # WETH on Arbitrum
    Address("0x0d500B1d8E8eF31E21C99d1Db9A6444d3ADf1270"): 4,  # WPOL on Polygon
}
"""Profit tokens that a stream names by a number; the others it spells out."""
