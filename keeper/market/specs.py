"""Which pools there are, without their states, and the lists that name them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import orjson

from keeper.domain.errors import InputError
from keeper.domain.token import TRADED_VENUES, Token, VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address, to_address
from keeper.market.venues.base import Pool
from keeper.market.venues.concentrated import MAX_TICK_SPACING, ConcentratedPool
from keeper.market.venues.fields import FEE_DENOMINATOR, read, read_int, read_text, read_tokens
from keeper.market.venues.uniswap_v4 import to_pool_id

_MAX_DECIMALS = 255
_PAIRS = (VenueKind.UNISWAP_V2, VenueKind.UNISWAP_V3, VenueKind.UNISWAP_V4)
"""Kinds whose lists name tokens and fee: V2 does not tell its fee, and V4's key is how a pool of it is found."""

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """Which pool it is, without its state.

    Attributes:
        address: the contract that is called; of Uniswap V4 the PoolManager.
        token0, token1, fee_pips: of Uniswap V2, V3 and V4; of other kinds, which tell them, zero.
        tick_spacing: of Uniswap V3 and V4; else 0.
    """

    address: Address
    venue: VenueKind
    dex: str
    token0: Address = ZERO_ADDRESS
    token1: Address = ZERO_ADDRESS
    fee_pips: int = 0
    tick_spacing: int = 0

    @property
    def key(self) -> Address:
        """The `Pool.key` of the pool."""
        if self.venue is VenueKind.UNISWAP_V4:
            return Address(to_pool_id(self.token0, self.token1, self.fee_pips, self.tick_spacing))
        return self.address

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """One entry ``{"address", "venue", "dex"}`` of a list; `InputError` names the first field that does not fit.

        Uniswap V2, V3 and V4 have ``token0``, ``token1`` (or both in ``tokens``) and ``fee_pips`` besides, V3 and V4
        ``tick_spacing``, and V4 ``hooks`` where there are any.
        """
        name = read_text(entry, "venue")
        if name not in tuple(VenueKind):
            raise InputError("venue", name, f"Give one of: {', '.join(VenueKind)}.")
        venue, address = VenueKind(name), to_address(read(entry, "address"), "address")
        dex = read_text(entry, "dex")
        if venue not in _PAIRS:
            return cls(address, venue, dex)
        token0, token1 = read_tokens(_named(entry))
        hooks = to_address(entry.get("hooks", ZERO_ADDRESS), "hooks")
        if hooks != ZERO_ADDRESS:
            raise InputError("hooks", hooks, "Only pools without hooks can be computed.")
        fee_pips = read_int(entry, "fee_pips", 0, FEE_DENOMINATOR - 1)
        spaced = venue is not VenueKind.UNISWAP_V2
        spacing = read_int(entry, "tick_spacing", 1, MAX_TICK_SPACING) if spaced else 0
        return cls(address, venue, dex, token0, token1, fee_pips, spacing)

    @classmethod
    def of(cls, pool: Pool) -> Self:
        if pool.venue not in _PAIRS:
            return cls(pool.address, pool.venue, pool.dex)
        spacing = pool.tick_spacing if isinstance(pool, ConcentratedPool) else 0
        return cls(pool.address, pool.venue, pool.dex, pool.token0, pool.token1, pool.fee_pips, spacing)


def read_pool_specs(path: Path) -> list[PoolSpec]:
    """A JSON list of pools of the kinds that are traded; `PoolSpec.from_json` has the fields of its entries."""

    def spec(entry: Mapping[str, Any]) -> PoolSpec:
        venue = read_text(entry, "venue")
        if venue not in TRADED_VENUES:
            raise InputError("venue", venue, f"Give one of: {', '.join(TRADED_VENUES)}.")
        return PoolSpec.from_json(entry)

    specs: dict[Address, PoolSpec] = {}
    for found in read_entries(path, spec):
        if found.key in specs:
            raise InputError(path.name, found.key, "List each pool once.")
        specs[found.key] = found
    return list(specs.values())


def read_token_list(path: Path) -> dict[Address, Token]:
    """A JSON list of ``{"address", "symbol", "decimals"}``, by address."""

    def token(entry: Mapping[str, Any]) -> Token:
        return Token(
            address=to_address(read(entry, "address"), "address"),
            symbol=read_text(entry, "symbol"),
            decimals=read_int(entry, "decimals", 0, _MAX_DECIMALS),
        )

    return {entry.address: entry for entry in read_entries(path, token)}


def read_entries(path: Path, read_entry: Callable[[Mapping[str, Any]], Entry]) -> Iterator[Entry]:
    """The entries of a JSON list; an `InputError` names file, place and field."""
    try:
        entries = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(path.name, str(path), "Give a file that exists.") from error
    except orjson.JSONDecodeError as error:
        raise InputError(path.name, str(error), "Give a JSON list.") from error
    if not isinstance(entries, list):
        raise InputError(path.name, type(entries).__name__, "Give a JSON list.")
    for number, entry in enumerate(entries):
        place = f"{path.name}[{number}]"
        if not isinstance(entry, dict):
            raise InputError(place, entry, "Give a JSON object.")
        try:
            yield read_entry(entry)
        except InputError as error:
            raise InputError(f"{place}.{error.field}", error.value, error.remedy) from error


def _named(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entry with ``token0`` and ``token1`` where it has ``tokens``."""
    tokens = entry.get("tokens")
    if tokens is None:
        return entry
    if not isinstance(tokens, list) or len(tokens) != 2:
        raise InputError("tokens", tokens, "Give the two tokens of the pool, the lower address first.")
    return {**entry, "token0": tokens[0], "token1": tokens[1]}
