"""Pool maths against the deployed contracts on the replica: 0 wei apart, on drawn states and on the replica's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from eth_abi import encode
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keeper.domain.units import Address
from keeper.market.loader import PoolSpec, load_pools
from keeper.market.node import Node
from keeper.market.venues import InsufficientLiquidity, Pool, UniswapV2Pool, UniswapV3Pool
from keeper.market.venues.concentrated import ConcentratedPool
from keeper.market.venues.tick_math import get_sqrt_ratio_at_tick
from keeper.market.venues.uniswap_v2 import get_amount_in, get_amount_out
from keeper.replica.addresses import TRADERS
from tests.conftest import RunningReplica
from tests.market.chain import mint
from tests.market.contracts import probe_v3, quote_v3, router_v2, v3_state

LARGEST = 2**255 - 1
QUOTES = 12
DRAWN = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def pools(replica: RunningReplica) -> dict[Address, Pool]:
    async def load() -> dict[Address, Pool]:
        async with Node(replica.http_url) as node:
            forks = [entry for entry in replica.state.other_pools() if entry["venue"] == "pancakeswap_v3"]
            entries = replica.pools + [{**entry, "venue": "uniswap_v3"} for entry in forks]
            specs = [PoolSpec.from_json(entry) for entry in entries]
            pools = await load_pools(node, specs, await node.block())
            assert len(pools) == len(specs)
            return pools

    return replica.background.run(load())


def v2_pairs(pools: dict[Address, Pool]) -> list[UniswapV2Pool]:
    return [pool for pool in pools.values() if isinstance(pool, UniswapV2Pool)]


def v3_pools(pools: dict[Address, Pool], dex: str) -> list[UniswapV3Pool]:
    return [pool for pool in pools.values() if isinstance(pool, UniswapV3Pool) and pool.dex == dex]


def log_uniform(random: Random, low: int, high: int) -> int:
    """A whole number whose length is drawn evenly, so that small amounts are as frequent as large ones."""
    bits = random.uniform(max(low, 1).bit_length() - 1, high.bit_length())
    return min(max(int(2**bits), low), high)


def compare_v3(replica: RunningReplica, pool: UniswapV3Pool, swaps: Sequence[tuple[bool, int]], *, drawn: bool) -> None:
    answers = quote_v3(replica, pool, swaps, v3_state(pool) if drawn else {})
    for (zero_for_one, amount), answer in zip(swaps, answers, strict=True):
        token_in, token_out = (pool.token0, pool.token1) if zero_for_one else (pool.token1, pool.token0)
        ours = pool.swap(zero_for_one, amount)
        if amount > 0 and ours.amount_in == 0:
            # a price that moves through no liquidity: the quoter does not support it
            assert answer is None
        elif amount > 0:
            assert answer == (ours.amount_out, ours.sqrt_price_x96), (pool, zero_for_one, amount)
            if ours.amount_in == amount:
                assert pool.amount_out(token_in, amount) == ours.amount_out
            else:
                with pytest.raises(InsufficientLiquidity):
                    pool.amount_out(token_in, amount)
        elif answer is None:
            # the quoter insists on the whole output
            with pytest.raises(InsufficientLiquidity):
                pool.amount_in(token_out, -amount)
        else:
            assert answer == (ours.amount_in, ours.sqrt_price_x96), (pool, zero_for_one, amount)
            assert pool.amount_in(token_out, -amount) == ours.amount_in


def random_swaps(random: Random, pool: ConcentratedPool, count: int, *, beyond: bool) -> list[tuple[bool, int]]:
    """Exact inputs and outputs in both directions, of all sizes that the pool can take, and one of each beyond."""
    swaps = []
    for zero_for_one in (True, False):
        most = pool.swap(zero_for_one, LARGEST)
        for _ in range(count):
            if most.amount_in:
                swaps.append((zero_for_one, log_uniform(random, 1, most.amount_in)))
            if most.amount_out:
                swaps.append((zero_for_one, -log_uniform(random, 1, most.amount_out)))
        if beyond:
            swaps += [(zero_for_one, most.amount_in + 1), (zero_for_one, -most.amount_out - 1)]
    return swaps


@st.composite
def positions(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, int]], int]:
    """A tick in units of the spacing, positions around it that cross borders of bitmap words, and a seed."""
    tick = draw(st.integers(-400, 400))
    rows = draw(
        st.lists(
            st.tuples(st.integers(-700, 650), st.integers(1, 700), st.integers(3, 85).map(lambda bits: 2**bits)),
            min_size=1,
            max_size=8,
        )
    )
    return tick, rows, draw(st.integers(0, 2**32))


@pytest.mark.parametrize("fee_pips", [100, 500, 3000, 10000])
def test_v3_on_drawn_states(replica: RunningReplica, pools: dict[Address, Pool], fee_pips: int) -> None:
    deployed = next(pool for pool in v3_pools(pools, "uniswap_v3") if pool.fee_pips == fee_pips)
    spacing = deployed.tick_spacing

    @DRAWN
    @given(positions())
    def compare(drawn: tuple[int, list[tuple[int, int, int]], int]) -> None:
        start, rows, seed = drawn
        random = Random(seed)
        tick = start * spacing + random.randrange(spacing)
        low, high = get_sqrt_ratio_at_tick(tick), get_sqrt_ratio_at_tick(tick + 1)
        # a third of the prices are a tick's own, where up and down differ most
        price = low if random.random() < 0.3 else random.randrange(low, high)
        pool = replace(
            deployed,
            sqrt_price_x96=price,
            tick=tick - 1 if price == low and random.random() < 0.5 else tick,
            liquidity=0,
            tick_indices=(),
            liquidity_net=(),
            liquidity_gross=(),
        )
        for lower, width, liquidity in rows:
            amount = liquidity + random.randrange(liquidity)
            ends = (start + lower) * spacing, (start + lower + width) * spacing
            pool = pool.apply(mint(pool.address, *ends, amount))
        # beyond the last liquidity the contract walks through every word of the bitmap, thousands at spacing 1
        compare_v3(replica, pool, random_swaps(random, pool, QUOTES, beyond=spacing >= 60), drawn=True)

    compare()


def test_v3_on_the_replicas_own_states(replica: RunningReplica, pools: dict[Address, Pool]) -> None:
    random = Random(11)
    found = v3_pools(pools, "uniswap_v3")
    assert len(found) >= 10
    for pool in found:
        compare_v3(replica, pool, random_swaps(random, pool, 12, beyond=pool.tick_spacing >= 60), drawn=False)


def test_forks_of_v3_on_the_replicas_own_states(replica: RunningReplica, pools: dict[Address, Pool]) -> None:
    random = Random(12)
    found = v3_pools(pools, "pancakeswap_v3") + v3_pools(pools, "uniswap_v3")[:2]
    assert len(found) >= 3
    for pool in found:
        swaps = random_swaps(random, pool, 12, beyond=False)
        for swap, stated in zip(swaps, probe_v3(replica, pool, swaps), strict=True):
            ours = pool.swap(*swap)
            assert stated == (ours.amount_in, ours.amount_out), (pool, swap)


RESERVE = st.integers(0, 111).flatmap(lambda bits: st.integers(2**bits, 2 ** (bits + 1) - 1))


@pytest.mark.parametrize("dex", ["uniswap_v2", "sushiswap"])
def test_v2_on_drawn_reserves(replica: RunningReplica, pools: dict[Address, Pool], dex: str) -> None:
    deployed = next(pool for pool in v2_pairs(pools) if pool.dex == dex)

    @DRAWN
    @given(RESERVE, RESERVE, st.integers(0, 2**32))
    def compare(reserve0: int, reserve1: int, seed: int) -> None:
        random = Random(seed)
        pool = replace(deployed, reserve0=reserve0, reserve1=reserve1)
        sizes = [(random.random() < 0.5, log_uniform(random, 1, 2**112)) for _ in range(2 * QUOTES)]
        outs = router_v2(replica, pool, "getAmountsOut", sizes)
        ins = router_v2(replica, pool, "getAmountsIn", sizes)
        for (zero_for_one, amount), paid, cost in zip(sizes, outs, ins, strict=True):
            reserves = (reserve0, reserve1) if zero_for_one else (reserve1, reserve0)
            assert paid == get_amount_out(amount, *reserves)
            if cost is None:
                assert amount >= reserves[1]
            else:
                assert cost == get_amount_in(amount, *reserves)

    compare()


def test_pairs_pay_what_we_say_and_not_a_unit_more(replica: RunningReplica, pools: dict[Address, Pool]) -> None:
    random = Random(13)
    pairs = v2_pairs(pools)
    assert len(pairs) >= 10
    trader = TRADERS[0]
    for pair in pairs:
        for zero_for_one in (True, False):
            token_in, token_out = (pair.token0, pair.token1) if zero_for_one else (pair.token1, pair.token0)
            wanted = log_uniform(random, 10, (pair.reserve1 if zero_for_one else pair.reserve0) // 100_000)
            amount_in = pair.amount_in(token_out, wanted)
            amount_out = pair.amount_out(token_in, amount_in)
            snapshot = replica.rpc("evm_snapshot")
            # one unit too few first: the pair then asks for more than it has got
            send(replica, trader, token_in, "transfer(address,uint256)", pair.address, amount_in - 1)
            assert not pays(replica, pair, zero_for_one, wanted)
            send(replica, trader, token_in, "transfer(address,uint256)", pair.address, 1)
            assert pays(replica, pair, zero_for_one, wanted)
            assert pays(replica, pair, zero_for_one, amount_out)
            assert not pays(replica, pair, zero_for_one, amount_out + 1)
            replica.rpc("evm_revert", snapshot)
            replica.rpc("anvil_dropAllTransactions")  # the node may otherwise mine what it has taken back


def data_of(signature: str, *arguments: object) -> str:
    types = signature[signature.index("(") + 1 : -1].split(",")
    return "0x" + (keccak(text=signature)[:4] + encode(types, arguments)).hex()


def send(replica: RunningReplica, sender: Address, to: Address, signature: str, *arguments: object) -> None:
    transaction = {"from": sender, "to": to, "data": data_of(signature, *arguments), "gas": hex(500_000)}
    assert replica.rpc("eth_sendTransactionSync", transaction)["status"] == "0x1"


def pays(replica: RunningReplica, pair: UniswapV2Pool, zero_for_one: bool, amount_out: int) -> bool:
    outs = (0, amount_out) if zero_for_one else (amount_out, 0)
    data = data_of("swap(uint256,uint256,address,bytes)", *outs, TRADERS[1], b"")
    simulated = replica.rpc(
        "eth_simulateV1", {"blockStateCalls": [{"calls": [{"from": TRADERS[1], "to": pair.address, "data": data}]}]}
    )
    (call,) = simulated[0]["calls"]
    if call["status"] == "0x0":
        assert any(reason.hex() in call["returnData"] for reason in (b"UniswapV2: K", b"INSUFFICIENT_INPUT_AMOUNT"))
    return bool(call["status"] == "0x1")
