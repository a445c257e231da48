"""A living replica on the built state, for the tests of its service, traffic and rival."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeper.domain.token import Token
from keeper.replica.anvil import Anvil
from keeper.replica.build import start_anvil
from keeper.replica.control import ReplicaControl
from keeper.replica.pool_state import TradedPool, load_market
from keeper.replica.rpc import Rpc
from keeper.replica.service import ReplicaService
from keeper.replica.state import ReplicaState


@dataclass
class Live:
    service: ReplicaService
    rpc: Rpc
    anvil: Anvil
    pools: tuple[TradedPool, ...]
    tokens: tuple[Token, ...]
    control: ReplicaControl

    async def head(self) -> int:
        return int(await self.rpc("eth_blockNumber"), 16)

    async def hashes(self, first: int, count: int) -> list[str]:
        return [(await self.rpc("eth_getBlockByNumber", hex(first + i), False))["hash"] for i in range(count)]


@asynccontextmanager
async def live(state: ReplicaState, log_dir: Path, *, seed: int = 7, **options: Any) -> AsyncIterator[Live]:
    """A service that has been started; the test runs it."""
    pools, tokens = load_market(state.pools_path, state.tokens_path)
    anvil = await start_anvil(state, log_dir=log_dir, automine=False)
    try:
        async with Rpc(anvil.http_url) as rpc:
            service = ReplicaService(anvil.http_url, pools, tokens, seed=seed, **{"block_time": 0, **options})
            await service.start()
            try:
                async with ReplicaControl(service.control_url, service.control_token) as control:
                    yield Live(service, rpc, anvil, pools, tokens, control)
            finally:
                await service.stop()
    finally:
        await anvil.stop()
