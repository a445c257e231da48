"""Records a withdrawal from the executor to the treasury, once the chain has confirmed it."""

from __future__ import annotations

from keeper.domain.booking import Account, Entry
from keeper.domain.errors import InputError
from keeper.domain.units import Address, Hash32
from keeper.execution.transfers import net_flow
from keeper.market.node import Node, to_quantity
from keeper.treasury.ledger import withdrawal


async def read_withdrawal(
    node: Node,
    transaction_hash: Hash32,
    *,
    book: str,
    chain_id: int,
    token: Address,
    executor: Address,
    treasury: Address,
    confirmations: int,
    charged_to: Account = Account.AVAILABLE_FOR_WITHDRAWAL,
) -> Entry:
    """The entry for what ``transaction_hash`` moved, read from its transfers, whoever sent it.

    Raises:
        InputError: it failed, has too few confirmations, or did not move ``token`` from executor to treasury.
        ComponentError, RpcError: the node cannot be asked.
    """
    field = "--transaction"
    found_on = await node.chain_id()
    if found_on != chain_id:
        raise InputError(
            "ORION_RPC_URL", f"chain {found_on}", f"Name a node of chain {chain_id}, or set ORION_CHAIN_ID."
        )
    receipt = await node.receipt(transaction_hash)
    if receipt is None:
        raise InputError(field, transaction_hash, "The node has no receipt of it: wait until it is in a block.")
    if to_quantity(receipt.get("status"), "receipt.status") != 1:
        raise InputError(field, transaction_hash, "It failed, so nothing was withdrawn.")
    block = to_quantity(receipt.get("blockNumber"), "receipt.blockNumber")
    missing = block + confirmations - 1 - await node.block_number()
    if missing > 0:
        raise InputError(field, transaction_hash, f"Wait for {missing} more blocks (ORION_CONFIRMATIONS).")
    left = -net_flow(receipt["logs"], token, executor)
    if left <= 0 or net_flow(receipt["logs"], token, treasury) != left:
        raise InputError(field, transaction_hash, f"It does not move {token} from {executor} to {treasury}.")
    return withdrawal(
        book=book,
        chain_id=chain_id,
        token=token,
        amount=left,
        transaction_hash=transaction_hash,
        block_number=block,
        charged_to=charged_to,
    )
