"""The operations of an executor stream: the same table as `contracts/libraries/Opcodes.sol`, held to it by a test."""

from __future__ import annotations

from enum import IntEnum, IntFlag

from keeper.domain.token import LenderKind


class Opcode(IntEnum):
    UNISWAP_V2 = 0x01
    UNISWAP_V3 = 0x02
    PAY = 0x03
    MORPHO = 0x10
    BALANCER_V2 = 0x11
    AAVE_V3 = 0x12


class To(IntEnum):
    """Where a pool delivers or a payment goes: the two low bits of the flags."""

    SELF = 0
    """The executor."""
    NEXT = 1
    """The pool of the next operation."""
    CALLER = 2
    """The pool in whose callback the operation runs."""
    EXPLICIT = 3
    """An address in the operation."""


class Flag(IntFlag):
    ZERO_FOR_ONE = 0x04
    """The pool's token0 goes in and its token1 comes out."""
    CALL_BACK = 0x08
    """Uniswap V2: pay out first and run the rest of the stream in the callback."""
    AS_ASKED = 0x10
    """PAY: what the calling V3 pool asks for, instead of an amount in the operation."""


TO_MASK = 0x03
KNOWN_FLAGS = {
    Opcode.UNISWAP_V2: TO_MASK | Flag.ZERO_FOR_ONE | Flag.CALL_BACK,
    Opcode.UNISWAP_V3: TO_MASK | Flag.ZERO_FOR_ONE,
    Opcode.PAY: TO_MASK | Flag.AS_ASKED,
    Opcode.MORPHO: 0,
    Opcode.BALANCER_V2: 0,
    Opcode.AAVE_V3: 0,
}
LOANS = {
    LenderKind.MORPHO: Opcode.MORPHO,
    LenderKind.BALANCER_V2: Opcode.BALANCER_V2,
    LenderKind.AAVE_V3: Opcode.AAVE_V3,
}

HEAD_WIDTH = 2
ADDRESS_WIDTH = 20
AMOUNT_WIDTH = 14
"""Bytes of an amount in an operation: 112 bits, as wide as a Uniswap V2 reserve."""
MIN_PROFIT_WIDTH = 16
MIN_PROFIT_LIMIT = 1 << 96
"""Keeps the first four bytes of a stream zero, so that no stream starts with a function selector."""
GUARD_WIDTH = 4
PARENT_WIDTH = 4
HAS_PARENT = 1 << 31
"""In the guard: a prefix of the parent block's hash follows; the other 31 bits are the last valid block."""
