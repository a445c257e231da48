"""Finds the storage slot of a balance by asking the token about a state in which every likely slot is set."""

from __future__ import annotations

from collections.abc import Iterator

from eth_utils.crypto import keccak

from keeper.domain.chain import BlockHeader
from keeper.domain.units import Address
from keeper.market.node import Node, RpcError, to_bytes
from keeper.market.readers.answers import argument, selector

_BALANCE_OF = selector("balanceOf(address)")
_SOLIDITY_SLOTS = 260
"""Upgradeable tokens begin behind gaps of 50 words for each contract that they inherit from."""
_VYPER_SLOTS = 40
_OPENZEPPELIN_5 = 0x52C63247E1F47DB19D5CE0460030C497F067CA4CEBF71BA98EEADABE20BACE00
"""ERC-7201 location of ``openzeppelin.storage.ERC20``."""
_SOLADY_SEED = 0x87A211A2
_MARKER = 10**18
"""Small enough for balances that share a word with something else."""
_GAS = hex(2_000_000)


async def find_balance_slot(node: Node, token: Address, owner: Address, block: BlockHeader) -> int | None:
    """The slot that holds the balance of ``owner``; None where no usual layout fits.

    Raises:
        ComponentError: the node is unwell.
    """
    slots = list(_candidates(owner))
    marked = {f"0x{slot:064x}": f"0x{_MARKER + number:064x}" for number, slot in enumerate(slots)}
    call = {"to": token, "data": "0x" + (_BALANCE_OF + argument(int(owner, 16))).hex(), "gas": _GAS}
    at = {"blockHash": block.hash, "requireCanonical": True}
    try:
        answer = to_bytes(await node.request("eth_call", call, at, {token: {"stateDiff": marked}}), "eth_call")
    except RpcError:
        return None
    number = int.from_bytes(answer, "big") - _MARKER if len(answer) == 32 else -1
    return slots[number] if 0 <= number < len(slots) else None


def _candidates(owner: Address) -> Iterator[int]:
    key = argument(int(owner, 16))
    for slot in range(_SOLIDITY_SLOTS):
        yield _hashed(key + argument(slot))
    for slot in range(_VYPER_SLOTS):
        yield _hashed(argument(slot) + key)
    yield _hashed(key + _OPENZEPPELIN_5.to_bytes(32, "big"))
    yield _hashed(key[12:] + _SOLADY_SEED.to_bytes(12, "big"))


def _hashed(text: bytes) -> int:
    return int.from_bytes(keccak(text), "big")
