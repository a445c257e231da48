"""Turns routes and their financing into the executor's calldata, and reads such calldata back.

    stream = lastBlock(4) minProfit(4) | op...             WETH on Ethereum, or the coin itself through V4; nothing else
           = 0(4) minProfit(4) flags(1) lastBlock(4) [parent(4)] [bps(2)] [token(20)] [count(1) watched(20)...] | op...

A minimum profit is a number of 24 bits times a power of two: what is asked for is rounded down to that.

Routes of V2 and V3 pools that finance themselves have the layout of `keeper.execution.nesting`, all others that of
`keeper.execution.sequence`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from eth_utils.address import to_checksum_address

from keeper.domain.errors import InputError
from keeper.domain.joint_route import JointRoute
from keeper.domain.plan import Financing
from keeper.domain.route import Route
from keeper.domain.token import LenderKind
from keeper.domain.units import ZERO_ADDRESS, Address, Hash32, to_hash32
from keeper.execution.nesting import NESTED_VENUES, nest
from keeper.execution.opcodes import (
    ADDRESS_WIDTH,
    BPS,
    ETHEREUM_POOL_MANAGER,
    FIRST_MASK,
    HAS_BUILDER,
    HAS_PARENT,
    HAS_WATCHED,
    LAST_BLOCK_LIMIT,
    MANTISSA_BITS,
    MIN_PROFIT_LIMIT,
    NATIVE,
    PARENT_WIDTH,
    SHORT,
    TARGET_WIDTH,
    TOKEN_NUMBERS,
    V3_CALLED,
    Opcode,
)
from keeper.execution.operations import (
    Loan,
    Operation,
    Step,
    Swap,
    V4Swap,
    address_bytes,
    operations_bytes,
    step,
)
from keeper.execution.sequence import arrange
from keeper.execution.stream_reader import Reader, Way, read_operations

__all__ = ["MAX_HOPS", "MAX_LEGS", "Loan", "Operation", "Step", "Stream", "Swap", "V4Swap", "decode", "encode"]

MAX_HOPS = 8
MAX_LEGS = 32
TOKENS = {number: token for token, number in TOKEN_NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class Stream:
    """What one call of the executor does.

    Attributes:
        min_profit: least growth of the executor's balance of ``token``, raw units, before rounding.
        last_block: the last block in which the stream may run.
        parent_prefix: first four bytes of the hash of the block it has to follow, or None.
        token: the profit token.
        builder_bps: share of the profit that the builder of the block is paid, ten-thousandths.
        watched: the other tokens that operations pay with; what the executor held of them has to be there at the end.
    """

    min_profit: int
    last_block: int
    parent_prefix: bytes | None
    token: Address
    operations: tuple[Operation, ...]
    builder_bps: int = 0
    watched: tuple[Address, ...] = ()

    @property
    def short(self) -> bool:
        """Whether the contract serves it and its callbacks by the short way."""
        first = self.operations[0] if self.operations else None
        begins = isinstance(first, Swap) and first.opcode in V3_CALLED | {Opcode.UNISWAP_V2_FLASH}
        through_v4 = isinstance(first, Step) and first.opcode is Opcode.V4_UNLOCK_ETHEREUM
        return (begins or through_v4) and self._has_short_header

    @property
    def _has_short_header(self) -> bool:
        plain = self.parent_prefix is None and not self.builder_bps and not self.watched and self.last_block > 0
        first = self.operations[0] if self.operations else None
        through_v4 = isinstance(first, Step) and first.opcode is Opcode.V4_UNLOCK_ETHEREUM
        return plain and TOKEN_NUMBERS.get(self.token) == (NATIVE if through_v4 else SHORT)

    def to_bytes(self) -> bytes:
        """The calldata; raises `InputError` for a number that does not fit its field."""
        return self.header_bytes() + operations_bytes(self.operations)

    def header_bytes(self) -> bytes:
        """What stands before the operations."""
        if not 0 <= self.last_block < LAST_BLOCK_LIMIT:
            raise InputError("last_block", self.last_block, "Give a block number from 0 to 2^32 - 1.")
        if not 0 <= self.builder_bps <= BPS:
            raise InputError("builder_bps", self.builder_bps, f"Give ten-thousandths from 0 to {BPS}.")
        last_block, min_profit = self.last_block.to_bytes(4, "big"), _min_profit_bytes(self.min_profit)
        if self._has_short_header:
            return last_block + min_profit
        number = TOKEN_NUMBERS.get(self.token, 0)
        if self.builder_bps and not number:
            raise InputError("token", self.token, "A builder is paid out of profits in the chain's coin alone.")
        flags = number | (HAS_PARENT if self.parent_prefix is not None else 0)
        flags |= (HAS_BUILDER if self.builder_bps else 0) | (HAS_WATCHED if self.watched else 0)
        return b"".join(
            (
                bytes(4),
                min_profit,
                bytes((flags,)),
                last_block,
                self.parent_prefix or b"",
                self.builder_bps.to_bytes(2, "big") if self.builder_bps else b"",
                b"" if number else address_bytes(self.token),
                bytes((len(self.watched),)) if self.watched else b"",
                *map(address_bytes, self.watched),
            )
        )


def encode(
    route: Route | JointRoute,
    financing: Financing,
    *,
    executor: Address,
    min_profit: int,
    last_block: int,
    parent_hash: Hash32 | None = None,
    builder_bps: int = 0,
    hooks: Collection[Address] = (),
) -> bytes:
    """The executor's calldata for ``route``.

    Args:
        executor: the contract that will be called; it cannot be one of the route's pools.
        min_profit: least growth of the executor's balance of the route's token, raw units, loan fee and builder already
            paid; see the module for its rounding.
        last_block: number of the last block in which the transaction may run.
        parent_hash: hash of the block it has to follow; None when any will do.
        builder_bps: share of the profit that is paid to the builder of the block, ten-thousandths.
        hooks: the hooks of Uniswap V4 that pools may have; others are refused.

    Raises:
        InputError: the route and the financing do not fit together, or a value does not fit its field.
    """
    legs = route.hops if isinstance(route, Route) else route.legs
    most = MAX_HOPS if isinstance(route, Route) else MAX_LEGS
    if len(legs) > most:
        raise InputError("route", len(legs), f"Give a route of at most {most} swaps.")
    if executor in route.pools or executor == ZERO_ADDRESS:
        raise InputError("executor", executor, "Give the address of the deployed executor contract.")
    if isinstance(route, Route) and financing.amount != route.amount_in:
        raise InputError("financing.amount", financing.amount, f"Borrow what the route takes in: {route.amount_in}.")
    if financing.kind is LenderKind.FLASH_SWAP:
        if financing.lender not in route.pools:
            raise InputError("financing.lender", financing.lender, "A flash swap goes through a pool of the route.")
    elif financing.lender in route.pools or financing.lender == ZERO_ADDRESS:
        raise InputError("financing.lender", financing.lender, "Name the lender's contract, not a pool in use.")
    watched: tuple[Address, ...] = ()
    if (
        isinstance(route, Route)
        and financing.kind is LenderKind.FLASH_SWAP
        and all(hop.venue in NESTED_VENUES for hop in legs)
    ):
        operations = nest(route.hops)
    else:
        operations, watched = arrange(route, financing, executor, hooks)
    prefix = None if parent_hash is None else bytes.fromhex(to_hash32(parent_hash, "parent_hash")[2:])[:PARENT_WIDTH]
    stream = Stream(min_profit, last_block, prefix, route.token, operations, builder_bps, watched)
    first = operations[0]
    if isinstance(first, Step) and first.opcode is Opcode.V4_UNLOCK_ETHEREUM and not stream.short:
        unlock = step(Opcode.V4_UNLOCK, manager=ETHEREUM_POOL_MANAGER)
        stream = replace(stream, operations=(unlock, *operations[1:], step(Opcode.V4_CLOSE)))
    return stream.to_bytes()


def decode(calldata: bytes) -> Stream:
    """Read a stream as strictly as the contract does.

    Raises:
        InputError: the contract would revert with ``BadStream``.
    """
    reader = Reader(calldata)
    last_block = reader.take_int(4)
    shift, mantissa = reader.take_int(1), reader.take_int(3)
    parent, bps, token = None, 0, TOKENS[SHORT]
    watched: tuple[Address, ...] = ()
    plain = last_block > 0
    if not plain:
        flags = reader.take_int(1)
        last_block = reader.take_int(4)
        parent = reader.take(PARENT_WIDTH) if flags & HAS_PARENT else None
        bps = reader.take_int(2) if flags & HAS_BUILDER else 0
        if bps > BPS:
            raise InputError("stream", bps, "A builder gets at most all of the profit.")
        number = flags & 0b111
        if number > len(TOKENS):
            raise InputError("stream", number, "There is no profit token of this number.")
        token = TOKENS[number] if number else reader.take_address()
        if flags & HAS_WATCHED:
            count = reader.take_int(1)
            watched = tuple(_address(reader.take(ADDRESS_WIDTH)) for _ in range(count))
    rest = reader.take(reader.left)
    way = Way.LONG
    if plain and rest[:1] == bytes((Opcode.V4_UNLOCK_ETHEREUM,)):
        way, token = Way.V4, TOKENS[NATIVE]
    elif plain and len(rest) >= TARGET_WIDTH and rest[0] & FIRST_MASK == Opcode.UNISWAP_V3:
        way = Way.SHORT
    operations = read_operations(rest, way)
    return Stream((mantissa << shift) % (1 << 256), last_block, parent, token, operations, bps, watched)


def _address(data: bytes) -> Address:
    return Address(to_checksum_address(data))


def _min_profit_bytes(min_profit: int) -> bytes:
    """shift(1) mantissa(3): the largest number of that form that is not above ``min_profit``."""
    if not 0 <= min_profit < MIN_PROFIT_LIMIT:
        raise InputError("min_profit", min_profit, "Give raw units from 0 to 2^112 - 1.")
    shift = max(min_profit.bit_length() - MANTISSA_BITS, 0)
    return bytes((shift,)) + (min_profit >> shift).to_bytes(3, "big")
