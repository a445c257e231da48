"""Reads pools of every venue from the chain at one block, one file a venue.

Only the pool's address and kind have to be known; tokens, fees and balances are what its contract answers. The keeper's
own book, which trades Uniswap V2 and V3 pools, reads those with `keeper.market.loader`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from keeper.domain.chain import BlockHeader
from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.market.multicall import BATCH_CALLS, Call, aggregate
from keeper.market.node import Node
from keeper.market.readers import balancer_v2, curve_stableswap, pancakeswap_v3, solidly, uniswap_v4
from keeper.market.readers.answers import Ask, PoolPlace, Unreadable
from keeper.market.venues.base import Pool

log = logging.getLogger(__name__)

__all__ = ["PoolPlace", "read_pools"]

Outcome = Pool | Unreadable
"""The pool, or why it cannot be read."""

_READERS: Mapping[VenueKind, Callable[[Ask, Sequence[PoolPlace]], Awaitable[list[Outcome]]]] = {
    VenueKind.PANCAKESWAP_V3: pancakeswap_v3.read,
    VenueKind.BALANCER_V2_WEIGHTED: balancer_v2.read,
    VenueKind.BALANCER_V2_STABLE: balancer_v2.read,
    VenueKind.CURVE_STABLESWAP: curve_stableswap.read,
    VenueKind.UNISWAP_V4: uniswap_v4.read,
    VenueKind.SOLIDLY_VOLATILE: solidly.read,
    VenueKind.SOLIDLY_STABLE: solidly.read,
}


async def read_pools(
    node: Node, places: Sequence[PoolPlace], block: BlockHeader, *, batch_calls: int = BATCH_CALLS
) -> dict[PoolPlace, Pool]:
    """The states of the pools at the end of ``block``.

    A pool that does not answer as its kind does is left out with a warning in the log.

    Raises:
        ComponentError: the node is unwell.
        InputError: there is no reader for the kind of a pool.
        RpcError: the node refuses to answer, for example because the block is no longer part of its chain.
    """

    for place in places:
        if place.venue not in _READERS:
            raise InputError("venue", place.venue.value, f"Give one of: {', '.join(_READERS)}.")

    async def ask(calls: Sequence[Call]) -> list[bytes | None]:
        return await aggregate(node, calls, block.hash, batch_calls=batch_calls)

    pools: dict[PoolPlace, Pool] = {}
    for kind, read in _READERS.items():
        chosen = [place for place in places if place.venue is kind]
        if not chosen:
            continue
        for place, outcome in zip(chosen, await read(ask, chosen), strict=True):
            if isinstance(outcome, Unreadable):
                log.warning("pool %s (%s) is left out: %s", place.address, place.dex, outcome)
            else:
                pools[place] = outcome
    return {place: pools[place] for place in places if place in pools}
