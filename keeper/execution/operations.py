"""The operations that a stream is made of, their bytes, and their reading."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from eth_utils.address import to_checksum_address

from keeper.domain.errors import InputError
from keeper.domain.units import Address
from keeper.execution.opcodes import (
    ADDRESS_WIDTH,
    AMOUNT_WIDTH,
    LOANS,
    SWAPS,
    TO_MASK,
    V2,
    V2_CALLED_FLAG,
    V2_CALLED_ZERO_FOR_ONE,
    V2_PAID_FLAG,
    V2_SWAPS,
    V2_ZERO_FOR_ONE,
    V3,
    V3_BOUNDED,
    V3_CALLED,
    V3_CALLED_FLAG,
    V3_DIRECT_FLAG,
    V3_PAYS_FLAG,
    V3_ZERO_FOR_ONE,
    V4_CHAINED,
    V4_HOOKED,
    V4_SAME,
    V4_ZERO_FOR_ONE,
    Opcode,
    To,
)

MOST_BOUNDED = 255
"""Bytes that a bounded swap's own operations have at most."""


@dataclass(frozen=True, slots=True)
class Swap:
    """A swap through a V2 or V3 pool.

    Attributes:
        opcode: one of ``SWAPS``.
        to: where the pool delivers; a flash swap always pays the executor and has `To.CALLER`.
        amount: raw units, of the output for V2 and of the input for V3.
        amount_in: raw units of the profit token that the executor pays the pool first; set with ``UNISWAP_V2_PAID`` and
            only then.
        inner: what runs in the callback of a bounded swap; empty for all others.
    """

    opcode: Opcode
    pool: Address
    zero_for_one: bool
    to: To
    amount: int
    amount_in: int | None = None
    inner: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True)
class Loan:
    """A loan of the profit token; the rest of the frame runs in the lender's callback."""

    opcode: Opcode
    lender: Address
    amount: int


@dataclass(frozen=True, slots=True)
class V4Swap:
    """A swap through a pool of Uniswap V4, on account.

    Attributes:
        currencies: of the pool's key; None for those of the swap before.
        hooks: None for a pool without.
        amount: raw units of the input; None for what the swap before paid out.
    """

    fee_pips: int
    tick_spacing: int
    zero_for_one: bool
    currencies: tuple[Address, Address] | None
    hooks: Address | None
    amount: int | None


class Way(Enum):
    """How the contract reads a stream and its callbacks."""

    LONG = "every operation"
    SHORT = "V2 and V3 pools, a flash swap at the beginning only"
    V4 = "the manager's unlocking at the beginning, then swaps through V4"


class Field(Enum):
    """A field of an operation: its width in bytes, and a name where one width has two meanings."""

    ADDRESS = (20, "address")
    AMOUNT = (14, "amount")
    ID = (32, "id")
    BYTE = (1, "byte")
    FLAG = (1, "flag")
    TO = (1, "to")


