"""PancakeSwap V3 pools: what they state in their callback is what we say, on their own states and on drawn ones."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.token import VenueKind
from keeper.market.specs import PoolSpec
from keeper.market.venues import PancakeSwapV3Pool, UniswapV3Pool, load
from keeper.market.venues.tick_math import get_sqrt_ratio_at_tick
from keeper.market.venues.uniswap_v3 import PANCAKE_SWAP_TOPIC
from tests.conftest import RunningReplica
from tests.market.chain import make_log, mint, v3_pool, word
from tests.market.contracts import probe_v3, v3_state
from tests.market.drawn import drawn
from tests.market.test_readers import entries, read
from tests.market.test_replica_maths import random_swaps

DRAWN = drawn(25)


@pytest.fixture(scope="module")
def pools(replica: RunningReplica) -> list[PancakeSwapV3Pool]:
    specs = [PoolSpec.from_json(entry) for entry in entries(replica, "pancakeswap_v3")]
    found = list(read(replica, specs).values())
    assert len(found) == len(specs) == 4
    return [pool for pool in found if isinstance(pool, PancakeSwapV3Pool)]


def compare(replica: RunningReplica, pool: PancakeSwapV3Pool, random: Random, count: int, *, drawn: bool) -> None:
    swaps = random_swaps(random, pool, count, beyond=False)
    stated = probe_v3(replica, pool, swaps, v3_state(pool) if drawn else None)
    for (zero_for_one, amount), amounts in zip(swaps, stated, strict=True):
        ours = pool.swap(zero_for_one, amount)
        assert amounts == (ours.amount_in, ours.amount_out), (pool, zero_for_one, amount)


def test_pools_as_read_from_the_chain_state_our_amounts(
    replica: RunningReplica, pools: list[PancakeSwapV3Pool]
) -> None:
    assert {pool.fee_pips for pool in pools} == {100, 500}
    for pool in pools:
        assert (pool.venue, pool.dex) == (VenueKind.PANCAKESWAP_V3, "pancakeswap_v3")
        assert load(pool.to_json()) == pool
        compare(replica, pool, Random(21), 20, drawn=False)


def test_drawn_states(replica: RunningReplica, pools: list[PancakeSwapV3Pool]) -> None:
    deployed = next(pool for pool in pools if pool.fee_pips == 500)
    spacing = deployed.tick_spacing
    ranges = st.tuples(st.integers(-700, 650), st.integers(1, 700), st.integers(3, 85).map(lambda bits: 2**bits))

    @DRAWN
    @given(st.integers(-400, 400), st.lists(ranges, min_size=1, max_size=8), st.integers(0, 2**32))
    def run(start: int, rows: list[tuple[int, int, int]], seed: int) -> None:
        random = Random(seed)
        tick = start * spacing + random.randrange(spacing)
        price = random.randrange(get_sqrt_ratio_at_tick(tick), get_sqrt_ratio_at_tick(tick + 1))
        nothing: tuple[int, ...] = ()
        pool = replace(
            deployed,
            sqrt_price_x96=price,
            tick=tick,
            liquidity=0,
            tick_indices=nothing,
            liquidity_net=nothing,
            liquidity_gross=nothing,
        )
        for lower, width, liquidity in rows:
            pool = pool.apply(
                mint(pool.address, (start + lower) * spacing, (start + lower + width) * spacing, liquidity)
            )
        compare(replica, pool, random, 10, drawn=True)

    run()


@pytest.mark.parametrize(("fee_pips", "spacing"), [(100, 1), (500, 10), (2500, 50), (10000, 200)])
def test_every_fee_is_the_maths_of_uniswap(fee_pips: int, spacing: int) -> None:
    positions = [(-4 * spacing, 4 * spacing, 10**20), (-9 * spacing, spacing, 10**19)]
    theirs = v3_pool(fee_pips=fee_pips, spacing=spacing, positions=positions)
    ours = load({**theirs.to_json(), "venue": "pancakeswap_v3"})
    assert isinstance(ours, PancakeSwapV3Pool)
    assert not isinstance(ours, UniswapV3Pool)
    for token_in, token_out in ((theirs.token0, theirs.token1), (theirs.token1, theirs.token0)):
        for amount in (1, 10**9, 10**15):
            assert ours.amount_out(token_in, amount) == theirs.amount_out(token_in, amount)
            assert ours.amount_in(token_out, amount) == theirs.amount_in(token_out, amount)
        assert ours.marginal_price(token_in) == theirs.marginal_price(token_in)
    price = get_sqrt_ratio_at_tick(-1)
    data = word(-5) + word(6) + word(price) + word(77) + word(-1) + word(3) + word(0)
    log = make_log(ours.address, [PANCAKE_SWAP_TOPIC, word(1), word(2)], data)
    assert ours.apply(log) == replace(ours, sqrt_price_x96=price, liquidity=77, tick=-1)


def test_pancake_topic_is_the_one_of_its_pools() -> None:
    assert PANCAKE_SWAP_TOPIC.hex() == "19b47279256b2a23a1665c810c8d55a1758940ee09377d4f8d26497a3577dc83"
