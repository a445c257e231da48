"""Calls written as their Solidity signatures: ``balanceOf(address)`` with a list of what comes back."""

from __future__ import annotations

from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak


@cache
def selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


@cache
def argument_types(signature: str) -> tuple[str, ...]:
    """The types between the outer brackets: ``f((uint256,bool),bytes)`` gives ``(uint256,bool)`` and ``bytes``."""
    inside = signature[signature.index("(") + 1 : -1]
    types, depth, start = [], 0, 0
    for position, character in enumerate(inside):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and depth == 0:
            types.append(inside[start:position])
            start = position + 1
    if inside[start:]:
        types.append(inside[start:])
    return tuple(types)


def call_data(signature: str, *arguments: Any) -> bytes:
    return selector(signature) + encode(argument_types(signature), arguments)


def arguments_of(types: str, *values: Any) -> bytes:
    """ABI-encoded constructor arguments; ``types`` is a comma-separated list as in a signature."""
    return encode(argument_types(f"({types})"), values)


def decode_result(returns: str, data: bytes) -> Any:
    """The decoded value, or the tuple of values when ``returns`` names several types."""
    values = decode(argument_types(f"({returns})"), data)
    return values[0] if len(values) == 1 else values
