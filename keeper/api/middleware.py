"""Around every request: size limit, security headers, counting, and a problem document for what nobody foresaw."""

from __future__ import annotations

import logging
import time

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keeper.api import problems
from keeper.api.telemetry import Telemetry

log = logging.getLogger(__name__)

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer. There are none of CORS: pages of other origins cannot read anything."""


class TooLarge(HTTPException):
    """The body goes on beyond the limit. FastAPI passes an `HTTPException` on and turns anything else into a 400."""

    def __init__(self) -> None:
        super().__init__(413)


class Guard:
    """The outermost layer of the application.

    Args:
        max_body: bytes.
    """

    def __init__(self, app: ASGIApp, *, max_body: int, telemetry: Telemetry) -> None:
        self._app = app
        self._max_body = max_body
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_body:
                raise TooLarge
            return message

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        request = Request(scope)
        try:
            try:
                if _announced(request) > self._max_body:
                    await self._refuse_size(request, guarded)
                else:
                    await self._app(scope, limited, guarded)
            except Exception:
                # whatever it is, the caller learns nothing of it and the log everything
                log.exception("%s %s failed", request.method, request.url.path)
                if status:
                    raise
                answer = problems.response(
                    request.url.path, 500, "internal-error", "This should not have happened.", remedy="Read the log."
                )
                await answer(scope, receive, guarded)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._telemetry.requests.labels(_known(request.method), route, str(status)).inc()
            self._telemetry.seconds.labels(route).observe(time.perf_counter() - began)

    async def _refuse_size(self, request: Request, send: Send) -> None:
        detail = f"The body is larger than {self._max_body} bytes."
        answer = problems.response(
            request.url.path, 413, "content-too-large", detail, remedy="Send less.", field="body"
        )
        await answer(request.scope, request.receive, send)


def _announced(request: Request) -> int:
    text = request.headers.get("content-length", "")
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def _known(method: str) -> str:
    return method if method in {"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"} else "other"
