"""Real arbitrages: the executor, on mainnet's state of that moment, earns to the wei what the keeper predicts."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from keeper.config import Mode
from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.loop_filter import LoopFilter
from keeper.domain.chain import BlockEvent
from keeper.domain.errors import ComponentError
from keeper.domain.opportunity import Opportunity, RiskClass
from keeper.domain.route import Route
from keeper.domain.trade import TradeStatus
from keeper.domain.units import Address, to_address
from keeper.embedded.process import ManagedProcess, free_port
from keeper.execution.codec import encode
from keeper.execution.deployment import creation_code, executor_abi
from keeper.execution.executor import AtomicExecution
from keeper.execution.kill_switch import KillSwitch
from keeper.execution.nonce import NonceLeases
from keeper.execution.planner import Planner
from keeper.execution.revert import RevertDecoder
from keeper.execution.signer import Signer
from keeper.execution.simulate import Simulator
from keeper.execution.tracker import Tracker
from keeper.market.node import Node
from keeper.market.venues.base import Pool
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import UniswapV3Pool
from keeper.replica.anvil import find_anvil
from tests.contracts.compiler import compile_sources, executor_sources
from tests.historical.mainnet_block import Alloc, RecordedBlock
from tests.historical.recorded_arbitrage import FOLDER, RecordedArbitrage

DATA = os.environ.get("ORION_TEST_DATA")
OPERATOR = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
TREASURY = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
BASE_FEE = 10**9
CASES = ((12_047_794, 35), (12_159_808, 100), (13_217_637, 2), (16_146_267, 17))

pytestmark = pytest.mark.skipif(
    DATA is None,
    reason="ORION_TEST_DATA is not set: would have shown that on real mainnet states our plan earns at least what the "
    "real searcher earned, and that the executor realises the prediction to the wei",
)


@dataclass(frozen=True)
class Case:
    """A real arbitrage through V2 and V3 pools and the moment before it."""

    block: RecordedBlock
    position: int
    token: Address
    profit: int
    pools: dict[Address, Pool]

    @classmethod
    def load(cls, number: int, position: int) -> Case:
        folder = Path(str(DATA)) / FOLDER
        (path,) = (folder / "arbitrages").glob(f"{number}_{position}_*.json")
        recorded = RecordedArbitrage.load(path)
        block = RecordedBlock.load(folder, number)
        return cls(block, position, recorded.token, recorded.profit, recorded.pools)

    @cached_property
    def state(self) -> Alloc:
        return self.block.after(self.position)

    def best_route(self) -> Route:
        search = LoopSearch(self.pools, [self.token])
        return search.find(self.pools, allow=LoopFilter(), limit=1)[0]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}_{case[1]}", scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    return Case.load(*request.param)


def test_replayed_state_has_the_recorded_reserves(case: Case) -> None:
    """What the replay of the preceding transactions leaves is the state that was recorded independently of it."""
    for pool in case.pools.values():
        storage = case.state[pool.address.lower()].storage
        if isinstance(pool, UniswapV2Pool):
            reserves = storage[8]
            assert (reserves & (2**112 - 1), reserves >> 112 & (2**112 - 1)) == (pool.reserve0, pool.reserve1)
        else:
            assert isinstance(pool, UniswapV3Pool)
            assert (storage[0] & (2**160 - 1), storage[4]) == (pool.sqrt_price_x96, pool.liquidity)


def test_the_search_earns_at_least_what_the_searcher_earned(case: Case) -> None:
    assert case.best_route().gross_profit >= case.profit


async def test_the_executor_realises_the_prediction(case: Case, tmp_path: Path) -> None:
    route = case.best_route()
    init_code = compile_sources(executor_sources())["Executor"].init_code
    async with mainnet_at(case, tmp_path) as url, Node(url) as node:
        executor = await deploy(node, creation_code(init_code, OPERATOR, TREASURY))
        await node.request("anvil_setNextBlockBaseFeePerGas", hex(BASE_FEE))
        await node.request("evm_mine")
        head = await node.block("latest")
        decoder = RevertDecoder(executor_abi())
        signer = Signer(Mode.REPLICA, chain_id=1, executor=executor, node_url=url, kill_switch=KillSwitch(tmp_path))
        execution = AtomicExecution(
            executor=executor,
            token=case.token,
            encode=encode,
            planner=Planner(node, chain_id=1, weth=case.token),
            simulator=Simulator(
                node, operator=OPERATOR, executor=executor, token=case.token, decoder=decoder, block_seconds=12
            ),
            nonces=NonceLeases(node, OPERATOR),
            signer=signer,
            relays=Direct(node),
            tracker=Tracker(node, executor=executor, token=case.token, decoder=decoder),
            bid_bps=2_000,
            min_net=0,
        )
        found = Opportunity("cross_dex", 1, head.number, route, RiskClass.LOW)
        try:
            plans, fates = await execution.prepare([found], head)
            assert len(plans) == 1, fates
            signed, _ = await execution.sign(plans)
            await execution.send(signed)
            await node.request("evm_mine", {"timestamp": hex(head.timestamp + 12)})
            mined = await node.block("latest")
            trades, _ = await execution.settle(BlockEvent(mined, await node.logs(mined.hash), (), 0))
        finally:
            await signer.close()
    (trade,) = trades
    assert trade.status is TradeStatus.LANDED
    assert trade.gross == route.gross_profit >= case.profit
    assert trade.net == plans[0].prediction.net
    assert trade.gas_used == plans[0].prediction.gas_used


class Direct:
    """Gives the transactions of a bundle to the node as they are; there is nobody here to race with."""

    names = ("node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    async def send_bundle(self, txs: Any, *_: Any, **__: Any) -> list[Any]:
        for raw in txs:
            await self._node.request("eth_sendRawTransaction", "0x" + raw.hex())
        return []


@asynccontextmanager
async def mainnet_at(case: Case, folder: Path) -> AsyncIterator[str]:
    """A node whose state is mainnet's just before the case, under today's rules; yields its URL."""
    genesis = folder / "genesis.json"
    genesis.write_text(json.dumps(_genesis(case.state, case.block)))
    port = free_port()
    argv = [find_anvil(), "--host", "127.0.0.1", "--port", str(port), "--chain-id", "1", "--hardfork", "osaka"]
    argv += ["--init", str(genesis), "--number", str(case.block.number - 1), "--no-mining", "--order", "fifo"]
    argv += ["--auto-impersonate", "--base-fee", str(BASE_FEE)]
    url = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        async with Node(url) as probe:
            try:
                return await probe.chain_id() == 1
            except ComponentError:  # not listening yet
                return False

    async with ManagedProcess(f"mainnet-{case.block.number}", argv, log_dir=folder) as process:
        await process.wait_ready(answers, 60)
        yield url


def _genesis(state: Alloc, block: RecordedBlock) -> dict[str, Any]:
    alloc: dict[str, Any] = {
        address: {
            "balance": hex(account.balance),
            "nonce": hex(account.nonce),
            **({"code": "0x" + account.code.hex()} if account.code else {}),
            "storage": {f"0x{slot:064x}": f"0x{value:064x}" for slot, value in account.storage.items() if value},
        }
        for address, account in state.items()
    }
    alloc[OPERATOR.lower()] = {"balance": hex(100 * 10**18)}
    return {
        "config": {"chainId": 1},
        "alloc": alloc,
        "difficulty": "0x0",
        "gasLimit": hex(60_000_000),
        "timestamp": block.block["timestamp"],
    }


async def deploy(node: Node, code: bytes) -> Address:
    """Create the contract from the operator; returns its address."""
    sent = await node.request(
        "eth_sendTransaction", {"from": OPERATOR, "data": "0x" + code.hex(), "gas": hex(5_000_000)}
    )
    await node.request("evm_mine")
    receipt = await node.receipt(sent)
    assert receipt is not None
    assert receipt["status"] == "0x1"
    return to_address(receipt["contractAddress"], "contractAddress")
