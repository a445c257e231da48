"""The venues the keeper trades on: for each an immutable pool state with its contract's exact integer maths.

A pool state is written as one JSON object, so that a state recorded anywhere can be replayed: docs/venues.md has the
fields of each kind. `load` reads any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.market.venues.balancer_v2_stable import BalancerV2StablePool
from keeper.market.venues.balancer_v2_weighted import BalancerV2WeightedPool
from keeper.market.venues.balancer_v3_stable import BalancerV3StablePool
from keeper.market.venues.balancer_v3_weighted import BalancerV3WeightedPool
from keeper.market.venues.base import InsufficientLiquidity, Pool
from keeper.market.venues.curve_stableswap import CurveStableSwapPool
from keeper.market.venues.curve_tricrypto import CurveTricryptoPool
from keeper.market.venues.fields import read_text
from keeper.market.venues.multi import MultiTokenPool, PairView, pairs_of, read_pair
from keeper.market.venues.solidly import SolidlyStablePool, SolidlyVolatilePool
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import PancakeSwapV3Pool, UniswapV3Pool
from keeper.market.venues.uniswap_v4 import UniswapV4Pool

__all__ = [
    "KINDS",
    "BalancerV2StablePool",
    "BalancerV2WeightedPool",
    "BalancerV3StablePool",
    "BalancerV3WeightedPool",
    "CurveStableSwapPool",
    "CurveTricryptoPool",
    "InsufficientLiquidity",
    "MultiTokenPool",
    "PairView",
    "PancakeSwapV3Pool",
    "Pool",
    "SolidlyStablePool",
    "SolidlyVolatilePool",
    "UniswapV2Pool",
    "UniswapV3Pool",
    "UniswapV4Pool",
    "load",
    "pairs_of",
    "quote",
]

KINDS: tuple[type[Pool], ...] = (
    UniswapV2Pool,
    UniswapV3Pool,
    PancakeSwapV3Pool,
    BalancerV2WeightedPool,
    BalancerV2StablePool,
    CurveStableSwapPool,
    UniswapV4Pool,
    CurveTricryptoPool,
    SolidlyVolatilePool,
    SolidlyStablePool,
    BalancerV3WeightedPool,
    BalancerV3StablePool,
)
"""The classes of all states."""

_READERS: dict[VenueKind, Callable[[Mapping[str, Any]], Pool]] = {
    VenueKind.UNISWAP_V2: UniswapV2Pool.from_json,
    VenueKind.UNISWAP_V3: UniswapV3Pool.from_json,
    VenueKind.PANCAKESWAP_V3: PancakeSwapV3Pool.from_json,
    VenueKind.BALANCER_V2_WEIGHTED: BalancerV2WeightedPool.from_json,
    VenueKind.BALANCER_V2_STABLE: BalancerV2StablePool.from_json,
    VenueKind.CURVE_STABLESWAP: CurveStableSwapPool.from_json,
    VenueKind.UNISWAP_V4: UniswapV4Pool.from_json,
    VenueKind.CURVE_TRICRYPTO: CurveTricryptoPool.from_json,
    VenueKind.SOLIDLY_VOLATILE: SolidlyVolatilePool.from_json,
    VenueKind.SOLIDLY_STABLE: SolidlyStablePool.from_json,
    VenueKind.BALANCER_V3_WEIGHTED: BalancerV3WeightedPool.from_json,
    VenueKind.BALANCER_V3_STABLE: BalancerV3StablePool.from_json,
}


def load(state: Mapping[str, Any]) -> Pool:
    """The pool that a JSON object describes; `InputError` names the first field that does not fit."""
    venue = read_text(state, "venue")
    if venue not in _READERS:
        raise InputError("venue", venue, f"Give one of: {', '.join(_READERS)}.")
    pool = _READERS[VenueKind(venue)](state)
    pair = read_pair(state)
    if pair is None:
        return pool
    if not isinstance(pool, MultiTokenPool):
        raise InputError("pair", pair, f"A pool of kind {venue} is a pair: leave it out.")
    return pool.pair(*pair)


def quote(pool: Pool, token_in: Address, amount_in: int) -> int:
    """What the pool pays for ``amount_in``, or 0 when it cannot take the whole of it."""
    try:
        return pool.amount_out(token_in, amount_in)
    except InsufficientLiquidity:
        return 0
