"""The slope of the StableSwap invariant, which Curve's and Balancer's stable pools share."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def stable_price(ann: Fraction, balances: Sequence[int], invariant: int, i: int, j: int) -> Fraction:
    """What a little of coin ``i`` is worth in coin ``j``, without fee.

    From ``ann * S + D = ann * D + D**(n + 1) / (n**n * P)``: the derivative by a balance x is ``ann + K / x``, where K
    is the last term.

    Args:
        ann: amplification times n as Curve's contracts have it (``Ann``).
        balances: at one scale and at their rates, none of them nothing.
    """
    product = Fraction(invariant)
    for balance in balances:
        product *= Fraction(invariant, balance * len(balances))
    return (ann + product / balances[i]) / (ann + product / balances[j])
