"""Loader, feed and book on the replica: after real trades and real liquidity changes the book is the chain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_asyncio
from eth_abi import encode
from eth_utils.crypto import keccak

from keeper.domain.units import Address, to_address
from keeper.feeds.blocks import BlockFeed
from keeper.market.book import Book
from keeper.market.loader import PoolSpec, load_pools, read_pool_specs, read_token_list
from keeper.market.node import Node, RpcError
from keeper.market.venues import InsufficientLiquidity, Pool, UniswapV2Pool, UniswapV3Pool
from keeper.replica.addresses import (
    POSITION_MANAGER,
    SUSHI_ROUTER,
    SWAP_ROUTER_02,
    TRADERS,
    UNISWAP_V2_ROUTER,
    WETH,
)
from tests.conftest import RunningReplica
from tests.market.chain import address

V2_ROUTERS = {"uniswap_v2": UNISWAP_V2_ROUTER.address, "sushiswap": SUSHI_ROUTER.address}
TRANSFER = keccak(text="Transfer(address,address,uint256)")
INCREASE = keccak(text="IncreaseLiquidity(uint256,uint128,uint256,uint256)")
NEVER = 2**40
ANY = 2**256 - 1
TRADER = TRADERS[0]
BOUND = 60.0


@dataclass
class Market:
    """The keeper's side (node, feed, book) and a trader's."""

    node: Node
    feed: BlockFeed
    book: Book

    async def follow(self) -> frozenset[Address]:
        """Apply events up to the node's latest block; the pools that changed."""
        latest = await self.node.block()
        changed: set[Address] = set()
        async with asyncio.timeout(BOUND):
            while self.book.header != latest:
                changed |= self.book.apply(await anext(self.feed))
        return frozenset(changed)

    async def send(self, to: Address, signature: str, *arguments: Any) -> dict[str, Any]:
        """The receipt of the trader's transaction, which must succeed."""
        transaction = {"from": TRADER, "to": to, "data": data_of(signature, *arguments), "gas": hex(3_000_000)}
        receipt: dict[str, Any] = await self.node.request("eth_sendTransactionSync", transaction)
        assert receipt["status"] == "0x1", (signature, arguments)
        return receipt

    async def swap(self, pool: Pool, token_in: Address, token_out: Address, amount_in: int) -> int:
        """Sell through the venue's own router; what the trader received."""
        if isinstance(pool, UniswapV2Pool):
            signature = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
            arguments: tuple[Any, ...] = (amount_in, 0, [token_in, token_out], TRADER, NEVER)
            receipt = await self.send(V2_ROUTERS[pool.dex], signature, *arguments)
        else:
            signature = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))"
            order = (token_in, token_out, pool.fee_pips, TRADER, amount_in, 0, 0)
            receipt = await self.send(SWAP_ROUTER_02.address, signature, order)
        return sum(
            int(log["data"], 16)
            for log in receipt["logs"]
            if to_address(log["address"], "token") == token_out
            and log["topics"][0] == "0x" + TRANSFER.hex()
            and int(log["topics"][2], 16) == int(TRADER, 16)
        )


@pytest_asyncio.fixture
async def market(replica: RunningReplica) -> AsyncIterator[Market]:
    specs = read_pool_specs(replica.state.pools_path)
    tokens = read_token_list(replica.state.tokens_path)
    async with Node(replica.http_url) as node:
        start = await node.block()
        pools = await load_pools(node, specs, start)
        assert list(pools) == [spec.address for spec in specs], "every pool is read, in the order of the list"
        async with BlockFeed(replica.ws_url, node, start) as feed:
            yield Market(node, feed, Book(pools, tokens, start, journal_depth=1000))


def data_of(signature: str, *arguments: Any) -> str:
    """Calldata; the signature's one level of tuples is all that is needed here."""
    inside = signature[signature.index("(") + 1 : -1]
    types = [inside] if inside.startswith("(") else inside.split(",")
    return "0x" + (keccak(text=signature)[:4] + encode(types, arguments)).hex()


