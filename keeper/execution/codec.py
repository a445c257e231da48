"""Turns a route and its financing into the executor's calldata, and reads such calldata back.

    stream = minProfit(16) | guard(4) [parent(4)] | token(20) | op...

The layout of a route follows from when a pool takes its input: a V2 pool before the swap or before its callback ends,
a V3 pool within its callback, having paid out by then. So the last V3 pool of the route is called first, and all else
happens in its callback:

    V3_last { V2 hops behind it, V3_before { V2 hops between, ... { pay the first pool, V2 hops before } } }

Each pool delivers straight to the next one, and the route's own output pays its input. A route of V2 pools alone starts
with a flash swap through its first pool, or with a loan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from eth_utils.address import to_checksum_address

from keeper.domain.errors import InputError
from keeper.domain.plan import Financing
from keeper.domain.route import Hop, Route
from keeper.domain.token import LenderKind, VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address, Hash32, to_hash32
from keeper.execution.opcodes import (
    ADDRESS_WIDTH,
    AMOUNT_WIDTH,
    GUARD_WIDTH,
    HAS_PARENT,
    HEAD_WIDTH,
    KNOWN_FLAGS,
    LOANS,
    MIN_PROFIT_LIMIT,
    MIN_PROFIT_WIDTH,
    PARENT_WIDTH,
    TO_MASK,
    Flag,
    Opcode,
    To,
)

MAX_HOPS = 8


@dataclass(frozen=True, slots=True)
class Swap:
    """A swap through one pool.

    Attributes:
        opcode: ``UNISWAP_V2`` or ``UNISWAP_V3``.
        to, recipient: where the pool delivers; ``recipient`` is set when ``to`` is ``EXPLICIT`` and only then.
        calls_back: the rest of the stream runs in the pool's callback; always true for V3.
        amount: raw units, of the output for V2 and of the input for V3.
    """

    opcode: Opcode
    pool: Address
    zero_for_one: bool
    calls_back: bool
    to: To
    recipient: Address | None
    amount: int


@dataclass(frozen=True, slots=True)
class Pay:
    """A payment of the profit token to the next or the calling pool; ``amount`` is None for what that pool asks for."""

    to: To
    amount: int | None


@dataclass(frozen=True, slots=True)
class Loan:
    """A loan of the profit token; the rest of the stream runs in the lender's callback."""

    opcode: Opcode
    lender: Address
    amount: int


Operation = Swap | Pay | Loan


@dataclass(frozen=True, slots=True)
class Stream:
    """What one call of the executor does.

    Attributes:
        min_profit: least growth of the executor's balance of ``token``, raw units.
        last_block: the last block in which the stream may run.
        parent_prefix: first four bytes of the hash of the block it has to follow, or None.
        token: the profit token.
    """

    min_profit: int
    last_block: int
    parent_prefix: bytes | None
    token: Address
    operations: tuple[Operation, ...]

    def to_bytes(self) -> bytes:
        """The calldata; raises `InputError` for a number that does not fit its field."""
        if not 0 <= self.min_profit < MIN_PROFIT_LIMIT:
            raise InputError("min_profit", self.min_profit, "Give raw units from 0 to 2^96 - 1.")
        if not 0 <= self.last_block < HAS_PARENT:
            raise InputError("last_block", self.last_block, "Give a block number from 0 to 2^31 - 1.")
        guard = self.last_block | (0 if self.parent_prefix is None else HAS_PARENT)
        return b"".join(
            (
                self.min_profit.to_bytes(MIN_PROFIT_WIDTH, "big"),
                guard.to_bytes(GUARD_WIDTH, "big"),
                self.parent_prefix or b"",
                _address_bytes(self.token),
                *(_operation_bytes(operation) for operation in self.operations),
            )
        )


