"""Uniswap V4 pools without hooks: against V4Quoter on the replica's own state and on drawn ones; their events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from eth_abi import decode, encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.errors import InputError
from keeper.domain.units import ZERO_ADDRESS
from keeper.market.node import Node
from keeper.market.readers.uniswap_v4 import mapping_slot, state_slot
from keeper.market.specs import PoolSpec
from keeper.market.venues import InsufficientLiquidity, UniswapV4Pool, load
from keeper.market.venues.tick_math import get_sqrt_ratio_at_tick
from keeper.market.venues.uniswap_v4 import (
    MODIFY_LIQUIDITY_TOPIC,
    PROTOCOL_FEE_TOPIC,
    SWAP_TOPIC,
    calculate_swap_fee,
)
from keeper.replica import addresses
from keeper.replica.abi import arguments_of
from tests.conftest import RunningReplica
from tests.market.chain import address, make_log, word
from tests.market.contracts import Overrides, ask
from tests.market.drawn import drawn
from tests.market.test_readers import entries, read
from tests.market.test_replica_maths import random_swaps
from tests.replica.chain import Chain

DRAWN = drawn(30)
KEY = "(address,address,uint24,int24,address)"
PARAMETERS = f"({KEY},bool,uint128,bytes)"
Position = tuple[int, int, int]


@pytest.fixture(scope="module")
def spec(replica: RunningReplica) -> PoolSpec:
    (entry,) = entries(replica, "uniswap_v4")
    return PoolSpec.from_json(entry)


@pytest.fixture(scope="module")
def deployed(replica: RunningReplica, spec: PoolSpec) -> UniswapV4Pool:
    (entry,) = entries(replica, "uniswap_v4")
    (pool,) = read(replica, [spec]).values()
    assert isinstance(pool, UniswapV4Pool)
    assert (pool.pool_id, pool.token0, pool.fee_pips) == (entry["pool_id"], ZERO_ADDRESS, entry["fee_pips"])
    assert load(pool.to_json()) == pool
    return pool


def quoted(
    replica: RunningReplica, pool: UniswapV4Pool, swaps: Sequence[tuple[bool, int]], overrides: Overrides
) -> list[int | None]:
    """V4Quoter's amounts, for each (zero_for_one, exact input or minus exact output)."""
    key = (pool.token0, pool.token1, pool.fee_pips, pool.tick_spacing, ZERO_ADDRESS)
    calls = []
    for zero_for_one, amount in swaps:
        name = "quoteExactInputSingle" if amount > 0 else "quoteExactOutputSingle"
        data = keccak(text=f"{name}({PARAMETERS})")[:4] + encode([PARAMETERS], [(key, zero_for_one, abs(amount), b"")])
        calls.append((addresses.V4_QUOTER, data))
    answers = ask(replica, calls, overrides)
    return [None if answer is None else decode(["uint256"], answer[:32])[0] for answer in answers]


def storage_of(pool: UniswapV4Pool, spec: PoolSpec) -> Overrides:
    """Puts a state over the deployed pool's in the PoolManager; its own ticks have to be gone from ``pool``."""
    base = state_slot(spec)
    slots = {
        base: pool.sqrt_price_x96 | (pool.tick & 0xFFFFFF) << 160 | pool.protocol_fee << 184 | pool.fee_pips << 208,
        base + 3: pool.liquidity,
    }
    for tick, net, gross in zip(pool.tick_indices, pool.liquidity_net, pool.liquidity_gross, strict=True):
        slots[mapping_slot(base, 4, tick)] = (net % 2**128) << 128 | gross
        compressed = tick // pool.tick_spacing
        at = mapping_slot(base, 5, compressed >> 8)
        slots[at] = slots.get(at, 0) | 1 << (compressed & 0xFF)
    return {pool.address: {"stateDiff": {"0x" + word_of(at): "0x" + word_of(value) for at, value in slots.items()}}}


def word_of(value: int) -> str:
    return value.to_bytes(32, "big").hex()


