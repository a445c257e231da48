"""The loop: each block goes through discovery, selection, risk, execution and the books, in this order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.view import MarketView
from keeper.domain.chain import BlockEvent
from keeper.domain.errors import ComponentError
from keeper.domain.opportunity import Fate, FateChange, Opportunity
from keeper.domain.protocols import BlockReport, Strategy
from keeper.domain.units import Address
from keeper.execution.executor import AtomicExecution
from keeper.execution.gas import next_base_fee
from keeper.market.book import Book, ReorgTooDeep
from keeper.outbox import Outbox
from keeper.risk.gate import RiskGate
from keeper.selection.disjoint import choose
from keeper.selection.rules import Rules
from keeper.store.bus import EventBus

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Stopwatch:
    """Durations of the stages of one block, nanoseconds."""

    stages: dict[str, int] = field(default_factory=dict)
    _last: int = field(default_factory=time.perf_counter_ns)

    def lap(self, stage: str) -> None:
        now = time.perf_counter_ns()
        self.stages[stage] = self.stages.get(stage, 0) + now - self._last
        self._last = now


class Orchestrator:
    """Runs the five phases for every block.

    Args:
        load_book: reads the pools afresh at a block; used after a reorg deeper than the book's journal.
    """

    def __init__(
        self,
        *,
        chain_id: int,
        book: Book,
        load_book: Callable[[], Awaitable[Book]],
        search: LoopSearch,
        strategies: Sequence[Strategy[MarketView]],
        rules: Rules,
        gate: RiskGate,
        execution: AtomicExecution,
        outbox: Outbox,
        bus: EventBus,
        max_plans: int,
    ) -> None:
        self._chain_id = chain_id
        self._book = book
        self._load_book = load_book
        self._search = search
        self._strategies = strategies
        self._rules = rules
        self._gate = gate
        self._execution = execution
        self._outbox = outbox
        self._bus = bus
        self._max_plans = max_plans
        self._stale: frozenset[Address] = frozenset(book.pools)

    async def run(
        self,
        events: AsyncIterator[BlockEvent],
        *,
        blocks: int | None = None,
        stop: asyncio.Event | None = None,
        after_block: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """Work through ``events`` until ``stop`` is set, or until ``blocks`` blocks are done and settled.

        Args:
            after_block: told the number of each block once the keeper has finished with it.
        """
        stop = stop or asyncio.Event()
        done = 0
        stopped = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                upcoming = asyncio.ensure_future(anext(events))
                await asyncio.wait({upcoming, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not upcoming.done():
                    upcoming.cancel()
                    return
                event = upcoming.result()
                trading = blocks is None or done < blocks
                await self._on_block(event, trading=trading)
                done += 1
                if blocks is not None and done >= blocks and not self._execution.pending:
                    return
                if after_block is not None:
                    await after_block(event.header.number)
        finally:
            stopped.cancel()
            if not await self._outbox.flush():
                raise ComponentError(
                    "database",
                    f"{self._outbox.waiting} records could not be written before the stop",
                    "Bring the database back; the chain still holds what was traded.",
                )

    async def _on_block(self, event: BlockEvent, *, trading: bool) -> None:
        watch = Stopwatch()
        changed = await self._apply(event)
        watch.lap("book")
        await self._settle(event)
        watch.lap("settle")

        found = self._discover(event, changed) if trading else []
        self._outbox.opportunities(found)
        watch.lap("search")
        if found:
            await self._trade(found, event, watch)
        self._outbox.block(
            BlockReport(
                chain_id=self._chain_id,
                header=event.header,
                seen_at=event.seen_at,
                changed_pools=len(changed),
                opportunities=len(found),
                stage_ns=watch.stages,
            )
        )
        await self._outbox.flush()
        await self._bus.block(event.header, seen_at=event.seen_at, opportunities=len(found))

    async def _apply(self, event: BlockEvent) -> frozenset[Address]:
        try:
            changed = self._book.apply(event) | self._stale
            self._stale = frozenset()
        except ReorgTooDeep as error:
            log.warning("%s The pools are read afresh.", error)
            self._book = await self._load_book()
            changed = frozenset(self._book.pools)
        self._search.update(self._book.pools, changed)
        return changed

    async def _settle(self, event: BlockEvent) -> None:
        trades, fates = await self._execution.settle(event)
        self._gate.observe(trades)
        self._outbox.trades(trades)
        self._outbox.fates(fates)
        for trade in trades:
            await self._bus.trade(trade)

    def _discover(self, event: BlockEvent, changed: frozenset[Address]) -> list[Opportunity]:
        view = MarketView(
            chain_id=self._chain_id,
            header=event.header,
            pools=self._book.pools,
            changed=changed,
            search=self._search,
            seen_at=event.seen_at,
        )
        return [found for strategy in self._strategies for found in strategy.find(view)]

    async def _trade(self, found: Sequence[Opportunity], event: BlockEvent, watch: Stopwatch) -> None:
        base_fee = next_base_fee(event.header)
        fates = [self._fate(opportunity, Fate.DETECTED, opportunity.strategy) for opportunity in found]
        kept, dropped = self._rules.apply(found, base_fee)
        fates += dropped
        chosen, dropped = choose(kept, base_fee, self._max_plans)
        fates += dropped
        allowed, dropped = self._gate.check(chosen)
        fates += dropped
        watch.lap("select")
        if not allowed:
            self._outbox.fates(fates)
            return

        try:
            plans, prepared = await self._execution.prepare(allowed, event.header)
        except ComponentError as error:
            log.error("%s", error)
            self._outbox.fates(fates + [self._fate(one, Fate.REJECTED, "node_unavailable") for one in allowed])
            return
        watch.lap("prepare")
        signed, refused = self._execution.sign(plans)
        self._outbox.fates(fates + prepared + refused)
        if not await self._outbox.flush():
            # what is not recorded is not sent; the record of this attempt follows when the database is back
            self._outbox.fates([self._fate(one.plan.opportunity, Fate.LOST, "not_sent_no_database") for one in signed])
            self._execution.forget(signed)
            return
        watch.lap("record")
        self._outbox.fates(await self._execution.send(signed, event.header))
        watch.lap("send")

    def _fate(self, opportunity: Opportunity, fate: Fate, reason: str) -> FateChange:
        return FateChange(opportunity_id=opportunity.id, fate=fate, reason=reason, at=time.time_ns(), details={})
