"""The book from the start of the keeper on: checkpoints, reorgs, what is read again, what trips."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from keeper.domain.chain import BlockHeader
from keeper.domain.units import Address
from keeper.feeds.blocks import BlockFeed
from keeper.market.book import Book, ReorgTooDeep
from keeper.market.checkpoint import read_checkpoint, write_checkpoint
from keeper.market.factories import Factory, FactoryKind
from keeper.market.loader import load_pools, read_pool_specs
from keeper.market.node import Node
from keeper.market.specs import PoolSpec
from keeper.market.venues import CurveStableSwapPool, Pool, UniswapV2Pool
from keeper.market_watch import MarketWatch, WatchRules
from keeper.replica.abi import call_data
from keeper.replica.addresses import TRADERS, UNISWAP_V2_FACTORY, UNISWAP_V2_ROUTER
from tests.conftest import RunningReplica

BOUND = 60.0
TRADER = TRADERS[2]
SWAP = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
RULES = WatchRules(checkpoint_blocks=0, check_blocks=0, rates_blocks=0)


@dataclass
class Told:
    """What the keeper was told."""

    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)

    def publish(self, kind: str, facts: Mapping[str, Any]) -> None:
        self.events.append((kind, facts))

    def set_status(self, **fields: object) -> None:
        self.status |= fields


@dataclass
class Site:
    replica: RunningReplica
    node: Node
    listed: list[PoolSpec]

    @asynccontextmanager
    async def watching(self, rules: WatchRules = RULES, **changes: Any) -> AsyncIterator[MarketWatch]:
        options: dict[str, Any] = {"listed": self.listed, "tokens": {}, "chain_id": 1, **changes}
        watch = MarketWatch(self.node, self.replica.ws_url, rules=rules, **options)
        try:
            yield watch
        finally:
            await watch.close()

    async def send(self, to: str, signature: str, *arguments: Any) -> None:
        data = "0x" + call_data(signature, *arguments).hex()
        transaction = {"from": TRADER, "to": to, "data": data, "gas": hex(3_000_000)}
        receipt = await self.node.request("eth_sendTransactionSync", transaction)
        assert receipt["status"] == "0x1", signature

    async def swap(self, pool: PoolSpec, amount: int = 10**6) -> None:
        await self.send(UNISWAP_V2_ROUTER.address, SWAP, amount, 0, [pool.token0, pool.token1], TRADER, 2**40)

    async def fresh(self, specs: list[PoolSpec] | None = None) -> dict[Address, Pool]:
        return await load_pools(self.node, specs or self.listed, await self.node.block())

    @property
    def pair(self) -> PoolSpec:
        return next(spec for spec in self.listed if spec.dex == "uniswap_v2")


@pytest.fixture
async def site(fresh_replica: RunningReplica) -> AsyncIterator[Site]:
    async with Node(fresh_replica.http_url) as node:
        yield Site(fresh_replica, node, read_pool_specs(fresh_replica.state.pools_path)[:12])


async def follow(book: Book, feed: BlockFeed, node: Node) -> frozenset[Address]:
    latest, changed = await node.block(), frozenset[Address]()
    async with asyncio.timeout(BOUND):
        while book.header.hash != latest.hash:
            changed |= book.apply(await anext(feed))
    return changed


async def test_without_a_checkpoint_all_pools_are_read(site: Site) -> None:
    async with site.watching() as watch:
        book, feed = await watch.open()
        assert dict(book.pools) == await site.fresh()
        assert list(watch.specs) == site.listed
        await site.swap(site.pair)
        assert await follow(book, feed, site.node) == {site.pair.key}, "what was there at the start is not news"
        assert dict(book.pools) == await site.fresh()


async def test_a_restart_goes_on_from_the_checkpoint(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = replace(RULES, checkpoint=tmp_path / "book.bin")
    async with site.watching(rules, listed=site.listed[1:]) as watch:
        await watch.open()
    for _ in range(3):
        await site.swap(site.pair)
    asked: list[PoolSpec] = []

    async def counted(node: Node, specs: list[PoolSpec], *rest: Any, **options: Any) -> dict[Address, Pool]:
        asked.extend(specs)
        return await load_pools(node, specs, *rest, **options)

    monkeypatch.setattr("keeper.market_watch.load_pools", counted)
    # one pool more than before, and one that is wanted no longer
    async with site.watching(rules, listed=site.listed[:-1]) as watch:
        book, feed = await watch.open()
        assert asked == site.listed[:1], "only what the checkpoint does not have is read"
        assert dict(book.pools) == await site.fresh(site.listed[:-1])
        # the blocks since the checkpoint can be undone
        await site.node.request("anvil_reorg", 3, [])
        await follow(book, feed, site.node)
        assert book.unread.keys() == {site.pair.key}, "read at a block that is gone"
        watch.after_block()
        await watch.settle()
        assert dict(book.pools) == await site.fresh(site.listed[:-1])


async def test_a_checkpoint_that_is_too_old_is_read_again(site: Site, tmp_path: Path) -> None:
    rules = replace(RULES, checkpoint=tmp_path / "book.bin", checkpoint_reach=1)
    async with site.watching(rules) as watch:
        await watch.open()
    for _ in range(2):
        await site.swap(site.pair)
    async with site.watching(rules) as watch:
        book, _ = await watch.open()
        assert dict(book.pools) == await site.fresh()
        assert book.header == await site.node.block()


@pytest.mark.parametrize("harm", ["damage", "chain", "branch"])
async def test_a_checkpoint_that_is_not_ours_is_refused_and_replaced(
    site: Site, tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "book.bin"
    rules = replace(RULES, checkpoint=path)
    async with site.watching(rules) as watch:
        await watch.open()
    if harm == "damage":
        content = path.read_bytes()
        path.write_bytes(content[:-9] + b"x" + content[-8:])
        reason = "damaged"
    else:
        kept = read_checkpoint(path, 1)
        assert kept is not None
        if harm == "chain":
            write_checkpoint(path, replace(kept, chain_id=5))
            reason = "chain 5"
        else:
            write_checkpoint(path, replace(kept, header=replace(kept.header, hash="0x" + "11" * 32)))  # type: ignore[arg-type]
            reason = "does not have its block"
    with caplog.at_level(logging.ERROR):
        async with site.watching(rules) as watch:
            book, _ = await watch.open()
            assert dict(book.pools) == await site.fresh()
    assert reason in caplog.text
    assert "checkpoint refused" in caplog.text
    assert read_checkpoint(path, 1) is not None


async def test_a_reorg_deeper_than_the_journal_reads_everything_again(site: Site) -> None:
    async with site.watching(replace(RULES, journal_depth=2)) as watch:
        book, feed = await watch.open()
        for _ in range(4):
            await site.swap(site.pair)
        await follow(book, feed, site.node)
        await site.node.request("anvil_reorg", 4, [])
        with pytest.raises(ReorgTooDeep):
            await follow(book, feed, site.node)
        again, feed = await watch.open(afresh=True)
        assert again is not book
        assert dict(again.pools) == await site.fresh()
        await site.swap(site.pair)
        await follow(again, feed, site.node)
        assert dict(again.pools) == await site.fresh()


async def test_a_difference_trips_and_is_told(site: Site, tmp_path: Path) -> None:
    told, record = Told(), tmp_path / "state" / "quarantine.jsonl"
    rules = replace(RULES, check_blocks=2, check_pools=100, record=record)
    async with site.watching(rules) as watch:
        book, feed = await watch.open()
        watch.tell(told.publish, told.set_status)
        assert told.status == {"pools": 12, "pools_quarantined": 0, "pools_unread": 0}
        # storage that changes behind the pool's back, as a bug of ours would look like
        await site.node.request("anvil_setStorageAt", site.pair.address, hex(8), "0x" + f"{(7 << 112) + 5:064x}")
        for _ in range(2):
            await site.node.request("evm_mine")
            await follow(book, feed, site.node)
            assert site.pair.key in book.pools
            watch.after_block()
            await watch.settle()
        assert site.pair.key not in book.pools
        ((kind, facts),) = told.events
        ours = site.pair.key
        assert (kind, facts["pool"], facts["block"]) == ("quarantine", ours, book.header.number)
        assert facts["theirs"] == {"reserve0": "5", "reserve1": "7"}
        assert facts["ours"].keys() == {"reserve0", "reserve1"}
        assert told.status == {"pools": 11, "pools_quarantined": 1, "pools_unread": 0}
        (line,) = record.read_text().splitlines()
        assert json.loads(line) == {"chain_id": 1, **facts}
        await site.node.request("evm_mine")
        assert await follow(book, feed, site.node) == {site.pair.key}, "the search is told that it left"
        watch.after_block()
        await watch.settle()
        assert len(told.events) == 1, "said once"


async def test_a_node_that_is_away_does_no_harm(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    async with site.watching(replace(RULES, check_blocks=1)) as watch:
        book, feed = await watch.open()
        await site.node.request("evm_mine")
        await follow(book, feed, site.node)
        book.header = replace(book.header, hash="0x" + "22" * 32)  # type: ignore[arg-type]
        watch.after_block()
        with caplog.at_level(logging.WARNING):
            await watch.settle()
        assert "tried again" in caplog.text
        assert not book.quarantined


def curve(site: Site) -> PoolSpec:
    (entry,) = (one for one in site.replica.state.other_pools() if one["venue"] == "curve_stableswap")
    return PoolSpec.from_json(entry)


async def test_what_events_do_not_tell_is_read_again(site: Site) -> None:
    spec = curve(site)
    async with site.watching(listed=[*site.listed, spec]) as watch:
        book, feed = await watch.open()
        pool = book.pools[spec.key]
        assert isinstance(pool, CurveStableSwapPool)
        # a rate that the book does not have: the next swap pays otherwise than it says
        wrong = replace(pool, rates=(pool.rates[0] + 10**12, *pool.rates[1:]))
        book._pools[spec.key] = wrong  # type: ignore[index]
        token = pool.tokens[0]
        await site.send(token, "approve(address,uint256)", spec.address, 2**255)
        await site.send(spec.address, "exchange(int128,int128,uint256,uint256)", 0, 1, pool.balances[0] // 100, 0)
        await follow(book, feed, site.node)
        assert spec.key in book.unread
        watch.after_block()
        await watch.settle()
        assert not book.unread
        assert book.pools[spec.key] == (await site.fresh([spec]))[spec.key]


async def test_rates_are_read_at_their_own_pace(site: Site) -> None:
    spec = curve(site)
    async with site.watching(replace(RULES, rates_blocks=2), listed=[spec]) as watch:
        book, feed = await watch.open()
        pool = book.pools[spec.key]
        assert isinstance(pool, CurveStableSwapPool)
        stale = replace(pool, rates=(pool.rates[0] + 10**12, *pool.rates[1:]))
        book._pools[spec.key] = stale  # type: ignore[index]
        for wanted in (stale, pool):
            await site.node.request("evm_mine")
            await follow(book, feed, site.node)
            watch.after_block()
            await watch.settle()
            assert book.pools[spec.key] == wanted
        assert not book.quarantined


async def test_what_a_long_search_found_survives_an_interruption(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = await site.node.block()
    path = tmp_path / "book.bin"
    factory = Factory(UNISWAP_V2_FACTORY.address, FactoryKind.UNISWAP_V2, "uniswap_v2", head.number - 20_000, 3000)

    async def interrupted(*_: Any, **__: Any) -> dict[Address, Pool]:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr("keeper.market_watch.load_pools", interrupted)
        patched.setattr(MarketWatch, "close", MarketWatch._close)
        async with site.watching(replace(RULES, checkpoint=path), factories=[factory]) as watch:
            with pytest.raises(asyncio.CancelledError):
                await watch.open()
    kept = read_checkpoint(path, 1)
    assert kept is not None
    assert list((kept.scanned or {}).values()) == [head.number - RULES.journal_depth]
    async with site.watching(replace(RULES, checkpoint=path), factories=[factory]) as watch:
        book, _ = await watch.open()
        assert dict(book.pools) == await site.fresh()


async def test_a_long_list_is_read_in_parts_while_the_chain_goes_on(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "book.bin"
    monkeypatch.setattr("keeper.market_watch.LOADED_AT_ONCE", 5)
    sizes: list[int] = []

    async def slow(node: Node, specs: list[PoolSpec], *rest: Any, **options: Any) -> dict[Address, Pool]:
        pools = await load_pools(node, specs, *rest, **options)
        sizes.append(len(pools))
        await site.swap(site.pair)
        return pools

    monkeypatch.setattr("keeper.market_watch.load_pools", slow)
    async with site.watching(replace(RULES, checkpoint=path)) as watch:
        book, _ = await watch.open()
        assert sizes == [5, 5, 2]
        assert dict(book.pools) == await site.fresh()
        kept = read_checkpoint(path, 1)
        assert kept is not None
        assert len(kept.pools) >= 10


async def test_pools_come_from_factories_and_are_not_looked_for_twice(site: Site, tmp_path: Path) -> None:
    head = await site.node.block()
    token = {symbol: entry["address"] for symbol, entry in site.replica.tokens.items()}
    await site.send(UNISWAP_V2_FACTORY.address, "createPair(address,address)", token["UNI"], token["AAVE"])
    factory = Factory(UNISWAP_V2_FACTORY.address, FactoryKind.UNISWAP_V2, "uniswap_v2", head.number, 3000)
    rules = replace(RULES, checkpoint=tmp_path / "book.bin", journal_depth=1)
    refused: list[Address] = []

    async def gate(
        pools: Mapping[Address, Pool], _: BlockHeader
    ) -> tuple[Mapping[Address, Pool], Mapping[Address, str]]:
        empty = [key for key, pool in pools.items() if isinstance(pool, UniswapV2Pool) and not pool.reserve0]
        refused.extend(empty)
        return {key: pool for key, pool in pools.items() if key not in empty}, dict.fromkeys(empty, "it is empty")

    async with site.watching(rules, factories=[factory]) as watch:
        book, _ = await watch.open()
        assert len(book.pools) == len(site.listed) + 1
        (found,) = set(book.pools) - {spec.key for spec in site.listed}
    kept = read_checkpoint(tmp_path / "book.bin", 1)
    assert kept is not None
    assert list((kept.scanned or {}).values()) == [head.number]

    await site.node.request("evm_mine")
    later = replace(factory, first_block=10**9)
    async with site.watching(rules, factories=[later], gate=gate) as watch:
        book, _ = await watch.open()
        assert found in book.pools, "known from the checkpoint"
        assert not refused, "what was taken once is not looked at again"
    path = tmp_path / "other.bin"
    for _ in range(2):
        async with site.watching(replace(rules, checkpoint=path), factories=[factory], gate=gate) as watch:
            book, _ = await watch.open()
            assert book.quarantined == {found: "it is empty"}
            assert refused == [found], "refused once and for all"
