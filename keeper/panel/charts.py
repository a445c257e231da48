"""The charts as plain Plotly figures, and the component that draws them without ever being mounted again."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from keeper.panel.components import html
from keeper.panel.text import ether, label, safe
from keeper.store.queries import Row

Figure = dict[str, Any]

FATE_COLOURS = {
    "detected": "@quiet",
    "filtered": "@quiet",
    "rejected": "@warn",
    "simulated": "@simulated",
    "submitted": "@simulated",
    "landed": "@profit",
    "lost": "@loss",
    "reverted": "@critical",
}
"""Names that begin with @ are colours of the theme; the browser puts in the light or the dark one."""


def chart(elem_id: str, description: str) -> Any:
    """A place for a figure: set its ``fig`` property and it redraws in place, zoom and node kept."""
    return html(
        fig=nothing("Waiting for the first reading."),
        html_template=f'<div class="ao-chart" role="img" aria-label="{safe(description)}"></div>',
        js_on_load="""
            const draw = () => window.orion.draw(element.querySelector('.ao-chart'), props.fig);
            draw();
            watch('fig', draw);
        """,
        head='<script src="/mission/plotly.min.js"></script><script src="/mission/mission.js"></script>',
        elem_id=elem_id,
    )


def nothing(why: str) -> Figure:
    return {"data": [], "layout": {}, "empty": why}


def profit_curve(curve: list[tuple[Any, int]]) -> Figure:
    """Cumulative net profit; a step at each trade, because nothing is earned in between."""
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "x": [moment.astimezone(UTC).isoformat() for moment, _ in curve],
                "y": [wei / 1e18 for _, wei in curve],
                "customdata": [ether(wei, 6) for _, wei in curve],
                "line": {"shape": "hv", "width": 2, "color": "@profit"},
                "fill": "tozeroy",
                "fillcolor": "@profitFill",
                "hovertemplate": "%{x|%H:%M:%S} UTC<br><b>%{customdata}</b> net<extra></extra>",
            }
        ],
        "layout": {"yaxis": {"title": {"text": "ETH"}, "rangemode": "tozero"}, "xaxis": {"type": "date"}},
    }


def outcomes(rows: list[Row]) -> Figure:
    """Each landed trade twice: a ring for what was predicted, a dot for what the chain paid."""
    position = list(range(1, len(rows) + 1))
    exact = [row["predicted_wei"] == row["realised_wei"] for row in rows]
    notes = [
        f"block {row['block_number']} · {label(row['strategy'])}<br>predicted {row['predicted_wei']:,} wei"
        f"<br>realised {row['realised_wei']:,} wei"
        for row in rows
    ]
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "name": "predicted",
                "x": position,
                "y": [row["predicted_wei"] / 1e18 for row in rows],
                "marker": {"symbol": "circle-open", "size": 11, "color": "@quiet", "line": {"width": 1.5}},
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "mode": "markers",
                "name": "realised",
                "x": position,
                "y": [row["realised_wei"] / 1e18 for row in rows],
                "customdata": notes,
                "marker": {
                    "size": 6,
                    "color": ["@profit" if same else "@loss" for same in exact],
                    "symbol": ["circle" if same else "x" for same in exact],
                },
                "hovertemplate": "%{customdata}<extra></extra>",
            },
        ],
        "layout": {
            "yaxis": {"title": {"text": "ETH net"}, "rangemode": "tozero"},
            "xaxis": {"title": {"text": "landed trades, oldest first"}, "zeroline": False},
            "showlegend": True,
        },
    }


def fates(counts: dict[str, int]) -> Figure:
    """Where opportunities are now, in the order of the stages."""
    names = list(counts)
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "y": names,
                "x": [counts[name] for name in names],
                "text": [f"{counts[name]:,}" for name in names],
                "textposition": "outside",
                "cliponaxis": False,
                "marker": {"color": [FATE_COLOURS.get(name, "@quiet") for name in names]},
                "hovertemplate": "%{y}: %{x:,}<extra></extra>",
            }
        ],
        "layout": {
            "yaxis": {"autorange": "reversed", "fixedrange": True, "showgrid": False},
            "xaxis": {"rangemode": "tozero", "fixedrange": True, "nticks": 5},
            "bargap": 0.35,
            "margin": {"l": 74, "r": 44},
        },
    }
