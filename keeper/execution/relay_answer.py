"""What a relay answered, read from every shape in which the builders of mainnet answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from keeper.domain.units import Hash32

RATE_LIMIT_CODES = frozenset({429, -32005, -32029})

_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class RelayAnswer:
    """One relay's answer to one request.

    Attributes:
        relay: the relay's host, with its port where that is not the usual one.
        bundle_hash: as the relay gave it; None where it gives none.
        error_code: JSON-RPC code (negative) or HTTP status (positive); None when there was no answer at all.
        error_message: for people and logs, at most 200 characters, empty when ``ok``.
        elapsed_ns: from the first byte sent to the end of the answer, retries included.
        result: what came as ``result``, for calls that return more than a hash.
    """

    relay: str
    ok: bool
    bundle_hash: Hash32 | None
    error_code: int | None
    error_message: str
    elapsed_ns: int
    result: Any = None

    def as_details(self) -> dict[str, Any]:
        """JSON-ready, for the record of an opportunity."""
        return {
            "relay": self.relay,
            "ok": self.ok,
            "bundle_hash": self.bundle_hash,
            "error_code": self.error_code,
            "error_message": self.error_message,
            "elapsed_ns": self.elapsed_ns,
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """The content of one HTTP response.

    Attributes:
        works: the relay understood the request and gave an answer of its own, even if that is a refusal.
        again: the same request may succeed a moment later.
    """

    ok: bool
    works: bool
    again: bool = False
    bundle_hash: Hash32 | None = None
    error_code: int | None = None
    error_message: str = ""
    result: Any = None


def read_response(method: str, status: int, body: bytes) -> Reading:
    """Read a JSON-RPC answer: errors on HTTP 200 or 4xx, a bare hash as the result, pages that are no JSON at all."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _failed(status, f"not JSON: {body[:80].decode('utf-8', errors='replace')}")
    if not isinstance(answer, Mapping):
        return _failed(status, f"not a JSON-RPC object: {body[:80].decode('utf-8', errors='replace')}")
    if answer.get("error") is not None:
        return read_error(answer["error"], status)
    if not 200 <= status < 300:
        return _failed(status, str(answer.get("message", "no reason given")))
    if "result" not in answer:
        return _failed(status, "neither result nor error")
    return read_result(method, answer["result"], status)


def read_result(method: str, result: Any, status: int = 200) -> Reading:
    """Read the ``result`` of a JSON-RPC answer to ``method``."""
    if method != "eth_sendBundle":
        return Reading(ok=True, works=True, result=result)
    given = result.get("bundleHash") if isinstance(result, Mapping) else result
    if given is None:  # accepted by a builder that names no hash
        return Reading(ok=True, works=True, result=result)
    if not isinstance(given, str) or not _HASH.fullmatch(given):
        return _failed(status, f"not a bundle hash: {given!r}")
    return Reading(ok=True, works=True, bundle_hash=Hash32(given.lower()), result=result)


def read_error(error: Any, status: int = 200) -> Reading:
    """Read the ``error`` of a JSON-RPC answer: an object with code and message, or only a text."""
    code: int | None = None
    message = error
    if isinstance(error, Mapping):
        given = error.get("code")
        code = given if isinstance(given, int) and not isinstance(given, bool) else None
        message = error.get("message", error)
    if code is None:
        code = status if status >= 400 else None
    limited = status == 429 or code in RATE_LIMIT_CODES
    return Reading(
        ok=False, works=status < 500, again=limited or status >= 500, error_code=code, error_message=tidy(str(message))
    )


def tidy(text: str) -> str:
    """One line of at most 200 characters: what others send must not forge lines in our log."""
    return _CONTROL.sub(" ", text).strip()[:200]


def _failed(status: int, message: str) -> Reading:
    return Reading(
        ok=False,
        works=False,
        again=status >= 500 or status == 429,
        error_code=status if status >= 400 else None,
        error_message=tidy(message if status < 300 else f"HTTP {status}, {message}"),
    )
