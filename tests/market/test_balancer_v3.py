"""Balancer V3: against the Vault itself, on deployed and on drawn states; events followed, fees on yield, refusals."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from eth_abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.errors import InputError
from keeper.domain.swap_detail import BalancerV3Vault
from keeper.domain.units import Address
from keeper.market.node import Node
from keeper.market.specs import PoolSpec
from keeper.market.venues import BalancerV3StablePool, BalancerV3WeightedPool, InsufficientLiquidity, load
from keeper.market.venues.balancer_v3 import PAUSED_TOPIC, RECOVERY_TOPIC, SWAP_TOPIC
from keeper.market.venues.base import ReadAgain
from keeper.replica.abi import call_data
from keeper.replica.rpc import RpcError
from tests.conftest import RunningReplica
from tests.market import balancer_v3_site
from tests.market.balancer_site import answers
from tests.market.balancer_v3_site import RATE, TRADER, VAULT, BalancerV3Site, send_call, settle_calls, swap_call
from tests.market.chain import TOKEN0, TOKEN1, address, make_log, word
from tests.market.drawn import drawn
from tests.market.test_readers import read

V3Pool = BalancerV3WeightedPool | BalancerV3StablePool
DRAWN = drawn(50)
SWAPS = 12
ONE = 10**18
ADDRESS = address(5)
BALANCES_SLOT = 5
ADD = "addLiquidity((address,address,uint256[],uint256,uint8,bytes))"
REMOVE = "removeLiquidity((address,address,uint256,uint256[],uint8,bytes))"
PROPORTIONAL, UNBALANCED, DONATION = 0, 1, 3


@pytest.fixture(scope="module")
def site(replica: RunningReplica) -> BalancerV3Site:
    return balancer_v3_site.build(replica)


def pools_of(site: BalancerV3Site) -> list[V3Pool]:
    specs = [*site.weighted, site.stable, site.rated]
    pools = list(read(site.chain.replica, specs).values())
    assert len(pools) == len(specs)
    return pools  # type: ignore[return-value]


@pytest.fixture(scope="module")
def pools(site: BalancerV3Site) -> list[V3Pool]:
    found = pools_of(site)
    assert [pool.rates for pool in found if pool.drifts] == [found[-1].rates]
    assert RATE in found[-1].rates
    for pool in found:
        assert pool.aggregate_fee == ONE // 2
        assert load(json.loads(json.dumps(pool.to_json()))) == pool
        assert pool.swap_detail(pool.tokens[0], pool.tokens[1]) == BalancerV3Vault(VAULT)
    assert [bool(pool.minimum_balances) for pool in found if isinstance(pool, BalancerV3WeightedPool)] == [True, True]
    assert [pool.imbalance_limit for pool in found if isinstance(pool, BalancerV3StablePool)] == [10_000, 10_000]
    return found


def compare(site: BalancerV3Site, pool: V3Pool, random: Random, overrides: dict[str, Any] | None = None) -> int:
    """How many of the swaps the Vault carries out, all of them as we say, and none that we refuse."""
    answered = 0
    for _ in range(SWAPS):
        i, j = random.sample(range(len(pool.tokens)), 2)
        token_in, token_out = pool.tokens[i], pool.tokens[j]
        exact_in = random.random() < 0.5
        size = pool.balances[i if exact_in else j] * 2 ** random.uniform(-40, 0)
        amount = max(int(size), 1)
        call = swap_call(pool.address, token_in, token_out, amount, exact_in=exact_in)
        theirs: int | None
        try:
            (answer,) = site.ask([call], overrides)
            theirs = int.from_bytes(answer[:32], "big")
        except RpcError:
            theirs = None
        ours: int | None
        try:
            ours = pool.amount_out(token_in, amount, token_out) if exact_in else None
            ours = pool.amount_in(token_out, amount, token_in) if not exact_in else ours
        except InsufficientLiquidity:
            ours = None
        assert ours == theirs, (pool, i, j, exact_in, amount)
        answered += theirs is not None
    return answered


def test_swaps_of_deployed_pools(site: BalancerV3Site, pools: list[V3Pool]) -> None:
    random = Random(3)
    assert sum(compare(site, pool, random) for pool in pools) > 2 * SWAPS


def runtime(init_code: bytes) -> bytes:
    """What the init code of a contract that `answers` made leaves behind."""
    return init_code[11:]


def stored(site: BalancerV3Site, pool: V3Pool) -> dict[str, Any]:
    """Puts the balances into the Vault's storage, as having yielded nothing, and the rate into its provider."""
    base = keccak(word(int(pool.address, 16)) + word(BALANCES_SLOT))
    derived = 2**128 - 1
    slots = {
        "0x" + keccak(word(k) + base).hex(): "0x" + word(derived << 128 | held).hex()
        for k, held in enumerate(pool.balances)
    }
    rate = max(pool.rates)
    code = {"code": "0x" + runtime(answers(rate)).hex()}
    return {pool.vault: {"stateDiff": slots}, site.rate_provider: code}


