"""Balancer V2 maths: against deployed pools on drawn balances, the Vault, recorded answers, and by its properties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from eth_abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.errors import InputError
from keeper.domain.units import Address
from keeper.market.multicall import decode_aggregate3, encode_aggregate3
from keeper.market.node import Node
from keeper.market.specs import PoolSpec
from keeper.market.venues import BalancerV2StablePool, BalancerV2WeightedPool, InsufficientLiquidity, load, quote
from keeper.market.venues.balancer_v2 import (
    POOL_BALANCE_CHANGED_TOPIC,
    POOL_BALANCE_MANAGED_TOPIC,
    SWAP_FEE_TOPIC,
    SWAP_TOPIC,
    VAULT,
)
from keeper.market.venues.log_exp_math import pow as fixed_pow
from keeper.replica.abi import arguments_of
from keeper.replica.addresses import BALANCER_VAULT
from keeper.replica.protocols.common import multicall3_code
from tests.conftest import RunningReplica
from tests.market import balancer_site, recorded, recorded_vectors
from tests.market.balancer_site import TRADER, BalancerSite
from tests.market.chain import TOKEN0, TOKEN1, address, make_log, word
from tests.market.contracts import GAS
from tests.market.drawn import drawn
from tests.market.test_readers import entries, read
from tests.replica.chain import Chain

Pool = BalancerV2WeightedPool | BalancerV2StablePool
DRAWN = drawn(30)
SWAPS = 36
REQUEST = "(uint8,address,address,uint256,bytes32,uint256,address,address,bytes)"
MINIMAL = keccak(text=f"onSwap({REQUEST},uint256,uint256)")[:4]
GENERAL = keccak(text=f"onSwap({REQUEST},uint256[],uint256,uint256)")[:4]
GIVEN_IN, GIVEN_OUT = 0, 1
POOL_ID = "0x" + "ab" * 32


@pytest.fixture(scope="module")
def site(replica: RunningReplica) -> BalancerSite:
    return balancer_site.build(replica)


@pytest.fixture(scope="module")
def weighted(replica: RunningReplica, site: BalancerSite) -> list[BalancerV2WeightedPool]:
    """The replica's own pool of 2021 with equal weights, and two of the later kind."""
    specs = [PoolSpec.from_json(entry) for entry in entries(replica, "balancer_v2_weighted")] + list(site.weighted)
    pools = [pool for pool in read(replica, specs).values() if isinstance(pool, BalancerV2WeightedPool)]
    assert [pool.pow_version for pool in pools] == ["v1", "v2", "v2"]
    return pools


@pytest.fixture(scope="module")
def stable(replica: RunningReplica, site: BalancerSite) -> BalancerV2StablePool:
    (pool,) = read(replica, [site.stable]).values()
    assert isinstance(pool, BalancerV2StablePool)
    return pool


def on_swap(replica: RunningReplica, pool: Pool, swaps: Sequence[tuple[int, int, int, int]]) -> list[int | None]:
    """What the pool tells the Vault on the balances of ``pool``, for each (kind, i, j, amount)."""
    registered = sorted([*pool.tokens, pool.address], key=lambda token: int(token, 16))
    calls: list[tuple[Address, bytes]] = []
    for kind, i, j, amount in swaps:
        token_in, token_out = pool.tokens[i], pool.tokens[j]
        request = (kind, token_in, token_out, amount, bytes.fromhex(pool.pool_id[2:]), 0, TRADER, TRADER, b"")
        if isinstance(pool, BalancerV2StablePool):
            held = dict(zip(pool.tokens, pool.balances, strict=True))
            balances = [held.get(token, 2**111) for token in registered]
            specs = registered.index(token_in), registered.index(token_out)
            data = GENERAL + encode([REQUEST, "uint256[]", "uint256", "uint256"], [request, balances, *specs])
        else:
            data = MINIMAL + encode([REQUEST, "uint256", "uint256"], [request, pool.balances[i], pool.balances[j]])
        calls.append((pool.address, data))
    # only the Vault may ask: a multicall takes its place
    call = {"to": pool.vault, "data": "0x" + encode_aggregate3(calls).hex(), "gas": GAS}
    code = {pool.vault: {"code": "0x" + multicall3_code().hex()}}
    answers = decode_aggregate3(bytes.fromhex(replica.rpc("eth_call", call, "latest", code)[2:]), len(calls))
    return [None if answer is None else int.from_bytes(answer, "big") for answer in answers]


