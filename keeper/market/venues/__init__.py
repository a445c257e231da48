"""The venues the keeper trades on: for each an immutable pool state with its contract's exact integer maths.

A pool state is written as one JSON object, so that a state recorded anywhere can be replayed. Addresses are ``0x`` and
40 hex digits, integers are JSON numbers or, where they may exceed 53 bits, strings of decimal digits. Fields of every
pool: ``venue`` (below), ``address``, ``dex`` (any name), ``token0``, ``token1`` (the lower address first), ``fee_pips``
(millionths of the input: 3000 is 0.3%).

``"venue": "uniswap_v2"`` adds ``reserve0`` and ``reserve1``, uint112 in raw token units.

``"venue": "uniswap_v3"`` adds ``tick_spacing``, ``sqrt_price_x96`` and ``tick`` as in ``slot0``, ``liquidity`` as
``liquidity()`` answers, and ``ticks``: for every initialised tick, ascending, ``[tick, liquidity_net,
liquidity_gross]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.market.venues.base import InsufficientLiquidity, Pool
from keeper.market.venues.fields import read_text
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import UniswapV3Pool

__all__ = ["InsufficientLiquidity", "Pool", "UniswapV2Pool", "UniswapV3Pool", "load", "quote"]

_CLASSES: dict[VenueKind, type[UniswapV2Pool] | type[UniswapV3Pool]] = {
    VenueKind.UNISWAP_V2: UniswapV2Pool,
    VenueKind.UNISWAP_V3: UniswapV3Pool,
}


def load(state: Mapping[str, Any]) -> Pool:
    """The pool that a JSON object describes; `InputError` names the first field that does not fit."""
    venue = read_text(state, "venue")
    if venue not in _CLASSES:
        known = ", ".join(_CLASSES)
        raise InputError("venue", venue, f"Give one of: {known}.")
    return _CLASSES[VenueKind(venue)].from_json(state)


def quote(pool: Pool, token_in: Address, amount_in: int) -> int:
    """What the pool pays for ``amount_in``, or 0 when it cannot take the whole of it."""
    try:
        return pool.amount_out(token_in, amount_in)
    except InsufficientLiquidity:
        return 0
