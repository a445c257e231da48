"""Pools start at the reference prices, hold the depth that the table says, and trade."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from itertools import combinations

import pytest
from eth_utils.crypto import keccak

from keeper.market.loader import read_pool_specs
from keeper.replica import addresses
from keeper.replica.abi import arguments_of
from keeper.replica.markets import MarketToken, PoolSpec, load_markets
from keeper.replica.protocols.uniswap_v3 import NEVER, SLOT0, absolute_ranges
from tests.conftest import RunningReplica
from tests.replica.chain import Chain

MARKETS = load_markets()
ZERO = "0x" + "00" * 20
Q96 = 1 << 96
V2_ROUTERS = {
    "uniswap_v2": addresses.UNISWAP_V2_ROUTER.address,
    "sushiswap": addresses.SUSHI_ROUTER.address,
}
WETH, USDC, USDT, DAI = (MARKETS.tokens[symbol] for symbol in ("WETH", "USDC", "USDT", "DAI"))
ETHER = 10**18


def near(found: Fraction | Decimal | int, wanted: Fraction | Decimal | int, tolerance: Fraction) -> bool:
    return abs(Fraction(found) - Fraction(wanted)) <= tolerance * Fraction(wanted)


def reference(token0: MarketToken, token1: MarketToken) -> Fraction:
    """Raw units of token1 per raw unit of token0, at the reference prices."""
    dollars = Fraction(token0.price_usd) / Fraction(token1.price_usd)
    return dollars * Fraction(10) ** (token1.decimals - token0.decimals)


@pytest.mark.parametrize("spec", MARKETS.pools, ids=lambda spec: spec.label)
def test_price_and_depth(spec: PoolSpec, replica: RunningReplica) -> None:
    chain = Chain(replica)
    if spec.tick_spacing is None:
        reserve0, reserve1, _ = chain.read(spec.address, "getReserves()", "uint112,uint112,uint32")
        price = Fraction(reserve1, reserve0)
    else:
        price = Fraction(chain.read(spec.address, "slot0()", "uint160"), Q96) ** 2
        assert chain.read(spec.address, "tickSpacing()", "int24") == spec.tick_spacing
        assert chain.read(spec.address, "liquidity()", "uint128") > 0
    assert near(price, reference(spec.token0, spec.token1), Fraction(1, 1000))
    held = sum(
        Fraction(chain.balance(token.address, spec.address), 10**token.decimals) * Fraction(token.price_usd)
        for token in (spec.token0, spec.token1)
    )
    assert near(held, spec.depth_usd, Fraction(30, 100))  # positions that lean to a side take less of the other token


@pytest.mark.parametrize("spec", MARKETS.of("uniswap_v3"), ids=lambda spec: spec.label)
def test_v3_positions_overlap(spec: PoolSpec, replica: RunningReplica) -> None:
    """Walking the initialised ticks adds liquidity up to the price and takes it away after it, several times each."""
    chain = Chain(replica)
    tick = chain.read(spec.address, "slot0()", SLOT0)[1]
    spacing = spec.tick_spacing
    assert spacing is not None
    bounds = {bound for lower, upper, _ in absolute_ranges(spec, tick) for bound in (lower, upper)}
    populated = [
        found
        for word in sorted({bound // spacing // 256 for bound in bounds})
        for found in chain.read(
            addresses.TICK_LENS.address,
            "getPopulatedTicksInWord(address,int16)",
            "(int24,int128,uint128)[]",
            *(spec.address, word),
        )
    ]
    assert {position for position, *_ in populated} == bounds
    active = sum(net for position, net, _ in populated if position <= tick)
    assert active == chain.read(spec.address, "liquidity()", "uint128")
    assert sum(net for _, net, _ in populated) == 0
    assert sum(position <= tick for position, *_ in populated) >= 3
    assert sum(position > tick for position, *_ in populated) >= 3


def test_there_are_enough_pools_tokens_and_loops(replica: RunningReplica) -> None:
    assert len(replica.pools) >= 40
    assert len(replica.tokens) >= 8
    traded: dict[str, set[frozenset[str]]] = defaultdict(set)
    venues_of: dict[frozenset[str], int] = defaultdict(int)
    for pool in replica.pools:
        pair = frozenset((pool["token0"], pool["token1"]))
        traded[pool["dex"]].add(pair)
        venues_of[pair] += 1
    assert {token for pair in venues_of for token in pair} == {t["address"] for t in replica.tokens.values()}
    assert sum(count >= 2 for count in venues_of.values()) >= 10, "two-hop loops need pairs with several pools"
    for dex, pairs in traded.items():
        tokens = sorted({token for pair in pairs for token in pair})
        triangles = [
            corner for corner in combinations(tokens, 3) if all(frozenset(s) in pairs for s in combinations(corner, 2))
        ]
        assert len(triangles) >= 3, f"{dex} has few triangles"


def test_the_lists_are_what_the_book_reads(replica: RunningReplica) -> None:
    specs = {spec.address: spec for spec in read_pool_specs(replica.state.pools_path)}
    assert len(specs) == len(replica.pools)
    for wanted in MARKETS.pools:
        if wanted.dex == "pancakeswap_v3":
            assert wanted.address not in specs
            continue
        found = specs[wanted.address]
        assert (found.dex, found.token0, found.token1) == (wanted.dex, wanted.token0.address, wanted.token1.address)
        assert (found.fee_pips, found.tick_spacing) == (wanted.fee_pips, wanted.tick_spacing or 0)
    kinds = {pool["venue"] for pool in replica.state.other_pools()}
    assert kinds == {
        *("pancakeswap_v3", "uniswap_v4", "balancer_v2_weighted", "curve_stableswap"),
        *("solidly_volatile", "solidly_stable"),
    }


@pytest.mark.parametrize("spec", MARKETS.of("uniswap_v2") + MARKETS.of("sushiswap"), ids=lambda spec: spec.label)
def test_v2_router_quotes_the_constant_product(spec: PoolSpec, replica: RunningReplica) -> None:
    chain = Chain(replica)
    reserve0, reserve1, _ = chain.read(spec.address, "getReserves()", "uint112,uint112,uint32")
    amount = spec.amounts[0] // 1000
    path = [spec.token0.address, spec.token1.address]
    quoted = chain.read(V2_ROUTERS[spec.dex], "getAmountsOut(uint256,address[])", "uint256[]", amount, path)
    assert quoted[1] == amount * 997 * reserve1 // (reserve0 * 1000 + amount * 997)


@pytest.mark.parametrize("spec", MARKETS.of("uniswap_v3"), ids=lambda spec: spec.label)
def test_quoter_v2_follows_the_price_and_crosses_ticks(spec: PoolSpec, replica: RunningReplica) -> None:
    chain = Chain(replica)
    signature = "quoteExactInputSingle((address,address,uint256,uint24,uint160))"
    returns = "uint256,uint160,uint32,uint256"
    price = reference(spec.token0, spec.token1)
    after_fee = Fraction(10**6 - spec.fee_pips, 10**6)
    for token_in, token_out, rate in (
        (spec.token0, spec.token1, price),
        (spec.token1, spec.token0, 1 / price),
    ):
        small = token_in.raw(10)
        query = (token_in.address, token_out.address, small, spec.fee_pips, 0)
        out = chain.read(addresses.QUOTER_V2.address, signature, returns, query)[0]
        assert near(out, small * rate * after_fee, Fraction(1, 1000))
        large = (token_in.address, token_out.address, token_in.raw(spec.depth_usd * 9 / 20), spec.fee_pips, 0)
        assert chain.read(addresses.QUOTER_V2.address, signature, returns, large)[2] >= 1


def test_swaps_through_all_three_routers(fresh_replica: RunningReplica) -> None:
    chain, trader = Chain(fresh_replica), addresses.TRADERS[3]
    path = [USDC.address, WETH.address]
    for router in V2_ROUTERS.values():
        quoted = chain.read(router, "getAmountsOut(uint256,address[])", "uint256[]", 10**10, path)[1]
        before = chain.balance(WETH.address, trader)
        signature = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
        chain.execute(router, signature, 10**10, quoted, path, trader, NEVER, sender=trader)
        assert chain.balance(WETH.address, trader) - before == quoted
    query = (WETH.address, USDT.address, 10 * ETHER, 500, 0)
    quoted = chain.read(
        addresses.QUOTER_V2.address,
        "quoteExactInputSingle((address,address,uint256,uint24,uint160))",
        "uint256,uint160,uint32,uint256",
        query,
    )[0]
    before = chain.balance(USDT.address, trader)
    order = (WETH.address, USDT.address, 500, trader, 10 * ETHER, quoted, 0)
    signature = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))"
    chain.execute(addresses.SWAP_ROUTER_02.address, signature, order, sender=trader)
    assert chain.balance(USDT.address, trader) - before == quoted


@pytest.mark.parametrize("trader", addresses.TRADERS)
def test_traders_are_rich_and_ready(trader: str, replica: RunningReplica) -> None:
    chain = Chain(replica)
    budget = MARKETS.sections["traders"]["usd_per_token"]
    spenders = (*V2_ROUTERS.values(), addresses.SWAP_ROUTER_02.address)
    for token in MARKETS.tokens.values():
        assert chain.balance(token.address, trader) == token.raw(budget)
        for spender in spenders:
            assert chain.read(token.address, "allowance(address,address)", "uint256", trader, spender) >= 2**96 - 1
    assert int(replica.rpc("eth_getBalance", trader, "latest"), 16) == 10**6 * ETHER


def test_the_operator_starts_with_ether_only(replica: RunningReplica) -> None:
    chain = Chain(replica)
    for account in (addresses.OPERATOR, addresses.TREASURY):
        assert int(replica.rpc("eth_getBalance", account, "latest"), 16) == 10**6 * ETHER
        assert int(replica.rpc("eth_getTransactionCount", account, "latest"), 16) == 0
        assert not any(chain.balance(token.address, account) for token in MARKETS.tokens.values())


# --- venues that the book does not load


def test_uniswap_v4_quotes_ether(replica: RunningReplica) -> None:
    pool = next(pool for pool in replica.state.other_pools() if pool["venue"] == "uniswap_v4")
    key = (*pool["tokens"], pool["fee_pips"], pool["tick_spacing"], pool["hooks"])
    out, _ = Chain(replica).read(
        addresses.V4_QUOTER,
        "quoteExactInputSingle(((address,address,uint24,int24,address),bool,uint128,bytes))",
        "uint256,uint256",
        (key, True, ETHER, b""),
    )
    assert near(out, Fraction(3000 * 10**6) * Fraction(9995, 10_000), Fraction(1, 1000))


def test_universal_router_swaps_on_v4(fresh_replica: RunningReplica) -> None:
    """One ETH to USDC: V4_SWAP with SWAP_EXACT_IN_SINGLE, SETTLE_ALL, TAKE_ALL."""
    chain, trader = Chain(fresh_replica), addresses.TRADERS[0]
    key = (ZERO, USDC.address, 500, 10, ZERO)
    swap = arguments_of(
        "((address,address,uint24,int24,address),bool,uint128,uint128,bytes)", (key, True, ETHER, 1, b"")
    )
    settle, take = (arguments_of("address,uint256", *pair) for pair in ((ZERO, ETHER), (USDC.address, 1)))
    plan = arguments_of("bytes,bytes[]", bytes([0x06, 0x0C, 0x0F]), [swap, settle, take])
    before = chain.balance(USDC.address, trader)
    signature = "execute(bytes,bytes[],uint256)"
    chain.execute(addresses.UNIVERSAL_ROUTER, signature, b"\x10", [plan], NEVER, sender=trader, value=ETHER)
    assert near(chain.balance(USDC.address, trader) - before, 2998 * 10**6, Fraction(1, 1000))


def test_balancer_pool_quotes_ether(replica: RunningReplica) -> None:
    pool = next(pool for pool in replica.state.other_pools() if pool["venue"] == "balancer_v2_weighted")
    assets = pool["tokens"]
    steps = [(bytes.fromhex(pool["pool_id"][2:]), assets.index(WETH.address), assets.index(USDC.address), ETHER, b"")]
    funds = (ZERO, False, ZERO, False)
    signature = "queryBatchSwap(uint8,(bytes32,uint256,uint256,uint256,bytes)[],address[],(address,bool,address,bool))"
    deltas = Chain(replica).read(addresses.BALANCER_VAULT, signature, "int256[]", 0, steps, assets, funds)
    wanted = Fraction(3000 * 10**6) * (1 - Fraction(pool["fee_pips"], 10**6))
    assert near(-deltas[assets.index(USDC.address)], wanted, Fraction(3, 1000))


@pytest.mark.parametrize("kind", ["solidly_volatile", "solidly_stable"])
def test_solidly_pool_quotes(kind: str, replica: RunningReplica) -> None:
    pool = next(pool for pool in replica.state.other_pools() if pool["venue"] == kind)
    by_address = {token.address: token for token in MARKETS.tokens.values()}
    token_in, token_out = (by_address[address] for address in pool["tokens"])
    amount = token_in.raw(100)
    out = Chain(replica).read(pool["address"], "getAmountOut(uint256,address)", "uint256", amount, token_in.address)
    wanted = amount * reference(token_in, token_out) * (1 - Fraction(pool["fee_pips"], 10**6))
    assert near(out, wanted, Fraction(2, 1000))


# --- Curve's integer steps, written down a second time


def curve_d(xp: list[int], amplification: int) -> int:
    n, total = len(xp), sum(xp)
    ann, d = amplification * n, total
    for _ in range(255):
        product = d
        for x in xp:
            product = product * d // (x * n)
        before, d = d, (ann * total + product * n) * d // ((ann - 1) * d + (n + 1) * product)
        if abs(d - before) <= 1:
            break
    return d


def curve_dy(balances: list[int], rates: list[int], a: int, fee: int, i: int, j: int, dx: int) -> int:
    n = len(balances)
    xp = [balance * rate // ETHER for balance, rate in zip(balances, rates, strict=True)]
    d, ann = curve_d(xp, a), a * n
    moved = [x + dx * rates[i] // ETHER if k == i else x for k, x in enumerate(xp)]
    c, total = d, 0
    for k, x in enumerate(moved):
        if k != j:
            total += x
            c = c * d // (x * n)
    c = c * d // (ann * n)
    y = d
    for _ in range(255):
        before, y = y, (y * y + c) // (2 * y + total + d // ann - d)
        if abs(y - before) <= 1:
            break
    dy = (xp[j] - y - 1) * ETHER // rates[j]
    return dy - fee * dy // 10**10


def test_curve_quotes_the_invariant_to_the_unit(replica: RunningReplica) -> None:
    chain, draw = Chain(replica), random.Random(3)
    pool = addresses.CURVE_3POOL
    coins = (DAI, USDC, USDT)
    assert [chain.read(pool, "coins(uint256)", "address", k).lower() for k in range(3)] == [
        coin.address.lower() for coin in coins
    ]
    balances = [chain.read(pool, "balances(uint256)", "uint256", k) for k in range(3)]
    assert balances == [chain.balance(coin.address, pool) for coin in coins]
    a, fee = (chain.read(pool, f"{name}()", "uint256") for name in ("A", "fee"))
    rates = [10 ** (36 - coin.decimals) for coin in coins]
    for _ in range(40):
        i, j = draw.sample(range(3), 2)
        dx = coins[i].raw(draw.randrange(1, 30_000_000))
        quoted = chain.read(pool, "get_dy(int128,int128,uint256)", "uint256", i, j, dx)
        assert quoted == curve_dy(balances, rates, a, fee, i, j, dx)


def test_curve_pays_what_it_quotes(fresh_replica: RunningReplica) -> None:
    chain, pool, trader = Chain(fresh_replica), addresses.CURVE_3POOL, addresses.TRADERS[0]
    coins = (DAI, USDC, USDT)
    for coin in coins:
        chain.execute(coin.address, "approve(address,uint256)", pool, 2**255, sender=trader)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        dx = coins[i].raw(5_000_000)
        quoted = chain.read(pool, "get_dy(int128,int128,uint256)", "uint256", i, j, dx)
        before = chain.balance(coins[j].address, trader)
        chain.execute(pool, "exchange(int128,int128,uint256,uint256)", i, j, dx, quoted - 1, sender=trader)
        assert abs(chain.balance(coins[j].address, trader) - before - quoted) <= 1
        kept = [chain.read(pool, "balances(uint256)", "uint256", k) for k in range(3)]
        held = [chain.balance(coin.address, pool) for coin in coins]
        assert all(mine <= there for mine, there in zip(kept, held, strict=True))


# --- oracles


@pytest.mark.parametrize("name", addresses.PRICE_FEEDS)
def test_oracles_are_fresh_and_aave_reads_them(name: str, replica: RunningReplica) -> None:
    chain, proxy = Chain(replica), addresses.PRICE_FEEDS[name]
    token = MARKETS.tokens[{"ETH": "WETH", "BTC": "WBTC"}.get(name, name)]
    _, answer, _, updated, _ = chain.read(proxy, "latestRoundData()", "uint80,int256,uint256,uint256,uint80")
    assert answer == int(token.price_usd * 10**8)
    assert 0 <= replica.state.timestamp - updated <= 12
    assert chain.read(proxy, "aggregator()", "address").lower() == replica.state.feeds[name].lower()
    assert chain.read(addresses.AAVE_ORACLE, "getAssetPrice(address)", "uint256", token.address) == answer


def test_a_pushed_answer_comes_out_of_the_proxy(fresh_replica: RunningReplica) -> None:
    chain, proxy = Chain(fresh_replica), addresses.PRICE_FEEDS["ETH"]
    feed = fresh_replica.state.feeds["ETH"]
    round_before = chain.read(proxy, "latestRound()", "uint256")
    chain.execute(feed, "push(int256)", 3_100 * 10**8, sender=addresses.BUILDER)
    assert chain.read(proxy, "latestAnswer()", "int256") == 3_100 * 10**8
    assert chain.read(proxy, "latestRound()", "uint256") == round_before + 1
    [log] = fresh_replica.rpc(
        "eth_getLogs",
        {"address": feed, "topics": ["0x" + keccak(text="AnswerUpdated(int256,uint256,uint256)").hex()]},
    )
    assert int(log["topics"][1], 16) == 3_100 * 10**8