async def test_after_real_trades_and_liquidity_changes_the_book_is_the_chain(market: Market) -> None:
    random = Random(21)
    start, first = dict(market.book.pools), market.book.header
    for token in market.book.tokens:
        await market.send(token, "approve(address,uint256)", POSITION_MANAGER.address, ANY)
    minted: list[tuple[int, int]] = []
    swaps = crossings = 0
    for _ in range(60):
        await market.follow()
        pool = random.choice(list(market.book.pools.values()))
        tokens = (pool.token0, pool.token1) if random.random() < 0.5 else (pool.token1, pool.token0)
        choice = random.random()
        if choice < 0.3 and isinstance(pool, UniswapV3Pool):
            minted.append(await mint(market, random, pool))
        elif choice < 0.45 and minted:
            await burn(market, random, minted)
        else:
            amount_in = int(size(pool, tokens[0]) * 10 ** random.uniform(-6, -0.5))
            try:
                predicted = pool.amount_out(tokens[0], amount_in)
            except InsufficientLiquidity:
                continue
            received = await market.swap(pool, *tokens, amount_in)
            assert received == predicted, (pool, tokens, amount_in)
            swaps += 1
            assert await market.follow() == {pool.address}
            after = market.book.pools[pool.address]
            if isinstance(pool, UniswapV3Pool) and isinstance(after, UniswapV3Pool):
                ours = pool.swap(tokens[0] == pool.token0, amount_in)
                assert (after.sqrt_price_x96, after.liquidity) == (ours.sqrt_price_x96, ours.liquidity)
                crossings += after.liquidity != pool.liquidity
    await market.follow()
    assert swaps >= 20
    assert crossings >= 2
    assert minted

    # read afresh, every pool is the same
    assert await market.book.check(market.node, len(market.book.pools)) == []
    specs = [PoolSpec.of(pool) for pool in market.book.pools.values()]
    assert await load_pools(market.node, specs, market.book.header) == dict(market.book.pools)

    # all of it is undone when the chain goes back to where it was
    depth = market.book.header.number - first.number
    await market.node.request("anvil_reorg", depth, [])
    await market.follow()
    assert dict(market.book.pools) == start
    assert await market.book.check(market.node, 20, seed=1) == []


