"""Curve's CryptoSwap invariant for three coins: the balance that belongs to the others, as its two contracts find it.

``newton_y`` is that of tricrypto2. ``get_y`` of Tricrypto-NG solves the cubic equation instead, and falls back to
Newton where that has no single real root. ``ann`` is A n**n times 10,000, which the pools call A.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

from keeper.market.venues.arithmetic import uint256
from keeper.market.venues.base import InsufficientLiquidity

COINS = 3
A_MULTIPLIER = 10_000
MIN_A = COINS**COINS * A_MULTIPLIER // 100
MAX_A = COINS**COINS * A_MULTIPLIER * 1000
MIN_GAMMA = 10**10
MAX_GAMMA = 5 * 10**16
MIN_D = 10**17
MAX_D = 10**15 * 10**18

_ONE = 10**18
_STEPS = 255
_CBRT_BOUND = 115792089237316195423570985008687907853269


def newton_y(ann: int, gamma: int, x: Sequence[int], d: int, i: int) -> int:
    """The balance of coin ``i``, by Newton's method.

    Args:
        x: balances at 18 decimals and at the pool's internal prices; that of coin ``i`` does not count.
    """
    _check(x, d, i)
    first, second = sorted((x[k] for k in range(COINS) if k != i), reverse=True)
    limit = max(first // 10**14, d // 10**14, 100)
    y = d // COINS
    for held in (second, first):
        y = uint256(y * d) // (held * COINS)
    k0_i = _ONE
    for held in (first, second):
        k0_i = uint256(k0_i * held * COINS) // d
    s_i = first + second
    for _ in range(_STEPS):
        previous = y
        k0 = uint256(k0_i * y * COINS) // d
        s = s_i + y
        g1k0 = abs(gamma + _ONE - k0) + 1
        mul1 = uint256(uint256(uint256(_ONE * d // gamma * g1k0) // gamma * g1k0) * A_MULTIPLIER) // ann
        mul2 = _ONE + 2 * _ONE * k0 // g1k0
        yfprime = uint256(_ONE * y + uint256(s * mul2) + mul1)
        dyfprime = uint256(d * mul2)
        if yfprime < dyfprime:
            y = previous // 2
            continue
        yfprime -= dyfprime
        fprime = _divide(yfprime, y)
        y_minus = _divide(mul1, fprime)
        y_plus = _divide(uint256(yfprime + _ONE * d), fprime) + _divide(uint256(y_minus * _ONE), k0)
        y_minus += _ONE * s // fprime
        y = previous // 2 if y_plus < y_minus else y_plus - y_minus
        if abs(y - previous) < max(limit, y // 10**14):
            _check_share(y, d)
            return y
    raise InsufficientLiquidity("the balance does not converge")


def get_y(ann: int, gamma: int, x: Sequence[int], d: int, i: int) -> int:
    """The balance of coin ``i``, from the roots of the cubic equation; arguments as of `newton_y`."""
    _check(x, d, i)
    x_j, x_k = (x[k] for k in range(COINS) if k != i)
    gamma2 = gamma * gamma
    a = 10**36 // 27
    b = 10**36 // 9 + 2 * _ONE * gamma // 27 - _int256(d * d // x_j * gamma2 * ann) // 27**2 // A_MULTIPLIER // x_k
    drift = _cut(_int256(gamma2 * (x_j + x_k - d)), d)
    c = 10**36 // 9 + gamma * (gamma + 4 * _ONE) // 27 + _cut(_cut(drift * ann, 27), A_MULTIPLIER)
    e = (_ONE + gamma) ** 2 // 27
    if b == 0:
        raise InsufficientLiquidity("the cubic equation has no quadratic term")
    divider = _divider(abs(_cut(_int256(3 * a * c), b) - b))
    if abs(a) > abs(b):
        scale = abs(_cut(a, b))
        a, b, c, e = (_cut(_int256(value * scale), divider) for value in (a, b, c, e))
    else:
        scale = abs(_cut(b, a))
        a, b, c, e = (_cut(_cut(value, scale), divider) for value in (a, b, c, e))
    triple = _int256(3 * a * c)
    delta0 = _cut(triple, b) - b
    delta1 = _cut(_int256(3 * triple), b) - 2 * b - _cut(_int256(_cut(_int256(27 * a**2), b) * e), b)
    root_of = _int256(_int256(delta1**2) + _int256(_cut(_int256(4 * delta0**2), b) * delta0))
    if root_of <= 0:
        return newton_y(ann, gamma, x, d, i)
    root = isqrt(root_of)
    b_cbrt = cbrt(abs(b))
    second = cbrt((delta1 + root) // 2) if delta1 > 0 else -cbrt((root - delta1) // 2)
    c1 = _cut(_int256(_int256(b_cbrt * b_cbrt) // _ONE * second), _ONE)
    if c1 == 0:
        raise InsufficientLiquidity("the cubic equation has no root")
    root_k0 = _cut(b + _cut(_int256(b * delta0), c1) - c1, 3)
    y = _cut(_int256(_int256(_int256(d * d) // 27 // x_k * d) // x_j * root_k0), a)
    if y < 0:
        raise InsufficientLiquidity("the cubic equation has no positive root")
    _check_share(y, d)
    return y


def cbrt(x: int) -> int:
    """The cube root of an 18-decimal number, after the contract's seven steps."""
    if x >= _CBRT_BOUND * _ONE:
        scaled, factor = x, 10**12
    elif x >= _CBRT_BOUND:
        scaled, factor = x * _ONE, 10**6
    else:
        scaled, factor = x * 10**36, 1
    power, remainder = divmod(max(scaled.bit_length() - 1, 0), 3)
    a: int = (1 << power) * 1260**remainder // 1000**remainder
    for _ in range(7):
        a = (2 * a + (scaled // (a * a) if a else 0)) // 3
    return a * factor


def reduction_coefficient(x: Sequence[int], fee_gamma: int) -> int:
    """How near the pool is to its balance: 1e18 there, less away from it."""
    total = sum(x)
    k = _ONE
    for held in x:
        k = uint256(k * COINS * held) // total
    if fee_gamma > 0:
        k = fee_gamma * _ONE // (fee_gamma + _ONE - k)
    return k


def _divider(size: int) -> int:
    """What keeps the terms of the cubic equation within 256 bits."""
    for exponent in range(48, 16, -4):
        if size > 10**exponent:
            return int(10 ** (exponent - 18))
    return 1


def _check(x: Sequence[int], d: int, i: int) -> None:
    if not MIN_D <= d <= MAX_D:
        raise InsufficientLiquidity("the invariant is outside the contract's bounds")
    for k, held in enumerate(x):
        if k != i:
            _check_share(held, d)


def _check_share(held: int, d: int) -> None:
    if not 10**16 <= uint256(held * _ONE) // d <= 10**20:
        raise InsufficientLiquidity("a balance is outside the contract's bounds")


def _cut(numerator: int, denominator: int) -> int:
    """The quotient cut towards zero, and zero for a division by zero, as ``unsafe_div`` of signed numbers gives it."""
    if denominator == 0:
        return 0
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


def _divide(numerator: int, denominator: int) -> int:
    if denominator == 0:
        raise InsufficientLiquidity("the contract divides by zero")
    return numerator // denominator


def _int256(value: int) -> int:
    if not -(2**255) <= value < 2**255:
        raise InsufficientLiquidity("the contract's 256-bit arithmetic does not hold these amounts")
    return value
