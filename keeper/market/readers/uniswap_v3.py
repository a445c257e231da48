"""Reads pools of Uniswap V3 and of PancakeSwap V3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.market.readers.answers import (
    Ask,
    Unreadable,
    expect,
    expect_tokens,
    rows,
    selector,
    to_word,
    to_words,
    word_address,
)
from keeper.market.readers.ticks import check_sums, read_ticks, uniswap_v3_source
from keeper.market.specs import PoolSpec
from keeper.market.venues.base import Pool
from keeper.market.venues.fields import signed
from keeper.market.venues.uniswap_v3 import PancakeSwapV3Pool, UniswapV3Pool

_FIELDS = tuple(map(selector, ("token0()", "token1()", "fee()", "tickSpacing()", "slot0()", "liquidity()")))


async def read(ask: Ask, specs: Sequence[PoolSpec]) -> list[Pool | Unreadable]:
    answers = rows(await ask([(spec.address, call) for spec in specs for call in _FIELDS]), len(_FIELDS))
    states = [_state(spec, fields) for spec, fields in zip(specs, answers, strict=True)]
    known = [state for state in states if not isinstance(state, Unreadable)]
    ticks = iter(await read_ticks(ask, [uniswap_v3_source(state["address"], state["tick_spacing"]) for state in known]))
    return [state if isinstance(state, Unreadable) else _pool(state, next(ticks)) for state in states]


def _state(spec: PoolSpec, answers: Sequence[bytes | None]) -> dict[str, Any] | Unreadable:
    token0, token1, fee, spacing, slot0, liquidity = answers
    try:
        if spec.venue is VenueKind.UNISWAP_V3:
            expect_tokens((spec.token0, spec.token1), token0, token1)
            expect(to_word(fee, "fee"), spec.fee_pips, "fee")
            expect(to_word(spacing, "tickSpacing"), spec.tick_spacing, "tickSpacing")
        price, tick, *_ = to_words(slot0, 7, "slot0")
        return {
            "venue": spec.venue,
            "address": spec.address,
            "dex": spec.dex,
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
    kind = UniswapV3Pool if state["venue"] is VenueKind.UNISWAP_V3 else PancakeSwapV3Pool
    try:
        pool = kind.from_json({**state, "ticks": [list(row) for row in ticks]})
        check_sums(pool)
    except (Unreadable, InputError) as error:
        return Unreadable(str(error))
    return pool
