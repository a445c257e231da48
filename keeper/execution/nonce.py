"""The next nonces of the operator's account, block by block."""

from __future__ import annotations

from keeper.domain.chain import BlockHeader
from keeper.domain.units import Address, Hash32
from keeper.execution.ports import NodeClient
from keeper.market.node import to_quantity


class NonceLeases:
    """Hands out consecutive nonces for the plans of one block.

    Each plan is valid in a single block, so at the next head nothing is in flight any more and the chain's own count
    is the truth again: a lease ends with its head and a nonce that was not used comes back by itself.
    """

    def __init__(self, node: NodeClient, account: Address) -> None:
        self._node = node
        self._account = account
        self._head: Hash32 | None = None
        self._first = 0
        self._leased = 0

    async def first(self, head: BlockHeader) -> int:
        """The account's next nonce on the state of ``head``."""
        if self._head != head.hash:
            at = {"blockHash": head.hash}
            count = await self._node.request("eth_getTransactionCount", self._account, at)
            self._first = to_quantity(count, "eth_getTransactionCount")
            self._head = head.hash
            self._leased = 0
        return self._first

    def lease(self, count: int) -> range:
        """The next ``count`` nonces at the head that `first` was last asked about."""
        start = self._first + self._leased
        self._leased += count
        return range(start, start + count)
