"""The MEV-Share feed against a server of its own over a real socket: cut streams, rubbish, silence, outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.errors import ComponentError, InputError
from keeper.domain.mev_share import HintedLog, HintedTransaction, MevShareEvent
from keeper.feeds.mev_share import MevShareFeed, read_event
from tests.market.chain import address

BOUND = 20.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Connection:
    """One request, and the pen to answer it with."""

    headers: dict[str, str]
    writer: asyncio.StreamWriter
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def head(self, head: bytes = HEAD) -> None:
        self.writer.write(head)
        await self.writer.drain()

    async def say(self, *pieces: bytes) -> None:
        """Each piece is a chunk of its own."""
        for piece in pieces:
            self.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await self.writer.drain()

    async def hang_up(self, *, politely: bool = True) -> None:
        if politely:
            self.writer.write(b"0\r\n\r\n")
            await self.writer.drain()
        else:
            self.writer.transport.abort()
        self.closed.set()


Script = Callable[[Connection, int], Awaitable[None]]


@asynccontextmanager
async def stream(script: Script) -> AsyncIterator[tuple[str, list[Connection]]]:
    """A server that runs ``script`` for each connection, told its number; a connection stays until it is hung up."""
    connections: list[Connection] = []
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        connection = Connection(dict(line.split(": ", 1) for line in lines), writer)
        connections.append(connection)
        try:
            await script(connection, len(connections))
            ending = {asyncio.ensure_future(connection.closed.wait()), asyncio.ensure_future(done.wait())}
            _, waiting = await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
            for one in waiting:
                one.cancel()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/secret-key", connections
    finally:
        done.set()
        server.close()


def told(number: int, **fields: Any) -> bytes:
    body = {"hash": f"0x{number:064x}", "logs": None, "txs": None, **fields}
    return b"data: " + orjson.dumps(body) + b"\n\n"


def feed_of(url: str, **options: Any) -> MevShareFeed:
    return MevShareFeed(url, **{"first_delay": 0.001, "longest_delay": 0.01, **options})


async def take(feed: MevShareFeed, count: int) -> list[int]:
    async with asyncio.timeout(BOUND):
        return [int((await anext(feed)).hash, 16) for _ in range(count)]


async def test_events_come_whole_however_they_are_cut() -> None:
    whole = told(1) + b":ping\n\n" + told(2) + told(3)

    async def script(connection: Connection, _: int) -> None:
        await connection.head()
        await connection.say(b":ok\n\n", *(whole[at : at + 7] for at in range(0, len(whole), 7)))
        lines = orjson.dumps({"hash": f"0x{4:064x}"}, option=orjson.OPT_INDENT_2).split(b"\n")
        await connection.say(*(b"data: " + line + b"\r\n" for line in lines), b"\r\n")

    async with stream(script) as (url, connections), feed_of(url) as feed:
        assert await take(feed, 4) == [1, 2, 3, 4]
        assert (feed.received, feed.comments, feed.connections, feed.failures, feed.dropped) == (4, 2, 1, 0, 0)
        assert connections[0].headers["Accept"] == "text/event-stream"
        assert "Last-Event-ID" not in connections[0].headers


async def test_after_an_outage_the_last_event_is_named() -> None:
    async def script(connection: Connection, number: int) -> None:
        await connection.head()
        await connection.say(b"id: event-%d\n" % number + told(number))
        await connection.hang_up(politely=number % 2 == 1)

    async with stream(script) as (url, connections), feed_of(url) as feed:
        assert await take(feed, 5) == [1, 2, 3, 4, 5]
        named = [connection.headers.get("Last-Event-ID") for connection in connections[:5]]
        assert named == [None, "event-1", "event-2", "event-3", "event-4"]
        assert feed.failures >= 4


async def test_rubbish_is_counted_by_its_field_and_passed_over() -> None:
    rubbish = [
        b"data: {\n\n",
        b"data: []\n\n",
        b"data: {}\n\n",
        told(1, logs=5),
        told(1, txs=[5]),
        told(1, txs=[{"functionSelector": "0x12"}]),
        told(1, logs=[{"address": "0x1", "topics": []}]),
        told(1, logs=[{"address": address(1)}]),
        told(1, gasUsed=21_000),
        told(1, mevGasPrice="0xzz"),
        told(1, txs=[{"to": "nobody"}]),
    ]

    async def script(connection: Connection, _: int) -> None:
        await connection.head()
        await connection.say(*rubbish, told(9))

    async with stream(script) as (url, _), feed_of(url) as feed:
        assert await take(feed, 1) == [9]
        assert feed.refused == {
            "event": 2,
            "hash": 1,
            "logs": 1,
            "txs": 1,
            "txs.functionSelector": 1,
            "logs.address": 1,
            "logs.topics": 1,
            "gasUsed": 1,
            "mevGasPrice": 1,
            "txs.to": 1,
        }
        assert (feed.received, feed.failures) == (12, 0)


async def test_a_mute_stream_is_given_up_and_comments_keep_one_alive() -> None:
    more = asyncio.Event()

    async def script(connection: Connection, number: int) -> None:
        await connection.head()
        if number == 1:
            await connection.say(told(1))
            return
        # more comments than one silence lasts; each wait is for the comment before to have gone out
        for _ in range(3):
            await connection.say(b":ping\n\n")
        await more.wait()
        await connection.say(told(2))

    async with stream(script) as (url, connections), feed_of(url, silence=0.2) as feed:
        assert await take(feed, 1) == [1]
        more.set()
        assert await take(feed, 1) == [2]
        assert len(connections) >= 2
        assert feed.failures >= 1


@pytest.mark.parametrize(
    ("head", "body", "problem"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n", b"", "status 503"),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", b"", "status 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", b"", "text/html"),
        (b"rubbish\r\n\r\n", b"", "BadStatusLine|ClientResponseError|ServerDisconnected"),
        (HEAD, b"100\r\n" + b"data: {}\n" * 29, "ClientPayloadError|in a row"),
        (HEAD, b"200000\r\ndata: " + b"x" * (2 << 20), "line of more than"),
    ],
)
async def test_a_server_that_never_works_ends_the_feed_without_telling_its_address(
    head: bytes, body: bytes, problem: str
) -> None:
    async def script(connection: Connection, _: int) -> None:
        await connection.head(head)
        connection.writer.write(body)
        await connection.hang_up(politely=False) if not body else connection.closed.set()

    async with stream(script) as (url, connections), feed_of(url, attempts=2) as feed:
        with pytest.raises(ComponentError, match=problem) as raised:
            await take(feed, 1)
        assert "secret-key" not in str(raised.value)
        assert feed.failures == 3
        with pytest.raises(ComponentError, match="in a row"):
            await take(feed, 1)
        assert len(connections) >= 4, "whoever asks again begins anew"


async def test_events_that_do_not_fit_the_queue_are_counted() -> None:
    again = asyncio.Event()

    async def script(connection: Connection, number: int) -> None:
        await connection.head()
        if number == 1:
            await connection.say(b"".join(told(number) for number in range(100)))
            await connection.hang_up()
        else:
            again.set()

    async with stream(script) as (url, _), feed_of(url, queue_size=10) as feed:
        # all of them are read before the connection is made again
        waiting = asyncio.ensure_future(take(feed, 1))
        await asyncio.wait_for(again.wait(), BOUND)
        first = await waiting
        rest = await take(feed, 10 if first != [90] else 9)
        assert [*first, *rest][-10:] == list(range(90, 100))
        assert feed.dropped + len([*first, *rest]) == 100


async def test_the_delay_that_the_server_asks_for_is_kept_within_reason() -> None:
    async def script(connection: Connection, _: int) -> None:
        await connection.head()
        await connection.say(b"retry: 999999999\n" + told(1))

    async with stream(script) as (url, _), feed_of(url) as feed:
        await take(feed, 1)
        feed._in_a_row = 1
        assert feed._delay() == 60.0


def test_all_that_is_shared_is_read_and_what_is_not_is_none() -> None:
    body = {
        "hash": "0x" + "AB" * 32,
        "logs": [
            {"address": address(7).lower(), "topics": ["0x" + "01" * 32], "data": "0x02"},
            {"address": address(8), "topics": []},
        ],
        "txs": [{"to": address(9), "functionSelector": "0xa9059cbb", "callData": "0xa9059cbb00"}, {}],
        "mevGasPrice": "0x10",
        "gasUsed": "0x5208",
        "somethingNew": {},
    }  # fmt: skip
    assert read_event(orjson.dumps(body).decode(), 3) == MevShareEvent(
        hash="0x" + "ab" * 32,  # type: ignore[arg-type]
        logs=(HintedLog(address(7), (b"\1" * 32,), b"\2"), HintedLog(address(8), (), None)),
        transactions=(
            HintedTransaction(address(9), bytes.fromhex("a9059cbb"), bytes.fromhex("a9059cbb00"), None),
            HintedTransaction(None, None, None, None),
        ),
        gas_price=16,  # type: ignore[arg-type]
        gas_used=21_000,
        seen_at=3,
    )
    bare = read_event(orjson.dumps({"hash": "0x" + "00" * 32, "logs": [], "txs": None, "gasUsed": ""}).decode(), 3)
    assert (bare.logs, bare.transactions, bare.gas_price, bare.gas_used) == ((), None, None, None)


ZERO_HASH = "0x" + "00" * 32
FIELDS = ["hash", "logs", "txs", "gasUsed", "mevGasPrice", "address", "topics", "to", "data", "callData"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.text(max_size=8) | st.sampled_from([address(1), ZERO_HASH]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(FIELDS),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_no_json_gets_more_than_a_refusal(value: Any) -> None:
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        return
    with suppress(InputError):
        assert isinstance(read_event(text, 0), MevShareEvent)
