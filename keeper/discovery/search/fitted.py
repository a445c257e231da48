"""Pools with other curves than the constant product, as a few constant-product ranges that follow the exact maths.

A range that begins with q = sqrt(marginal rate, fee included) and ends with q' takes in A / q' - A / q and pays
A * q - A * q'. So the quotient of the two, the mean rate of the range, is q * q'. Beginning with the exact marginal
rate, each range is laid through two points of the pool's own curve: its end has q' = mean rate / q, and A follows. At
the ends of ranges amounts are those of the curve; between them a range is as long as its error allows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keeper.discovery.search.ranges import RangeView
from keeper.domain.units import Address
from keeper.market.venues import fixed_point as fp
from keeper.market.venues.balancer_v2_stable import BalancerV2StablePool
from keeper.market.venues.balancer_v2_weighted import BalancerV2WeightedPool
from keeper.market.venues.base import Pool
from keeper.market.venues.curve_stableswap import FEE_DENOMINATOR as CURVE_FEE
from keeper.market.venues.curve_stableswap import CurveStableSwapPool, Variant
from keeper.market.venues.curve_tricrypto import CurveTricryptoPool
from keeper.market.venues.fields import FEE_DENOMINATOR
from keeper.market.venues.multi import MultiTokenPool, PairView
from keeper.market.venues.solidly import SolidlyStablePool
from keeper.market.venues.stable_math import AMP_PRECISION
from keeper.market.venues.tricrypto_math import A_MULTIPLIER

FITTED_ERROR = 1e-6
"""Within the ranges the amount paid is off by no more than this share of it, and by the rounding of the contract."""
MAX_PIECES = 24
"""Ranges in one direction. What lies behind them is left out."""
LEAST_RATE = 0.25
"""No range begins below this share of the present rate."""
_AHEAD = 0.25
_MAX_HALVINGS = 24
_MAX_NEWTON = 64
_CHECKED = (0.15, 0.5, 0.85)
_MAX_RATIO = 0.3

Curve = Callable[[float], float]
"""What is paid for an input, raw units, fee included; nan or an `ArithmeticError` where the pool refuses."""


class Pieces(NamedTuple):
    """The ranges of one direction: ``roots`` are q at their ends, falling, one more than the ``depths`` A."""

    roots: list[float]
    depths: list[float]


def fitted_ranges(pool: Pool, token_in: Address) -> RangeView | None:
    """The ranges that a swap of ``token_in`` meets, in the form of `view_ranges`; None where it can buy nothing.

    They lie on the side of the price to which the swap moves it: below where ``token_in`` is the pool's token0. As in
    all ranges the fee of ``fee_pips`` is not part of them; what the pool really charges beyond or below is.

    Raises:
        InputError: ``token_in`` is not in the pool.
    """
    pieces = fit(pool, token_in)
    if pieces is None:
        return None
    root_fee = math.sqrt((FEE_DENOMINATOR - pool.fee_pips) / FEE_DENOMINATOR)
    liquidity = np.array(pieces.depths) * root_fee
    if token_in == pool.token0:
        bounds = np.array(pieces.roots[::-1]) / root_fee
        return RangeView(float(bounds[-1]), len(liquidity) - 1, bounds, liquidity[::-1].copy())
    bounds = root_fee / np.array(pieces.roots)
    return RangeView(float(bounds[0]), 0, bounds, liquidity)


def fitted_view(pool: Pool) -> RangeView | None:
    """The ranges of both directions, in the form of `view_ranges`; None where one of them can buy nothing.

    Where the pool charges more than its ``fee_pips`` say there is a gap without liquidity around the price. Where it
    charges less, by the rounding of ``fee_pips`` to millionths, both directions begin at the mean of their prices.
    """
    down, up = fitted_ranges(pool, pool.token0), fitted_ranges(pool, pool.token1)
    if down is None or up is None:
        return None
    price = math.sqrt(down.price * up.price)
    if down.price < up.price:
        bounds = np.concatenate((down.bounds, up.bounds))
        liquidity = np.concatenate((down.liquidity, [0.0], up.liquidity))
        return RangeView(price, len(down.liquidity), bounds, liquidity)
    bounds = np.concatenate((down.bounds[:-1], [price], up.bounds[1:]))
    if not (np.diff(bounds) > 0.0).all():
        return None
    return RangeView(price, len(down.liquidity), bounds, np.concatenate((down.liquidity, up.liquidity)))


def fit(pool: Pool, token_in: Address) -> Pieces | None:
    """The ranges of one direction; None where nothing can be bought."""
    try:
        rate, balance = float(pool.marginal_price(token_in)), pool.spot_liquidity(token_in)
        curve = curve_of(pool, token_in)
    except ArithmeticError:
        return None
    if not (0.0 < rate < math.inf) or balance <= 0:
        return None
    roots, depths = [math.sqrt(rate)], list[float]()
    x, y, step = 0.0, 0.0, float(balance)
    while len(depths) < MAX_PIECES and roots[-1] ** 2 > LEAST_RATE * rate:
        for _ in range(_MAX_HALVINGS):
            piece = _piece(curve, x, y, roots[-1], step)
            if piece is not None:
                break
            step *= 0.5
        else:
            break
        root, depth, paid = piece
        roots.append(root)
        depths.append(depth)
        x, y, step = x + step, y + paid, 2.0 * step
    return Pieces(roots, depths) if depths else None


def _piece(curve: Curve, x: float, y: float, root: float, step: float) -> tuple[float, float, float] | None:
    """q at the end of the range from ``x`` to ``x + step``, its A and what it pays; None where it is too long."""
    try:
        paid = curve(x + step) - y
        end = paid / step / root
        if not 0.0 < end < root:
            return None
        depth = paid / (root - end)
        for share in _CHECKED:
            inner = share * step
            fitted = y + depth * root * inner / (inner + depth / root)
            if not abs(fitted - curve(x + inner)) <= 0.5 * FITTED_ERROR * fitted:
                return None
    except ArithmeticError:
        return None
    try:
        # what follows has to pay less than the rate that this range ends with, or no range could go on from there
        ahead = (curve(x + (1.0 + _AHEAD) * step) - y - paid) / (_AHEAD * step)
    except ArithmeticError:
        ahead = math.nan
    return None if ahead >= end * end else (end, depth, paid)


def curve_of(pool: Pool, token_in: Address) -> Curve:
    """The pool's curve in float64; of kinds without a formula here the integers of its contract."""
    whole: object = pool.pool if isinstance(pool, PairView) else pool
    token_out = pool.token1 if token_in == pool.token0 else pool.token0
    if isinstance(whole, MultiTokenPool):
        i, j = whole.index(token_in, "token_in"), whole.index(token_out, "token_out")
        if isinstance(whole, CurveStableSwapPool):
            return _curve_stable(whole, i, j)
        if isinstance(whole, BalancerV2StablePool):
            return _balancer_stable(whole, i, j)
        if isinstance(whole, BalancerV2WeightedPool):
            return _balancer_weighted(whole, i, j)
        if isinstance(whole, CurveTricryptoPool):
            return _tricrypto(whole, i, j)
    if isinstance(whole, SolidlyStablePool):
        return _solidly_stable(whole, token_in)
    return lambda amount: float(pool.amount_out(token_in, int(amount))) if amount >= 1.0 else 0.0


