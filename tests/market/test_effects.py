"""What pending calls of routers leave behind: predicted from calldata alone, then mined, then read from the chain."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from keeper.domain.pending import IntendedSwap, Intent, PendingTransaction, SwapHop
from keeper.domain.token import VenueKind
from keeper.domain.units import Address, Hash32, Wei
from keeper.market.effects import Effect, apply_intent, apply_swaps
from keeper.market.loader import load_pools
from keeper.market.node import Node
from keeper.market.routers import Decoder, mainnet
from keeper.market.specs import PoolSpec, read_pool_specs
from keeper.market.venues import Pool, SolidlyStablePool, SolidlyVolatilePool, UniswapV3Pool
from keeper.market.venues.tick_math import get_sqrt_ratio_at_tick, get_tick_at_sqrt_ratio
from keeper.replica import addresses
from keeper.replica.abi import call_data
from tests.conftest import RunningReplica
from tests.feeds.router_calls import KINDS, NEVER, Draw, RouterCall
from tests.market.chain import v3_pool
from tests.market.drawn import VARIABLE
from tests.replica.chain import Chain

TRADER = addresses.TRADERS[0]
ANY = 2**256 - 1
DECODE = Decoder(mainnet())
CALLS = 4 * int(os.environ.get(VARIABLE, "1"))
"""Of each kind."""


class Site:
    """The chain, and the states that we have of its pools."""

    def __init__(self, replica: RunningReplica) -> None:
        self.replica = replica
        self.specs = read_pool_specs(replica.state.pools_path)
        self.specs += [
            PoolSpec.from_json(entry)
            for entry in replica.state.other_pools()
            if entry["venue"] in ("uniswap_v4", "solidly_volatile", "solidly_stable")
        ]
        self.pools = self.read(self.specs)
        chain = Chain(replica)
        for token in replica.tokens.values():
            for spender in (addresses.SWAP_ROUTER.address, addresses.PERMIT2):
                chain.execute(token["address"], "approve(address,uint256)", spender, ANY, sender=TRADER)
            allow = (token["address"], addresses.UNIVERSAL_ROUTER, 2**160 - 1, NEVER)
            chain.execute(addresses.PERMIT2, "approve(address,address,uint160,uint48)", *allow, sender=TRADER)
        replica.rpc("anvil_setBalance", TRADER, hex(10**24))
        self.chain = chain

    def read(self, specs: list[PoolSpec]) -> dict[Address, Pool]:
        async def work() -> dict[Address, Pool]:
            async with Node(self.replica.http_url) as node:
                return await load_pools(node, specs, await node.block())

        return self.replica.background.run(work())

    def send(self, call: RouterCall) -> bool:
        """Whether it succeeded."""
        transaction = {
            "from": TRADER,
            "to": call.to,
            "data": "0x" + call.data.hex(),
            "value": hex(call.value),
            "gas": hex(2**24),
        }
        receipt: dict[str, Any] = self.replica.rpc("eth_sendTransactionSync", transaction)
        return receipt["status"] == "0x1"


@pytest.fixture(scope="module")
def site(replica: RunningReplica) -> Site:
    return Site(replica)


def pending(call: RouterCall, sender: Address = TRADER) -> PendingTransaction:
    return PendingTransaction(
        hash=Hash32("0x" + "00" * 32),
        sender=sender,
        to=call.to,
        nonce=0,
        value=Wei(call.value),
        data=call.data,
        gas=2**24,
        max_fee=Wei(0),
        priority_fee=Wei(0),
        seen_at=0,
    )


def intend(call: RouterCall) -> Intent:
    intent = DECODE(pending(call))
    assert isinstance(intent, Intent), (call, intent)
    return intent


def predict(site: Site, call: RouterCall, **other: Any) -> Effect:
    return apply_intent(site.pools, intend(call), **{"timestamp": NEVER - 1, **other})


@pytest.mark.parametrize("kind", sorted({kind.__name__ for kind in KINDS}))
def test_the_states_after_a_call_are_those_that_were_predicted(site: Site, kind: str) -> None:
    (make,) = {one for one in KINDS if one.__name__ == kind}
    draw = Draw(Random(kind), site.pools, TRADER)
    outcomes: Counter[bool] = Counter()
    for _ in range(CALLS):
        call = make(draw)
        effect = predict(site, call)
        while effect.reason is not None and "more gas" in effect.reason:
            call = make(draw)
            effect = predict(site, call)
        assert effect.certain, (call, effect.reason)
        assert site.send(call) == (effect.reason is None), (call, effect.reason)
        touched = [
            spec for spec in site.specs if spec.key in {hop.pool for swap in intend(call).swaps for hop in swap.hops}
        ]
        assert touched
        expected = {spec.key: effect.pools.get(spec.key, site.pools[spec.key]) for spec in touched}
        assert site.read(touched) == expected, call
        assert {fill.swap for fill in effect.fills} <= set(intend(call).swaps)
        site.pools.update(effect.pools)
        outcomes[effect.reason is None] += 1
    assert outcomes[True] >= CALLS // 2


def test_nothing_but_what_was_predicted_has_changed(site: Site) -> None:
    """After all of the calls above, in whatever order they ran."""
    assert site.read(site.specs) == site.pools


def test_what_would_revert_changes_nothing_and_says_why(site: Site) -> None:
    draw = Draw(Random(1), site.pools, TRADER)
    calls = (call for call in iter(draw.call, None) if call.kind == "universal v2 in")
    call = next(call for call in calls if predict(site, call).reason is None)
    late = predict(site, call, timestamp=NEVER + 1)
    assert (late.pools, late.reason, late.certain) == ({}, "its deadline has passed", True)
    refused = next(call for call in calls if predict(site, call).reason is not None)
    effect = predict(site, refused)
    assert (effect.pools, effect.fills, effect.certain) == ({}, (), True)
    assert str(2**120) in str(effect.reason)


def test_a_pool_that_is_not_known_makes_the_effect_unknown(site: Site) -> None:
    draw = Draw(Random(2), site.pools, TRADER)
    call = next(call for call in iter(draw.call, None) if call.kind == "second exactInput")
    intent = intend(call)
    missing = intent.swaps[0].hops[-1].pool
    rest = {key: pool for key, pool in site.pools.items() if key != missing}
    effect = apply_intent(rest, intent, timestamp=0)
    assert (effect.pools, effect.certain) == ({}, False)
    assert missing in str(effect.reason)


def test_the_preceding_block_has_to_be_the_one_that_is_named(site: Site) -> None:
    draw = Draw(Random(3), site.pools, TRADER)
    calls = (call for call in iter(draw.call, None) if call.kind == "universal v3 in")
    call = next(call for call in calls if predict(site, call).reason is None)
    named = replace(intend(call), previous_block=Hash32("0x" + "11" * 32))
    assert apply_intent(site.pools, named, timestamp=0, parent=named.previous_block).reason is None
    other = apply_intent(site.pools, named, timestamp=0, parent=Hash32("0x" + "22" * 32))
    assert (other.pools, other.certain) == ({}, True)
    assert not apply_intent(site.pools, named, timestamp=0).certain


@pytest.mark.parametrize("kind", [VenueKind.SOLIDLY_VOLATILE, VenueKind.SOLIDLY_STABLE])
def test_a_solidly_pool_after_a_swap(site: Site, kind: VenueKind) -> None:
    (spec,) = [spec for spec in site.specs if spec.venue is kind]
    for number in range(6):
        pool = site.pools[spec.key]
        assert isinstance(pool, SolidlyVolatilePool | SolidlyStablePool)
        token_in = (pool.token0, pool.token1)[number % 2]
        amount = pool.spot_liquidity(token_in) // (7 + 90 * number)
        after, paid = pool.after_swap(token_in, amount)
        outs = (0, paid) if token_in == pool.token0 else (paid, 0)
        site.chain.execute(token_in, "transfer(address,uint256)", pool.address, amount, sender=TRADER)
        site.chain.execute(pool.address, "swap(uint256,uint256,address,bytes)", *outs, TRADER, b"", sender=TRADER)
        assert site.read([spec]) == {spec.key: after}
        site.pools[spec.key] = after


def test_a_way_through_all_ticks_is_cut_short() -> None:
    """Nobody pays for the gas that it takes, but anybody may ask for it, in every step of a long plan."""
    pool = v3_pool(spacing=1, fee_pips=100, positions=[(-887_272, 887_272, 10**9)])
    hop = SwapHop(pool.token0, pool.token1, 100, pool.key)
    ends = {"payer": TRADER, "recipient": TRADER, "limit": 0}
    swap = IntendedSwap(VenueKind.UNISWAP_V3, "uniswap_v3", (hop,), True, 10**30, **ends)
    back = replace(swap, hops=(replace(hop, token_in=hop.token_out, token_out=hop.token_in),))
    effect = apply_swaps({pool.key: pool}, (swap, back) * 128)
    assert (effect.pools, effect.certain) == ({}, False)
    assert "more gas" in str(effect.reason)
    near = apply_swaps({pool.key: pool}, (replace(swap, amount=10**6),))
    assert near.reason is None


def test_the_tick_after_a_swap_that_ends_at_a_tick_is_the_contracts(site: Site) -> None:
    """At a tick's very price ``slot0`` names the tick below after a swap down, and a swap too small leaves it so."""
    types = "((address,address,uint24,address,uint256,uint256,uint160))"
    edges = 0
    for spec in [spec for spec in site.specs if spec.venue is VenueKind.UNISWAP_V3][:6]:
        for down in (True, False):
            pool = site.pools[spec.key]
            assert isinstance(pool, UniswapV3Pool)
            ticks = [tick for tick in pool.tick_indices if (tick < pool.tick if down else tick > pool.tick)]
            edge = max(ticks) if down else min(ticks)
            tokens = (pool.token0, pool.token1) if down else (pool.token1, pool.token0)
            # past the edge's price by nothing, then a unit that the fee takes whole, then as little the other way
            for order in (
                (*tokens, pool.fee_pips, TRADER, 2**100, 0, get_sqrt_ratio_at_tick(edge)),
                (*tokens, pool.fee_pips, TRADER, 1, 0, 0),
                (*tokens[::-1], pool.fee_pips, TRADER, 1, 0, 0),
            ):
                call = RouterCall(
                    "edge", addresses.SWAP_ROUTER_02.address, call_data(f"exactInputSingle{types}", order)
                )
                effect = predict(site, call)
                assert effect.reason is None
                if effect.fills[0].amount_in > site.chain.balance(order[0], TRADER):
                    continue
                assert site.send(call)
                assert site.read([spec]) == {spec.key: effect.pools[spec.key]}
                site.pools.update(effect.pools)
                after = effect.pools[spec.key]
                assert isinstance(after, UniswapV3Pool)
                edges += after.tick != get_tick_at_sqrt_ratio(after.sqrt_price_x96)
    assert edges >= 4
