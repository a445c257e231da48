"""The loop: each block goes through discovery, selection, risk, execution and the books, in this order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.view import MarketView
from keeper.domain.chain import BlockEvent
from keeper.domain.errors import ComponentError
from keeper.domain.opportunity import Fate, FateChange, Opportunity
from keeper.domain.protocols import BlockReport, Strategy
from keeper.domain.trade import Trade, TradeStatus
from keeper.domain.units import WAD, Address
from keeper.execution.executor import AtomicExecution
from keeper.execution.gas import next_base_fee
from keeper.market.book import Book
from keeper.market.node import RpcError
from keeper.outbox import Outbox
from keeper.risk.gate import RiskGate
from keeper.selection.disjoint import choose
from keeper.selection.rules import Rules
from keeper.store.bus import EventBus
from keeper.treasury.treasurer import Treasurer

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
        chain_ends_too: the chain stops with the keeper, so that no block will decide what is still open then.
    """

    def __init__(
        self,
        *,
        chain_id: int,
        book: Book,
        search: LoopSearch,
        strategies: Sequence[Strategy[MarketView]],
        rules: Rules,
        gate: RiskGate,
        execution: AtomicExecution,
        treasurer: Treasurer,
        outbox: Outbox,
        bus: EventBus,
        max_plans: int,
        chain_ends_too: bool,
    ) -> None:
        self._chain_id = chain_id
        self._search = search
        self._strategies = strategies
        self._rules = rules
        self._gate = gate
        self._execution = execution
        self._treasurer = treasurer
        self._outbox = outbox
        self._bus = bus
        self._max_plans = max_plans
        self._chain_ends_too = chain_ends_too
        self._net = 0
        self._done = 0
        self._paused: str | None = None
        self._passed_over: frozenset[Address] = frozenset()
        self._unseen: frozenset[Address] = frozenset()
        self.restart_at(book)

    @property
    def paused(self) -> str | None:
        """Why nothing is sent at the moment; None while trading."""
        return self._paused

    @property
    def in_flight(self) -> int:
        """Transactions that were sent and whose outcome is still open."""
        return self._execution.pending

    def pause(self, reason: str) -> None:
        """From now on nothing is sent; what is found is recorded as rejected. What was sent may still land."""
        self._paused = reason

    def resume(self) -> None:
        """Trade again, also on what was found during the pause and is still there."""
        self._paused = None
        self._unseen |= self._passed_over
        self._passed_over = frozenset()

    async def run(
        self,
        events: AsyncIterator[BlockEvent],
        *,
        blocks: int | None = None,
        stop: asyncio.Event | None = None,
        after_block: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """Work through ``events`` until ``stop`` is set, or until ``blocks`` blocks are done and settled.

        What the last of the counted blocks sent is decided in the next one, in which nothing new is looked for.

        Args:
            after_block: told the number of each block once the keeper has finished with it.

        Raises:
            ReorgTooDeep: the chain has left what the book can undo; `restart_at` a fresh one and run again.
        """
        stop = stop or asyncio.Event()
        stopped = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                upcoming = asyncio.ensure_future(anext(events))
                await asyncio.wait({upcoming, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not upcoming.done():
                    upcoming.cancel()
                    return
                try:
                    event = upcoming.result()
                except StopAsyncIteration:
                    return
                trading = blocks is None or self._done < blocks
                await self._on_block(event, trading=trading)
                self._done += 1
                if blocks is not None and self._done >= blocks and not self._execution.pending:
                    return
                if after_block is not None:
                    await after_block(event.header.number)
        finally:
            stopped.cancel()

    async def finish(self) -> None:
        """Close the books of this run; `ComponentError` when the database cannot take what is left."""
        if self._chain_ends_too:
            await self._note(self._execution.abandon("replica_stopped"))
        if not await self._outbox.flush():
            raise ComponentError(
                "database",
                f"{self._outbox.waiting} records could not be written before the stop",
                "Bring the database back; the chain still holds what was traded.",
            )

    async def _on_block(self, event: BlockEvent, *, trading: bool) -> None:
        watch = Stopwatch()
        changed = self._apply(event)
        watch.lap("book")
        trades, fates = await self._settle(event)
        watch.lap("settle")
        found = self._discover(event, changed | self._unseen) if trading else []
        self._unseen = frozenset()
        watch.lap("search")
        sent = await self._trade(found, event, watch) if found else 0
        if trading:
            report = BlockReport(
                chain_id=self._chain_id,
                header=event.header,
                seen_at=event.seen_at,
                changed_pools=len(changed),
                opportunities=len(found),
                stage_ns=watch.stages,
            )
            self._outbox.block(report)
        # only now, so that the books never delay a plan
        self._outbox.entries(self._treasurer.observe(event.header, trades, fates))
        await self._outbox.flush()
        await self._bus.block(event.header, seen_at=event.seen_at, opportunities=len(found))
        self._say(event, len(changed), len(found), sent, trades)

    def _apply(self, event: BlockEvent) -> frozenset[Address]:
        changed = self._book.apply(event)
        self._search.update(self._book.pools, changed | self._unseen)
        return changed

    def restart_at(self, book: Book) -> None:
        """Go on from a book that was read afresh."""
        self._book = book
        self._unseen = frozenset(book.pools)

    async def _settle(self, event: BlockEvent) -> tuple[list[Trade], list[FateChange]]:
        try:
            trades, fates = await self._execution.settle(event)
        except (ComponentError, RpcError) as error:
            # what was sent stays open and is looked at again with the next block
            log.error("%s", error)
            return [], []
        self._gate.observe(trades)
        self._outbox.trades(trades)
        await self._note(fates)
        for trade in trades:
            await self._bus.trade(trade)
        # the search looks at what changed: what is still there because we missed it has to be named to be seen again
        self._unseen |= {pool for trade in trades if trade.status is TradeStatus.LOST for pool in _pools(trade)}
        self._net += sum(trade.net for trade in trades if trade.status is TradeStatus.LANDED)
        return trades, fates

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

    async def _trade(self, found: Sequence[Opportunity], event: BlockEvent, watch: Stopwatch) -> int:
        """Take what was found through selection, risk and execution; returns how many plans were sent."""
        self._outbox.opportunities(found)
        await self._bus.opportunities(found)
        if self._paused is not None:
            self._pass_over(found)
            await self._note([_fate(one, Fate.REJECTED, "paused") for one in found])
            return 0
        base_fee = next_base_fee(event.header)
        kept, dropped = self._rules.apply(found, base_fee)
        chosen, beaten = choose(kept, base_fee, self._max_plans)
        allowed, rejected = self._gate.check(chosen)
        await self._note([*dropped, *beaten, *rejected])
        watch.lap("select")
        if not allowed:
            return 0

        try:
            plans, prepared = await self._execution.prepare(allowed, event.header)
        except (ComponentError, RpcError) as error:
            log.error("%s", error)
            self._unseen |= {pool for one in allowed for pool in one.route.pools}
            await self._note([_fate(one, Fate.REJECTED, "node_unavailable", error) for one in allowed])
            return 0
        await self._note(prepared)
        watch.lap("prepare")
        signed, changes = await self._execution.sign(plans)
        await self._note(changes)
        if not await self._outbox.flush():
            # what is not recorded is not sent; the record of this attempt follows when the database is back
            self._unseen |= {pool for one in signed for pool in one.plan.opportunity.route.pools}
            await self._note([_fate(one.plan.opportunity, Fate.LOST, "not_sent_no_database") for one in signed])
            self._execution.forget(signed)
            return 0
        if self._paused is not None:
            # the command came while these were being prepared
            self._pass_over([one.plan.opportunity for one in signed])
            await self._note([_fate(one.plan.opportunity, Fate.LOST, "not_sent_paused") for one in signed])
            self._execution.forget(signed)
            return 0
        watch.lap("record")
        await self._note(await self._execution.send(signed))
        watch.lap("send")
        return len(signed)

    def _pass_over(self, found: Sequence[Opportunity]) -> None:
        self._passed_over = self._passed_over.union(*(one.route.pools for one in found))

    async def _note(self, fates: Sequence[FateChange]) -> None:
        self._outbox.fates(fates)
        await self._bus.fates(fates)

    def _say(self, event: BlockEvent, changed: int, found: int, sent: int, trades: Sequence[Trade]) -> None:
        outcomes = Counter(trade.status.value for trade in trades)
        log.info(
            "block %d  %3d pools moved  %3d found  %2d sent  %2d landed%s  net %+.6f ETH",
            *(event.header.number, changed, found, sent, outcomes[TradeStatus.LANDED.value]),
            "".join(f"  {outcomes[status]} {status}" for status in ("lost", "reverted") if outcomes[status]),
            self._net / WAD,
        )


def _pools(trade: Trade) -> frozenset[Address]:
    return trade.plan.opportunity.route.pools


def _fate(opportunity: Opportunity, fate: Fate, reason: str, error: Exception | None = None) -> FateChange:
    details = {} if error is None else {"error": str(error)}
    return FateChange(opportunity_id=opportunity.id, fate=fate, reason=reason, at=time.time_ns(), details=details)
