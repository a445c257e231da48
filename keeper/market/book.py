"""The book: the state of every pool at the head of the chain, undone block by block when the chain reorganises."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from keeper.domain.chain import BlockEvent, BlockHeader, Log
from keeper.domain.errors import InputError, OrionError
from keeper.domain.token import Token
from keeper.domain.units import Address, Hash32
from keeper.market.loader import PoolSpec, load_pools
from keeper.market.node import Node
from keeper.market.venues.base import Pool


class ReorgTooDeep(OrionError):
    """A reorg displaces blocks that the book can no longer undo; the pools have to be read afresh."""


@dataclass(slots=True)
class _Entry:
    """What undoing one block takes: the header before it and the pools that it changed or put in quarantine."""

    block: Hash32
    parent: BlockHeader
    pools: dict[Address, Pool]
    quarantined: set[Address]


class Book:
    """Exact pool states at ``header``.

    Args:
        pools: states at the end of the block ``header``.
        journal_depth: how many of the newest blocks can be undone.

    Attributes:
        quarantined: pools taken out of ``pools`` because their state is not certain, with the reason.
    """

    def __init__(
        self,
        pools: Mapping[Address, Pool],
        tokens: Mapping[Address, Token],
        header: BlockHeader,
        *,
        journal_depth: int = 64,
    ) -> None:
        self._pools = dict(pools)
        self._quarantined: dict[Address, str] = {}
        self._journal: deque[_Entry] = deque(maxlen=journal_depth)
        self.pools: Mapping[Address, Pool] = MappingProxyType(self._pools)
        self.quarantined: Mapping[Address, str] = MappingProxyType(self._quarantined)
        self.tokens: Mapping[Address, Token] = MappingProxyType(dict(tokens))
        self.header = header

    def apply(self, event: BlockEvent) -> frozenset[Address]:
        """Undo what the event displaces, then add its block.

        Logs of unknown pools are ignored. A log that a known pool cannot make sense of puts the pool in quarantine.

        Returns:
            The pools whose state is now another one, those that left for quarantine or came back from it included.

        Raises:
            ReorgTooDeep: the event displaces more blocks than the journal holds.
            InputError: the event does not continue the chain that the book is on.
            In both cases the book is as it was.
        """
        self._check(event)
        before: dict[Address, Pool | None] = {}
        for _ in event.reverted:
            self._undo(self._journal.pop(), before)
        entry = _Entry(block=event.header.hash, parent=self.header, pools={}, quarantined=set())
        for log in event.logs:
            pool = self._pools.get(log.address)
            if pool is not None:
                self._apply_log(pool, log, entry)
        self._journal.append(entry)
        self.header = event.header
        for address, pool in entry.pools.items():
            before.setdefault(address, pool)
        return frozenset(address for address, pool in before.items() if self._pools.get(address) != pool)

    async def check(self, node: Node, sample: int, *, seed: int | None = None) -> frozenset[Address]:
        """Compare ``sample`` pools, drawn at random, with the chain at the head, and quarantine those that differ.

        Returns:
            The pools that left for quarantine.
        """
        drawn = random.Random(seed).sample(sorted(self._pools), min(sample, len(self._pools)))
        ours = {address: self._pools[address] for address in drawn}
        header = self.header
        theirs = await load_pools(node, [PoolSpec.of(pool) for pool in ours.values()], header)
        different = frozenset(address for address, pool in ours.items() if theirs.get(address) != pool)
        for address in different & self._pools.keys():
            del self._pools[address]
            self._quarantined[address] = f"differs from the chain at block {header.number}"
        return different

    def _check(self, event: BlockEvent) -> None:
        reverted: Sequence[Hash32] = event.reverted
        parent = self.header
        if reverted:
            if len(reverted) > len(self._journal):
                raise ReorgTooDeep(
                    f"The chain displaces {len(reverted)} blocks and the book can undo {len(self._journal)}."
                )
            newest = [entry.block for entry in list(self._journal)[-len(reverted) :][::-1]]
            if newest != list(reverted):
                raise InputError("event.reverted", reverted[0], f"The book's newest block is {newest[0]}.")
            parent = self._journal[-len(reverted)].parent
        header = event.header
        if header.parent_hash != parent.hash or header.number != parent.number + 1:
            raise InputError("event.header.parent_hash", header.parent_hash, f"The book is at block {parent.hash}.")

    def _apply_log(self, pool: Pool, log: Log, entry: _Entry) -> None:
        address = pool.address
        try:
            changed = pool.apply(log)
        except InputError as error:
            entry.pools.setdefault(address, self._pools.pop(address))
            entry.quarantined.add(address)
            self._quarantined[address] = f"block {log.block_number}, log {log.log_index}: {error}"
            return
        if changed is not pool:
            entry.pools.setdefault(address, pool)
            self._pools[address] = changed

    def _undo(self, entry: _Entry, before: dict[Address, Pool | None]) -> None:
        self.header = entry.parent
        for address in entry.quarantined:
            del self._quarantined[address]
        for address, pool in entry.pools.items():
            # a pool that differed from the chain was wrong before this block as well, and stays out
            if address not in self._quarantined:
                before.setdefault(address, self._pools.get(address))
                self._pools[address] = pool
