"""An HTTP server on loopback inside the running event loop, for the relay and the control endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn
from starlette.applications import Starlette

from keeper.domain.errors import ComponentError

_STOP_SECONDS = 5


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: signals belong to the process that embeds it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class LoopbackServer:
    """Serves ``app`` on 127.0.0.1; port 0 takes a free one."""

    def __init__(self, name: str, app: Starlette, port: int = 0) -> None:
        self._name = name
        self._app = app
        self._wanted_port = port
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        if self._socket is None:
            raise ComponentError(self._name, "is not running", "Start it first.")
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    async def start(self) -> None:
        """Bind and answer; `ComponentError` when the port is taken."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self._wanted_port))
        except OSError as error:
            listener.close()
            raise ComponentError(
                self._name, f"port {self._wanted_port} is taken", "Choose another port, or 0 for any free one."
            ) from error
        self._socket = listener
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name=self._name)
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            self._task.result()
            raise ComponentError(self._name, "ended while starting", "Read its log.")

    async def stop(self) -> None:
        """Finish open requests within a few seconds and close the port; harmless when it is not running."""
        if self._server is None or self._task is None or self._socket is None:
            return
        self._server.should_exit = True
        await self._task
        self._socket.close()
        self._server = self._task = self._socket = None
