"""How values are written for people: every number has its unit, unknown is a dash, and nothing foreign is HTML."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from html import escape
from typing import Any

DASH = "–"
_LONGEST = 160

Tokens = dict[tuple[int, str], tuple[str, int]]


def safe(text: object) -> str:
    """``text`` for use in HTML: markup is shown as it is written, and overlong text is cut."""
    shown = str(text)
    if len(shown) > _LONGEST:
        shown = shown[: _LONGEST - 1] + "…"
    return escape(shown, quote=True)


def count(number: int | None) -> str:
    return DASH if number is None else f"{number:,}"


def units(amount: int, decimals: int, places: int = 6) -> str:
    """``amount`` raw units as a decimal number of ``places``, rounded half away from zero, without a float."""
    scale = 10**decimals
    step = 10 ** max(decimals - places, 0)
    rounded = (abs(amount) + step // 2) // step * step
    whole, rest = divmod(rounded, scale)
    fraction = str(rest).rjust(decimals, "0")[:places] if decimals and places else ""
    sign = "−" if amount < 0 and rounded else ""
    return f"{sign}{whole:,}" + (f".{fraction}" if fraction else "")


def ether(wei: int | None, places: int = 5) -> str:
    return DASH if wei is None else f"{units(wei, 18, places)} ETH"


def signed_ether(wei: int | None, places: int = 5) -> str:
    """With ``+`` or ``−``, for profit and loss."""
    if wei is None:
        return DASH
    return ("+" if wei > 0 else "") + ether(wei, places)


def share(bps: int | None) -> str:
    return DASH if bps is None else f"{bps // 100}.{bps % 100 // 10} %"


def short(value: str, head: int = 6, tail: int = 4) -> str:
    """``0x1234…abcd``; not yet escaped."""
    return value if len(value) <= head + tail + 1 else f"{value[:head]}…{value[-tail:]}"


def copyable(value: str | None) -> str:
    """A shortened address or hash that copies itself whole when clicked."""
    if not value:
        return DASH
    return (
        f'<button type="button" class="ao-copy" data-copy="{safe(value)}" title="Copy {safe(value)}">'
        f"{safe(short(value))}</button>"
    )


def clock(moment: datetime) -> str:
    """UTC time of day; the browser adds the local time on hover."""
    utc = moment.astimezone(UTC)
    return f'<time datetime="{utc.isoformat()}" class="ao-time">{utc:%H:%M:%S}</time>'


def age(moment_ms: int | None, *, stale_after_s: int = 15) -> str:
    """How long ago, counted on by the browser and dimmed once it is older than ``stale_after_s``."""
    if moment_ms is None:
        return DASH
    seconds = time.time() - moment_ms / 1000
    dim = " ao-stale" if seconds > stale_after_s else ""
    return f'<span class="ao-age{dim}" data-age="{moment_ms}" data-stale="{stale_after_s}">{ago(seconds)}</span>'


def ago(seconds: float) -> str:
    """In words; the browser has the same rule."""
    if seconds < 1:
        return "now"
    for limit, unit, name in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit)} {name} ago"
    return f"{int(seconds // 86_400)} days ago"


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def label(name: str) -> str:
    """``cross_dex`` as ``cross dex``, escaped."""
    return safe(name.replace("_", " "))


def symbol(tokens: Tokens, chain_id: int, address: str) -> str:
    """The token's symbol, or its short address when it is not known; escaped."""
    found = tokens.get((chain_id, address))
    return safe(found[0][:16]) if found and found[0] else safe(short(address))


def token_amount(tokens: Tokens, chain_id: int, address: str, raw: object) -> str:
    """An amount with its symbol; raw units when the decimals are not known."""
    try:
        amount = int(str(raw))
    except ValueError:
        return DASH
    found = tokens.get((chain_id, address))
    if found is None:
        return f"{amount:,} raw"
    return f"{units(amount, found[1], 6 if found[1] > 6 else 2)} {safe(found[0][:16])}"


def path(tokens: Tokens, chain_id: int, route: dict[str, Any]) -> str:
    """``WETH → USDC → WETH`` with the DEXes below it."""
    hops = route.get("hops") or []
    if not hops:
        return DASH
    names = [symbol(tokens, chain_id, hops[0]["token_in"])]
    names += [symbol(tokens, chain_id, hop["token_out"]) for hop in hops]
    venues = " · ".join(label(hop["dex"]) for hop in hops)
    return f'<span class="ao-path">{" → ".join(names)}</span><span class="ao-sub">{venues}</span>'


def fate_badge(fate: str) -> str:
    return f'<span class="ao-fate" data-fate="{safe(fate)}">{label(fate)}</span>'


def empty(title: str, why: str) -> str:
    """A place without data: what is missing, why, and what comes next. Both texts are already safe."""
    return f'<div class="ao-empty"><strong>{title}</strong><span>{why}</span></div>'
