"""What the keeper talks to: database, bus, node, relays."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from urllib.parse import urlsplit

import httpx

from keeper.config import Settings
from keeper.doctor.check import Check
from keeper.domain.errors import ComponentError, OrionError

_TIMEOUT = 10.0


async def check_database(settings: Settings) -> Check:
    """The operator's server answers, or the private one starts."""
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    from keeper.embedded.postgres import EmbeddedPostgres
    from keeper.store.database import async_engine, away

    name = "database"
    embedded = EmbeddedPostgres(settings.home, settings.log_dir)
    if settings.database_url is None and embedded.in_use():
        return Check(name, True, "embedded PostgreSQL, in use by a running keeper")
    try:
        async with contextlib.AsyncExitStack() as stack:
            if settings.database_url is None:
                await stack.enter_async_context(embedded)
            url = settings.database_url or embedded.url
            engine = async_engine(url)
            stack.push_async_callback(engine.dispose)
            try:
                async with asyncio.timeout(_TIMEOUT), engine.connect() as connection:
                    version = (await connection.execute(text("SHOW server_version"))).scalar_one()
            except (SQLAlchemyError, TimeoutError, OSError) as error:
                raise away(url, error) from error
    except OrionError as error:
        return _broken(name, error)
    where = f"embedded PostgreSQL, data in {embedded.data_dir}" if settings.database_url is None else "PostgreSQL"
    return Check(name, True, f"{where}, version {version}")


async def check_bus(settings: Settings) -> Check:
    """The operator's Redis answers, or the private server starts."""
    from redis.exceptions import RedisError

    from keeper.embedded.valkey import EmbeddedValkey
    from keeper.store.bus import connect

    name = "bus"
    embedded = EmbeddedValkey(settings.home, settings.log_dir)
    if settings.redis_url is None and embedded.in_use():
        return Check(name, True, "embedded Valkey, in use by a running keeper")
    try:
        async with contextlib.AsyncExitStack() as stack:
            if settings.redis_url is None:
                await stack.enter_async_context(embedded)
            url = settings.redis_url or embedded.url
            client = await stack.enter_async_context(connect(url))
            try:
                async with asyncio.timeout(_TIMEOUT):
                    server = await client.info("server")
            except (RedisError, TimeoutError, OSError) as error:
                problem = f"no answer from {_shown(url)} ({error})"
                remedy = "Check that the server runs and that ORION_REDIS_URL is right."
                raise ComponentError(name, problem, remedy) from error
    except OrionError as error:
        return _broken(name, error)
    version = server.get("valkey_version") or server.get("redis_version")
    where = f"embedded Valkey, data in {embedded.data_dir}" if settings.redis_url is None else "Redis protocol"
    return Check(name, True, f"{where}, version {version}")


async def check_node_rpc(settings: Settings) -> Check:
    """The node answers and is on the chain of the settings."""
    name, url = "rpc", settings.rpc_url
    if url is None:
        remedy = f"Set ORION_RPC_URL to a node of {settings.network}, or use the network `replica`."
        return Check(name, False, "no endpoint", remedy)
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT) as client:
            response = await client.post(url, json=request)
            answer = response.json()
        chain_id = int(answer["result"], 16)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        problem = f"no answer from {_shown(url)} ({type(error).__name__})"
        return Check(name, False, problem, "Check ORION_RPC_URL and the network between here and there.")
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        problem = f"{_shown(url)} answers HTTP {response.status_code}, but not with a chain id"
        return Check(name, False, problem, "Check that ORION_RPC_URL is a JSON-RPC endpoint and its key is valid.")
    if chain_id != settings.chain_id:
        problem = f"{_shown(url)} is chain {chain_id}, not {settings.chain_id}"
        return Check(name, False, problem, "Set ORION_CHAIN_ID or ORION_RPC_URL so that they agree.")
    return Check(name, True, f"{_shown(url)} is chain {chain_id}")


async def check_relay(url: str) -> Check:
    """A connection can be opened, with a certificate that this machine trusts where the address says https."""
    name = f"relay {_shown(url)}"
    parts = urlsplit(url)
    port = _port(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or port is None:
        return Check(name, False, "not an address", "ORION_RELAY_URLS is a JSON list of https://... addresses.")
    secure = parts.scheme == "https"
    try:
        async with asyncio.timeout(_TIMEOUT):
            context = ssl.create_default_context() if secure else None
            _, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
    except ssl.SSLError as error:
        problem = f"TLS failed: {getattr(error, 'verify_message', '') or error.reason}"
        return Check(name, False, problem, "Check the address, the clock and the certificates of this machine.")
    except (OSError, TimeoutError) as error:
        problem = f"no connection ({error or type(error).__name__})"
        return Check(name, False, problem, "Check the address and the network between here and there.")
    writer.close()
    with contextlib.suppress(OSError):  # the peer may be quicker to hang up
        await writer.wait_closed()
    return Check(name, True, "TLS connection" if secure else "TCP connection")


def _broken(name: str, error: OrionError) -> Check:
    if isinstance(error, ComponentError):
        return Check(name, False, error.problem, error.remedy)
    return Check(name, False, str(error), "Correct the setting.")


def _port(url: str) -> int | None:
    """The port that an address names or implies; None when it names none that exists."""
    parts = urlsplit(url)
    try:
        return parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        return None


def _shown(url: str) -> str:
    """An address without the user, password, path and query, where keys may hide."""
    parts = urlsplit(url)
    port = _port(url)
    return f"{parts.scheme}://{parts.hostname or '?'}" + (f":{port}" if port else "")
