"""Wires the parts of the keeper to a chain and its stores, and runs the loop."""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import keeper
from keeper.config import Mode, Settings
from keeper.controls import Controls
from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.strategies import build
from keeper.domain.errors import ComponentError, InputError, OrionError
from keeper.domain.token import VenueKind
from keeper.domain.units import Wei
from keeper.execution.access_list import CHARGED_BY_BYTE, AccessLists
from keeper.execution.codec import encode
from keeper.execution.deployment import Deployment, executor_abi, load_deployment, read_deployment
from keeper.execution.executor import AtomicExecution
from keeper.execution.flashbots_backend import FlashbotsRelays
from keeper.execution.kill_switch import KillSwitch
from keeper.execution.lenders import lenders_of
from keeper.execution.nonce import NonceLeases
from keeper.execution.planner import Planner
from keeper.execution.relays import BundleRelays, RelayAccount, Relays
from keeper.execution.revert import RevertDecoder
from keeper.execution.signer import Signer, unlock
from keeper.execution.simulate import Simulator
from keeper.execution.tracker import Tracker
from keeper.market.book import ReorgTooDeep
from keeper.market.factories import read_factories
from keeper.market.node import Node, RpcError
from keeper.market.specs import PoolSpec, read_pool_specs, read_token_list
from keeper.market.token_gate import refuse_tokens
from keeper.market.token_probe import TokenProbe
from keeper.market_watch import MarketWatch, WatchRules
from keeper.orchestrator import Orchestrator
from keeper.outbox import Outbox
from keeper.risk.gate import RiskGate
from keeper.selection.rules import Rules
from keeper.store.bus import EventBus
from keeper.store.control import ControlListener
from keeper.store.journal import Journal, book_of
from keeper.store.recorder import PostgresRecorder, new_run
from keeper.treasury.auditor import Auditor
from keeper.treasury.recovery import take_up
from keeper.treasury.treasurer import Treasurer

log = logging.getLogger(__name__)

SEARCH_PROBE = 10**14
"""Input at which the search compares rates, wei: what a loop costs in gas when gas is cheap. See `LoopSearch`."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Stores:
    database_url: str
    redis_url: str


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain that the keeper works on.

    Attributes:
        deployment: the executor, where it is known beforehand.
        begin: lets the chain go on once the keeper is ready, told the block the keeper starts from.
        after_block: told of each block that the keeper has finished with.
    """

    http_url: str
    ws_url: str
    relay_urls: tuple[str, ...]
    pools_file: Path | None
    tokens_file: Path | None
    deployment: Deployment | None
    block_seconds: int
    seed: int | None = None
    begin: Callable[[int], Awaitable[None]] | None = None
    after_block: Callable[[int], Awaitable[None]] | None = None


class StoppedEarly(OrionError):
    """The operator stopped the keeper before there was a run."""


