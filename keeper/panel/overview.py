"""The Overview tab: what was earned, how exactly it was foreseen, and where opportunities end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keeper.panel import charts
from keeper.panel.components import html
from keeper.panel.snapshot import Figures, Snapshot
from keeper.panel.text import DASH, count, empty, ether, fate_badge, label, share, signed_ether


@dataclass(frozen=True, slots=True)
class Overview:
    tiles: Any
    curve: Any
    outcomes: Any
    fates: Any
    reasons: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.tiles, self.curve, self.outcomes, self.fates, self.reasons]


def build() -> Overview:
    import gradio as gr

    tiles = html(_tiles(None), elem_id="ao-tiles")
    with gr.Column(elem_classes="ao-card", elem_id="ao-curve-card"):
        html(_heading("Cumulative net profit", "after gas, UTC"))
        curve = charts.chart("ao-curve", "Cumulative net profit over time")
    with gr.Row(elem_classes="ao-pair"):
        with gr.Column(elem_classes="ao-card", min_width=300):
            html(
                _heading("Predicted and realised", "net of gas, latest 60 landed trades"),
            )
            outcome = charts.chart("ao-outcomes", "Predicted against realised profit of landed trades")
        with gr.Column(elem_classes="ao-card", min_width=300):
            html(_heading("Opportunities by fate", "where each one is now"))
            fates = charts.chart("ao-fates", "Number of opportunities by fate")
    with gr.Column(elem_classes="ao-card"):
        html(
            _heading("Why opportunities ended without profit", "commonest reasons"),
        )
        reasons = html(_reasons(None), elem_id="ao-reasons")
    return Overview(tiles, curve, outcome, fates, reasons)


def render(snapshot: Snapshot, choice: str) -> list[Any]:
    """New contents of `Overview.outputs`, in their order."""
    import gradio as gr

    figures = snapshot.of(choice)
    why = why_no_trades(snapshot, figures)
    return [
        _tiles(figures),
        gr.HTML(fig=charts.profit_curve(figures.curve) if figures and figures.curve else charts.nothing(why)),
        gr.HTML(fig=charts.outcomes(figures.outcomes) if figures and figures.outcomes else charts.nothing(why)),
        gr.HTML(
            fig=charts.fates(figures.fates)
            if figures and figures.totals.opportunities
            else charts.nothing("No opportunities recorded yet.")
        ),
        _reasons(figures),
    ]


def why_no_trades(snapshot: Snapshot, figures: Figures | None) -> str:
    """The reason for empty charts and tables, as plain text."""
    if figures is None:
        return "The database does not answer." if snapshot.database_problem else "No run has been recorded yet."
    seen = figures.totals.opportunities
    mode = figures.run["mode"] if figures.run else ""
    if mode == "paper":
        return f"Paper mode signs nothing, so nothing lands. {seen:,} opportunities so far."
    return f"No trades yet. {seen:,} opportunities so far; the first landed trade draws this chart."


def _heading(title: str, note: str) -> str:
    return f'<div class="ao-heading"><h2>{title}</h2><span>{note}</span></div>'


def _tiles(figures: Figures | None) -> str:
    if figures is None:
        names = ("Net profit", "Landed", "Win rate", "Opportunities", "Realised − predicted", "Gas")
        return f'<div class="ao-tiles">{"".join(_tile(name, DASH, "no data yet") for name in names)}</div>'
    totals, accuracy = figures.totals, figures.accuracy
    difference = accuracy.realised - accuracy.predicted
    if not accuracy.landed:
        exactness, note, tone = DASH, "no landed trade to compare", ""
    elif accuracy.mismatched:
        trades = "trade differs" if accuracy.mismatched == 1 else "trades differ"
        exactness, note, tone = f"{difference:+,} wei", f"{accuracy.mismatched:,} {trades}", "loss"
    else:
        exactness, note, tone = "0 wei", "✓ exact to the wei", "good"
    gross = totals.net + totals.gas
    gas_share = f"{share(totals.gas * 10_000 // gross)} of gross" if gross > 0 else "of sent transactions"
    finished = totals.landed + totals.lost + totals.reverted
    tiles = (
        _tile(
            "Net profit", signed_ether(totals.net), "after gas", "profit" if totals.net >= 0 else "loss", "net-profit"
        ),
        _tile("Landed", count(totals.landed), f"of {totals.submitted:,} submitted", testid="landed"),
        _tile(
            "Win rate",
            share(totals.win_rate_bps),
            f"of {finished:,} finished: {totals.lost:,} lost, {totals.reverted:,} reverted",
        ),
        _tile("Opportunities", count(totals.opportunities), f"{totals.submitted:,} worth sending"),
        _tile("Realised − predicted", exactness, note, tone, "exactness"),
        _tile("Gas", ether(totals.gas), gas_share),
    )
    return f'<div class="ao-tiles">{"".join(tiles)}</div>'


def _tile(name: str, value: str, note: str, tone: str = "", testid: str = "") -> str:
    mark = f' data-testid="tile-{testid}"' if testid else ""
    return (
        f'<div class="ao-tile" data-tone="{tone}"{mark}><span class="ao-name">{name}</span>'
        f'<span class="ao-figure">{value}</span><span class="ao-note">{note}</span></div>'
    )


def _reasons(figures: Figures | None) -> str:
    rows = figures.reasons if figures else []
    if not rows:
        return empty(
            "Nothing has been turned down", "Reasons appear here as soon as an opportunity is dropped or lost."
        )
    most = rows[0]["count"]
    items = "".join(
        f'<li><span class="ao-reason">{label(row["reason"]) or "no reason given"}</span>{fate_badge(row["fate"])}'
        f'<span class="ao-meter"><i style="width:{max(row["count"] * 100 // most, 1)}%"></i></span>'
        f'<span class="ao-number">{row["count"]:,}</span></li>'
        for row in rows
    )
    return f'<ul class="ao-reasons">{items}</ul>'
