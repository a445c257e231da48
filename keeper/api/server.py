"""Serves the interface, alone or with another application on the same port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

_PATHS = ("/ws", "/metrics", "/healthz", "/readyz", "/openapi.json")
MAX_FRAME = 65_536
"""Bytes of a WebSocket frame, above which the connection is closed with 1009 before anything is read."""


class Beside:
    """Two applications on one port: the interface has its own paths, ``rest`` has all others."""

    def __init__(self, api: FastAPI, rest: FastAPI) -> None:
        self._api = api
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        path = scope["path"]
        mine = path in _PATHS or path == "/api" or path.startswith("/api/")
        await (self._api if mine else self._rest)(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            for app in (self._api, self._rest):
                await stack.enter_async_context(app.router.lifespan_context(app))
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def serve(application: ASGIApp, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Serve until cancelled or signalled; ``announce`` is called once it answers. Closes ``listener``."""

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                announce()

    options: dict[str, Any] = {"log_level": "error", "access_log": False, "timeout_graceful_shutdown": 1}
    # compression would cost each of a thousand clients its own, and the server header tells versions
    options |= {"ws_max_size": MAX_FRAME, "ws_per_message_deflate": False, "server_header": False}
    try:
        server = Announcing(uvicorn.Config(application, **options))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise
    finally:
        listener.close()
