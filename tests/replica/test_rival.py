"""The rival searcher: it wins some races, and loses those in which somebody pays more."""

from __future__ import annotations

from pathlib import Path

from keeper.domain.units import WAD, Address
from keeper.replica.block_builder import BundleFate
from keeper.replica.bundles import Bundle, SignedTransaction
from keeper.replica.pool_state import read_market
from keeper.replica.rival import Rival
from keeper.replica.service import WETH
from keeper.replica.state import ReplicaState
from keeper.replica.swaps import sign
from keeper.replica.traffic import trader_accounts
from tests.replica.live_setup import Live, live

BLOCKS = 16


async def _wealth(here: Live, owner: Address) -> int:
    tokens = tuple(token.address for token in here.tokens)
    state = await read_market(here.rpc, (), (owner,), tokens)
    assert all(balance == 0 for (_, token), balance in state.balances.items() if token != WETH)
    return state.balances[owner, WETH]


async def test_rival_lands_bundles_and_earns(replica_state: ReplicaState, tmp_path: Path) -> None:
    async with live(replica_state, tmp_path, rival=True) as here:
        rival = Rival(here.rpc, here.pools, seed=7, chain_id=1, weth=WETH)
        await here.service.run(1)
        before = await _wealth(here, rival.address)
        await here.service.run(BLOCKS)
        status = await here.service.status()
        assert BLOCKS // 5 <= status.bundles["landed"] < BLOCKS + 1  # it sits some blocks out
        assert status.bundles["landed"] == status.bundles_seen
        assert await _wealth(here, rival.address) > before
        assert before > 1_000 * WAD


async def test_the_higher_bid_wins_the_race(replica_state: ReplicaState, tmp_path: Path) -> None:
    """The same two swaps by another account, once below and once above the rival's bid: one of the two lands."""
    async with live(replica_state, tmp_path) as here:
        rival = Rival(here.rpc, here.pools, seed=7, chain_id=1, weth=WETH)
        for setup in await rival.start(10**9):
            here.service.take_private(setup, None)
        builder, pool = here.service.builder, here.service.pool
        theirs = None
        for _ in range(20):
            await here.service.run(1)
            theirs = next(iter(await rival.bundles(await builder.next_block())), None)
            if theirs is not None:
                break
        assert theirs is not None
        offer = theirs.transactions[0].max_tip
        for tip, winner in ((offer // 2, "rival"), (2 * offer, "other")):
            context = await builder.next_block()
            snapshot = await here.rpc("evm_snapshot")
            pool.add(Bundle(theirs.transactions, context.number, theirs.signer))
            ours = await _copy(here, theirs, tip)
            pool.add(Bundle(ours, context.number, ours[0].sender))
            block = await builder.build(context, ())
            fates = {outcome.signer: outcome for outcome in block.bundles}
            lost = fates[ours[0].sender if winner == "rival" else theirs.signer]
            won = fates[theirs.signer if winner == "rival" else ours[0].sender]
            assert won.fate is BundleFate.LANDED
            assert lost.fate is BundleFate.DROPPED
            assert lost.reason.startswith("outbid:")
            assert "INSUFFICIENT_OUTPUT_AMOUNT" in lost.reason
            await here.rpc("evm_revert", snapshot)
            await here.rpc("anvil_dropAllTransactions")


async def _copy(here: Live, bundle: Bundle, tip: int) -> tuple[SignedTransaction, ...]:
    trader = trader_accounts()[0]
    nonce = int(await here.rpc("eth_getTransactionCount", trader.address, "latest"), 16)
    return tuple(
        sign(
            trader,
            1,
            nonce + index,
            tx.to or WETH,
            bytes.fromhex(tx.request["input"][2:]).replace(
                bytes.fromhex(bundle.signer[2:]), bytes.fromhex(trader.address[2:])
            ),
            gas=tx.gas,
            tip=tip,
            max_fee=tx.max_fee + tip,
        )
        for index, tx in enumerate(bundle.transactions)
    )
