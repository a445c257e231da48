"""Balancer's ``LogExpMath``: powers of 18-decimal fixed-point numbers, with every rounding of the contract."""

from __future__ import annotations

from keeper.market.venues.base import InsufficientLiquidity

ONE_18 = 10**18
_ONE_20 = 10**20
_ONE_36 = 10**36

MAX_NATURAL_EXPONENT = 130 * ONE_18
MIN_NATURAL_EXPONENT = -41 * ONE_18
_LN_36_LOWER_BOUND = ONE_18 - 10**17
_LN_36_UPPER_BOUND = ONE_18 + 10**17
_MILD_EXPONENT_BOUND = 2**254 // _ONE_20

# x and e**x, the exponent with 18 decimals, the power without any
_LARGE_POWERS = (
    (128 * ONE_18, 38877084059945950922200000000000000000000000000000000000),
    (64 * ONE_18, 6235149080811616882910000000),
)
# x = 2**5, 2**4, ..., 2**-4 and e**x, both with 20 decimals
_POWERS = tuple(
    zip(
        (32 * _ONE_20 >> n for n in range(10)),
        (
            7896296018268069516100000000000000,
            888611052050787263676000000,
            298095798704172827474000,
            5459815003314423907810,
            738905609893065022723,
            271828182845904523536,
            164872127070012814685,
            128402541668774148407,
            113314845306682631683,
            106449445891785942956,
        ),
        strict=True,
    )
)
_EXP_POWERS = _POWERS[:8]
"""The smaller two add nothing to the precision of ``exp``."""


def pow(x: int, y: int) -> int:
    """``x**y``; `InsufficientLiquidity` where the contract refuses the arguments."""
    if y == 0:
        return ONE_18
    if x == 0:
        return 0
    if x >> 255 or y >= _MILD_EXPONENT_BOUND:
        raise _out_of_bounds()
    # the contract's divisions cut towards zero: what is below one is worked out with its sign taken off
    if _LN_36_LOWER_BOUND < x < _LN_36_UPPER_BOUND:
        sign, ln_36 = _ln_36(x)
        product = ln_36 // ONE_18 * y + ln_36 % ONE_18 * y // ONE_18
    elif x < ONE_18:
        sign, product = -1, _ln(_ONE_36 // x) * y
    else:
        sign, product = 1, _ln(x) * y
    return exp(sign * (product // ONE_18))


def exp(x: int) -> int:
    """``e**x``."""
    if not MIN_NATURAL_EXPONENT <= x <= MAX_NATURAL_EXPONENT:
        raise _out_of_bounds()
    if x < 0:
        return _ONE_36 // exp(-x)
    first = 1
    for exponent, power in _LARGE_POWERS:
        if x >= exponent:
            x -= exponent
            first = power
            break
    x *= 100
    product = _ONE_20
    for exponent, power in _EXP_POWERS:
        if x >= exponent:
            x -= exponent
            product = product * power // _ONE_20
    series = _ONE_20 + x
    term = x
    for n in range(2, 13):
        term = term * x // _ONE_20 // n
        series += term
    return product * series // _ONE_20 * first // 100


def _ln(a: int) -> int:
    """The natural logarithm of ``a``, which is at least one."""
    total = 0
    for exponent, power in _LARGE_POWERS:
        if a >= power * ONE_18:
            a //= power
            total += exponent
    total *= 100
    a *= 100
    for exponent, power in _POWERS:
        if a >= power:
            a = a * _ONE_20 // power
            total += exponent
    z = (a - _ONE_20) * _ONE_20 // (a + _ONE_20)
    return (total + 2 * _odd_powers(z, _ONE_20, 11)) // 100


def _ln_36(x: int) -> tuple[int, int]:
    """Sign and magnitude, with 36 decimals, of the natural logarithm of an ``x`` near one."""
    x *= ONE_18
    z = abs(x - _ONE_36) * _ONE_36 // (x + _ONE_36)
    return (-1 if x < _ONE_36 else 1), 2 * _odd_powers(z, _ONE_36, 15)


def _odd_powers(z: int, one: int, last: int) -> int:
    """``z + z**3 / 3 + z**5 / 5 + ...`` up to the power ``last``."""
    z_squared = z * z // one
    series = power = z
    for n in range(3, last + 1, 2):
        power = power * z_squared // one
        series += power // n
    return series


def _out_of_bounds() -> InsufficientLiquidity:
    return InsufficientLiquidity("the power is outside the bounds of LogExpMath")
