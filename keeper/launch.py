"""Starts what the operator has not named, wires the keeper to it, and takes everything down again."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from keeper.config import Mode, Settings
from keeper.discovery.search.engine import LoopSearch
from keeper.domain.errors import ComponentError, InputError
from keeper.embedded.postgres import EmbeddedPostgres
from keeper.embedded.process import ManagedProcess
from keeper.embedded.valkey import EmbeddedValkey
from keeper.store.journal import Journal
from keeper.store.migrations import upgrade
from keeper.store.queries import Ledger
from keeper.supervisor import keep_up, must_run
from keeper.wiring import Chain, StoppedEarly, Stores, trade

log = logging.getLogger(__name__)

PANEL_START_SECONDS = 120.0
REPLICA_REMEDY = "Start the keeper again: the replica begins afresh, the ledger is kept."
NETWORK_BLOCK_SECONDS = 12
LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class ReplicaOptions:
    """How the replica lives.

    Attributes:
        seed: of traffic and prices; None draws one, which is printed.
        block_time: seconds.
    """

    seed: int | None
    block_time: float
    rival: bool


async def run_keeper(
    settings: Settings, options: ReplicaOptions, *, blocks: int | None, with_panel: bool
) -> dict[str, Any]:
    """Run until SIGINT or SIGTERM, or for ``blocks`` blocks; returns the figures of the run."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        watches: list[asyncio.Task[None]] = []
        stopped = asyncio.ensure_future(stop.wait())
        try:
            starting = asyncio.ensure_future(
                _start(stack, watches, settings, options, with_panel=with_panel, paced=blocks is not None)
            )
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
                return {"stopped": "before the start was complete"}
            stores, chain = starting.result()
            log.info("ready after %.1f s", time.monotonic() - began)
            trading = asyncio.ensure_future(trade(settings, stores, chain, blocks=blocks, stop=stop))
            try:
                run_id = await _until_done(trading, watches)
            except StoppedEarly:
                return {"stopped": "before the start was complete"}
        finally:
            stopped.cancel()
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
        return await summarize(stores.database_url, run_id)


async def _until_done(trading: asyncio.Task[UUID], watches: list[asyncio.Task[None]]) -> UUID:
    """The result of ``trading``; what a watch raises ends it."""
    running: set[asyncio.Task[Any]] = {trading, *watches}
    try:
        while not trading.done():
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {trading}:
                task.result()
        return trading.result()
    finally:
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)


async def summarize(database_url: str, run_id: UUID) -> dict[str, Any]:
    """The figures of a run from the ledger; wei as strings. ``ledger_diff_wei`` is None without a reconciliation."""
    ledger, journal = Ledger(database_url), Journal(database_url)
    try:
        summary = {**await ledger.run_summary(run_id), "ledger_diff_wei": await journal.difference(run_id)}
    finally:
        await ledger.close()
        await journal.close()
    shown: dict[str, Any] = {
        name: str(value) if name.endswith("_wei") and value is not None else value for name, value in summary.items()
    }
    log.info(
        "%(blocks)d blocks, %(opportunities)d opportunities, %(submitted)d submitted, %(landed)d landed, "
        "%(lost)d lost, %(reverted)d reverted; predicted %(predicted_wei)s wei, realised %(realised_wei)s wei, "
        "%(mismatched)d mismatched",
        shown,
    )
    if shown["ledger_diff_wei"] is not None:
        log.info("books and chain differ by %s wei", shown["ledger_diff_wei"])
    return shown


async def _start(
    stack: AsyncExitStack,
    watches: list[asyncio.Task[None]],
    settings: Settings,
    options: ReplicaOptions,
    *,
    with_panel: bool,
    paced: bool,
) -> tuple[Stores, Chain]:
    warm = asyncio.ensure_future(asyncio.to_thread(LoopSearch.warm_up))
    stores = await _start_stores(stack, watches, settings)
    if with_panel:
        watches.append(asyncio.ensure_future(_open_panel(stack, settings, stores)))
    if settings.network == "replica":
        chain = await _start_replica(stack, watches, settings, options, paced=paced)
    else:
        chain = _real_chain(settings)
    await warm
    return stores, chain


async def _start_stores(stack: AsyncExitStack, watches: list[asyncio.Task[None]], settings: Settings) -> Stores:
    """The database and the bus that the settings name, or private ones; the schema is brought up to date."""
    database_url, redis_url = settings.database_url, settings.redis_url
    if database_url is None:
        postgres = EmbeddedPostgres(settings.home, settings.log_dir)
        stack.push_async_callback(postgres.stop)
        await postgres.start()
        watches.append(asyncio.ensure_future(keep_up(postgres)))
        database_url = postgres.url
        log.info("database: private PostgreSQL on 127.0.0.1:%d", postgres.port)
    if redis_url is None:
        valkey = EmbeddedValkey(settings.home, settings.log_dir)
        stack.push_async_callback(valkey.stop)
        await valkey.start()
        watches.append(asyncio.ensure_future(keep_up(valkey)))
        redis_url = valkey.url
        log.info("bus: private Valkey on 127.0.0.1:%d", valkey.port)
    await asyncio.to_thread(upgrade, database_url)
    return Stores(database_url, redis_url)


