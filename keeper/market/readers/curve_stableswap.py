"""Reads Curve's StableSwap pools; what the contract answers tells which variant it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_utils.address import to_checksum_address

from keeper.domain.errors import InputError
from keeper.domain.units import Address
from keeper.market.readers.answers import (
    Ask,
    Unreadable,
    argument,
    rows,
    selector,
    to_array,
    to_word,
    word_address,
)
from keeper.market.specs import PoolSpec
from keeper.market.venues.base import InsufficientLiquidity, Pool
from keeper.market.venues.curve_stableswap import MAX_COINS, CurveStableSwapPool, Quote, Variant

_ONE = tuple(
    map(
        selector,
        ("A()", "A_precise()", "fee()", "admin_fee()", "offpeg_fee_multiplier()", "stored_rates()", "base_pool()"),
    )
)
_COINS, _BALANCES = selector("coins(uint256)"), selector("balances(uint256)")
_DECIMALS, _VIRTUAL_PRICE = selector("decimals()"), selector("get_virtual_price()")
_GET_DY = selector("get_dy(int128,int128,uint256)")
_SHARE_TRIED = 50


async def read(ask: Ask, specs: Sequence[PoolSpec]) -> list[Pool | Unreadable]:
    fields = [*_ONE, *(f + argument(k) for f in (_COINS, _BALANCES) for k in range(MAX_COINS))]
    answers = rows(await ask([(spec.address, field) for spec in specs for field in fields]), len(fields))
    coins: list[list[Address]] = []
    for own in answers:
        found = own[len(_ONE) : len(_ONE) + MAX_COINS]
        coins.append(
            [Address(to_checksum_address(coin[-20:])) for coin in found if coin is not None and len(coin) == 32]
        )
    wanted = [(number, coin) for number, own in enumerate(coins) for coin in own]
    decimals: dict[int, list[bytes | None]] = {}
    for (number, _), answer in zip(wanted, await ask([(coin, _DECIMALS) for _, coin in wanted]), strict=True):
        decimals.setdefault(number, []).append(answer)
    bases = [_base_pool(spec, own) for spec, own in zip(specs, answers, strict=True)]
    prices = await ask([(base, _VIRTUAL_PRICE) for base in bases])
    pools: list[CurveStableSwapPool | Unreadable] = []
    for number, (spec, own) in enumerate(zip(specs, answers, strict=True)):
        price = prices[number] if bases[number] != spec.address else None
        try:
            pools.append(_pool(spec, own, coins[number], decimals.get(number, []), price))
        except (Unreadable, InputError) as error:
            pools.append(Unreadable(str(error)))
    return await _checked(ask, pools)


def _base_pool(spec: PoolSpec, own: Sequence[bytes | None]) -> Address:
    """A metapool's base pool; the pool itself where it has none."""
    try:
        return word_address(to_word(own[6], "base_pool"), "base_pool")
    except Unreadable:
        return spec.address


def _pool(
    spec: PoolSpec,
    own: Sequence[bytes | None],
    coins: Sequence[Address],
    decimals: Sequence[bytes | None],
    virtual_price: bytes | None,
) -> CurveStableSwapPool:
    a, a_precise, fee, admin_fee, offpeg, stored_rates, _ = own[: len(_ONE)]
    variant = Variant.V1 if not a_precise else Variant.NG if offpeg else Variant.V2
    balances = own[len(_ONE) + MAX_COINS :][: len(coins)]
    state: dict[str, Any] = {
        "address": spec.address,
        "dex": spec.dex,
        "tokens": list(coins),
        "variant": variant.value,
        "balances": [to_word(balance, "balances") for balance in balances],
        "amplification": to_word(a if variant is Variant.V1 else a_precise, "A"),
        "fee": to_word(fee, "fee"),
        "admin_fee": to_word(admin_fee, "admin_fee"),
        "offpeg_fee_multiplier": to_word(offpeg, "offpeg_fee_multiplier") if offpeg else 0,
        "quote": Quote.EXCHANGE.value,
    }
    if variant is Variant.NG:
        rates = list(to_array(stored_rates, 0, "stored_rates"))
    else:
        rates = [10 ** (36 - min(to_word(answer, "decimals"), 36)) for answer in decimals]
        if virtual_price:
            rates[-1] = to_word(virtual_price, "get_virtual_price")
    return CurveStableSwapPool.from_json({**state, "rates": rates})


async def _checked(ask: Ask, pools: Sequence[CurveStableSwapPool | Unreadable]) -> list[Pool | Unreadable]:
    """The pools whose ``get_dy`` is ours; lending pools and others with rates of their own are not."""
    known = [pool for pool in pools if isinstance(pool, CurveStableSwapPool)]
    calls = [
        (pool.address, _GET_DY + argument(0) + argument(1) + argument(max(pool.balances[0] // _SHARE_TRIED, 1)))
        for pool in known
    ]
    answers = iter(await ask(calls))
    return [pool if isinstance(pool, Unreadable) else _agreeing(pool, next(answers)) for pool in pools]


def _agreeing(pool: CurveStableSwapPool, answer: bytes | None) -> Pool | Unreadable:
    try:
        ours = pool.get_dy(0, 1, max(pool.balances[0] // _SHARE_TRIED, 1))
        theirs = to_word(answer, "get_dy")
    except (InsufficientLiquidity, Unreadable) as error:
        return Unreadable(str(error))
    return pool if ours == theirs else Unreadable("get_dy answers otherwise than this kind of pool")
