"""Balancer's ``StableMath``: the StableSwap invariant, rounded as the pools since 2022 do."""

from __future__ import annotations

from collections.abc import Sequence

from keeper.market.venues.arithmetic import div_up
from keeper.market.venues.base import InsufficientLiquidity

AMP_PRECISION = 1000
_STEPS = 255


def calculate_invariant(amplification: int, balances: Sequence[int]) -> int:
    """The invariant D, rounded down.

    Args:
        amplification: A n**(n - 1), times `AMP_PRECISION`.
        balances: with 18 decimals and their rates.
    """
    total, count = sum(balances), len(balances)
    if total == 0:
        return 0
    if not all(balances):
        raise InsufficientLiquidity("a balance is nothing")
    amp_times_total = amplification * count
    invariant = total
    for _ in range(_STEPS):
        product = invariant
        for balance in balances:
            product = product * invariant // (balance * count)
        previous = invariant
        invariant = ((amp_times_total * total // AMP_PRECISION + product * count) * invariant) // (
            (amp_times_total - AMP_PRECISION) * invariant // AMP_PRECISION + (count + 1) * product
        )
        if abs(invariant - previous) <= 1:
            return invariant
    raise InsufficientLiquidity("the invariant does not converge")


def get_token_balance(amplification: int, balances: Sequence[int], invariant: int, index: int) -> int:
    """``_getTokenBalanceGivenInvariantAndAllOtherBalances``, rounded up."""
    count = len(balances)
    amp_times_total = amplification * count
    product = balances[0] * count
    for balance in balances[1:]:
        product = product * balance * count // invariant
    if product == 0:
        raise InsufficientLiquidity("a balance is nothing")
    total = sum(balances) - balances[index]
    square = invariant * invariant
    c = div_up(square, amp_times_total * product) * AMP_PRECISION * balances[index]
    b = total + invariant // amp_times_total * AMP_PRECISION
    balance = div_up(square + c, invariant + b)
    for _ in range(_STEPS):
        previous = balance
        balance = div_up(balance * balance + c, 2 * balance + b - invariant)
        if abs(balance - previous) <= 1:
            return balance
    raise InsufficientLiquidity("the balance does not converge")


def calc_out_given_in(amplification: int, balances: Sequence[int], i: int, j: int, amount_in: int) -> int:
    invariant = calculate_invariant(amplification, balances)
    after = list(balances)
    after[i] += amount_in
    out = balances[j] - get_token_balance(amplification, after, invariant, j) - 1
    if out < 0:
        raise InsufficientLiquidity("the amount is too small for the rounding of the contract")
    return out


def calc_in_given_out(amplification: int, balances: Sequence[int], i: int, j: int, amount_out: int) -> int:
    invariant = calculate_invariant(amplification, balances)
    after = list(balances)
    after[j] -= amount_out
    if after[j] < 0:
        raise InsufficientLiquidity("the pool does not hold so much")
    amount = get_token_balance(amplification, after, invariant, i) - balances[i] + 1
    if amount < 0:
        raise InsufficientLiquidity("the amount is too small for the rounding of the contract")
    return amount
