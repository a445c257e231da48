"""Reads ``markets.toml``: tokens with reference prices, pools with their depth, and the amounts that follow."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from math import isqrt
from pathlib import Path
from typing import Any

from keeper.domain.errors import InputError
from keeper.domain.units import Address, Wei, to_address

MARKETS_FILE = Path(__file__).with_name("markets.toml")
V2_FEE_PIPS = 3000
UNISWAP_V3_SPACINGS = {100: 1, 500: 10, 3000: 60, 10000: 200}
PANCAKESWAP_V3_SPACINGS = {100: 1, 500: 10, 2500: 50, 10000: 200}


@dataclass(frozen=True, slots=True)
class MarketToken:
    """A token with the price that every pool starts at, in US dollars per whole token."""

    symbol: str
    address: Address
    decimals: int
    price_usd: Decimal

    def raw(self, usd: Decimal | int) -> int:
        """So many dollars' worth of the token, in raw units."""
        return int(Decimal(usd) * 10**self.decimals / self.price_usd)


@dataclass(frozen=True, slots=True)
class Range:
    """A position of concentrated liquidity: ticks relative to the price, and its share of the pool's depth."""

    lower: int
    upper: int
    share: Decimal


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """One pool to build.

    Attributes:
        token0, token1: in the order of their addresses, as the pool's contract has them.
        tick_spacing: None for pools of the V2 type.
        depth_usd: value of both sides together.
        address: where the pool is on mainnet.
    """

    dex: str
    token0: MarketToken
    token1: MarketToken
    fee_pips: int
    tick_spacing: int | None
    depth_usd: Decimal
    ranges: tuple[Range, ...]
    address: Address

    @property
    def amounts(self) -> tuple[int, int]:
        """Raw units of both tokens that make up the depth, half of the value each."""
        return self.token0.raw(self.depth_usd / 2), self.token1.raw(self.depth_usd / 2)

    @property
    def sqrt_price_x96(self) -> int:
        return sqrt_price_x96(self.token0, self.token1)

    @property
    def label(self) -> str:
        percent = f" {Decimal(self.fee_pips) / 10_000:f}%" if self.tick_spacing else ""
        return f"{self.dex} {self.token0.symbol}/{self.token1.symbol}{percent}"


def sqrt_price_x96(token0: MarketToken, token1: MarketToken) -> int:
    """sqrt(raw token1 per raw token0) as a Q64.96 number, from the reference prices."""
    ratio = (token0.price_usd * 10**token1.decimals) / (token1.price_usd * 10**token0.decimals)
    numerator, denominator = ratio.as_integer_ratio()
    return isqrt((numerator << 192) // denominator)


@dataclass(frozen=True, slots=True)
class Markets:
    """Everything of ``markets.toml``; sections of single venues stay mappings of plain values."""

    timestamp: int
    first_block: int
    base_fee: Wei
    tokens: Mapping[str, MarketToken]
    pools: tuple[PoolSpec, ...]
    sections: Mapping[str, Mapping[str, Any]]

    def of(self, dex: str) -> tuple[PoolSpec, ...]:
        return tuple(pool for pool in self.pools if pool.dex == dex)


_SPACINGS: dict[str, dict[int, int] | None] = {
    "uniswap_v2": None,
    "sushiswap": None,
    "uniswap_v3": UNISWAP_V3_SPACINGS,
    "pancakeswap_v3": PANCAKESWAP_V3_SPACINGS,
}
_VENUE_SECTIONS = ("uniswap_v4", "balancer_v2", "curve", "solidly", "lenders", "traders")


@cache
def load_markets(path: Path = MARKETS_FILE) -> Markets:
    """Raises `InputError` naming the first entry that does not fit."""
    raw = tomllib.loads(path.read_text(), parse_float=Decimal)
    try:
        tokens = {
            entry["symbol"]: MarketToken(
                entry["symbol"],
                to_address(entry["address"], f"token {entry['symbol']}"),
                entry["decimals"],
                Decimal(entry["price_usd"]),
            )
            for entry in raw["token"]
        }
        ranges = {
            name: tuple(Range(lower, upper, Decimal(share)) for lower, upper, share in rows)
            for name, rows in raw["ranges"].items()
        }
        pools = tuple(_pool(dex, entry, tokens, ranges) for dex in _SPACINGS for entry in raw[dex]["pools"])
        return Markets(
            timestamp=raw["timestamp"],
            first_block=raw["first_block"],
            base_fee=Wei(raw["base_fee_wei"]),
            tokens=tokens,
            pools=pools,
            sections={name: raw[name] for name in _VENUE_SECTIONS},
        )
    except KeyError as error:
        raise InputError(path.name, error.args[0], "This entry is missing.") from error


def _pool(
    dex: str, entry: dict[str, Any], tokens: Mapping[str, MarketToken], ranges: Mapping[str, tuple[Range, ...]]
) -> PoolSpec:
    token0, token1 = sorted((tokens[symbol] for symbol in entry["pair"]), key=lambda token: int(token.address, 16))
    spacings = _SPACINGS[dex]
    fee_pips = V2_FEE_PIPS if spacings is None else entry["fee_pips"]
    if spacings is not None and fee_pips not in spacings:
        raise InputError(f"{dex} {entry['pair']} fee_pips", fee_pips, f"Choose one of {sorted(spacings)}.")
    return PoolSpec(
        dex=dex,
        token0=token0,
        token1=token1,
        fee_pips=fee_pips,
        tick_spacing=None if spacings is None else spacings[fee_pips],
        depth_usd=Decimal(entry["depth_usd"]),
        ranges=() if spacings is None else ranges[entry["ranges"]],
        address=to_address(entry["address"], f"{dex} {entry['pair']} address"),
    )
