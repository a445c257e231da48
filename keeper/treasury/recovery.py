"""Finds what an earlier run traded but did not book: it was stopped, or killed, before the confirmations."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from keeper.domain.chain import BlockHeader
from keeper.domain.trade import TradeStatus
from keeper.domain.units import Address, Wei, to_hash32
from keeper.execution.transfers import net_flow
from keeper.market.node import Node, to_quantity
from keeper.store.journal import Journal
from keeper.treasury.ledger import Settled
from keeper.treasury.treasurer import Treasurer

log = logging.getLogger(__name__)


async def take_up(
    treasurer: Treasurer, node: Node, journal: Journal, *, network: str, token: Address, executor: Address
) -> int:
    """Let ``treasurer`` follow the unbooked trades of ``network``, as the chain has them now; returns how many.

    A trade whose transaction is in no block any more was dropped by a reorg meanwhile: it stays out of the books.

    Raises:
        ComponentError, RpcError: node or database cannot be asked.
    """
    found = 0
    for row in await journal.unbooked(treasurer.book, network):
        receipt = await node.receipt(to_hash32(row["transaction_hash"], "trade"))
        if receipt is None:
            log.warning("%s was dropped while the keeper did not run: it is not booked", row["transaction_hash"])
            continue
        settled = _settled(row, receipt, token, executor)
        header: BlockHeader = await node.block(settled.block_number)
        treasurer.follow(settled, header, attempt=row["attempt"])
        found += 1
    if found:
        log.info("books: %d trades of earlier runs are taken up", found)
    return found


def _settled(row: Mapping[str, Any], receipt: Mapping[str, Any], token: Address, executor: Address) -> Settled:
    landed = to_quantity(receipt.get("status"), "receipt.status") == 1
    gas_used = to_quantity(receipt.get("gasUsed"), "receipt.gasUsed")
    price = to_quantity(receipt.get("effectiveGasPrice"), "receipt.effectiveGasPrice")
    return Settled(
        trade_id=row["id"],
        opportunity_id=row["opportunity_id"],
        chain_id=row["chain_id"],
        status=TradeStatus.LANDED if landed else TradeStatus.REVERTED,
        transaction_hash=to_hash32(row["transaction_hash"], "trade"),
        block_number=to_quantity(receipt.get("blockNumber"), "receipt.blockNumber"),
        gross=Wei(net_flow(receipt["logs"], token, executor) if landed else 0),
        loan_fee=Wei(int(row["loan_fee"]) if landed else 0),
        gas_used=gas_used,
        gas_cost=Wei(gas_used * price),
        builder_payment=Wei(int(row["builder_payment"] or 0) if landed else 0),
    )
