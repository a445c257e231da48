"""Reads Uniswap V4 pools without hooks out of the PoolManager's storage, by ``extsload``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from eth_utils.crypto import keccak

from keeper.domain.errors import InputError
from keeper.domain.units import Address
from keeper.market.multicall import Call
from keeper.market.readers.answers import Ask, Unreadable, argument, rows, selector, to_word
from keeper.market.readers.ticks import TickSource, check_sums, read_ticks
from keeper.market.specs import PoolSpec
from keeper.market.venues.base import Pool
from keeper.market.venues.uniswap_v4 import UniswapV4Pool

_EXTSLOAD = selector("extsload(bytes32)")
_POOLS_SLOT = 6
_LIQUIDITY, _TICKS, _TICK_BITMAP = 3, 4, 5
"""Places within the state of a pool."""


async def read(ask: Ask, specs: Sequence[PoolSpec]) -> list[Pool | Unreadable]:
    calls: list[Call] = []
    for spec in specs:
        base = state_slot(spec)
        calls += [_load(spec.address, base), _load(spec.address, base + _LIQUIDITY)]
    answers = rows(await ask(calls), 2)
    ticks = await read_ticks(ask, [_source(spec) for spec in specs])
    return [_pool(spec, own, found) for spec, own, found in zip(specs, answers, ticks, strict=True)]


def state_slot(spec: PoolSpec) -> int:
    """Where the state of a pool begins in the PoolManager's storage."""
    return int.from_bytes(keccak(bytes.fromhex(spec.key[2:]) + argument(_POOLS_SLOT)), "big")


def mapping_slot(base: int, place: int, key: int) -> int:
    return int.from_bytes(keccak(argument(key) + (base + place).to_bytes(32, "big")), "big")


def _load(manager: Address, slot: int) -> Call:
    return manager, _EXTSLOAD + slot.to_bytes(32, "big")


def _source(spec: PoolSpec) -> TickSource:
    base = state_slot(spec)

    def call(mapping: int, index: int) -> Call:
        return _load(spec.address, mapping_slot(base, mapping, index))

    return TickSource(spec.tick_spacing, partial(call, _TICK_BITMAP), partial(call, _TICKS), _decode)


def _decode(answer: bytes) -> tuple[int, int]:
    packed = to_word(answer, "extsload")
    net = packed >> 128
    return net - (1 << 128) if net >> 127 else net, packed % (1 << 128)


def _pool(spec: PoolSpec, own: Sequence[bytes | None], ticks: Sequence[tuple[int, int, int]]) -> Pool | Unreadable:
    slot0, liquidity = own
    try:
        packed = to_word(slot0, "extsload")
        tick = packed >> 160 & 0xFFFFFF
        state: dict[str, Any] = {
            "address": spec.address,
            "dex": spec.dex,
            "token0": spec.token0,
            "token1": spec.token1,
            "fee_pips": spec.fee_pips,
            "tick_spacing": spec.tick_spacing,
            "sqrt_price_x96": packed % (1 << 160),
            "tick": tick - (1 << 24) if tick >> 23 else tick,
            "protocol_fee": packed >> 184 & 0xFFFFFF,
            "liquidity": to_word(liquidity, "extsload"),
            "ticks": [list(row) for row in ticks],
        }
        if packed >> 208 & 0xFFFFFF != spec.fee_pips and packed:
            raise Unreadable("its fee is another one than its key says")
        pool = UniswapV4Pool.from_json(state)
        check_sums(pool)
    except (Unreadable, InputError) as error:
        return Unreadable(str(error))
    return pool
