"""Turns a route and its financing into the executor's calldata, and reads such calldata back.

    stream = minProfit(16) | guard(4) [parent(4)] | [token(20)] | op...

The layout of a route follows from when a pool takes its input: a V2 pool before the swap or before its callback ends,
a V3 pool within its callback, having paid out by then. So the last V3 pool of the route is called first, and all else
happens in its callback:

    V3_last { V2 hops behind it, V3_before { V2 hops between, ... { pay the first pool, V2 hops before } } }

Each pool delivers straight to the next one, and the route's own output pays its input. In a route of V2 pools alone the
last one is called first in the same way, by a flash swap, unless a loan pays the input; it is the last one because a
pair calls back the receiver of its output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from eth_utils.address import to_checksum_address

from keeper.domain.errors import InputError
from keeper.domain.plan import Financing
from keeper.domain.route import Hop, Route
from keeper.domain.token import TRADED_VENUES, LenderKind, VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address, Hash32, to_hash32
from keeper.execution.opcodes import (
    ADDRESS_WIDTH,
    AMOUNT_WIDTH,
    CALLED_BACK,
    FLAG_BITS,
    GUARD_WIDTH,
    HAS_PARENT,
    HEAD_WIDTH,
    LAST_BLOCK_LIMIT,
    LOANS,
    MIN_PROFIT_LIMIT,
    MIN_PROFIT_WIDTH,
    PAID,
    PARENT_WIDTH,
    SWAPS,
    TO_MASK,
    TOKEN_NUMBERS,
    TOKEN_SHIFT,
    V3_SWAPS,
    ZERO_FOR_ONE,
    Opcode,
    To,
)

MAX_HOPS = 8
TOKENS = {number: token for token, number in TOKEN_NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class Swap:
    """A swap through one pool.

    Attributes:
        opcode: one of ``SWAPS``; of those of ``CALLED_BACK`` the rest of the stream runs in the pool's callback. The
            executor pays what is named ``PAID``: a V2 pool before its swap, a V3 pool at the end of its callback.
        to, recipient: where the pool delivers; ``recipient`` is set when ``to`` is ``EXPLICIT`` and only then.
        amount: raw units, of the output for V2 and of the input for V3.
        amount_in: raw units of the profit token that the executor pays the pool first; set with ``UNISWAP_V2_PAID`` and
            only then.
    """

    opcode: Opcode
    pool: Address
    zero_for_one: bool
    to: To
    recipient: Address | None
    amount: int
    amount_in: int | None = None


@dataclass(frozen=True, slots=True)
class Loan:
    """A loan of the profit token; the rest of the stream runs in the lender's callback."""

    opcode: Opcode
    lender: Address
    amount: int


