"""Reads single fields of a pool's JSON form and of its logs, with an error that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.domain.units import Address, to_address

FEE_DENOMINATOR = 1_000_000
"""Fees are in pips, millionths of the input."""
MAX_UINT112 = 2**112 - 1
MAX_UINT128 = 2**128 - 1
MAX_INT128 = 2**127 - 1
MIN_INT128 = -(2**127)
MAX_UINT256 = 2**256 - 1

_WORD = 32


def read(state: Mapping[str, Any], name: str) -> Any:
    """The value of ``name``; `InputError` when there is none."""
    if name not in state:
        raise InputError(name, None, f"Add the field `{name}` to the pool.")
    return state[name]


def to_int(value: object, name: str, low: int, high: int) -> int:
    """An integer of ``low..high`` from a JSON integer or a string of decimal digits."""
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and value.removeprefix("-").isascii() and value.removeprefix("-").isdigit():
        number = int(value) if len(value) <= 80 else None
    if number is None or not low <= number <= high:
        raise InputError(name, value, f"Give an integer from {low} to {high}, as a number or decimal digits.")
    return number


def read_int(state: Mapping[str, Any], name: str, low: int, high: int) -> int:
    return to_int(read(state, name), name, low, high)


def read_flag(state: Mapping[str, Any], name: str) -> bool:
    """A JSON boolean, false where it is left out."""
    value = state.get(name, False)
    if not isinstance(value, bool):
        raise InputError(name, value, "Give true or false, or leave it out.")
    return value


def read_text(state: Mapping[str, Any], name: str) -> str:
    value = read(state, name)
    if not isinstance(value, str) or not value:
        raise InputError(name, value, "Give a name.")
    return value


def read_tokens(state: Mapping[str, Any]) -> tuple[Address, Address]:
    """``token0`` and ``token1``, which every factory sorts by number."""
    token0, token1 = to_address(read(state, "token0"), "token0"), to_address(read(state, "token1"), "token1")
    if token0.lower() >= token1.lower():
        raise InputError("token0", token0, "Give the two different tokens of the pool, the lower address first.")
    return token0, token1


def words(log: Log, count: int) -> tuple[int, ...]:
    """The ``count`` unsigned 32-byte words of the log's data; `InputError` when it has any other length."""
    data = log.data
    if len(data) != count * _WORD:
        raise InputError("log.data", f"{len(data)} bytes", f"The event has {count} words of 32 bytes.")
    return tuple(int.from_bytes(data[at : at + _WORD], "big") for at in range(0, len(data), _WORD))


def bounded(value: int, name: str, high: int) -> int:
    """``value``, which the log's type says is at most ``high``."""
    if value > high:
        raise InputError(name, value, f"The event's type allows at most {high}.")
    return value


def signed(word: int) -> int:
    """The two's complement reading of an unsigned 32-byte word."""
    return word - (1 << 256) if word >> 255 else word
