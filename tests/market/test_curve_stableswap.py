"""Curve's StableSwap: against the replica's pool on drawn balances and in real swaps, and recorded answers of 3pool.

`vectors/curve_stableswap.json` holds what ``exchange`` pays in the EVM: ``get_D``, ``get_y``, ``_dynamic_fee`` and the
fee's steps of SwapTemplateMeta (curvefi/curve-contract, "v2") and CurveStableSwapNG (curvefi/stableswap-ng, "ng"), put
into one contract and compiled with vyper 0.3.10, on drawn balances, rates and fees.
"""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest
from eth_abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.errors import InputError
from keeper.domain.swap_detail import CurveInterface
from keeper.market.node import Node
from keeper.market.specs import PoolSpec
from keeper.market.venues import CurveStableSwapPool, InsufficientLiquidity, load, quote
from keeper.market.venues.curve_events import TOKEN_EXCHANGE_TOPIC
from keeper.market.venues.curve_math import get_d
from keeper.market.venues.curve_stableswap import Quote, Variant
from keeper.replica.addresses import TRADERS
from tests.conftest import RunningReplica
from tests.market import recorded, recorded_vectors
from tests.market.chain import TOKEN0, TOKEN1, address, make_log, word
from tests.market.contracts import ask
from tests.market.drawn import drawn
from tests.market.test_readers import entries, read
from tests.replica.chain import Chain

DRAWN = drawn(30)
SWAPS = 36
BALANCES_SLOT = 3
GET_DY = keccak(text="get_dy(int128,int128,uint256)")[:4]
TRADER = TRADERS[1]
VECTORS = Path(__file__).with_name("vectors") / "curve_stableswap.json"


@pytest.fixture(scope="module")
def deployed(replica: RunningReplica) -> CurveStableSwapPool:
    (entry,) = entries(replica, "curve_stableswap")
    (pool,) = read(replica, [PoolSpec.from_json(entry)]).values()
    assert isinstance(pool, CurveStableSwapPool)
    assert (pool.variant, pool.quote, list(pool.tokens)) == (Variant.V1, Quote.EXCHANGE, entry["tokens"])
    assert pool.fee_pips == entry["fee_pips"]
    assert load(pool.to_json()) == pool
    return pool


def test_get_dy_on_drawn_balances(replica: RunningReplica, deployed: CurveStableSwapPool) -> None:
    @DRAWN
    @given(st.integers(3, 50), st.lists(st.integers(-5, 5), min_size=3, max_size=3), st.integers(0, 2**32))
    def run(size: int, leanings: list[int], seed: int) -> None:
        random = Random(seed)
        balances = [
            int(2 ** (size + leaning) * random.uniform(1, 2) * 10**36 / rate) + 1
            for leaning, rate in zip(leanings, deployed.rates, strict=True)
        ]
        pool = replace(deployed, balances=tuple(balances), quote=Quote.GET_DY)
        swaps = []
        for _ in range(SWAPS):
            i, j = random.sample(range(3), 2)
            swaps.append((i, j, max(1, int(balances[i] * 2 ** random.uniform(-60, 4)))))
        storage = {"0x" + word(BALANCES_SLOT + k).hex(): "0x" + word(held).hex() for k, held in enumerate(balances)}
        calls = [(pool.address, GET_DY + encode(["int128", "int128", "uint256"], swap)) for swap in swaps]
        answers = ask(replica, calls, {pool.address: {"stateDiff": storage}})
        for (i, j, amount), answer in zip(swaps, answers, strict=True):
            if answer is None:
                with pytest.raises(InsufficientLiquidity):
                    pool.amount_out(pool.tokens[i], amount, pool.tokens[j])
            else:
                ours = pool.amount_out(pool.tokens[i], amount, pool.tokens[j])
                assert ours == int.from_bytes(answer, "big"), (pool, i, j, amount)
                assert pool.exchange(i, j, amount) in (ours, ours - 1)
                answered.append(ours)

    answered: list[int] = []
    run()
    assert len(answered) > 20 * SWAPS


