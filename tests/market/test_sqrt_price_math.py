"""Prices and amounts of ``SqrtPriceMath``: values that the contract is known to give, and its overflow rule."""

from __future__ import annotations

from math import isqrt

import pytest

from keeper.market.venues import InsufficientLiquidity
from keeper.market.venues.sqrt_price_math import (
    get_amount0_delta,
    get_amount1_delta,
    get_next_sqrt_price_from_amount0_rounding_up,
    get_next_sqrt_price_from_input,
    get_next_sqrt_price_from_output,
)

ONE = 2**96
ETHER = 10**18
PRICE_121_100 = isqrt(121 * 2**192 // 100)


@pytest.mark.parametrize(
    ("liquidity", "amount", "zero_for_one", "price"),
    [
        (ETHER, ETHER // 10, True, 72025602285694852357767227579),
        (ETHER, ETHER // 10, False, 87150978765690771352898345369),
        (10 * ETHER, 2**100, True, 624999999995069620),
        (ETHER, 0, True, ONE),
        (ETHER, 0, False, ONE),
    ],
)
def test_prices_after_an_input(liquidity: int, amount: int, zero_for_one: bool, price: int) -> None:
    assert get_next_sqrt_price_from_input(ONE, liquidity, amount, zero_for_one) == price


def test_prices_after_an_output() -> None:
    assert get_next_sqrt_price_from_output(ONE, ETHER, ETHER // 10, False) == 88031291682515930659493278152
    assert get_next_sqrt_price_from_output(ONE, ETHER, ETHER // 10, True) == 71305346262837903834189555302
    for zero_for_one in (True, False):
        with pytest.raises(InsufficientLiquidity):
            get_next_sqrt_price_from_output(ONE, ETHER, ETHER, zero_for_one)


def test_amounts_between_two_prices() -> None:
    for delta, up in ((get_amount0_delta, 90909090909090910), (get_amount1_delta, 100000000000000000)):
        for ends in ((ONE, PRICE_121_100), (PRICE_121_100, ONE)):
            assert delta(*ends, ETHER, True) == up
            assert delta(*ends, ETHER, False) == up - 1
        assert delta(ONE, ONE, ETHER, True) == 0


def test_where_256_bits_overflow_the_contract_rounds_coarsely() -> None:
    """256-bit products come up at the widest tick spacings alone, where no pool of the replica is."""
    price, liquidity, amount = 2**160 - 1, 2**128 - 1, 2**97
    numerator = liquidity << 96
    assert amount * price >= 2**256
    coarse, rest = divmod(numerator, numerator // price + amount)
    found = get_next_sqrt_price_from_amount0_rounding_up(price, liquidity, amount, True)
    assert found == coarse + (rest > 0)
    assert found != -(-numerator * price // (numerator + amount * price))
    assert get_next_sqrt_price_from_input(1, 1, 2**255, True) == 1
