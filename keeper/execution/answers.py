"""Calls of views, and what their answers hold: the little of the ABI that reading lenders takes."""

from __future__ import annotations

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from keeper.domain.units import Address
from keeper.market.multicall import Call


def balance_call(token: Address, holder: Address) -> Call:
    return token, call_data("balanceOf(address)", holder)


def call_data(signature: str, *arguments: object) -> bytes:
    """Calldata of a function whose parameters are all elementary types."""
    inside = signature[signature.index("(") + 1 : -1]
    return keccak(text=signature)[:4] + encode(inside.split(",") if inside else [], arguments)


def word(returned: bytes | None, index: int = 0) -> int | None:
    """The 32-byte word at ``index`` of a returned tuple; None when the call failed or returned less."""
    if returned is None or len(returned) < 32 * (index + 1):
        return None
    return int.from_bytes(returned[32 * index : 32 * (index + 1)], "big")


def address_in(returned: bytes | None, index: int = 0) -> Address | None:
    """The address at ``index``; None when there is none or it is zero."""
    found = word(returned, index)
    return Address(to_checksum_address(found.to_bytes(32, "big")[12:])) if found else None
