"""Addresses, hashes and amounts as they appear on chain."""

from __future__ import annotations

import re
from typing import NewType

from eth_utils.address import to_checksum_address

from keeper.domain.errors import InputError

Wei = NewType("Wei", int)
"""An amount in the smallest unit of the chain's native coin."""

Address = NewType("Address", str)
"""An EIP-55 checksummed address."""

Hash32 = NewType("Hash32", str)
"""A 32-byte value as ``0x`` and 64 lower-case hexadecimal digits."""

ZERO_ADDRESS = Address("0x" + "00" * 20)
WAD = 10**18

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")


def to_address(value: object, field: str) -> Address:
    """Checksum ``value``; raises `InputError` naming ``field`` unless it is ``0x`` and 40 hex digits."""
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise InputError(field, value, "Give an address: 0x followed by 40 hexadecimal digits.")
    return Address(to_checksum_address(value))


def to_hash32(value: object, field: str) -> Hash32:
    """Lower-case ``value``; raises `InputError` naming ``field`` unless it is ``0x`` and 64 hex digits."""
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise InputError(field, value, "Give a 32-byte hash: 0x followed by 64 hexadecimal digits.")
    return Hash32(value.lower())
