"""The book: blocks applied and undone, pools in quarantine, events that do not fit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from eth_abi import encode
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.market.book import Book, ReorgTooDeep
from keeper.market.specs import PoolSpec
from keeper.market.venues import (
    BalancerV2WeightedPool,
    BalancerV3WeightedPool,
    CurveStableSwapPool,
    MultiTokenPool,
    Pool,
    UniswapV4Pool,
    load,
)
from keeper.market.venues.balancer_v2 import POOL_BALANCE_CHANGED_TOPIC as BALANCES
from keeper.market.venues.balancer_v3 import SWAP_TOPIC as V3_SWAP
from keeper.market.venues.tick_math import get_sqrt_ratio_at_tick
from keeper.market.venues.uniswap_v2 import SYNC_TOPIC
from keeper.market.venues.uniswap_v4 import SWAP_TOPIC as V4_SWAP
from tests.market.chain import (
    address,
    block_event,
    block_hash,
    burn,
    header,
    make_log,
    mint,
    sync,
    v2_pool,
    v3_pool,
    word,
)
from tests.market.every_kind import by_key

UNTOLD = keccak(text="RampA(uint256,uint256,uint256,uint256)")
V2, V3 = v2_pool(2), v3_pool(3, positions=[(-600, 600, 10**20)])


def new_book(depth: int = 64) -> Book:
    return Book({V2.address: V2, V3.address: V3}, {}, header(100), journal_depth=depth)


def image(book: Book) -> bytes:
    """Everything that the book says, as bytes."""
    pools = {key: pool.to_json() for key, pool in book.pools.items()}
    unread = {key: one.reason for key, one in book.unread.items()}
    return json.dumps([pools, unread, dict(book.quarantined), book.header.hash], sort_keys=True).encode()


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


EVERY = by_key()
V4 = next(pool for pool in EVERY.values() if isinstance(pool, UniswapV4Pool))
BALANCER = next(pool for pool in EVERY.values() if isinstance(pool, BalancerV2WeightedPool))
CURVE = next(pool for pool in EVERY.values() if isinstance(pool, CurveStableSwapPool))
VAULT3 = next(pool for pool in EVERY.values() if isinstance(pool, BalancerV3WeightedPool))


def held(pool: Pool, topic: bytes, further: Sequence[bytes], data: bytes) -> Log:
    """An event of the contract that holds the pool."""
    assert pool.holder is not None
    holder, number = pool.holder
    return make_log(holder, [topic, number, *further], data)


def moved(pool: Pool, tick: int) -> Log:
    """A swap of a pool of Uniswap V4."""
    words = (1, -1, get_sqrt_ratio_at_tick(tick), 10**20, tick, 3000)
    return held(pool, V4_SWAP, [word(1)], b"".join(map(word, words)))


def exchanged(pool: Pool, amount_in: int, amount_out: int) -> Log:
    """A swap of a pool of Balancer V3."""
    assert isinstance(pool, MultiTokenPool)
    sides = [word(int(token, 16)) for token in pool.tokens[:2]]
    return held(pool, V3_SWAP, sides, b"".join(map(word, (amount_in, amount_out, pool.fee_pips, amount_in // 99))))


def joined(pool: Pool, amounts: Sequence[int]) -> Log:
    """A join of a pool of Balancer V2."""
    assert isinstance(pool, MultiTokenPool)
    arrays = [list(pool.tokens), list(amounts), [0] * len(amounts)]
    return held(pool, BALANCES, [word(1)], encode(["address[]", "int256[]", "uint256[]"], arrays))


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
        st.builds(moved, st.just(V4), st.integers(-900, 900)),
        st.builds(joined, st.just(BALANCER), st.lists(st.integers(-(10**12), 10**12), min_size=3, max_size=3)),
        st.builds(exchanged, st.just(VAULT3), st.integers(1, 10**20), st.integers(1, 10**22)),
        st.builds(lambda: make_log(CURVE.address, [UNTOLD], b"")),
    ),
    max_size=5,
)


@settings(max_examples=60)
@given(st.lists(LOGS, min_size=1, max_size=8), st.data())
def test_a_reorg_undone_leaves_the_identical_book(blocks: list[list[Log]], data: st.DataObject) -> None:
    """Any logs, those of broken pools among them; a second branch from any ancestor; and back to the first."""
    book, images = Book({**EVERY, V2.address: V2, V3.address: V3}, {}, header(100)), []
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


def test_events_of_a_holder_go_to_the_pool_that_they_name() -> None:
    state = V4.to_json()
    del state["pool_id"]
    other = load({**state, "fee_pips": 500, "tick_spacing": 10})
    assert other.address == V4.address
    book = Book({pool.key: pool for pool in (V4, other, BALANCER)}, {}, header(100))
    unknown = make_log(V4.address, [V4_SWAP, word(7)], b"")
    nameless = make_log(V4.address, [V4_SWAP], b"")
    logs = [moved(other, 77), joined(BALANCER, [1, 2, 3]), unknown, nameless]
    assert book.apply(block_event(101, logs=logs)) == {other.key, BALANCER.key}
    assert book.pools[V4.key] is V4
    assert book.pools[other.key] == other.apply(logs[0]) != other
    assert book.pools[BALANCER.key].spot_liquidity(BALANCER.tokens[2]) == BALANCER.balances[2] + 3
    assert not book.quarantined


def test_a_pool_whose_event_tells_too_little_waits_until_it_is_read() -> None:
    book = Book({CURVE.key: CURVE, V2.key: V2}, {}, header(100))
    start = image(book)
    untold = make_log(CURVE.address, [UNTOLD], b"", index=3)
    assert book.apply(block_event(101, logs=[untold])) == {CURVE.key}
    assert CURVE.key not in book.pools
    assert not book.quarantined
    assert "log 3" in book.unread[CURVE.key].reason
    assert book.unread[CURVE.key].spec == PoolSpec.of(CURVE)
    book.apply(block_event(102))

    # what was read before the event, or at a block that the book never had, is of no use
    read = replace(CURVE, amplification=120)
    assert book.restore([read], header(100)) == []
    assert CURVE.key in book.unread
    assert [book.remembers(header(number)) for number in (99, 100, 101, 102, 103)] == [False, True, True, True, False]
    with pytest.raises(InputError, match="header"):
        book.restore([read], header(102, "b"))

    assert book.restore([read], header(101)) == []
    assert book.pools[CURVE.key] == read
    assert not book.unread
    waiting = image(book)
    assert book.apply(block_event(103)) == {CURVE.key}, "the search is told that it came back"

    # undone down to the block at which it was read it stays, and further back it is what it was
    assert book.apply(block_event(102, "b", "", reverted=[block_hash(103), block_hash(102)])) == frozenset()
    assert book.pools[CURVE.key] == read
    assert waiting.replace(block_hash(102).encode(), block_hash(102, "b").encode()) == image(book)
    assert book.apply(block_event(101, "b", "", reverted=[block_hash(102, "b"), block_hash(101)])) == {CURVE.key}
    assert image(book) == start.replace(block_hash(100).encode(), block_hash(101, "b").encode())


def test_a_state_read_before_a_later_event_is_not_taken() -> None:
    book = Book({CURVE.key: CURVE}, {}, header(100))
    untold = make_log(CURVE.address, [UNTOLD], b"")
    book.apply(block_event(101, logs=[untold]))
    book.apply(block_event(102, logs=[untold]))
    book.restore([CURVE], header(101))
    assert CURVE.key in book.unread
    book.restore([CURVE], header(102))
    assert book.pools[CURVE.key] == CURVE


def test_new_pools_come_in_and_go_with_the_block_that_they_were_read_at() -> None:
    book = Book({}, {}, header(100))
    book.apply(block_event(101))
    book.apply(block_event(102))
    assert book.restore([V2, BALANCER], header(101)) == []
    assert book.apply(block_event(103, logs=[joined(BALANCER, [1, 1, 1])])) == {V2.key, BALANCER.key}
    reverted = [block_hash(number) for number in (103, 102, 101)]
    assert book.apply(block_event(101, "b", "", reverted=reverted)) == {V2.key, BALANCER.key}
    assert not book.pools
    assert book.unread.keys() == {V2.key, BALANCER.key}, "they are still wanted"
    book.restore([V2, BALANCER], header(101, "b"))
    assert book.pools.keys() == {V2.key, BALANCER.key}


def test_rates_that_moved_are_taken_and_all_else_that_differs_trips() -> None:
    drifting = replace(CURVE, rates=(10**18, 1_050_000_000_000_000_000, 10**30))
    book = Book({CURVE.key: CURVE, V2.key: V2}, {}, header(100))
    assert book.drifting() == []
    book = Book({drifting.key: drifting, V2.key: V2}, {}, header(100))
    assert book.drifting() == [PoolSpec.of(drifting)]
    later = replace(drifting, rates=(10**18, 1_060_000_000_000_000_000, 10**30), amplification=101)
    assert book.restore([later, V2], header(100)) == []
    assert book.pools[drifting.key] == later
    assert book.apply(block_event(101)) == {drifting.key}

    wrong = replace(later, balances=(10**24, 2 * 10**24, 10**12 + 1))
    (difference,) = book.restore([wrong], header(101))
    assert difference.ours == {"balances": later.to_json()["balances"]}
    assert difference.theirs == {"balances": wrong.to_json()["balances"]}
    assert drifting.key not in book.pools
    assert "block 101" in book.quarantined[drifting.key]
    assert book.apply(block_event(102)) == {drifting.key}
    # nothing brings it back: neither another reading nor a reorg
    book.restore([later], header(102))
    book.apply(block_event(101, "b", "", reverted=[block_hash(102), block_hash(101)]))
    assert drifting.key not in book.pools
    assert drifting.key in book.quarantined


def test_a_thousand_logs_are_applied_in_order() -> None:
    pools = {pool.address: pool for pool in (v2_pool(number) for number in range(2, 102))}
    random, book = Random(3), Book(pools, {}, header(100))
    logs = [sync(address(random.randrange(2, 102)), number + 1, 2 * number + 1) for number in range(1000)]
    changed = book.apply(block_event(101, logs=logs))
    last = {log.address: log for log in logs}
    assert changed == last.keys()
    assert all(book.pools[pool] == pools[pool].apply(log) for pool, log in last.items())
