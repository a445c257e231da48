"""Reads calldata word by word: a general ABI decoder takes longer than all else that is done to a transaction."""

from __future__ import annotations

from functools import lru_cache

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from keeper.domain.units import Address

WORD = 32
MAX_ITEMS = 256
"""Elements of one array; no block would hold the transaction that needs more."""


class Malformed(Exception):
    """Calldata that is not what its function takes; the text is one of few, so that it can be counted by."""


def selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


def uint(data: bytes, at: int, bits: int = 256) -> int:
    """The unsigned integer at byte ``at``, which has to fit into ``bits``."""
    word = data[at : at + WORD]
    if len(word) != WORD:
        raise Malformed("truncated")
    value = int.from_bytes(word, "big")
    if value >> bits:
        raise Malformed("a number beyond its type")
    return value


def int24(data: bytes, at: int) -> int:
    value = int.from_bytes(data[at : at + WORD], "big", signed=True)
    if len(data) < at + WORD:
        raise Malformed("truncated")
    if not -(1 << 23) <= value < 1 << 23:
        raise Malformed("a number beyond its type")
    return value


def boolean(data: bytes, at: int) -> bool:
    return uint(data, at, 1) == 1


def address(data: bytes, at: int) -> Address:
    word = data[at : at + WORD]
    if len(word) != WORD:
        raise Malformed("truncated")
    if any(word[:12]):
        raise Malformed("an address with upper bits")
    return checksummed(word[12:])


def item(data: bytes, head: int, place: int) -> int:
    """Where the dynamic value starts whose offset, counted from ``head``, is the head's word number ``place``."""
    start = head + uint(data, head + place * WORD)
    if start > len(data):
        raise Malformed("an offset beyond the end")
    return start


def byte_string(data: bytes, head: int, place: int) -> bytes:
    """The ``bytes`` that the head's word number ``place`` points to."""
    start = item(data, head, place)
    length = uint(data, start)
    value = data[start + WORD : start + WORD + length]
    if len(value) != length:
        raise Malformed("truncated")
    return value


def array(data: bytes, head: int, place: int) -> tuple[int, int]:
    """Where the elements of an array start, and how many there are; each takes a word at least."""
    start = item(data, head, place)
    length = uint(data, start)
    if length > MAX_ITEMS:
        raise Malformed("an array too long")
    start += WORD
    if start + length * WORD > len(data):
        raise Malformed("truncated")
    return start, length


def addresses(data: bytes, head: int, place: int) -> list[Address]:
    start, length = array(data, head, place)
    return [address(data, start + number * WORD) for number in range(length)]


def byte_strings(data: bytes, head: int, place: int) -> list[bytes]:
    """Whoever encodes lays values one after the other; such as overlap could be made to mean work without end."""
    start, length = array(data, head, place)
    strings = [byte_string(data, start, number) for number in range(length)]
    if sum(map(len, strings)) + length * WORD > len(data):
        raise Malformed("values that overlap")
    return strings


@lru_cache(maxsize=1 << 16)
def checksummed(raw: bytes) -> Address:
    """The address of these 20 bytes."""
    return Address(to_checksum_address(raw))
