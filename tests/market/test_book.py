"""The book: blocks applied and undone, pools in quarantine, events that do not fit."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.market.book import Book, ReorgTooDeep
from keeper.market.venues.uniswap_v2 import SYNC_TOPIC
from tests.market.chain import address, block_event, block_hash, burn, header, make_log, mint, sync, v2_pool, v3_pool

V2, V3 = v2_pool(2), v3_pool(3, positions=[(-600, 600, 10**20)])


def new_book(depth: int = 64) -> Book:
    return Book({V2.address: V2, V3.address: V3}, {}, header(100), journal_depth=depth)


def image(book: Book) -> bytes:
    """Everything that the book says, as bytes."""
    pools = {address: pool.to_json() for address, pool in book.pools.items()}
    return json.dumps([pools, dict(book.quarantined), book.header.hash], sort_keys=True).encode()


def test_a_block_changes_the_pools_of_its_logs() -> None:
    book = new_book()
    changed = book.apply(block_event(101, logs=[sync(V2.address, 5, 6), sync(address(99), 1, 1)]))
    assert changed == {V2.address}
    assert book.pools[V2.address] == v2_pool(2, reserves=(5, 6))
    assert book.pools[V3.address] is V3
    assert book.header == header(101)


def test_a_pool_that_ends_where_it_began_has_not_changed() -> None:
    logs = [sync(V2.address, 5, 6), sync(V2.address, V2.reserve0, V2.reserve1)]
    assert new_book().apply(block_event(101, logs=logs)) == frozenset()


def test_a_reorg_reports_the_pools_that_it_changes_back() -> None:
    book = new_book()
    before = image(book)
    book.apply(block_event(101, logs=[sync(V2.address, 5, 6)]))
    changed = book.apply(block_event(101, "b", "", reverted=[block_hash(101)]))
    assert changed == {V2.address}
    assert book.pools[V2.address] == V2
    assert image(book) == before.replace(block_hash(100).encode(), block_hash(101, "b").encode())


LOGS = st.lists(
    st.one_of(
        st.builds(sync, st.sampled_from([V2.address, address(99)]), st.integers(0, 2**112), st.integers(0, 2**112 - 1)),
        st.builds(
            lambda kind, lower, width, amount: kind(V3.address, lower * 60, (lower + width) * 60, amount),
            st.sampled_from([mint, burn]),
            st.integers(-12, 10),
            st.integers(0, 12),
            st.integers(1, 10**20),
        ),
    ),
    max_size=4,
)


@settings(max_examples=60)
@given(st.lists(LOGS, min_size=1, max_size=8), st.data())
def test_a_reorg_undone_leaves_the_identical_book(blocks: list[list[Log]], data: st.DataObject) -> None:
    """Any logs, those of broken pools among them; a second branch from any ancestor; and back to the first."""
    book, images = new_book(), []
    for number, logs in enumerate(blocks, 101):
        images.append(image(book))
        book.apply(block_event(number, logs=logs))
    images.append(image(book))
    tip = 100 + len(blocks)
    first = data.draw(st.integers(101, tip))
    reverted = [block_hash(number) for number in range(tip, first - 1, -1)]
    book.apply(block_event(first, "b", "", logs=data.draw(LOGS), reverted=reverted))
    # the first branch wins after all
    displaced = [block_hash(first, "b")]
    for number, logs in enumerate(blocks[first - 101 :], first):
        book.apply(block_event(number, logs=logs, reverted=displaced))
        displaced = []
        assert image(book) == images[number - 100]
    assert image(book) == images[-1]


def test_a_deeper_reorg_than_the_journal_is_refused_and_changes_nothing() -> None:
    book = new_book(depth=2)
    for number in (101, 102, 103):
        book.apply(block_event(number, logs=[sync(V2.address, number, 6)]))
    before = image(book)
    with pytest.raises(ReorgTooDeep):
        book.apply(block_event(101, "b", "", reverted=[block_hash(103), block_hash(102), block_hash(101)]))
    assert image(book) == before
    book.apply(block_event(102, "b", "", reverted=[block_hash(103), block_hash(102)]))
    assert book.pools[V2.address] == v2_pool(2, reserves=(101, 6))


@pytest.mark.parametrize(
    "event",
    [
        block_event(103, logs=[sync(V2.address, 1, 1)]),
        block_event(102, "b", "b", logs=[sync(V2.address, 1, 1)]),
        block_event(101, "b", "", logs=[sync(V2.address, 1, 1)]),
        block_event(101, "b", "", reverted=[block_hash(101, "x")]),
        block_event(102, "b", "", reverted=[block_hash(101)]),
    ],
)
def test_an_event_that_does_not_continue_the_chain_is_refused(event: object) -> None:
    book = new_book()
    book.apply(block_event(101))
    before = image(book)
    with pytest.raises(InputError, match="event"):
        book.apply(event)  # type: ignore[arg-type]
    assert image(book) == before


def test_a_malformed_log_puts_its_pool_in_quarantine_until_it_is_undone() -> None:
    book = new_book()
    broken = make_log(V2.address, [SYNC_TOPIC], b"\0" * 63, index=7)
    changed = book.apply(block_event(101, logs=[sync(V2.address, 5, 6), broken, sync(V2.address, 7, 8)]))
    assert changed == {V2.address}
    assert V2.address not in book.pools
    assert "log 7" in book.quarantined[V2.address]
    assert "63 bytes" in book.quarantined[V2.address]
    assert book.apply(block_event(101, "b", "", reverted=[block_hash(101)])) == {V2.address}
    assert book.pools[V2.address] == V2
    assert not book.quarantined


def test_a_thousand_logs_are_applied_in_order() -> None:
    pools = {pool.address: pool for pool in (v2_pool(number) for number in range(2, 102))}
    random, book = Random(3), Book(pools, {}, header(100))
    logs = [sync(address(random.randrange(2, 102)), number + 1, 2 * number + 1) for number in range(1000)]
    changed = book.apply(block_event(101, logs=logs))
    last = {log.address: log for log in logs}
    assert changed == last.keys()
    assert all(book.pools[pool] == pools[pool].apply(log) for pool, log in last.items())
