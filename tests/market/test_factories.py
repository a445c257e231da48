"""Pools found by the events of their factories: on the replica, and on a node that answers narrow ranges alone."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from eth_abi import encode

from keeper.domain.errors import ComponentError, InputError
from keeper.domain.token import VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address, to_address
from keeper.market.factories import LARGEST_SPAN, Factory, FactoryKind, discover, read_factories
from keeper.market.loader import load_pools
from keeper.market.node import Node, RpcError
from keeper.market.specs import PoolSpec
from keeper.market.venues import Pool
from keeper.replica import addresses
from tests.conftest import RunningReplica
from tests.market import balancer_site, balancer_v3_site
from tests.market.chain import TOKEN0, TOKEN1, address, block_hash, header, word
from tests.market.json_rpc_server import Refusal, json_rpc_server
from tests.replica.chain import Chain

KEY = "(address,address,uint24,int24,address)"
HOOKS = address(0x80)
"""An address whose last bits ask for one callback."""


def find(replica: RunningReplica, factory: Factory) -> tuple[list[PoolSpec], dict[Address, Pool]]:
    """The pools that the factory named, and the states of those that have one."""

    async def work() -> tuple[list[PoolSpec], dict[Address, Pool]]:
        async with Node(replica.http_url) as node:
            head = await node.block()
            specs = await discover(node, factory, factory.first_block, head)
            return specs, await load_pools(node, specs, head)

    return replica.background.run(work())


def factory(kind: str, contract: Address, first_block: int, fee_pips: int = 0) -> Factory:
    return Factory(contract, FactoryKind(kind), f"dex of {kind}", first_block, fee_pips)


def test_pools_are_found_by_the_events_of_every_kind_of_factory(replica: RunningReplica) -> None:
    chain = Chain(replica)
    token = {symbol: entry["address"] for symbol, entry in replica.tokens.items()}
    pair = sorted((token["UNI"], token["AAVE"]), key=lambda one: int(one, 16))
    first = int(replica.rpc("eth_blockNumber"), 16) + 1

    chain.execute(addresses.UNISWAP_V2_FACTORY.address, "createPair(address,address)", *pair)
    v3 = addresses.UNISWAP_V3_FACTORY.address
    chain.execute(v3, "createPool(address,address,uint24)", *pair, 500)
    chain.execute(v3, "createPool(address,address,uint24)", *pair, 10_000)
    pancake = addresses.PANCAKE_V3_FACTORY
    chain.execute(pancake, "createPool(address,address,uint24)", *pair, 2500)
    manager = addresses.POOL_MANAGER
    for fee, hooks in ((3000, ZERO_ADDRESS), (0x800000, HOOKS)):
        key = (*pair, fee, 60, hooks)
        chain.replica.rpc("anvil_setCode", HOOKS, "0x63dc98354e60e01b60005260206000f3")
        chain.execute(manager, f"initialize({KEY},uint160)", key, 1 << 96)
    (volatile,) = (one for one in replica.state.other_pools() if one["venue"] == "solidly_volatile")
    solidly = to_address(chain.read(volatile["address"], "factory()", "address"), "factory")
    for stable in (False, True):
        chain.execute(solidly, "createPool(address,address,bool)", *pair, stable)

    (spec,), pools = find(replica, factory("uniswap_v2", addresses.UNISWAP_V2_FACTORY.address, first, 3000))
    assert (spec.venue, spec.token0, spec.token1, spec.fee_pips) == (VenueKind.UNISWAP_V2, *pair, 3000)
    assert pools[spec.key].dex == "dex of uniswap_v2"

    specs, pools = find(replica, factory("uniswap_v3", v3, first))
    assert [(spec.fee_pips, spec.tick_spacing) for spec in specs] == [(500, 10), (10_000, 200)]
    assert [spec.key for spec in specs] == list(pools)

    (spec,), pools = find(replica, factory("pancakeswap_v3", pancake, first))
    assert (pools[spec.key].venue, pools[spec.key].fee_pips) == (VenueKind.PANCAKESWAP_V3, 2500)

    (spec,), pools = find(replica, factory("uniswap_v4", manager, first))
    assert (spec.address, pools[spec.key].fee_pips) == (manager, 3000)

    specs, pools = find(replica, factory("solidly", solidly, first))
    kinds = [VenueKind.SOLIDLY_VOLATILE, VenueKind.SOLIDLY_STABLE]
    assert [spec.venue for spec in specs] == [pools[spec.key].venue for spec in specs] == kinds


def test_pools_of_the_vaults_tell_what_they_are(fresh_replica: RunningReplica) -> None:
    first = int(fresh_replica.rpc("eth_blockNumber"), 16) + 1
    v2 = balancer_site.build(fresh_replica)
    specs, pools = find(fresh_replica, factory("balancer_v2", addresses.BALANCER_VAULT, first))
    wanted = [*v2.weighted, v2.stable]
    assert [(spec.address, spec.venue) for spec in specs] == [(spec.address, spec.venue) for spec in wanted]
    assert pools.keys() == {spec.address for spec in wanted}

    v3 = balancer_v3_site.build(fresh_replica)
    specs, _ = find(fresh_replica, factory("balancer_v3", balancer_v3_site.VAULT, first))
    wanted = [*v3.weighted, v3.stable, v3.rated]
    assert [(spec.address, spec.venue) for spec in specs] == [(spec.address, spec.venue) for spec in wanted]


def created(number: int) -> dict[str, Any]:
    """A ``PairCreated`` in the block of this number."""
    topic = "0x0d3648bd0f6ba80134a33ba9275ac585d9d315f0ad8355cddefde31afa28d0e9"
    return {
        "address": addresses.SUSHI_FACTORY.address,
        "topics": [topic, *("0x" + word(int(token, 16)).hex() for token in (TOKEN0, TOKEN1))],
        "data": "0x" + encode(["address", "uint256"], [address(number), 1]).hex(),
        "blockNumber": hex(number),
        "blockHash": block_hash(number),
        "transactionHash": block_hash(number, "transaction"),
        "transactionIndex": "0x0",
        "logIndex": "0x0",
    }


SUSHI = factory("uniswap_v2", addresses.SUSHI_FACTORY.address, 1000, 3000)


async def test_ranges_become_as_wide_as_the_node_answers() -> None:
    asked: list[tuple[int, int]] = []

    async def answer(_method: str, params: list[Any]) -> object:
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        if last - first >= 5_000 or (first <= 100_000 <= last and last - first > 50):
            raise Refusal(-32005, "query returned more than 10000 results")
        asked.append((first, last))
        return [created(number) for number in (2_500, 99_990, 100_000, 100_010, 149_999) if first <= number <= last]

    steps: list[tuple[str, int, int]] = []
    async with json_rpc_server(answer) as url, Node(url) as node:
        specs = await discover(node, SUSHI, 1000, header(150_000), progress=lambda *step: steps.append(step))
    assert [spec.address for spec in specs] == [address(n) for n in (2_500, 99_990, 100_000, 100_010, 149_999)]
    assert asked[0] == (1000, 2999)
    assert asked[-1][1] == 150_000
    for (_, end), (start, _) in pairwise(asked):
        assert start == end + 1, "no block is left out and none is asked twice"
    assert len(asked) < 200
    assert steps[-1] == ("dex of uniswap_v2", 149_001, 149_001)
    assert LARGEST_SPAN > 5_000


async def test_a_node_that_does_not_answer_for_one_block_is_believed() -> None:
    asked = 0

    async def answer(_method: str, _params: list[Any]) -> object:
        nonlocal asked
        asked += 1
        raise Refusal(-32000, "missing trie node")

    async with json_rpc_server(answer) as url, Node(url) as node:
        with pytest.raises(RpcError, match="missing trie node"):
            await discover(node, SUSHI, 1000, header(9000))
    assert asked < 10


async def test_events_of_others_or_of_other_blocks_are_not_taken() -> None:
    for change in ({"address": address(9)}, {"blockNumber": "0x1"}):

        async def answer(_method: str, _params: list[Any], change: dict[str, Any] = change) -> object:
            return [created(1000) | change]

        async with json_rpc_server(answer) as url, Node(url) as node:
            with pytest.raises(ComponentError, match="answered with others"):
                await discover(node, SUSHI, 1000, header(1000))


async def test_an_event_that_is_none_is_named() -> None:
    async def answer(_method: str, _params: list[Any]) -> object:
        return [created(1000) | {"data": "0x12"}]

    async with json_rpc_server(answer) as url, Node(url) as node:
        with pytest.raises(InputError, match=r"event of .*log\.data"):
            await discover(node, SUSHI, 1000, header(1000))


def entry(**changes: Any) -> dict[str, Any]:
    return {"address": address(1), "kind": "uniswap_v2", "dex": "x", "first_block": 5, "fee_pips": 3000, **changes}


def test_a_list_of_factories_is_read(tmp_path: Path) -> None:
    path = tmp_path / "factories.json"
    path.write_text(json.dumps([entry(), entry(address=address(2), kind="uniswap_v4", fee_pips=None)]))
    first, second = read_factories(path)
    assert first == Factory(address(1), FactoryKind.UNISWAP_V2, "x", 5, 3000)
    assert (second.kind, second.fee_pips) == (FactoryKind.UNISWAP_V4, 0)


@pytest.mark.parametrize(
    ("entries", "field"),
    [
        ([entry(kind="curve")], r"factories\.json\[0\]\.kind"),
        ([entry(first_block=-1)], r"factories\.json\[0\]\.first_block"),
        ([{**entry(), "fee_pips": 10**6}], r"factories\.json\[0\]\.fee_pips"),
        ([entry(), entry()], r"factories\.json"),
    ],
)
def test_a_bad_list_of_factories_is_refused(tmp_path: Path, entries: list[dict[str, Any]], field: str) -> None:
    path = tmp_path / "factories.json"
    path.write_text(json.dumps(entries))
    with pytest.raises(InputError, match=rf"^{field}: "):
        read_factories(path)
