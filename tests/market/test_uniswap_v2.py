"""Uniswap V2 against the inequality that the pair's contract enforces."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from keeper.domain.errors import InputError
from keeper.market.venues import InsufficientLiquidity, UniswapV2Pool
from keeper.market.venues.uniswap_v2 import SYNC_TOPIC, get_amount_in, get_amount_out
from tests.market.chain import TOKEN0, TOKEN1, address, make_log, sync, v2_pool, word

RESERVE = st.integers(1, 2**112 - 1)
AMOUNT = st.integers(1, 2**112)
TOKEN = st.sampled_from([TOKEN0, TOKEN1])


def pair_accepts(reserves: tuple[int, int], amount_in: int, amount_out: int, share: tuple[int, int]) -> bool:
    """`UniswapV2Pair.swap`'s check; ``share`` is the part of the input taken as fee: Uniswap 3/1000."""
    reserve_in, reserve_out = reserves
    taken, unit = share
    if not 0 < amount_out < reserve_out or reserve_in + amount_in > 2**112 - 1:
        return False
    adjusted = (reserve_in + amount_in) * unit - amount_in * taken
    return adjusted * (reserve_out - amount_out) * unit >= reserve_in * reserve_out * unit**2


@given(RESERVE, RESERVE, AMOUNT, TOKEN, st.sampled_from([(3000, (3, 1000)), (2500, (25, 10_000)), (100, (1, 10_000))]))
def test_the_pair_pays_this_and_not_a_unit_more(
    reserve0: int, reserve1: int, amount: int, token_in: str, fee: tuple[int, tuple[int, int]]
) -> None:
    fee_pips, share = fee
    pool = v2_pool(reserves=(reserve0, reserve1), fee_pips=fee_pips)
    reserves = (reserve0, reserve1) if token_in == TOKEN0 else (reserve1, reserve0)
    if reserves[0] + amount > 2**112 - 1:
        with pytest.raises(InsufficientLiquidity):
            pool.amount_out(token_in, amount)
        return
    amount_out = pool.amount_out(token_in, amount)
    assert amount_out == 0 or pair_accepts(reserves, amount, amount_out, share)
    assert not pair_accepts(reserves, amount, amount_out + 1, share)


@given(RESERVE, RESERVE, AMOUNT, TOKEN, st.sampled_from([3000, 2500, 100, 0]))
def test_amount_in_is_the_least_that_buys(
    reserve0: int, reserve1: int, amount: int, token_out: str, fee_pips: int
) -> None:
    pool = v2_pool(reserves=(reserve0, reserve1), fee_pips=fee_pips)
    token_in = TOKEN1 if token_out == TOKEN0 else TOKEN0
    reserve_out, reserve_in = (reserve0, reserve1) if token_out == TOKEN0 else (reserve1, reserve0)
    try:
        amount_in = pool.amount_in(token_out, amount)
    except InsufficientLiquidity:
        most = 2**112 - 1 - reserve_in
        assert most == 0 or pool.amount_out(token_in, most) < amount
        return
    assert pool.amount_out(token_in, amount_in) >= amount
    assert amount_in == 1 or pool.amount_out(token_in, amount_in - 1) < amount
    assert get_amount_in(amount, reserve_in, reserve_out, fee_pips) - amount_in in (0, 1)


@given(AMOUNT, RESERVE, RESERVE)
def test_millionths_give_the_integers_of_the_contracts_own_fractions(amount: int, r_in: int, r_out: int) -> None:
    assert get_amount_out(amount, r_in, r_out) == amount * 997 * r_out // (r_in * 1000 + amount * 997)
    assert get_amount_out(amount, r_in, r_out, 2500) == amount * 9975 * r_out // (r_in * 10_000 + amount * 9975)
    assume(amount < r_out)
    assert get_amount_in(amount, r_in, r_out) == r_in * amount * 1000 // ((r_out - amount) * 997) + 1


def test_marginal_price_holds_the_fee() -> None:
    pool = v2_pool(reserves=(10**18, 3 * 10**18))
    assert pool.marginal_price(TOKEN0) == Fraction(3 * 997, 1000)
    assert pool.marginal_price(TOKEN1) == Fraction(997, 3000)


@given(RESERVE, RESERVE)
def test_sync_sets_the_reserves(reserve0: int, reserve1: int) -> None:
    pool = v2_pool()
    changed = pool.apply(sync(pool.address, reserve0, reserve1))
    assert (changed.reserve0, changed.reserve1) == (reserve0, reserve1)
    assert changed.apply(sync(pool.address, reserve0, reserve1)) is changed


def test_other_events_change_nothing() -> None:
    pool = v2_pool()
    assert pool.apply(make_log(pool.address, [b"\1" * 32], word(1))) is pool
    assert pool.apply(make_log(pool.address, [], b"")) is pool


@pytest.mark.parametrize("data", [b"", word(1), word(1) * 3, word(2**112) + word(1)])
def test_a_malformed_sync_is_refused(data: bytes) -> None:
    pool = v2_pool()
    with pytest.raises(InputError, match=r"log\.data"):
        pool.apply(make_log(pool.address, [SYNC_TOPIC], data))


def test_amounts_and_tokens_that_make_no_sense_are_refused() -> None:
    pool = v2_pool()
    with pytest.raises(InputError, match="token_in"):
        pool.amount_out(address(9), 1)
    with pytest.raises(InputError, match="token_out"):
        pool.amount_in(address(9), 1)
    with pytest.raises(InputError, match="amount_in"):
        pool.amount_out(TOKEN0, 0)
    with pytest.raises(InputError, match="amount_out"):
        pool.amount_in(TOKEN0, -1)


@pytest.mark.parametrize("reserves", [(0, 0), (0, 5), (5, 0)])
def test_an_empty_pair_trades_nothing(reserves: tuple[int, int]) -> None:
    pool: UniswapV2Pool = v2_pool(reserves=reserves)
    with pytest.raises(InsufficientLiquidity):
        pool.amount_out(TOKEN0, 1)
    with pytest.raises(InsufficientLiquidity):
        pool.amount_in(TOKEN1, 1)
    with pytest.raises(InsufficientLiquidity):
        pool.marginal_price(TOKEN0)
