"""Access lists: what they name, when they are kept, and that the gas they save is predicted like all other gas."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes

from keeper.domain.chain import BlockHeader
from keeper.domain.errors import ComponentError
from keeper.domain.plan import AccessList
from keeper.domain.units import Address, Hash32, Wei
from keeper.execution.access_list import AccessLists, as_json, saves, without_warm
from keeper.market.node import Node, RpcError
from tests.execution.bytecode import EXECUTOR_ADDRESS, TOKEN_ADDRESS, executor_call
from tests.execution.site import (
    GWEI,
    OPERATOR,
    PROFIT,
    Chain,
    Socket,
    chain,
    desk,
    encode,
    first_pool,
    listening,
    relay_answer,
    result,
)
from tests.market.chain import header
from tests.routes import pool_address

SLOT_0, SLOT_1 = (Hash32(f"0x{number:064x}") for number in (0, 1))
EXECUTOR_SLOT = Hash32("0x" + "00" * 12 + EXECUTOR_ADDRESS[2:].lower())
"""Where the test's token keeps a balance: at the address itself."""
ADDRESS_SAVES, SLOT_SAVES, WRITTEN_SLOT_SAVES = 100, 100, 200


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Chain]:
    async with chain(tmp_path) as made:
        yield made


@pytest.fixture
async def relay() -> AsyncIterator[Socket]:
    async with listening(relay_answer) as socket:
        yield socket


def lists(node: Node) -> AccessLists:
    return AccessLists(node, operator=OPERATOR, executor=EXECUTOR_ADDRESS)


def call_of(number: int) -> bytes:
    return executor_call(pool_address(first_pool(number)), PROFIT)


async def test_a_list_names_what_is_touched_and_nothing_that_is_warm(site: Chain) -> None:
    pool = await site.pool(first_pool(1))
    head = await site.mine()
    (found,) = await lists(site.node).find([call_of(1)], head, GWEI)
    assert {address: set(slots) for address, slots in found} == {
        pool: {SLOT_0, SLOT_1},
        TOKEN_ADDRESS: {EXECUTOR_SLOT},
    }


async def test_a_call_that_reverts_has_none(site: Chain) -> None:
    await site.pool(first_pool(1), taken=1)
    await site.pool(first_pool(2))
    head = await site.mine()
    taken, free = await lists(site.node).find([call_of(1), call_of(2)], head, GWEI)
    assert taken == ()
    assert len(free) == 2


def test_warm_accounts_are_left_out() -> None:
    warm, cold = pool_address(0xAAAA), pool_address(0xBBBB)
    precompiles = [(pool_address(number), ()) for number in (1, 0x11, 0x100)]
    found: AccessList = ((warm, (SLOT_0,)), (cold, (SLOT_1,)), *precompiles)
    assert without_warm(found, {warm}) == ((cold, (SLOT_1,)),)
    assert [saves(*gas) for gas in ((10, 9), (10, 10), (10, 11), (None, 9), (10, None))] == [True, *[False] * 4]


async def test_what_is_predicted_with_a_list_is_what_lands(site: Chain, relay: Socket, tmp_path: Path) -> None:
    """Two plans in a block, with and without: the gas saved is that of the entries, and predicted to the unit."""
    gas: dict[bool, list[int]] = {}
    for listed in (True, False):
        await site.rpc("anvil_setStorageAt", TOKEN_ADDRESS, EXECUTOR_SLOT, "0x" + "00" * 31 + "01")
        options = {"access_lists": lists(site.node)} if listed else {}
        async with desk(site.node, site.url, [relay.url], tmp_path, **options) as trader:
            found = await site.opportunities([10 * listed + 1, 10 * listed + 2])
            plans, fates = await trader.execution.prepare(found, await site.head())
            assert [fate.reason for fate in fates] == ["proven"] * 2
            assert [fate.details["access_list"] for fate in fates] == [5 * listed] * 2  # entries: 2 contracts, 3 slots
            signed, _ = await trader.execution.sign(plans)
            for one in signed:
                fields = TypedTransaction.from_bytes(HexBytes(one.raw)).as_dict()
                assert len(fields["accessList"]) == 2 * listed
                await site.send_raw(one.raw)
            await trader.execution.send(signed)
            await site.mine()
            trades, _ = await trader.execution.settle(await site.event())
            assert [trade.gas_used for trade in trades] == [plan.prediction.gas_used for plan in plans]
            assert all(trade.matches_prediction for trade in trades)
            gas[listed] = [trade.gas_used for trade in trades]
    # a refund is a fifth of what was spent, so a saving shrinks with it
    saved = 2 * ADDRESS_SAVES + 2 * SLOT_SAVES + WRITTEN_SLOT_SAVES
    for without, with_list in zip(gas[False], gas[True], strict=True):
        assert saved * 4 // 5 <= without - with_list <= saved


