"""Which step may follow which in the life of an opportunity."""

from __future__ import annotations

from uuid import UUID

from keeper.domain.errors import InputError
from keeper.domain.opportunity import Fate

NEXT: dict[Fate, frozenset[Fate]] = {
    Fate.DETECTED: frozenset({Fate.FILTERED, Fate.REJECTED, Fate.SIMULATED}),
    # simulated again on a later state, dropped for what it showed, sent, or ready but never sent
    Fate.SIMULATED: frozenset({Fate.SIMULATED, Fate.FILTERED, Fate.REJECTED, Fate.SUBMITTED, Fate.LOST}),
    # submitted again: to further builders or for a later block
    Fate.SUBMITTED: frozenset({Fate.SUBMITTED, Fate.LANDED, Fate.LOST, Fate.REVERTED}),
    # a reorg that drops the deciding block opens the question again
    Fate.LANDED: frozenset({Fate.SUBMITTED, Fate.LOST, Fate.REVERTED}),
    Fate.LOST: frozenset({Fate.SUBMITTED}),
    Fate.REVERTED: frozenset({Fate.SUBMITTED}),
    Fate.FILTERED: frozenset(),
    Fate.REJECTED: frozenset(),
}


def require_transition(opportunity: UUID, before: Fate, after: Fate) -> None:
    """Raise `InputError` when ``after`` cannot follow ``before``."""
    allowed = NEXT[before]
    if after not in allowed:
        remedy = (
            f"After `{before}` only {', '.join(sorted(allowed))} can follow." if allowed else f"`{before}` is final."
        )
        raise InputError(f"fate of {opportunity}", f"{before} -> {after}", remedy)
