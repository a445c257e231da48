"""The WebSocket: events of the bus as they happen, and ping for pong to measure the delay."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import orjson
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from keeper.api.access import recognise
from keeper.api.context import Context, context_of
from keeper.api.hub import Subscription
from keeper.api.problems import Refused
from keeper.domain.errors import ComponentError
from keeper.store.access import Grant

router = APIRouter()

PROTOCOL = "orion.v1"
"""Subprotocol that is answered; a token may be offered beside it as ``bearer.<token>``."""
BAD_MESSAGE = 4400
UNAUTHORIZED = 4401
SLOW = 4008
TOO_MANY = 4429
TOO_BIG = 1009
TRY_LATER = 1013
_CLOSE_SECONDS = 5.0


class Closed(Exception):
    """The connection is to be closed with this code, by us."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@router.websocket("/ws")
async def stream(socket: WebSocket) -> None:
    """Forward events until either side closes."""
    context = context_of(socket)
    offered = [part.strip() for part in socket.headers.get("sec-websocket-protocol", "").split(",")]
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    try:
        await _serve(context, socket, offered)
    except Closed as closed:
        context.telemetry.closed.labels(str(closed.code)).inc()
        await _close(socket, closed)
    except WebSocketDisconnect:
        pass


async def _serve(context: Context, socket: WebSocket, offered: list[str]) -> None:
    if context.hub.clients >= context.options.ws_clients:
        raise Closed(TRY_LATER, "too many connections")
    grant = await _authenticate(context, socket, offered)
    with context.hub.subscription() as subscription:
        context.telemetry.clients.inc()
        try:
            await _exchange(context, socket, subscription, grant)
        finally:
            context.telemetry.clients.dec()


async def _exchange(context: Context, socket: WebSocket, subscription: Subscription, grant: Grant) -> None:
    welcome = {"type": "welcome", "name": grant.name, "role": grant.role.value, "at": time.time_ns()}
    await socket.send_text(json.dumps(welcome))
    await socket.send_text(context.hub.bus_state)
    tasks = [
        asyncio.ensure_future(_send(socket, subscription)),
        asyncio.ensure_future(_receive(context, socket, subscription, grant)),
        asyncio.ensure_future(_too_slow(subscription)),
        asyncio.ensure_future(_recheck(context, grant)),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _authenticate(context: Context, socket: WebSocket, offered: list[str]) -> Grant:
    """The grant of the token in the offered subprotocols or in the first message."""
    token = next((part.removeprefix("bearer.") for part in offered if part.startswith("bearer.")), None)
    if token is None:
        try:
            async with asyncio.timeout(context.options.ws_auth_seconds):
                first = await _message(context, socket)
        except TimeoutError:
            raise Closed(UNAUTHORIZED, "no token within the time") from None
        if first.get("type") != "auth" or not isinstance(first.get("token"), str):
            raise Closed(UNAUTHORIZED, 'send {"type":"auth","token":"..."} first')
        token = first["token"]
    try:
        return await recognise(context, socket, token)
    except Refused as refused:
        if refused.status == 429:
            raise Closed(TOO_MANY, "too many requests") from None
        raise Closed(UNAUTHORIZED, "unknown or revoked token") from None
    except ComponentError:
        raise Closed(TRY_LATER, "the database is away") from None


async def _message(context: Context, socket: WebSocket) -> dict[str, Any]:
    """The next message, a JSON object of at most the allowed size."""
    event = await socket.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event.get("code", 1005))
    text = event.get("text")
    data = event.get("bytes")
    if (len(text.encode("utf-8", "surrogatepass")) if text is not None else len(data or b"")) > (
        context.options.ws_max_message
    ):
        raise Closed(TOO_BIG, f"messages have at most {context.options.ws_max_message} bytes")
    try:
        message = orjson.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise Closed(BAD_MESSAGE, "messages are JSON objects in text frames")
    return message


async def _receive(context: Context, socket: WebSocket, subscription: Subscription, grant: Grant) -> None:
    while True:
        message = await _message(context, socket)
        if context.limiter.wait((grant.id, "questions")):
            raise Closed(TOO_MANY, "too many messages")
        if message.get("type") != "ping":
            raise Closed(BAD_MESSAGE, "the only message is ping")
        pong: dict[str, object] = {"type": "pong", "at": time.time_ns()}
        if isinstance(message.get("id"), str | int):
            pong["id"] = message["id"]
        subscription.offer(json.dumps(pong))


async def _send(socket: WebSocket, subscription: Subscription) -> None:
    while True:
        await socket.send_text(await subscription.next())


async def _too_slow(subscription: Subscription) -> None:
    await subscription.slow.wait()
    raise Closed(SLOW, "too slow: messages were lost, connect again")


async def _recheck(context: Context, grant: Grant) -> None:
    """Ends the connection of a token that was revoked; while the database is away it goes on."""
    while True:
        await asyncio.sleep(context.options.ws_recheck_seconds)
        with contextlib.suppress(ComponentError):
            if not await context.tokens.still_valid(grant):
                raise Closed(UNAUTHORIZED, "the token was revoked")


async def _close(socket: WebSocket, closed: Closed) -> None:
    if socket.application_state is not WebSocketState.CONNECTED:
        return
    # one that does not read does not let us say goodbye either
    with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await socket.close(closed.code, closed.reason)
