"""Tokens and the venues that trade them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keeper.domain.units import Address


@dataclass(frozen=True, slots=True)
class Token:
    """An ERC-20 token. ``decimals`` is for display only: all maths is in raw units."""

    address: Address
    symbol: str
    decimals: int


class VenueKind(StrEnum):
    """The maths and the swap interface of a pool; which DEX runs it is its ``dex`` name."""

    UNISWAP_V2 = "uniswap_v2"
    UNISWAP_V3 = "uniswap_v3"
    PANCAKESWAP_V3 = "pancakeswap_v3"
    BALANCER_V2_WEIGHTED = "balancer_v2_weighted"
    BALANCER_V2_STABLE = "balancer_v2_stable"
    CURVE_STABLESWAP = "curve_stableswap"
    CURVE_TRICRYPTO = "curve_tricrypto"
    UNISWAP_V4 = "uniswap_v4"
    SOLIDLY_VOLATILE = "solidly_volatile"
    SOLIDLY_STABLE = "solidly_stable"
    BALANCER_V3_WEIGHTED = "balancer_v3_weighted"
    BALANCER_V3_STABLE = "balancer_v3_stable"


TRADED_VENUES = tuple(VenueKind)
"""The kinds that the search takes and the executor can trade."""


class LenderKind(StrEnum):
    """Where the input of the first hop comes from."""

    FLASH_SWAP = "flash_swap"
    """The first pool of the route pays out before it is paid."""
    MORPHO = "morpho"
    BALANCER_V2 = "balancer_v2"
    AAVE_V3 = "aave_v3"
    UNISWAP_V4 = "uniswap_v4"
    """Taken from the PoolManager between ``unlock`` and the end of its callback."""
    BALANCER_V3 = "balancer_v3"
    """Taken from the vault between ``unlock`` and the end of its callback."""
    ERC3156 = "erc3156"
    """Maker's DssFlash and its like."""
    SPARK = "spark"
    """Aave's code with other reserves."""
    UNISWAP_V3 = "uniswap_v3"
    """``flash`` of a V3 pool outside the route."""
    DODO = "dodo"
    INVENTORY = "inventory"
    """What the executor holds itself."""
