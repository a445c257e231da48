"""Whatever becomes of heads on their way - lost, doubled, out of order, cut off - no block is skipped or repeated."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keeper.domain.chain import BlockEvent, BlockHeader
from keeper.feeds.blocks import BlockFeed
from keeper.market.node import Node, to_header
from tests.feeds.fake_node import FakeNode, fake_node, raw_block

BOUND = 30.0


@dataclass(frozen=True)
class Turn:
    """What happens before the keeper looks again.

    Attributes:
        depth: newest blocks that are displaced first.
        length: blocks that are mined.
        lost: which of their heads are not told, out of 100.
        seed: of the order in which the others are told, and how often.
        cut: whether the websocket is lost before.
    """

    depth: int
    length: int
    lost: int
    seed: int
    cut: bool


TURNS = st.lists(
    st.builds(
        Turn,
        depth=st.integers(0, 4),
        length=st.integers(1, 9),
        lost=st.integers(0, 100),
        seed=st.integers(0, 2**32),
        cut=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


async def take_turn(fake: FakeNode, turn: Turn, number: int) -> None:
    random = Random(turn.seed)
    if turn.cut:
        await fake.drop_sockets()
    tip = max(fake.chain)
    first = max(tip - turn.depth, 100) + 1
    parent = fake.blocks[fake.chain[first - 1]]
    blocks = []
    for height in range(first, tip + turn.length + 1):
        block = raw_block(height, f"turn {number}")
        block["parentHash"] = parent["hash"]
        blocks.append(block)
        parent = block
    fake.add(*blocks)
    heads = [block for block in blocks for _ in range(random.choice((1, 1, 2))) if random.randrange(100) >= turn.lost]
    random.shuffle(heads)
    await fake.announce(*heads)


def follow(chain: list[BlockHeader], event: BlockEvent) -> None:
    """Apply the event to a chain of headers as a book would, which refuses what does not fit."""
    for reverted in event.reverted:
        assert chain.pop().hash == reverted
    assert event.header.parent_hash == chain[-1].hash
    assert event.header.number == chain[-1].number + 1
    assert [log.topics[0].hex() for log in event.logs] == [event.header.hash[2:]]
    chain.append(event.header)


async def run(turns: list[Turn], queue_size: int) -> None:
    async with fake_node() as fake, Node(fake.http_url) as node:
        chain = [to_header(raw_block(100))]
        options = {"first_delay": 0.001, "longest_delay": 0.01, "silence": 0.05, "queue_size": queue_size}
        async with BlockFeed(fake.ws_url, node, chain[0], **options) as feed, asyncio.timeout(BOUND):  # type: ignore[arg-type]
            for number, turn in enumerate(turns):
                await take_turn(fake, turn, number)
                while chain[-1].hash != fake.chain[max(fake.chain)]:
                    follow(chain, await anext(feed))
        assert [header.hash for header in chain] == [fake.chain[header.number] for header in chain]
        assert feed.connections >= 1


@given(TURNS, st.sampled_from([1, 2, 64]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_events_are_the_chain_whatever_becomes_of_the_heads(turns: list[Turn], queue_size: int) -> None:
    asyncio.run(run(turns, queue_size))
