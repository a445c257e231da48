"""Reads Uniswap V2 pairs and their forks."""

from __future__ import annotations

from collections.abc import Sequence

from keeper.market.readers.answers import Ask, Unreadable, expect_tokens, rows, selector, to_words
from keeper.market.specs import PoolSpec
from keeper.market.venues.base import Pool
from keeper.market.venues.uniswap_v2 import UniswapV2Pool

_FIELDS = tuple(map(selector, ("token0()", "token1()", "getReserves()")))


async def read(ask: Ask, specs: Sequence[PoolSpec]) -> list[Pool | Unreadable]:
    answers = rows(await ask([(spec.address, call) for spec in specs for call in _FIELDS]), len(_FIELDS))
    return [_pool(spec, fields) for spec, fields in zip(specs, answers, strict=True)]


def _pool(spec: PoolSpec, answers: Sequence[bytes | None]) -> Pool | Unreadable:
    token0, token1, reserves = answers
    try:
        expect_tokens((spec.token0, spec.token1), token0, token1)
        reserve0, reserve1, _ = to_words(reserves, 3, "getReserves")
    except Unreadable as error:
        return error
    return UniswapV2Pool(
        address=spec.address,
        dex=spec.dex,
        token0=spec.token0,
        token1=spec.token1,
        fee_pips=spec.fee_pips,
        reserve0=reserve0,
        reserve1=reserve1,
    )
