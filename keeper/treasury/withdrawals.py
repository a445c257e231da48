"""Records a withdrawal from the executor to the treasury, once the chain has confirmed it."""

from __future__ import annotations

from keeper.config import Settings
from keeper.domain.booking import Account, Entry
from keeper.domain.errors import InputError
from keeper.domain.units import Address, Hash32, to_hash32
from keeper.execution.deployment import load_deployment
from keeper.execution.transfers import net_flow
from keeper.market.node import Node, to_quantity
from keeper.store.journal import Journal
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


async def book_withdrawal(
    settings: Settings, database_url: str, transaction: str, charged_to: Account
) -> dict[str, object]:
    """`read_withdrawal` of the profit token on the network of ``settings``, booked; returns its JSON-ready facts.

    ``new`` is False when it was booked before.
    """
    if settings.rpc_url is None:
        raise InputError("ORION_RPC_URL", None, f"Name the HTTP endpoint of a node of {settings.network}.")
    deployment = load_deployment(settings.home, settings.chain_id)
    journal = Journal(database_url)
    try:
        async with Node(settings.rpc_url) as node:
            entry = await read_withdrawal(
                node,
                to_hash32(transaction, "--transaction"),
                book=await journal.latest_book(settings.network) or settings.network,
                chain_id=settings.chain_id,
                token=settings.weth,
                executor=settings.executor or deployment.executor,
                treasury=deployment.treasury,
                confirmations=settings.confirmations,
                charged_to=charged_to,
            )
        new = await journal.post([entry])
    finally:
        await journal.close()
    moved = entry.legs[0]
    return {
        "book": entry.book,
        "transaction": entry.subject,
        "block": entry.block_number,
        "token": moved.token,
        "amount": str(moved.amount),
        "charged_to": charged_to.value,
        "new": new == 1,
    }
