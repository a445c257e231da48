"""Reads PancakeSwap V3 pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keeper.domain.errors import InputError
from keeper.market.readers.answers import (
    Ask,
    PoolPlace,
    Unreadable,
    rows,
    selector,
    to_word,
    to_words,
    word_address,
)
from keeper.market.readers.ticks import check_sums, read_ticks, uniswap_v3_source
from keeper.market.venues.base import Pool
from keeper.market.venues.fields import signed
from keeper.market.venues.uniswap_v3 import PancakeSwapV3Pool

_FIELDS = tuple(map(selector, ("token0()", "token1()", "fee()", "tickSpacing()", "slot0()", "liquidity()")))


async def read(ask: Ask, places: Sequence[PoolPlace]) -> list[Pool | Unreadable]:
    answers = rows(await ask([(place.address, call) for place in places for call in _FIELDS]), len(_FIELDS))
    states = [_state(place, fields) for place, fields in zip(places, answers, strict=True)]
    known = [state for state in states if not isinstance(state, Unreadable)]
    ticks = iter(await read_ticks(ask, [uniswap_v3_source(state["address"], state["tick_spacing"]) for state in known]))
    return [state if isinstance(state, Unreadable) else _pool(state, next(ticks)) for state in states]


def _state(place: PoolPlace, answers: Sequence[bytes | None]) -> dict[str, Any] | Unreadable:
    token0, token1, fee, spacing, slot0, liquidity = answers
    try:
        price, tick, *_ = to_words(slot0, 7, "slot0")
        return {
            "address": place.address,
            "dex": place.dex,
            "token0": word_address(to_word(token0, "token0"), "token0"),
            "token1": word_address(to_word(token1, "token1"), "token1"),
            "fee_pips": to_word(fee, "fee"),
            "tick_spacing": max(to_word(spacing, "tickSpacing"), 1),
            "sqrt_price_x96": price,
            "tick": signed(tick),
            "liquidity": to_word(liquidity, "liquidity"),
        }
    except Unreadable as error:
        return error


def _pool(state: dict[str, Any], ticks: Sequence[tuple[int, int, int]]) -> Pool | Unreadable:
    try:
        pool = PancakeSwapV3Pool.from_json({**state, "ticks": [list(row) for row in ticks]})
        check_sums(pool)
    except (Unreadable, InputError) as error:
        return Unreadable(str(error))
    return pool
