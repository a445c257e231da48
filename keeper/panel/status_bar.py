"""The bar on top of every tab: which mode, which chain, how fresh, what is earned, and what is wrong."""

from __future__ import annotations

import time

from keeper.panel.snapshot import CURRENT, Figures, Snapshot
from keeper.panel.text import DASH, age, count, milliseconds, safe, signed_ether

_MODES = {"replica": "REPLICA", "paper": "PAPER", "live": "LIVE"}
_NAMES = {"replica": "offline replica"}


def render(snapshot: Snapshot, choice: str) -> str:
    """HTML of the bar and of the notices below it."""
    figures = snapshot.of(choice)
    keeper = snapshot.keeper
    run = (snapshot.runs[0] if snapshot.runs else None) if choice == CURRENT else (figures.run if figures else None)
    mode = keeper.get("mode") or (run["mode"] if run else "")
    network = keeper.get("network") or (run["network"] if run else "")
    chain_id = keeper.get("chain_id") or (str(run["chain_id"]) if run else "")
    number, seen_ms = _head(snapshot, figures)
    net = figures.totals.net if figures else None
    dim = " ao-stale" if snapshot.database_problem else ""
    now = time.time_ns() // 1_000_000
    return f"""
<div class="ao-bar" data-now="{now}" data-version="{snapshot.version}">
  <div class="ao-brand"><span class="ao-mark" aria-hidden="true"></span>Alpha-Orion</div>
  <span class="ao-mode" data-mode="{safe(mode or "unknown")}" data-testid="mode">{_MODES.get(mode, DASH)}</span>
  {_fact("Network", f"{safe(_NAMES.get(network, network) or DASH)}", f"chain {safe(chain_id or DASH)}")}
  {_fact("Block", count(number), age(seen_ms), testid="block")}
  {_fact("Keeper", *_state(snapshot), testid="keeper")}
  {_fact("Net profit", f'<span class="ao-money{dim}">{signed_ether(net)}</span>', _scope(choice), testid="net")}
  {_fact("Ledger read", age(snapshot.database_seen_ms, stale_after_s=10), "PostgreSQL")}
  <button type="button" class="ao-theme" aria-label="Switch between light and dark">◐</button>
</div>
<div class="ao-notices" aria-live="polite">{"".join(_notices(snapshot))}</div>
"""


def _fact(name: str, value: str, note: str, *, testid: str = "") -> str:
    mark = f' data-testid="{testid}"' if testid else ""
    return (
        f'<div class="ao-fact"{mark}><span class="ao-name">{name}</span><span class="ao-value">{value}</span>'
        f'<span class="ao-note">{note}</span></div>'
    )


def _head(snapshot: Snapshot, figures: Figures | None) -> tuple[int | None, int | None]:
    """The newest block, as the running keeper tells it or as the ledger has it."""
    head, seen = snapshot.keeper.get("head_block", ""), snapshot.keeper.get("seen_at", "")
    if head.isdecimal() and seen.isdecimal():
        return int(head), int(seen) // 1_000_000
    block = figures.block if figures else None
    return (block["number"], milliseconds(block["seen_at"])) if block else (None, None)


def _state(snapshot: Snapshot) -> tuple[str, str]:
    if snapshot.bus_problem:
        return '<span class="ao-dot" data-state="unknown"></span>unknown', "the bus is away"
    if not snapshot.keeper:
        return '<span class="ao-dot" data-state="away"></span>not running', "no heartbeat"
    state = snapshot.keeper.get("state", "running")
    since = snapshot.keeper.get("since", "")
    note = f"since {age(int(since) // 1_000_000, stale_after_s=10**9)}" if since.isdecimal() else ""
    return f'<span class="ao-dot" data-state="{safe(state)}"></span>{safe(state)}', note or "heartbeat ok"


def _scope(choice: str) -> str:
    return {"current": "this run, after gas", "all": "all runs, after gas"}.get(choice, "chosen run, after gas")


def _notices(snapshot: Snapshot) -> list[str]:
    found = []
    if snapshot.database_problem:
        last = "Figures below are from" if snapshot.database_seen_ms else "Nothing has been read yet"
        when = f" {age(snapshot.database_seen_ms)}" if snapshot.database_seen_ms else ""
        found.append(
            _notice("critical", "Database away", f"{safe(snapshot.database_problem)}. {last}{when}; it is tried again.")
        )
    if snapshot.bus_problem:
        found.append(
            _notice("warn", "Bus away", "Redis does not answer. Figures still come from the ledger, every 2 s.")
        )
    elif not snapshot.keeper:
        found.append(
            _notice("quiet", "Keeper not running", "Nothing new will appear until it starts: <code>make run</code>.")
        )
    quarantined = snapshot.keeper.get("pools_quarantined", "")
    if quarantined.isdecimal() and int(quarantined):
        found.append(
            _notice(
                "critical",
                f"{int(quarantined)} of {safe(snapshot.keeper.get('pools', DASH))} pools in quarantine",
                "Their states differed from the chain's. They are not traded until the keeper is started again; "
                "<code>quarantine.jsonl</code> beside the ledger has each difference.",
            )
        )
    return found


def _notice(level: str, title: str, text: str) -> str:
    return f'<div class="ao-notice" data-level="{level}"><strong>{title}</strong><span>{text}</span></div>'
