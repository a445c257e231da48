"""Other people's signed transactions as calls that a simulation can run before ours."""

from __future__ import annotations

from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_account import Account
from eth_utils.address import to_checksum_address

from keeper.domain.errors import InputError

LEGACY = 0xC0
"""First byte of an RLP list: a transaction without a type."""

FIELDS = {
    1: ("chainId", "nonce", "gasPrice", "gas", "to", "value", "input", "accessList"),
    2: ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList"),
    LEGACY: ("nonce", "gasPrice", "gas", "to", "value", "input"),
}
_REMEDY = "Give a signed legacy, EIP-2930 or EIP-1559 transaction."


def call_of(raw: bytes) -> dict[str, Any]:
    """The call object of a signed transaction, its sender recovered from the signature.

    Raises:
        InputError: when it is no signed transaction, or of a type with blobs or authorizations.
    """
    kind = raw[0] if raw and raw[0] < LEGACY else LEGACY
    if not raw or kind not in FIELDS:
        raise InputError("predecessor", f"0x{raw[:8].hex()}", _REMEDY)
    try:
        values = rlp.decode(raw if kind == LEGACY else raw[1:])
        sender = Account.recover_transaction(raw)
    except (rlp.exceptions.RLPException, ValueError, TypeError, KeyError) as error:
        raise InputError("predecessor", f"0x{raw[:8].hex()}", _REMEDY) from error
    call: dict[str, Any] = {"from": sender}
    for name, value in zip(FIELDS[kind], values, strict=False):
        if name == "to":
            if value:
                call["to"] = to_checksum_address(value)
        elif name == "input":
            call["input"] = "0x" + value.hex()
        elif name == "accessList":
            call["accessList"] = [
                {"address": to_checksum_address(address), "storageKeys": ["0x" + key.hex() for key in keys]}
                for address, keys in value
            ]
        elif name != "chainId":
            call[name] = hex(int.from_bytes(value, "big"))
    return call