def _stable_swap(ann: float, held: list[float], i: int, j: int) -> Curve:
    """What the StableSwap invariant pays, without fee; see `keeper.market.venues.stable_price` for ``ann``."""
    n, total = len(held), sum(held)
    d = total
    for _ in range(_MAX_NEWTON):
        product = d
        for balance in held:
            product *= d / (n * balance)
        before, d = d, (ann * total + n * product) * d / ((ann - 1.0) * d + (n + 1.0) * product)
        if abs(d - before) <= 1e-15 * d:
            break
    others = [balance for k, balance in enumerate(held) if k not in (i, j)]

    def remaining(balance_in: float) -> float:
        """The balance of coin ``j``: the positive root of y**2 + (b - D) y = c."""
        c = d / (n * ann)
        for balance in (*others, balance_in):
            c *= d / (n * balance)
        c *= d
        b = sum(others) + balance_in + d / ann - d
        return (math.sqrt(b * b + 4.0 * c) - b) / 2.0 if b <= 0.0 else 2.0 * c / (math.sqrt(b * b + 4.0 * c) + b)

    # the difference to the same formula at rest, so that rounding of D does not look like a payment
    rest = remaining(held[i])
    return lambda amount: rest - remaining(held[i] + amount)


def _curve_stable(pool: CurveStableSwapPool, i: int, j: int) -> Curve:
    held = [balance * (rate / fp.ONE) for balance, rate in zip(pool.balances, pool.rates, strict=True)]
    ann = pool.amplification * len(held) / (1 if pool.variant is Variant.V1 else 100)
    gross_of = _stable_swap(ann, held, i, j)
    scale_in, scale_out = pool.rates[i] / fp.ONE, pool.rates[j] / fp.ONE
    fee, multiplier = pool.fee / CURVE_FEE, pool.offpeg_fee_multiplier / CURVE_FEE

    def paid(amount: float) -> float:
        gross = gross_of(amount * scale_in)
        charged = fee
        if multiplier > 1.0:
            a, b = held[i] + amount * scale_in / 2.0, held[j] - gross / 2.0
            charged = multiplier * fee / ((multiplier - 1.0) * 4.0 * a * b / (a + b) ** 2 + 1.0)
        return gross * (1.0 - charged) / scale_out

    return paid


