"""How much of a token an account gained, read from ERC-20 Transfer events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eth_utils.crypto import keccak

from keeper.domain.errors import InputError
from keeper.domain.units import Address

TRANSFER_TOPIC = "0x" + keccak(text="Transfer(address,address,uint256)").hex()


def net_flow(logs: Iterable[Mapping[str, Any]], token: Address, account: Address) -> int:
    """Raw units of ``token`` that came to ``account`` minus those that left it.

    Args:
        logs: log objects of one transaction as a node returns them (receipt or simulation), all in hexadecimal.

    Raises:
        InputError: when a Transfer event of the token does not have the shape that ERC-20 prescribes.
    """
    wanted, owner = token.lower(), account.lower().removeprefix("0x")
    flow = 0
    for log in logs:
        if log["address"].lower() != wanted or not log["topics"] or log["topics"][0].lower() != TRANSFER_TOPIC:
            continue
        if len(log["topics"]) != 3 or len(log["data"]) != 66:
            raise InputError("log.Transfer", token, "Use a profit token whose Transfer event is that of ERC-20.")
        sender, recipient = (topic[-40:].lower() for topic in log["topics"][1:])
        amount = int(log["data"], 16)
        flow += amount * ((recipient == owner) - (sender == owner))
    return flow
