"""Reads Uniswap V4 pools without hooks out of the PoolManager's storage, by ``extsload``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from eth_utils.crypto import keccak

from keeper.domain.errors import InputError
from keeper.domain.units import Address
from keeper.market.multicall import Call
from keeper.market.readers.answers import Ask, PoolKey, PoolPlace, Unreadable, argument, rows, selector, to_word
from keeper.market.readers.ticks import TickSource, check_sums, read_ticks
from keeper.market.venues.base import Pool
from keeper.market.venues.uniswap_v4 import UniswapV4Pool, to_pool_id

_EXTSLOAD = selector("extsload(bytes32)")
_POOLS_SLOT = 6
_LIQUIDITY, _TICKS, _TICK_BITMAP = 3, 4, 5
"""Places within the state of a pool."""


async def read(ask: Ask, places: Sequence[PoolPlace]) -> list[Pool | Unreadable]:
    calls: list[Call] = []
    for place in places:
        base = state_slot(_key(place))
        calls += [_load(place.address, base), _load(place.address, base + _LIQUIDITY)]
    answers = rows(await ask(calls), 2)
    ticks = await read_ticks(ask, [_source(place) for place in places])
    return [_pool(place, own, found) for place, own, found in zip(places, answers, ticks, strict=True)]


def state_slot(key: PoolKey) -> int:
    """Where the state of a pool begins in the PoolManager's storage."""
    pool_id = bytes.fromhex(to_pool_id(key.token0, key.token1, key.fee_pips, key.tick_spacing)[2:])
    return int.from_bytes(keccak(pool_id + argument(_POOLS_SLOT)), "big")


def mapping_slot(base: int, place: int, key: int) -> int:
    return int.from_bytes(keccak(argument(key) + (base + place).to_bytes(32, "big")), "big")


def _key(place: PoolPlace) -> PoolKey:
    assert place.key is not None, "a place of this kind has a key"
    return place.key


def _load(manager: Address, slot: int) -> Call:
    return manager, _EXTSLOAD + slot.to_bytes(32, "big")


def _source(place: PoolPlace) -> TickSource:
    base = state_slot(_key(place))

    def call(mapping: int, index: int) -> Call:
        return _load(place.address, mapping_slot(base, mapping, index))

    return TickSource(_key(place).tick_spacing, partial(call, _TICK_BITMAP), partial(call, _TICKS), _decode)


def _decode(answer: bytes) -> tuple[int, int]:
    packed = to_word(answer, "extsload")
    net = packed >> 128
    return net - (1 << 128) if net >> 127 else net, packed % (1 << 128)


def _pool(place: PoolPlace, own: Sequence[bytes | None], ticks: Sequence[tuple[int, int, int]]) -> Pool | Unreadable:
    key = _key(place)
    slot0, liquidity = own
    try:
        packed = to_word(slot0, "extsload")
        tick = packed >> 160 & 0xFFFFFF
        state: dict[str, Any] = {
            "address": place.address,
            "dex": place.dex,
            "token0": key.token0,
            "token1": key.token1,
            "fee_pips": key.fee_pips,
            "tick_spacing": key.tick_spacing,
            "sqrt_price_x96": packed % (1 << 160),
            "tick": tick - (1 << 24) if tick >> 23 else tick,
            "protocol_fee": packed >> 184 & 0xFFFFFF,
            "liquidity": to_word(liquidity, "extsload"),
            "ticks": [list(row) for row in ticks],
        }
        if packed >> 208 & 0xFFFFFF != key.fee_pips and packed:
            raise Unreadable("its fee is another one than its key says")
        pool = UniswapV4Pool.from_json(state)
        check_sums(pool)
    except (Unreadable, InputError) as error:
        return Unreadable(str(error))
    return pool