LAYOUTS: dict[Opcode, tuple[tuple[str, Field], ...]] = {
    Opcode.PAY: (("token", Field.ADDRESS), ("amount", Field.AMOUNT), ("to", Field.TO)),
    Opcode.PAY_ADDRESS: (("token", Field.ADDRESS), ("amount", Field.AMOUNT), ("receiver", Field.ADDRESS)),
    Opcode.WRAP: (("coin", Field.ADDRESS), ("amount", Field.AMOUNT)),
    Opcode.UNWRAP: (("coin", Field.ADDRESS), ("amount", Field.AMOUNT)),
    Opcode.V3_TOKEN: (
        ("pool", Field.ADDRESS),
        ("amount", Field.AMOUNT),
        ("token", Field.ADDRESS),
        ("zero_for_one", Field.FLAG),
        ("to", Field.TO),
    ),
    Opcode.CURVE_INT128: (
        ("pool", Field.ADDRESS),
        ("amount", Field.AMOUNT),
        ("token", Field.ADDRESS),
        ("i", Field.BYTE),
        ("j", Field.BYTE),
    ),
    Opcode.CURVE_UINT256: (
        ("pool", Field.ADDRESS),
        ("amount", Field.AMOUNT),
        ("token", Field.ADDRESS),
        ("i", Field.BYTE),
        ("j", Field.BYTE),
    ),
    Opcode.CURVE_RECEIVED: (
        ("pool", Field.ADDRESS),
        ("amount", Field.AMOUNT),
        ("i", Field.BYTE),
        ("j", Field.BYTE),
        ("to", Field.TO),
    ),
    Opcode.BALANCER_V2_SWAP: (
        ("vault", Field.ADDRESS),
        ("amount", Field.AMOUNT),
        ("pool_id", Field.ID),
        ("token_in", Field.ADDRESS),
        ("token_out", Field.ADDRESS),
        ("to", Field.TO),
    ),
    Opcode.V4_UNLOCK: (("manager", Field.ADDRESS),),
    Opcode.V4_UNLOCK_ETHEREUM: (),
    Opcode.V4_CLOSE: (),
    Opcode.V4_TAKE: (("token", Field.ADDRESS), ("amount", Field.AMOUNT), ("receiver", Field.ADDRESS)),
    Opcode.V4_SETTLE: (("token", Field.ADDRESS), ("amount", Field.AMOUNT)),
    Opcode.BALANCER_V3_UNLOCK: (("vault", Field.ADDRESS),),
    Opcode.BALANCER_V3_SWAP: (
        ("pool", Field.ADDRESS),
        ("amount", Field.AMOUNT),
        ("token_in", Field.ADDRESS),
        ("token_out", Field.ADDRESS),
    ),
    Opcode.BALANCER_V3_TAKE: (("token", Field.ADDRESS), ("amount", Field.AMOUNT), ("receiver", Field.ADDRESS)),
    Opcode.BALANCER_V3_SETTLE: (("token", Field.ADDRESS), ("amount", Field.AMOUNT)),
}
"""Fields of the operations that are neither swaps through V2, V3 and V4 pools nor loans, in their order."""

Value = Address | int | bytes


@dataclass(frozen=True, slots=True)
class Step:
    """One of the operations of `LAYOUTS`; ``values`` are its fields in their order."""

    opcode: Opcode
    values: tuple[Value, ...]

    def __getitem__(self, name: str) -> Value:
        return self.values[[field for field, _ in LAYOUTS[self.opcode]].index(name)]


Operation = Swap | Loan | V4Swap | Step


def step(opcode: Opcode, **fields: Value) -> Step:
    """The step with these fields, each of which has to be there."""
    return Step(opcode, tuple(fields.pop(name) for name, _ in LAYOUTS[opcode]))


def operation_bytes(operation: Operation) -> bytes:
    """As the stream has it; `InputError` for a number that does not fit its field."""
    match operation:
        case Swap():
            return _swap_bytes(operation)
        case Loan(opcode, lender, amount):
            return bytes((opcode,)) + address_bytes(lender) + _amount_bytes(amount)
        case V4Swap():
            return _v4_bytes(operation)
        case Step(opcode, values):
            fields = zip(LAYOUTS[opcode], values, strict=True)
            return bytes((opcode,)) + b"".join(_field_bytes(name, field, value) for (name, field), value in fields)
        case _:
            raise TypeError(f"{operation!r} is not an operation")


def operations_bytes(operations: tuple[Operation, ...]) -> bytes:
    return b"".join(map(operation_bytes, operations))


def address_bytes(address: Address) -> bytes:
    return bytes.fromhex(address[2:])


def _swap_bytes(swap: Swap) -> bytes:
    head = swap.opcode | swap.to
    if swap.opcode is Opcode.UNISWAP_V2_FLASH:
        head |= V2_CALLED_ZERO_FOR_ONE if swap.zero_for_one else 0
    elif swap.opcode in V2_SWAPS:
        head |= V2_ZERO_FOR_ONE if swap.zero_for_one else 0
    else:
        head |= V3_ZERO_FOR_ONE if swap.zero_for_one else 0
    data = bytes((head,)) + address_bytes(swap.pool) + _amount_bytes(swap.amount)
    if swap.amount_in is not None:
        data += _amount_bytes(swap.amount_in)
    if swap.opcode in V3_BOUNDED:
        inner = operations_bytes(swap.inner)
        if len(inner) > MOST_BOUNDED:
            raise InputError("inner", len(inner), f"Give a bounded swap at most {MOST_BOUNDED} bytes of its own.")
        data += bytes((len(inner),)) + inner
    return data


