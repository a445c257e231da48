"""What a contract said when it reverted, in words and as a stable reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

ERROR_STRING = keccak(text="Error(string)")[:4]
PANIC = keccak(text="Panic(uint256)")[:4]

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Revert:
    """Why a call reverted.

    Attributes:
        reason: ``revert_`` and the name of the custom error in lower_snake_case; ``revert_with_message``,
            ``revert_panic``, ``revert_without_data`` or ``revert_unknown`` otherwise.
        text: the decoded error for people, for example ``InsufficientProfit(90, 100)``.
    """

    reason: str
    text: str


class RevertDecoder:
    """Names the errors of the given contract; knows Solidity's own `Error` and `Panic` anyway.

    Args:
        abi: JSON ABI of the contract; entries that are not errors are passed over.
    """

    def __init__(self, abi: Sequence[Mapping[str, Any]] = ()) -> None:
        self._errors: dict[bytes, tuple[str, list[str]]] = {}
        for entry in abi:
            if entry.get("type") == "error":
                types = [_type_of(field) for field in entry["inputs"]]
                selector = keccak(text=f"{entry['name']}({','.join(types)})")[:4]
                self._errors[selector] = (entry["name"], types)

    def decode(self, data: bytes) -> Revert:
        """Read the data that came with a revert; data that cannot be read is shown as it is, never an error."""
        if not data:
            return Revert("revert_without_data", "reverted without data")
        selector, arguments = data[:4], data[4:]
        try:
            if selector == ERROR_STRING:
                return Revert("revert_with_message", str(decode(["string"], arguments)[0]))
            if selector == PANIC:
                return Revert("revert_panic", f"Panic({decode(['uint256'], arguments)[0]:#x})")
            if selector in self._errors:
                name, types = self._errors[selector]
                values = ", ".join(map(str, decode(types, arguments)))
                return Revert(f"revert_{_WORD_START.sub('_', name).lower()}", f"{name}({values})")
        except (DecodingError, UnicodeDecodeError):
            pass  # falls to the line below: the selector is a known one, what follows it is not
        return Revert("revert_unknown", f"0x{data[:68].hex()}")


def _type_of(field: Mapping[str, Any]) -> str:
    """The canonical type of an ABI field, tuples written out."""
    kind = str(field["type"])
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(_type_of(part) for part in field["components"])
    return f"({inner}){kind.removeprefix('tuple')}"
