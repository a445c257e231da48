"""The block feed against a node that reorganises, lags, lies and goes away; every wait is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from keeper.domain.chain import BlockEvent
from keeper.domain.errors import ComponentError, InputError
from keeper.feeds.blocks import HISTORY_BLOCKS, BlockFeed
from keeper.market.book import ReorgTooDeep
from keeper.market.node import Node, to_header
from tests.feeds.fake_node import FakeNode, fake_node, raw_block
from tests.market.chain import block_hash

BOUND = 20.0


@asynccontextmanager
async def feed_of(fake: FakeNode, **options: Any) -> AsyncIterator[BlockFeed]:
    """A feed that starts at block 100 and has subscribed."""
    settings = {"first_delay": 0.001, "longest_delay": 0.01, **options}
    async with Node(fake.http_url) as node, BlockFeed(fake.ws_url, node, to_header(raw_block(100)), **settings) as feed:
        yield feed


async def take(feed: BlockFeed, count: int = 1) -> list[BlockEvent]:
    async with asyncio.timeout(BOUND):
        return [await anext(feed) for _ in range(count)]


async def nothing_more(feed: BlockFeed, fake: FakeNode, number: int) -> None:
    """Shows that no event is due: the next one is that of a block mined now."""
    await fake.mine(raw_block(number))
    (event,) = await take(feed)
    assert (event.header.hash, event.reverted) == (block_hash(number), ())


def hashes(events: list[BlockEvent]) -> list[str]:
    return [event.header.hash for event in events]


def names(events: list[BlockEvent]) -> list[int]:
    for event in events:
        assert event.header.hash == block_hash(event.header.number)
        assert event.reverted == ()
        assert [log.topics[0].hex() for log in event.logs] == [event.header.hash[2:]]
    return [event.header.number for event in events]


async def test_each_block_comes_once_with_its_own_logs() -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        for number in range(101, 106):
            fake.add(raw_block(number))
            if number > 101:
                await fake.announce(raw_block(number), raw_block(number))
            assert names(await take(feed)) == [number]
        assert feed.dropped == 0


async def test_a_gap_is_filled_block_by_block() -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        fake.add(raw_block(101))
        assert names(await take(feed)) == [101]
        fake.add(*(raw_block(number) for number in range(102, 110)))
        await fake.announce(raw_block(109))
        assert names(await take(feed, 8)) == list(range(102, 110))
        assert (feed.filled, feed.connections, feed.failures) == (7, 1, 0)
        await nothing_more(feed, fake, 110)


async def test_an_empty_block_has_no_logs() -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        fake.add(raw_block(101, with_log=False))
        (event,) = await take(feed)
        assert event.logs == ()


async def test_a_reorg_names_the_displaced_blocks_newest_first() -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        fake.add(*(raw_block(number) for number in range(101, 105)))
        await take(feed, 4)
        branch = [raw_block(103, "b", ""), raw_block(104, "b", "b"), raw_block(105, "b", "b")]
        await fake.mine(*branch)
        events = await take(feed, 3)
        assert hashes(events) == [block["hash"] for block in branch]
        assert [event.reverted for event in events] == [(block_hash(104), block_hash(103)), (), ()]


async def test_a_reorg_told_by_its_last_block_alone_is_walked_back() -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        fake.add(*(raw_block(number) for number in range(101, 105)))
        await take(feed, 4)
        branch = [raw_block(102, "b", ""), *(raw_block(number, "b", "b") for number in range(103, 108))]
        fake.add(*branch)
        await fake.announce(branch[-1])
        events = await take(feed, 6)
        assert hashes(events) == [block["hash"] for block in branch]
        assert events[0].reverted == tuple(block_hash(number) for number in (104, 103, 102))


async def test_a_reorg_to_a_shorter_chain_and_back() -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        first = [raw_block(number) for number in range(101, 105)]
        fake.add(*first)
        await take(feed, 4)
        await fake.mine(raw_block(102, "b", ""))
        (shorter,) = await take(feed)
        assert shorter.reverted == tuple(block_hash(number) for number in (104, 103, 102))
        await fake.mine(*first[1:])
        back = await take(feed, 3)
        assert hashes(back) == [block_hash(number) for number in (102, 103, 104)]
        assert back[0].reverted == (block_hash(102, "b"),)


async def test_a_head_that_is_gone_again_does_no_harm() -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        fake.add(raw_block(101))
        await take(feed)
        await fake.announce(raw_block(102, "ghost", ""), raw_block(107, "ghost", "ghost"))
        await fake.mine(raw_block(102))
        assert names(await take(feed)) == [102]


async def test_late_heads_from_before_the_start_are_passed_over() -> None:
    async with fake_node() as fake:
        fake.add(*(raw_block(number) for number in range(98, 102)))
        async with feed_of(fake) as feed:
            await take(feed)
            await fake.announce(raw_block(99), raw_block(98))
            await nothing_more(feed, fake, 102)


async def test_a_chain_that_leaves_ours_altogether_is_too_deep() -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        fake.add(raw_block(101))
        await take(feed)
        fake.add(*(raw_block(number, "b", "b") for number in range(99, 104)))
        await fake.announce(raw_block(103, "b", "b"))
        with pytest.raises(ReorgTooDeep):
            await take(feed)


async def test_the_history_is_bounded() -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        last = 100 + HISTORY_BLOCKS + 5
        fake.add(*(raw_block(number, with_log=False) for number in range(101, last + 1)))
        await take(feed, HISTORY_BLOCKS + 5)
        fake.add(*(raw_block(number, "b", "b" if number > 103 else "") for number in range(103, last + 2)))
        await fake.announce(raw_block(last + 1, "b", "b"))
        with pytest.raises(ReorgTooDeep):
            await take(feed)


async def test_logs_that_the_node_does_not_have_yet_are_waited_for() -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        fake.add(raw_block(101))
        fake.withheld_logs = 3
        assert names(await take(feed)) == [101]
        assert fake.withheld_logs == 0


async def test_logs_that_never_come_end_the_feed_with_one_error() -> None:
    async with fake_node() as fake, feed_of(fake, attempts=3) as feed:
        fake.add(raw_block(101))
        fake.withheld_logs = -1
        with pytest.raises(ComponentError, match=r"4 attempts at the next block failed.*no logs of block"):
            await take(feed)
        fake.withheld_logs = 0
        assert names(await take(feed)) == [101], "the feed resumes where it stopped"


async def test_an_unwell_node_is_borne_for_a_while() -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        fake.add(raw_block(101), raw_block(102))
        fake.failing = 4
        assert names(await take(feed, 2)) == [101, 102]


async def test_the_connection_is_made_again_and_the_gap_filled() -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        fake.add(raw_block(101))
        await take(feed)
        for number in range(102, 120, 3):
            await fake.drop_sockets()
            fake.add(*(raw_block(at) for at in range(number, number + 3)))
            assert names(await take(feed, 3)) == [number, number + 1, number + 2]
        assert fake.subscriptions == 7
        assert feed.connections == 7
        assert feed.failures >= 6


@pytest.mark.parametrize(
    "rubbish", ["{", "[]", "{}", '{"params": {"result": 5}}', '{"params":{"result":{"number":"x"}}}']
)
async def test_after_rubbish_on_the_websocket_it_is_made_again(rubbish: str) -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        fake.add(raw_block(101))
        await take(feed)
        await fake.announce(rubbish)
        fake.add(raw_block(102))
        assert names(await take(feed)) == [102]
        assert fake.subscriptions == 2


async def test_a_websocket_that_never_works_ends_the_feed_without_telling_its_key() -> None:
    async with fake_node() as fake, feed_of(fake, attempts=4) as feed:
        fake.refused_sockets = -1
        with pytest.raises(ComponentError, match=r"failed 5 times.*no subscriptions here") as refused:
            await take(feed)
        assert fake.subscriptions == 5
    async with Node(fake.http_url) as node:
        async with BlockFeed(fake.ws_url, node, to_header(raw_block(100)), attempts=1, first_delay=0.0) as feed:
            with pytest.raises(ComponentError, match="failed 2 times") as gone:
                await take(feed)
        with pytest.raises(InputError, match="ORION_WS_URL") as wrong:
            BlockFeed(fake.http_url, node, to_header(raw_block(100)))
    assert "secret-key" not in f"{refused.value} {gone.value} {wrong.value}"


async def test_a_mute_websocket_is_found_out_by_asking() -> None:
    async with fake_node() as fake, feed_of(fake, silence=0.01) as feed:
        fake.add(raw_block(101))
        await take(feed)
        fake.add(raw_block(102), raw_block(103))
        assert names(await take(feed, 2)) == [102, 103]


async def test_heads_that_do_not_fit_the_queue_are_counted_and_filled_in() -> None:
    async with fake_node() as fake, feed_of(fake, queue_size=2) as feed:
        fake.add(raw_block(101))
        assert names(await take(feed)) == [101]
        await fake.mine(*(raw_block(number) for number in range(102, 122)))
        # a round trip behind the heads shows that the feed has read them all
        for socket in list(fake.sockets):
            await (await socket.ping())
        assert names(await take(feed, 20)) == list(range(102, 122))
        assert feed.dropped >= 18


async def test_a_cancelled_wait_loses_nothing() -> None:
    async with fake_node() as fake, feed_of(fake) as feed:
        fake.add(raw_block(101))
        await take(feed)
        for number in range(102, 112):
            waiting = asyncio.ensure_future(anext(feed))
            await asyncio.sleep(0)
            await fake.mine(raw_block(number))
            waiting.cancel()
            (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, asyncio.CancelledError)
                (outcome,) = await take(feed)
            assert names([outcome]) == [number]


async def test_a_node_that_answers_another_block_is_not_believed() -> None:
    async with fake_node() as fake, feed_of(fake, attempts=2) as feed:
        fake.add(raw_block(101))
        await take(feed)
        fake.add(raw_block(102), raw_block(103))
        fake.blocks[block_hash(102)] = raw_block(105)
        await fake.announce(raw_block(103))
        with pytest.raises(ComponentError, match="for block 102"):
            await take(feed)
        fake.blocks[block_hash(102)] = raw_block(102)
        assert names(await take(feed, 2)) == [102, 103]
