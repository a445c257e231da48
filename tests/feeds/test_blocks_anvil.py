"""The block feed and the book on a real node: blocks, reorgs, and a node that is killed and started again."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from keeper.domain.chain import BlockEvent
from keeper.domain.errors import ComponentError
from keeper.feeds.blocks import BlockFeed
from keeper.market.book import Book, ReorgTooDeep
from keeper.market.node import Node, to_log
from keeper.market.venues import Pool, UniswapV2Pool
from keeper.market.venues.uniswap_v2 import SYNC_TOPIC
from keeper.replica.anvil import Anvil
from tests.market.chain import TOKEN0, TOKEN1, address, sync, word

POOL = address(0xAA)
START = UniswapV2Pool(POOL, "anvil", TOKEN0, TOKEN1, 3000, 1, 1)
# emits what follows the first word of its calldata, with that word as topic
EMITTER = "0x60203603806020600037600035906000a100"
TIMESTAMP = 1_760_000_000
BOUND = 60.0


@asynccontextmanager
async def anvil(folder: Path, *, port: int = 0, load_state: Path | None = None) -> AsyncIterator[Anvil]:
    number = 24_000_000 if load_state is None else None
    async with Anvil(
        log_dir=folder, timestamp=TIMESTAMP, number=number, load_state=load_state, automine=False, port=port
    ) as node:
        yield node


@asynccontextmanager
async def keeper_on(chain: Anvil) -> AsyncIterator[tuple[Node, BlockFeed, Book]]:
    async with Node(chain.http_url) as node:
        await node.request("anvil_setCode", POOL, EMITTER)
        start = await node.block()
        book = Book({POOL: START}, {}, start)
        async with BlockFeed(chain.ws_url, node, start, attempts=10, first_delay=0.02, longest_delay=1.0) as feed:
            yield node, feed, book


async def mine(node: Node, *reserves: int) -> None:
    """One block with a ``Sync`` for each of the numbers."""
    sender = (await node.request("eth_accounts"))[0]
    for reserve in reserves:
        data = "0x" + (SYNC_TOPIC + word(reserve) + word(reserve)).hex()
        await node.request("eth_sendTransaction", {"from": sender, "to": POOL, "data": data, "gas": "0x30d40"})
    await node.request("evm_mine")


async def follow(feed: BlockFeed, book: Book, node: Node) -> list[BlockEvent]:
    """Apply events until the book is at the node's latest block."""
    latest = await node.block()
    events = []
    async with asyncio.timeout(BOUND):
        while book.header != latest:
            event = await anext(feed)
            book.apply(event)
            events.append(event)
    return events


async def read_afresh(node: Node, first: int) -> Pool:
    """The pool after every log from block ``first`` on, in one query."""
    raw = await node.request("eth_getLogs", {"fromBlock": hex(first), "toBlock": "latest", "address": POOL})
    pool: Pool = START
    for log in map(to_log, raw):
        pool = pool.apply(log)
    return pool


async def test_the_book_follows_blocks_and_reorgs(tmp_path: Path) -> None:
    async with anvil(tmp_path) as chain, keeper_on(chain) as (node, feed, book):
        first = book.header.number + 1
        await mine(node, 10, 11)
        (event,) = await follow(feed, book, node)
        assert [log.data[-1] for log in event.logs] == [10, 11]
        for reserve in range(20, 28):
            await mine(node, reserve)
        assert len(await follow(feed, book, node)) == 8
        assert book.pools[POOL] == START.apply(sync(POOL, 27, 27))

        # the last three blocks are replaced by empty ones: the state of the fifth before is back
        await node.request("anvil_reorg", 3, [])
        events = await follow(feed, book, node)
        assert sum(len(event.reverted) for event in events) == 3
        assert not any(event.logs for event in events)
        assert book.pools[POOL] == START.apply(sync(POOL, 24, 24))

        for depth in (1, 5, 2):
            await mine(node, 100 + depth)
            await node.request("anvil_reorg", depth, [])
            await mine(node, 200 + depth)
            await follow(feed, book, node)
            assert book.pools[POOL] == await read_afresh(node, first)
        assert not book.quarantined


async def test_the_chain_may_be_rolled_back(tmp_path: Path) -> None:
    async with anvil(tmp_path) as chain, keeper_on(chain) as (node, feed, book):
        for reserve in (10, 11, 12):
            await mine(node, reserve)
        await follow(feed, book, node)
        await node.request("anvil_rollback", 2)
        await mine(node, 20)
        (event,) = await follow(feed, book, node)
        assert len(event.reverted) == 2
        assert book.pools[POOL] == START.apply(sync(POOL, 20, 20))


async def test_a_killed_node_is_found_again_and_the_gap_filled(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    async with anvil(tmp_path) as chain, keeper_on(chain) as (node, feed, book):
        await mine(node, 10)
        await follow(feed, book, node)
        await mine(node, 11)
        await mine(node, 12)
        dump = await node.request("anvil_dumpState", True)
        state.write_bytes(gzip.decompress(bytes.fromhex(dump[2:])))
        kill(chain)
        waiting = asyncio.ensure_future(anext(feed))
        async with anvil(tmp_path, port=chain.port, load_state=state):
            await mine(node, 13)
            async with asyncio.timeout(BOUND):
                book.apply(await waiting)
            await follow(feed, book, node)
        assert book.pools[POOL] == START.apply(sync(POOL, 13, 13))
        assert book.header.number == 24_000_004


async def test_a_node_that_stays_away_ends_the_feed(tmp_path: Path) -> None:
    async with anvil(tmp_path) as chain, keeper_on(chain) as (node, feed, book):
        await mine(node, 10)
        await follow(feed, book, node)
        kill(chain)
        with pytest.raises(ComponentError, match=r"^node: "):
            await asyncio.wait_for(anext(feed), BOUND)


async def test_a_node_that_comes_back_with_another_chain_is_too_deep(tmp_path: Path) -> None:
    async with anvil(tmp_path) as chain, keeper_on(chain) as (node, feed, book):
        await mine(node, 10)
        await follow(feed, book, node)
        kill(chain)
        waiting: asyncio.Future[Any] = asyncio.ensure_future(anext(feed))
        async with Anvil(
            log_dir=tmp_path, timestamp=TIMESTAMP + 999, number=24_000_000, automine=False, port=chain.port
        ):
            await node.request("anvil_setCode", POOL, EMITTER)
            await mine(node, 11)
            await mine(node, 12)
            with pytest.raises(ReorgTooDeep):
                await asyncio.wait_for(waiting, BOUND)


def kill(chain: Anvil) -> None:
    pid = chain.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
