"""Flat dataclasses by the hundred thousand as bytes: one column a field, every text once.

A column of integers is as wide as its widest value; a column of texts, or of an enumeration, holds places in the
table of texts; a column of tuples holds their lengths and then their items as one column. Fields are written by name,
so that bytes of a class whose fields have changed since are refused rather than read as something else.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from enum import Enum
from functools import cache
from itertools import accumulate, chain, pairwise
from typing import Any, get_args, get_origin, get_type_hints

import orjson

from keeper.domain.errors import InputError

_LENGTH = 8
_WIDE = 9
"""Widths up to 8 bytes are stored as 8, which `array` reads at once."""


def pack(items: Sequence[Any]) -> bytes:
    """Instances of any of the classes that `unpack` will be told, in the order of their classes."""
    by_class: dict[type, list[Any]] = {}
    for item in items:
        by_class.setdefault(type(item), []).append(item)
    texts = _Texts()
    blocks: list[dict[str, Any]] = []
    columns: list[bytes] = []
    for kind in sorted(by_class, key=lambda kind: kind.__name__):
        rows = by_class[kind]
        blocks.append({"class": kind.__name__, "fields": list(_fields(kind)), "count": len(rows)})
        for name, (write, _) in _fields(kind).items():
            columns += write([getattr(row, name) for row in rows], texts)
    head = orjson.dumps({"texts": texts.listed, "blocks": blocks, "order": sys.byteorder})
    return b"".join(len(part).to_bytes(_LENGTH, "little") + part for part in (head, *columns))


def unpack(data: bytes, classes: Sequence[type]) -> list[Any]:
    """The instances that `pack` wrote; `InputError` when the bytes are not of these classes as they are now."""
    known: Mapping[str, type] = {kind.__name__: kind for kind in classes}
    parts = _parts(data)
    try:
        head = orjson.loads(next(parts))
        if head["order"] != sys.byteorder:
            raise _unfit("another byte order")
        items: list[Any] = []
        for block in head["blocks"]:
            kind, count = known.get(block["class"]), block["count"]
            if kind is None or list(_fields(kind)) != block["fields"]:
                raise _unfit(f"another {block['class']}")
            columns = [read(parts, count, head["texts"]) for _, read in _fields(kind).values()]
            items += map(kind, *columns)
    except (StopIteration, KeyError, IndexError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise _unfit(type(error).__name__) from error
    return items


class _Texts:
    """Every text once, in the order of their first use."""

    def __init__(self) -> None:
        self.listed: list[str] = []
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        place = self._places.get(text)
        if place is None:
            place = self._places[text] = len(self.listed)
            self.listed.append(str(text))
        return place


_Write = Callable[[Sequence[Any], _Texts], list[bytes]]
_Read = Callable[[Iterator[bytes], int, Sequence[str]], Sequence[Any]]


@cache
def _fields(kind: type) -> dict[str, tuple[_Write, _Read]]:
    """How each field is written and read, in the order of the constructor."""
    hints = get_type_hints(kind)
    return {field.name: _codec(hints[field.name]) for field in fields(kind)}


def _codec(hint: Any) -> tuple[_Write, _Read]:
    hint = getattr(hint, "__supertype__", hint)
    if get_origin(hint) is tuple:
        write, read = _codec(get_args(hint)[0])
        return (
            lambda rows, texts: [_lengths(rows), *write(list(chain.from_iterable(rows)), texts)],
            lambda parts, count, texts: _tuples(parts, count, texts, read),
        )
    if hint is int:
        return _write_integers, _read_integers
    if hint is bool:
        return _write_integers, lambda parts, count, texts: [*map(bool, _read_integers(parts, count, texts))]
    if hint is str:
        return _write_texts, _read_texts
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _write_texts, lambda parts, count, texts: [*map(hint, _read_texts(parts, count, texts))]
    raise TypeError(f"no column holds {hint}")


def _write_texts(values: Sequence[str], texts: _Texts) -> list[bytes]:
    return [array("I", map(texts.place, values)).tobytes()]


def _read_texts(parts: Iterator[bytes], count: int, texts: Sequence[str]) -> list[str]:
    places = _array("I", next(parts), count)
    return [texts[place] for place in places]


def _write_integers(values: Sequence[int], texts: _Texts) -> list[bytes]:  # noqa: ARG001
    # one bit more than the value for its sign
    width = max((value.bit_length() // 8 + 1 for value in values), default=1)
    if width < _WIDE:
        return [array("q", values).tobytes()]
    return [b"".join(value.to_bytes(width, "little", signed=True) for value in values)]


def _read_integers(parts: Iterator[bytes], count: int, texts: Sequence[str]) -> Sequence[int]:  # noqa: ARG001
    data = next(parts)
    width = len(data) // count if count else _LENGTH
    if width < _WIDE:
        return _array("q", data, count).tolist()
    if width * count != len(data):
        raise _unfit("a column of another length")
    from_bytes = int.from_bytes
    return [from_bytes(data[at : at + width], "little", signed=True) for at in range(0, len(data), width)]


def _lengths(rows: Sequence[Sequence[Any]]) -> bytes:
    return array("I", map(len, rows)).tobytes()


def _tuples(parts: Iterator[bytes], count: int, texts: Sequence[str], read: _Read) -> list[tuple[Any, ...]]:
    ends = list(accumulate(_array("I", next(parts), count), initial=0))
    items = read(parts, ends[-1], texts)
    return [tuple(items[start:end]) for start, end in pairwise(ends)]


def _array(code: str, data: bytes, count: int) -> array[int]:
    values: array[int] = array(code)
    if len(data) != count * values.itemsize:
        raise _unfit("a column of another length")
    values.frombytes(data)
    return values


def _parts(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + _LENGTH], "little")
        at += _LENGTH
        if at + length > len(data):
            raise _unfit("an end that is missing")
        yield data[at : at + length]
        at += length


def _unfit(found: str) -> InputError:
    return InputError("packed states", found, "They were written by another version: leave them.")
