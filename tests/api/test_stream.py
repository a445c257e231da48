"""Events reach every client that keeps up; one that does not is let go and delays nobody."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from keeper.api.context import Options
from keeper.api.routes.stream import BAD_MESSAGE, PROTOCOL, SLOW, TOO_BIG, TOO_MANY, UNAUTHORIZED
from keeper.store.bus import EVENTS
from keeper.store.bus import connect as connect_bus
from tests.api.site import Site, served, site

SECONDS = 15


@asynccontextmanager
async def running(database_url: str, redis_url: str, **options: Any) -> AsyncIterator[tuple[Site, str]]:
    chosen = Options(**{"rate": 1_000, "burst": 100_000, **options})
    async with site(database_url, redis_url, options=chosen) as api, served(api.app) as port:
        async with asyncio.timeout(SECONDS):
            await api.app.state.context.hub.connected()
        yield api, f"ws://127.0.0.1:{port}/ws"


@pytest.fixture
async def stream(database_url: str, redis_url: str) -> AsyncIterator[tuple[Site, str]]:
    async with running(database_url, redis_url) as both:
        yield both


async def listen(url: str, api: Site, role: str = "viewer", **more: Any) -> ClientConnection:
    """A connection that has been welcomed and told the state of the bus."""
    client = await connect(url, subprotocols=[PROTOCOL, f"bearer.{api.tokens[role]}"], **more)
    assert (await hear(client))["type"] == "welcome"
    assert (await hear(client))["type"] == "bus"
    return client


async def hear(client: ClientConnection) -> Any:
    return json.loads(await asyncio.wait_for(client.recv(), SECONDS))


async def ending(client: ClientConnection) -> int | None:
    """The code with which the server closes."""
    async with asyncio.timeout(SECONDS):
        try:
            while True:
                await client.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


async def publish(redis_url: str, *events: str) -> None:
    client = connect_bus(redis_url)
    for event in events:
        await client.publish(EVENTS, event)
    await client.aclose()


async def test_events_reach_everyone_in_order(stream: tuple[Site, str]) -> None:
    api, url = stream
    clients = [await listen(url, api) for _ in range(3)]
    assert clients[0].subprotocol == PROTOCOL
    events = [{"kind": "block", "seq": number, "number": 24_000_000 + number} for number in range(20)]
    await publish(api.redis_url, "{", "7", '{"a":NaN', *map(json.dumps, events))
    for client in clients:
        heard = [await hear(client) for _ in events]
        assert heard == [{"type": "event", "event": event} for event in events]
        await client.close()


async def test_token_in_the_first_message(stream: tuple[Site, str]) -> None:
    api, url = stream
    async with connect(url) as client:
        await client.send(json.dumps({"type": "auth", "token": api.tokens["operator"]}))
        welcome = await hear(client)
        assert (welcome["type"], welcome["name"], welcome["role"]) == ("welcome", "operator", "operator")


async def test_ping_is_answered_with_the_time_of_the_server(stream: tuple[Site, str]) -> None:
    api, url = stream
    client = await listen(url, api)
    for number in range(3):
        await client.send(json.dumps({"type": "ping", "id": number}))
        pong = await hear(client)
        assert (pong["type"], pong["id"]) == ("pong", number)
        assert pong["at"] > 1_600_000_000 * 10**9
    await client.close()


STRANGERS: list[tuple[str | bytes, int]] = [
    ('{"type":"auth","token":"orion_x"}', UNAUTHORIZED),
    ('{"type":"auth","token":7}', UNAUTHORIZED),
    ('{"type":"ping"}', UNAUTHORIZED),
    ("{", BAD_MESSAGE),
    ("[]", BAD_MESSAGE),
    (b"\x00\xff", BAD_MESSAGE),
    ("[" * 4_000, BAD_MESSAGE),
    (" " * 5_000, TOO_BIG),
    (" " * 100_000, TOO_BIG),
]


async def test_strangers_are_shown_out(stream: tuple[Site, str]) -> None:
    _, url = stream
    for first, code in STRANGERS:
        async with connect(url) as client:
            await client.send(first)
            assert await ending(client) == code


async def test_revoked_and_late_tokens(database_url: str, redis_url: str) -> None:
    async with running(database_url, redis_url, ws_auth_seconds=0.2, ws_recheck_seconds=0.1) as (api, url):
        async with connect(url) as silent:
            assert await ending(silent) == UNAUTHORIZED
        client = await listen(url, api)
        await api.book.revoke("viewer")
        assert await ending(client) == UNAUTHORIZED
        async with connect(url, subprotocols=[PROTOCOL, f"bearer.{api.tokens['viewer']}"]) as again:
            assert await ending(again) == UNAUTHORIZED


async def test_chatter_is_limited(database_url: str, redis_url: str) -> None:
    async with running(database_url, redis_url, rate=1, burst=5) as (api, url):
        client = await listen(url, api)
        for _ in range(6):
            await client.send('{"type":"ping"}')
        assert await ending(client) == TOO_MANY


async def test_unknown_message_after_the_welcome(stream: tuple[Site, str]) -> None:
    api, url = stream
    client = await listen(url, api)
    await client.send('{"type":"subscribe"}')
    assert await ending(client) == BAD_MESSAGE


async def test_a_slow_client_is_let_go_and_delays_nobody(database_url: str, redis_url: str) -> None:
    async with running(database_url, redis_url, ws_queue=64) as (api, url):
        quick = await listen(url, api)
        port = int(url.split(":")[2].split("/")[0])
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        narrow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", port))
        # it reads the welcome and then nothing more: one message waits in the client, the rest in the sockets
        slow = await listen(url, api, role="operator", sock=narrow, max_queue=1)
        hub = api.app.state.context.hub
        assert hub.clients == 2
        padding = "x" * 20_000
        sent = 0
        async with asyncio.timeout(30):
            while hub.clients == 2:
                events = [json.dumps({"seq": sent + number, "padding": padding}) for number in range(16)]
                await publish(redis_url, *events)
                for number in range(16):
                    heard = await hear(quick)
                    assert heard["event"]["seq"] == sent + number, "the quick one misses nothing"
                sent += 16
        assert sent < 5_000
        assert await ending(slow) == SLOW
        await publish(redis_url, '{"seq":"last"}')
        assert (await hear(quick))["event"]["seq"] == "last"
        await quick.close()


async def test_too_many_connections_are_told_to_come_later(database_url: str, redis_url: str) -> None:
    async with running(database_url, redis_url, ws_clients=1) as (api, url):
        first = await listen(url, api)
        async with connect(url) as second:
            assert await ending(second) == 1013
        await first.close()
