"""Reads the operations of a stream back, as strictly as the contract does."""

from __future__ import annotations

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
from keeper.execution.operations import LAYOUTS, Field, Loan, Operation, Step, Swap, V4Swap, Value


class Way(Enum):
    """How the contract reads a stream and its callbacks."""

    LONG = "every operation"
    SHORT = "V2 and V3 pools, a flash swap at the beginning only"
    V4 = "the manager's unlocking at the beginning, then swaps through V4"


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
