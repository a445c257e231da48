"""The real executor on the replica: every lender, both kinds of pool, predicted and mined to the wei and to the gas."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

from keeper.config import Mode
from keeper.domain.chain import BlockEvent, BlockHeader
from keeper.domain.opportunity import Fate, Opportunity, RiskClass
from keeper.domain.route import Hop, Route
from keeper.domain.token import LenderKind
from keeper.domain.trade import TradeStatus
from keeper.domain.units import WAD, Address, to_address
from keeper.execution.codec import encode
from keeper.execution.executor import AtomicExecution
from keeper.execution.kill_switch import KillSwitch
from keeper.execution.lenders import Lenders
from keeper.execution.nonce import NonceLeases
from keeper.execution.opcodes import LOANS
from keeper.execution.planner import PREFERENCE, Planner
from keeper.execution.relays import RelayAccount, Relays
from keeper.execution.revert import RevertDecoder
from keeper.execution.signer import Signer
from keeper.execution.simulate import Simulator
from keeper.execution.tracker import Tracker
from keeper.market.loader import load_pools, read_pool_specs
from keeper.market.node import Node
from keeper.market.venues.base import Pool
from tests.contracts.compiler import compile_sources, executor_sources
from tests.execution.site import OPERATOR, listening, relay_answer
from tests.routes import USDC, WETH

if TYPE_CHECKING:
    from tests.conftest import RunningReplica

TREASURY = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
TRADER = Address("0x90F79bf6EB2c4f870365E785982E1f101E93b906")
UNISWAP_V2 = to_address("0xB4e16d0168e52d35CaCD2c6185b44281Ec28C9Dc", "pool")
UNISWAP_V3 = to_address("0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640", "pool")
ROUTER = Address("0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D")
GAP = 400 * WAD
"""WETH sold into the V2 pool, which drives its price away from the V3 pool's."""


class Stage:
    """A replica on which the executor is deployed and two pools are apart."""

    def __init__(self, node: Node, replica: RunningReplica) -> None:
        self.node = node
        self.replica = replica
        self.compiled = compile_sources(executor_sources())["Executor"]
        self.executor = Address("")

    async def transact(self, sender: Address, to: Address | None, data: bytes, value: int = 0) -> dict[str, Any]:
        fees = {"gas": hex(5_000_000), "maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": "0x1"}
        fields = {"from": sender, "data": "0x" + data.hex(), "value": hex(value), **fees}
        found = await self.node.request("eth_sendTransactionSync", fields if to is None else fields | {"to": to})
        assert found["status"] == "0x1"
        return dict(found)

    async def open_gap(self) -> None:
        """Sell WETH into the V2 pool through its router."""
        selector = keccak(text="swapExactETHForTokens(uint256,address[],address,uint256)")[:4]
        arguments = abi_encode(["uint256", "address[]", "address", "uint256"], [0, [WETH, USDC], TRADER, 2**40])
        await self.transact(TRADER, ROUTER, selector + arguments, GAP)

    async def deploy(self) -> None:
        arguments = abi_encode(["address", "address"], [OPERATOR, TREASURY])
        receipt = await self.transact(TREASURY, None, self.compiled.init_code + arguments)
        self.executor = to_address(receipt["contractAddress"], "executor")

    async def pools(self, head: BlockHeader) -> dict[Address, Pool]:
        specs = read_pool_specs(self.replica.state.pools_path)
        return await load_pools(self.node, [spec for spec in specs if spec.address in (UNISWAP_V2, UNISWAP_V3)], head)

    async def opportunity(self, head: BlockHeader, amount: int, *, v3_first: bool) -> Opportunity:
        """Buy WETH back where it is cheap: WETH -> USDC in the V3 pool, USDC -> WETH in the V2 pool."""
        pools = await self.pools(head)
        hops = []
        token = WETH
        for address in (UNISWAP_V3, UNISWAP_V2) if v3_first else (UNISWAP_V2, UNISWAP_V3):
            pool = pools[address]
            out = pool.amount_out(token, amount)
            following = USDC if token == WETH else WETH
            hops.append(
                Hop(address, pool.venue, pool.dex, token, following, token == pool.token0, amount, out, pool.fee_pips)
            )
            token, amount = following, out
        return Opportunity("cross_dex", 1, head.number, Route(tuple(hops)), RiskClass.LOW)


@pytest.fixture
async def stage(fresh_replica: RunningReplica) -> AsyncIterator[Stage]:
    async with Node(fresh_replica.http_url) as node:
        made = Stage(node, fresh_replica)
        await made.deploy()
        await made.open_gap()
        await node.request("evm_setAutomine", False)
        yield made


def planner(stage: Stage, *kinds: LenderKind, lenders: Lenders | None = None) -> Planner:
    return Planner(stage.node, chain_id=1, weth=WETH, allowed=kinds or PREFERENCE, lenders=lenders)


@pytest.mark.parametrize("kind", [LenderKind.FLASH_SWAP, *LOANS])
async def test_every_lender_lands_exactly(stage: Stage, kind: LenderKind, tmp_path: Path) -> None:
    decoder = RevertDecoder(stage.compiled.abi)
    executor = stage.executor
    async with listening(relay_answer) as relay:
        signer = Signer(
            Mode.REPLICA,
            chain_id=1,
            executor=executor,
            node_url=stage.replica.http_url,
            kill_switch=KillSwitch(tmp_path),
        )
        relays = Relays([relay.url], RelayAccount())
        execution = AtomicExecution(
            executor=executor,
            token=WETH,
            encode=encode,
            planner=planner(stage, kind),
            simulator=Simulator(stage.node, operator=OPERATOR, executor=executor, token=WETH, decoder=decoder),
            nonces=NonceLeases(stage.node, OPERATOR),
            signer=signer,
            relays=relays,
            tracker=Tracker(stage.node, executor=executor, token=WETH, decoder=decoder),
            bid_bps=2_000,
            min_net=1,
        )
        try:
            for amount in (20 * WAD + 1, 3 * WAD + 7):  # into an empty balance of the executor, then not
                head = await stage.node.block()
                found = await stage.opportunity(head, amount, v3_first=True)
                assert found.route.gross_profit > 0
                plans, fates = await execution.prepare([found], head)
                assert [fate.reason for fate in fates] == ["proven"], fates
                assert plans[0].financing.kind is kind
                signed, _ = await execution.sign(plans)
                await execution.send(signed)
                await stage.node.request("eth_sendRawTransaction", "0x" + signed[0].raw.hex())
                # the replica's blocks are seconds apart, the simulation says twelve
                await stage.node.request("evm_setNextBlockTimestamp", hex(head.timestamp + 5))
                await stage.node.request("evm_mine")
                mined = await stage.node.block()
                event = BlockEvent(mined, await stage.node.logs(mined.hash), (), 0)
                (trade,), (fate,) = await execution.settle(event)
                assert (trade.status, fate.fate) == (TradeStatus.LANDED, Fate.LANDED)
                assert trade.gross == plans[0].min_profit == found.route.gross_profit - plans[0].financing.fee
                assert trade.gas_used == plans[0].prediction.gas_used
                assert trade.net == plans[0].prediction.net > 0
        finally:
            await relays.aclose()
            await signer.close()