def cleared(pool: UniswapV4Pool, spec: PoolSpec) -> dict[str, str]:
    """Storage without the ticks of ``pool``."""
    base = state_slot(spec)
    at = {mapping_slot(base, 4, tick) for tick in pool.tick_indices}
    at |= {mapping_slot(base, 5, tick // pool.tick_spacing >> 8) for tick in pool.tick_indices}
    return {"0x" + word_of(slot): "0x" + word_of(0) for slot in at}


def compare(
    replica: RunningReplica, pool: UniswapV4Pool, swaps: Sequence[tuple[bool, int]], overrides: Overrides
) -> int:
    answered = 0
    for (zero_for_one, amount), theirs in zip(swaps, quoted(replica, pool, swaps, overrides), strict=True):
        token_in, token_out = (pool.token0, pool.token1) if zero_for_one else (pool.token1, pool.token0)
        if theirs is None:
            with pytest.raises(InsufficientLiquidity):
                pool.amount_out(token_in, amount) if amount > 0 else pool.amount_in(token_out, -amount)
            continue
        ours = pool.amount_out(token_in, amount) if amount > 0 else pool.amount_in(token_out, -amount)
        assert ours == theirs, (pool, zero_for_one, amount)
        answered += 1
    return answered


def test_the_replicas_own_state(replica: RunningReplica, deployed: UniswapV4Pool) -> None:
    swaps = random_swaps(Random(31), deployed, 60, beyond=False)
    assert compare(replica, deployed, swaps, {}) > 200


def test_drawn_states(replica: RunningReplica, spec: PoolSpec, deployed: UniswapV4Pool) -> None:
    spacing = deployed.tick_spacing
    ranges = st.tuples(st.integers(-700, 650), st.integers(1, 700), st.integers(3, 85).map(lambda bits: 2**bits))
    fees = st.sampled_from([0, 1, 1000, 7 << 12, 1000 << 12 | 1000, 250 << 12 | 999])

    @DRAWN
    @given(st.integers(-400, 400), st.lists(ranges, min_size=1, max_size=8), fees, st.integers(0, 2**32))
    def run(start: int, rows: list[Position], protocol_fee: int, seed: int) -> None:
        random = Random(seed)
        tick = start * spacing + random.randrange(spacing)
        low, high = get_sqrt_ratio_at_tick(tick), get_sqrt_ratio_at_tick(tick + 1)
        price = low if random.random() < 0.3 else random.randrange(low, high)
        nothing: tuple[int, ...] = ()
        pool = replace(
            deployed,
            sqrt_price_x96=price,
            tick=tick,
            liquidity=0,
            tick_indices=nothing,
            liquidity_net=nothing,
            liquidity_gross=nothing,
            protocol_fee=protocol_fee,
        )
        for lower, width, liquidity in rows:
            pool = pool.apply(modified(pool, (start + lower) * spacing, (start + lower + width) * spacing, liquidity))
        overrides = storage_of(pool, spec)
        ours = overrides[pool.address]["stateDiff"]
        overrides[pool.address]["stateDiff"] = {**cleared(deployed, spec), **ours}
        answered.append(compare(replica, pool, random_swaps(random, pool, 10, beyond=False), overrides))

    answered: list[int] = []
    run()
    assert sum(answered) > 500


def modified(pool: UniswapV4Pool, lower: int, upper: int, liquidity: int) -> Any:
    topics = [MODIFY_LIQUIDITY_TOPIC, bytes.fromhex(pool.pool_id[2:]), word(7)]
    return make_log(pool.address, topics, word(lower) + word(upper) + word(liquidity) + word(0))


def test_a_swap_through_the_router_leads_to_the_chains_state(
    replica: RunningReplica, spec: PoolSpec, deployed: UniswapV4Pool
) -> None:
    chain, trader, pool = Chain(replica), addresses.TRADERS[0], deployed
    key = (pool.token0, pool.token1, pool.fee_pips, pool.tick_spacing, ZERO_ADDRESS)
    for amount in (10**15, 7 * 10**19):
        paid = pool.amount_out(ZERO_ADDRESS, amount)
        swap = arguments_of(f"({KEY},bool,uint128,uint128,bytes)", (key, True, amount, 1, b""))
        settle, take = (
            arguments_of("address,uint256", ZERO_ADDRESS, amount),
            arguments_of("address,uint256", pool.token1, 1),
        )
        plan = arguments_of("bytes,bytes[]", bytes([0x06, 0x0C, 0x0F]), [swap, settle, take])
        before = chain.balance(pool.token1, trader)
        signature = "execute(bytes,bytes[],uint256)"
        chain.execute(addresses.UNIVERSAL_ROUTER, signature, b"\x10", [plan], 2**40, sender=trader, value=amount)
        assert chain.balance(pool.token1, trader) - before == paid

        async def logs() -> Any:
            async with Node(replica.http_url) as node:
                return await node.logs((await node.block()).hash)

        for log in replica.background.run(logs()):
            pool = pool.apply(log)
        assert read(replica, [spec])[spec.key] == pool


def test_events_of_other_pools_and_contracts_change_nothing(deployed: UniswapV4Pool) -> None:
    pool = deployed
    names = [SWAP_TOPIC, bytes.fromhex(pool.pool_id[2:]), word(1)]
    price = get_sqrt_ratio_at_tick(-9)
    data = word(1) + word(-1) + word(price) + word(5) + word(-9) + word(500)
    after = pool.apply(make_log(pool.address, names, data))
    assert after == replace(pool, sqrt_price_x96=price, liquidity=5, tick=-9)
    assert pool.apply(make_log(pool.address, [names[0], b"\1" * 32, names[2]], data)) is pool
    assert pool.apply(make_log(address(3), names, data)) is pool
    assert pool.apply(make_log(pool.address, [b"\2" * 32, names[1]], b"")) is pool
    assert pool.apply(make_log(pool.address, [], b"")) is pool
    fee = make_log(pool.address, [PROTOCOL_FEE_TOPIC, names[1]], word(500 << 12 | 100))
    assert pool.apply(fee).marginal_price(pool.token0) < pool.marginal_price(pool.token0)
    assert pool.apply(modified(pool, -887270, 887270, 5)).liquidity == pool.liquidity + 5


@pytest.mark.parametrize(
    ("topics", "data"),
    [
        ([SWAP_TOPIC], word(1)),
        ([SWAP_TOPIC], word(1) + word(-1) + word(5) + word(5) + word(0) + word(0)),
        ([MODIFY_LIQUIDITY_TOPIC], word(-3) + word(10) + word(1) + word(0)),
        ([MODIFY_LIQUIDITY_TOPIC], word(-900000) + word(10) + word(1) + word(0)),
        ([MODIFY_LIQUIDITY_TOPIC], word(-10) + word(10) + word(-(2**127)) + word(0)),
        ([PROTOCOL_FEE_TOPIC], word(1001)),
        ([PROTOCOL_FEE_TOPIC], word(2**24)),
    ],
)
def test_a_log_that_cannot_be_is_refused(deployed: UniswapV4Pool, topics: list[bytes], data: bytes) -> None:
    with pytest.raises(InputError):
        deployed.apply(make_log(deployed.address, [*topics, bytes.fromhex(deployed.pool_id[2:]), word(1)], data))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hooks": address(5)}, "hooks"),
        ({"pool_id": "0x" + "12" * 32}, "pool_id"),
        ({"fee_pips": 0x800000}, "fee_pips"),
        ({"protocol_fee": 1001 << 12}, "protocol_fee"),
    ],
)
def test_the_wrong_field_is_named(deployed: UniswapV4Pool, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=rf"^{field}: "):
        load({**deployed.to_json(), **change})


def test_a_place_with_hooks_is_refused(replica: RunningReplica) -> None:
    (entry,) = entries(replica, "uniswap_v4")
    for change, field in (({"hooks": address(5)}, "hooks"), ({"tokens": []}, "tokens")):
        with pytest.raises(InputError, match=rf"^{field}: "):
            PoolSpec.from_json({**entry, **change})


def test_the_protocols_part_comes_first() -> None:
    assert calculate_swap_fee(0, 3000) == 3000
    assert calculate_swap_fee(1000, 3000) == 3997
    assert calculate_swap_fee(1, 500) == 501


def test_amounts_stay_within_128_bits(deployed: UniswapV4Pool) -> None:
    for token in (deployed.token0, deployed.token1):
        with pytest.raises(InsufficientLiquidity):
            deployed.amount_out(token, 2**128)