Operation = Swap | Loan


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
        if not 0 <= self.last_block < LAST_BLOCK_LIMIT:
            raise InputError("last_block", self.last_block, "Give a block number from 0 to 2^28 - 1.")
        number = TOKEN_NUMBERS.get(self.token, 0)
        guard = self.last_block | number << TOKEN_SHIFT | (0 if self.parent_prefix is None else HAS_PARENT)
        return b"".join(
            (
                self.min_profit.to_bytes(MIN_PROFIT_WIDTH, "big"),
                guard.to_bytes(GUARD_WIDTH, "big"),
                self.parent_prefix or b"",
                b"" if number else _address_bytes(self.token),
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
    for hop in route.hops:
        if hop.venue not in TRADED_VENUES:
            raise InputError("route.hops", hop.venue.value, f"The executor trades {', '.join(TRADED_VENUES)} alone.")
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
    number = guard >> TOKEN_SHIFT & 0b111
    if number > len(TOKENS):
        raise InputError("stream", number, "There is no profit token of this number.")
    token = TOKENS[number] if number else reader.take_address()
    if reader.at_end:
        raise InputError("stream", len(calldata), "A stream needs at least one operation.")
    operations: list[Operation] = []
    frame: Opcode | None = None
    while not reader.at_end:
        operation = _read_operation(reader, frame)
        operations.append(operation)
        if operation.opcode in CALLED_BACK:
            frame = operation.opcode
    for operation, following in zip(operations, [*operations[1:], None], strict=True):
        to_next = isinstance(operation, Swap) and operation.to is To.NEXT
        if to_next and (not isinstance(following, Swap) or following.opcode in PAID):
            raise InputError("stream", operation, "What goes to the next pool has to be followed by an unpaid swap.")
    return Stream(min_profit, guard % LAST_BLOCK_LIMIT, parent_prefix, token, tuple(operations))


def _route_operations(route: Route, *, from_loan: bool) -> Sequence[Operation]:
    """The operations of the route, without those of a loan around it."""
    hops = route.hops
    v3_positions = [index for index, hop in enumerate(hops) if hop.venue is VenueKind.UNISWAP_V3]
    if not v3_positions:
        if from_loan:
            return _v2_run(hops, To.SELF, paid=True)
        last = _swap(Opcode.UNISWAP_V2_FLASH, hops[-1], To.SELF)
        return (last, *_v2_run(hops[:-1], To.CALLER, paid=True))

    operations: list[Operation] = []
    end = len(hops)  # one behind the hops that are already laid out
    for position in reversed(v3_positions):
        tail = hops[position + 1 : end]
        after = hops[end].pool if end < len(hops) else None  # the V3 pool in whose callback this one is called
        to = To.NEXT if tail else To.SELF if after is None else To.CALLER
        opcode = Opcode.UNISWAP_V3 if position else Opcode.UNISWAP_V3_PAID
        operations.append(_swap(opcode, hops[position], to))
        operations.extend(_v2_run(tail, To.SELF if after is None else To.EXPLICIT, after))
        end = position
    if end > 0:
        operations.extend(_v2_run(hops[:end], To.CALLER, paid=True))
    return operations


def _v2_run(hops: Sequence[Hop], last: To, recipient: Address | None = None, *, paid: bool = False) -> list[Swap]:
    """V2 hops one after the other, each to the next, the last to ``last``; ``paid``: the executor pays the first."""
    swaps = [_swap(Opcode.UNISWAP_V2, hop, To.NEXT) for hop in hops[:-1]]
    swaps += [_swap(Opcode.UNISWAP_V2, hop, last, recipient) for hop in hops[-1:]]
    if paid:
        swaps[0] = replace(swaps[0], opcode=Opcode.UNISWAP_V2_PAID, amount_in=hops[0].amount_in)
    return swaps


def _swap(opcode: Opcode, hop: Hop, to: To, recipient: Address | None = None) -> Swap:
    amount = hop.amount_in if opcode in V3_SWAPS else hop.amount_out
    return Swap(opcode, hop.pool, hop.zero_for_one, to, recipient, amount)


def _operation_bytes(operation: Operation) -> bytes:
    match operation:
        case Swap():
            flags = operation.to | (ZERO_FOR_ONE if operation.zero_for_one else 0)
            recipient = b"" if operation.recipient is None else _address_bytes(operation.recipient)
            head = _head(operation.opcode, flags) + _address_bytes(operation.pool)
            paid = b"" if operation.amount_in is None else _amount_bytes(operation.amount_in)
            return head + recipient + _amount_bytes(operation.amount) + paid
        case Loan(opcode, lender, amount):
            return _head(opcode) + _address_bytes(lender) + _amount_bytes(amount)
        case _:
            raise TypeError(f"{operation!r} is not an operation")


def _head(opcode: Opcode, flags: int = 0) -> bytes:
    return bytes((opcode << FLAG_BITS | flags,))


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
    (head,) = reader.take(HEAD_WIDTH)
    code, flags = head >> FLAG_BITS, head % (1 << FLAG_BITS)
    if code not in set(Opcode) or (flags and code not in SWAPS):
        raise InputError("stream", f"{head:#04x}", "Start an operation with a head of the table.")
    opcode = Opcode(code)
    target = reader.take_address()
    if opcode not in SWAPS:
        if frame is not None:
            raise InputError("stream", opcode.name, "A loan comes first.")
        return Loan(opcode, target, reader.take_amount())
    to = To(flags & TO_MASK)
    if to is To.CALLER and frame is None:
        raise InputError("stream", opcode.name, "Only in a callback is there a calling contract.")
    if opcode is Opcode.UNISWAP_V2_FLASH and to is not To.SELF:
        raise InputError("stream", to.name, "A pair calls back the receiver of its output.")
    if opcode in V3_SWAPS and to is To.EXPLICIT:
        raise InputError("stream", to.name, "A V3 pool delivers to the executor, the next pool or the caller.")
    recipient = reader.take_address() if to is To.EXPLICIT else None
    amount = reader.take_amount()
    amount_in = reader.take_amount() if opcode is Opcode.UNISWAP_V2_PAID else None
    return Swap(opcode, target, bool(flags & ZERO_FOR_ONE), to, recipient, amount, amount_in)
