"""Random swaps of each venue, put to the deployed contract and to our maths on the same drawn state.

Every call of a `Batch` draws a state, lays it over the contract's storage for one ``eth_call``, and asks it many swaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

from eth_abi import decode, encode
from eth_utils.crypto import keccak

from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.market.specs import PoolSpec
from keeper.market.venues import (
    BalancerV2StablePool,
    BalancerV2WeightedPool,
    BalancerV3StablePool,
    BalancerV3WeightedPool,
    CurveStableSwapPool,
    InsufficientLiquidity,
    PancakeSwapV3Pool,
    UniswapV2Pool,
    UniswapV3Pool,
    UniswapV4Pool,
    load,
)
from keeper.market.venues.concentrated import ConcentratedPool
from keeper.market.venues.curve_stableswap import Quote
from keeper.market.venues.tick_math import get_sqrt_ratio_at_tick
from keeper.replica.rpc import RpcError
from tests.conftest import RunningReplica
from tests.contracts.compiler import compile_sources, read_sources
from tests.market import (
    balancer_site,
    balancer_v3_site,
    test_balancer_v2,
    test_balancer_v3,
    test_solidly,
    test_uniswap_v4,
)
from tests.market.balancer_site import BalancerSite
from tests.market.balancer_v3_site import BalancerV3Site
from tests.market.chain import mint, word
from tests.market.contracts import GAS, Overrides, ask, probe_v3, quote_v3, v3_state
from tests.market.test_readers import entries, read
from tests.market.test_replica_maths import log_uniform, random_swaps

SWAPS = 64
"""Swaps of one state, about."""
LARGEST = 2**112 - 1
JUDGE = Address("0x0000000000000000000000000000000000C0fFee")
SOLIDITY = Path(__file__).with_name("solidity")
SWAP_ALL = "swapAll(address,address[2],uint256[2],(bool,uint256,uint256)[])"
EXCHANGE_ALL = "exchangeAll(address,address[],(int128,int128,uint256)[])"


class Outcome(NamedTuple):
    """One swap: what we say and what the contract says; None where it cannot be made."""

    exact_in: bool
    ours: Any
    theirs: Any
    state: Any
    swap: Any


Batch = Callable[[Random], Iterator[Outcome]]
Pools = Callable[[], Any]
State = TypeVar("State", bound=ConcentratedPool)


def venues(replica: RunningReplica) -> dict[VenueKind, Callable[[], Batch]]:
    """By venue, what makes its batches; making them reads or creates the pools."""
    v2_site = cache(lambda: balancer_site.build(replica))
    v3_site = cache(lambda: balancer_v3_site.build(replica))
    return {
        VenueKind.UNISWAP_V2: lambda: pairs(replica),
        VenueKind.UNISWAP_V3: lambda: uniswap_v3(replica),
        VenueKind.PANCAKESWAP_V3: lambda: pancakeswap_v3(replica),
        VenueKind.UNISWAP_V4: lambda: uniswap_v4(replica),
        VenueKind.BALANCER_V2_WEIGHTED: lambda: balancer_weighted(replica, v2_site()),
        VenueKind.BALANCER_V2_STABLE: lambda: balancer_stable(replica, v2_site()),
        VenueKind.BALANCER_V3_WEIGHTED: lambda: balancer_v3(v3_site(), BalancerV3WeightedPool),
        VenueKind.BALANCER_V3_STABLE: lambda: balancer_v3(v3_site(), BalancerV3StablePool),
        VenueKind.CURVE_STABLESWAP: lambda: curve(replica),
        VenueKind.SOLIDLY_VOLATILE: lambda: solidly(replica, VenueKind.SOLIDLY_VOLATILE),
        VenueKind.SOLIDLY_STABLE: lambda: solidly(replica, VenueKind.SOLIDLY_STABLE),
    }


def said(answer: Callable[[], int]) -> int | None:
    """Our answer; None where the pool cannot make the swap."""
    try:
        return answer()
    except InsufficientLiquidity:
        return None


def pairs(replica: RunningReplica) -> Batch:
    """Swaps in the pairs themselves: an amount goes through, and one unit more out or less in does not."""
    specs = [PoolSpec.from_json(entry) for entry in replica.pools if entry["venue"] == VenueKind.UNISWAP_V2]
    known = [pool for pool in read(replica, specs).values() if isinstance(pool, UniswapV2Pool)]
    assert {pool.dex for pool in known} >= {"uniswap_v2", "sushiswap"}
    judge = _judge()

    def batch(random: Random) -> Iterator[Outcome]:
        reserves = [random.randrange(2**bits, 2 ** (bits + 1)) for bits in random.choices(range(112), k=2)]
        pool = replace(random.choice(known), reserve0=reserves[0], reserve1=reserves[1])
        swaps, ours, questions = [], [], []
        for _ in range(SWAPS):
            zero_for_one, exact_in = random.random() < 0.5, random.random() < 0.5
            tokens = (pool.token0, pool.token1) if zero_for_one else (pool.token1, pool.token0)
            held = pool.reserve1 if zero_for_one else pool.reserve0
            amount = log_uniform(random, 1, LARGEST if exact_in else max(held - 1, 1))
            if exact_in:
                answer = said(lambda t=tokens, a=amount: pool.amount_out(t[0], a)) or None  # a pair pays out or reverts
                right, wrong = (amount, answer or 0), (amount, (answer or 0) + 1)
            else:
                answer = said(lambda t=tokens, a=amount: pool.amount_in(t[1], a))
                # what no reserve can hold is refused whatever comes in
                right, wrong = (answer or LARGEST, amount), ((answer or LARGEST) - 1, amount)
            swaps.append((zero_for_one, exact_in, amount))
            ours.append(answer)
            questions += [(zero_for_one, *right), (zero_for_one, *wrong)]
        arguments = (pool.address, [pool.token0, pool.token1], reserves, questions)
        storage = {"0x" + word(8).hex(): "0x" + word(pool.reserve0 | pool.reserve1 << 112).hex()}
        answer = _ask_judge(replica, judge, SWAP_ALL, arguments, {pool.address: {"stateDiff": storage}}, arguments[1])
        (verdicts,) = decode(["bool[]"], answer)
        for n, (swap, said_by_us) in enumerate(zip(swaps, ours, strict=True)):
            goes, goes_beyond = verdicts[2 * n], verdicts[2 * n + 1]
            theirs = None if not goes and not goes_beyond else said_by_us if goes and not goes_beyond else "other"
            yield Outcome(swap[1], said_by_us, theirs, pool, swap)

    return batch


def uniswap_v3(replica: RunningReplica) -> Batch:
    """QuoterV2, which runs the pool's own swap: the other amount and the price after it."""
    specs = [PoolSpec.from_json(entry) for entry in replica.pools if entry["venue"] == VenueKind.UNISWAP_V3]
    by_fee = {pool.fee_pips: pool for pool in read(replica, specs).values() if isinstance(pool, UniswapV3Pool)}
    assert set(by_fee) == {100, 500, 3000, 10_000}

    def batch(random: Random) -> Iterator[Outcome]:
        pool = drawn_state(random, by_fee[random.choice(sorted(by_fee))])
        # beyond the last liquidity the contract walks through every word of the bitmap, thousands at spacing 1
        swaps = random_swaps(random, pool, SWAPS // 4, beyond=pool.tick_spacing >= 60)
        for swap, theirs in zip(swaps, quote_v3(replica, pool, swaps, v3_state(pool)), strict=True):
            zero_for_one, amount = swap
            result = pool.swap(zero_for_one, amount)
            ours: tuple[int, int] | None
            if amount > 0:
                # the quoter does not support a price that moves through no liquidity
                ours = (result.amount_out, result.sqrt_price_x96) if result.amount_in else None
            else:
                ours = (result.amount_in, result.sqrt_price_x96) if result.amount_out == -amount else None
            yield Outcome(amount > 0, ours, theirs, pool, swap)

    return batch


def pancakeswap_v3(replica: RunningReplica) -> Batch:
    """Both amounts that the pool asks for in its callback."""
    specs = [PoolSpec.from_json(entry) for entry in entries(replica, "pancakeswap_v3")]
    known = [pool for pool in read(replica, specs).values() if isinstance(pool, PancakeSwapV3Pool)]

    def batch(random: Random) -> Iterator[Outcome]:
        pool = drawn_state(random, random.choice(known))
        swaps = random_swaps(random, pool, SWAPS // 4, beyond=False)
        for swap, theirs in zip(swaps, probe_v3(replica, pool, swaps, v3_state(pool)), strict=True):
            result = pool.swap(*swap)
            yield Outcome(swap[1] > 0, (result.amount_in, result.amount_out), tuple(theirs), pool, swap)

    return batch


def uniswap_v4(replica: RunningReplica) -> Batch:
    """V4Quoter, with the protocol's part of the fee drawn, too."""
    (entry,) = entries(replica, "uniswap_v4")
    spec = PoolSpec.from_json(entry)
    (known,) = read(replica, [spec]).values()
    assert isinstance(known, UniswapV4Pool)
    fees = (0, 1, 1000, 7 << 12, 1000 << 12 | 1000, 250 << 12 | 999)

    def batch(random: Random) -> Iterator[Outcome]:
        empty = replace(known, protocol_fee=random.choice(fees))
        pool = drawn_state(random, empty, test_uniswap_v4.modified)
        overrides = test_uniswap_v4.storage_of(pool, spec)
        storage = {**test_uniswap_v4.cleared(known, spec), **overrides[pool.address]["stateDiff"]}
        swaps = random_swaps(random, pool, SWAPS // 4, beyond=False)
        answers = test_uniswap_v4.quoted(replica, pool, swaps, {pool.address: {"stateDiff": storage}})
        for (zero_for_one, amount), theirs in zip(swaps, answers, strict=True):
            token_in, token_out = (pool.token0, pool.token1) if zero_for_one else (pool.token1, pool.token0)
            ours = (
                said(lambda t=token_in, a=amount: pool.amount_out(t, a))
                if amount > 0
                else said(lambda t=token_out, a=amount: pool.amount_in(t, -a))
            )
            yield Outcome(amount > 0, ours, theirs, pool, (zero_for_one, amount))

    return batch


def drawn_state(random: Random, deployed: State, minted: Callable[..., Any] | None = None) -> State:
    """A pool of the same kind at a drawn price, a third of them a tick's own, with positions across bitmap words."""
    spacing, start = deployed.tick_spacing, random.randint(-400, 400)
    tick = start * spacing + random.randrange(spacing)
    low, high = get_sqrt_ratio_at_tick(tick), get_sqrt_ratio_at_tick(tick + 1)
    price = low if random.random() < 0.3 else random.randrange(low, high)
    if price == low and random.random() < 0.5 and minted is None:
        tick -= 1  # as a swap leaves it that stops at the tick on its way down
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
    for _ in range(random.randint(1, 8)):
        lower, width = start + random.randint(-700, 650), random.randint(1, 700)
        liquidity = random.randrange(2 ** random.randint(3, 85), 2**86)
        ends = lower * spacing, (lower + width) * spacing
        log = minted(pool, *ends, liquidity) if minted else mint(pool.address, *ends, liquidity)
        pool = pool.apply(log)
    return pool


def balancer_weighted(replica: RunningReplica, site: BalancerSite) -> Batch:
    specs = [PoolSpec.from_json(entry) for entry in entries(replica, "balancer_v2_weighted")] + list(site.weighted)
    known = [pool for pool in read(replica, specs).values() if isinstance(pool, BalancerV2WeightedPool)]
    assert {pool.pow_version for pool in known} == {"v1", "v2"}

    def batch(random: Random) -> Iterator[Outcome]:
        pool = random.choice(known)
        balances = [random.randrange(2**bits, 2 ** (bits + 1)) for bits in random.choices(range(6, 106), k=3)]
        yield from _on_swap(replica, replace(pool, balances=tuple(balances[: len(pool.tokens)])), random)

    return batch


def balancer_stable(replica: RunningReplica, site: BalancerSite) -> Batch:
    (known,) = read(replica, [site.stable]).values()
    assert isinstance(known, BalancerV2StablePool)

    def batch(random: Random) -> Iterator[Outcome]:
        size = random.randint(12, 40)
        balances = [
            int(2 ** (size + random.randint(-5, 5)) * random.uniform(1, 2) * 10**36 / factor)
            for factor in known.scaling_factors
        ]
        yield from _on_swap(replica, replace(known, balances=tuple(balances)), random)

    return batch


def _on_swap(replica: RunningReplica, pool: test_balancer_v2.Pool, random: Random) -> Iterator[Outcome]:
    """What the pool tells the Vault."""
    swaps = []
    for _ in range(SWAPS):
        i, j = random.sample(range(len(pool.tokens)), 2)
        kind = random.choice((test_balancer_v2.GIVEN_IN, test_balancer_v2.GIVEN_OUT))
        size = pool.balances[i if kind == test_balancer_v2.GIVEN_IN else j] * 2 ** random.uniform(-60, 0)
        swaps.append((kind, i, j, max(int(size), 1)))
    for swap, theirs in zip(swaps, test_balancer_v2.on_swap(replica, pool, swaps), strict=True):
        kind, i, j, amount = swap
        token_in, token_out, exact_in = pool.tokens[i], pool.tokens[j], kind == test_balancer_v2.GIVEN_IN
        if exact_in:
            ours = said(lambda a=amount, t=(token_in, token_out): pool.amount_out(t[0], a, t[1]))
        else:
            ours = said(lambda a=amount, t=(token_in, token_out): pool.amount_in(t[1], a, t[0]))
        # the Vault, which is not asked here, holds no more than 112 bits
        beyond = ours is None and theirs is not None and max(amount, theirs) >= 2**111
        yield Outcome(exact_in, ours, None if beyond else theirs, pool, swap)


def balancer_v3(site: BalancerV3Site, kind: type[test_balancer_v3.V3Pool]) -> Batch:
    """What the Vault computes for a swap. A session sees its swaps one after another, so each has a call of its own."""
    known = [pool for pool in test_balancer_v3.pools_of(site) if isinstance(pool, kind)]
    assert len(known) == 2

    def batch(random: Random) -> Iterator[Outcome]:
        pool, size = random.choice(known), random.randint(14, 34)
        balances = tuple(
            int(2 ** (size + random.randint(-8, 8)) * 10**places * random.uniform(1, 2)) // 10**6 + 1
            for places in pool.decimals
        )
        rate = random.randint(10**18, 3 * 10**18)
        rates = tuple(rate if one == balancer_site.RATE else one for one in pool.rates)
        pool = replace(pool, balances=balances, rates=rates)
        overrides = test_balancer_v3.stored(site, pool)
        for _ in range(SWAPS // 4):
            i, j = random.sample(range(len(pool.tokens)), 2)
            token_in, token_out, exact_in = pool.tokens[i], pool.tokens[j], random.random() < 0.5
            amount = max(int(pool.balances[i if exact_in else j] * 2 ** random.uniform(-40, 0)), 1)
            call = balancer_v3_site.swap_call(pool.address, token_in, token_out, amount, exact_in=exact_in)
            try:
                theirs: int | None = int.from_bytes(site.ask([call], overrides)[0][:32], "big")
            except RpcError:
                theirs = None
            if exact_in:
                ours = said(lambda a=amount, t=(token_in, token_out): pool.amount_out(t[0], a, t[1]))
            else:
                ours = said(lambda a=amount, t=(token_in, token_out): pool.amount_in(t[1], a, t[0]))
            yield Outcome(exact_in, ours, theirs, pool, (exact_in, i, j, amount))

    return batch


def curve(replica: RunningReplica) -> Batch:
    """What ``exchange`` pays, and what ``get_dy`` answers, which at times is a unit more. There is no exact output."""
    (entry,) = entries(replica, "curve_stableswap")
    (known,) = read(replica, [PoolSpec.from_json(entry)]).values()
    assert isinstance(known, CurveStableSwapPool)
    judge = _judge()
    get_dy = keccak(text="get_dy(int128,int128,uint256)")[:4]

    def batch(random: Random) -> Iterator[Outcome]:
        size = random.randint(3, 50)
        balances = [
            int(2 ** (size + random.randint(-5, 5)) * random.uniform(1, 2) * 10**36 / rate) + 1 for rate in known.rates
        ]
        swaps = []
        for _ in range(SWAPS // 2):
            i, j = random.sample(range(3), 2)
            swaps.append((i, j, max(1, int(balances[i] * 2 ** random.uniform(-60, 4)))))
        storage = {"0x" + word(3 + k).hex(): "0x" + word(held).hex() for k, held in enumerate(balances)}
        overrides: Overrides = {known.address: {"stateDiff": storage}}
        arguments = (known.address, list(known.tokens), swaps)
        answer = _ask_judge(replica, judge, EXCHANGE_ALL, arguments, overrides, known.tokens)
        paid = [None if amount == 2**256 - 1 else amount for amount in decode(["uint256[]"], answer)[0]]
        calls = [(known.address, get_dy + encode(["int128", "int128", "uint256"], swap)) for swap in swaps]
        views = [None if view is None else int.from_bytes(view, "big") for view in ask(replica, calls, overrides)]
        for quote, answers in ((Quote.EXCHANGE, paid), (Quote.GET_DY, views)):
            pool = replace(known, balances=tuple(balances), quote=quote)
            for swap, theirs in zip(swaps, answers, strict=True):
                i, j, amount = swap
                tokens = pool.tokens[i], pool.tokens[j]
                ours = said(lambda p=pool, t=tokens, a=amount: p.amount_out(t[0], a, t[1]))
                yield Outcome(True, ours, theirs, pool, swap)

    return batch


def solidly(replica: RunningReplica, kind: VenueKind) -> Batch:
    """``getAmountOut`` of the pool; the contract has no exact output."""
    known = load(test_solidly.deployed(replica, kind))
    assert isinstance(known, test_solidly.Solidly)

    def batch(random: Random) -> Iterator[Outcome]:
        if kind is VenueKind.SOLIDLY_STABLE:
            decimals = random.choices([2, 6, 8, 18, 24], k=2)
            bits, lean = random.randint(0, 40), random.randint(-9, 9)
            size = random.randrange(2**bits, 2 ** (bits + 1))
            sides = zip((size * 2.0**-lean, size * 2.0**lean), decimals, strict=True)
            reserves = [max(1, int(side * random.uniform(0.5, 2)) * 10**places // 1000) for side, places in sides]
            changes = {"decimals0": decimals[0], "decimals1": decimals[1]}
        else:
            reserves = [random.randrange(2**bits, 2 ** (bits + 1)) for bits in random.choices(range(126), k=2)]
            changes = {}
        pool = replace(known, reserve0=reserves[0], reserve1=reserves[1], **changes)
        swaps = []
        for _ in range(SWAPS):
            zero_for_one = random.random() < 0.5
            swaps.append((zero_for_one, max(1, int(reserves[0 if zero_for_one else 1] * 2 ** random.uniform(-70, 4)))))
        for swap, theirs in zip(swaps, test_solidly.get_amount_out(replica, pool, swaps), strict=True):
            token_in = pool.token0 if swap[0] else pool.token1
            yield Outcome(True, said(lambda t=token_in, a=swap[1]: pool.amount_out(t, a)), theirs, pool, swap)

    return batch


def _judge() -> dict[str, bytes]:
    """Runtime code of the judge and of the tokens that it needs."""
    contracts = compile_sources({"Judge.sol": read_sources(SOLIDITY)["Judge.sol"]}, quick=True)
    return {name: contracts[name].runtime for name in ("Judge", "Purse")}


def _ask_judge(
    replica: RunningReplica,
    judge: dict[str, bytes],
    function: str,
    arguments: Sequence[Any],
    overrides: Overrides,
    tokens: Sequence[Address],
) -> bytes:
    types = function[function.index("(") :]
    # a tuple of dynamic length is encoded behind one offset, which the arguments of a call do not have
    data = keccak(text=function)[:4] + encode([types], [tuple(arguments)])[32:]
    code = {JUDGE: {"code": "0x" + judge["Judge"].hex()}}
    purses = {token: {"code": "0x" + judge["Purse"].hex()} for token in tokens}
    call = {"to": JUDGE, "data": "0x" + data.hex(), "gas": GAS}
    return bytes.fromhex(replica.rpc("eth_call", call, "latest", {**overrides, **code, **purses})[2:])
