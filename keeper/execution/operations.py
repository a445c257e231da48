"""The operations that a stream is made of, and their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from keeper.domain.errors import InputError
from keeper.domain.units import Address
from keeper.execution.opcodes import (
    AMOUNT_WIDTH,
    V2_CALLED_ZERO_FOR_ONE,
    V2_SWAPS,
    V2_ZERO_FOR_ONE,
    V3_BOUNDED,
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