def compare(replica: RunningReplica, pool: Pool, random: Random) -> int:
    """How many of the swaps the contract answers, all of them as we do."""
    swaps, count = [], len(pool.tokens)
    for _ in range(SWAPS):
        i, j = random.sample(range(count), 2)
        kind = random.choice((GIVEN_IN, GIVEN_OUT))
        size = pool.balances[i if kind == GIVEN_IN else j] * 2 ** random.uniform(-60, 0)
        swaps.append((kind, i, j, max(int(size), 1)))
    answered = 0
    for (kind, i, j, amount), theirs in zip(swaps, on_swap(replica, pool, swaps), strict=True):
        token_in, token_out = pool.tokens[i], pool.tokens[j]
        try:
            if kind == GIVEN_IN:
                ours = pool.amount_out(token_in, amount, token_out)
            else:
                ours = pool.amount_in(token_out, amount, token_in)
        except InsufficientLiquidity:
            # the Vault, which the multicall replaces here, holds no more than 112 bits
            assert theirs is None or amount >= 2**111 or theirs >= 2**111, (pool, kind, i, j, amount)
            continue
        assert ours == theirs, (pool, kind, i, j, amount)
        answered += 1
    return answered


BALANCE = st.integers(6, 105).flatmap(lambda bits: st.integers(2**bits, 2 ** (bits + 1)))


def test_weighted_on_drawn_balances(replica: RunningReplica, weighted: list[BalancerV2WeightedPool]) -> None:
    @DRAWN
    @given(st.sampled_from(weighted), st.lists(BALANCE, min_size=3, max_size=3), st.integers(0, 2**32))
    def run(pool: BalancerV2WeightedPool, balances: list[int], seed: int) -> None:
        drawn = replace(pool, balances=tuple(balances[: len(pool.tokens)]))
        answered.append(compare(replica, drawn, Random(seed)))

    answered: list[int] = []
    run()
    assert sum(answered) > 15 * SWAPS


def test_stable_on_drawn_balances(replica: RunningReplica, stable: BalancerV2StablePool) -> None:
    assert stable.amplification == 200_000
    assert any(factor % 10**18 for factor in stable.scaling_factors), "one token has a rate"

    @DRAWN
    @given(st.integers(12, 40), st.lists(st.integers(-5, 5), min_size=3, max_size=3), st.integers(0, 2**32))
    def run(size: int, leanings: list[int], seed: int) -> None:
        random = Random(seed)
        balances = [
            int(2 ** (size + leaning) * random.uniform(1, 2) * 10**36 / factor)
            for leaning, factor in zip(leanings, stable.scaling_factors, strict=True)
        ]
        answered.append(compare(replica, replace(stable, balances=tuple(balances)), random))

    answered: list[int] = []
    run()
    assert sum(answered) > 15 * SWAPS


