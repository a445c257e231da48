"""A stand-in for a node: it speaks HTTP and JSON-RPC over a real socket and answers what the test tells it to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

Answer = Callable[[str, list[Any]], Awaitable[web.Response | object]]
"""Gets method and parameters; returns the result, or a whole response."""


class Refusal(Exception):
    """The JSON-RPC error object to answer with."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        self.error = {"code": code, "message": message, "data": data}
        super().__init__(message)


@asynccontextmanager
async def json_rpc_server(answer: Answer) -> AsyncIterator[str]:
    """Serves on a free port of loopback; yields the endpoint."""

    async def handle(request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        reply: dict[str, object] = {"jsonrpc": "2.0", "id": body["id"]}
        try:
            result = await answer(body["method"], body["params"])
        except Refusal as refusal:
            reply["error"] = refusal.error
        else:
            if isinstance(result, web.Response):
                return result
            reply["result"] = result
        return web.Response(body=orjson.dumps(reply), content_type="application/json")

    app = web.Application()
    app.router.add_post("/{key:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}/secret-key"
    finally:
        await runner.cleanup()
