"""Server-sent events, byte by byte as they arrive (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from keeper.domain.errors import OrionError

MAX_EVENT_BYTES = 1 << 20
_LINE_BYTES = 64
"""What a line costs to keep, however short it is."""
_ENDING = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Overlong(OrionError):
    """An event, or a line of one, without an end."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """``name`` is ``message`` unless the server says otherwise; ``id`` is the last one that the server gave, if any."""

    name: str
    data: str
    id: str | None


class SseParser:
    """Gives whole events for pieces of a stream, however it is cut.

    Attributes:
        last_id: what to name in ``Last-Event-ID`` when connecting again; None where the server gives no ids.
        retry_seconds: how long the server wants to be left alone before that; None where it does not say.
        comments: lines that only keep the connection alive.
    """

    def __init__(self, last_id: str | None = None) -> None:
        self.last_id = last_id
        self.retry_seconds: float | None = None
        self.comments = 0
        self._rest = b""
        self._begun = False
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[ServerEvent]:
        """The events that ``piece`` completes; raises `Overlong` beyond `MAX_EVENT_BYTES`."""
        for line in self._lines(piece):
            event = self._line(line.decode("utf-8", errors="replace"))
            if event is not None:
                yield event

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        """Lines end with CR LF, LF or CR; a CR at the end of a piece may be half of an ending."""
        text = self._rest + piece
        if not self._begun:
            if len(text) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(text):
                self._rest = text
                return
            self._begun = True
            text = text.removeprefix(_BYTE_ORDER_MARK)
        start = 0
        for ending in _ENDING.finditer(text):
            if ending.end() == len(text) and ending.group() == b"\r":
                break
            yield text[start : ending.start()]
            start = ending.end()
        self._rest = text[start:]
        if len(self._rest) > MAX_EVENT_BYTES:
            raise Overlong(f"a line of more than {MAX_EVENT_BYTES} bytes")

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        if line.startswith(":"):
            self.comments += 1
            return None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "data":
                self._data.append(value)
                self._size += len(value) + _LINE_BYTES
                if self._size > MAX_EVENT_BYTES:
                    raise Overlong(f"an event of more than {MAX_EVENT_BYTES} bytes")
            case "event":
                self._name = value
            case "id" if "\0" not in value:
                self.last_id = value
            case "retry" if value.isascii() and value.isdigit() and len(value) < 10:
                self.retry_seconds = int(value) / 1000
            case _:
                pass
        return None

    def _dispatch(self) -> ServerEvent | None:
        name, data = self._name or "message", self._data
        self._name, self._data, self._size = "", [], 0
        return ServerEvent(name, "\n".join(data), self.last_id) if data else None