class Planted:
    """A source of lists that names what no call touches."""

    def __init__(self, found: AccessList) -> None:
        self.found = found

    async def find(self, calls: Sequence[bytes], _head: BlockHeader, _base_fee: int) -> list[AccessList]:
        return [self.found] * len(calls)


async def test_a_list_that_costs_more_than_it_saves_is_dropped(site: Chain, relay: Socket, tmp_path: Path) -> None:
    useless: AccessList = ((pool_address(0xDEAD), (SLOT_0, SLOT_1)),)
    mixed: AccessList = (*useless, (pool_address(first_pool(1)), (SLOT_0, SLOT_1)))
    helpful: AccessList = ((pool_address(first_pool(1)), (SLOT_0, SLOT_1)),)
    for planted, kept in ((useless, ()), (mixed, ()), (helpful, helpful)):
        async with desk(site.node, site.url, [relay.url], tmp_path, access_lists=Planted(planted)) as trader:
            (plan,), _ = await trader.execution.prepare(await site.opportunities([1]), await site.head())
            assert plan.access_list == kept


async def test_a_node_without_the_method_is_asked_once(
    site: Chain, relay: Socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []
    request = site.node.request

    async def old_node(method: str, *params: object) -> Any:
        asked.append(method)
        if method == "eth_createAccessList":
            raise RpcError(-32601, "the method eth_createAccessList does not exist/is not available")
        return await request(method, *params)

    monkeypatch.setattr(site.node, "request", old_node)
    async with desk(site.node, site.url, [relay.url], tmp_path, access_lists=lists(site.node)) as trader:
        for number in (1, 2):
            with caplog.at_level(logging.WARNING):
                plans, fates = await trader.execution.prepare(await site.opportunities([number]), await site.head())
            assert [fate.reason for fate in fates] == ["proven"]
            assert plans[0].access_list == ()
    assert asked.count("eth_createAccessList") == 1
    assert caplog.text.count("without access lists") == 1


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"accessList": 1}, {"accessList": [{}]}, {"accessList": [{"address": "0x1"}]}]
)
async def test_rubbish_is_told(answer: Any) -> None:
    async with listening(result(answer)) as socket, Node(socket.url) as node:
        with pytest.raises(ComponentError, match="eth_createAccessList"):
            await lists(node).find([b""], header(7), GWEI)


async def test_the_guard_of_the_parent_is_left_out_where_it_cannot_hold(
    site: Chain, relay: Socket, tmp_path: Path
) -> None:
    """What is sent is bound to the head; what the node is asked about runs on the head itself, and is not."""
    guards: list[Hash32 | None] = []

    def noting(route: Any, financing: Any, **options: Any) -> bytes:
        guards.append(options["parent_hash"])
        return encode(route, financing, **options | {"parent_hash": None})

    options = {"parent_guard": True, "access_lists": lists(site.node)}
    async with desk(site.node, site.url, [relay.url], tmp_path, encoder=noting, **options) as trader:
        plans, _ = await trader.execution.prepare(await site.opportunities([1]), await site.head())
        head = await site.head()
    assert plans[0].access_list
    assert guards == [head.hash, None]
    async with desk(site.node, site.url, [relay.url], tmp_path, encoder=noting) as trader:
        await trader.execution.prepare(await site.opportunities([2]), await site.head())
    assert guards[2:] == [None]


def test_a_list_as_json() -> None:
    one: AccessList = ((Address(TOKEN_ADDRESS), (SLOT_1,)),)
    assert as_json(one) == [{"address": TOKEN_ADDRESS, "storageKeys": [SLOT_1]}]
    assert as_json(()) == []
    fields = {"type": 2, "chainId": 1, "nonce": 0, "to": TOKEN_ADDRESS, "gas": 10**5, "value": 0, "data": b""}
    price = {"maxFeePerGas": Wei(1), "maxPriorityFeePerGas": Wei(1)}
    empty = Account.from_key("0x" + "11" * 32).sign_transaction(fields | price | {"accessList": as_json(())})
    none = Account.from_key("0x" + "11" * 32).sign_transaction(fields | price)
    assert empty.raw_transaction == none.raw_transaction  # no list at all is an empty list
