"""Random streams: every operation, in orders that no route would have; and streams spoilt in any place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from keeper.domain.units import Address
from keeper.execution.codec import Loan, Operation, Step, Stream, Swap, V4Swap
from keeper.execution.opcodes import LOANS, SWAPS, TOKEN_NUMBERS, V3_BOUNDED, V3_CALLED, Opcode, To
from keeper.execution.operations import LAYOUTS, Field, Value

COIN = Address("0x" + "00" * 20)
FIRST = sorted({*V3_CALLED, Opcode.UNISWAP_V2_FLASH})
"""What a stream of the short way begins with."""
SWAPPED = sorted(SWAPS - {Opcode.UNISWAP_V2_FLASH})
ENDING = sorted(SWAPS - V3_CALLED - V3_BOUNDED - {Opcode.UNISWAP_V2_FLASH})
"""In the short way every callback runs an operation, so what is called back is not the last one."""
STEPS = [opcode for opcode in Opcode if opcode not in SWAPS | {Opcode.V4_UNLOCK_ETHEREUM}]
TOKEN_FIELDS = frozenset(("token", "token_in", "token_out", "coin"))


@dataclass(frozen=True)
class Stock:
    """What operations are made of; an item that is there twice is drawn twice as often."""

    pools: Sequence[Address]
    tokens: Sequence[Address]
    receivers: Sequence[Address]
    amounts: Sequence[int]


def any_swap(chance: Random, stock: Stock, opcode: Opcode, *, depth: int = 0, last: bool = False) -> Swap:
    """``last``: nothing follows that it could deliver to."""
    to = chance.choice((To.CALLER, To.SELF) if last or opcode in V3_BOUNDED else tuple(To))
    if opcode is Opcode.UNISWAP_V2_FLASH:
        to = To.CALLER
    inner: tuple[Operation, ...] = ()
    if opcode in V3_BOUNDED:
        within = chance.choice(SWAPPED if depth < 2 else ENDING)
        inner = (any_swap(chance, stock, within, depth=depth + 1, last=True),)
        if within in V3_CALLED:
            inner += (any_swap(chance, stock, chance.choice(ENDING), last=True),)
    paid = chance.choice(stock.amounts) if opcode is Opcode.UNISWAP_V2_PAID else None
    pool = chance.choice(stock.pools)
    return Swap(opcode, pool, chance.random() < 0.5, to, chance.choice(stock.amounts), paid, inner)


def any_step(chance: Random, stock: Stock, *, last: bool = False) -> Operation:
    """One that only the general way knows."""
    opcode = chance.choice(STEPS)
    if opcode in LOANS:
        return Loan(opcode, chance.choice(stock.pools), chance.choice(stock.amounts))
    if opcode is Opcode.V4_SWAP or (opcode is Opcode.V4_CLOSE and chance.random() < 0.8):
        return any_v4_swap(chance, stock)
    return Step(opcode, tuple(_value(chance, stock, name, field, last) for name, field in LAYOUTS[opcode]))


def any_v4_swap(chance: Random, stock: Stock) -> V4Swap:
    currencies = (chance.choice(stock.tokens), chance.choice(stock.tokens)) if chance.random() < 0.7 else None
    hooks = chance.choice(stock.pools) if chance.random() < 0.2 else None
    amount = chance.choice(stock.amounts) if chance.random() < 0.6 else None
    spacing = chance.randint(-(2**23), 2**23 - 1)
    return V4Swap(chance.randrange(2**24), spacing, chance.random() < 0.5, currencies, hooks, amount)


def v4_operations(chance: Random, stock: Stock, most: int = 5) -> tuple[Operation, ...]:
    """What the short way serves that earns the chain's coin through V4."""
    chain = (any_v4_swap(chance, stock) for _ in range(chance.randint(0, most)))
    return (Step(Opcode.V4_UNLOCK_ETHEREUM, ()), *chain)


def _value(chance: Random, stock: Stock, name: str, field: Field, last: bool) -> Value:
    match field:
        case Field.ADDRESS if name == "receiver":
            return chance.choice(stock.receivers)
        case Field.ADDRESS:
            return chance.choice(stock.tokens if name in TOKEN_FIELDS else stock.pools)
        case Field.AMOUNT:
            return chance.choice(stock.amounts)
        case Field.ID:
            return chance.randbytes(32)
        case Field.FLAG:
            return chance.randint(0, 1)
        case Field.TO:
            return chance.choice((To.CALLER, To.SELF) if last else tuple(To))
        case Field.BYTE:
            return chance.randint(0, 7)


def short_operations(chance: Random, stock: Stock, most: int = 5) -> tuple[Operation, ...]:
    """What the short way of the contract serves."""
    count = chance.randint(1, most)
    opcodes = [chance.choice(FIRST), *(chance.choice(SWAPPED) for _ in range(count - 1)), chance.choice(ENDING)]
    if opcodes[0] is Opcode.UNISWAP_V2_FLASH:  # its frame begins with a pair
        opcodes[1] = chance.choice((Opcode.UNISWAP_V2, Opcode.UNISWAP_V2_PAID))
    return tuple(any_swap(chance, stock, opcode, last=position == count) for position, opcode in enumerate(opcodes))


def operations(chance: Random, stock: Stock, most: int = 5) -> tuple[Operation, ...]:
    """Of any kind, in any order that the general way can read."""
    found: list[Operation] = []
    count = chance.randint(1, most)
    for position in range(count):
        last = position == count - 1
        if chance.random() < 0.5:
            found.append(any_swap(chance, stock, chance.choice(sorted(SWAPS)), last=last))
        else:
            found.append(any_step(chance, stock, last=last))
    return tuple(found)


def watched_tokens(chance: Random, stock: Stock) -> tuple[Address, ...]:
    """Most often all of them, as a stream that pays with another would end there."""
    tokens = list(dict.fromkeys(stock.tokens))
    return tuple(tokens if chance.random() < 0.7 else chance.sample(tokens, chance.randint(0, len(tokens))))


def general_stream(
    chance: Random, stock: Stock, last_block: int, token: Address | None = None, most: int = 5
) -> Stream:
    token = token or chance.choice(stock.tokens)
    paying = token in TOKEN_NUMBERS and chance.random() < 0.2
    bps = chance.randint(1, 10_000) if paying else 0
    return Stream(0, last_block, None, token, operations(chance, stock, most), bps, watched_tokens(chance, stock))


def spoil(chance: Random, data: bytes) -> bytes:
    """Cut, lengthen, change, double or swap parts of a stream, in its header or behind it."""
    spoilt = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(spoilt)) if spoilt else 0
        match chance.randint(0, 6):
            case 0:
                del spoilt[at:]
            case 1:
                spoilt += chance.randbytes(chance.randint(1, 3))
            case 2:
                spoilt[at:at] = chance.randbytes(chance.randint(1, 3))
            case 3 if spoilt:
                spoilt[at] = chance.randrange(256)
            case 4 if spoilt:
                spoilt[at] ^= 1 << chance.randrange(8)
            case 5:
                del spoilt[at : at + chance.randint(1, 21)]
            case _:
                spoilt[at:at] = spoilt[at : at + chance.randint(1, 49)]
    return bytes(spoilt)
