"""Builds the replica: fetch, compile, deploy, fill, check against the table, and keep the state for the next start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from keeper.domain.units import WAD
from keeper.replica import addresses, state, table
from keeper.replica import compile as solidity
from keeper.replica.anvil import ACCOUNT_BALANCE_ETHER, Anvil
from keeper.replica.artifacts import fetch, load_pins
from keeper.replica.deploy import Deployer
from keeper.replica.markets import Markets, load_markets
from keeper.replica.progress import Progress, silent
from keeper.replica.protocols import (
    aave_v3,
    balancer_v2,
    chainlink,
    common,
    curve,
    lenders,
    pancakeswap_v3,
    solidly,
    tokens,
    uniswap_v2,
    uniswap_v3,
    uniswap_v4,
)
from keeper.replica.rpc import Rpc
from keeper.replica.site import Site
from keeper.replica.state import ReplicaState


async def _fund_traders(site: Site) -> None:
    """Give the trading accounts tokens, and let the routers take them."""
    chain, budget = site.chain, site.markets.sections["traders"]["usd_per_token"]
    routers = (
        addresses.UNISWAP_V2_ROUTER.address,
        addresses.SUSHI_ROUTER.address,
        addresses.SWAP_ROUTER_02.address,
    )
    async with chain.batched():
        for trader in addresses.TRADERS:
            for token in site.markets.tokens.values():
                await chain.execute(token.address, "transfer(address,uint256)", trader, token.raw(budget))
            for router in routers:
                await site.approve_all(router, owner=trader)


_STEPS: tuple[tuple[str, Callable[[Site], Awaitable[None]]], ...] = (
    ("tokens", tokens.deploy),
    ("Multicall3 and Permit2", common.deploy),
    ("Uniswap V2", uniswap_v2.deploy),
    ("Sushiswap", uniswap_v2.deploy_sushi),
    ("Uniswap V3", uniswap_v3.deploy),
    ("PancakeSwap V3", pancakeswap_v3.deploy),
    ("Uniswap V4", uniswap_v4.deploy),
    ("Balancer V2", balancer_v2.deploy),
    ("Chainlink", chainlink.deploy),
    ("Aave V3 and Spark", aave_v3.deploy),
    ("DssFlash", lenders.deploy_dss_flash),
    ("DODO", lenders.deploy_dodo),
    ("Curve", curve.deploy),
    ("Solidly", solidly.deploy),
    ("traders", _fund_traders),
    ("Morpho Blue", lenders.deploy_morpho),
)
_TOTAL = len(_STEPS) + 3
"""Before the steps come packages and compiler, after them the check of the table."""
BLOCK_SECONDS = 12
"""Mainnet's time from block to block."""
_SECONDS_BEFORE = 7200
"""The build starts this long before the state's timestamp; each of its blocks takes one second."""


async def ensure_state(home: Path, *, progress: Progress = silent) -> ReplicaState:
    """The cached state below ``home``, built first when it is missing, out of date or damaged."""
    cached = state.load(home)
    if cached is not None:
        return cached
    async with state.build_lock(home, lambda: progress("waiting for another build", 0, _TOTAL)):
        return state.load(home) or await build(home, progress=progress)


async def build(home: Path, *, progress: Progress = silent) -> ReplicaState:
    """Build the replica from its npm packages and keep it below ``home``.

    Raises:
        InputError: a package is not the pinned one, or a source does not compile.
        ComponentError: npm, node or anvil is missing or broke down.
        DeployError: a transaction of the build reverted.
        TableMismatch: a known address or hash did not come out.
    """
    markets = load_markets()
    total = _TOTAL
    progress("npm packages", 0, total)
    stand_ins = asyncio.create_task(solidity.compile_unit(solidity.stand_ins(), home))
    started: list[asyncio.Task[dict[str, bytes]]] = [stand_ins]
    try:
        # Morpho takes the compiler longer than all else together: its sources come first, and it runs beside the rest
        sources = await fetch(home, [load_pins()["@morpho-org/morpho-blue"]])
        morpho = asyncio.create_task(
            solidity.compile_unit(solidity.morpho(sources.folder("@morpho-org/morpho-blue")), home)
        )
        started.append(morpho)
        artifacts = await fetch(home, on_package=lambda name, *_: progress(f"package {name}", 0, total))
        progress("stand-in contracts", 1, total)
        own_code = await stand_ins
        solidly_unit = solidity.solidly(
            artifacts.folder("sphere-mezo-solidity-files"), artifacts.folder("@openzeppelin/contracts")
        )
        solidly_code = asyncio.create_task(solidity.compile_unit(solidly_unit, home))
        started.append(solidly_code)
        node = Anvil(
            log_dir=home / "logs",
            name="anvil-build",
            number=markets.first_block,
            timestamp=markets.timestamp - _SECONDS_BEFORE,
        )
        async with node, Rpc(node.http_url) as rpc:
            await rpc("anvil_setBlockTimestampInterval", 1)
            site = Site(
                chain=Deployer(rpc, addresses.BUILDER),
                artifacts=artifacts,
                markets=markets,
                stand_ins=own_code,
                morpho_code=morpho,
                solidly_code=solidly_code,
            )
            for position, (name, step) in enumerate(_STEPS, start=2):
                progress(name, position, total)
                await step(site)
            progress("known addresses and hashes", total - 1, total)
            table.require(await table.check_all(markets, rpc, site.measured))
            finished = await _finish(site, home)
        progress("replica", total, total)
        return finished
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)


