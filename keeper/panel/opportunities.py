"""The Opportunities tab: every opportunity with its fate, and the whole life of the one that is clicked."""

from __future__ import annotations

from datetime import UTC, datetime

from keeper.panel.text import (
    Tokens,
    clock,
    copyable,
    count,
    empty,
    fate_badge,
    label,
    path,
    safe,
    signed_ether,
    symbol,
    token_amount,
)
from keeper.store.queries import Page, Row

FATES = ["every fate", "detected", "filtered", "rejected", "simulated", "submitted", "landed", "lost", "reverted"]

CLICK = """
    let chosen = '';
    const mark = () => element.querySelectorAll('tr[data-id]').forEach((row) =>
        row.setAttribute('aria-selected', String(row.dataset.id === chosen)));
    element.addEventListener('click', (event) => {
        const row = event.target.closest('tr[data-id]');
        if (!row || event.target.closest('.ao-copy')) return;
        chosen = row.dataset.id;
        mark();
        trigger('select', {opportunity: chosen});
        window.orion.reveal('ao-drawer');
    });
    watch('value', mark);
"""
"""Run by the browser: a click on a row asks for its life; the choice survives new contents."""


def table(page: Page, tokens: Tokens, fate: str | None) -> str:
    """One page of opportunities."""
    if not page.rows:
        which = f" with fate {label(fate)}" if fate else ""
        return empty(f"No opportunities{which}", "They appear here with the block in which they are found.")
    rows = "".join(_row(row, tokens) for row in page.rows)
    return f"""<table class="ao-table" data-testid="opportunities">
<thead><tr><th>Found (UTC)</th><th>Block</th><th>Strategy</th><th>Route</th><th class="ao-right">Gross at detection</th>
<th>Fate</th></tr></thead><tbody>{rows}</tbody></table>"""


def _row(row: Row, tokens: Tokens) -> str:
    route = row["route"]
    gross = token_amount(tokens, row["chain_id"], route.get("token", ""), row["predicted_gross"])
    fate = f'{fate_badge(row["fate"])}<span class="ao-sub">{label(row["reason"])}</span>'
    return f"""<tr data-id="{row["id"]}">
<td data-label="Found"><button type="button" class="ao-open" aria-label="Show the life of this opportunity">
{clock(row["detected_at"])}</button></td>
<td data-label="Block">{count(row["block_number"])}</td><td data-label="Strategy">{label(row["strategy"])}</td>
<td data-label="Route">{path(tokens, row["chain_id"], route)}</td>
<td data-label="Gross" class="ao-right">{gross}</td><td data-label="Fate">{fate}</td></tr>"""


def life(found: Row | None, tokens: Tokens) -> str:
    """The drawer: route hop by hop, then each step with its time and facts."""
    if found is None:
        return empty("Choose an opportunity", "Click a row to see its route and what became of it.")
    chain, route = found["chain_id"], found["route"]
    hops = "".join(_hop(hop, chain, tokens) for hop in route.get("hops", []))
    start = found["fates"][0]["at_ns"] if found["fates"] else 0
    steps = "".join(_step(step, start) for step in found["fates"])
    trades = "".join(_trade(trade) for trade in found["trades"])
    return f"""<article class="ao-life" data-testid="life" data-id="{found["id"]}">
<header><h2>{label(found["strategy"])}</h2>{fate_badge(found["fate"])}</header>
<p class="ao-sub">block {count(found["block_number"])} · risk {safe(found["risk"])} · found
{found["found_after_ns"] / 1e6:.2f} ms after the block · {copyable(str(found["id"]))}</p>
<h3>Route</h3><ol class="ao-hops">{hops}</ol>
<h3>Life</h3><ol class="ao-steps">{steps}</ol>{trades}</article>"""


def _hop(hop: Row, chain: int, tokens: Tokens) -> str:
    pair = f"{symbol(tokens, chain, hop['token_in'])} → {symbol(tokens, chain, hop['token_out'])}"
    pool = f"{label(hop['dex'])} · fee {hop['fee_pips'] / 10_000:g} % · pool {copyable(hop['pool'])}"
    return f"""<li><span class="ao-path">{pair}</span><span class="ao-sub">{pool}</span>
<span class="ao-amounts">{token_amount(tokens, chain, hop["token_in"], hop["amount_in"])}<br>→
{token_amount(tokens, chain, hop["token_out"], hop["amount_out"])}</span></li>"""


def _step(step: Row, start: int) -> str:
    facts = "".join(
        f"<div><dt>{label(name)}</dt><dd>{safe(value)}</dd></div>" for name, value in sorted(step["details"].items())
    )
    moment = datetime.fromtimestamp(step["at_ns"] / 1e9, UTC)
    return f"""<li data-fate="{safe(step["fate"])}"><span>{fate_badge(step["fate"])} {label(step["reason"])}</span>
<span class="ao-sub">{clock(moment)} · +{max(step["at_ns"] - start, 0) / 1e6:,.1f} ms</span>
{f'<dl class="ao-facts">{facts}</dl>' if facts else ""}</li>"""


def _trade(trade: Row) -> str:
    realised = signed_ether(trade["profit"], 6)
    if trade["status"] == "landed":
        exact = trade["predicted_wei"] == trade["realised_wei"]
        realised += " · ✓ exact" if exact else " · differs from the prediction"
    return f"""<h3>Transaction</h3><dl class="ao-facts">
<div><dt>status</dt><dd>{label(trade["status"])}</dd></div>
<div><dt>hash</dt><dd>{copyable(trade["transaction_hash"])}</dd></div>
<div><dt>predicted, net</dt><dd>{signed_ether(trade["predicted_wei"], 6)}</dd></div>
<div><dt>realised, net</dt><dd>{realised}</dd></div>
<div><dt>gas</dt><dd>{signed_ether(-trade["gas_cost"], 6)}</dd></div>
<div><dt>lender</dt><dd>{label(trade["lender"])}</dd></div></dl>"""
