"""How much of a token an account gained, read from ERC-20 Transfer events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eth_utils.crypto import keccak

from keeper.domain.errors import InputError
from keeper.domain.units import Address

TRANSFER_TOPIC = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
WRAPPINGS = {
    "0x" + keccak(text="Deposit(address,uint256)").hex(): 1,
    "0x" + keccak(text="Withdrawal(address,uint256)").hex(): -1,
}
"""Events by which a wrapped coin tells that it was made out of the coin, or turned back into it, and their sign."""


def net_flow(logs: Iterable[Mapping[str, Any]], token: Address, account: Address) -> int:
    """Raw units of ``token`` that came to ``account`` minus those that left it.

    Wrapped coins that are made or unmade by Transfer events, as Arbitrum's, and those with events of their own, as
    WETH9, are both counted.

    Args:
        logs: log objects of one transaction as a node returns them (receipt or simulation), all in hexadecimal.

    Raises:
        InputError: when a Transfer event of the token does not have the shape that ERC-20 prescribes.
    """
    wanted, owner = token.lower(), account.lower().removeprefix("0x")
    flow = 0
    for log in logs:
        if log["address"].lower() != wanted or not log["topics"]:
            continue
        topic = log["topics"][0].lower()
        if topic != TRANSFER_TOPIC and topic not in WRAPPINGS:
            continue
        if len(log["topics"]) != (3 if topic == TRANSFER_TOPIC else 2) or len(log["data"]) != 66:
            raise InputError("log.Transfer", token, "Use a profit token whose Transfer event is that of ERC-20.")
        parties = [one[-40:].lower() for one in log["topics"][1:]]
        amount = int(log["data"], 16)
        if topic == TRANSFER_TOPIC:
            sender, recipient = parties
            flow += amount * ((recipient == owner) - (sender == owner))
        elif parties == [owner]:
            flow += amount * WRAPPINGS[topic]
    return flow