def test_swaps_on_drawn_balances_and_rates(site: BalancerV3Site, pools: list[V3Pool]) -> None:
    @DRAWN
    @given(
        st.sampled_from(pools),
        st.lists(st.integers(-8, 8), min_size=3, max_size=3),
        st.integers(14, 34),
        st.integers(ONE, 3 * ONE),
        st.integers(0, 2**32),
    )
    def run(pool: V3Pool, leanings: list[int], size: int, rate: int, seed: int) -> None:
        random = Random(seed)
        balances = tuple(
            int(2 ** (size + lean) * 10**places * random.uniform(1, 2)) // 10**6 + 1
            for lean, places in zip(leanings, pool.decimals, strict=False)
        )
        rates = tuple(rate if one == RATE else one for one in pool.rates)
        state = replace(pool, balances=balances, rates=rates)
        answered.append(compare(site, state, random, stored(site, state)))

    answered: list[int] = []
    run()
    assert sum(answered) > 12 * SWAPS


def advanced(replica: RunningReplica, pools: Sequence[V3Pool]) -> list[V3Pool]:
    """The pools after the logs of the latest block."""

    async def logs() -> Any:
        async with Node(replica.http_url) as node:
            return await node.logs((await node.block()).hash)

    after = list(pools)
    for log in replica.background.run(logs()):
        after = [pool.apply(log) for pool in after]
    return after


def test_the_events_of_the_vault_lead_to_its_state(site: BalancerV3Site) -> None:
    replica, random = site.chain.replica, Random(11)
    followed = [pool for pool in pools_of(site) if not pool.drifts]
    for _ in range(3):
        for k in range(len(followed)):
            pool = followed[k]
            i, j = random.sample(range(len(pool.tokens)), 2)
            amount = pool.balances[i] // random.randrange(20, 90)
            paid = pool.amount_out(pool.tokens[i], amount, pool.tokens[j])
            before = site.chain.balance(pool.tokens[j], TRADER)
            order = swap_call(pool.address, pool.tokens[i], pool.tokens[j], amount)
            site.act([order, *settle_calls(pool.tokens[i], amount), send_call(pool.tokens[j], TRADER, paid)])
            assert site.chain.balance(pool.tokens[j], TRADER) - before == paid
            followed = advanced(replica, followed)
            assert followed[k] != pool
            for kind in (UNBALANCED, DONATION):
                followed = join(site, followed, k, kind, random)
            followed = leave(site, followed, k)
    assert followed == pools_of(site)[: len(followed)]


