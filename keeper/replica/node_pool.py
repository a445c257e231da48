"""The node's transaction pool in the builder's hands: emptied before a block, and filled again in the block's order.

anvil mines in order of arrival (``--order fifo``), and public transactions wait in its pool before the builder has
chosen its bundles. So each is taken out and put back behind them. For the milliseconds of that, private transactions
can be seen in the pool, and public ones are announced once more.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any

from keeper.domain.units import Hash32
from keeper.replica.bundles import SignedTransaction
from keeper.replica.rpc import Rpc, RpcError

_NOT_IN_A_REQUEST = ("blockHash", "blockNumber", "transactionIndex", "hash", "v", "r", "s", "yParity", "type")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PooledTransaction:
    """A transaction together with the call that puts it into the pool.

    One from an impersonated account has no signature: it goes back by ``eth_sendTransaction`` and keeps its hash.
    """

    hash: Hash32
    sender: str
    nonce: int
    gas: int
    max_fee: int
    max_tip: int
    method: str
    payload: Any

    def tip(self, base_fee: int) -> int:
        """Wei per gas for the fee recipient at ``base_fee``; negative when the fee cannot be paid."""
        return min(self.max_tip, self.max_fee - base_fee)


class NodePool:
    """Takes from and puts into the pool of one node."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def take(self, *, keep: Collection[Hash32] = ()) -> dict[Hash32, PooledTransaction]:
        """Take out every transaction that is there now, but for those of ``keep``; the waiting ones too."""
        content = await self._rpc("txpool_content")
        taken: dict[Hash32, PooledTransaction] = {}
        for part in ("pending", "queued"):
            for by_nonce in content[part].values():
                for fields in by_nonce.values():
                    if fields["hash"] not in keep and (tx := await self._describe(fields)) is not None:
                        taken[tx.hash] = tx
        for tx_hash in taken:
            await self._rpc("anvil_dropTransaction", tx_hash)
        return taken

    async def put(self, tx: PooledTransaction) -> None:
        """Put ``tx`` at the end. One whose nonce or funds a bundle has used is refused, and gone, as on mainnet."""
        try:
            await self._rpc(tx.method, tx.payload)
        except RpcError as error:
            _log.info("transaction %s left the pool: %s", tx.hash, error)

    async def _describe(self, fields: dict[str, Any]) -> PooledTransaction | None:
        tx_hash = Hash32(fields["hash"])
        if int(fields["r"], 16) == 0:
            method = "eth_sendTransaction"
            payload: Any = {name: value for name, value in fields.items() if name not in _NOT_IN_A_REQUEST}
            payload["data"] = payload.pop("input")
            if "maxFeePerGas" in payload:
                payload.pop("gasPrice", None)
        else:
            method = "eth_sendRawTransaction"
            payload = await self._rpc("eth_getRawTransactionByHash", tx_hash)
            if payload is None:  # replaced between the two calls
                return None
        price = fields["gasPrice"]
        return PooledTransaction(
            hash=tx_hash,
            sender=fields["from"].lower(),
            nonce=int(fields["nonce"], 16),
            gas=int(fields["gas"], 16),
            max_fee=int(fields.get("maxFeePerGas", price), 16),
            max_tip=int(fields.get("maxPriorityFeePerGas", price), 16),
            method=method,
            payload=payload,
        )


def as_pooled(tx: SignedTransaction) -> PooledTransaction:
    """A signed transaction on its way into the pool."""
    return PooledTransaction(
        tx.hash, tx.sender.lower(), tx.nonce, tx.gas, tx.max_fee, tx.max_tip, "eth_sendRawTransaction", tx.raw_hex
    )


def order_by_tip(transactions: Sequence[PooledTransaction], base_fee: int) -> list[PooledTransaction]:
    """Always the best tip among each account's next transaction; ties by hash."""
    by_sender: dict[str, list[PooledTransaction]] = {}
    for tx in sorted(transactions, key=lambda tx: (tx.nonce, tx.hash)):
        by_sender.setdefault(tx.sender, []).append(tx)
    heads = [(-txs[0].tip(base_fee), txs[0].hash, 0, sender) for sender, txs in by_sender.items()]
    heapify(heads)
    ordered: list[PooledTransaction] = []
    while heads:
        _, _, position, sender = heappop(heads)
        txs = by_sender[sender]
        ordered.append(txs[position])
        if position + 1 < len(txs):
            following = txs[position + 1]
            heappush(heads, (-following.tip(base_fee), following.hash, position + 1, sender))
    return ordered
