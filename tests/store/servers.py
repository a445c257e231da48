"""Real servers for tests of what stores and shows, and a connection that can be cut at a chosen moment."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from keeper.embedded.postgres import EmbeddedPostgres
from keeper.embedded.valkey import EmbeddedValkey
from keeper.store.database import database_address
from keeper.store.migrations import upgrade
from tests.homes import open_home

TEMPLATE = "migrated"


def admin(url: str) -> Engine:
    """An engine outside of transactions, for CREATE DATABASE and the like."""
    return create_engine(database_address(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")


def with_database(url: str, name: str) -> str:
    return database_address(url).set(database=name).render_as_string(hide_password=False)


def create_database(url: str, *, template: str = "template1") -> str:
    """A new database beside the one of ``url``."""
    name = f"test_{uuid.uuid4().hex}"
    with admin(url).connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    return with_database(url, name)


@pytest.fixture(scope="session")
def postgres(background: Any) -> Iterator[EmbeddedPostgres]:
    """A server with a migrated template database."""
    with open_home() as home:
        server = EmbeddedPostgres(home, home / "logs")
        background.run(server.start())
        with admin(server.url).connect() as connection:
            # What a killed process leaves is in the kernel's hands; only a power cut would need the disk.
            connection.execute(text("ALTER SYSTEM SET fsync = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
            connection.execute(text(f"CREATE DATABASE {TEMPLATE}"))
        upgrade(with_database(server.url, TEMPLATE))
        yield server
        background.run(server.stop())


def drop_database(url: str) -> None:
    name = database_address(url).database
    with admin(with_database(url, TEMPLATE)).connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    url = create_database(postgres.url)
    yield url
    drop_database(url)


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A migrated database of the test's own."""
    url = create_database(postgres.url, template=TEMPLATE)
    yield url
    drop_database(url)


@pytest.fixture(scope="session")
def valkey(background: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    home = tmp_path_factory.mktemp("valkey")
    server = EmbeddedValkey(home, home / "logs")
    background.run(server.start())
    yield server
    background.run(server.stop())


async def kill(server: EmbeddedPostgres | EmbeddedValkey, background: Any) -> None:
    """End the server as a power cut would."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.to_thread(background.run, server.wait())


async def bring_back(server: EmbeddedPostgres | EmbeddedValkey, background: Any) -> None:
    """Start it again, on the same port."""
    await asyncio.to_thread(background.run, server.start())


@dataclass
class Cuts:
    """How often the connection was cut, and how often still to cut it."""

    left: int
    done: int = 0


@asynccontextmanager
async def cutting_proxy(
    url: str, *, marker: bytes, deliver: bool, times: int = 1, meanwhile: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[tuple[str, Cuts]]:
    """A way to the server of ``url`` that breaks when the client sends ``marker``.

    Args:
        deliver: whether the server still gets the marked message and answers it before the client is cut off;
            otherwise the message is lost as well.
        meanwhile: awaited between the cut and the next connection.
    """
    target = database_address(url)
    cuts = Cuts(times)

    async def pump_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answered: asyncio.Event) -> None:
        while data := await reader.read(65_536):
            answered.set()
            if not cutting.is_set():
                writer.write(data)
                await writer.drain()

    cutting = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(target.host, target.port)
        except ConnectionRefusedError:
            writer.transport.abort()
            return
        answered = asyncio.Event()
        back = asyncio.create_task(pump_back(up_reader, writer, answered))
        try:
            while data := await reader.read(65_536):
                if marker in data and cuts.left:
                    cuts.left -= 1
                    cutting.set()
                    answered.clear()
                    if deliver:
                        up_writer.write(data)
                        await asyncio.wait_for(answered.wait(), 10)
                    if meanwhile is not None:
                        await meanwhile()
                    cutting.clear()
                    cuts.done += 1
                    return
                up_writer.write(data)
                await up_writer.drain()
        finally:
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            writer.transport.abort()
            up_writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield target.set(host="127.0.0.1", port=port).render_as_string(hide_password=False), cuts
    finally:
        server.close()
        await server.wait_closed()
