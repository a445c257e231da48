"""Reads pools of every venue from the chain at one block, one file a venue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from keeper.domain.token import VenueKind
from keeper.market.readers import (
    balancer_v2,
    balancer_v3,
    curve_stableswap,
    curve_tricrypto,
    solidly,
    uniswap_v2,
    uniswap_v3,
    uniswap_v4,
)
from keeper.market.readers.answers import Ask, Unreadable
from keeper.market.specs import PoolSpec
from keeper.market.venues.base import Pool

__all__ = ["READERS", "Unreadable"]

Outcome = Pool | Unreadable
"""The pool, or why it cannot be read."""

READERS: Mapping[VenueKind, Callable[[Ask, Sequence[PoolSpec]], Awaitable[list[Outcome]]]] = {
    VenueKind.UNISWAP_V2: uniswap_v2.read,
    VenueKind.UNISWAP_V3: uniswap_v3.read,
    VenueKind.PANCAKESWAP_V3: uniswap_v3.read,
    VenueKind.BALANCER_V2_WEIGHTED: balancer_v2.read,
    VenueKind.BALANCER_V2_STABLE: balancer_v2.read,
    VenueKind.BALANCER_V3_WEIGHTED: balancer_v3.read,
    VenueKind.BALANCER_V3_STABLE: balancer_v3.read,
    VenueKind.CURVE_STABLESWAP: curve_stableswap.read,
    VenueKind.CURVE_TRICRYPTO: curve_tricrypto.read,
    VenueKind.UNISWAP_V4: uniswap_v4.read,
    VenueKind.SOLIDLY_VOLATILE: solidly.read,
    VenueKind.SOLIDLY_STABLE: solidly.read,
}
