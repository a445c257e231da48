"""Reads Solidly pools: their ``metadata``, and the fee from their factory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.market.multicall import Call
from keeper.market.readers.answers import (
    Ask,
    Unreadable,
    argument,
    rows,
    selector,
    to_word,
    to_words,
    word_address,
)
from keeper.market.specs import PoolSpec
from keeper.market.venues.base import Pool
from keeper.market.venues.solidly import MAX_DECIMALS, SolidlyStablePool, SolidlyVolatilePool

_METADATA, _FACTORY, _GET_FEE = selector("metadata()"), selector("factory()"), selector("getFee(address,bool)")
_PIPS_OF_BPS = 100


async def read(ask: Ask, specs: Sequence[PoolSpec]) -> list[Pool | Unreadable]:
    calls = [(spec.address, call) for spec in specs for call in (_METADATA, _FACTORY)]
    first = rows(await ask(calls), 2)
    factories: list[Call] = []
    for spec, (_, factory) in zip(specs, first, strict=True):
        try:
            target = word_address(to_word(factory, "factory"), "factory")
        except Unreadable:
            # the pool itself then answers no fee, and is left out for it
            target = spec.address
        stable = spec.venue is VenueKind.SOLIDLY_STABLE
        factories.append((target, _GET_FEE + argument(int(spec.address, 16)) + argument(stable)))
    fees = await ask(factories)
    return [_pool(spec, metadata, fee) for spec, (metadata, _), fee in zip(specs, first, fees, strict=True)]


def _pool(spec: PoolSpec, metadata: bytes | None, fee: bytes | None) -> Pool | Unreadable:
    try:
        unit0, unit1, reserve0, reserve1, stable, token0, token1 = to_words(metadata, 7, "metadata")
        state: dict[str, Any] = {
            "address": spec.address,
            "dex": spec.dex,
            "token0": word_address(token0, "metadata"),
            "token1": word_address(token1, "metadata"),
            "fee_pips": to_word(fee, "getFee") * _PIPS_OF_BPS,
            "reserve0": reserve0,
            "reserve1": reserve1,
        }
        if stable != (spec.venue is VenueKind.SOLIDLY_STABLE):
            raise Unreadable("metadata tells another kind of pool")
        if not stable:
            return SolidlyVolatilePool.from_json(state)
        return SolidlyStablePool.from_json({**state, "decimals0": _decimals(unit0), "decimals1": _decimals(unit1)})
    except (Unreadable, InputError) as error:
        return Unreadable(str(error))


def _decimals(unit: int) -> int:
    decimals = len(str(unit)) - 1
    if decimals > MAX_DECIMALS or unit != 10**decimals:
        raise Unreadable(f"metadata tells a unit of {unit}")
    return decimals
