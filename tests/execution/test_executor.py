"""From opportunity to outcome on a real node: what is simulated is what is mined, to the wei and to the gas."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper.domain.errors import InputError
from keeper.domain.opportunity import Fate
from keeper.domain.trade import TradeStatus
from keeper.execution.gas import next_base_fee
from keeper.execution.signer import SignedPlan
from tests.execution.site import (
    GWEI,
    OPERATOR,
    PROFIT,
    Chain,
    Desk,
    Socket,
    chain,
    desk,
    encode,
    first_pool,
    listening,
    relay_answer,
)
from tests.routes import USDC, loop, opportunity


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Chain]:
    async with chain(tmp_path) as made:
        yield made


@pytest.fixture
async def relay() -> AsyncIterator[Socket]:
    async with listening(relay_answer) as socket:
        yield socket


@pytest.fixture
async def trader(site: Chain, relay: Socket, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(site.node, site.url, [relay.url], tmp_path) as made:
        yield made


async def submit(trader: Desk, site: Chain, numbers: list[int], profits: list[int] | None = None) -> list[SignedPlan]:
    found = await site.opportunities(numbers, profits)
    plans, fates = await trader.execution.prepare(found, await site.head())
    assert [fate.reason for fate in fates] == ["proven"] * len(numbers)
    signed, fates = await trader.execution.sign(plans)
    assert [fate.reason for fate in fates] == ["sent"] * len(numbers)
    await trader.execution.send(signed)
    return signed


async def test_what_is_predicted_is_what_lands(site: Chain, trader: Desk, relay: Socket) -> None:
    """Several blocks of several plans that depend on each other: the first into an empty balance pays more gas."""
    for block in range(3):
        numbers = [10 * block + offset for offset in (1, 2, 3, 4)]
        before = len(relay.requests)
        signed = await submit(trader, site, numbers, [PROFIT, 3 * PROFIT, 2 * PROFIT, 3 * PROFIT])
        bids = [one.plan.prediction.priority_fee for one in signed]
        assert bids == sorted(bids, reverse=True)
        assert min(bids) > 0
        assert [one.nonce for one in signed] == list(range(4 * block, 4 * block + 4))
        # each plan is a bundle of its own; the builder includes them by bid
        bundles = relay.calls("eth_sendBundle")[before:]
        assert {len(bundle[0]["txs"]) for bundle in bundles} == {1}
        assert {bundle[0]["replacementUuid"] for bundle in bundles} == {str(one.plan.opportunity.id) for one in signed}
        for one in signed:
            assert ["0x" + one.raw.hex()] in [bundle[0]["txs"] for bundle in bundles]
            await site.send_raw(one.raw)
        await site.mine()
        trades, fates = await trader.execution.settle(await site.event())
        assert [fate.fate for fate in fates] == [Fate.LANDED] * 4
        for trade in trades:
            predicted = trade.plan.prediction
            assert (trade.gross, trade.gas_used, trade.gas_cost) == (
                predicted.gross,
                predicted.gas_used,
                predicted.gas_cost,
            )
            assert trade.net == predicted.net > 0
            assert trade.matches_prediction
        assert trader.execution.pending == 0
        if block == 0:
            assert trades[0].gas_used - trades[1].gas_used == 17_100  # a balance that was zero


async def test_the_operator_pays_exactly_the_predicted_gas(site: Chain, trader: Desk) -> None:
    before = int(await site.rpc("eth_getBalance", OPERATOR, "latest"), 16)
    signed = await submit(trader, site, [1, 2])
    for one in signed:
        await site.send_raw(one.raw)
    await site.mine()
    after = int(await site.rpc("eth_getBalance", OPERATOR, "latest"), 16)
    assert before - after == sum(one.plan.prediction.gas_cost for one in signed)


async def test_a_rival_in_front_makes_a_revert_that_is_explained(site: Chain, trader: Desk) -> None:
    (signed,) = await submit(trader, site, [1])
    rival = await site.send_as_rival(signed.plan.opportunity.route.hops[0].pool)
    await site.send_raw(signed.raw)
    await site.mine()
    (trade,), (fate,) = await trader.execution.settle(await site.event())
    assert trade.status is TradeStatus.REVERTED
    assert trade.reason == fate.reason == "revert_pool_taken"
    assert fate.details["error"] == "PoolTaken(1)"
    assert fate.details["taken_by"] == rival
    assert trade.gross == 0
    assert trade.gas_cost == trade.gas_used * (signed.plan.prediction.base_fee + signed.plan.prediction.priority_fee)
    assert trade.net < 0


async def test_a_lost_race_names_the_winner(site: Chain, trader: Desk) -> None:
    (signed,) = await submit(trader, site, [1])
    rival = await site.send_as_rival(signed.plan.opportunity.route.hops[0].pool)
    await site.mine()
    (trade,), (fate,) = await trader.execution.settle(await site.event())
    assert (trade.status, trade.reason, trade.net, trade.block_number) == (TradeStatus.LOST, "lost_race", 0, None)
    assert fate.details["taken_by"] == rival
    assert fate.details["taken_pool"] == signed.plan.opportunity.route.hops[0].pool


async def test_plans_behind_a_lost_one_are_lost_by_the_nonce_gap(site: Chain, trader: Desk) -> None:
    first, second, third = await submit(trader, site, [1, 2, 3], [3 * PROFIT, 2 * PROFIT, PROFIT])
    await site.send_raw(first.raw)
    await site.mine()
    trades, _ = await trader.execution.settle(await site.event())
    assert [(trade.status, trade.reason) for trade in trades] == [
        (TradeStatus.LANDED, ""),
        (TradeStatus.LOST, "not_included"),
        (TradeStatus.LOST, "nonce_gap"),
    ]
    # the nonces come back with the next head
    (again,) = await submit(trader, site, [4])
    assert again.nonce == second.nonce < third.nonce


async def test_a_plan_waits_for_its_block(site: Chain, trader: Desk) -> None:
    await submit(trader, site, [1])
    event = await site.event()
    assert await trader.execution.settle(event) == ([], [])
    assert trader.execution.pending == 1


async def test_a_missed_block_is_made_up_for(site: Chain, trader: Desk) -> None:
    (signed,) = await submit(trader, site, [1])
    await site.send_raw(signed.raw)
    await site.mine()
    await site.mine()  # the keeper hears of this one only
    (trade,), _ = await trader.execution.settle(await site.event())
    assert trade.status is TradeStatus.LANDED
    assert trade.block_number == signed.plan.target_block


async def test_a_reorg_reopens_and_decides_again(site: Chain, trader: Desk) -> None:
    """Landed, dropped by a reorg, landed again in the other branch; then dropped for good."""
    (signed,) = await submit(trader, site, [1])
    snapshot = await site.rpc("evm_snapshot")
    await site.send_raw(signed.raw)
    first = await site.mine()
    (trade,), _ = await trader.execution.settle(await site.event())
    assert trade.status is TradeStatus.LANDED

    await site.rpc("evm_revert", snapshot)
    snapshot = await site.rpc("evm_snapshot")
    await site.rpc("anvil_dropAllTransactions")
    # the node does not take its next base fee back with the state
    await site.rpc("anvil_setNextBlockBaseFeePerGas", hex(signed.plan.prediction.base_fee))
    await site.send_raw(signed.raw)
    second = await site.mine(seconds=13)
    assert second.number == first.number
    assert second.hash != first.hash
    trades, fates = await trader.execution.settle(await site.event(reverted=[first.hash]))
    assert [fate.reason for fate in fates] == ["reopened_by_reorg", "unchanged_by_reorg"]
    assert [fate.fate for fate in fates] == [Fate.SUBMITTED, Fate.LANDED]
    assert trades == []

    await site.rpc("evm_revert", snapshot)
    await site.rpc("anvil_dropAllTransactions")
    third = await site.mine(seconds=14)
    (trade,), fates = await trader.execution.settle(await site.event(reverted=[second.hash]))
    assert (trade.status, trade.reason) == (TradeStatus.LOST, "not_included")
    assert [fate.fate for fate in fates] == [Fate.SUBMITTED, Fate.LOST]
    assert third.number == first.number
    # a reorg of blocks that decided nothing changes nothing
    assert await trader.execution.settle(await site.event(reverted=[first.hash])) == ([], [])


async def test_a_node_that_is_gone_leaves_plans_open(
    site: Chain, trader: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    (signed,) = await submit(trader, site, [1])
    await site.send_raw(signed.raw)
    await site.mine()
    event = await site.event()
    unknown = replace(event, header=replace(event.header, hash=event.header.parent_hash[:-2] + "00"))
    assert await trader.execution.settle(unknown) == ([], [])
    assert trader.execution.pending == 1
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    (trade,), _ = await trader.execution.settle(event)
    assert trade.status is TradeStatus.LANDED


async def test_a_bad_receipt_loses_nothing(
    site: Chain, trader: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await submit(trader, site, [1, 2])
    for one in (first, second):
        await site.send_raw(one.raw)
    await site.mine()
    event = await site.event()
    request = site.node.request

    async def lying(method: str, *params: Any) -> Any:
        answer = await request(method, *params)
        if params[:1] == (second.transaction_hash,):
            answer |= {"gasUsed": "plenty"}
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(site.node, "request", lying)
        (trade,), _ = await trader.execution.settle(event)
    assert (trade.transaction_hash, trade.status) == (first.transaction_hash, TradeStatus.LANDED)
    assert trader.execution.pending == 1
    assert "receipt.gasUsed" in caplog.text
    (trade,), _ = await trader.execution.settle(event)
    assert (trade.transaction_hash, trade.status) == (second.transaction_hash, TradeStatus.LANDED)


async def test_a_divergence_of_one_wei_stops_the_plan(site: Chain, relay: Socket, tmp_path: Path) -> None:
    """The pool of plan 2 pays one wei more than predicted: it goes, the others stay exact."""

    def off_by_one(route: Any, financing: Any, **options: Any) -> bytes:
        wrong = route.gross_profit == 2 * PROFIT
        return encode(route, financing, **options | {"min_profit": options["min_profit"] + wrong})

    async with desk(site.node, site.url, [relay.url], tmp_path, encoder=off_by_one) as trader:
        found = await site.opportunities([1, 2, 3], [PROFIT, 2 * PROFIT, 3 * PROFIT])
        plans, fates = await trader.execution.prepare(found, await site.head())
        assert {fate.opportunity_id: fate.reason for fate in fates} == {
            found[0].id: "proven",
            found[1].id: "simulation_diverged",
            found[2].id: "proven",
        }
        details = next(fate.details for fate in fates if fate.reason == "simulation_diverged")
        assert int(details["simulated"]) - int(details["predicted"]) == 1
        signed, _ = await trader.execution.sign(plans)
        for one in signed:
            await site.send_raw(one.raw)
        await site.mine()
        await trader.execution.send(signed)
        trades, _ = await trader.execution.settle(await site.event())
        assert [trade.matches_prediction for trade in trades] == [True, True]


async def test_reasons_of_refusal(site: Chain, relay: Socket, tmp_path: Path) -> None:
    def picky(route: Any, financing: Any, **options: Any) -> bytes:
        if route.gross_profit == 7:
            raise InputError("route", 7, "Choose another.")
        return encode(route, financing, **options)

    async with desk(site.node, site.url, [relay.url], tmp_path, encoder=picky, min_net=PROFIT) as trader:
        # 1 good, 2 taken by somebody, 3 does not pay its gas, 4 pays too little
        good, taken, poor, small = await site.opportunities([1, 2, 3, 4], [2 * PROFIT, 2 * PROFIT, 1000, PROFIT])
        await site.pool(first_pool(2), taken=5)
        head = await site.mine()
        good, taken, poor, small = (replace(one, block_number=head.number) for one in (good, taken, poor, small))
        others = {
            "pool_of_better_plan": opportunity(loop((first_pool(1), 99), 5), block_number=head.number),
            "profit_not_in_wrapped_coin": opportunity(loop((50, 51), 5, token=USDC), block_number=head.number),
            "not_encodable": opportunity(loop((52, 53), 7), block_number=head.number),
            "unprofitable_after_loan_fee": opportunity(loop((54, 55), 0), block_number=head.number),
        }
        stale = opportunity(loop((60, 61), 5), block_number=head.number - 1)
        everything = [good, taken, poor, small, stale, *others.values()]
        plans, fates = await trader.execution.prepare(everything, head)
        assert [plan.opportunity for plan in plans] == [good]
        reasons = {fate.opportunity_id: fate.reason for fate in fates}
        assert len(reasons) == len(fates) == len(everything)
        assert reasons == {
            good.id: "proven",
            taken.id: "simulation_reverted",
            poor.id: "unprofitable_after_gas",
            small.id: "below_minimum_profit",
            stale.id: "stale_block",
            **{other.id: reason for reason, other in others.items()},
        }
        error = next(fate.details["error"] for fate in fates if fate.opportunity_id == taken.id)
        assert error == "revert_pool_taken: PoolTaken(5)"


async def test_an_operator_without_funds_is_told(site: Chain, trader: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await site.rpc("anvil_setBalance", OPERATOR, "0x1")
    plans, (fate,) = await trader.execution.prepare(await site.opportunities([1]), await site.head())
    assert plans == []
    assert (fate.fate, fate.reason) == (Fate.REJECTED, "operator_cannot_pay_gas")
    assert "refuses to simulate" in caplog.text


async def test_a_head_that_is_gone_is_refused(site: Chain, trader: Desk) -> None:
    """The simulation names its block by hash: after a reorg it fails rather than prove something else."""
    found = await site.opportunities([1])
    head = await site.head()
    gone = replace(head, hash=head.hash[:-4] + "dead")
    assert await trader.execution._nonces.first(head) == 0
    trader.execution._nonces._head = gone.hash  # as if it had been the head when the nonce was read
    plans, (fate,) = await trader.execution.prepare(found, gone)
    assert (plans, fate.reason) == ([], "simulation_refused")


async def test_order_and_bids_survive_gas_that_depends_on_the_order(site: Chain, trader: Desk) -> None:
    """Two equal plans: whichever comes first pays 17,100 gas more and so would bid less than the one behind it."""
    signed = await submit(trader, site, [1, 2])
    assert signed[0].plan.prediction.gas_used - signed[1].plan.prediction.gas_used == 17_100
    assert signed[0].plan.prediction.priority_fee == signed[1].plan.prediction.priority_fee > 0
    base = next_base_fee(await site.head())
    assert all(one.plan.max_fee == base + one.plan.prediction.priority_fee < 10**6 * GWEI for one in signed)


async def test_all_relays_refuse(site: Chain, tmp_path: Path) -> None:
    refusal = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"nonce too low"}}'
    async with (
        listening(lambda _h, _b: (200, refusal)) as relay,
        desk(site.node, site.url, [relay.url], tmp_path) as it,
    ):
        plans, _ = await it.execution.prepare(await site.opportunities([1]), await site.head())
        signed, _ = await it.execution.sign(plans)
        (fate,) = await it.execution.send(signed)
        assert (fate.fate, fate.reason) == (Fate.SUBMITTED, "refused_by_relays")
        assert fate.details["answers"][0]["error_code"] == -32000
        assert fate.details["answers"][0]["error_message"] == "nonce too low"
        await site.mine()
        (trade,), _ = await it.execution.settle(await site.event())
        assert (trade.status, trade.reason) == (TradeStatus.LOST, "refused_by_relays")


async def test_a_plan_that_is_not_sent_is_forgotten(site: Chain, trader: Desk, relay: Socket) -> None:
    plans, _ = await trader.execution.prepare(await site.opportunities([1]), await site.head())
    signed, _ = await trader.execution.sign(plans)
    trader.execution.forget(signed)
    await site.mine()
    assert await trader.execution.settle(await site.event()) == ([], [])
    assert relay.requests == []