def test_exchange_pays_what_we_say_and_its_log_leads_to_its_state(
    replica: RunningReplica, deployed: CurveStableSwapPool
) -> None:
    chain, random, pool = Chain(replica), Random(4), deployed
    for token in pool.tokens:
        chain.execute(token, "approve(address,uint256)", pool.address, 2**255, sender=TRADER)
    lower = 0
    for _ in range(12):
        i, j = random.sample(range(3), 2)
        token_in, token_out = pool.tokens[i], pool.tokens[j]
        amount = int(pool.balances[i] * 2 ** random.uniform(-20, -4))
        paid = pool.amount_out(token_in, amount, token_out)
        lower += paid < pool.get_dy(i, j, amount)
        before = chain.balance(token_out, TRADER)
        chain.execute(pool.address, "exchange(int128,int128,uint256,uint256)", i, j, amount, paid, sender=TRADER)
        assert chain.balance(token_out, TRADER) - before == paid

        async def logs() -> Any:
            async with Node(replica.http_url) as node:
                return await node.logs((await node.block()).hash)

        for log in replica.background.run(logs()):
            pool = pool.apply(log)
        assert read(replica, [PoolSpec(pool.address, pool.venue, pool.dex)]).popitem()[1] == pool
    assert lower, "the view promises more than is paid at times"


