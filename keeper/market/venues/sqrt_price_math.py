"""Uniswap V3's ``SqrtPriceMath``: amounts between two prices and prices after an amount, rounded as the contract."""

from __future__ import annotations

from keeper.market.venues.base import InsufficientLiquidity

_RESOLUTION = 96
_Q96_MASK = (1 << 96) - 1
_UINT256 = 1 << 256


def get_amount0_delta(sqrt_ratio_a_x96: int, sqrt_ratio_b_x96: int, liquidity: int, round_up: bool) -> int:
    """``liquidity / sqrt(lower) - liquidity / sqrt(upper)``, each of its two divisions rounded the same way."""
    if sqrt_ratio_a_x96 > sqrt_ratio_b_x96:
        sqrt_ratio_a_x96, sqrt_ratio_b_x96 = sqrt_ratio_b_x96, sqrt_ratio_a_x96
    numerator = (liquidity << _RESOLUTION) * (sqrt_ratio_b_x96 - sqrt_ratio_a_x96)
    if round_up:
        return -(-numerator // sqrt_ratio_b_x96 // sqrt_ratio_a_x96)
    return numerator // sqrt_ratio_b_x96 // sqrt_ratio_a_x96


def get_amount1_delta(sqrt_ratio_a_x96: int, sqrt_ratio_b_x96: int, liquidity: int, round_up: bool) -> int:
    """``liquidity * (sqrt(upper) - sqrt(lower))``."""
    numerator = liquidity * abs(sqrt_ratio_b_x96 - sqrt_ratio_a_x96)
    return (numerator + _Q96_MASK if round_up else numerator) >> _RESOLUTION


def get_next_sqrt_price_from_amount0_rounding_up(sqrt_price_x96: int, liquidity: int, amount: int, add: bool) -> int:
    """The price after token0 came in (``add``) or went out; rounded up, so that the pool never pays too much."""
    if amount == 0:
        return sqrt_price_x96
    numerator = liquidity << _RESOLUTION
    product = amount * sqrt_price_x96
    if add:
        denominator = numerator + product
        if product < _UINT256 and denominator < _UINT256:
            return -(-numerator * sqrt_price_x96 // denominator)
        # where 256 bits do not hold the product the contract takes a coarser formula
        return -(-numerator // (numerator // sqrt_price_x96 + amount))
    if product >= _UINT256 or numerator <= product:
        raise InsufficientLiquidity("the range holds less of token0 than is asked for")
    return -(-numerator * sqrt_price_x96 // (numerator - product))


def get_next_sqrt_price_from_amount1_rounding_down(sqrt_price_x96: int, liquidity: int, amount: int, add: bool) -> int:
    """The price after token1 came in (``add``) or went out; rounded down, so that the pool never pays too much."""
    if add:
        return sqrt_price_x96 + (amount << _RESOLUTION) // liquidity
    quotient = -(-(amount << _RESOLUTION) // liquidity)
    if quotient >= sqrt_price_x96:
        raise InsufficientLiquidity("the range holds less of token1 than is asked for")
    return sqrt_price_x96 - quotient


def get_next_sqrt_price_from_input(sqrt_price_x96: int, liquidity: int, amount_in: int, zero_for_one: bool) -> int:
    if zero_for_one:
        return get_next_sqrt_price_from_amount0_rounding_up(sqrt_price_x96, liquidity, amount_in, True)
    return get_next_sqrt_price_from_amount1_rounding_down(sqrt_price_x96, liquidity, amount_in, True)


def get_next_sqrt_price_from_output(sqrt_price_x96: int, liquidity: int, amount_out: int, zero_for_one: bool) -> int:
    if zero_for_one:
        return get_next_sqrt_price_from_amount1_rounding_down(sqrt_price_x96, liquidity, amount_out, False)
    return get_next_sqrt_price_from_amount0_rounding_up(sqrt_price_x96, liquidity, amount_out, False)
