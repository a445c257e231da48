"""Balancer's ``FixedPoint``: numbers with 18 decimals, each operation rounded the way its name says."""

from __future__ import annotations

from keeper.market.venues import log_exp_math
from keeper.market.venues.arithmetic import uint256

ONE = 10**18
TWO = 2 * ONE
FOUR = 4 * ONE
_MAX_POW_RELATIVE_ERROR = 10_000


def mul_down(a: int, b: int) -> int:
    return uint256(a * b) // ONE


def mul_up(a: int, b: int) -> int:
    return -(-uint256(a * b) // ONE)


def div_down(a: int, b: int) -> int:
    return uint256(a * ONE) // b


def div_up(a: int, b: int) -> int:
    return -(-uint256(a * ONE) // b)


def complement(x: int) -> int:
    return ONE - x if x < ONE else 0


def pow_up(x: int, y: int, *, shortcuts: bool) -> int:
    """``x**y``, at least the true value.

    Args:
        shortcuts: exponents of 1, 2 and 4 are multiplied out, as pools since 2022 do.
    """
    if shortcuts:
        if y == ONE:
            return x
        if y == TWO:
            return mul_up(x, x)
        if y == FOUR:
            square = mul_up(x, x)
            return mul_up(square, square)
    raw = log_exp_math.pow(x, y)
    return uint256(raw + mul_up(raw, _MAX_POW_RELATIVE_ERROR) + 1)
