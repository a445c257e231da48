"""The interface on real stores, asked in this process or over a port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from keeper.api.app import build
from keeper.api.context import Options
from keeper.api.server import serve
from keeper.panel.server import bind
from keeper.store.access import Role, TokenBook

SECRET = "planted-secret-9f3b"
ROLES = {"viewer": Role.VIEWER, "operator": Role.OPERATOR, "treasurer": Role.TREASURER}


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Site:
    """A running application with a token for each role.

    Attributes:
        answers: the text of every answer that was given.
    """

    app: FastAPI
    database_url: str
    redis_url: str
    tokens: dict[str, str]
    book: TokenBook
    clock: Clock
    client: httpx.AsyncClient
    answers: list[str] = field(default_factory=list)

    async def ask(
        self, method: str, path: str, *, role: str | None = "viewer", token: str | None = None, **more: Any
    ) -> httpx.Response:
        headers = dict(more.pop("headers", {}))
        token = token or (self.tokens[role] if role else None)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        answer = await self.client.request(method, path, headers=headers, **more)
        self.answers.append(answer.text + str(answer.headers))
        return answer

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.ask("GET", path, **more)

    async def good(self, path: str, **more: Any) -> Any:
        answer = await self.get(path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def site(
    database_url: str,
    redis_url: str,
    *,
    options: Options | None = None,
    settings: dict[str, object] | None = None,
) -> AsyncIterator[Site]:
    clock = Clock()
    options = options or Options(rate=1_000, burst=100_000, control_patience=2.0)
    app = build(database_url, redis_url, settings, options=options, clock=clock)
    book = TokenBook(database_url)
    tokens = {name: (await book.create(name, role))[0] for name, role in ROLES.items()}
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield Site(app, database_url, redis_url, tokens, book, clock, client)
    await book.close()


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[int]:
    """The port of a server that runs ``app`` without its lifespan, which `site` has begun."""
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    ready = asyncio.Event()

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await app(scope, receive, send)

    serving = asyncio.create_task(serve(bare, listener, ready.set))
    try:
        async with asyncio.timeout(10):
            await ready.wait()
        yield port
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
