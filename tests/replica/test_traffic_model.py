"""The price process and the gas filler by themselves, over thousands of blocks."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest

from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.replica.bundle_simulation import BlockContext, next_base_fee
from keeper.replica.bundles import TRANSACTION_GAS_CAP
from keeper.replica.filler import filler_gas
from keeper.replica.pool_state import Depth, MarketState, TradedPool, v2_amount_out, v2_loop_optimum
from keeper.replica.prices import LARGE, SMALL, STABLE, PriceProcess, anchor_prices, view_size

ETHER, DOLLAR, COIN, LONELY = (Address(f"0x{digit * 40}") for digit in "abcd")
GWEI = 10**9


def _pool(number: int, token0: Address, token1: Address, fee_pips: int = 3000) -> TradedPool:
    return TradedPool(Address(f"0x{number:040x}"), VenueKind.UNISWAP_V2, "uniswap_v2", token0, token1, fee_pips)


POOLS = (_pool(1, ETHER, DOLLAR), _pool(2, COIN, DOLLAR), _pool(3, COIN, ETHER, 500), _pool(4, LONELY, LONELY))


def _process(seed: int) -> PriceProcess:
    anchors = {ETHER: 0.0, DOLLAR: math.log(1 / 3000), COIN: math.log(30.0)}
    return PriceProcess(seed, anchors, {DOLLAR: STABLE, COIN: LARGE}, POOLS[:3])


def test_anchors_come_from_the_deepest_pools() -> None:
    depths = {
        POOLS[0].address: Depth(1_000, 3_000_000),
        POOLS[1].address: Depth(10, 900_000),
        POOLS[2].address: Depth(1, 31),  # shallow: its price of 31 must not count
    }
    anchors = anchor_prices(POOLS, MarketState(depths, {}), ETHER)
    assert set(anchors) == {ETHER, DOLLAR, COIN}
    assert math.exp(-anchors[DOLLAR]) == pytest.approx(3000)
    assert math.exp(anchors[COIN]) == pytest.approx(30)


def test_equal_seeds_give_equal_paths() -> None:
    paths = []
    for seed in (5, 5, 6):
        process, path = _process(seed), []
        for _ in range(50):
            process.step()
            path.append([process.view(pool) for pool in POOLS[:3]])
        paths.append(path)
    assert paths[0] == paths[1]
    assert paths[0] != paths[2]


def test_prices_move_and_stay_sane_over_thousands_of_blocks() -> None:
    process = _process(1)
    ether, gaps = [], []
    for _ in range(10_000):
        process.step()
        ether.append(process.fair_log_price(ETHER, DOLLAR) - math.log(3000))
        gaps.append(process.view(POOLS[2]) - process.fair_log_price(COIN, ETHER))
        triangle = (
            process.fair_log_price(ETHER, DOLLAR)
            + process.fair_log_price(DOLLAR, COIN)
            + process.fair_log_price(COIN, ETHER)
        )
        assert abs(triangle) < 1e-12  # fair prices are consistent: only the pools' views leave gaps
    assert 0.005 < statistics.pstdev(ether) < 0.05
    assert max(map(abs, ether)) < 0.15
    assert statistics.pstdev(gaps) == pytest.approx(view_size(500), rel=0.15)
    assert abs(statistics.fmean(gaps)) < view_size(500) / 2


def test_volatility_has_the_order_of_the_token() -> None:
    assert STABLE.step < LARGE.step < SMALL.step
    assert view_size(100) < view_size(500) < view_size(3000)


def test_base_fee_stays_around_its_level_over_thousands_of_blocks() -> None:
    context = BlockContext(1, 0, 3 * GWEI, 60_000_000, ETHER)
    fees = []
    for number in range(5_000):
        context = replace(context, number=number)
        limits = filler_gas(9, GWEI, context, 3_000_000, 50_000_000)
        assert all(21_000 < gas <= TRANSACTION_GAS_CAP for gas in limits)
        assert sum(limits) <= 50_000_000
        block = {
            "baseFeePerGas": hex(context.base_fee),
            "gasUsed": hex(3_000_000 + sum(limits)),
            "gasLimit": hex(60_000_000),
        }
        context = replace(context, base_fee=next_base_fee(block))
        fees.append(context.base_fee)
    settled = fees[200:]
    assert 0.4 * GWEI < min(settled) < 0.9 * GWEI
    assert 1.1 * GWEI < max(settled) < 2.5 * GWEI


def test_filler_leaves_the_room_it_is_told_to() -> None:
    context = BlockContext(1, 0, GWEI, 60_000_000, ETHER)
    assert sum(filler_gas(9, GWEI, context, 0, 5_000_000)) <= 5_000_000
    assert filler_gas(9, GWEI, context, 0, 0) == []
    assert filler_gas(9, GWEI, context, 59_000_000, 1_000_000) == []


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (10_000_000, 1_000_000_000),
        (9_000_000, 987_500_000),
        (11_000_000, 1_012_500_000),
        (20_000_000, 1_125_000_000),
        (0, 875_000_000),
    ],
)
def test_next_base_fee_vectors(used: int, expected: int) -> None:
    parent = {"baseFeePerGas": hex(GWEI), "gasUsed": hex(used), "gasLimit": hex(20_000_000)}
    assert next_base_fee(parent) == expected


def test_loop_optimum_beats_its_neighbours() -> None:
    first, second = (10**21, 3 * 10**12), (29 * 10**11, 10**21)
    best = v2_loop_optimum(first, second)

    def profit(amount: int) -> int:
        return v2_amount_out(v2_amount_out(amount, *first), *second) - amount

    assert profit(best) > 0
    for share in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        assert profit(int(best * share)) < profit(best)
    assert v2_loop_optimum(first, second[::-1][::-1]) == best
    assert v2_loop_optimum(first, (3 * 10**12, 10**21)) == 0
