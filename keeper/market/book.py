"""The book: the state of every pool at the head of the chain, undone block by block when the chain reorganises."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from keeper.domain.chain import BlockEvent, BlockHeader, Log
from keeper.domain.errors import InputError, OrionError
from keeper.domain.token import Token
from keeper.domain.units import Address, Hash32
from keeper.market.difference import Difference, compare
from keeper.market.loader import load_pools
from keeper.market.node import Node
from keeper.market.specs import PoolSpec
from keeper.market.venues.base import Pool, ReadAgain
from keeper.market.venues.multi import MultiTokenPool


class ReorgTooDeep(OrionError):
    """A reorg displaces blocks that the book can no longer undo; the pools have to be read afresh."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A pool whose events do not tell its state: it is out of ``pools`` until it is read from the chain.

    Attributes:
        reason: what the last event did not tell.
    """

    spec: PoolSpec
    reason: str


@dataclass(frozen=True, slots=True)
class _Quarantined:
    reason: str


_Place = Pool | Unread | _Quarantined
"""Where a pool is: in the book, waiting to be read, or in quarantine."""


@dataclass(slots=True)
class _Entry:
    """What undoing one block takes: the header before it, and where each pool was that it concerned."""

    block: Hash32
    parent: BlockHeader
    places: dict[Address, _Place]


class Book:
    """Exact pool states at ``header``; pools are named by their `Pool.key`.

    Args:
        pools: states at the end of the block ``header``.
        journal_depth: how many of the newest blocks can be undone.

    Attributes:
        unread: pools that an event said too little about; `restore` takes them back.
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
        self._unread: dict[Address, Unread] = {}
        self._quarantined: dict[Address, str] = {}
        self._tripped: set[Address] = set()
        self._journal: deque[_Entry] = deque(maxlen=journal_depth)
        # since the last event, outside of any block
        self._moved: dict[Address, Pool | None] = {}
        self._held: dict[tuple[Address, bytes], Address] = {}
        self._holders: set[Address] = set()
        self._multi: set[Address] = set()
        for pool in self._pools.values():
            self._index(pool)
        self.pools: Mapping[Address, Pool] = MappingProxyType(self._pools)
        self.unread: Mapping[Address, Unread] = MappingProxyType(self._unread)
        self.quarantined: Mapping[Address, str] = MappingProxyType(self._quarantined)
        self.tokens: Mapping[Address, Token] = MappingProxyType(dict(tokens))
        self.header = header

    def apply(self, event: BlockEvent) -> frozenset[Address]:
        """Undo what the event displaces, then add its block.

        A log goes to the pool at its address, or to the one that its second topic names in the contract that holds
        it; logs of unknown pools are ignored. One that does not tell all that it changed makes its pool wait to be
        read, and one that a pool cannot make sense of puts it in quarantine.

        Returns:
            The pools whose state is now another one than after the last event, those that left and those that came
            back included.

        Raises:
            ReorgTooDeep: the event displaces more blocks than the journal holds.
            InputError: the event does not continue the chain that the book is on.
            In both cases the book is as it was.
        """
        self._check(event)
        before, self._moved = self._moved, {}
        for _ in event.reverted:
            self._undo(self._journal.pop(), before)
        entry = _Entry(block=event.header.hash, parent=self.header, places={})
        pools, unread, holders = self._pools, self._unread, self._holders
        for log in event.logs:
            address = log.address
            if address in pools or address in unread:
                self._apply_log(address, log, entry)
            elif address in holders and len(log.topics) > 1:
                key = self._held.get((address, log.topics[1]))
                if key is not None:
                    self._apply_log(key, log, entry)
        self._journal.append(entry)
        self.header = event.header
        for key, place in entry.places.items():
            before.setdefault(key, _pool_of(place))
        return frozenset(key for key, pool in before.items() if pools.get(key) != pool)

    def remembers(self, header: BlockHeader) -> bool:
        """Whether the book has this block, or can go back to it."""
        oldest = self._journal[0].parent if self._journal else self.header
        return header.hash == oldest.hash or any(entry.block == header.hash for entry in self._journal)

    def restore(self, read: Iterable[Pool], header: BlockHeader) -> list[Difference]:
        """Take states that were read at the end of ``header``: of new pools, of those that wait to be read, and of
        those whose rates moved without an event.

        A pool that an event concerned since then is left as it is, and so is one in quarantine. The next `apply`
        names the pools whose state changed.

        Returns:
            How pools of the book differ from what was read by more than moves without an event; they are now in
            quarantine.

        Raises:
            InputError: the block is none of those that the book can go back to.
        """
        later: set[Address] = set()
        entry: _Entry | None = None
        for known in reversed(self._journal):
            if known.block == header.hash:
                entry = known
                break
            later.update(known.places)
        if not self.remembers(header):
            raise InputError("header", header.hash, "Read the pools at a block that the book has.")
        differences: list[Difference] = []
        for pool in read:
            key = pool.key
            ours = self._pools.get(key)
            if key in later or key in self._quarantined or ours == pool:
                continue
            difference = None if ours is None else compare(ours, pool, header)
            if difference is not None:
                differences.append(difference)
                continue
            if entry is not None:
                before = ours or self._unread.get(key)
                # undone, a new pool has no state, but it is wanted
                entry.places.setdefault(key, before or Unread(PoolSpec.of(pool), f"new at block {header.number}"))
            self._moved.setdefault(key, ours)
            self._put(key, pool)
        self._trip(differences)
        return differences

    def drifting(self) -> list[PoolSpec]:
        """The pools whose rates move without an event."""
        pools = (self._pools.get(key) for key in self._multi)
        return [PoolSpec.of(pool) for pool in pools if isinstance(pool, MultiTokenPool) and pool.drifts]

    def refuse(self, reasons: Mapping[Address, str]) -> None:
        """Put pools in quarantine that stay out whatever blocks are undone, those that the book never had as well."""
        for key, reason in reasons.items():
            if key in self._pools:
                self._moved.setdefault(key, self._pools[key])
            self._put(key, _Quarantined(reason))
            self._tripped.add(key)

    def acknowledge(self) -> None:
        """Everything up to now is known to whoever asks: the next `apply` names what changes from here on."""
        self._moved = {}

    async def check(self, node: Node, sample: int, *, seed: int | None = None) -> list[Difference]:
        """Compare ``sample`` pools, drawn at random, with the chain at the head, and quarantine those that differ.

        What moves without an event, such as the rates of a pool, does not count as a difference. The book may go on
        to later blocks meanwhile: a state that was wrong stays wrong.

        Raises:
            ComponentError: the node is unwell.
            RpcError: the node refuses to answer, for example because the block is no longer part of its chain.
        """
        drawn = random.Random(seed).sample(list(self._pools), min(sample, len(self._pools)))
        ours = {key: self._pools[key] for key in drawn}
        header = self.header
        theirs = await load_pools(node, [PoolSpec.of(pool) for pool in ours.values()], header)
        found = [compare(pool, theirs.get(key), header) for key, pool in ours.items()]
        differences = [difference for difference in found if difference is not None]
        self._trip(differences)
        return differences

    def _trip(self, differences: Iterable[Difference]) -> None:
        known = (one for one in differences if one.key in self._pools or one.key in self._unread)
        self.refuse({one.key: str(one) for one in known})

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

    def _apply_log(self, key: Address, log: Log, entry: _Entry) -> None:
        pool = self._pools.get(key)
        if pool is None:
            # what it changes is unknown: a state that was read before it is of no use
            if key in self._unread:
                entry.places.setdefault(key, self._unread[key])
            return
        try:
            changed = pool.apply(log)
        except ReadAgain as error:
            entry.places.setdefault(key, pool)
            self._put(key, Unread(PoolSpec.of(pool), f"{_place_of(log)}: {error}"))
        except InputError as error:
            entry.places.setdefault(key, pool)
            self._put(key, _Quarantined(f"{_place_of(log)}: {error}"))
        else:
            if changed is not pool:
                entry.places.setdefault(key, pool)
                self._pools[key] = changed

    def _undo(self, entry: _Entry, before: dict[Address, Pool | None]) -> None:
        self.header = entry.parent
        for key, place in entry.places.items():
            # a pool that differed from the chain was wrong before this block as well, and stays out
            if key not in self._tripped:
                before.setdefault(key, self._pools.get(key))
                self._put(key, place)

    def _put(self, key: Address, place: _Place) -> None:
        self._unread.pop(key, None)
        self._quarantined.pop(key, None)
        if isinstance(place, Unread):
            self._unread[key] = place
        elif isinstance(place, _Quarantined):
            self._quarantined[key] = place.reason
        else:
            if key not in self._pools:
                self._index(place)
            self._pools[key] = place
            return
        self._pools.pop(key, None)

    def _index(self, pool: Pool) -> None:
        holder = pool.holder
        if holder is not None:
            self._held[holder] = pool.key
            self._holders.add(holder[0])
        if isinstance(pool, MultiTokenPool):
            self._multi.add(pool.key)


def _pool_of(place: _Place) -> Pool | None:
    return None if isinstance(place, (Unread, _Quarantined)) else place


def _place_of(log: Log) -> str:
    return f"block {log.block_number}, log {log.log_index}"
