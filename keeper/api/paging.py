"""Cursors: where a page ends, as text that callers pass back and need not understand."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import Query

from keeper.domain.errors import InputError
from keeper.store.queries import MAX_PAGE, Key

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="rows of a page")]
CursorText = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before")]
NAME = r"^[A-Za-z0-9_.:-]+$"
"""Names of chains and strategies."""
_REMEDY = "Pass a cursor as it was answered, or none to begin with the newest."


def encode(key: Key | None) -> str | None:
    if key is None:
        return None
    text = json.dumps([key.at.isoformat(), key.id.hex], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(text: str | None, field: str = "query.cursor") -> Key | None:
    """The key of a cursor; `InputError` naming ``field`` when it is none of ours."""
    if text is None:
        return None
    try:
        padded = text + "=" * (-len(text) % 4)
        at, identity = orjson.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
        key = Key(datetime.fromisoformat(at), UUID(identity))
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise InputError(field, text, _REMEDY) from error
    if key.at.utcoffset() is None:
        raise InputError(field, text, _REMEDY)
    return key
