"""What contracts' 256-bit integers do that Python's do not, and the search for the least input that pays enough."""

from __future__ import annotations

from collections.abc import Callable

from keeper.market.venues.base import InsufficientLiquidity
from keeper.market.venues.fields import FEE_DENOMINATOR, MAX_UINT256


def uint256(value: int) -> int:
    """``value``, where 256 bits hold it without a sign; the contract reverts otherwise, and this raises
    `InsufficientLiquidity`."""
    if not 0 <= value <= MAX_UINT256:
        raise InsufficientLiquidity("the contract's 256-bit arithmetic does not hold these amounts")
    return value


def is_power_of_ten(value: int) -> bool:
    return value > 0 and value == 10 ** (len(str(value)) - 1)


def div_up(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def gross_of_fee(net: int, fee: int, denominator: int = FEE_DENOMINATOR) -> int:
    """The least amount of which ``net`` remains after ``amount * fee // denominator`` is taken off."""
    if net <= 0:
        return 0
    return (net - 1) * denominator // (denominator - fee) + 1


def least_input(pay: Callable[[int], int], wanted: int, guess: int) -> int:
    """An input that pays ``wanted`` while one unit less pays less, or makes the contract revert.

    Args:
        pay: what an input pays, growing with it; it raises `InsufficientLiquidity` where the contract reverts.
        guess: where to look first; the closer it is, the fewer calls of ``pay``.

    Raises:
        InsufficientLiquidity: no input pays so much.
    """

    def enough(amount: int) -> bool | None:
        try:
            return pay(amount) >= wanted
        except InsufficientLiquidity:
            return None

    low = high = min(max(guess, 1), MAX_UINT256)
    step = 1
    if enough(high):
        low = high - 1
        while low > 0 and enough(low):
            high, low, step = low, max(low - 2 * step, 0), 2 * step
    else:
        too_large = 0
        while not (answer := enough(high)):
            if answer is None and not too_large:
                too_large = high
            elif answer is False:
                low, too_large = high, 0
            if high == MAX_UINT256:
                # between an input that pays too little and one that is too large
                high = _first(lambda amount: enough(amount) is not False, min(low, too_large - 1), too_large)
                if not enough(high):
                    raise InsufficientLiquidity(f"no input pays {wanted}")
                return high
            high, step = min(high + step, MAX_UINT256), 2 * step
    return _first(lambda amount: enough(amount) is True, low, high)


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The border above ``low``, where it does not hold, and up to ``high``, where it does."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
