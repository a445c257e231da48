"""Where the pools are that routers swap through: their addresses follow from factory, tokens and fee."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from eth_utils.crypto import keccak

from keeper.domain.pending import SwapHop
from keeper.domain.swap_detail import V4Key
from keeper.domain.units import Address
from keeper.market.routers.words import WORD, Malformed, checksummed

V2_FEE_PIPS = 3000


@dataclass(frozen=True, slots=True)
class Factory:
    """A contract that creates pools with CREATE2, and the hash of the code that it creates them with."""

    dex: str
    address: Address
    init_code_hash: str


def v2_hops(factory: Factory, path: list[Address]) -> tuple[SwapHop, ...]:
    if len(path) < 2:
        raise Malformed("a path without a pool")
    return tuple(_v2_hop(factory, *path[at : at + 2]) for at in range(len(path) - 1))


def v3_hops(factory: Factory, path: bytes, *, reverse: bool = False) -> tuple[SwapHop, ...]:
    """The hops of a packed path: 20 bytes a token, 3 bytes of fee between two; exact outputs name it from its end."""
    pools, rest = divmod(len(path) - 20, 23)
    if pools < 1 or rest:
        raise Malformed("a path without a pool")
    hops = []
    for at in range(0, 23 * pools, 23):
        first, fee, second = path[at : at + 20], path[at + 20 : at + 23], path[at + 23 : at + 43]
        if reverse:
            first, second = second, first
        hops.append(v3_hop(factory, checksummed(first), checksummed(second), int.from_bytes(fee, "big")))
    return tuple(reversed(hops) if reverse else hops)


@lru_cache(maxsize=1 << 16)
def v3_hop(factory: Factory, token_in: Address, token_out: Address, fee_pips: int) -> SwapHop:
    salt = keccak(_words(*_sorted(token_in, token_out), fee_pips))
    return SwapHop(token_in, token_out, fee_pips, _create2(factory, salt))


@lru_cache(maxsize=1 << 16)
def v4_hop(
    manager: Address, token_in: Address, token_out: Address, fee_pips: int, tick_spacing: int, hooks: Address
) -> SwapHop:
    currency0, currency1 = _sorted(token_in, token_out)
    key = _words(currency0, currency1, fee_pips, tick_spacing, hooks)
    return SwapHop(
        token_in,
        token_out,
        fee_pips,
        Address("0x" + keccak(key).hex()),
        V4Key(manager, currency0, currency1, fee_pips, tick_spacing, hooks),
    )


@lru_cache(maxsize=1 << 16)
def _v2_hop(factory: Factory, token_in: Address, token_out: Address) -> SwapHop:
    salt = keccak(b"".join(bytes.fromhex(token[2:]) for token in _sorted(token_in, token_out)))
    return SwapHop(token_in, token_out, V2_FEE_PIPS, _create2(factory, salt))


def _create2(factory: Factory, salt: bytes) -> Address:
    """EIP-1014."""
    code = bytes.fromhex(factory.init_code_hash)
    return checksummed(keccak(b"\xff" + bytes.fromhex(factory.address[2:]) + salt + code)[12:])


def _sorted(token_a: Address, token_b: Address) -> tuple[Address, Address]:
    a, b = int(token_a, 16), int(token_b, 16)
    if a == b:
        raise Malformed("a token swapped for itself")
    return (token_a, token_b) if a < b else (token_b, token_a)


def _words(*values: Address | int) -> bytes:
    numbers = [value if isinstance(value, int) else int(value, 16) for value in values]
    return b"".join(number.to_bytes(WORD, "big", signed=number < 0) for number in numbers)
