"""An opportunity and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from keeper.domain.route import Route


class Fate(StrEnum):
    """The stages of an opportunity; each record keeps the whole sequence, the last one is its fate."""

    DETECTED = "detected"
    FILTERED = "filtered"
    REJECTED = "rejected"
    SIMULATED = "simulated"
    SUBMITTED = "submitted"
    LANDED = "landed"
    LOST = "lost"
    REVERTED = "reverted"


class RiskClass(StrEnum):
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    VERY_HIGH = "VERY_HIGH"


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A profitable loop found on the state of one block.

    Attributes:
        strategy: name of the strategy that found it.
        block_number: the block on whose state the amounts are exact; it can land in the next one.
        found_after_ns: time from hearing of the block to this opportunity, nanoseconds.
    """

    strategy: str
    chain_id: int
    block_number: int
    route: Route
    risk: RiskClass
    found_after_ns: int = 0
    id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class FateChange:
    """One step in the life of an opportunity.

    Attributes:
        reason: a short, stable, machine-readable cause such as ``below_minimum_profit``.
        details: JSON-ready facts of the step; wei amounts as decimal strings.
        at: Unix time in nanoseconds.
    """

    opportunity_id: UUID
    fate: Fate
    reason: str
    at: int
    details: dict[str, Any]
