"""Reads Curve's pools of three coins, and checks the maths of each on two swaps that the contract is asked about.

While A or gamma are being changed the contract computes the invariant anew for each swap; its answers then differ from
ours, and the pool is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keeper.domain.errors import InputError
from keeper.market.readers.answers import Ask, Unreadable, argument, rows, selector, to_word, word_address
from keeper.market.specs import PoolSpec
from keeper.market.venues.base import InsufficientLiquidity, Pool
from keeper.market.venues.curve_tricrypto import CurveTricryptoPool, Variant
from keeper.market.venues.tricrypto_math import COINS

_SINGLE = {"a": "A()", "gamma": "gamma()", "d": "D()", "mid_fee": "mid_fee()", "out_fee": "out_fee()"}
_SINGLE |= {"fee_gamma": "fee_gamma()"}
_MATH = selector("MATH()")
"""Tricrypto-NG alone has its maths in a contract of its own, and tells which."""
_COINS, _BALANCES, _PRICES = selector("coins(uint256)"), selector("balances(uint256)"), selector("price_scale(uint256)")
_DECIMALS, _GET_DY = selector("decimals()"), selector("get_dy(uint256,uint256,uint256)")
_TRIED = ((0, 1), (2, 0))
_SHARE_TRIED = 50


async def read(ask: Ask, specs: Sequence[PoolSpec]) -> list[Pool | Unreadable]:
    fields = [
        *map(selector, _SINGLE.values()),
        _MATH,
        *(function + argument(k) for function in (_COINS, _BALANCES) for k in range(COINS)),
        *(_PRICES + argument(k) for k in range(COINS - 1)),
    ]
    answers = rows(await ask([(spec.address, field) for spec in specs for field in fields]), len(fields))
    states = [_state(spec, own) for spec, own in zip(specs, answers, strict=True)]
    known = [state for state in states if not isinstance(state, Unreadable)]
    decimals = iter(rows(await ask([(coin, _DECIMALS) for state in known for coin in state["tokens"]]), COINS))
    pools = [state if isinstance(state, Unreadable) else _pool(state, next(decimals)) for state in states]
    asked = [pool for pool in pools if isinstance(pool, CurveTricryptoPool)]
    calls = [
        (pool.address, _GET_DY + argument(i) + argument(j) + argument(_tried(pool, i)))
        for pool in asked
        for i, j in _TRIED
    ]
    trials = iter(rows(await ask(calls), len(_TRIED)))
    return [pool if isinstance(pool, Unreadable) else _agreeing(pool, next(trials)) for pool in pools]


def _state(spec: PoolSpec, answers: Sequence[bytes | None]) -> dict[str, Any] | Unreadable:
    count = len(_SINGLE)
    try:
        words = [to_word(answer, name) for answer, name in zip(answers, _SINGLE, strict=False)]
        coins, balances = answers[count + 1 : count + 1 + COINS], answers[count + 1 + COINS : count + 1 + 2 * COINS]
        return {
            "address": spec.address,
            "dex": spec.dex,
            "variant": (Variant.NG if answers[count] else Variant.V2).value,
            "tokens": [word_address(to_word(coin, "coins"), "coins") for coin in coins],
            "balances": [to_word(balance, "balances") for balance in balances],
            "price_scale": [to_word(price, "price_scale") for price in answers[count + 1 + 2 * COINS :]],
            **dict(zip(_SINGLE, words, strict=True)),
        }
    except Unreadable as error:
        return error


def _pool(state: dict[str, Any], decimals: Sequence[bytes | None]) -> CurveTricryptoPool | Unreadable:
    try:
        return CurveTricryptoPool.from_json({**state, "decimals": [to_word(answer, "decimals") for answer in decimals]})
    except (Unreadable, InputError) as error:
        return Unreadable(str(error))


def _tried(pool: CurveTricryptoPool, i: int) -> int:
    return max(pool.balances[i] // _SHARE_TRIED, 1)


def _agreeing(pool: CurveTricryptoPool, answers: Sequence[bytes | None]) -> Pool | Unreadable:
    for (i, j), answer in zip(_TRIED, answers, strict=True):
        try:
            ours, theirs = pool.get_dy(i, j, _tried(pool, i)), to_word(answer, "get_dy")
        except (InsufficientLiquidity, Unreadable) as error:
            return Unreadable(str(error))
        if ours != theirs:
            return Unreadable("get_dy answers otherwise than this kind of pool")
    return pool
