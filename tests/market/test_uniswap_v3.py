"""Uniswap V3 pools: ticks, positions, limits and bad logs. The amounts are compared with contracts in other files."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.errors import InputError
from keeper.market.venues import InsufficientLiquidity, UniswapV3Pool
from keeper.market.venues.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    get_sqrt_ratio_at_tick,
    get_tick_at_sqrt_ratio,
)
from keeper.market.venues.uniswap_v3 import (
    BURN_TOPIC,
    INITIALIZE_TOPIC,
    MINT_TOPIC,
    PANCAKE_SWAP_TOPIC,
    SWAP_TOPIC,
)
from tests.market.chain import TOKEN0, TOKEN1, address, burn, make_log, mint, v3_pool, word

LIQUIDITY = 10**21
POSITIONS = [(-60_000, 60_000, LIQUIDITY), (-600, 600, LIQUIDITY), (1200, 1260, 5 * LIQUIDITY)]


def test_tick_math_has_the_contracts_ends() -> None:
    assert get_sqrt_ratio_at_tick(MIN_TICK) == MIN_SQRT_RATIO
    assert get_sqrt_ratio_at_tick(MAX_TICK) == MAX_SQRT_RATIO
    assert get_sqrt_ratio_at_tick(0) == 2**96
    for tick in (MIN_TICK - 1, MAX_TICK + 1):
        with pytest.raises(ValueError, match="outside"):
            get_sqrt_ratio_at_tick(tick)
    for price in (MIN_SQRT_RATIO - 1, MAX_SQRT_RATIO):
        with pytest.raises(ValueError, match="outside"):
            get_tick_at_sqrt_ratio(price)


@given(st.integers(MIN_TICK, MAX_TICK - 1))
def test_the_tick_of_a_price_is_the_one_below_it(tick: int) -> None:
    at, above = get_sqrt_ratio_at_tick(tick), get_sqrt_ratio_at_tick(tick + 1)
    assert at < above
    assert get_tick_at_sqrt_ratio(at) == get_tick_at_sqrt_ratio(above - 1) == tick
    exact = Fraction(at, 2**96) ** 2
    assert abs(float(exact) / 1.0001**tick - 1) < 1e-6


def test_a_swap_ends_at_the_last_liquidity() -> None:
    pool = v3_pool(positions=POSITIONS)
    most = pool.swap(True, 2**255 - 1)
    assert most.sqrt_price_x96 == MIN_SQRT_RATIO + 1
    assert pool.amount_out(TOKEN0, most.amount_in) == most.amount_out
    with pytest.raises(InsufficientLiquidity):
        pool.amount_out(TOKEN0, most.amount_in + 1)
    assert pool.amount_in(TOKEN1, most.amount_out) == most.amount_in
    with pytest.raises(InsufficientLiquidity):
        pool.amount_in(TOKEN1, most.amount_out + 1)


def test_a_gap_in_the_liquidity_is_crossed() -> None:
    pool = v3_pool(positions=[(-60, 60, LIQUIDITY), (120_000, 120_060, LIQUIDITY)])
    before_gap = pool.swap(False, 2**255 - 1, get_sqrt_ratio_at_tick(60))
    beyond = pool.swap(False, before_gap.amount_in + 10**20)
    assert beyond.sqrt_price_x96 > get_sqrt_ratio_at_tick(120_000)
    assert beyond.liquidity == LIQUIDITY
    assert beyond.amount_out > before_gap.amount_out


def test_a_price_limit_stops_the_swap() -> None:
    pool = v3_pool(positions=POSITIONS)
    limit = get_sqrt_ratio_at_tick(-100)
    result = pool.swap(True, 2**255 - 1, limit)
    assert result.sqrt_price_x96 == limit
    assert 0 < result.amount_in < pool.swap(True, 2**255 - 1).amount_in
    for wrong in (pool.sqrt_price_x96, MAX_SQRT_RATIO, MIN_SQRT_RATIO):
        with pytest.raises(InsufficientLiquidity):
            pool.swap(True, 1, wrong)


def test_more_input_never_buys_less_and_output_costs_what_buys_it() -> None:
    pool, random = v3_pool(positions=POSITIONS), Random(5)
    for token_in, token_out in ((TOKEN0, TOKEN1), (TOKEN1, TOKEN0)):
        amounts = sorted(int(10 ** random.uniform(0, 20.5)) for _ in range(300))
        outputs = [pool.amount_out(token_in, amount) for amount in amounts]
        assert outputs == sorted(outputs)
        for amount, output in zip(amounts, outputs, strict=True):
            if output:
                cost = pool.amount_in(token_out, output)
                assert cost <= amount
                assert pool.amount_out(token_in, cost) >= output


@given(
    st.lists(st.tuples(st.integers(-50, 49), st.integers(1, 40), st.integers(1, 10**24)), min_size=1, max_size=8),
    st.integers(-3000, 3000),
)
def test_burning_what_was_minted_leaves_the_pool_as_it_was(rows: list[tuple[int, int, int]], tick: int) -> None:
    empty = v3_pool(tick=tick)
    pool, states = empty, []
    for lower, width, amount in rows:
        states.append(pool)
        pool = pool.apply(mint(pool.address, lower * 60, (lower + width) * 60, amount))
        assert sum(pool.liquidity_net) == 0
        assert sum(net for at, net in zip(pool.tick_indices, pool.liquidity_net, strict=True) if at <= tick) == (
            pool.liquidity
        )
        assert list(pool.tick_indices) == sorted(set(pool.tick_indices))
    for lower, width, amount in reversed(rows):
        pool = pool.apply(burn(pool.address, lower * 60, (lower + width) * 60, amount))
        assert pool == states.pop()
    assert pool == empty


@pytest.mark.parametrize(("lower", "upper", "in_range"), [(-60, 0, 0), (0, 60, 7), (-60, 60, 7), (60, 120, 0)])
def test_a_position_is_in_range_from_its_lower_tick_to_below_its_upper(lower: int, upper: int, in_range: int) -> None:
    assert v3_pool(tick=0, positions=[(lower, upper, 7)]).liquidity == in_range


def test_a_tick_stays_while_any_position_ends_there() -> None:
    pool = v3_pool(positions=[(-60, 0, 5), (0, 60, 5)])
    assert pool.tick_indices == (-60, 0, 60)
    # the two positions cancel each other at 0, where the contract keeps the tick all the same
    assert pool.liquidity_net == (5, 0, -5)
    assert pool.liquidity_gross == (5, 10, 5)


@pytest.mark.parametrize(("topic", "count"), [(SWAP_TOPIC, 5), (PANCAKE_SWAP_TOPIC, 7)], ids=["uniswap", "pancake"])
def test_swap_sets_price_liquidity_and_tick(topic: bytes, count: int) -> None:
    pool = v3_pool(positions=POSITIONS)
    price = get_sqrt_ratio_at_tick(-7) + 5
    data = word(-5) + word(6) + word(price) + word(77) + word(-7) + word(0) * (count - 5)
    log = make_log(pool.address, [topic, word(1), word(2)], data)
    assert pool.apply(log) == replace(pool, sqrt_price_x96=price, liquidity=77, tick=-7)


def test_a_price_exactly_at_a_tick_may_come_with_the_tick_below() -> None:
    pool = v3_pool()
    log = make_log(pool.address, [INITIALIZE_TOPIC], word(get_sqrt_ratio_at_tick(120)) + word(119))
    assert pool.apply(log).tick == 119


def test_initialize_opens_a_pool() -> None:
    closed = replace(v3_pool(positions=[]), sqrt_price_x96=0)
    with pytest.raises(InsufficientLiquidity):
        closed.amount_out(TOKEN0, 1)
    log = make_log(closed.address, [INITIALIZE_TOPIC], word(get_sqrt_ratio_at_tick(-5)) + word(-5))
    assert (closed.apply(log).sqrt_price_x96, closed.apply(log).tick) == (get_sqrt_ratio_at_tick(-5), -5)


def test_events_without_effect_return_the_same_object() -> None:
    pool = v3_pool(positions=POSITIONS)
    assert pool.apply(burn(pool.address, -600, 600, 0)) is pool
    assert pool.apply(make_log(pool.address, [b"\2" * 32], b"")) is pool


SOUND = word(1) + word(1) + word(2**96) + word(5) + word(0)


@pytest.mark.parametrize(
    ("topics", "data"),
    [
        ([SWAP_TOPIC, word(1), word(1)], SOUND[:-1]),
        ([SWAP_TOPIC, word(1), word(1)], word(1) + word(1) + word(1) + word(5) + word(0)),
        ([SWAP_TOPIC, word(1), word(1)], word(1) + word(1) + word(2**96) + word(2**128) + word(0)),
        ([SWAP_TOPIC, word(1), word(1)], word(1) + word(1) + word(2**96) + word(5) + word(9)),
        ([MINT_TOPIC, word(1), word(0)], word(0) * 4),
        ([MINT_TOPIC, word(1), word(60), word(0)], word(0) * 4),
        ([MINT_TOPIC, word(1), word(1), word(60)], word(0) * 4),
        ([MINT_TOPIC, word(1), word(0), word(60)], word(0) + word(2**128) + word(0) * 2),
        ([BURN_TOPIC, word(1), word(-600), word(600)], word(LIQUIDITY + 1) + word(0) * 2),
        ([BURN_TOPIC, word(1), word(60), word(120)], word(1) + word(0) * 2),
    ],
)
def test_a_log_that_cannot_be_is_refused(topics: list[bytes], data: bytes) -> None:
    pool = v3_pool(positions=POSITIONS)
    with pytest.raises(InputError):
        pool.apply(make_log(pool.address, topics, data))


def test_marginal_price_is_the_limit_of_the_rate() -> None:
    pool: UniswapV3Pool = v3_pool(tick=23_000, positions=POSITIONS)
    for token_in in (TOKEN0, TOKEN1):
        rate = Fraction(pool.amount_out(token_in, 10**15), 10**15)
        price = pool.marginal_price(token_in)
        assert rate < price
        assert float(rate / price) == pytest.approx(1, rel=1e-5)
    with pytest.raises(InputError, match="token_in"):
        pool.marginal_price(address(9))
    with pytest.raises(InsufficientLiquidity):
        v3_pool().marginal_price(TOKEN0)


def test_ticks_that_do_not_add_up_are_not_traded_through() -> None:
    sound = v3_pool(positions=POSITIONS)
    broken = replace(sound, liquidity_net=(0, 3 * LIQUIDITY, *sound.liquidity_net[2:]))
    with pytest.raises(InsufficientLiquidity, match="do not add up"):
        broken.swap(True, 2**255 - 1)
