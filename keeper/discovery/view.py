"""What a strategy sees: the market after one block."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from keeper.discovery.search.engine import LoopSearch
from keeper.domain.chain import BlockHeader
from keeper.domain.units import Address
from keeper.market.venues.base import Pool


@dataclass(frozen=True)
class MarketView:
    """The state of the market at ``header``, which strategies read and never change.

    Attributes:
        changed: pools whose state differs from the view before.
        search: up to date with ``pools``; safe to ask from several threads.
        seen_at: Unix time at which the keeper heard of the block, nanoseconds.
    """

    chain_id: int
    header: BlockHeader
    pools: Mapping[Address, Pool]
    changed: Collection[Address]
    search: LoopSearch
    seen_at: int
