"""Which loops a caller wants to see."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keeper.domain.errors import InputError
from keeper.domain.units import Address

HOP_COUNTS = frozenset({2, 3, 4})


class DexRule(StrEnum):
    """How the DEXes of a loop's pools must relate."""

    ANY = "any"
    SAME = "same"
    """All pools belong to one DEX."""
    DISTINCT = "distinct"
    """No two pools belong to the same venue."""


@dataclass(frozen=True, slots=True)
class LoopFilter:
    """Admissible loops. The search looks only among these, so nothing inadmissible can hide one of them.

    Attributes:
        hops: admitted numbers of hops, out of 2, 3 and 4.
        fee_tiers_are_venues: under `DexRule.DISTINCT`, pools of one DEX with different fees are different venues.
        pairs: token pairs that a hop may trade; all pairs when None.
    """

    hops: frozenset[int] = HOP_COUNTS
    dexes: DexRule = DexRule.ANY
    fee_tiers_are_venues: bool = False
    pairs: frozenset[frozenset[Address]] | None = None

    def __post_init__(self) -> None:
        if not self.hops or not self.hops <= HOP_COUNTS:
            raise InputError("hops", sorted(self.hops), "Give one or more of 2, 3 and 4.")
        if self.pairs is not None and any(len(pair) != 2 for pair in self.pairs):
            raise InputError("pairs", sorted(map(sorted, self.pairs)), "A pair is two different tokens.")
