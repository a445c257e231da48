"""What differs between the state of a pool in the book and the one that the chain answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keeper.domain.chain import BlockHeader
from keeper.domain.units import Address
from keeper.market.venues.base import Pool
from keeper.market.venues.multi import MultiTokenPool

_SHOWN_ITEMS = 8


@dataclass(frozen=True, slots=True)
class Difference:
    """A pool whose state in the book is not the chain's.

    Attributes:
        ours, theirs: the fields of the pool's JSON form that differ; of long lists the items that only one has.
            ``theirs`` is None where the chain answers no such pool.
    """

    key: Address
    dex: str
    block: int
    ours: Mapping[str, Any]
    theirs: Mapping[str, Any] | None

    def __str__(self) -> str:
        return f"differs from the chain at block {self.block}: ours {dict(self.ours)}, theirs {self.theirs}"


def compare(ours: Pool, theirs: Pool | None, block: BlockHeader) -> Difference | None:
    """None where the states agree but for what moves without an event."""
    if theirs is None:
        return Difference(ours.key, ours.dex, block.number, {"venue": ours.venue.value}, None)
    if isinstance(ours, MultiTokenPool) and ours.drifts and type(theirs) is type(ours):
        ours = ours.drifted(theirs)
    if ours == theirs:
        return None
    mine, its = ours.to_json(), theirs.to_json()
    names = [name for name in {**mine, **its} if mine.get(name) != its.get(name)]
    shown = {name: _only(mine.get(name), its.get(name)) for name in names}
    found = {name: _only(its.get(name), mine.get(name)) for name in names}
    return Difference(ours.key, ours.dex, block.number, shown, found)


def _only(value: Any, other: Any) -> Any:
    """Of a list the items that the other one does not have, a few of them; any other value whole."""
    if not isinstance(value, list) or not isinstance(other, list) or len(value) <= _SHOWN_ITEMS:
        return value
    return [item for item in value if item not in other][:_SHOWN_ITEMS]