async def mint(market: Market, random: Random, pool: UniswapV3Pool) -> tuple[int, int]:
    """Open a position around or beside the price; its number and liquidity."""
    spacing = pool.tick_spacing
    lower = pool.tick // spacing + random.randrange(-30, 30)
    upper = lower + random.randrange(1, 60)
    amounts = (size(pool, pool.token0) // 50, size(pool, pool.token1) // 50)
    receipt = await market.send(
        POSITION_MANAGER.address,
        "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))",
        (pool.token0, pool.token1, pool.fee_pips, lower * spacing, upper * spacing, *amounts, 0, 0, TRADER, NEVER),
    )
    (event,) = (log for log in receipt["logs"] if log["topics"][0] == "0x" + INCREASE.hex())
    return int(event["topics"][1], 16), int(event["data"][2:66], 16)


async def burn(market: Market, random: Random, minted: list[tuple[int, int]]) -> None:
    """Take a position out, half of the time the whole of it, which may remove its ticks."""
    number, liquidity = minted.pop(random.randrange(len(minted)))
    part = liquidity if random.random() < 0.5 else random.randrange(1, liquidity)
    if part < liquidity:
        minted.append((number, liquidity - part))
    await market.send(
        POSITION_MANAGER.address,
        "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))",
        (number, part, 0, 0, NEVER),
    )


def size(pool: Pool, token: Address) -> int:
    """About what the pool holds of the token, raw units; for V3 what its current range would hold without ends."""
    if isinstance(pool, UniswapV2Pool):
        return pool.reserve0 if token == pool.token0 else pool.reserve1
    assert isinstance(pool, UniswapV3Pool)
    price = pool.sqrt_price_x96
    return (pool.liquidity << 96) // price if token == pool.token0 else pool.liquidity * price >> 96


async def test_a_pool_that_differs_from_the_chain_is_found_and_stays_out(market: Market) -> None:
    victim = next(pool for pool in market.book.pools.values() if isinstance(pool, UniswapV3Pool))
    lying = replace(victim, liquidity_gross=(victim.liquidity_gross[0] + 1, *victim.liquidity_gross[1:]))
    book = Book({**market.book.pools, victim.address: lying}, {}, market.book.header)
    await market.node.request("evm_mine")
    book.apply(await anext(market.feed))
    (difference,) = await book.check(market.node, len(book.pools))
    rows = [
        (victim.tick_indices[0], str(victim.liquidity_net[0]), str(pool.liquidity_gross[0])) for pool in (lying, victim)
    ]
    assert (difference.key, difference.block) == (victim.key, book.header.number)
    assert tuple(map(tuple, difference.ours["ticks"])) == (rows[0],)
    assert difference.theirs is not None
    assert tuple(map(tuple, difference.theirs["ticks"])) == (rows[1],)
    assert difference.ours.keys() == difference.theirs.keys() == {"ticks"}
    assert victim.address not in book.pools
    assert "differs from the chain" in book.quarantined[victim.address]
    await market.node.request("anvil_reorg", 1, [])
    async with asyncio.timeout(BOUND):
        assert book.apply(await anext(market.feed)) == {victim.key}, "the search is told that it left"
    assert victim.address not in book.pools, "undoing a block does not prove the pool right"
    assert len(book.pools) == len(market.book.pools) - 1


async def test_pools_that_are_not_what_the_list_says_are_left_out(
    market: Market, caplog: pytest.LogCaptureFixture
) -> None:
    v2 = next(PoolSpec.of(pool) for pool in market.book.pools.values() if isinstance(pool, UniswapV2Pool))
    v3 = next(PoolSpec.of(pool) for pool in market.book.pools.values() if isinstance(pool, UniswapV3Pool))
    wrong = [
        (replace(v2, address=address(0xDEAD)), "token0 does not answer"),
        (replace(v2, token1=address(2**160 - 1)), "token1 is"),
        (replace(v2, venue=v3.venue, tick_spacing=60), "fee does not answer"),
        (replace(v3, venue=v2.venue, tick_spacing=0), "getReserves does not answer"),
        (replace(v3, fee_pips=v3.fee_pips + 1), f"fee is {v3.fee_pips}"),
        (replace(v3, tick_spacing=v3.tick_spacing + 1), f"tickSpacing is {v3.tick_spacing}"),
    ]
    header = market.book.header
    for spec, reason in wrong:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert await load_pools(market.node, [spec], header) == {}
        assert reason in caplog.text
        assert spec.address in caplog.text


async def test_ticks_that_do_not_add_up_are_left_out(market: Market, caplog: pytest.LogCaptureFixture) -> None:
    """A pool whose storage was changed behind its back: as a node would answer that leaves a tick out."""
    pool = next(pool for pool in market.book.pools.values() if isinstance(pool, UniswapV3Pool))
    word, bit = divmod(pool.tick_indices[0] // pool.tick_spacing, 256)
    slot = "0x" + keccak(word.to_bytes(32, "big", signed=True) + (6).to_bytes(32, "big")).hex()
    bitmap = int(await market.node.request("eth_getStorageAt", pool.address, slot, "latest"), 16)
    assert bitmap >> bit & 1
    await market.node.request("anvil_setStorageAt", pool.address, slot, f"0x{bitmap ^ 1 << bit:064x}")
    await market.node.request("evm_mine")
    with caplog.at_level(logging.WARNING):
        assert await load_pools(market.node, [PoolSpec.of(pool)], await market.node.block()) == {}
    assert "its ticks add up to" in caplog.text
    await market.node.request("anvil_setStorageAt", pool.address, slot, f"0x{bitmap:064x}")
    await market.node.request("evm_mine")
    assert await load_pools(market.node, [PoolSpec.of(pool)], await market.node.block()) == {pool.address: pool}


async def test_reading_shows_its_progress_and_small_batches_read_the_same(market: Market) -> None:
    specs = [PoolSpec.of(pool) for pool in market.book.pools.values()]
    steps: list[tuple[str, int, int]] = []
    pools = await load_pools(
        market.node,
        specs,
        market.book.header,
        progress=lambda *step: steps.append(step),
        batch_calls=97,
        pools_at_once=20,
    )
    assert pools == dict(market.book.pools)
    for kind in ("uniswap_v2", "uniswap_v3"):
        count = sum(pool.venue == kind for pool in pools.values())
        wanted = [(kind, min(at + 20, count), count) for at in range(0, count, 20)]
        assert [step for step in steps if step[0] == kind] == wanted


async def test_a_block_that_was_displaced_is_not_read(market: Market) -> None:
    await market.node.request("evm_mine")
    displaced = await market.node.block()
    await market.node.request("anvil_reorg", 1, [])
    specs = [PoolSpec.of(pool) for pool in market.book.pools.values()][:3]
    with pytest.raises(RpcError):
        await load_pools(market.node, specs, displaced)


def test_the_lists_of_the_replica_name_its_tokens(replica: RunningReplica) -> None:
    tokens = read_token_list(Path(replica.state.tokens_path))
    assert tokens[WETH.address].symbol == "WETH"
    for spec in read_pool_specs(replica.state.pools_path):
        assert {spec.token0, spec.token1} <= tokens.keys()
