"""Holds the books against the chain: what accounts say they own is what the chain says, to the wei."""

from __future__ import annotations

import asyncio

from eth_utils.crypto import keccak

from keeper.domain.booking import COIN, Account, Entry, EntryKind, Reconciliation
from keeper.domain.errors import ComponentError
from keeper.domain.units import Address
from keeper.market.node import Node, to_block_tag, to_quantity
from keeper.store.journal import Journal
from keeper.treasury.ledger import opening

BALANCE_OF = keccak(text="balanceOf(address)")[:4]


async def holding(node: Node, token: Address, owner: Address, block: int) -> int:
    """What ``owner`` holds of ``token`` (`COIN` for the chain's coin) at the end of ``block``, raw units.

    Raises:
        ComponentError: the node cannot be asked, or no token answers at this address.
        RpcError: the node refuses, for instance because it no longer has the state of that block.
    """
    if token == COIN:
        answer = await node.request("eth_getBalance", owner, to_block_tag(block))
        return to_quantity(answer, "eth_getBalance")
    data = await node.call(token, BALANCE_OF + bytes.fromhex(owner[2:]).rjust(32, b"\0"), block)
    if len(data) != 32:
        raise ComponentError("node", f"{token} does not answer as a token", "Check ORION_WETH and ORION_RPC_URL.")
    return int.from_bytes(data, "big")


class Auditor:
    """Compares the accounts that have a counterpart on chain.

    Args:
        token: the profit token, which the executor holds.
        operator: pays for the transactions in the chain's coin.
    """

    def __init__(
        self,
        node: Node,
        journal: Journal,
        *,
        book: str,
        chain_id: int,
        token: Address,
        executor: Address,
        operator: Address,
    ) -> None:
        self._node = node
        self._journal = journal
        self._book = book
        self._chain_id = chain_id
        self._token = token
        self._began = 0
        self._owners = {(Account.EXECUTOR_BALANCE, token): executor, (Account.OPERATOR_BALANCE, COIN): operator}

    async def open(self, block: int) -> list[Entry]:
        """The entry that begins the book with what is there at ``block``; none when the book has begun."""
        begun = await self._journal.entries(self._book, (EntryKind.OPENING,))
        self._began = begun[0]["block_number"] if begun else block
        if begun:
            return []
        held = await self._on_chain(block)
        entry = opening(
            book=self._book,
            chain_id=self._chain_id,
            token=self._token,
            executor_holds=held[Account.EXECUTOR_BALANCE, self._token],
            operator_holds=held[Account.OPERATOR_BALANCE, COIN],
            block_number=block,
        )
        return [] if entry is None else [entry]

    async def compare(self, block: int) -> list[Reconciliation]:
        """The accounts beside their counterparts at the end of ``block``, or of the book's first block if later."""
        block = max(block, self._began)
        balances = await self._journal.balances(self._book, up_to_block=block)
        booked = {(one.account, one.token): one.amount for one in balances if one.chain_id == self._chain_id}
        held = await self._on_chain(block)
        return [
            Reconciliation(
                book=self._book,
                chain_id=self._chain_id,
                block_number=block,
                account=account,
                token=token,
                booked=booked.get((account, token), 0),
                on_chain=amount,
            )
            for (account, token), amount in held.items()
        ]

    async def _on_chain(self, block: int) -> dict[tuple[Account, Address], int]:
        amounts = await asyncio.gather(
            *(holding(self._node, token, owner, block) for (_, token), owner in self._owners.items())
        )
        return dict(zip(self._owners, amounts, strict=True))