async def _start_replica(
    stack: AsyncExitStack,
    watches: list[asyncio.Task[None]],
    settings: Settings,
    options: ReplicaOptions,
    *,
    paced: bool,
) -> Chain:
    from keeper.replica.progress import shown
    from keeper.replica.session import ReplicaSession

    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    with shown() as progress:
        session = ReplicaSession(
            settings.home,
            seed=seed,
            block_time=options.block_time,
            rival=options.rival,
            paced=paced,
            progress=progress,
        )
        stack.push_async_callback(session.stop)
        await session.start()
    watches += [asyncio.ensure_future(must_run(process, REPLICA_REMEDY)) for process in session.processes]
    log.info("replica: chain 1 at %s, relay at %s, seed %d", session.http_url, session.relay_url, seed)

    async def begin(block: int) -> None:
        await session.control.resume()
        await session.control.advance(block)

    return Chain(
        http_url=session.http_url,
        ws_url=session.ws_url,
        relay_urls=(session.relay_url,),
        pools_file=settings.pools_file or session.pools_file,
        tokens_file=settings.tokens_file or session.tokens_file,
        deployment=session.deployment,
        block_seconds=session.block_seconds,
        seed=seed,
        begin=begin,
        after_block=session.control.advance,
    )


def _real_chain(settings: Settings) -> Chain:
    if settings.rpc_url is None:
        raise InputError("ORION_RPC_URL", None, f"Name the HTTP endpoint of a node of {settings.network}.")
    if settings.pools_file is None and settings.factories_file is None:
        raise InputError(
            "ORION_POOLS_FILE", None, "Name a JSON list of pools, or of factories; docs/operating.md shows both."
        )
    if settings.mode is Mode.LIVE and not settings.relay_urls:
        raise InputError("ORION_RELAY_URLS", [], "Name at least one bundle endpoint for live trading.")
    return Chain(
        http_url=settings.rpc_url,
        ws_url=settings.ws_url or settings.rpc_url.replace("http", "ws", 1),
        relay_urls=settings.relay_urls,
        pools_file=settings.pools_file,
        tokens_file=settings.tokens_file,
        deployment=None,
        block_seconds=NETWORK_BLOCK_SECONDS,
    )


async def _open_panel(stack: AsyncExitStack, settings: Settings, stores: Stores) -> None:
    """Start panel and API in a process of their own, so that drawing never delays a block."""
    environment = {
        **os.environ,
        "ORION_DATABASE_URL": stores.database_url,
        "ORION_REDIS_URL": stores.redis_url,
        "ORION_NETWORK": settings.network,
        "ORION_MODE": settings.mode.value,
    }
    argv = [sys.executable, "-m", "keeper.cli", "api", "--port", str(settings.panel_port)]
    process = ManagedProcess("panel", argv, log_dir=settings.log_dir, env=environment)
    stack.push_async_callback(process.stop)
    try:
        await process.start()

        async def printed() -> bool:
            return _panel_url(process) is not None

        await process.wait_ready(printed, PANEL_START_SECONDS)
    except ComponentError as error:
        log.error("%s The keeper goes on without it.", error)
    else:
        log.info("panel: %s", _panel_url(process))
        log.info("api: %s/openapi.json; `keeper token create` makes a token for it", _panel_url(process))


def _panel_url(process: ManagedProcess) -> str | None:
    lines = [line for line in process.log_tail(50).splitlines() if line.startswith("panel: ")]
    return lines[0].removeprefix("panel: ") if lines else None


async def serve_panel(settings: Settings) -> None:
    """Serve the panel in this process until it is stopped."""
    from keeper.panel.server import LOOPBACK, serve

    if settings.database_url is None or settings.redis_url is None:
        missing = "ORION_DATABASE_URL" if settings.database_url is None else "ORION_REDIS_URL"
        raise InputError(missing, None, "Name the stores of a running keeper; `keeper run` serves a panel of its own.")
    await serve(LOOPBACK, settings.panel_port, settings.database_url, settings.redis_url)


async def serve_api(settings: Settings, *, host: str, with_panel: bool) -> None:
    """Serve the API, and Mission Control on the same port, until it is stopped."""
    from keeper.api import server
    from keeper.api.app import build
    from keeper.panel.server import bind

    if settings.database_url is None or settings.redis_url is None:
        missing = "ORION_DATABASE_URL" if settings.database_url is None else "ORION_REDIS_URL"
        raise InputError(missing, None, "Name the stores of a running keeper; `keeper run` serves an API of its own.")
    if with_panel and host not in LOOPBACK_HOSTS:
        remedy = "Mission Control asks for no token: serve it on loopback, or leave it out with --no-panel."
        raise InputError("--host", host, remedy)
    application: Any = build(settings.database_url, settings.redis_url, settings.public())
    listener = bind(host, settings.panel_port)
    address = f"http://{host}:{listener.getsockname()[1]}"
    if with_panel:
        from keeper.panel.app import build as build_panel

        panel = await asyncio.to_thread(build_panel, settings.database_url, settings.redis_url)
        application = server.Beside(application, panel)

    def announce() -> None:
        if with_panel:
            print(f"panel: {address}", file=sys.stderr, flush=True)
        print(f"api: {address}", file=sys.stderr, flush=True)

    await server.serve(application, listener, announce)
