"""What a swap needs beside the pool's address, where the venue's interface asks for more."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keeper.domain.units import Address, Hash32


@dataclass(frozen=True, slots=True)
class V4Key:
    """The key of a Uniswap V4 pool and the PoolManager that holds it; the zero address is Ether."""

    manager: Address
    currency0: Address
    currency1: Address
    fee_pips: int
    tick_spacing: int
    hooks: Address


class CurveInterface(StrEnum):
    """The functions that exist under the name ``exchange``."""

    INT128 = "int128"
    """``exchange(int128 i, int128 j, uint256 dx, uint256 min_dy)``: pulls its input."""
    UINT256 = "uint256"
    """``exchange(uint256 i, uint256 j, uint256 dx, uint256 min_dy)``: pulls its input."""
    RECEIVED = "received"
    """``exchange_received(int128 i, int128 j, uint256 dx, uint256 min_dy, address receiver)``: its input lies there."""


@dataclass(frozen=True, slots=True)
class CurveCoins:
    """Positions of the two coins in a Curve pool, and which interface the pool has."""

    i: int
    j: int
    interface: CurveInterface


@dataclass(frozen=True, slots=True)
class BalancerV2Id:
    """The vault of a Balancer V2 pool and the pool's id there."""

    vault: Address
    pool_id: Hash32


@dataclass(frozen=True, slots=True)
class BalancerV3Vault:
    """The vault of a Balancer V3 pool."""

    vault: Address


SwapDetail = V4Key | CurveCoins | BalancerV2Id | BalancerV3Vault
