"""The feed of MEV-Share: what senders of private transactions share with those who may back-run them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import orjson

from keeper.domain.errors import ComponentError, InputError
from keeper.domain.mev_share import HintedLog, HintedTransaction, MevShareEvent
from keeper.domain.units import Wei, to_address, to_hash32
from keeper.feeds.push import PushFeed
from keeper.feeds.sse import Overlong, SseParser
from keeper.market.node import to_bytes, to_quantity

MEV_SHARE_URL = "https://mev-share.flashbots.net"
_NAME = "MEV-Share"
_REMEDY = "Check the address of the event stream, and that this machine reaches it."
_CONNECT_SECONDS = 10.0
_LONGEST_RETRY = 60.0

Value = TypeVar("Value")


class MevShareFeed(PushFeed[MevShareEvent]):
    """Events of the stream in order; `PushFeed` has what every feed has.

    Events that were sent while the connection was down come after it, where the server gives ids and keeps them; the
    feed then names the last one it got. Otherwise they are lost, as the stream is meant.

    Args:
        url: of the stream.
        silence: seconds without a byte, comments included, after which the connection is made anew; the public server
            sends a comment every 15.

    Attributes:
        received: events that came.
        refused: events that make no sense, by the field at fault.
        comments: lines that only keep the connection alive.
    """

    def __init__(self, url: str = MEV_SHARE_URL, *, silence: float = 45.0, **options: Any) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError("mev_share_url", f"{parts.scheme}://...", "Give an address that starts with http(s)://.")
        super().__init__(_NAME, _REMEDY, **options)
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=silence)
        self._last_id: str | None = None
        self._retry_seconds: float | None = None
        self.received = 0
        self.refused: Counter[str] = Counter()
        self.comments = 0

    async def _follow(self) -> str:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        parser = SseParser(self._last_id)
        async with (
            aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(self._url, headers=headers, allow_redirects=False) as response,
        ):
            if response.status != 200 or response.content_type != "text/event-stream":
                raise ComponentError(
                    _NAME, f"it answers status {response.status} with {response.content_type}", _REMEDY
                )
            self._connected()
            before = 0
            try:
                async for piece in response.content.iter_any():
                    seen_at = time.time_ns()
                    for event in parser.feed(piece):
                        self._hear(event.data, seen_at)
                    self._last_id, self._retry_seconds = parser.last_id, parser.retry_seconds
                    self.comments += parser.comments - before
                    before = parser.comments
            except Overlong as error:
                raise ComponentError(_NAME, f"it sends {error}", _REMEDY) from error
        return "the server ended the stream"

    def _delay(self) -> float:
        """As long as the server asks for, within reason."""
        return max(super()._delay(), min(self._retry_seconds or 0.0, _LONGEST_RETRY))

    def _hear(self, data: str, seen_at: int) -> None:
        self.received += 1
        try:
            event = read_event(data, seen_at)
        except InputError as error:
            self.refused[error.field] += 1
            return
        self._alive()
        self._push(event)


def read_event(data: str, seen_at: int) -> MevShareEvent:
    """The event in one message; `InputError` names the field that makes no sense."""
    try:
        raw = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InputError("event", data, "The server has to send JSON.") from error
    if not isinstance(raw, dict):
        raise InputError("event", raw, "The server has to send an object.")
    return MevShareEvent(
        hash=to_hash32(raw.get("hash"), "hash"),
        logs=_optional(raw, "logs", lambda value: tuple(map(_read_log, _objects(value, "logs")))),
        transactions=_optional(raw, "txs", lambda value: tuple(map(_read_transaction, _objects(value, "txs")))),
        gas_price=_optional(raw, "mevGasPrice", lambda value: Wei(_quantity(value, "mevGasPrice"))),
        gas_used=_optional(raw, "gasUsed", lambda value: _quantity(value, "gasUsed")),
        seen_at=seen_at,
    )


def _read_log(raw: Mapping[str, Any]) -> HintedLog:
    topics = raw.get("topics")
    if not isinstance(topics, list) or len(topics) > 4:
        raise InputError("logs.topics", topics, "The server has to send up to four topics.")
    return HintedLog(
        address=to_address(raw.get("address"), "logs.address"),
        topics=tuple(_bytes(topic, "logs.topics") for topic in topics),
        data=_optional(raw, "data", lambda value: _bytes(value, "logs.data")),
    )


def _read_transaction(raw: Mapping[str, Any]) -> HintedTransaction:
    selector = _optional(raw, "functionSelector", lambda value: _bytes(value, "txs.functionSelector"))
    if selector is not None and len(selector) != 4:
        raise InputError("txs.functionSelector", selector.hex(), "The server has to send four bytes.")
    return HintedTransaction(
        to=_optional(raw, "to", lambda value: to_address(value, "txs.to")),
        selector=selector,
        data=_optional(raw, "callData", lambda value: _bytes(value, "txs.callData")),
        hash=_optional(raw, "hash", lambda value: to_hash32(value, "txs.hash")),
    )


def _optional(raw: Mapping[str, Any], name: str, read: Callable[[Any], Value]) -> Value | None:
    """What is kept back is missing, null, or an empty text."""
    value = raw.get(name)
    return None if value is None or value == "" else read(value)


def _objects(value: object, name: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InputError(name, value, "The server has to send a list of objects.")
    return value


def _quantity(value: object, name: str) -> int:
    try:
        return to_quantity(value, name)
    except ComponentError as error:
        raise InputError(name, value, "The server has to send a hexadecimal number.") from error


def _bytes(value: object, name: str) -> bytes:
    try:
        return to_bytes(value, name)
    except ComponentError as error:
        raise InputError(name, value, "The server has to send hexadecimal bytes.") from error
