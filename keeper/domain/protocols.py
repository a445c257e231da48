"""The three seams of the system, after which its parts can be exchanged one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, TypeVar

from keeper.domain.opportunity import Opportunity

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
