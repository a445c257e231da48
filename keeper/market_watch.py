"""Opens the book and keeps it true: finds its pools, follows the chain up to now, and afterwards, beside the loop,
reads again what events do not tell, compares pools with the chain, and writes checkpoints."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from keeper.domain.chain import BlockHeader
from keeper.domain.errors import ComponentError, InputError
from keeper.domain.token import TRADED_VENUES, Token
from keeper.domain.units import Address
from keeper.feeds.blocks import BlockFeed
from keeper.market.book import Book, ReorgTooDeep
from keeper.market.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from keeper.market.factories import Factory, discover
from keeper.market.loader import load_pools
from keeper.market.node import Node, RpcError
from keeper.market.specs import PoolSpec
from keeper.market.venues.base import Pool
from keeper.market_notices import Notices, Publish

log = logging.getLogger(__name__)

LOADED_AT_ONCE = 4_000
"""Pools read at one block while the book is filled; nodes forget the states of blocks that are a few minutes old."""
LOADING_ATTEMPTS = 3
LONG_SEARCH = 10_000
"""Blocks of events after which what was found is written down at once."""
PROGRESS_SECONDS = 5.0
MANY_POOLS = 10_000
"""From so many on the collector is told that they stay, or it would walk over all of them again and again."""

Gate = Callable[[Mapping[Address, Pool], BlockHeader], Awaitable[tuple[Mapping[Address, Pool], Mapping[Address, str]]]]
"""Of pools that were read those that are taken, and why each of the others is not."""


@dataclass(frozen=True, slots=True)
class WatchRules:
    """How the book is kept; every number of blocks may be 0 for never.

    Attributes:
        checkpoint: the file on disk; None keeps none.
        checkpoint_blocks: blocks between two checkpoints.
        checkpoint_reach: blocks that are followed from a checkpoint at most; an older one is read again.
        check_blocks: blocks between two comparisons with the chain.
        check_pools: pools in one comparison.
        rates_blocks: blocks between two readings of what moves without an event.
        record: file of one JSON object a line about each pool that was put in quarantine; None keeps none.
    """

    checkpoint: Path | None = None
    checkpoint_blocks: int = 100
    checkpoint_reach: int = 600
    check_blocks: int = 50
    check_pools: int = 20
    rates_blocks: int = 5
    journal_depth: int = 64
    record: Path | None = None


class MarketWatch:
    """The book of one chain, from the start of the keeper to its end.

    Args:
        listed: pools that the operator named.
        factories: contracts whose events name further pools.
        gate: looks at pools before they are taken.

    Attributes:
        specs: the pools that the book should have, once it is open.
    """

    def __init__(
        self,
        node: Node,
        ws_url: str,
        *,
        chain_id: int,
        listed: Sequence[PoolSpec],
        factories: Sequence[Factory] = (),
        tokens: Mapping[Address, Token],
        rules: WatchRules,
        gate: Gate | None = None,
    ) -> None:
        self._node = node
        self._ws_url = ws_url
        self._chain_id = chain_id
        self._listed = listed
        self._factories = factories
        self._tokens = tokens
        self._rules = rules
        self._gate = gate
        self._scanned: dict[str, int] = {}
        self._discovered: dict[Address, PoolSpec] = {}
        self._refused: dict[Address, str] = {}
        self._book: Book | None = None
        self._feed: BlockFeed | None = None
        self._task: asyncio.Task[None] | None = None
        self._done: dict[str, int] = {}
        self._notices = Notices(chain_id, rules.record)
        self.specs: Sequence[PoolSpec] = ()

    def tell(self, publish: Publish, set_status: Callable[..., None]) -> None:
        """Say on the bus, too, what is put in quarantine; see `Notices`."""
        self._notices.tell(publish, set_status)
        if self._book is not None:
            self._notices.announce(self._book)

    async def open(self, *, afresh: bool = False) -> tuple[Book, BlockFeed]:
        """The book at the head of the chain, and the feed that goes on from there; both replace what was open.

        Args:
            afresh: read every pool from the chain, whatever a checkpoint says.

        Raises:
            ComponentError: the node is unwell.
            RpcError: the node refuses to answer.
        """
        await self._close()
        head = await self._node.block()
        kept = None if afresh else await self._last_checkpoint(head)
        if kept is not None:
            self._scanned = dict(kept.scanned or {})
            self._discovered = {spec.key: spec for spec in kept.discovered}
            self._refused = dict(kept.refused)
        await self._find(kept, head)
        wanted = {spec.key: spec for spec in (*self._discovered.values(), *self._listed)}
        self.specs = list(wanted.values())
        try:
            book, feed = await self._fill(wanted, kept, head)
        except ReorgTooDeep as error:
            log.warning("%s The pools are read afresh.", error)
            await self._close()
            book, feed = await self._fill(wanted, None, await self._node.block())
        if len(book.pools) >= MANY_POOLS:
            gc.collect()
            gc.freeze()
        self._done = dict.fromkeys(("check", "rates", "checkpoint"), book.header.number)
        self._notices.announce(book)
        return book, feed

    def after_block(self) -> None:
        """Look after the book beside the loop; returns at once, and raises what went wrong the last time."""
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            task.result()
        if self._book is None:
            return
        self._notices.announce(self._book)
        if self._task is None:
            self._task = asyncio.create_task(self._look_after(self._book), name="market watch")

    async def settle(self) -> None:
        """Wait until what `after_block` began is done."""
        if self._task is not None:
            task, self._task = self._task, None
            await task

    async def close(self) -> None:
        """Stop, and write a last checkpoint."""
        book = self._book
        await self._close()
        if book is not None and self._rules.checkpoint is not None:
            await self._save(book)

    async def _close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._feed is not None:
            await self._feed.close()
        self._book = self._feed = None

    async def _last_checkpoint(self, head: BlockHeader) -> Checkpoint | None:
        """The checkpoint, without its pools where they are too old; None where there is none that is of use."""
        path = self._rules.checkpoint
        if path is None:
            return None
        try:
            kept = await asyncio.to_thread(read_checkpoint, path, self._chain_id)
        except InputError as error:
            log.error("checkpoint refused: %s", error)
            return None
        if kept is None:
            return None
        age = head.number - kept.header.number
        block = await self._node.raw_block(kept.header.number) if age >= 0 else None
        if block is None or block.get("hash") != kept.header.hash:
            log.error("checkpoint refused: the node's chain does not have its block %s", kept.header.hash)
            return None
        if age > self._rules.checkpoint_reach:
            log.info("checkpoint: %d blocks old, its %d pools are read again", age, len(kept.pools))
            return replace(kept, pools={})
        log.info("checkpoint: %d pools at block %d, %d blocks ago", len(kept.pools), kept.header.number, age)
        return kept

    async def _find(self, kept: Checkpoint | None, head: BlockHeader) -> None:
        """Look through the factories' events since the last time; the newest blocks, which may still be displaced,
        are looked at once more then. What a long search found is kept at once."""
        for factory in self._factories:
            name = f"{factory.kind} {factory.address} {factory.dex} {factory.fee_pips}"
            first = max(self._scanned.get(name, 0) + 1, factory.first_block)
            for spec in await discover(self._node, factory, first, head, progress=_Progress()):
                if spec.venue in TRADED_VENUES:
                    self._discovered[spec.key] = spec
            self._scanned[name] = max(head.number - self._rules.journal_depth, 0)
            if self._rules.checkpoint is not None and head.number - first >= LONG_SEARCH:
                start = kept if kept is not None and kept.pools else None
                await self._write(start.header if start else head, start.pools if start else {})

    async def _fill(
        self, wanted: Mapping[Address, PoolSpec], kept: Checkpoint | None, head: BlockHeader
    ) -> tuple[Book, BlockFeed]:
        pools: dict[Address, Pool] = {}
        start = head
        if kept is not None and kept.pools:
            start = kept.header
            pools = {key: pool for key, pool in kept.pools.items() if wanted.get(key) == PoolSpec.of(pool)}
        book = Book(pools, self._tokens, start, journal_depth=self._rules.journal_depth)
        book.refuse({key: reason for key, reason in self._refused.items() if key in wanted})
        self._book, self._feed = book, BlockFeed(self._ws_url, self._node, start)
        missing = [spec for key, spec in wanted.items() if key not in pools and key not in book.quarantined]
        for at in range(0, len(missing), LOADED_AT_ONCE):
            await self._follow(book, self._feed)
            await self._load(book, self._feed, missing[at : at + LOADED_AT_ONCE])
            if len(missing) > LOADED_AT_ONCE and self._rules.checkpoint is not None:
                log.info("market: %d of %d pools read", at + LOADED_AT_ONCE, len(missing))
                await self._save(book)
        await self._follow(book, self._feed)
        await self._read_again(book, [one.spec for one in book.unread.values()])
        book.acknowledge()
        return book, self._feed

    async def _follow(self, book: Book, feed: BlockFeed) -> None:
        """Apply what the chain has added up to now."""
        head = await self._node.block()
        while book.header.hash != head.hash and book.header.number <= head.number:
            book.apply(await anext(feed))

    async def _load(self, book: Book, feed: BlockFeed, specs: Sequence[PoolSpec]) -> None:
        for attempt in range(1, LOADING_ATTEMPTS + 1):
            header = book.header
            try:
                pools: Mapping[Address, Pool] = await load_pools(self._node, specs, header, progress=_Progress())
                if self._gate is not None:
                    pools, refused = await self._gate(pools, header)
                    self._refused |= refused
                    book.refuse(refused)
            except RpcError as error:
                # the block was displaced meanwhile, or the node has forgotten its state
                if attempt == LOADING_ATTEMPTS:
                    raise
                log.warning("market: %s; reading again at the head", error)
                await self._follow(book, feed)
                continue
            book.restore(pools.values(), header)
            return

    async def _look_after(self, book: Book) -> None:
        rules, number = self._rules, book.header.number
        try:
            again = [one.spec for one in book.unread.values()]
            if self._due("rates", rules.rates_blocks, number):
                again += book.drifting()
            await self._read_again(book, again)
            if self._due("check", rules.check_blocks, number):
                self._notices.announce(book, await book.check(self._node, rules.check_pools))
            if rules.checkpoint is not None and self._due("checkpoint", rules.checkpoint_blocks, number):
                await self._save(book)
        except (ComponentError, RpcError) as error:
            log.warning("market: %s It is tried again with the next block.", error)

    def _due(self, what: str, every: int, number: int) -> bool:
        due = every > 0 and number - self._done.get(what, 0) >= every
        if due:
            self._done[what] = number
        return due

    async def _read_again(self, book: Book, specs: Sequence[PoolSpec]) -> None:
        """Read pools whose events or rates do not tell their state; one that cannot be read goes to quarantine."""
        if not specs:
            return
        header = book.header
        pools = await load_pools(self._node, specs, header)
        if not book.remembers(header):
            log.info("market: block %d was displaced; what was read there is read again", header.number)
            return
        self._notices.announce(book, book.restore(pools.values(), header))
        gone = [spec.key for spec in specs if spec.key not in pools]
        book.refuse(dict.fromkeys(gone, f"cannot be read at block {header.number}"))
        self._notices.announce(book)

    async def _save(self, book: Book) -> None:
        # a copy, so that the file is of one block
        await self._write(book.header, dict(book.pools))

    async def _write(self, header: BlockHeader, pools: Mapping[Address, Pool]) -> None:
        path = self._rules.checkpoint
        assert path is not None, "asked for only where there is a file"
        checkpoint = Checkpoint(
            chain_id=self._chain_id,
            header=header,
            pools=pools,
            discovered=tuple(self._discovered.values()),
            scanned=dict(self._scanned),
            refused=dict(self._refused),
        )
        try:
            await asyncio.to_thread(write_checkpoint, path, checkpoint)
        except OSError as error:
            log.error("checkpoint: %s cannot be written: %s", path, error)


class _Progress:
    """Says how far long work is, every few seconds."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        if time.monotonic() - self._said >= PROGRESS_SECONDS:
            self._said = time.monotonic()
            log.info("market: %s, %d of %d", what, done, total)
