"""Server-sent events: the standard's own examples, and that no way to cut a stream changes what is read."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.feeds.sse import MAX_EVENT_BYTES, Overlong, ServerEvent, SseParser


def read(*pieces: bytes) -> list[ServerEvent]:
    parser = SseParser()
    return [event for piece in pieces for event in parser.feed(piece)]


def message(data: str, name: str = "message", identity: str | None = None) -> ServerEvent:
    return ServerEvent(name, data, identity)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: the first message.\n\ndata: a\ndata: b\n\n", [message("the first message."), message("a\nb")]),
        (b"event: add\ndata: 73857293\n\n", [message("73857293", "add")]),
        (b": test\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
         [message("first", identity="1"), message("second", identity=""), message(" third", identity="")]),
        (b"data\n\ndata\ndata\n\ndata:", [message(""), message("\n")]),
        (b"data:test\n\ndata: test\n\n", [message("test"), message("test")]),
        (b"event: lost\n\ndata: x\n\n", [message("x")]),
        (b"\xef\xbb\xbfdata: x\r\n\r\n", [message("x")]),
        (b"data: x\r\r", []),
        (b"data: x\r\rdata", [message("x")]),
        (b"id: a\0b\nretry: 1.5\nother: y\ndata: \xff\n\n", [message("\ufffd")]),
    ],
)  # fmt: skip
def test_streams_are_read_as_the_standard_says(stream: bytes, events: list[ServerEvent]) -> None:
    assert read(stream) == events
    assert read(*(stream[at : at + 1] for at in range(len(stream)))) == events


LINES = st.sampled_from(
    ["data: {}", "data", "data:", ":ping", "event: x", "id: 7", "retry: 10", "rubbish", "", "", "data: ü", "data: a:b"]
)


@given(st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\r"])), max_size=20), st.data())
def test_no_way_to_cut_a_stream_changes_what_is_read(lines: list[tuple[str, str]], data: st.DataObject) -> None:
    stream = "".join(line + end for line, end in lines).encode() + b"data: end\n\n"
    cuts = sorted({0, len(stream), *data.draw(st.lists(st.integers(0, len(stream)), max_size=8))})
    assert read(*(stream[start:end] for start, end in pairwise(cuts))) == read(stream)


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_noise_is_no_error(pieces: list[bytes]) -> None:
    assert all(isinstance(event, ServerEvent) for event in read(*pieces))


def test_what_has_no_end_is_not_kept() -> None:
    with pytest.raises(Overlong, match="line"):
        read(b"data: ", *[b"x" * 65_536] * (MAX_EVENT_BYTES // 65_536 + 1))
    with pytest.raises(Overlong, match="event"):
        read(*[b"data: " + b"x" * 65_536 + b"\n"] * (MAX_EVENT_BYTES // 65_536 + 1))
    with pytest.raises(Overlong, match="event"):
        read(*[b"data\n" * 65_536] * (MAX_EVENT_BYTES // 65_536 + 1))


def test_comments_and_the_delay_that_is_asked_for_are_noted() -> None:
    parser = SseParser()
    assert list(parser.feed(b":ping\n\n:ping\nretry: 1500\nid: 9\n\n")) == []
    assert (parser.comments, parser.retry_seconds, parser.last_id) == (2, 1.5, "9")
