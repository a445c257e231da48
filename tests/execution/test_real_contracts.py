"""The real executor on the replica: every source of financing, and every term of a stream, mined as predicted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

from keeper.config import Mode
from keeper.domain.chain import BlockEvent, BlockHeader
from keeper.domain.joint_route import JointRoute
from keeper.domain.opportunity import Fate, Opportunity, RiskClass
from keeper.domain.plan import AtomicPlan
from keeper.domain.route import Hop, Route
from keeper.domain.token import LenderKind
from keeper.domain.trade import Trade, TradeStatus
from keeper.domain.units import WAD, Address, to_address
from keeper.execution.access_list import AccessLists
from keeper.execution.codec import encode
from keeper.execution.executor import AtomicExecution
from keeper.execution.kill_switch import KillSwitch
from keeper.execution.lenders import lenders_of
from keeper.execution.nonce import NonceLeases
from keeper.execution.planner import PREFERENCE, Planner
from keeper.execution.relays import RelayAccount, Relays
from keeper.execution.revert import RevertDecoder
from keeper.execution.signer import Signer
from keeper.execution.simulate import Simulator
from keeper.execution.tracker import Tracker
from keeper.market.loader import load_pools
from keeper.market.node import Node
from keeper.market.specs import PoolSpec, read_pool_specs
from keeper.replica.addresses import DODO_WETH_USDC, TRADERS, TREASURY
from tests.contracts.compiler import compile_sources, executor_sources
from tests.execution.site import OPERATOR, listening, relay_answer
from tests.market import balancer_v3_site
from tests.routes import USDC, WETH

if TYPE_CHECKING:
    from tests.conftest import RunningReplica

DAI = Address("0x6B175474E89094C44Da98b954EedeAC495271d0F")
ROUTER = Address("0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D")
TRADER = TRADERS[3]
MAINNET = lenders_of(1, dodo_pools=(DODO_WETH_USDC,))
BID_BPS = 2_000


@dataclass(frozen=True)
class Market:
    """Two pools of one pair, and what is sold into the V2 one to drive their prices apart."""

    token: Address
    v2: Address
    v3: Address
    gap: int
    amounts: tuple[int, int]


IN_WETH = Market(
    WETH,
    to_address("0xB4e16d0168e52d35CaCD2c6185b44281Ec28C9Dc", "pool"),
    to_address("0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640", "pool"),
    400 * WAD,
    (20 * WAD + 1, 3 * WAD + 7),
)
IN_DAI = Market(
    DAI,
    to_address("0xAE461cA67B15dc8dc81CE7615e0320dA1A9aB8D5", "pool"),
    to_address("0x6c6Bc977E13Df9b0de53b251522280BB72383700", "pool"),
    300_000 * WAD,
    (20_000 * WAD + 1, 3_000 * WAD + 7),
)


class Stage:
    """A replica on which the executor is deployed and two pools are apart."""

    def __init__(self, node: Node, replica: RunningReplica, market: Market) -> None:
        self.node = node
        self.replica = replica
        self.market = market
        self.compiled = compile_sources(executor_sources())["Executor"]
        self.executor = Address("")

    async def transact(self, sender: Address, to: Address | None, data: bytes) -> dict[str, Any]:
        fees = {"gas": hex(8_000_000), "maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": "0x1"}
        fields = {"from": sender, "data": "0x" + data.hex(), **fees}
        found = await self.node.request("eth_sendTransactionSync", fields if to is None else fields | {"to": to})
        assert found["status"] == "0x1"
        return dict(found)

    async def open_gap(self) -> None:
        """Sell the token into the V2 pool through its router."""
        selector = keccak(text="swapExactTokensForTokens(uint256,uint256,address[],address,uint256)")[:4]
        path = [self.market.token, USDC]
        types = ["uint256", "uint256", "address[]", "address", "uint256"]
        await self.transact(TRADER, ROUTER, selector + abi_encode(types, [self.market.gap, 0, path, TRADER, 2**40]))

    async def deploy(self) -> None:
        arguments = abi_encode(["address", "address"], [OPERATOR, TREASURY])
        receipt = await self.transact(TREASURY, None, self.compiled.init_code + arguments)
        self.executor = to_address(receipt["contractAddress"], "executor")

    async def give(self, holder: Address, amount: int) -> None:
        await self.node.request("anvil_dealERC20", holder, self.market.token, hex(amount))

    @property
    def specs(self) -> list[PoolSpec]:
        return read_pool_specs(self.replica.state.pools_path)

    async def opportunity(self, head: BlockHeader, amount: int) -> Opportunity:
        """Buy the token back where it is cheap: into USDC in the V3 pool, out of it in the V2 pool."""
        chosen = (self.market.v3, self.market.v2)
        pools = await load_pools(self.node, [spec for spec in self.specs if spec.address in chosen], head)
        hops = []
        token = self.market.token
        for address in chosen:
            pool = pools[address]
            out = pool.amount_out(token, amount)
            following = USDC if token != USDC else self.market.token
            hops.append(
                Hop(address, pool.venue, pool.dex, token, following, token == pool.token0, amount, out, pool.fee_pips)
            )
            token, amount = following, out
        found = Opportunity("cross_dex", 1, head.number, Route(tuple(hops)), RiskClass.LOW)
        assert found.route.gross_profit > 0
        return found

    async def split(self, head: BlockHeader, amounts: tuple[int, int]) -> JointRoute:
        """Into USDC through two V3 pools at once, and back out of what both pay through the V2 pool."""
        other = to_address("0x8ad599c3A0ff1De082011EFDDc58f1908eb6e6D8", "pool")
        chosen = (self.market.v3, other, self.market.v2)
        pools = await load_pools(self.node, [spec for spec in self.specs if spec.address in chosen], head)
        legs = []
        for address, amount in zip(chosen, amounts, strict=False):
            pool = pools[address]
            terms = (amount, pool.amount_out(WETH, amount), pool.fee_pips)
            legs.append(Hop(address, pool.venue, pool.dex, WETH, USDC, pool.token0 == WETH, *terms))
        back = pools[self.market.v2]
        dollars = sum(leg.amount_out for leg in legs)
        terms = (dollars, back.amount_out(USDC, dollars), back.fee_pips)
        legs.append(Hop(back.address, back.venue, back.dex, USDC, WETH, back.token0 == USDC, *terms))
        return JointRoute(WETH, tuple(legs))

    @asynccontextmanager
    async def execution(
        self, home: Path, *kinds: LenderKind, encoder: Any = encode, **options: Any
    ) -> AsyncIterator[AtomicExecution]:
        """Execution with these sources of financing; ``options`` go to `AtomicExecution`."""
        executor, token = self.executor, self.market.token
        decoder = RevertDecoder(self.compiled.abi)
        async with listening(relay_answer) as relay:
            signer = Signer(
                Mode.REPLICA,
                chain_id=1,
                executor=executor,
                node_url=self.replica.http_url,
                kill_switch=KillSwitch(home),
            )
            relays = Relays([relay.url], RelayAccount())
            try:
                yield AtomicExecution(
                    executor=executor,
                    token=token,
                    encode=encoder,
                    planner=Planner(
                        self.node,
                        chain_id=1,
                        weth=WETH,
                        allowed=kinds or PREFERENCE,
                        lenders=MAINNET,
                        executor=executor,
                        flash_pools=[spec for spec in self.specs if spec.venue == "uniswap_v3"],
                    ),
                    simulator=Simulator(self.node, operator=OPERATOR, executor=executor, token=token, decoder=decoder),
                    nonces=NonceLeases(self.node, OPERATOR),
                    signer=signer,
                    relays=relays,
                    tracker=Tracker(self.node, executor=executor, token=token, decoder=decoder),
                    bid_bps=BID_BPS,
                    min_net=1,
                    **options,
                )
            finally:
                await relays.aclose()
                await signer.close()

    async def land(self, execution: AtomicExecution, amount: int) -> tuple[AtomicPlan, Trade]:
        """One opportunity from its finding to its outcome, which has to be the predicted one."""
        head = await self.node.block()
        return await self.land_found(execution, await self.opportunity(head, amount), head)

    async def land_found(
        self, execution: AtomicExecution, found: Opportunity, head: BlockHeader
    ) -> tuple[AtomicPlan, Trade]:
        plans, fates = await execution.prepare([found], head)
        assert [fate.reason for fate in fates] == ["proven"], fates
        signed, _ = await execution.sign(plans)
        await execution.send(signed)
        await self.node.request("eth_sendRawTransaction", "0x" + signed[0].raw.hex())
        # the replica's blocks are seconds apart, the simulation says twelve
        await self.node.request("evm_setNextBlockTimestamp", hex(head.timestamp + 5))
        await self.node.request("evm_mine")
        mined = await self.node.block()
        event = BlockEvent(mined, await self.node.logs(mined.hash), (), 0)
        (trade,), (fate,) = await execution.settle(event)
        assert (trade.status, fate.fate) == (TradeStatus.LANDED, Fate.LANDED), fate
        assert trade.gross == plans[0].min_profit == plans[0].prediction.gross
        assert trade.gas_used == plans[0].prediction.gas_used
        assert trade.net == plans[0].prediction.net > 0
        return plans[0], trade


@asynccontextmanager
async def on_stage(replica: RunningReplica, market: Market) -> AsyncIterator[Stage]:
    async with Node(replica.http_url) as node:
        made = Stage(node, replica, market)
        await made.deploy()
        await made.open_gap()
        await node.request("evm_setAutomine", False)
        yield made


@pytest.mark.parametrize("kind", list(LenderKind))
async def test_every_source_lands_exactly(fresh_replica: RunningReplica, kind: LenderKind, tmp_path: Path) -> None:
    if kind is LenderKind.BALANCER_V3:
        balancer_v3_site.build(fresh_replica)
    async with on_stage(fresh_replica, IN_DAI if kind is LenderKind.ERC3156 else IN_WETH) as stage:
        if kind is LenderKind.UNISWAP_V4:
            assert MAINNET.uniswap_v4_manager is not None
            await stage.give(MAINNET.uniswap_v4_manager, 100 * WAD)
        if kind is LenderKind.INVENTORY:
            await stage.give(stage.executor, 100 * WAD)
        async with stage.execution(tmp_path, kind) as execution:
            for amount in stage.market.amounts:  # into an empty balance of the executor, then not
                plan, trade = await stage.land(execution, amount)
                assert plan.financing.kind is kind
                assert plan.financing.amount == amount
                assert trade.gross == plan.opportunity.route.gross_profit - plan.financing.fee


@pytest.mark.parametrize("kind", [LenderKind.FLASH_SWAP, LenderKind.MORPHO, LenderKind.INVENTORY, LenderKind.AAVE_V3])
async def test_a_joint_route_lands_exactly(fresh_replica: RunningReplica, kind: LenderKind, tmp_path: Path) -> None:
    async with on_stage(fresh_replica, IN_WETH) as stage, stage.execution(tmp_path, kind) as execution:
        if kind is LenderKind.INVENTORY:
            await stage.give(stage.executor, 100 * WAD)
            await stage.node.request("evm_mine")
        head = await stage.node.block()
        route = await stage.split(head, (12 * WAD, 5 * WAD + 3))
        found: Any = Opportunity("joint", 1, head.number, route, RiskClass.LOW)  # type: ignore[arg-type]
        plan, trade = await stage.land_found(execution, found, head)
        assert (plan.financing.kind, plan.financing.amount) == (kind, 17 * WAD + 3)
        assert trade.gross == route.gross_profit - plan.financing.fee


@pytest.mark.parametrize("lists", [False, True], ids=["without lists", "with lists"])
@pytest.mark.parametrize("guarded", [False, True], ids=["any parent", "one parent"])
@pytest.mark.parametrize("paid", [False, True], ids=["priority fee", "coinbase"])
async def test_every_term_of_a_stream_lands_exactly(
    fresh_replica: RunningReplica, lists: bool, guarded: bool, paid: bool, tmp_path: Path
) -> None:
    async with on_stage(fresh_replica, IN_WETH) as stage:
        options = {
            "access_lists": AccessLists(stage.node, operator=OPERATOR, executor=stage.executor) if lists else None,
            "parent_guard": guarded,
            "pay_coinbase": paid,
        }
        async with stage.execution(tmp_path, **options) as execution:
            for amount in stage.market.amounts:
                head = await stage.node.block()
                before = int(await stage.node.request("eth_getBalance", head.coinbase, "latest"), 16)
                plan, trade = await stage.land(execution, amount)
                after = int(await stage.node.request("eth_getBalance", head.coinbase, "latest"), 16)
                profit, predicted = plan.opportunity.route.gross_profit, plan.prediction
                assert predicted.builder_payment == (profit * BID_BPS // 10_000 if paid else 0)
                assert trade.gross == profit - predicted.builder_payment
                assert (predicted.priority_fee == 0) is paid
                assert after - before == predicted.builder_payment + trade.gas_used * predicted.priority_fee
                assert bool(plan.access_list) is lists


async def test_a_payment_that_is_one_basis_point_off_is_never_sent(
    fresh_replica: RunningReplica, tmp_path: Path
) -> None:
    """A planted bug: the stream pays the builder another share than the prediction says."""

    def generous(*arguments: Any, **options: Any) -> bytes:
        return encode(*arguments, **options | {"builder_bps": options["builder_bps"] + 1, "min_profit": 1})

    async with (
        on_stage(fresh_replica, IN_WETH) as stage,
        stage.execution(tmp_path, encoder=generous, pay_coinbase=True) as execution,
    ):
        head = await stage.node.block()
        plans, (fate,) = await execution.prepare([await stage.opportunity(head, WAD)], head)
        assert plans == []
        assert fate.reason == "simulation_diverged"


async def test_a_guarded_stream_does_not_outlive_its_parent(fresh_replica: RunningReplica, tmp_path: Path) -> None:
    """Sent on another block of the same height it reverts, where one without the guard would land."""
    async with on_stage(fresh_replica, IN_WETH) as stage:
        reasons = {}
        for guarded in (True, False):
            snapshot = await stage.node.request("evm_snapshot")
            async with stage.execution(tmp_path, parent_guard=guarded) as execution:
                await stage.node.request("evm_mine")
                head = await stage.node.block()
                plans, _ = await execution.prepare([await stage.opportunity(head, WAD)], head)
                signed, _ = await execution.sign(plans)
                await execution.send(signed)
                await stage.node.request("evm_revert", snapshot)
                await stage.node.request("anvil_dropAllTransactions")
                await stage.node.request("evm_setNextBlockTimestamp", hex(head.timestamp + 1))
                await stage.node.request("evm_mine")
                assert (await stage.node.block()).hash != head.hash
                base_fee = plans[0].prediction.base_fee
                await stage.node.request("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
                await stage.node.request("eth_sendRawTransaction", "0x" + signed[0].raw.hex())
                await stage.node.request("evm_mine")
                mined = await stage.node.block()
                event = BlockEvent(mined, await stage.node.logs(mined.hash), (), 0)
                (trade,), _ = await execution.settle(event)
                reasons[guarded] = trade.reason
        assert reasons == {True: "revert_wrong_parent", False: ""}
