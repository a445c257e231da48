"""The living replica: slot by slot it makes traffic, takes bundles, builds and mines; one process beside anvil."""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path

import orjson

from keeper.domain.errors import ComponentError, InputError, OrionError
from keeper.domain.token import Token
from keeper.replica import addresses
from keeper.replica.block_builder import BlockBuilder, BuiltBlock, BundleFate
from keeper.replica.bundle_simulation import BlockContext
from keeper.replica.bundles import BundlePool, SignedTransaction
from keeper.replica.control import ControlServer, ReplicaStatus
from keeper.replica.filler import FillerGas
from keeper.replica.pool_state import TradedPool, load_market
from keeper.replica.relay import Relay
from keeper.replica.rival import Rival
from keeper.replica.rpc import Rpc
from keeper.replica.traffic import SlotTraffic, Traffic, trader_accounts

CHAIN_ID = 1
WETH = addresses.WETH.address
PACE_TIMEOUT = 120.0
PRIVATE_BLOCKS = 25
_SETUP_POLL_SECONDS = 0.03
_SHOWN_DROPS = 50

_log = logging.getLogger(__name__)


class Phase(StrEnum):
    SETUP = "setup"
    RUNNING = "running"
    PAUSED = "paused"
    FAILED = "failed"
    STOPPED = "stopped"