def join(site: BalancerV3Site, followed: list[V3Pool], k: int, kind: int, random: Random) -> list[V3Pool]:
    pool = followed[k]
    amounts = [held // random.randrange(30, 90) for held in pool.balances]
    order = (pool.address, TRADER, amounts, 0, kind, b"")
    payments = [
        call for token, amount in zip(pool.tokens, amounts, strict=True) for call in settle_calls(token, amount)
    ]
    site.act([(VAULT, call_data(ADD, order)), *payments])
    return advanced(site.chain.replica, followed)


def leave(site: BalancerV3Site, followed: list[V3Pool], k: int) -> list[V3Pool]:
    """Take a share out, in proportion; what is paid is read beforehand and sent to the trader."""
    pool, chain = followed[k], site.chain
    chain.execute(pool.address, "approve(address,uint256)", site.hand, 2**255, sender=TRADER)
    burned = chain.balance(pool.address, TRADER) // 50
    order = (pool.address, TRADER, burned, [0] * len(pool.tokens), PROPORTIONAL, b"")
    call = (VAULT, call_data(REMOVE, order))
    (answer,) = site.ask([call])
    paid = [int.from_bytes(answer[at : at + 32], "big") for at in range(128, 128 + 32 * len(pool.tokens), 32)]
    site.act([call, *(send_call(token, TRADER, amount) for token, amount in zip(pool.tokens, paid, strict=True))])
    return advanced(chain.replica, followed)


def test_new_fees_and_pauses_are_followed(site: BalancerV3Site) -> None:
    chain, replica = site.chain, site.chain.replica
    pools = pools_of(site)
    first = pools[0].address
    for signature, *arguments in (
        ("setStaticSwapFeePercentage(address,uint256)", first, 2 * 10**16),
        ("pausePool(address)", first),
        ("unpausePool(address)", first),
        ("enableRecoveryMode(address)", first),
        ("disableRecoveryMode(address)", first),
    ):
        chain.execute(VAULT, str(signature), *arguments, sender=TRADER)
        pools = advanced(replica, pools)
        again = pools_of(site)
        assert pools == again, signature
        assert pools[0].paused == (signature == "pausePool(address)")
        assert pools[0].recovery == (signature == "enableRecoveryMode(address)")
        if pools[0].paused:
            with pytest.raises(InsufficientLiquidity, match="paused"):
                pools[0].amount_out(pools[0].tokens[0], 10**9)
    assert pools[0].swap_fee == 2 * 10**16


def test_what_rates_cost_in_fees_on_yield_is_read_and_never_guessed(site: BalancerV3Site) -> None:
    replica, random = site.chain.replica, Random(4)
    before = pools_of(site)[-1]
    dear = RATE * 11 // 10
    replica.rpc("anvil_setCode", site.rate_provider, "0x" + runtime(answers(dear)).hex())
    replica.rpc("evm_mine")
    rated = pools_of(site)[-1]
    k = rated.rates.index(dear)
    assert rated.balances[k] < before.balances[k], "a tenth of what it yielded is owed"
    assert before.drifted(rated) == rated
    assert compare(site, rated, random) > SWAPS // 4
    amount = rated.balances[0] // 50
    paid = rated.amount_out(rated.tokens[0], amount, rated.tokens[1])
    order = swap_call(rated.address, rated.tokens[0], rated.tokens[1], amount)
    site.act([order, *settle_calls(rated.tokens[0], amount), send_call(rated.tokens[1], TRADER, paid)])
    with pytest.raises(ReadAgain):
        advanced(replica, [rated])
    assert compare(site, pools_of(site)[-1], random) > SWAPS // 4


def test_pools_that_are_none_are_left_out(site: BalancerV3Site, caplog: pytest.LogCaptureFixture) -> None:
    weighted, stable = site.weighted[0], site.stable
    wrong = [
        replace(weighted, address=address(99)),
        replace(weighted, venue=stable.venue),
        replace(stable, venue=weighted.venue),
    ]
    with caplog.at_level(logging.WARNING):
        assert list(read(site.chain.replica, [*wrong, stable])) == [stable.key]
    assert caplog.text.count("is left out") == 3


def a_pool(**changes: Any) -> BalancerV3WeightedPool:
    state = {
        "venue": "balancer_v3_weighted",
        "address": ADDRESS,
        "dex": "x",
        "tokens": [TOKEN1, TOKEN0],
        "swap_fee": 10**16,
        "aggregate_fee": ONE // 2,
        "balances": [10**24, 10**12],
        "decimals": [18, 6],
        "weights": [ONE // 2, ONE // 2],
    }
    pool = load({**state, **changes})
    assert isinstance(pool, BalancerV3WeightedPool)
    return pool


def a_log(*topics: bytes, data: bytes = b"", vault: Address = VAULT, pool: Address = ADDRESS) -> Any:
    return make_log(vault, [topics[0], word(int(pool, 16)), *topics[1:]], data)


def test_what_may_be_left_out() -> None:
    pool = a_pool()
    assert (pool.vault, pool.rates, pool.minimum_trade) == (VAULT, (ONE, ONE), 10**6)
    assert (pool.paused, pool.recovery, pool.minimum_balances) == (False, False, ())
    bounded = a_pool(minimum_balances=[10**6, 10**12])
    assert load(bounded.to_json()) == bounded
    # the first release takes the balance as it is, the later ones a unit more
    assert bounded.amount_out(TOKEN0, 10**6) <= pool.amount_out(TOKEN0, 10**6)
    with pytest.raises(InsufficientLiquidity, match="keeps"):
        a_pool(minimum_balances=[10**24, 10**12]).amount_out(TOKEN0, 10**6)


def test_the_event_of_a_swap() -> None:
    pool = a_pool()
    swap = (SWAP_TOPIC, word(int(TOKEN1, 16)), word(int(TOKEN0, 16)))
    data = b"".join(map(word, (1000, 77, 10**16, 11)))
    after = pool.apply(a_log(*swap, data=data))
    assert after.balances == (10**24 + 1000 - 5, 10**12 - 77)
    recovering = pool.apply(a_log(RECOVERY_TOPIC, data=word(1)))
    assert recovering.apply(a_log(*swap, data=data)).balances == (10**24 + 1000, 10**12 - 77)
    assert pool.apply(a_log(*swap, data=data, pool=address(6))) is pool
    assert pool.apply(a_log(*swap, data=data, vault=address(6))) is pool
    assert pool.apply(a_log(PAUSED_TOPIC, data=word(1))).paused
    for broken in (
        a_log(*swap, data=data[:-1]),
        a_log(*swap[:2], data=data),
        a_log(SWAP_TOPIC, word(int(TOKEN1, 16)), word(9), data=data),
        a_log(*swap, data=b"".join(map(word, (1000, 10**13, 10**16, 11)))),
    ):
        with pytest.raises(InputError) as caught:
            pool.apply(broken)
        assert not isinstance(caught.value, ReadAgain)


def test_a_pool_with_rates_has_to_be_read_again() -> None:
    pool = a_pool(rates=[ONE, ONE + 1])
    assert pool.drifts
    added = keccak(text="LiquidityAdded(address,address,uint8,uint256,uint256[],uint256[])")
    data = encode(["uint256", "uint256[]", "uint256[]"], [1, [5, 5], [0, 0]])
    with pytest.raises(ReadAgain):
        pool.apply(a_log(added, word(1), word(1), data=data))
    assert a_pool().apply(a_log(added, word(1), word(1), data=data)).balances == (10**24 + 5, 10**12 + 5)
    with pytest.raises(InputError, match=r"log\.data"):
        a_pool().apply(a_log(added, word(1), word(1), data=data[:64]))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"swap_fee": ONE}, "swap_fee"),
        ({"aggregate_fee": ONE + 1}, "aggregate_fee"),
        ({"balances": [2**128, 1]}, r"balances\[0\]"),
        ({"decimals": [18, 19]}, r"decimals\[1\]"),
        ({"rates": [0, ONE]}, r"rates\[0\]"),
        ({"weights": [ONE // 2, ONE // 4]}, "weights"),
        ({"minimum_balances": [1]}, "minimum_balances"),
        ({"paused": 1}, "paused"),
        ({"venue": "balancer_v3_stable"}, "amplification"),
        ({"venue": "balancer_v3_stable", "amplification": 1}, "amplification"),
        ({"venue": "balancer_v3_stable", "amplification": 10**5, "ramping": "no"}, "ramping"),
    ],
)
def test_the_wrong_field_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=rf"^{field}: "):
        load({**a_pool().to_json(), **change})