def _v4_bytes(swap: V4Swap) -> bytes:
    flags = V4_ZERO_FOR_ONE if swap.zero_for_one else 0
    flags |= V4_SAME if swap.currencies is None else 0
    flags |= V4_HOOKED if swap.hooks is not None else 0
    flags |= V4_CHAINED if swap.amount is None else 0
    data = bytes((Opcode.V4_SWAP, flags)) + swap.fee_pips.to_bytes(3, "big")
    data += swap.tick_spacing.to_bytes(3, "big", signed=True)
    data += b"".join(map(address_bytes, swap.currencies or ()))
    data += b"" if swap.hooks is None else address_bytes(swap.hooks)
    return data + (b"" if swap.amount is None else _amount_bytes(swap.amount))


def _field_bytes(name: str, field: Field, value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return address_bytes(value)
    if field is Field.AMOUNT:
        return _amount_bytes(value)
    width, _ = field.value
    if not 0 <= value < 1 << 8 * width:
        raise InputError(name, value, f"Give a number from 0 to 2^{8 * width} - 1.")
    return value.to_bytes(width, "big")


def _amount_bytes(amount: int) -> bytes:
    if not 0 < amount < 1 << 8 * AMOUNT_WIDTH:
        raise InputError("amount", amount, f"Give raw units from 1 to 2^{8 * AMOUNT_WIDTH} - 1.")
    return amount.to_bytes(AMOUNT_WIDTH, "big")


class Reader:
    """Takes bytes from the front and never past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, width: int) -> bytes:
        taken = self._data[self._at : self._at + width]
        if len(taken) < width:
            raise InputError("stream", len(self._data), f"It is cut off at byte {self._at}.")
        self._at += width
        return taken

    def take_int(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def take_address(self) -> Address:
        return Address(to_checksum_address(self.take(ADDRESS_WIDTH)))

    def require_pool(self) -> None:
        """What is delivered to the next operation needs the address of one."""
        if self.left < 1 + ADDRESS_WIDTH:
            raise InputError("stream", len(self._data), "There is no operation to deliver to.")


def read_operations(data: bytes, way: Way) -> tuple[Operation, ...]:
    """All operations of a frame and of the frames within."""
    reader = Reader(data)
    operations: list[Operation] = []
    chain = False
    while not reader.at_end:
        operation = _read_operation(reader, way)
        if not _stands(operation, way, first=not operations):
            raise InputError("stream", operation, f"This stream is read as one of {way.value}.")
        if isinstance(operation, Swap) and operation.opcode in SWAPS - V3_BOUNDED and operation.to is To.NEXT:
            reader.require_pool()
        if isinstance(operation, Step) and operation.opcode is Opcode.V4_CLOSE:
            if not chain:
                raise InputError("stream", operation.opcode.name, "There is no swap of V4 to close after.")
            chain = False
        chain = chain or isinstance(operation, V4Swap)
        if isinstance(operation, Loan) or _unlocks(operation) or _calls_back(operation):
            chain = False  # a frame of its own begins
        operations.append(operation)
    last = operations[-1] if operations else None
    if way is Way.SHORT and isinstance(last, Swap) and last.opcode in V3_CALLED:
        raise InputError("stream", last.opcode.name, "The short way runs at least one operation in a callback.")
    return tuple(operations)


def read_inner(data: bytes, way: Way) -> tuple[Operation, ...]:
    """The operations of a bounded swap, which cannot begin with a flash swap on the short way."""
    operations = read_operations(data, way)
    flash = any(_calls_back(operation) and _pool_of_pair(operation) for operation in operations)
    if way is Way.SHORT and (flash or not operations):
        raise InputError("stream", len(data), "The short way runs pools that are no flash swap, one at least.")
    return operations


def _stands(operation: Operation, way: Way, *, first: bool) -> bool:
    """Whether the operation can stand there."""
    unlocks_ethereum = isinstance(operation, Step) and operation.opcode is Opcode.V4_UNLOCK_ETHEREUM
    if way is Way.LONG:
        return not unlocks_ethereum
    if way is Way.V4:
        return unlocks_ethereum if first else isinstance(operation, V4Swap)
    flash = isinstance(operation, Swap) and operation.opcode is Opcode.UNISWAP_V2_FLASH
    return isinstance(operation, Swap) and (first or not flash)


def _unlocks(operation: Operation) -> bool:
    opcodes = (Opcode.V4_UNLOCK, Opcode.V4_UNLOCK_ETHEREUM, Opcode.BALANCER_V3_UNLOCK)
    return isinstance(operation, Step) and operation.opcode in opcodes


def _pool_of_pair(operation: Operation) -> bool:
    return isinstance(operation, Swap) and operation.opcode in V2_SWAPS


def _calls_back(operation: Operation) -> bool:
    opcodes = (Opcode.UNISWAP_V2_FLASH, Opcode.UNISWAP_V3, Opcode.UNISWAP_V3_PAYS)
    return isinstance(operation, Swap) and operation.opcode in opcodes


def _read_operation(reader: Reader, way: Way) -> Operation:
    head = reader.take_int(1)
    if head & V2:
        return _read_v2(reader, head)
    if head & V3:
        return _read_v3(reader, head, way)
    if head not in set(Opcode):
        raise InputError("stream", f"{head:#04x}", "Start an operation with a head of the table.")
    opcode = Opcode(head)
    if opcode in LOANS:
        return Loan(opcode, reader.take_address(), reader.take_int(AMOUNT_WIDTH))
    if opcode is Opcode.V4_SWAP:
        return _read_v4(reader)
    values: list[Value] = []
    for name, field in LAYOUTS[opcode]:
        width, _ = field.value
        value: Value
        if field is Field.ADDRESS:
            value = reader.take_address()
        elif field is Field.ID:
            value = reader.take(width)
        else:
            value = reader.take_int(width)
        if (field is Field.TO and value > To.SELF) or (field is Field.FLAG and value > 1):  # type: ignore[operator]
            raise InputError("stream", value, f"The field {name} of {opcode.name} has no such value.")
        if field is Field.TO and value == To.NEXT:
            reader.require_pool()
        values.append(value)
    return Step(opcode, tuple(values))


def _read_v2(reader: Reader, head: int) -> Swap:
    pool, amount = reader.take_address(), reader.take_int(AMOUNT_WIDTH)
    if head & V2_CALLED_FLAG:
        return Swap(Opcode.UNISWAP_V2_FLASH, pool, bool(head & V2_CALLED_ZERO_FOR_ONE), To.CALLER, amount)
    paid = reader.take_int(AMOUNT_WIDTH) if head & V2_PAID_FLAG else None
    opcode = Opcode.UNISWAP_V2 if paid is None else Opcode.UNISWAP_V2_PAID
    return Swap(opcode, pool, bool(head & V2_ZERO_FOR_ONE), _to(head), amount, paid)


def _read_v3(reader: Reader, head: int, way: Way) -> Swap:
    pool, amount = reader.take_address(), reader.take_int(AMOUNT_WIDTH)
    zero_for_one, to = bool(head & V3_ZERO_FOR_ONE), _to(head)
    if head & V3_DIRECT_FLAG:
        return Swap(Opcode.UNISWAP_V3_DIRECT, pool, zero_for_one, to, amount)
    pays = head & V3_PAYS_FLAG
    if head & V3_CALLED_FLAG:
        return Swap(Opcode.UNISWAP_V3_PAYS if pays else Opcode.UNISWAP_V3, pool, zero_for_one, to, amount)
    inner = reader.take(reader.take_int(1))
    opcode = Opcode.UNISWAP_V3_BOUNDED_PAYS if pays else Opcode.UNISWAP_V3_BOUNDED
    if to is To.NEXT:
        reader.require_pool()
    return Swap(opcode, pool, zero_for_one, to, amount, None, read_inner(inner, way))


def _read_v4(reader: Reader) -> V4Swap:
    flags, fee = reader.take_int(1), reader.take_int(3)
    spacing = int.from_bytes(reader.take(3), "big", signed=True)
    currencies = None if flags & V4_SAME else (reader.take_address(), reader.take_address())
    hooks = reader.take_address() if flags & V4_HOOKED else None
    amount = None if flags & V4_CHAINED else reader.take_int(AMOUNT_WIDTH)
    return V4Swap(fee, spacing, bool(flags & V4_ZERO_FOR_ONE), currencies, hooks, amount)


def _to(head: int) -> To:
    return To.NEXT if head & To.NEXT else To(head & TO_MASK)
