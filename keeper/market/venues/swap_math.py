"""Uniswap V3's ``SwapMath``: one step of a swap, within one range of constant liquidity."""

from __future__ import annotations

from keeper.market.venues.fields import FEE_DENOMINATOR
from keeper.market.venues.sqrt_price_math import (
    get_amount0_delta,
    get_amount1_delta,
    get_next_sqrt_price_from_input,
    get_next_sqrt_price_from_output,
)


def compute_swap_step(
    sqrt_ratio_current_x96: int,
    sqrt_ratio_target_x96: int,
    liquidity: int,
    amount_remaining: int,
    fee_pips: int,
) -> tuple[int, int, int]:
    """Swap towards the target price until it or the amount is reached.

    Args:
        amount_remaining: input still to be taken when positive, output still to be paid when negative.

    Returns:
        The next price, the input with its fee (the contract returns them apart) and the output.
    """
    if sqrt_ratio_current_x96 >= sqrt_ratio_target_x96:
        zero_for_one, delta_in, delta_out = True, get_amount0_delta, get_amount1_delta
    else:
        zero_for_one, delta_in, delta_out = False, get_amount1_delta, get_amount0_delta
    kept = FEE_DENOMINATOR - fee_pips
    if amount_remaining >= 0:
        next_x96 = sqrt_ratio_target_x96
        amount_in = delta_in(sqrt_ratio_target_x96, sqrt_ratio_current_x96, liquidity, True)
        remaining_less_fee = amount_remaining * kept // FEE_DENOMINATOR
        if remaining_less_fee < amount_in:
            next_x96 = get_next_sqrt_price_from_input(
                sqrt_ratio_current_x96, liquidity, remaining_less_fee, zero_for_one
            )
        amount_out = delta_out(next_x96, sqrt_ratio_current_x96, liquidity, False)
        if next_x96 != sqrt_ratio_target_x96:
            # what the price could not use stays in the pool as fee
            return next_x96, amount_remaining, amount_out
        return next_x96, amount_in - (-amount_in * fee_pips // kept), amount_out

    next_x96 = sqrt_ratio_target_x96
    amount_out = delta_out(sqrt_ratio_target_x96, sqrt_ratio_current_x96, liquidity, False)
    if -amount_remaining < amount_out:
        next_x96 = get_next_sqrt_price_from_output(sqrt_ratio_current_x96, liquidity, -amount_remaining, zero_for_one)
        amount_out = -amount_remaining
        if next_x96 != sqrt_ratio_target_x96:
            amount_out = min(amount_out, delta_out(next_x96, sqrt_ratio_current_x96, liquidity, False))
    amount_in = delta_in(next_x96, sqrt_ratio_current_x96, liquidity, True)
    return next_x96, amount_in - (-amount_in * fee_pips // kept), amount_out
