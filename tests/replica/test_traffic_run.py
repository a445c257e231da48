"""Thirty blocks of traffic: every swap succeeds, pools stay deep, the base fee wanders, arbitrage is left behind."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import pytest

from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.replica.bundles import TRANSACTION_GAS_CAP
from keeper.replica.control import ReplicaStatus
from keeper.replica.filler import FillerGas
from keeper.replica.pool_state import MarketState, TradedPool, read_market, v2_amount_out, v2_loop_optimum
from keeper.replica.service import WETH
from keeper.replica.state import ReplicaState
from keeper.replica.swaps import SWAP_ROUTER_02, V2_ROUTERS
from tests.conftest import BackgroundLoop
from tests.replica.live_setup import Live, live

BLOCKS = 30
TWO_HOP_GAS = 250_000


@dataclass
class Recording:
    pools: tuple[TradedPool, ...]
    states: list[MarketState] = field(default_factory=list)
    base_fees: list[int] = field(default_factory=list)
    gas_used: list[int] = field(default_factory=list)
    recipients: Counter[str] = field(default_factory=Counter)
    status: ReplicaStatus | None = None


async def _record(state: ReplicaState, log_dir: Path) -> Recording:
    async with live(state, log_dir, seed=11) as here:
        recording = Recording(here.pools, [await read_market(here.rpc, here.pools)])
        for _ in range(BLOCKS):
            await here.service.run(1)
            await _note(here, recording)
        recording.status = await here.service.status()
        return recording


async def _note(here: Live, recording: Recording) -> None:
    block = await here.rpc("eth_getBlockByNumber", "latest", True)
    recording.states.append(await read_market(here.rpc, here.pools))
    recording.base_fees.append(int(block["baseFeePerGas"], 16))
    recording.gas_used.append(int(block["gasUsed"], 16))
    recording.recipients.update(tx["to"] for tx in block["transactions"])
    for tx in block["transactions"]:
        assert int(tx["gas"], 16) <= TRANSACTION_GAS_CAP


@pytest.fixture(scope="module")
def recording(
    replica_state: ReplicaState, background: BackgroundLoop, tmp_path_factory: pytest.TempPathFactory
) -> Recording:
    return background.run(_record(replica_state, tmp_path_factory.mktemp("traffic")))


def test_every_swap_succeeds_and_every_router_is_used(recording: Recording) -> None:
    status = recording.status
    assert status is not None
    assert status.traffic_sent > 5 * BLOCKS
    assert status.traffic_reverted == 0
    for router in (*V2_ROUTERS.values(), SWAP_ROUTER_02):
        assert recording.recipients[router.lower()] > BLOCKS // 3


def test_pools_keep_their_depth_and_their_price(recording: Recording) -> None:
    first, last = recording.states[0], recording.states[-1]
    assert set(last.depths) == set(first.depths)
    for pool in recording.pools:
        before, after = first.depths[pool.address], last.depths[pool.address]
        assert abs(math.log(after.price / before.price)) < 0.1
        if pool.venue is VenueKind.UNISWAP_V2:  # nobody adds or takes liquidity: fees can only deepen a pool
            assert before.reserve0 * before.reserve1 <= after.reserve0 * after.reserve1
            assert after.reserve0 * after.reserve1 < 1.02 * before.reserve0 * before.reserve1


def test_most_blocks_leave_an_arbitrage_that_pays_for_its_gas(recording: Recording) -> None:
    """An exact scan of the loops WETH -> token -> WETH through two V2 pools, which is only a part of what there is."""
    paying = 0
    for state, base_fee in zip(recording.states[1:21], recording.base_fees[:20], strict=True):
        paying += _best_loop(recording.pools, state) > TWO_HOP_GAS * base_fee
    assert paying >= 15


def _best_loop(pools: tuple[TradedPool, ...], state: MarketState) -> int:
    pairs = [pool for pool in pools if pool.venue is VenueKind.UNISWAP_V2 and WETH in pool.tokens]
    best = 0
    for first, second in permutations(pairs, 2):
        if first.tokens == second.tokens:
            outward, homeward = _reserves(state, first, WETH), _reserves(state, second, WETH)[::-1]
            amount = v2_loop_optimum(outward, homeward)
            best = max(best, v2_amount_out(v2_amount_out(amount, *outward), *homeward) - amount if amount else 0)
    return best


def _reserves(state: MarketState, pool: TradedPool, token_in: Address) -> tuple[int, int]:
    depth = state.depths[pool.address]
    return (depth.reserve0, depth.reserve1) if pool.token0 == token_in else (depth.reserve1, depth.reserve0)


def test_at_the_start_there_is_no_arbitrage_so_traffic_makes_it(recording: Recording) -> None:
    assert _best_loop(recording.pools, recording.states[0]) == 0


def test_base_fee_wanders_around_where_it_began(recording: Recording) -> None:
    start = recording.base_fees[0]
    assert all(start / 2 < fee < 2 * start for fee in recording.base_fees)
    assert max(recording.base_fees) > 1.03 * min(recording.base_fees)
    assert sum(recording.gas_used) > 0.6 * BLOCKS * 30_000_000
    assert recording.recipients[FillerGas.CONTRACT.lower()] >= BLOCKS
