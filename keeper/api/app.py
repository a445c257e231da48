"""Puts the interface together: routers, limits, security, and errors that say what to do."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI

import keeper
from keeper.api import problems
from keeper.api.context import Context, Options
from keeper.api.middleware import Guard
from keeper.api.routes import configuration, control, dashboard, health, history, stream

_DESCRIPTION = """\
Reads the keeper's ledger, follows what it does, and hands it commands.

Amounts of money are decimal strings of wei, times are ISO 8601 in UTC. Errors are
[RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem documents that name the field, the value and the remedy.
Every path but `/healthz` and `/readyz` needs a bearer token, made by `keeper token create`.
Events come over the WebSocket at `/ws`; docs/api.md describes its messages.
"""


def build(
    database_url: str,
    redis_url: str,
    settings: Mapping[str, object] | None = None,
    *,
    options: Options | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """The interface as an ASGI application; a database or bus that is away is waited for, request by request.

    Args:
        settings: what `/api/config` shows; must hold no secret.
        clock: seconds for the limits on requests.
    """
    options = options or Options()
    context = Context.create(database_url, redis_url, settings or {}, options, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await context.hub.start()
        try:
            yield
        finally:
            await context.close()

    app = FastAPI(
        title="Alpha-Orion",
        version=keeper.__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.context = context
    problems.install(app)
    for part in (dashboard, history, configuration, control, health, stream):
        app.include_router(part.router)
    app.add_middleware(Guard, max_body=options.max_body, telemetry=context.telemetry)
    return app