async def trade(settings: Settings, stores: Stores, chain: Chain, *, blocks: int | None, stop: asyncio.Event) -> UUID:
    """Wire the parts and run the loop; returns the id under which the run is recorded.

    Raises:
        StoppedEarly: ``stop`` was set while the pools were still being read.
    """
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(Node(chain.http_url))
        found_chain = await node.chain_id()
        if found_chain != settings.chain_id:
            raise ComponentError(
                "node",
                f"its chain id is {found_chain}, not {settings.chain_id}",
                "Set ORION_RPC_URL or ORION_CHAIN_ID.",
            )

        deployment = await _find_executor(settings, chain, node)

        probe = None
        if settings.token_probe:
            probe = TokenProbe(
                node, executor=deployment.executor, operator=deployment.operator, block_seconds=chain.block_seconds
            )

        watch = _watch(settings, chain, node, probe)
        stack.push_async_callback(watch.close)
        book, feed = await _unless_stopped(stop, watch.open())
        log.info("market: %d pools at block %d", len(book.pools), book.header.number)
        run = new_run(
            mode=settings.mode.value,
            network=settings.network,
            chain_id=settings.chain_id,
            version=keeper.__version__,
            seed=chain.seed,
        )
        recorder = await stack.enter_async_context(PostgresRecorder(stores.database_url, run))
        await recorder.tokens(settings.chain_id, list(book.tokens.values()))
        bus = EventBus(stores.redis_url, run_id=str(run.id))
        stack.push_async_callback(bus.close)
        await bus.start()
        bus.set_status(
            mode=settings.mode.value,
            network=settings.network,
            chain_id=settings.chain_id,
            run_id=run.id,
            pid=os.getpid(),
            executor=deployment.executor,
            operator=deployment.operator,
        )
        journal = Journal(stores.database_url)
        stack.push_async_callback(journal.close)
        treasurer = Treasurer(
            book=book_of(settings.network, run.id),
            token=settings.weth,
            confirmations=settings.confirmations,
            reinvestment_bps=settings.reinvestment_bps,
            depth=settings.journal_depth,
        )
        auditor = Auditor(
            node,
            journal,
            book=treasurer.book,
            chain_id=settings.chain_id,
            token=settings.weth,
            executor=deployment.executor,
            operator=deployment.operator,
        )
        if settings.mode is not Mode.PAPER:
            await recorder.entries(await auditor.open(book.header.number))
            if chain.begin is None:  # a replica's chain is new
                await take_up(
                    treasurer,
                    node,
                    journal,
                    network=settings.network,
                    token=settings.weth,
                    executor=deployment.executor,
                )
        kill_switch = KillSwitch(settings.home)
        orchestrator = Orchestrator(
            chain_id=settings.chain_id,
            book=book,
            search=LoopSearch(book.pools, (settings.weth,), probe=SEARCH_PROBE),
            strategies=build(settings.strategies),
            rules=Rules(settings.weth, Wei(settings.min_profit_wei), settings.max_gas_share_bps),
            gate=RiskGate(settings.max_loan_wei, settings.max_reverts),
            execution=await _execution(stack, settings, chain, deployment, node, kill_switch, watch.specs),
            treasurer=treasurer,
            outbox=Outbox(recorder),
            bus=bus,
            max_plans=settings.max_plans_per_block,
            chain_ends_too=settings.network == "replica",
        )
        trading = "trading" if settings.mode is not Mode.PAPER else "paper trading"
        controls = Controls(orchestrator, kill_switch, bus, trading)
        listener = ControlListener(stores.redis_url, controls.carry_out)
        stack.push_async_callback(listener.close)
        await listener.start()
        watch.tell(bus.publish, bus.set_status)

        async def after_block(number: int) -> None:
            watch.after_block()
            if chain.after_block is not None:
                await chain.after_block(number)

        try:
            if chain.begin is not None:
                await chain.begin(book.header.number)
            while True:
                try:
                    await orchestrator.run(feed, blocks=blocks, stop=stop, after_block=after_block)
                    break
                except ReorgTooDeep as error:
                    log.warning("%s The pools are read afresh.", error)
                book, feed = await watch.open(afresh=True)
                orchestrator.restart_at(book)
        finally:
            await orchestrator.finish()
        if settings.mode is not Mode.PAPER:
            await _reconcile(auditor, treasurer, recorder)
        return run.id


async def _unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of what may take minutes; `StoppedEarly` when the keeper is stopped meanwhile."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise StoppedEarly("The keeper was stopped while its pools were read.")
        return task.result()
    finally:
        for one in (task, stopped):
            one.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)


def _watch(settings: Settings, chain: Chain, node: Node, probe: TokenProbe | None) -> MarketWatch:
    """The keeping of the book; a replica begins afresh each time, so that it has no use for a checkpoint."""
    kept = settings.state_dir / f"book-{settings.network.replace(':', '-')}.bin"
    return MarketWatch(
        node,
        chain.ws_url,
        chain_id=settings.chain_id,
        listed=read_pool_specs(chain.pools_file) if chain.pools_file else [],
        factories=read_factories(settings.factories_file) if settings.factories_file else [],
        tokens=read_token_list(chain.tokens_file) if chain.tokens_file else {},
        rules=WatchRules(
            checkpoint=None if settings.network == "replica" or not settings.checkpoint_blocks else kept,
            checkpoint_blocks=settings.checkpoint_blocks,
            checkpoint_reach=settings.checkpoint_reach,
            check_blocks=settings.check_blocks,
            check_pools=settings.check_pools,
            rates_blocks=settings.rates_blocks,
            journal_depth=settings.journal_depth,
            record=settings.state_dir / "quarantine.jsonl",
        ),
        gate=None if probe is None else partial(refuse_tokens, probe),
    )