def encode(
    route: Route,
    financing: Financing,
    *,
    executor: Address,
    min_profit: int,
    last_block: int,
    parent_hash: Hash32 | None = None,
) -> bytes:
    """The executor's calldata for ``route``.

    A flash swap through the route's own pools is laid out as the module describes, whichever of them
    ``financing.lender`` names: there is one best order. A loan is put around that order.

    Args:
        executor: the contract that will be called; it cannot be one of the route's pools.
        min_profit: least growth of the executor's balance of the route's token, raw units, loan fee already paid.
        last_block: number of the last block in which the transaction may run.
        parent_hash: hash of the block it has to follow; None when any will do.

    Raises:
        InputError: the route and the financing do not fit together, or a value does not fit its field.
    """
    if len(route.hops) > MAX_HOPS:
        raise InputError("route.hops", len(route.hops), f"Give a route of at most {MAX_HOPS} hops.")
    if executor in route.pools or executor == ZERO_ADDRESS:
        raise InputError("executor", executor, "Give the address of the deployed executor contract.")
    if financing.amount != route.amount_in:
        raise InputError("financing.amount", financing.amount, f"Borrow what the route takes in: {route.amount_in}.")
    operations = list(_route_operations(route, from_loan=financing.kind is not LenderKind.FLASH_SWAP))
    if financing.kind is LenderKind.FLASH_SWAP:
        if financing.lender not in route.pools:
            raise InputError("financing.lender", financing.lender, "A flash swap goes through a pool of the route.")
    else:
        if financing.lender in route.pools or financing.lender == ZERO_ADDRESS:
            raise InputError("financing.lender", financing.lender, "Name the lender's contract, not a pool in use.")
        operations.insert(0, Loan(LOANS[financing.kind], financing.lender, financing.amount))
    prefix = None if parent_hash is None else bytes.fromhex(to_hash32(parent_hash, "parent_hash")[2:])[:PARENT_WIDTH]
    return Stream(min_profit, last_block, prefix, route.token, tuple(operations)).to_bytes()


def decode(calldata: bytes) -> Stream:
    """Read a stream as strictly as the contract does.

    Raises:
        InputError: the contract would revert with ``BadStream``.
    """
    reader = _Reader(calldata)
    min_profit = int.from_bytes(reader.take(MIN_PROFIT_WIDTH), "big")
    guard = int.from_bytes(reader.take(GUARD_WIDTH), "big")
    parent_prefix = reader.take(PARENT_WIDTH) if guard & HAS_PARENT else None
    token = reader.take_address()
    if reader.at_end:
        raise InputError("stream", len(calldata), "A stream needs at least one operation.")
    operations: list[Operation] = []
    frame: Opcode | None = None
    while not reader.at_end:
        operation = _read_operation(reader, frame)
        operations.append(operation)
        if isinstance(operation, Loan) or (isinstance(operation, Swap) and operation.calls_back):
            frame = operation.opcode
    for operation, following in zip(operations, [*operations[1:], None], strict=True):
        if not isinstance(operation, Loan) and operation.to is To.NEXT and not isinstance(following, Swap):
            raise InputError("stream", operation, "What goes to the next pool has to be followed by a swap.")
    return Stream(min_profit, guard % HAS_PARENT, parent_prefix, token, tuple(operations))


def _route_operations(route: Route, *, from_loan: bool) -> Sequence[Operation]:
    """The operations of the route, without those of a loan around it."""
    hops = route.hops
    v3_positions = [index for index, hop in enumerate(hops) if hop.venue is VenueKind.UNISWAP_V3]
    if not v3_positions:
        if from_loan:
            return (Pay(To.NEXT, route.amount_in), *_v2_run(hops, To.SELF))
        first = _v2_swap(hops[0], To.NEXT, calls_back=True)
        return (first, *_v2_run(hops[1:], To.SELF), Pay(To.CALLER, route.amount_in))

    operations: list[Operation] = []
    end = len(hops)  # one behind the hops that are already laid out
    for position in reversed(v3_positions):
        tail = hops[position + 1 : end]
        after = hops[end] if end < len(hops) else None  # the V3 pool in whose callback this one is called
        operations.append(_v3_swap(hops[position], tail, after))
        operations.extend(_v2_run(tail, To.SELF if after is None else To.EXPLICIT, after))
        end = position
    if end == 0:
        operations.append(Pay(To.CALLER, None))
    else:
        operations.append(Pay(To.NEXT, route.amount_in))
        operations.extend(_v2_run(hops[:end], To.CALLER))
    return operations


def _v2_run(hops: Sequence[Hop], last: To, recipient: Hop | None = None) -> list[Swap]:
    """V2 hops one after the other, each delivering to the next and the last one to ``last``."""
    swaps = [_v2_swap(hop, To.NEXT) for hop in hops[:-1]]
    return [*swaps, *(_v2_swap(hop, last, recipient) for hop in hops[-1:])]


