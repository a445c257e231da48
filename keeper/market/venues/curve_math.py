"""Curve's StableSwap invariant by Newton's method, in the steps of its contracts."""

from __future__ import annotations

from collections.abc import Sequence

from keeper.market.venues.arithmetic import uint256
from keeper.market.venues.base import InsufficientLiquidity

_STEPS = 255


def get_d(xp: Sequence[int], amplification: int, a_precision: int, *, ng: bool) -> int:
    """The invariant D.

    Args:
        xp: balances at 18 decimals and at their rates.
        amplification: A n**(n - 1), times ``a_precision``.
        ng: divide the product by n**n at once, as the contracts since 2023 do.
    """
    total, count = sum(xp), len(xp)
    if total == 0:
        return 0
    if not all(xp):
        raise InsufficientLiquidity("a balance is nothing")
    ann = amplification * count
    d = total
    for _ in range(_STEPS):
        product = d
        for x in xp:
            product = uint256(product * d) // (x if ng else x * count)
        if ng:
            product //= count**count
        previous = d
        d = uint256((ann * total // a_precision + product * count) * d) // (
            (ann - a_precision) * d // a_precision + (count + 1) * product
        )
        if abs(d - previous) <= 1:
            return d
    if a_precision == 1:
        # the first pools take what they have after their last step
        return d
    raise InsufficientLiquidity("the invariant does not converge")


def get_y(i: int, j: int, x: int, xp: Sequence[int], amplification: int, a_precision: int, d: int) -> int:
    """The balance of coin ``j`` that keeps ``d`` when coin ``i`` has the balance ``x``."""
    count = len(xp)
    ann = amplification * count
    c, total = d, 0
    for k, balance in enumerate(xp):
        if k == j:
            continue
        held = x if k == i else balance
        if held == 0:
            raise InsufficientLiquidity("a balance is nothing")
        total += held
        c = uint256(c * d) // (held * count)
    c = uint256(c * d * a_precision) // (ann * count)
    b = total + d * a_precision // ann
    y = d
    for _ in range(_STEPS):
        previous = y
        y = uint256(y * y + c) // uint256(2 * y + b - d)
        if abs(y - previous) <= 1:
            return y
    if a_precision == 1:
        return y
    raise InsufficientLiquidity("the balance does not converge")
