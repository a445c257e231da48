"""Uniswap V3's ``SwapMath``: one step of a swap, within one range of constant liquidity."""

from __future__ import annotations

from typing import NamedTuple

from keeper.market.venues.fields import FEE_DENOMINATOR
from keeper.market.venues.sqrt_price_math import (
    get_amount0_delta,
    get_amount1_delta,
    get_next_sqrt_price_from_input,
    get_next_sqrt_price_from_output,
)


class SwapStep(NamedTuple):
    """``amount_in`` is without the fee."""

    sqrt_ratio_next_x96: int
    amount_in: int
    amount_out: int
    fee_amount: int


def compute_swap_step(
    sqrt_ratio_current_x96: int,
    sqrt_ratio_target_x96: int,
    liquidity: int,
    amount_remaining: int,
    fee_pips: int,
) -> SwapStep:
    """Swap towards the target price until it or the amount is reached.

    Args:
        amount_remaining: input still to be taken when positive, output still to be paid when negative.
    """
    zero_for_one = sqrt_ratio_current_x96 >= sqrt_ratio_target_x96
    delta_in, delta_out = (
        (get_amount0_delta, get_amount1_delta) if zero_for_one else (get_amount1_delta, get_amount0_delta)
    )
    kept = FEE_DENOMINATOR - fee_pips
    if amount_remaining >= 0:
        amount_remaining_less_fee = amount_remaining * kept // FEE_DENOMINATOR
        amount_in = delta_in(sqrt_ratio_target_x96, sqrt_ratio_current_x96, liquidity, True)
        if amount_remaining_less_fee < amount_in:
            next_x96 = get_next_sqrt_price_from_input(
                sqrt_ratio_current_x96, liquidity, amount_remaining_less_fee, zero_for_one
            )
            amount_out = delta_out(next_x96, sqrt_ratio_current_x96, liquidity, False)
            if next_x96 != sqrt_ratio_target_x96:
                amount_in = delta_in(next_x96, sqrt_ratio_current_x96, liquidity, True)
                # what the price could not use stays as fee
                return SwapStep(next_x96, amount_in, amount_out, amount_remaining - amount_in)
        else:
            amount_out = delta_out(sqrt_ratio_target_x96, sqrt_ratio_current_x96, liquidity, False)
        return SwapStep(sqrt_ratio_target_x96, amount_in, amount_out, -(-amount_in * fee_pips // kept))

    amount_out = delta_out(sqrt_ratio_target_x96, sqrt_ratio_current_x96, liquidity, False)
    next_x96 = sqrt_ratio_target_x96
    if -amount_remaining < amount_out:
        next_x96 = get_next_sqrt_price_from_output(sqrt_ratio_current_x96, liquidity, -amount_remaining, zero_for_one)
        if next_x96 != sqrt_ratio_target_x96:
            amount_out = min(delta_out(next_x96, sqrt_ratio_current_x96, liquidity, False), -amount_remaining)
        else:
            amount_out = min(amount_out, -amount_remaining)
    amount_in = delta_in(next_x96, sqrt_ratio_current_x96, liquidity, True)
    return SwapStep(next_x96, amount_in, amount_out, -(-amount_in * fee_pips // kept))
