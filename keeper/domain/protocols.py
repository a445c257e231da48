"""The seams of the system, after which its parts can be exchanged one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from keeper.domain.booking import Entry
from keeper.domain.chain import BlockHeader
from keeper.domain.opportunity import FateChange, Opportunity
from keeper.domain.trade import Trade

Event = TypeVar("Event", covariant=True)
View = TypeVar("View", contravariant=True)


class Feed(Protocol[Event]):
    """A source of events from outside the process."""

    def __aiter__(self) -> AsyncIterator[Event]: ...


class Strategy(Protocol[View]):
    """A pure function from a view of the market to opportunities; it never does I/O, so it can be replayed."""

    @property
    def name(self) -> str: ...

    def find(self, view: View) -> Sequence[Opportunity]: ...


@dataclass(frozen=True, slots=True)
class BlockReport:
    """How one block went through the keeper; times are nanoseconds.

    Attributes:
        seen_at: Unix time at which the keeper heard of the block.
        changed_pools: pools whose state the block changed.
        stage_ns: duration by stage, for example ``{"book": 210_000, "search": 900_000}``.
    """

    chain_id: int
    header: BlockHeader
    seen_at: int
    changed_pools: int
    opportunities: int
    stage_ns: dict[str, int]


class Recorder(Protocol):
    """Where every opportunity, every step of its life and every outcome is written down.

    Each call returns after the data is durable, and raises `ComponentError` when it cannot be.
    """

    async def opportunities(self, found: Sequence[Opportunity]) -> None: ...

    async def fates(self, changes: Sequence[FateChange]) -> None: ...

    async def trades(self, trades: Sequence[Trade]) -> None: ...

    async def entries(self, entries: Sequence[Entry]) -> None: ...

    async def block(self, report: BlockReport) -> None: ...