async def _reconcile(auditor: Auditor, treasurer: Treasurer, recorder: PostgresRecorder) -> None:
    """Hold the books against the chain and write down what was found."""
    if treasurer.head is None:
        return
    try:
        found = await auditor.compare(treasurer.booked_up_to(treasurer.head))
    except (ComponentError, RpcError) as error:
        log.error("%s The books are not compared with the chain.", error)
        return
    await recorder.reconciliations(found)
    for one in found:
        if one.difference:
            log.error(
                "%s: the books say %d of %s at block %d, the chain %d",
                *(one.account, one.booked, one.token, one.block_number, one.on_chain),
            )


async def _find_executor(settings: Settings, chain: Chain, node: Node) -> Deployment:
    """The executor that the settings name, or the one that was deployed; held against the chain either way."""
    if chain.deployment is None and settings.executor is not None:
        return await read_deployment(node, settings.executor)
    noted = chain.deployment or load_deployment(settings.home, settings.chain_id)
    found = await read_deployment(node, noted.executor)
    if noted.codehash != found.codehash:
        raise InputError(
            "executor",
            found.executor,
            f"Its code hash is {found.codehash}, not {noted.codehash} as deployed. Deploy again: `ape run deploy ...`.",
        )
    return found


async def _execution(
    stack: AsyncExitStack,
    settings: Settings,
    chain: Chain,
    deployment: Deployment,
    node: Node,
    kill_switch: KillSwitch,
    specs: Sequence[PoolSpec],
) -> AtomicExecution:
    executor = deployment.executor
    operator = deployment.operator
    decoder = RevertDecoder(executor_abi())
    account = None
    if settings.mode is Mode.LIVE:
        if settings.account is None:
            raise InputError("ORION_ACCOUNT", None, "Name the operator's account for live trading.")
        phrase = (
            settings.account_passphrase.get_secret_value()
            if settings.account_passphrase
            else _ask_passphrase(settings.account)
        )
        account = unlock(settings.account, phrase)
    key = settings.relay_key.get_secret_value() if settings.relay_key else None
    speak = FlashbotsRelays if settings.relay_backend == "flashbots" else Relays
    relays: BundleRelays = speak(chain.relay_urls, RelayAccount(key))
    stack.push_async_callback(relays.aclose)
    signer = Signer(
        settings.mode,
        chain_id=settings.chain_id,
        executor=executor,
        node_url=chain.http_url,
        kill_switch=kill_switch,
        account=account,
    )
    stack.push_async_callback(signer.close)
    lists_pay = settings.access_list and settings.chain_id not in CHARGED_BY_BYTE
    return AtomicExecution(
        executor=executor,
        token=settings.weth,
        encode=encode,
        planner=Planner(
            node,
            chain_id=settings.chain_id,
            weth=settings.weth,
            lenders=lenders_of(settings.chain_id, dodo_pools=settings.dodo_pools),
            executor=executor,
            flash_pools=[spec for spec in specs if spec.venue is VenueKind.UNISWAP_V3],
        ),
        simulator=Simulator(
            node,
            operator=operator,
            executor=executor,
            token=settings.weth,
            decoder=decoder,
            block_seconds=chain.block_seconds,
        ),
        nonces=NonceLeases(node, operator),
        signer=signer,
        relays=relays,
        tracker=Tracker(node, executor=executor, token=settings.weth, decoder=decoder, depth=settings.journal_depth),
        bid_bps=settings.bid_bps,
        min_net=settings.min_profit_wei,
        pay_coinbase=settings.builder_payment == "coinbase",
        parent_guard=settings.parent_guard,
        access_lists=AccessLists(node, operator=operator, executor=executor) if lists_pay else None,
    )


def _ask_passphrase(account: str) -> str:
    if not sys.stdin.isatty():
        raise InputError(
            "ORION_ACCOUNT_PASSPHRASE", "(unset)", f"Set it, or start at a terminal to be asked for {account}."
        )
    return getpass.getpass(f"Passphrase of {account}: ")
