"""Ranges that are fitted to other curves, against the integers of the pools themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keeper.discovery.search.fitted import FITTED_ERROR, MAX_PIECES, fitted_ranges, fitted_view
from keeper.discovery.search.ranges import RangeView
from keeper.domain.units import Address
from keeper.market.venues import Pool, load
from keeper.market.venues.fields import FEE_DENOMINATOR
from keeper.market.venues.multi import pairs_of
from tests.market.every_kind import STATES

PROPERTY = settings(max_examples=60, deadline=None)
FITTED = [state for state in STATES if state["venue"] not in ("uniswap_v3", "pancakeswap_v3", "uniswap_v4")]
ROUNDING = 1e-12


def kept(pool: Pool) -> float:
    return (FEE_DENOMINATOR - pool.fee_pips) / FEE_DENOMINATOR


def swap(pool: Pool, view: RangeView, token_in: Address, share: float) -> tuple[float, float]:
    """Input and output of a walk over ``share`` of the ranges' length, by the formulas of the V3 white paper."""
    down = token_in == pool.token0
    bounds, given_, paid = view.bounds, 0.0, 0.0
    order = range(view.current, -1, -1) if down else range(view.current, len(view.liquidity))
    left = share * len(order)
    for at in order:
        start, end = (bounds[at + 1], bounds[at]) if down else (bounds[at], bounds[at + 1])
        end = start + (end - start) * min(left, 1.0)
        change, change_inverse = abs(end - start), abs(1.0 / end - 1.0 / start)
        given_ += view.liquidity[at] * (change_inverse if down else change) / kept(pool)
        paid += view.liquidity[at] * (change if down else change_inverse)
        left -= 1.0
        if left <= 0.0:
            break
    return given_, paid


def grain(pool: Pool, token_in: Address) -> float:
    """Raw units of the output that the contracts may round: a few, or what some units of the input are worth."""
    return 4.0 + 4.0 * float(pool.marginal_price(token_in))


def varied(state: dict[str, Any], scale: float, tilt: float) -> dict[str, Any]:
    """The state with other balances; a pool that stores its invariant keeps them."""
    factors = (scale, scale * tilt)
    if "reserve0" in state:
        names = ("reserve0", "reserve1")
        return {**state, **{name: int(int(state[name]) * factor) for name, factor in zip(names, factors, strict=True)}}
    if "d" in state:
        return state
    balances = [int(b * factors[n % 2]) for n, b in enumerate(state["balances"])]
    return {**state, "balances": balances}


@PROPERTY
@given(st.sampled_from(FITTED), st.floats(0.01, 100.0), st.floats(0.3, 3.0), st.floats(0.02, 1.0), st.data())
def test_fitted_ranges_pay_what_the_pool_pays(
    state: dict[str, Any], scale: float, tilt: float, share: float, data: st.DataObject
) -> None:
    pool = data.draw(st.sampled_from(pairs_of(load(varied(state, scale, tilt)))))
    token_in = data.draw(st.sampled_from([pool.token0, pool.token1]))
    view = fitted_ranges(pool, token_in)
    assert view is not None
    assert len(view.liquidity) <= MAX_PIECES
    given_, paid = swap(pool, view, token_in, share)
    assume(given_ >= 1.0)
    exact = pool.amount_out(token_in, int(given_))
    assert abs(paid - exact) <= FITTED_ERROR * exact + grain(pool, token_in)


@PROPERTY
@given(st.sampled_from(FITTED), st.floats(0.01, 100.0), st.floats(0.3, 3.0), st.data())
def test_fitted_ranges_begin_with_the_exact_rate(
    state: dict[str, Any], scale: float, tilt: float, data: st.DataObject
) -> None:
    pool = data.draw(st.sampled_from(pairs_of(load(varied(state, scale, tilt)))))
    for token_in, sign in ((pool.token0, 1), (pool.token1, -1)):
        view = fitted_ranges(pool, token_in)
        assert view is not None
        rate = view.price ** (2 * sign) * kept(pool)
        assert math.isclose(rate, float(pool.marginal_price(token_in)), rel_tol=1e-9)
        assert (np.diff(view.bounds) > 0.0).all()
        assert (view.liquidity > 0.0).all()


@PROPERTY
@given(st.sampled_from(FITTED), st.floats(0.3, 3.0), st.data())
def test_both_directions_make_one_row_of_ranges(state: dict[str, Any], tilt: float, data: st.DataObject) -> None:
    pool = data.draw(st.sampled_from(pairs_of(load(varied(state, 1.0, tilt)))))
    view = fitted_view(pool)
    assert view is not None
    assert (np.diff(view.bounds) > 0.0).all()
    assert view.bounds[view.current] * (1 - ROUNDING) <= view.price <= view.bounds[view.current + 1] * (1 + ROUNDING)
    for token_in in (pool.token0, pool.token1):
        one = fitted_ranges(pool, token_in)
        assert one is not None
        # what the fee in millionths leaves out moves the first price by half a millionth at most
        reached = [at for at in range(len(view.liquidity)) if view.liquidity[at] > 0.0]
        first = [at for at in reached if at < view.current] if token_in == pool.token0 else reached
        assert first
        assert set(one.liquidity.tolist()) <= set(view.liquidity.tolist())


def test_constant_product_needs_no_more_than_the_pieces_it_is_asked_for() -> None:
    """A curve that is a constant product is met exactly, not by many small ranges."""
    (pool,) = (load(state) for state in FITTED if state["venue"] == "solidly_volatile")
    view = fitted_ranges(pool, pool.token0)
    assert view is not None
    assert len(view.liquidity) <= 2
    assert math.isclose(view.liquidity[0], view.liquidity[-1], rel_tol=1e-9)


def test_coarser_ranges_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above is sharp enough to tell ranges that are a hundred times too long."""
    monkeypatch.setattr("keeper.discovery.search.fitted.FITTED_ERROR", 1e-3)
    (state,) = (state for state in FITTED if state["venue"] == "balancer_v2_stable")
    pool = pairs_of(load(state))[0]
    view = fitted_ranges(pool, pool.token0)
    assert view is not None
    errors = []
    for n in range(1, 100):
        given_, paid = swap(pool, view, pool.token0, n / 100)
        exact = pool.amount_out(pool.token0, int(given_))
        errors.append(abs(paid - exact) - grain(pool, pool.token0) - FITTED_ERROR * exact)
    assert max(errors) > 0.0


def test_an_empty_pool_has_no_ranges() -> None:
    (state,) = (state for state in FITTED if state["venue"] == "solidly_stable")
    pool = load({**state, "reserve0": 0})
    assert fitted_ranges(pool, pool.token0) is None
    assert fitted_view(pool) is None
