"""The Trades tab: every transaction that was sent, with what was predicted and what the chain paid."""

from __future__ import annotations

from keeper.panel.text import (
    DASH,
    Tokens,
    clock,
    copyable,
    count,
    empty,
    ether,
    fate_badge,
    label,
    path,
    safe,
    signed_ether,
)
from keeper.store.queries import Page, Row

STATUSES = ["every outcome", "landed", "lost", "reverted"]


def table(page: Page, tokens: Tokens, status: str | None, why_none: str) -> str:
    """One page of trades."""
    if not page.rows:
        return empty(f"No {label(status)} trades" if status else "No trades", why_none)
    rows = "".join(_row(row, tokens) for row in page.rows)
    return f"""<table class="ao-table" data-testid="trades">
<thead><tr><th>Time (UTC)</th><th>Block</th><th>Outcome</th><th>Strategy</th><th>Route</th><th>Lender</th>
<th class="ao-right">Predicted, net</th><th class="ao-right">Realised, net</th><th class="ao-right">Gas</th>
<th>Transaction</th></tr></thead><tbody>{rows}</tbody></table>"""


def _row(row: Row, tokens: Tokens) -> str:
    chain = row["details"]["chain_id"]
    landed = row["status"] == "landed"
    reason = row["details"].get("reason") or ""
    outcome = fate_badge(row["status"]) + (f'<span class="ao-sub">{label(str(reason))}</span>' if reason else "")
    mark = ""
    if landed:
        difference = row["realised_wei"] - row["predicted_wei"]
        mark = (
            '<span class="ao-sub">✓ exact</span>'
            if not difference
            else (f'<span class="ao-sub ao-loss">{difference:+,} wei</span>')
        )
    tone = "profit" if row["profit"] > 0 else "loss" if row["profit"] < 0 else ""
    realised = f'<span class="ao-money" data-tone="{tone}">{signed_ether(row["profit"], 6)}</span>{mark}'
    return f"""<tr data-trade="{row["id"]}" data-hash="{safe(row["transaction_hash"])}">
<td data-label="Time">{clock(row["timestamp"])}</td><td data-label="Block">{count(row["block_number"])}</td>
<td data-label="Outcome">{outcome}</td><td data-label="Strategy">{label(row["strategy"])}</td>
<td data-label="Route">{path(tokens, chain, row["details"].get("route", {}))}</td>
<td data-label="Lender">{label(row["lender"])}</td>
<td data-label="Predicted" class="ao-right">{signed_ether(row["predicted_wei"], 6)}</td>
<td data-label="Realised" class="ao-right">{realised}</td>
<td data-label="Gas" class="ao-right">{ether(row["gas_cost"], 6) if row["gas_cost"] else DASH}</td>
<td data-label="Transaction">{copyable(row["transaction_hash"])}</td></tr>"""