def test_a_stable_pool_by_hand() -> None:
    state = {**a_pool().to_json(), "venue": "balancer_v3_stable", "amplification": 200_000}
    pool = load(state)
    assert isinstance(pool, BalancerV3StablePool)
    assert (pool.ramping, pool.imbalance_limit, pool.drifts) == (False, 10_000, False)
    with pytest.raises(InsufficientLiquidity, match="10000 times"):
        load({**state, "imbalance_limit": 10_000, "balances": [10**24, 99 * 10**6]}).amount_out(TOKEN1, 10**18)
    free = load({**state, "imbalance_limit": 0, "balances": [10**24, 99 * 10**6]})
    assert free.amount_out(TOKEN1, 10**20) > 0
    assert replace(pool, ramping=True).drifts
    for text in ("AmpUpdateStarted(uint256,uint256,uint256,uint256)", "AmpUpdateStopped(uint256)"):
        with pytest.raises(ReadAgain):
            pool.apply(make_log(pool.address, [keccak(text=text)], b""))
    for token_in, token_out in ((TOKEN0, TOKEN1), (TOKEN1, TOKEN0)):
        small = pool.spot_liquidity(token_in) // 10**6
        rate = pool.amount_out(token_in, small) / small
        assert rate == pytest.approx(float(pool.marginal_price(token_in)), rel=1e-3)
        charged = pool.amount_in(token_out, pool.spot_liquidity(token_out) // 10)
        assert pool.amount_out(token_in, charged) == pytest.approx(pool.spot_liquidity(token_out) // 10, rel=1e-9)
    spec = PoolSpec.of(pool)
    assert spec.key == pool.key == pool.address