class ReplicaService:
    """Everything that makes the replica live. Use `start`, then `run` until `stop`.

    Args:
        rpc_url: anvil, started with ``--no-mining --order fifo``.
        pools, tokens: what is traded.
        seed: equal seeds on equal states give equal blocks, given equal bundles.
        block_time: seconds from block to block, on the wall clock and (at least 1, rounded up) on the chain's.
        rival: let a competing searcher take part.
        paced: build a block only once the keeper has finished with the one before, and then at once.
        setup: begin in the set-up phase, in which each transaction is mined as it comes, until ``resume``.
        pace_timeout: seconds that a paced block waits for the keeper.
    """

    def __init__(
        self,
        rpc_url: str,
        pools: Sequence[TradedPool],
        tokens: Sequence[Token],
        *,
        seed: int,
        block_time: float = 2.0,
        rival: bool = False,
        paced: bool = False,
        setup: bool = False,
        pace_timeout: float = PACE_TIMEOUT,
        relay_port: int = 0,
        control_port: int = 0,
    ) -> None:
        if not 0 <= block_time < math.inf:
            raise InputError("block-time", block_time, "Give seconds, 0 or more.")
        self._rpc = Rpc(rpc_url)
        self._seed = seed
        self._block_time = block_time
        self._paced = paced
        self._pace_timeout = pace_timeout
        self.pool = BundlePool()
        self.builder = BlockBuilder(self._rpc, self.pool, block_seconds=max(1, math.ceil(block_time)))
        self.relay = Relay(
            self.builder, self.pool, chain_id=CHAIN_ID, submit_private=self.take_private, port=relay_port
        )
        self.control = ControlServer(self, control_port)
        self._traffic = Traffic(self._rpc, pools, tokens, trader_accounts(), seed=seed, chain_id=CHAIN_ID, weth=WETH)
        self._filler = FillerGas(self._rpc, seed=seed, chain_id=CHAIN_ID)
        self._rival = Rival(self._rpc, pools, seed=seed, chain_id=CHAIN_ID, weth=WETH) if rival else None
        self._private: dict[str, tuple[SignedTransaction, int]] = {}
        self._phase = Phase.SETUP if setup else Phase.RUNNING
        self._changed = asyncio.Event()
        self._at_work = asyncio.Lock()
        self._began = False
        self._stopping = False
        self._block = 0
        self._advanced_to = 0
        self._traffic_sent = 0
        self._traffic_reverted = 0
        self._problem = ""

    @property
    def relay_url(self) -> str:
        return self.relay.url

    @property
    def control_url(self) -> str:
        return self.control.url

    @property
    def control_token(self) -> str:
        return self.control.token

    async def start(self) -> None:
        """Prepare the chain and open the relay and the control endpoint."""
        await self.builder.start()
        head = await self._rpc("eth_getBlockByNumber", "latest", False)
        self._block = int(head["number"], 16)
        await self._filler.start(int(head["baseFeePerGas"], 16))
        await self.relay.start()
        await self.control.start()

    async def run(self, blocks: int | None = None) -> None:
        """Build ``blocks`` slots, or go on until `stop`; the first error ends it and shows in the status."""
        async with self._at_work:
            try:
                await self._set_up()
                built = 0
                while not self._stopping and (blocks is None or built < blocks):
                    if self._phase is Phase.PAUSED:
                        await self._wait_for_change()
                        continue
                    built += await self._slot() is not None
            except OrionError as error:
                self._phase, self._problem = Phase.FAILED, str(error)
                raise

    async def stop(self) -> None:
        """End `run` after its current step and close both endpoints; harmless when called again."""
        self._stopping = True
        self._changed.set()
        await self.relay.stop()
        await self.control.stop()
        async with self._at_work:
            await self._rpc.close()
        if self._phase is not Phase.FAILED:
            self._phase = Phase.STOPPED

    def advance(self, block: int) -> None:
        """The keeper has finished with ``block``, which it may have heard of a moment before this service did."""
        if not 0 <= block <= self._block + 1:
            raise InputError("block", block, f"The newest block is {self._block}.")
        self._advanced_to = max(self._advanced_to, block)
        self._changed.set()

    def pause(self) -> None:
        self._change_phase(Phase.PAUSED)

    def resume(self) -> None:
        self._change_phase(Phase.RUNNING)

    async def status(self) -> ReplicaStatus:
        unlucky = [outcome for outcome in self.builder.outcomes if outcome.fate is not BundleFate.LANDED]
        return ReplicaStatus(
            phase=self._phase,
            block=self._block,
            advanced_to=self._advanced_to,
            seed=self._seed,
            block_time=self._block_time,
            paced=self._paced,
            rival=self._rival is not None,
            bundles_seen=self.pool.received,
            bundles={
                **{fate.value: self.builder.totals[fate] for fate in BundleFate},
                "replaced": self.pool.replaced,
            },
            drop_reasons=[asdict(outcome) for outcome in unlucky[-_SHOWN_DROPS:]],
            traffic_sent=self._traffic_sent,
            traffic_reverted=self._traffic_reverted,
            problem=self._problem,
        )

    def _change_phase(self, phase: Phase) -> None:
        if self._phase in (Phase.SETUP, Phase.RUNNING, Phase.PAUSED):
            self._phase = phase
            self._changed.set()

    def take_private(self, tx: SignedTransaction, last_block: int | None) -> None:
        """Keep a transaction for the builder alone until it lands, at most 25 blocks."""
        limit = self._block + PRIVATE_BLOCKS
        self._private[tx.hash] = tx, min(last_block or limit, limit)

    async def _set_up(self) -> None:
        """Mine what is sent until told to begin, then take the market as it is; once in a service's life."""
        if self._began:
            return
        while self._phase is Phase.SETUP and not self._stopping:
            pool = await self._rpc("txpool_status")
            if int(pool["pending"], 16):
                await self._build(await self.builder.next_block(), ())
            else:
                await self._wait_for_change(_SETUP_POLL_SECONDS)
        if self._stopping:
            return
        self._began = True
        await self._traffic.start()
        if self._rival is not None:
            coming = await self.builder.next_block()
            for tx in await self._rival.start(coming.base_fee):
                self.take_private(tx, None)

    async def _slot(self) -> BuiltBlock | None:
        """One block from its traffic to its receipt; None when stopped or paused before it was built."""
        began = asyncio.get_running_loop().time()
        context = await self.builder.next_block()
        traffic = await self._traffic.slot(context)
        for tx in traffic.public:
            await self._rpc("eth_sendRawTransaction", tx.raw_hex)
        if self._rival is not None:
            for bundle in await self._rival.bundles(context):
                self.pool.add(bundle)
        if not await self._await_end_of_slot(context, began):
            return None
        block = await self._build(context, traffic.private)
        self._count(traffic, block)
        return block

    async def _await_end_of_slot(self, context: BlockContext, began: float) -> bool:
        """Wait for the keeper in a paced run, else for the clock; False when the replica is to stop first."""
        parent = context.number - 1
        limit = began + (self._pace_timeout if self._paced else self._block_time)
        while not self._stopping:
            if self._paced and self._advanced_to >= parent and self._phase is Phase.RUNNING:
                return True
            if self._phase is Phase.PAUSED:
                await self._wait_for_change()
                limit = asyncio.get_running_loop().time() + (self._pace_timeout if self._paced else 0.0)
                continue
            remaining = limit - asyncio.get_running_loop().time()
            if remaining <= 0 and self._paced:
                raise ComponentError(
                    "replica",
                    f"the keeper did not finish with block {parent} within {self._pace_timeout:g} s",
                    "See whether the keeper still runs; a run without a keeper must not be paced.",
                )
            if remaining <= 0:
                return True
            await self._wait_for_change(remaining)
        return False

    async def _wait_for_change(self, seconds: float | None = None) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return
        self._changed.clear()

    async def _build(self, context: BlockContext, private: Sequence[SignedTransaction]) -> BuiltBlock:
        waiting = [tx for tx, last_block in self._private.values() if last_block >= context.number]
        await self._filler.prepare()
        block = await self.builder.build(context, [*private, *waiting], self._filler.fill)
        included = set(block.transactions)
        self._private = {
            tx_hash: (tx, last_block)
            for tx_hash, (tx, last_block) in self._private.items()
            if tx_hash not in included and last_block > block.number
        }
        self._block = block.number
        _log.info(
            "block %d: %d transactions, %d bundles landed, base fee %.3f gwei",
            *(block.number, len(block.transactions)),
            *(sum(outcome.fate is BundleFate.LANDED for outcome in block.bundles), block.base_fee / 1e9),
        )
        return block

    def _count(self, traffic: SlotTraffic, block: BuiltBlock) -> None:
        included = set(block.transactions)
        ours = {tx.hash for tx in (*traffic.public, *traffic.private)} & included
        self._traffic_sent += len(ours)
        self._traffic_reverted += len(ours & block.reverted)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a replica's service until SIGTERM or SIGINT. Exit status 1 after an error, which is printed in one line."""
    parser = argparse.ArgumentParser(prog="keeper.replica.service", description=__doc__)
    parser.add_argument("--rpc-url", required=True, help="anvil, started with --no-mining --order fifo")
    parser.add_argument("--pools", type=Path, required=True, help="pools.json of the replica's state")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.json of the replica's state")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same blocks (default 1)")
    parser.add_argument("--block-time", type=float, default=2.0, help="seconds from block to block (default 2)")
    parser.add_argument("--rival", action="store_true", help="let a competing searcher take part")
    parser.add_argument("--paced", action="store_true", help="wait each block until the keeper is done with the last")
    parser.add_argument("--setup", action="store_true", help="mine each transaction at once until told to resume")
    parser.add_argument("--relay-port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--control-port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument(
        "--ready-file",
        type=Path,
        required=True,
        help="written once it answers: JSON with relay_url, control_url, token",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        asyncio.run(_serve(options))
    except OrionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(options: argparse.Namespace) -> None:
    pools, tokens = load_market(options.pools, options.tokens)
    service = ReplicaService(
        options.rpc_url,
        pools,
        tokens,
        seed=options.seed,
        block_time=options.block_time,
        rival=options.rival,
        paced=options.paced,
        setup=options.setup,
        relay_port=options.relay_port,
        control_port=options.control_port,
    )
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await service.start()
        _write_ready(options.ready_file, service)
        running = asyncio.create_task(service.run())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await service.stop()
        await running
    finally:
        await service.stop()
        options.ready_file.unlink(missing_ok=True)


def _write_ready(path: Path, service: ReplicaService) -> None:
    """Readable by this user only, since it holds the token; complete as soon as it is there."""
    content = {"relay_url": service.relay_url, "control_url": service.control_url, "token": service.control_token}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(orjson.dumps(content))
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
