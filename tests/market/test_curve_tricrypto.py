"""Curve's tricrypto: the balance equation against answers of the contracts' maths, and the pool by its properties.

`vectors/tricrypto_math.json` holds answers of ``newton_y`` and ``get_y`` in the EVM: the functions of CurveCryptoMath3
and CurveCryptoMathOptimized3 of curvefi/tricrypto-ng, put into one contract and compiled with vyper 0.3.10, on drawn
arguments; null is a revert.
"""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest
from eth_utils.crypto import keccak

from keeper.domain.errors import InputError
from keeper.market.venues import CurveTricryptoPool, InsufficientLiquidity, load, quote
from keeper.market.venues.base import ReadAgain
from keeper.market.venues.curve_tricrypto import Variant
from keeper.market.venues.tricrypto_math import (
    MAX_A,
    MAX_GAMMA,
    MIN_A,
    MIN_GAMMA,
    cbrt,
    get_y,
    newton_y,
    reduction_coefficient,
)
from tests.market.chain import TOKEN0, TOKEN1, address, make_log, word

VECTORS = Path(__file__).with_name("vectors") / "tricrypto_math.json"
FUNCTIONS = {"newton_y": newton_y, "get_y": get_y}


def test_the_maths_answers_as_the_contracts() -> None:
    answered = dict.fromkeys(FUNCTIONS, 0)
    for name, ann, gamma, x, d, i, answer in json.loads(VECTORS.read_text()):
        arguments = int(ann), int(gamma), [int(held) for held in x], int(d), i
        if answer is not None:
            assert FUNCTIONS[name](*arguments) == int(answer), (name, arguments)
            answered[name] += 1
        elif MIN_A <= arguments[0] <= MAX_A and MIN_GAMMA <= arguments[1] <= MAX_GAMMA:
            with pytest.raises(InsufficientLiquidity):
                FUNCTIONS[name](*arguments)
    assert min(answered.values()) >= 100