async def _finish(site: Site, home: Path) -> ReplicaState:
    """Settle balances, base fee and clock, and write the state."""
    rpc, markets = site.chain.rpc, site.markets
    for account in (addresses.BUILDER, addresses.OPERATOR, addresses.TREASURY, *addresses.TRADERS):
        await site.chain.fund(account, ACCOUNT_BALANCE_ETHER * WAD)
    # the oracles' last answers are one block old when the chain starts, as on mainnet after a deviation
    await rpc("evm_setNextBlockTimestamp", hex(markets.timestamp - BLOCK_SECONDS))
    async with site.chain.batched():
        await chainlink.refresh(site)
    # hundreds of nearly empty blocks have let the base fee decay to almost nothing
    await rpc("anvil_setNextBlockBaseFeePerGas", hex(markets.base_fee))
    await rpc("evm_setNextBlockTimestamp", hex(markets.timestamp))
    await rpc("evm_mine")
    block = await rpc("eth_getBlockByNumber", "latest", False)
    files = {
        state.STATE: await state.dump(rpc),
        state.POOLS: _json(_pools(markets)),
        state.OTHER_POOLS: _json(site.other_pools),
        state.TOKENS: _json(_tokens(markets)),
    }
    return state.save(
        home,
        files,
        timestamp=int(block["timestamp"], 16),
        block_number=int(block["number"], 16),
        measured=site.measured,
        feeds=site.feeds,
    )


def _pools(markets: Markets) -> list[dict[str, object]]:
    venues = {"uniswap_v2": "uniswap_v2", "sushiswap": "uniswap_v2", "uniswap_v3": "uniswap_v3"}
    return [
        {
            "address": pool.address,
            "venue": venues[pool.dex],
            "dex": pool.dex,
            "token0": pool.token0.address,
            "token1": pool.token1.address,
            "fee_pips": pool.fee_pips,
            "tick_spacing": pool.tick_spacing,
        }
        for pool in markets.pools
        if pool.dex in venues
    ]


def _tokens(markets: Markets) -> list[dict[str, object]]:
    return [
        {
            "address": token.address,
            "symbol": token.symbol,
            "decimals": token.decimals,
            "price_usd": f"{token.price_usd:f}",
        }
        for token in markets.tokens.values()
    ]


def _json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


async def start_anvil(
    replica: ReplicaState,
    *,
    log_dir: Path,
    port: int = 0,
    automine: bool = True,
    block_time: float | None = None,
    name: str = "anvil",
) -> Anvil:
    """A running node that goes on from the state; its first block is one slot after the state's last one."""
    node = Anvil(
        log_dir=log_dir,
        timestamp=replica.timestamp + BLOCK_SECONDS,
        load_state=replica.path,
        port=port,
        automine=automine,
        block_time=block_time,
        name=name,
    )
    await node.start()
    return node


@dataclass(frozen=True, slots=True)
class ReplicaChain:
    """A running replica: the state that it started from, and the node."""

    state: ReplicaState
    anvil: Anvil

    @property
    def http_url(self) -> str:
        return self.anvil.http_url

    @property
    def ws_url(self) -> str:
        return self.anvil.ws_url


@asynccontextmanager
async def replica_chain(
    home: Path, *, automine: bool = True, block_time: float | None = None, port: int = 0, progress: Progress = silent
) -> AsyncIterator[ReplicaChain]:
    """Build or load the state, run a node on it, and stop the node at the end."""
    built = await ensure_state(home, progress=progress)
    node = await start_anvil(built, log_dir=home / "logs", port=port, automine=automine, block_time=block_time)
    try:
        yield ReplicaChain(built, node)
    finally:
        await node.stop()
