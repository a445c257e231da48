"""Serves the panel on loopback, as a process of its own or inside another."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Sequence

from keeper.domain.errors import InputError, OrionError

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 7860


def bind(host: str, port: int) -> socket.socket:
    """A listening socket at ``port``, or at a free port when that is 0 or taken."""
    for wanted in (port, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, wanted))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if wanted == 0:
                raise InputError("ORION_PANEL_PORT", port, f"No port can be opened on {host}: {error}.") from error
        else:
            return listener
    raise AssertionError("the second round binds or raises")


async def serve(host: str, port: int, database_url: str, redis_url: str) -> None:
    """Serve until cancelled or signalled; prints ``panel: http://HOST:PORT`` on stderr once it answers."""
    import uvicorn

    from keeper.panel.app import build

    listener = bind(host, port)
    address = f"http://{host}:{listener.getsockname()[1]}"

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                print(f"panel: {address}", file=sys.stderr, flush=True)

    try:
        application = await asyncio.to_thread(build, database_url, redis_url)
        config = uvicorn.Config(application, log_level="error", access_log=False, timeout_graceful_shutdown=1)
        server = Announcing(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise
    finally:
        listener.close()


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m keeper.panel``: serve the database and bus that the environment or the options name."""
    parser = argparse.ArgumentParser(
        prog="python -m keeper.panel",
        description="Serve Mission Control on loopback. It only reads, and waits for a database or bus that is away.",
    )
    parser.add_argument("--database-url", default=os.environ.get("ORION_DATABASE_URL"), help="[ORION_DATABASE_URL]")
    parser.add_argument("--redis-url", default=os.environ.get("ORION_REDIS_URL"), help="[ORION_REDIS_URL]")
    parser.add_argument(
        "--port",
        type=int,
        default=int(os.environ.get("ORION_PANEL_PORT", DEFAULT_PORT)),
        help="0, or one that is taken, picks a free port [ORION_PANEL_PORT]",
    )
    options = parser.parse_args(argv)
    for name in ("database_url", "redis_url"):
        if not getattr(options, name):
            parser.error(f"ORION_{name.upper()} is not set; give it or --{name.replace('_', '-')}")
    try:
        asyncio.run(serve(LOOPBACK, options.port, options.database_url, options.redis_url))
    except OrionError as error:
        print(f"panel: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0