def test_cube_roots() -> None:
    assert cbrt(0) == 0
    assert cbrt(10**18) == 10**18
    for root in (3 * 10**18, 7 * 10**25, 5 * 10**30):
        assert abs(cbrt(root**3 // 10**36) - root) <= root // 10**12 + 1


def test_the_fee_is_least_in_balance() -> None:
    even, uneven = [10**24] * 3, [10**24, 10**24, 10**23]
    assert reduction_coefficient(even, 10**15) == 10**18
    assert reduction_coefficient(uneven, 10**15) < 10**18


def a_pool(variant: Variant, **changes: Any) -> CurveTricryptoPool:
    """About 3 million dollars in each of USDT, WBTC and WETH."""
    pool = CurveTricryptoPool(
        address=address(2),
        dex="curve",
        tokens=(TOKEN1, TOKEN0, address(0xC0)),
        variant=variant,
        balances=(3_000_000 * 10**6, 46 * 10**8, 1000 * 10**18),
        decimals=(6, 8, 18),
        price_scale=(65_000 * 10**18, 3_000 * 10**18),
        d=8_989_999_676_422_040_091_072_496,
        a=1_707_629,
        gamma=11_809_167_828_997,
        mid_fee=3_000_000,
        out_fee=30_000_000,
        fee_gamma=500_000_000_000_000,
    )
    return replace(pool, **changes)


@pytest.mark.parametrize("variant", list(Variant))
def test_least_input_round_trip_and_price(variant: Variant) -> None:
    pool, random = a_pool(variant), Random(2)
    for _ in range(60):
        i, j = random.sample(range(3), 2)
        token_in, token_out = pool.tokens[i], pool.tokens[j]
        amount = int(pool.balances[i] * 2 ** random.uniform(-16, -2))
        paid = pool.amount_out(token_in, amount, token_out)
        amount_in = pool.amount_in(token_out, paid, token_in)
        assert amount_in <= amount
        assert pool.amount_out(token_in, amount_in, token_out) >= paid
        assert quote(pool.pair(token_in, token_out), token_in, amount_in - 1) < paid
        balances = list(pool.balances)
        balances[i] += amount
        balances[j] -= paid
        # the prices stay, and so does the invariant but for the fee
        assert quote(replace(pool, balances=tuple(balances)).pair(token_in, token_out), token_out, paid) <= amount
        small = pool.balances[i] // 10**4
        rate = Fraction(pool.amount_out(token_in, small, token_out), small)
        assert float(rate / pool.marginal_price(token_in, token_out)) == pytest.approx(1, rel=3e-3)


def test_both_contracts_agree_but_for_their_precision() -> None:
    for amount in (10**9, 10**11):
        outs = [a_pool(variant).amount_out(TOKEN1, amount, TOKEN0) for variant in Variant]
        assert abs(outs[0] - outs[1]) <= 2


def test_state_and_hostile_input() -> None:
    pool = a_pool(Variant.NG)
    assert load(json.loads(json.dumps(pool.to_json()))) == pool
    view = pool.pair(TOKEN0, TOKEN1)
    assert load(view.to_json()) == view
    for token in (TOKEN0, TOKEN1):
        with pytest.raises(InsufficientLiquidity):
            view.amount_out(token, 2**255)
    with pytest.raises(InsufficientLiquidity):
        view.amount_in(TOKEN1, pool.balances[0])
    with pytest.raises(InsufficientLiquidity):
        a_pool(Variant.V2, balances=(0, 1, 1)).marginal_price(TOKEN0, TOKEN1)
    with pytest.raises(InputError):
        pool.amount_out(TOKEN0, 1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"variant": "v1"}, "variant"),
        ({"tokens": [TOKEN0, TOKEN1]}, "tokens"),
        ({"d": 5}, "d"),
        ({"a": 1}, "a"),
        ({"gamma": 1}, "gamma"),
        ({"price_scale": [0, 1]}, r"price_scale\[0\]"),
        ({"decimals": [6, 8, 19]}, r"decimals\[2\]"),
        ({"mid_fee": 10**10}, "mid_fee"),
    ],
)
def test_the_wrong_field_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=rf"^{field}: "):
        load({**a_pool(Variant.V2).to_json(), **change})


def test_events_that_move_prices_are_refused() -> None:
    pool = a_pool(Variant.NG)
    exchange = keccak(text="TokenExchange(address,uint256,uint256,uint256,uint256)")
    assert pool.apply(make_log(address(9), [exchange], b"")) is pool
    transfer = keccak(text="Transfer(address,address,uint256)")
    assert pool.apply(make_log(pool.address, [transfer, word(1), word(2)], word(3))) is pool
    with pytest.raises(ReadAgain, match=r"^log: "):
        pool.apply(make_log(pool.address, [exchange, word(1)], word(0) * 4))


@pytest.mark.parametrize(("count", "first"), [(7, 1), (6, 0)])
def test_new_fees_are_followed(count: int, first: int) -> None:
    pool = a_pool(Variant.NG)
    topic = keccak(text=f"NewParameters({','.join(['uint256'] * count)})")
    values = [9] * count
    values[first : first + 3] = 4_000_000, 40_000_000, 10**15
    after = pool.apply(make_log(pool.address, [topic], b"".join(map(word, values))))
    assert after == replace(pool, mid_fee=4_000_000, out_fee=40_000_000, fee_gamma=10**15)
    values[first] = 10**10
    with pytest.raises(InputError, match=r"log\.data"):
        pool.apply(make_log(pool.address, [topic], b"".join(map(word, values))))
    with pytest.raises(InputError, match=r"log\.data"):
        pool.apply(make_log(pool.address, [topic], b"".join(map(word, values[1:]))))
    announced = keccak(text=f"CommitNewParameters({','.join(['uint256'] * (count + 1))})")
    assert pool.apply(make_log(pool.address, [announced], b"")) is pool
