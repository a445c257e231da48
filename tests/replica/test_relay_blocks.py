"""The builder: bundles come first and in order of what they pay, what fails is dropped, and nothing else is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from eth_account import Account

from keeper.domain.errors import ComponentError
from keeper.replica.anvil import Anvil
from keeper.replica.block_builder import BUILDER_ADDRESS, BundleFate
from keeper.replica.swaps import GWEI
from tests.conftest import BackgroundLoop
from tests.replica.relay_setup import ALICE, BOB, CAROL, GATE, PAYER, REVERTER, Site, bare_node, site, tx

POOR = Account.from_key("0x" + "77" * 32)
IMPERSONATED = "0x00000000000000000000000000000000000abCDe"


@pytest.fixture(scope="module")
def node(background: BackgroundLoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    with bare_node(background, tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.fixture
async def here(node: Anvil) -> AsyncIterator[Site]:
    async with site(node) as opened:
        yield opened


async def test_bundles_come_first_by_what_they_pay_per_gas(here: Site) -> None:
    public = tx(CAROL, 0, PAYER, tip=90 * GWEI)
    await here.rpc("eth_sendRawTransaction", public.raw_hex)
    block = await here.coming()
    low = tx(ALICE, 0, BOB.address, tip=2 * GWEI)
    high = tx(BOB, 0, PAYER, tip=GWEI, value=10**15)  # pays directly what its tip does not say
    await here.send([low], block)
    await here.send([high], block)
    built = await here.build()
    assert built.transactions == (high.hash, low.hash, public.hash)
    assert {outcome.fate for outcome in built.bundles} == {BundleFate.LANDED}
    mined = await here.rpc("eth_getBlockByNumber", hex(block), False)
    assert mined["miner"] == BUILDER_ADDRESS.lower()
    assert mined["transactions"] == list(built.transactions)


async def test_equal_bids_are_ordered_by_hash_whatever_came_first(here: Site) -> None:
    bundles = [tx(account, 0, CAROL.address) for account in (ALICE, BOB)]
    orders = []
    for arrivals in (bundles, bundles[::-1]):
        for one in arrivals:
            await here.send([one], await here.coming())
        snapshot = await here.rpc("evm_snapshot")
        orders.append((await here.build()).transactions)
        await here.rpc("evm_revert", snapshot)
        await here.rpc("anvil_dropAllTransactions")
    assert orders[0] == orders[1]
    assert len(orders[0]) == 2


async def test_the_lower_bid_for_the_same_state_is_dropped(here: Site) -> None:
    block = await here.coming()
    poor, rich = tx(ALICE, 0, GATE, tip=GWEI), tx(BOB, 0, GATE, tip=3 * GWEI)
    await here.send([poor], block)
    await here.send([rich], block)
    built = await here.build()
    assert built.transactions == (rich.hash,)
    lost = next(outcome for outcome in built.bundles if outcome.fate is BundleFate.DROPPED)
    assert lost.reason.startswith("outbid:")
    assert poor.hash in lost.reason
    assert len(here.pool) == 0


async def test_reverting_bundle_is_dropped_whole_unless_it_may_revert(here: Site) -> None:
    txs = [tx(ALICE, 0, PAYER), tx(ALICE, 1, REVERTER)]
    await here.send(txs, await here.coming())
    built = await here.build()
    assert built.transactions == ()
    assert "no luck" in built.bundles[0].reason
    await here.send(txs, await here.coming(), revertingTxHashes=[txs[1].hash])
    built = await here.build()
    assert built.transactions == tuple(one.hash for one in txs)
    assert built.reverted == {txs[1].hash}


async def test_timestamps_bound_a_bundle(here: Site) -> None:
    context = await here.builder.next_block()
    one = tx(ALICE, 0, PAYER)
    await here.send([one], context.number, minTimestamp=context.timestamp + 1)
    await here.send([one], context.number, maxTimestamp=context.timestamp - 1)
    built = await here.build()
    assert built.transactions == ()
    assert sorted(outcome.reason.split(" is ")[1].split()[0] for outcome in built.bundles) == ["after", "before"]
    await here.send([one], context.number + 1, minTimestamp=context.timestamp, maxTimestamp=context.timestamp + 12)
    assert (await here.build()).transactions == (one.hash,)


async def test_bundle_takes_the_place_of_a_public_transaction_with_its_nonce(here: Site) -> None:
    public, later = tx(ALICE, 0, PAYER, value=1), tx(ALICE, 1, PAYER, value=2)
    for one in (public, later):
        await here.rpc("eth_sendRawTransaction", one.raw_hex)
    private = tx(ALICE, 0, PAYER, value=3)
    await here.send([private], await here.coming())
    assert (await here.build()).transactions == (private.hash, later.hash)


async def test_bundle_may_contain_a_public_transaction(here: Site) -> None:
    target, back = tx(ALICE, 0, PAYER, tip=GWEI), tx(BOB, 0, PAYER, tip=2 * GWEI)
    await here.rpc("eth_sendRawTransaction", target.raw_hex)
    await here.send([target, back], await here.coming())
    assert (await here.build()).transactions == (target.hash, back.hash)


async def test_nothing_that_users_sent_is_lost(here: Site) -> None:
    """Raw, from an unlocked account and impersonated, one waiting for its turn: all keep their hashes and land."""
    await here.rpc("anvil_setBalance", IMPERSONATED, hex(10**20))
    raw = tx(ALICE, 0, PAYER)
    waiting = tx(BOB, 1, PAYER)
    hashes = [
        await here.rpc("eth_sendRawTransaction", raw.raw_hex),
        await here.rpc("eth_sendRawTransaction", waiting.raw_hex),
        await here.rpc(
            "eth_sendTransaction", {"from": IMPERSONATED, "to": ALICE.address, "value": "0x1", "gas": hex(21_000)}
        ),
        await here.rpc("eth_sendTransaction", {"from": CAROL.address, "data": "0x6001600055", "gas": hex(100_000)}),
        await here.rpc(
            "eth_sendTransaction",
            {"from": CAROL.address, "to": PAYER, "gas": hex(60_000), "gasPrice": hex(50 * GWEI)},
        ),
    ]
    await here.send([tx(BOB, 0, PAYER, value=9)], await here.coming())
    built = await here.build()
    assert set(hashes) < set(built.transactions)
    assert not built.reverted
    assert (await here.rpc("txpool_status")) == {"pending": "0x0", "queued": "0x0"}


async def test_public_transactions_are_ordered_by_tip_within_nonces(here: Site) -> None:
    first, second = tx(ALICE, 0, PAYER, tip=GWEI), tx(ALICE, 1, PAYER, tip=9 * GWEI)
    other, private = tx(BOB, 0, PAYER, tip=2 * GWEI), tx(CAROL, 0, PAYER, tip=3 * GWEI)
    for one in (first, second, other):
        await here.rpc("eth_sendRawTransaction", one.raw_hex)
    built = await here.builder.build(await here.builder.next_block(), [private])
    assert built.transactions == (private.hash, other.hash, first.hash, second.hash)


async def test_time_and_fee_follow_from_the_parent(here: Site) -> None:
    one = await here.builder.next_block()
    first = await here.builder.build(one, ())
    second = await here.build()
    assert (first.timestamp, second.timestamp) == (one.timestamp, one.timestamp + 12)
    assert first.base_fee == one.base_fee
    assert second.base_fee == first.base_fee - first.base_fee // 8  # an empty block


async def test_a_foreign_miner_is_noticed(here: Site) -> None:
    context = await here.builder.next_block()
    await here.send([tx(ALICE, 0, PAYER)], context.number)
    await here.rpc("evm_setAutomine", True)
    with pytest.raises(ComponentError, match="block builder"):
        await here.builder.build(context, ())


async def test_what_arrives_during_the_build_stands_behind_the_bundles(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled, intruder = tx(ALICE, 0, PAYER), tx(BOB, 0, PAYER, tip=50 * GWEI)
    await here.send([bundled], await here.coming())
    submit = here.builder._submit_bundles

    async def submit_too_late(*arguments: Any) -> Any:
        await here.rpc("eth_sendRawTransaction", intruder.raw_hex)
        return await submit(*arguments)

    monkeypatch.setattr(here.builder, "_submit_bundles", submit_too_late)
    assert (await here.build()).transactions == (bundled.hash, intruder.hash)


async def test_bundle_that_the_node_refuses_does_not_take_others_with_it(here: Site) -> None:
    """The node's pool looks at balances before the block: it does not take money that an earlier transaction brings."""
    block = await here.coming()
    gift = tx(ALICE, 0, POOR.address, tip=9 * GWEI, value=10**18)
    spent = tx(POOR, 0, PAYER, tip=9 * GWEI)
    other = tx(BOB, 0, PAYER)
    await here.send([gift, spent], block)
    await here.send([other], block)
    built = await here.build()
    assert built.transactions == (other.hash,)
    refused = next(outcome for outcome in built.bundles if outcome.fate is BundleFate.DROPPED)
    assert "nsufficient funds" in refused.reason