def _balancer_stable(pool: BalancerV2StablePool, i: int, j: int) -> Curve:
    held = [balance * (factor / fp.ONE) for balance, factor in zip(pool.balances, pool.scaling_factors, strict=True)]
    gross_of = _stable_swap(pool.amplification * len(held) / AMP_PRECISION, held, i, j)
    kept = (fp.ONE - pool.swap_fee) / fp.ONE * (pool.scaling_factors[i] / fp.ONE)
    return lambda amount: gross_of(amount * kept) / (pool.scaling_factors[j] / fp.ONE)


def _balancer_weighted(pool: BalancerV2WeightedPool, i: int, j: int) -> Curve:
    held_in, held_out, weight = float(pool.balances[i]), float(pool.balances[j]), pool.weights[i] / pool.weights[j]
    kept = (fp.ONE - pool.swap_fee) / fp.ONE

    def paid(amount: float) -> float:
        ratio = amount * kept / held_in
        return -held_out * math.expm1(-weight * math.log1p(ratio)) if ratio <= _MAX_RATIO else math.nan

    return paid


def _solidly_stable(pool: SolidlyStablePool, token_in: Address) -> Curve:
    sides = [(float(pool.reserve0), 10.0**pool.decimals0), (float(pool.reserve1), 10.0**pool.decimals1)]
    (held_in, unit_in), (held_out, unit_out) = sides if token_in == pool.token0 else sides[::-1]
    kept = (FEE_DENOMINATOR - pool.fee_pips) / FEE_DENOMINATOR
    x0, y0 = held_in / unit_in, held_out / unit_out
    k = x0 * y0 * (x0 * x0 + y0 * y0)

    def paid(amount: float) -> float:
        x, y = x0 + amount * kept / unit_in, y0
        for _ in range(_MAX_NEWTON):
            step = (x * y * (x * x + y * y) - k) / (x * (x * x + 3.0 * y * y))
            y -= step
            if abs(step) <= 1e-15 * y0:
                break
        return (y0 - y) * unit_out

    return paid


def _tricrypto(pool: CurveTricryptoPool, i: int, j: int) -> Curve:
    """The root of K S + P = K + 1/27 in the balance of coin ``j``, all balances divided by D; see the pool's price."""
    scales = [10.0 ** (18 - pool.decimals[k]) * (pool.price_scale[k - 1] / fp.ONE if k else 1.0) for k in range(3)]
    d = float(pool.d)
    held = [balance * scale / d for balance, scale in zip(pool.balances, scales, strict=True)]
    gamma, a = pool.gamma / fp.ONE, pool.a / (27.0 * A_MULTIPLIER)
    (other,) = {0, 1, 2} - {i, j}

    def solve(x: float) -> float:
        y = held[j]
        for _ in range(_MAX_NEWTON):
            product, excess = x * y * held[other], x + y + held[other] - 1.0
            k0 = 27.0 * product
            away = gamma + 1.0 - k0
            strength = a * gamma * gamma / (away * away)
            k, k_slope = strength * k0, strength * (1.0 + 2.0 * k0 / away)
            step = (k * excess + product - 1.0 / 27.0) / (k + product / y + excess * k_slope * k0 / y)
            y -= step
            if abs(step) <= 1e-15:
                break
        return y

    rest = solve(held[i])
    fee_gamma, mid, out = pool.fee_gamma / fp.ONE, pool.mid_fee / CURVE_FEE, pool.out_fee / CURVE_FEE

    def paid(amount: float) -> float:
        x = held[i] + amount * scales[i] / d
        y = solve(x)
        balance = 27.0 * x * y * held[other] / (x + y + held[other]) ** 3
        share = fee_gamma / (fee_gamma + 1.0 - balance) if fee_gamma else balance
        return (rest - y) * d / scales[j] * (1.0 - mid * share - out * (1.0 - share))

    return paid
