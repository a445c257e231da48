"""The compiled integers are those of the pools, to the unit and in every refusal."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from keeper.discovery.search.exact import REFUSED, TAKEN, UNCOVERED, Work, quotes
from keeper.discovery.search.tables import PoolTable
from keeper.domain.token import VenueKind
from keeper.domain.units import Address, to_address
from keeper.market.venues.base import InsufficientLiquidity, Pool
from keeper.market.venues.concentrated import ConcentratedPool
from keeper.market.venues.solidly import SolidlyVolatilePool
from keeper.market.venues.tick_math import MAX_TICK, MIN_TICK, get_sqrt_ratio_at_tick
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import PancakeSwapV3Pool, UniswapV3Pool
from keeper.market.venues.uniswap_v4 import UniswapV4Pool, to_pool_id
from tests.discovery.markets import SPACING, TOKENS

TOKEN0, TOKEN1 = TOKENS[:2]
POOLS, AMOUNTS = int(os.environ.get("ORION_EXACT_POOLS", "300")), 50
"""Of the pools a quarter has ranges. `make exact-search` asks 200,000 times."""
MASK = (1 << 64) - 1


def name(number: int) -> Address:
    return to_address(f"0x{0xE0000000 + number:040x}", "pool")


def ranged(rng: random.Random, number: int) -> ConcentratedPool:
    """A pool whose positions overlap, leave gaps or lie beside the price, at any price."""
    fee = rng.choice([*SPACING, 0, 999_999])
    spacing = SPACING.get(fee, 60)
    tick = rng.choice([rng.randint(-400_000, 400_000), rng.randint(-300, 300), MIN_TICK + 5000, MAX_TICK - 5000])
    nets: dict[int, int] = {}
    active = 0
    for _ in range(rng.randint(0, 6)):
        lower = (tick // spacing + rng.randint(-40, 10)) * spacing
        upper = lower + rng.randint(1, rng.choice([3, 40, 400])) * spacing
        if not MIN_TICK < lower < upper < MAX_TICK:
            continue
        amount = int(10 ** rng.uniform(0, 34))
        nets[lower] = nets.get(lower, 0) + amount
        nets[upper] = nets.get(upper, 0) - amount
        active += amount if lower <= tick < upper else 0
    ticks = tuple(sorted(nets))
    price = get_sqrt_ratio_at_tick(tick)
    if rng.random() < 0.8:
        price = rng.randrange(price, get_sqrt_ratio_at_tick(tick + 1))
    elif rng.random() < 0.5:
        tick -= 1
        active = sum(nets[at] for at in ticks if at <= tick)
    nets_up = [nets[at] for at in ticks]
    state = (fee, spacing, price, tick, active, ticks, *(tuple(map(f, nets_up)) for f in (int, abs)))
    kind = rng.choice([UniswapV3Pool, PancakeSwapV3Pool, UniswapV4Pool])
    if kind is UniswapV4Pool:
        share = rng.choice([0, 300 << 12 | 300]) if fee < 999_999 else 0
        identity = to_pool_id(TOKEN0, TOKEN1, fee, spacing)
        return UniswapV4Pool(name(number), "uniswap_v4", TOKEN0, TOKEN1, *state, pool_id=identity, protocol_fee=share)
    return kind(name(number), "dex", TOKEN0, TOKEN1, *state)


def pair(rng: random.Random, number: int) -> Pool:
    reserves = (min(int(10 ** rng.uniform(0, 34)), 2**112 - 1) for _ in range(2))
    kind = rng.choice([UniswapV2Pool, SolidlyVolatilePool])
    return kind(name(number), "dex", TOKEN0, TOKEN1, rng.choice([0, 1, 2500, 3000, 999_999]), *reserves)


def to_tick(pool: ConcentratedPool, tick: int) -> int:
    """The input that moves the price to ``tick``; 0 where no swap does."""
    try:
        return ConcentratedPool.swap(pool, tick < pool.tick, 10**40, get_sqrt_ratio_at_tick(tick)).amount_in
    except InsufficientLiquidity:
        return 0


def amounts(rng: random.Random, pool: Pool) -> Iterator[int]:
    """From a unit to far more than the pool holds; most near what moves its price, some at its ticks."""
    ends: list[int] = []
    for _ in range(AMOUNTS):
        if isinstance(pool, ConcentratedPool) and pool.tick_indices and rng.random() < 0.2:
            ends = ends or [to_tick(pool, tick) for tick in pool.tick_indices]
            yield max(rng.choice(ends) + rng.randint(-2, 2), 1)
        else:
            yield max(int(10 ** rng.uniform(0, rng.choice([10, 24, 40]))), 1)


def check(pools: list[Pool], rng: random.Random) -> Counter[tuple[str, int]]:
    """Ask for random amounts both ways and compare; count the answers by venue and status."""
    market = {pool.address: pool for pool in pools}
    table = PoolTable(market)
    asked: list[tuple[Pool, bool, int]] = []
    for pool in pools:
        for amount in amounts(rng, pool):
            asked.append((pool, rng.random() < 0.5, amount))
    rows = np.array([table.index[pool.address] for pool, _, _ in asked], dtype=np.int32)
    first = np.array([way for _, way, _ in asked])
    given = np.array([(min(a, 2**128 - 1) & MASK, min(a, 2**128 - 1) >> 64) for _, _, a in asked], dtype=np.uint64)
    paid, status = np.zeros_like(given), np.zeros(len(asked), dtype=np.int32)
    quotes(table.ranges, table.exact, Work.new(), rows, first, given, paid, status)
    seen: Counter[tuple[str, int]] = Counter()
    for (pool, way, amount), out, how in zip(asked, paid.tolist(), status.tolist(), strict=True):
        if amount >= 2**128:
            continue
        seen[pool.venue, how] += 1
        if how == UNCOVERED:
            continue
        try:
            expected: int | None = pool.amount_out(TOKEN0 if way else TOKEN1, amount)
        except InsufficientLiquidity:
            expected = None
        found = out[0] | out[1] << 64 if how == TAKEN else None
        assert found == expected, (pool, way, amount)
    return seen


@pytest.fixture(autouse=True)
def _every_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keeper.discovery.search.tables.TRADED_VENUES", tuple(VenueKind))


def test_quotes_of_random_states_are_those_of_the_pools() -> None:
    rng = random.Random(11)
    seen = check([(pair if n % 4 else ranged)(rng, n) for n in range(POOLS)], rng)
    assert sum(seen.values()) > 0.8 * POOLS * AMOUNTS
    for venue in (VenueKind.UNISWAP_V2, VenueKind.UNISWAP_V3, VenueKind.PANCAKESWAP_V3, VenueKind.UNISWAP_V4):
        assert seen[venue, TAKEN] > POOLS
        assert seen[venue, REFUSED] > POOLS // 10
    assert seen[VenueKind.SOLIDLY_VOLATILE, TAKEN] > POOLS


def test_a_wrong_digit_would_be_seen() -> None:
    """The comparison notices a fee that is off by a millionth."""
    rng = random.Random(5)
    pool = UniswapV2Pool(name(1), "dex", TOKEN0, TOKEN1, 3000, 10**24, 10**24)
    table = PoolTable({pool.address: pool})
    table.exact.fee[0] += 1
    given = np.array([[10**18 % 2**64, 10**18 >> 64]], dtype=np.uint64)
    paid, status = np.zeros_like(given), np.zeros(1, dtype=np.int32)
    quotes(table.ranges, table.exact, Work.new(), np.zeros(1, np.int32), np.ones(1, np.bool_), given, paid, status)
    assert status[0] == TAKEN
    assert int(paid[0, 0]) != pool.amount_out(TOKEN0, 10**18)
    assert check([replace(pool, fee_pips=3001)], rng)