def test_the_vault_pays_what_we_say_and_its_events_lead_to_its_state(
    replica: RunningReplica, weighted: list[BalancerV2WeightedPool], stable: BalancerV2StablePool
) -> None:
    chain, random = Chain(replica), Random(8)
    single = "swap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool),uint256,uint256)"
    specs = [PoolSpec(pool.address, pool.venue, pool.dex) for pool in (*weighted, stable)]
    pools: list[Any] = [*weighted, stable]
    for number, pool in enumerate(pools):
        for kind in (GIVEN_IN, GIVEN_OUT):
            i, j = random.sample(range(len(pool.tokens)), 2)
            token_in, token_out = pool.tokens[i], pool.tokens[j]
            if kind == GIVEN_IN:
                amount_in = pool.balances[i] // 7
                amount_out = pool.amount_out(token_in, amount_in, token_out)
            else:
                amount_out = pool.balances[j] // 7
                amount_in = pool.amount_in(token_out, amount_out, token_in)
            for token in (token_in, token_out):
                chain.execute(token, "approve(address,uint256)", BALANCER_VAULT, 2**255, sender=TRADER)
            before = chain.balance(token_in, TRADER), chain.balance(token_out, TRADER)
            given_amount, limit = (amount_in, amount_out) if kind == GIVEN_IN else (amount_out, amount_in)
            swap = (bytes.fromhex(pool.pool_id[2:]), kind, token_in, token_out, given_amount, b"")
            chain.execute(BALANCER_VAULT, single, swap, (TRADER, False, TRADER, False), limit, 2**255, sender=TRADER)
            after = chain.balance(token_in, TRADER), chain.balance(token_out, TRADER)
            assert (before[0] - after[0], after[1] - before[1]) == (amount_in, amount_out)
            pool = advanced(replica, pool, int(replica.rpc("eth_blockNumber"), 16))  # noqa: PLW2901
        pools[number] = pool
    # joining with one token changes balances by another event
    pool_id = bytes.fromhex(stable.pool_id[2:])
    assets, held, _ = chain.read(BALANCER_VAULT, "getPoolTokens(bytes32)", "address[],uint256[],uint256", pool_id)
    first = stable.tokens[0].lower()
    amounts = [balance // 5 if asset.lower() == first else 0 for asset, balance in zip(assets, held, strict=True)]
    traded = [amount for amount, asset in zip(amounts, assets, strict=True) if asset.lower() != stable.address.lower()]
    request = (assets, [2**255] * len(assets), arguments_of("uint256,uint256[],uint256", 1, traded, 0), False)
    join = "joinPool(bytes32,address,address,(address[],uint256[],bytes,bool))"
    chain.execute(BALANCER_VAULT, join, pool_id, TRADER, TRADER, request, sender=TRADER)
    pools[-1] = advanced(replica, pools[-1], int(replica.rpc("eth_blockNumber"), 16))
    assert list(read(replica, specs).values()) == pools


def advanced(replica: RunningReplica, pool: Any, number: int) -> Any:
    """The pool after the logs of one block."""

    async def logs() -> Any:
        async with Node(replica.http_url) as node:
            return await node.logs((await node.block(number)).hash)

    for log in replica.background.run(logs()):
        pool = pool.apply(log)
    return pool


def test_recorded_answers_come_out_to_the_wei() -> None:
    data = recorded.folder("answers of queryBatchSwap of mainnet's weighted pools come out to the wei")
    pools = {}
    for path in (data / "amm-vectors" / "states" / "1").glob("balancer_weighted_*.json"):
        state = recorded_vectors.state(data, 1, path.stem)
        pools[state["address"]] = load(
            {
                "venue": "balancer_v2_weighted",
                "address": state["address"],
                "dex": "balancer_v2",
                "tokens": [token["address"] for token in state["tokens"]],
                "decimals": [token["decimals"] for token in state["tokens"]],
                "pool_id": state["pool_id"],
                "swap_fee": int(Fraction(state["fee"]) * 10**18),
                "balances": state["balances"],
                "weights": state["weights"],
                "pow_version": state.get("pow_version", "v1"),
            }
        )
    compared = set()
    for (pool_address, _, _, i, _, amount), answer in recorded_vectors.answers(
        data, "test_balancer_v2_expanded_two_token_given_in"
    ):
        pool = pools.get(pool_address)
        if isinstance(pool, BalancerV2WeightedPool):
            assert pool.amount_out(pool.tokens[int(i[2:])], int(amount)) == answer, (pool_address, i, amount)
            compared.add((pool_address, i, amount))
    assert len(compared) >= 60


def a_weighted_pool(**changes: Any) -> BalancerV2WeightedPool:
    pool = BalancerV2WeightedPool(
        address=address(2),
        dex="balancer_v2",
        tokens=(TOKEN0, TOKEN1),
        vault=VAULT,
        pool_id=POOL_ID,
        swap_fee=3 * 10**15,
        balances=(10**12, 5 * 10**20),
        weights=(2 * 10**17, 8 * 10**17),
        decimals=(6, 18),
        pow_version="v2",
    )
    return replace(pool, **changes)


def a_stable_pool(**changes: Any) -> BalancerV2StablePool:
    pool = BalancerV2StablePool(
        address=address(2),
        dex="balancer_v2",
        tokens=(TOKEN0, TOKEN1, address(0xC0)),
        vault=VAULT,
        pool_id=POOL_ID,
        swap_fee=4 * 10**14,
        balances=(10**12, 2 * 10**24, 10**24),
        amplification=200_000,
        scaling_factors=(10**30, 10**18, 1_100_000_000_000_000_000),
    )
    return replace(pool, **changes)


@pytest.mark.parametrize("pool", [a_weighted_pool(), a_stable_pool(), a_weighted_pool(pow_version="v1")])
def test_there_and_back_never_profits_and_price_is_the_limit(pool: Pool) -> None:
    random = Random(5)
    for _ in range(150):
        i, j = random.sample(range(len(pool.tokens)), 2)
        token_in, token_out = pool.tokens[i], pool.tokens[j]
        amount = max(1, int(pool.balances[i] * 2 ** random.uniform(-45, -2)))
        paid = quote(pool.pair(token_in, token_out), token_in, amount)
        if paid:
            # what was paid costs no more when it is asked for, but for the bound of the power's error
            if paid < pool.balances[j] * 3 // 10:
                assert pool.amount_in(token_out, paid, token_in) <= amount + pool.balances[i] // 10**12 + 2
            balances = list(pool.balances)
            balances[i] += amount
            balances[j] -= paid
            after = replace(pool, balances=tuple(balances))
            assert quote(after.pair(token_in, token_out), token_out, paid) <= amount
        small = pool.balances[i] // 10**5
        rate = Fraction(pool.amount_out(token_in, small, token_out), small)
        assert float(rate / pool.marginal_price(token_in, token_out)) == pytest.approx(1, rel=1e-4)


def test_powers_near_their_bounds() -> None:
    one = 10**18
    assert fixed_pow(5, 0) == one
    assert fixed_pow(0, 5) == 0
    assert fixed_pow(one, 7 * one) == one
    assert abs(fixed_pow(2 * one, 10 * one) - 1024 * one) < 10**6
    assert abs(fixed_pow(one // 4, one // 2) - one // 2) < 10**4
    for x, y in ((2**255, one), (one, 2**254), (10**40, 10 * one), (1, 2 * one)):
        with pytest.raises(InsufficientLiquidity):
            fixed_pow(x, y)


def test_events_of_others_and_of_other_pools_change_nothing() -> None:
    pool = a_weighted_pool()
    names = [SWAP_TOPIC, bytes.fromhex(POOL_ID[2:]), word(int(TOKEN0, 16)), word(int(TOKEN1, 16))]
    swap = word(10**10) + word(10**18)
    assert pool.apply(make_log(VAULT, names, swap)).balances == (10**12 + 10**10, 5 * 10**20 - 10**18)
    assert pool.apply(make_log(pool.address, names, swap)) is pool
    assert pool.apply(make_log(address(5), names, swap)) is pool
    assert pool.apply(make_log(VAULT, [names[0], b"\1" * 32, *names[2:]], swap)) is pool
    assert pool.apply(make_log(VAULT, [], swap)) is pool
    assert pool.apply(make_log(address(5), [SWAP_FEE_TOPIC], word(7))) is pool
    assert pool.apply(make_log(pool.address, [SWAP_FEE_TOPIC], word(7))).swap_fee == 7
    managed = [POOL_BALANCE_MANAGED_TOPIC, names[1], word(1), word(int(TOKEN1, 16))]
    assert pool.apply(make_log(VAULT, managed, word(-5) + word(5))) is pool
    assert pool.apply(make_log(VAULT, managed, word(-5) + word(8))).balances[1] == 5 * 10**20 + 3
    changed = [POOL_BALANCE_CHANGED_TOPIC, names[1], word(1)]
    data = encode(["address[]", "int256[]", "uint256[]"], [[TOKEN0, TOKEN1], [-(10**9), 7], [3, 0]])
    assert pool.apply(make_log(VAULT, changed, data)).balances == (10**12 - 10**9 - 3, 5 * 10**20 + 7)


@pytest.mark.parametrize(
    ("topics", "data"),
    [
        ([SWAP_TOPIC, bytes.fromhex(POOL_ID[2:]), word(int(TOKEN0, 16)), word(int(TOKEN1, 16))], word(1)),
        ([SWAP_TOPIC, bytes.fromhex(POOL_ID[2:]), word(int(TOKEN0, 16))], word(1) * 2),
        ([SWAP_TOPIC, bytes.fromhex(POOL_ID[2:]), word(int(TOKEN0, 16)), word(int(TOKEN1, 16))], word(2**112) * 2),
        ([SWAP_TOPIC, bytes.fromhex(POOL_ID[2:]), word(int(TOKEN0, 16)), word(int(TOKEN1, 16))], word(1) + word(2**90)),
        ([POOL_BALANCE_CHANGED_TOPIC, bytes.fromhex(POOL_ID[2:]), word(1)], b"\xff" * 96),
        ([POOL_BALANCE_CHANGED_TOPIC, bytes.fromhex(POOL_ID[2:]), word(1)], b""),
    ],
)
def test_a_log_that_cannot_be_is_refused(topics: list[bytes], data: bytes) -> None:
    with pytest.raises(InputError):
        a_weighted_pool().apply(make_log(VAULT, topics, data))


@pytest.mark.parametrize(
    ("pool", "change", "field"),
    [
        (a_weighted_pool(), {"weights": [5 * 10**17, 4 * 10**17]}, "weights"),
        (a_weighted_pool(), {"weights": [10**18]}, "weights"),
        (a_weighted_pool(), {"pow_version": "v3"}, "pow_version"),
        (a_weighted_pool(), {"decimals": [6, 19]}, r"decimals\[1\]"),
        (a_weighted_pool(), {"tokens": [TOKEN0, TOKEN0]}, "tokens"),
        (a_weighted_pool(), {"tokens": TOKEN0}, "tokens"),
        (a_weighted_pool(), {"swap_fee": 10**18}, "swap_fee"),
        (a_weighted_pool(), {"balances": [1, 2**112]}, r"balances\[1\]"),
        (a_weighted_pool(), {"pool_id": "0x12"}, "pool_id"),
        (a_weighted_pool(), {"pair": [TOKEN0]}, "pair"),
        (a_stable_pool(), {"amplification": 999}, "amplification"),
        (a_stable_pool(), {"scaling_factors": [0, 1, 1]}, r"scaling_factors\[0\]"),
        (a_stable_pool(), {"pair": [TOKEN0, address(9)]}, "token_b"),
    ],
)
def test_the_wrong_field_is_named(pool: Pool, change: dict[str, Any], field: str) -> None:
    assert load(pool.to_json()) == pool
    with pytest.raises(InputError, match=rf"^{field}: "):
        load({**pool.to_json(), **change})


def test_a_pair_of_many_tokens_is_a_pool() -> None:
    whole = a_stable_pool()
    view = whole.pair(TOKEN1, TOKEN0)
    assert (view.token0, view.token1) == (TOKEN0, TOKEN1)
    assert view.amount_out(TOKEN0, 10**9) == whole.amount_out(TOKEN0, 10**9, TOKEN1)
    assert view.amount_in(TOKEN0, 10**9) == whole.amount_in(TOKEN0, 10**9, TOKEN1)
    assert view.marginal_price(TOKEN1) == whole.marginal_price(TOKEN1, TOKEN0)
    assert load(view.to_json()) == view
    names = [SWAP_TOPIC, bytes.fromhex(POOL_ID[2:]), word(int(TOKEN0, 16)), word(int(TOKEN1, 16))]
    after = view.apply(make_log(VAULT, names, word(1) + word(2)))
    assert after.pool.balances[:2] == (10**12 + 1, 2 * 10**24 - 2)
    assert view.apply(make_log(VAULT, [b"\1" * 32], b"")) is view
    for wrong in (lambda: view.amount_out(address(0xC0), 1), lambda: whole.amount_out(TOKEN0, 1), lambda: whole.token0):
        with pytest.raises(InputError):
            wrong()
    with pytest.raises(InputError):
        whole.pair(TOKEN0, TOKEN0)


def test_balances_stay_within_112_bits() -> None:
    pool = a_weighted_pool(balances=(2**112 - 5, 10**20), decimals=(18, 18))
    assert pool.amount_out(TOKEN0, 4) >= 0
    for work in (lambda: pool.amount_out(TOKEN0, 6), lambda: pool.amount_in(TOKEN1, 10**18)):
        with pytest.raises(InsufficientLiquidity):
            work()
    with pytest.raises(InsufficientLiquidity):
        a_stable_pool(balances=(0, 1, 1)).marginal_price(TOKEN0, TOKEN1)