def test_recorded_answers_of_3pool_come_out_to_the_wei() -> None:
    data = recorded.folder("answers of get_dy of mainnet's 3pool come out to the wei")
    state = recorded_vectors.state(data, 1, "curve_tripool_block_24407242")
    tokens = {token["symbol"]: token for token in state["tokens"]}
    pool = load(
        {
            "venue": "curve_stableswap",
            "address": state["address"],
            "dex": "curve",
            "tokens": [token["address"] for token in state["tokens"]],
            "variant": "v1",
            "balances": state["balances"],
            "rates": [str(10 ** (36 - token["decimals"])) for token in state["tokens"]],
            "amplification": state["a_coefficient"],
            "fee": state["fee"],
            "admin_fee": state["admin_fee"],
        }
    )
    assert isinstance(pool, CurveStableSwapPool)
    xp = [rate * balance // 10**18 for rate, balance in zip(pool.rates, pool.balances, strict=True)]
    supply = state["lp_token_total_supply"]
    assert get_d(xp, pool.amplification, 1, ng=False) * 10**18 // supply == state["virtual_price"]
    compared = 0
    for (_, _, pair, amount), answer in recorded_vectors.answers(data, "test_curve_tripool_get_dy"):
        token_in, token_out = (tokens[symbol]["address"] for symbol in pair.split("->"))
        assert pool.pair(token_in, token_out).amount_out(token_in, int(amount)) == answer, (pair, amount)
        compared += 1
    assert compared >= 15


def a_pool(variant: Variant = Variant.V1, **changes: Any) -> CurveStableSwapPool:
    pool = CurveStableSwapPool(
        address=address(2),
        dex="curve",
        tokens=(TOKEN1, TOKEN0),
        variant=variant,
        balances=(3 * 10**12, 2 * 10**24),
        rates=(10**30, 1_020_000_000_000_000_000),
        amplification=200 if variant is Variant.V1 else 20_000,
        fee=4_000_000,
        admin_fee=5 * 10**9,
        offpeg_fee_multiplier=2 * 10**10 if variant is Variant.NG else 0,
        quote=Quote.EXCHANGE,
        interface=CurveInterface.RECEIVED if variant is Variant.NG else CurveInterface.INT128,
    )
    return replace(pool, **changes)


@pytest.mark.parametrize("pool", [a_pool(v) for v in Variant] + [a_pool(quote=Quote.GET_DY)], ids=str)
def test_least_input_round_trip_and_price(pool: CurveStableSwapPool) -> None:
    random = Random(6)
    assert (pool.token0, pool.token1) == (TOKEN0, TOKEN1)
    for token_in, token_out in ((TOKEN0, TOKEN1), (TOKEN1, TOKEN0)):
        i, j = pool.index(token_in, "token_in"), pool.index(token_out, "token_out")
        for _ in range(60):
            wanted = max(1, int(pool.balances[j] * 2 ** random.uniform(-40, -0.1)))
            amount_in = pool.amount_in(token_out, wanted)
            assert pool.amount_out(token_in, amount_in) >= wanted
            assert amount_in == 1 or quote(pool, token_in, amount_in - 1) < wanted
            paid = pool.exchange(i, j, amount_in)
            balances = list(pool.balances)
            balances[i] += amount_in
            balances[j] -= paid
            assert quote(replace(pool, balances=tuple(balances)), token_out, paid) <= amount_in
        small = pool.balances[i] // 10**6
        rate = Fraction(pool.amount_out(token_in, small), small)
        assert float(rate / pool.marginal_price(token_in)) == pytest.approx(1, rel=1e-4)
        with pytest.raises(InsufficientLiquidity):
            pool.amount_in(token_out, pool.balances[j])


def test_templates_and_ng_pay_as_their_contracts() -> None:
    compared = dict.fromkeys(("v2", "ng"), 0)
    for variant, i, j, dx, balances, rates, amplification, fee, multiplier, admin_fee, answer in json.loads(
        VECTORS.read_text()
    ):
        pool = load(
            {
                "venue": "curve_stableswap",
                "address": address(2),
                "dex": "curve",
                "tokens": [address(0xA0 + k) for k in range(len(balances))],
                "variant": variant,
                "balances": balances,
                "rates": rates,
                "amplification": amplification,
                "fee": fee,
                "admin_fee": admin_fee,
                "offpeg_fee_multiplier": multiplier,
            }
        )
        assert isinstance(pool, CurveStableSwapPool)
        assert pool.get_dy(i, j, int(dx)) == pool.exchange(i, j, int(dx)) == int(answer), pool
        compared[variant] += 1
    assert min(compared.values()) >= 50


def test_the_fee_grows_off_the_peg() -> None:
    constant, growing = a_pool(Variant.NG, offpeg_fee_multiplier=0), a_pool(Variant.NG)
    far = {"balances": (10**11, 4 * 10**24)}
    for one, other in ((constant, growing), (replace(constant, **far), replace(growing, **far))):
        assert other.amount_out(TOKEN1, 10**9) < one.amount_out(TOKEN1, 10**9)


def test_variants_agree_where_they_should() -> None:
    first, second = a_pool(Variant.V1), a_pool(Variant.V2)
    ng = a_pool(Variant.NG, offpeg_fee_multiplier=0)
    for amount in (10**6, 10**9, 10**12):
        outs = [pool.amount_out(TOKEN1, amount) for pool in (first, second, ng)]
        assert max(outs) - min(outs) <= 10, "only roundings differ"


def test_liquidity_events_move_balances_and_the_dao_takes_its_part() -> None:
    pool = a_pool(Variant.V2)
    fees = [200, 10**6]
    added = encode(["uint256[2]", "uint256[2]", "uint256", "uint256"], [[10**9, 10**20], fees, 1, 1])
    name = "(address,uint256[2],uint256[2],uint256,uint256)"
    log = make_log(pool.address, [keccak(text="AddLiquidity" + name), word(1)], added)
    assert pool.apply(log).balances == (3 * 10**12 + 10**9 - 100, 2 * 10**24 + 10**20 - 5 * 10**5)
    log = make_log(pool.address, [keccak(text="RemoveLiquidityImbalance" + name), word(1)], added)
    assert pool.apply(log).balances == (3 * 10**12 - 10**9 - 100, 2 * 10**24 - 10**20 - 5 * 10**5)
    removed = encode(["uint256[2]", "uint256[2]", "uint256"], [[10**9, 10**20], [0, 0], 1])
    topic = keccak(text="RemoveLiquidity(address,uint256[2],uint256[2],uint256)")
    assert pool.apply(make_log(pool.address, [topic, word(1)], removed)).balances[0] == 3 * 10**12 - 10**9
    ng = a_pool(Variant.NG)
    topic = keccak(text="RemoveLiquidity(address,uint256[],uint256[],uint256)")
    data = encode(["uint256[]", "uint256[]", "uint256"], [[10**9, 10**20], [], 1])
    assert ng.apply(make_log(ng.address, [topic, word(1)], data)).balances[1] == 2 * 10**24 - 10**20
    new_fee = make_log(pool.address, [keccak(text="NewFee(uint256,uint256)")], word(7) + word(9))
    assert (pool.apply(new_fee).fee, pool.apply(new_fee).admin_fee) == (7, 9)
    new_fee = make_log(ng.address, [keccak(text="ApplyNewFee(uint256,uint256)")], word(7) + word(9))
    assert (ng.apply(new_fee).fee, ng.apply(new_fee).offpeg_fee_multiplier) == (7, 9)
    assert pool.apply(make_log(pool.address, [b"\1" * 32], b"")) is pool
    assert pool.apply(make_log(address(9), [topic, word(1)], b"")) is pool


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("TokenExchange(address,int128,uint256,int128,uint256)", word(0) + word(10**9) + word(1) + word(5)),
        ("TokenExchange(address,int128,uint256,int128,uint256)", word(0) + word(10**9) + word(2) + word(5)),
        ("TokenExchange(address,int128,uint256,int128,uint256)", word(0) + word(2**255) + word(1) + word(5)),
        ("TokenExchange(address,int128,uint256,int128,uint256)", word(0)),
        ("TokenExchangeUnderlying(address,int128,uint256,int128,uint256)", word(0) * 4),
        ("RemoveLiquidityOne(address,uint256,uint256)", word(1) * 2),
        ("RampA(uint256,uint256,uint256,uint256)", word(1) * 4),
        ("NewFee(uint256,uint256)", word(10**10) + word(0)),
        ("AddLiquidity(address,uint256[2],uint256[2],uint256,uint256)", word(0) * 5),
        ("RemoveLiquidity(address,uint256[2],uint256[2],uint256)", word(10**13) + word(0) * 4),
    ],
)
def test_a_log_that_cannot_be_followed_is_refused(text: str, data: bytes) -> None:
    pool = a_pool()
    assert keccak(text="TokenExchange(address,int128,uint256,int128,uint256)") == TOKEN_EXCHANGE_TOPIC
    with pytest.raises(InputError, match=r"^log"):
        pool.apply(make_log(pool.address, [keccak(text=text), word(1)], data))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"variant": "v9"}, "variant"),
        ({"quote": "best"}, "quote"),
        ({"rates": [0, 1]}, r"rates\[0\]"),
        ({"balances": [1]}, "balances"),
        ({"amplification": 0}, "amplification"),
        ({"amplification": 10**6 + 1}, "amplification"),
        ({"fee": 10**10}, "fee"),
        ({"tokens": [TOKEN0]}, "tokens"),
    ],
)
def test_the_wrong_field_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=rf"^{field}: "):
        load({**a_pool().to_json(), **change})


def test_an_empty_pool_raises() -> None:
    empty = a_pool(balances=(0, 10**20))
    for work in (
        lambda: empty.amount_out(TOKEN0, 5),
        lambda: empty.marginal_price(TOKEN0),
        lambda: a_pool().amount_out(TOKEN1, 2**255),
        lambda: a_pool(balances=(10**12, 10**20)).amount_in(TOKEN0, 10**20),
    ):
        with pytest.raises(InsufficientLiquidity):
            work()
