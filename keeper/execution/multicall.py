"""Many reads of one block in one request, through Multicall3."""

from __future__ import annotations

from collections.abc import Sequence

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from keeper.domain.errors import ComponentError
from keeper.domain.units import Address, Hash32
from keeper.execution.lenders import MULTICALL3
from keeper.execution.ports import NodeClient

_AGGREGATE3 = keccak(text="aggregate3((address,bool,bytes)[])")[:4]

Read = tuple[Address, bytes]
"""Contract and calldata."""


def call_data(signature: str, *arguments: object) -> bytes:
    """Calldata of a function whose parameters are all elementary types."""
    inside = signature[signature.index("(") + 1 : -1]
    return keccak(text=signature)[:4] + encode(inside.split(",") if inside else [], arguments)


async def read_all(node: NodeClient, reads: Sequence[Read], block: Hash32) -> list[bytes | None]:
    """What each read returns on the state of ``block``; None where it reverts or nothing is deployed."""
    if not reads:
        return []
    data = _AGGREGATE3 + encode(["(address,bool,bytes)[]"], [[(target, True, body) for target, body in reads]])
    answer = await node.request("eth_call", {"to": MULTICALL3, "data": "0x" + data.hex()}, {"blockHash": block})
    try:
        (results,) = decode(["(bool,bytes)[]"], bytes.fromhex(str(answer).removeprefix("0x")))
    except (DecodingError, ValueError) as error:
        raise ComponentError(
            "node",
            f"Multicall3 at {MULTICALL3} answers {str(answer)[:40]!r}",
            "Use a chain where Multicall3 is deployed and a node that is in sync.",
        ) from error
    return [content if success and content else None for success, content in results]


def word(returned: bytes | None, index: int = 0) -> int | None:
    """The 32-byte word at ``index`` of a returned tuple, None when it is not there."""
    if returned is None or len(returned) < 32 * (index + 1):
        return None
    return int.from_bytes(returned[32 * index : 32 * (index + 1)], "big")
