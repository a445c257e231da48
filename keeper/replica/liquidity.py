"""How much concentrated liquidity an amount of two tokens makes; decimal, for sizing positions only."""

from __future__ import annotations

from decimal import Context, Decimal

Q96 = 1 << 96
_WIDE = Context(prec=60)


def sqrt_price_at(tick: int) -> Decimal:
    """sqrt(1.0001 ** tick)."""
    return _WIDE.sqrt(_WIDE.power(Decimal("1.0001"), tick))


def liquidity_for(sqrt_price_x96: int, lower: int, upper: int, amount0: Decimal, amount1: Decimal) -> int:
    """The most liquidity that both amounts pay for between two ticks around the price (V3 whitepaper 6.29, 6.30)."""
    price = _WIDE.divide(Decimal(sqrt_price_x96), Decimal(Q96))
    low, high = sqrt_price_at(lower), sqrt_price_at(upper)
    by_token0 = _WIDE.divide(_WIDE.multiply(amount0, price * high), high - price)
    by_token1 = _WIDE.divide(amount1, price - low)
    return int(min(by_token0, by_token1))
