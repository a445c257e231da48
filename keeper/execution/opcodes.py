"""The operations of an executor stream: the same table as `contracts/libraries/Opcodes.sol`, held to it by a test."""

from __future__ import annotations

from enum import IntEnum

from keeper.domain.token import LenderKind
from keeper.domain.units import Address


class Opcode(IntEnum):
    """The first byte of an operation without its flags."""

    UNISWAP_V2 = 0x80
    """Its input lies in the pool."""
    UNISWAP_V2_PAID = 0xC0
    """The executor pays its input first, in the profit token."""
    UNISWAP_V2_FLASH = 0xD0
    """Called back; pays the executor."""
    UNISWAP_V3 = 0x50
    """Called back."""
    UNISWAP_V3_PAYS = 0x58
    """Called back; at the end of that the executor pays it, in the profit token."""
    UNISWAP_V3_BOUNDED = 0x40
    """Called back for its own operations; the frame goes on behind them."""
    UNISWAP_V3_BOUNDED_PAYS = 0x48
    UNISWAP_V3_DIRECT = 0x60
    """Called back to be paid, in the profit token, and for nothing else."""

    PAY = 0x01
    PAY_ADDRESS = 0x02
    WRAP = 0x03
    UNWRAP = 0x04
    V3_TOKEN = 0x05
    """As UNISWAP_V3_DIRECT, in a token that the stream spells out."""
    CURVE_INT128 = 0x06
    CURVE_UINT256 = 0x07
    CURVE_RECEIVED = 0x08
    BALANCER_V2_SWAP = 0x09
    BALANCER_V3_UNLOCK = 0x0A
    BALANCER_V3_SWAP = 0x0B
    BALANCER_V3_TAKE = 0x0C
    BALANCER_V3_SETTLE = 0x0D

    MORPHO = 0x20
    BALANCER_V2 = 0x21
    AAVE_V3 = 0x22
    ERC3156_LOAN = 0x23
    V3_FLASH_0 = 0x24
    """`flash` of a V3 pool whose token0 is the profit token."""
    V3_FLASH_1 = 0x25
    DODO_BASE = 0x26
    """Of a pool whose base token is the profit token."""
    DODO_QUOTE = 0x27

    V4_UNLOCK = 0x28
    V4_UNLOCK_ETHEREUM = 0x29
    V4_SWAP = 0x2A
    V4_CLOSE = 0x2B
    V4_TAKE = 0x2C
    V4_SETTLE = 0x2D


class To(IntEnum):
    """Where a pool delivers."""

    CALLER = 0
    """The contract in whose callback the operation runs; at the entry, the executor."""
    NEXT = 1
    """The pool of the operation behind this one."""
    SELF = 2
    """The executor."""


V2_SWAPS = frozenset((Opcode.UNISWAP_V2, Opcode.UNISWAP_V2_PAID, Opcode.UNISWAP_V2_FLASH))
V3_CALLED = frozenset((Opcode.UNISWAP_V3, Opcode.UNISWAP_V3_PAYS))
V3_BOUNDED = frozenset((Opcode.UNISWAP_V3_BOUNDED, Opcode.UNISWAP_V3_BOUNDED_PAYS))
V3_SWAPS = V3_CALLED | V3_BOUNDED | {Opcode.UNISWAP_V3_DIRECT}
SWAPS = V2_SWAPS | V3_SWAPS
"""What the short way of the contract serves."""
LOANS = frozenset(Opcode(code) for code in range(Opcode.MORPHO, Opcode.DODO_QUOTE + 1))
UNLOCKS = frozenset((Opcode.V4_UNLOCK, Opcode.V4_UNLOCK_ETHEREUM, Opcode.BALANCER_V3_UNLOCK))
CALLED_BACK = V3_CALLED | LOANS | UNLOCKS | {Opcode.UNISWAP_V2_FLASH}
"""What follows one of these in a frame runs in its callback."""
PAYS = frozenset((Opcode.UNISWAP_V3_PAYS, Opcode.UNISWAP_V3_BOUNDED_PAYS, Opcode.UNISWAP_V3_DIRECT))
"""The profit token goes to the pool at the end of its callback."""
LENDERS = {
    LenderKind.MORPHO: Opcode.MORPHO,
    LenderKind.BALANCER_V2: Opcode.BALANCER_V2,
    LenderKind.AAVE_V3: Opcode.AAVE_V3,
    LenderKind.SPARK: Opcode.AAVE_V3,
    LenderKind.ERC3156: Opcode.ERC3156_LOAN,
}
"""Lenders of which one operation is enough, whatever the token."""

TO_MASK = 0x03
V2, V2_PAID_FLAG, V2_CALLED_FLAG = 0x80, 0x40, 0x10
V2_ZERO_FOR_ONE, V2_CALLED_ZERO_FOR_ONE = 0x20, 0x08
V3, V3_DIRECT_FLAG, V3_CALLED_FLAG, V3_PAYS_FLAG, V3_ZERO_FOR_ONE = 0x40, 0x20, 0x10, 0x08, 0x04
V4_ZERO_FOR_ONE, V4_SAME, V4_CHAINED, V4_HOOKED = 0x01, 0x02, 0x04, 0x08

HEAD_WIDTH = 1
ADDRESS_WIDTH = 20
AMOUNT_WIDTH = 14
TARGET_WIDTH = 35
FIRST_MASK = 0x70
HAS_PARENT, HAS_BUILDER, HAS_WATCHED = 0x80, 0x40, 0x20
"""Flags of the general header."""
BPS = 10_000
MANTISSA_BITS = 24
PARENT_WIDTH = 4
LAST_BLOCK_LIMIT = 1 << 32
MIN_PROFIT_LIMIT = 1 << 112

NATIVE = 5
TOKEN_NUMBERS = {
    Address("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"): 1,  # WETH on Ethereum
    Address("0x4200000000000000000000000000000000000006"): 2,  # WETH on Base and Optimism
    Address("0x82aF49447D8a07e3bd95BD0d56f35241523fBab1"): 3,  # WETH on Arbitrum
    Address("0x0d500B1d8E8eF31E21C99d1Db9A6444d3ADf1270"): 4,  # WPOL on Polygon
    Address("0x0000000000000000000000000000000000000000"): NATIVE,
}
"""Profit tokens that a stream names by a number; the others it spells out. The chain's coin is the zero address."""
SHORT = 1
"""Number of the token that a short header stands for, unless the coin itself is earned through V4."""
ETHEREUM_POOL_MANAGER = Address("0x000000000004444c5dc75cB358380D2e3dE08A90")