def _v2_swap(hop: Hop, to: To, recipient: Hop | None = None, *, calls_back: bool = False) -> Swap:
    pool = None if recipient is None else recipient.pool
    return Swap(Opcode.UNISWAP_V2, hop.pool, hop.zero_for_one, calls_back, to, pool, hop.amount_out)


def _v3_swap(hop: Hop, tail: Sequence[Hop], after: Hop | None) -> Swap:
    to = To.NEXT if tail else To.SELF if after is None else To.CALLER
    return Swap(Opcode.UNISWAP_V3, hop.pool, hop.zero_for_one, True, to, None, hop.amount_in)


def _operation_bytes(operation: Operation) -> bytes:
    match operation:
        case Swap():
            flags = operation.to | (Flag.ZERO_FOR_ONE if operation.zero_for_one else 0)
            if operation.opcode is Opcode.UNISWAP_V2 and operation.calls_back:
                flags |= Flag.CALL_BACK
            recipient = b"" if operation.recipient is None else _address_bytes(operation.recipient)
            head = bytes((operation.opcode, flags)) + _address_bytes(operation.pool)
            return head + recipient + _amount_bytes(operation.amount)
        case Pay(to, None):
            return bytes((Opcode.PAY, to | Flag.AS_ASKED))
        case Pay(to, amount):
            assert amount is not None  # the case above; mypy does not narrow it
            return bytes((Opcode.PAY, to)) + _amount_bytes(amount)
        case Loan(opcode, lender, amount):
            return bytes((opcode, 0)) + _address_bytes(lender) + _amount_bytes(amount)
        case _ as never:
            assert_never(never)


def _address_bytes(address: Address) -> bytes:
    return bytes.fromhex(address[2:])


def _amount_bytes(amount: int) -> bytes:
    if not 0 < amount < 1 << 8 * AMOUNT_WIDTH:
        raise InputError("amount", amount, f"Give raw units from 1 to 2^{8 * AMOUNT_WIDTH} - 1.")
    return amount.to_bytes(AMOUNT_WIDTH, "big")


class _Reader:
    """Takes bytes from the front and never past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)

    def take(self, width: int) -> bytes:
        taken = self._data[self._at : self._at + width]
        if len(taken) < width:
            raise InputError("stream", len(self._data), f"It is cut off at byte {self._at}.")
        self._at += width
        return taken

    def take_address(self) -> Address:
        return Address(to_checksum_address(self.take(ADDRESS_WIDTH)))

    def take_amount(self) -> int:
        return int.from_bytes(self.take(AMOUNT_WIDTH), "big")


def _read_operation(reader: _Reader, frame: Opcode | None) -> Operation:
    """``frame`` is the operation in whose callback this one runs; None at the operator's entry."""
    code, flags = reader.take(HEAD_WIDTH)
    if code not in set(Opcode):
        raise InputError("stream", f"opcode {code:#04x}", "Use an operation of the table.")
    opcode = Opcode(code)
    if flags & ~KNOWN_FLAGS[opcode]:
        raise InputError("stream", f"flags {flags:#04x}", f"{opcode.name} does not know them.")
    to = To(flags & TO_MASK)
    if to is To.CALLER and frame is None:
        raise InputError("stream", opcode.name, "Only in a callback is there a calling pool.")
    if opcode is Opcode.PAY:
        if to not in (To.NEXT, To.CALLER):
            raise InputError("stream", to.name, "A payment goes to the next or to the calling pool.")
        if flags & Flag.AS_ASKED and frame is not Opcode.UNISWAP_V3:
            raise InputError("stream", opcode.name, "Only a V3 pool asks for an amount.")
        return Pay(to, None if flags & Flag.AS_ASKED else reader.take_amount())
    target = reader.take_address()
    if opcode in (Opcode.UNISWAP_V2, Opcode.UNISWAP_V3):
        calls_back = opcode is Opcode.UNISWAP_V3 or bool(flags & Flag.CALL_BACK)
        recipient = reader.take_address() if to is To.EXPLICIT else None
        return Swap(opcode, target, bool(flags & Flag.ZERO_FOR_ONE), calls_back, to, recipient, reader.take_amount())
    return Loan(opcode, target, reader.take_amount())
