"""Puts the panel together: one timer reads one shared picture and updates what changed in every tab."""

import importlib.util
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response

from keeper.domain.errors import ComponentError
from keeper.panel import opportunities, overview, status_bar, trades
from keeper.panel.components import html
from keeper.panel.paging import PAGE_ROWS, PagedTable
from keeper.panel.snapshot import ALL, CURRENT, Snapshot, Watcher
from keeper.panel.text import empty, safe
from keeper.store.queries import Key

ASSETS = Path(__file__).parent / "assets"
_TICK_SECONDS = 1.0
_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


def build(database_url: str, redis_url: str) -> FastAPI:
    """The panel as an ASGI application; the page it serves asks no other host for anything."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr

    watcher = Watcher(database_url, redis_url)
    instance = uuid.uuid4().hex

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with watcher.running():
            yield

    app = FastAPI(
        title="Alpha-Orion Mission Control", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )

    @app.get("/healthz")
    async def healthz() -> dict[str, object]:
        """``instance`` changes with each start, so that an open page knows when to load itself again."""
        now = watcher.current
        return {
            "instance": instance,
            "version": now.version,
            "database": not now.database_problem,
            "bus": not now.bus_problem,
        }

    files = {file.name: file for file in (*ASSETS.iterdir(), _plotly_js())}

    @app.get("/mission/{name}")
    async def assets(name: str) -> Response:
        if name not in files:
            return Response(status_code=404)
        return FileResponse(files[name], headers={"Cache-Control": "no-cache"})

    return gr.mount_gradio_app(  # type: ignore[no-any-return]
        app,
        _blocks(watcher),
        path="/",
        server_name="127.0.0.1",
        theme=gr.themes.Base(font=_FONTS, font_mono=_MONO),
        # linked rather than handed to Gradio, which would rewrite its selectors
        head='<link rel="stylesheet" href="/mission/mission.css">',
        favicon_path=str(ASSETS / "orion.svg"),
        footer_links=[],
        ssr_mode=False,
    )


def _plotly_js() -> Path:
    spec = importlib.util.find_spec("plotly")
    if spec is None or spec.origin is None:
        raise ComponentError("panel", "the plotly package is missing", "Install the locked packages again.")
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


def _tables(watcher: Watcher) -> tuple[PagedTable, PagedTable]:
    return (
        PagedTable(
            watcher,
            "opportunities",
            "Fate",
            opportunities.FATES,
            lambda view, run, before, fate: view.opportunities(run, before=before, limit=PAGE_ROWS, fate=fate),
            lambda page, now, _, fate: opportunities.table(page, now.tokens, fate),
            opportunities.CLICK,
        ),
        PagedTable(
            watcher,
            "trades",
            "Outcome",
            trades.STATUSES,
            lambda view, run, before, status: view.trades(run, before=before, limit=PAGE_ROWS, status=status),
            lambda page, now, choice, status: trades.table(
                page, now.tokens, status, safe(overview.why_no_trades(now, now.of(choice)))
            ),
        ),
    )


def _blocks(watcher: Watcher) -> Any:
    import gradio as gr

    found, history = _tables(watcher)
    with gr.Blocks(title="Alpha-Orion Mission Control", analytics_enabled=False, fill_width=True) as blocks:
        bar = html(status_bar.render(Snapshot(), CURRENT), elem_id="ao-status")
        seen = gr.State(None)
        chosen = gr.State("")
        run = gr.Dropdown(
            _runs(Snapshot()),
            value=CURRENT,
            label="Figures of",
            filterable=False,
            elem_id="ao-run",
            elem_classes="ao-choice",
        )
        with gr.Tabs(elem_id="ao-tabs"):
            with gr.Tab("Overview", id="overview"):
                first = overview.build()
            with gr.Tab("Opportunities", id="opportunities"):
                found.build_filter()
                with gr.Row(elem_classes="ao-split"):
                    with gr.Column(scale=7, min_width=320, elem_classes="ao-card ao-flush"):
                        found.build()
                    with gr.Column(scale=3, min_width=300, elem_classes="ao-card", elem_id="ao-drawer"):
                        life = html(opportunities.life(None, {}), elem_id="ao-life")
            with gr.Tab("Trades", id="trades"):
                history.build_filter()
                with gr.Column(elem_classes="ao-card ao-flush"):
                    history.build()

        async def show_life(selected: str) -> str:
            if not selected:
                return opportunities.life(None, {})
            try:
                row = await watcher.read(("life", selected), lambda view: view.life(UUID(selected)))
            except ComponentError as error:
                return empty("Database away", safe(error.problem))
            return opportunities.life(row, watcher.current.tokens)

        async def tick(
            shown: tuple[object, ...] | None,
            choice: str,
            selected: str,
            fate: str,
            found_pages: list[Key],
            status: str,
            history_pages: list[Key],
        ) -> Any:
            now = watcher.look(choice)
            runs = tuple(row["id"] for row in now.runs)
            state = (now.version, choice, runs)
            if state == shown:
                return gr.skip()
            # A page in the past does not change under its reader's eyes.
            unchanged = [gr.skip()] * len(found.outputs)
            return [
                state,
                status_bar.render(now, choice),
                gr.Dropdown(choices=_runs(now)) if shown is None or shown[-1] != runs else gr.skip(),
                *overview.render(now, choice),
                await show_life(selected) if selected else gr.skip(),
                *(unchanged if found_pages else await found.show(choice, fate, [])),
                *(unchanged if history_pages else await history.show(choice, status, [])),
            ]

        async def select(event: gr.EventData) -> list[str]:
            try:
                selected = str(UUID(str(event.opportunity)))
            except ValueError:
                selected = ""
            return [selected, await show_life(selected)]

        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "concurrency_limit": None,
            "api_visibility": "private",
        }
        tick_inputs = [seen, run, chosen, found.wanted, found.pages, history.wanted, history.pages]
        tick_outputs = [seen, bar, run, *first.outputs, life, *found.outputs, *history.outputs]
        for event in (gr.Timer(_TICK_SECONDS).tick, blocks.load):
            event(tick, tick_inputs, tick_outputs, **quiet)
        found.table.select(select, None, [chosen, life], **quiet)
        for table in (found, history):
            place = [run, table.wanted, table.pages]
            outputs = [table.pages, *table.outputs]
            table.older_button.click(table.older, place, outputs, **quiet)
            table.newer_button.click(table.newer, place, outputs, **quiet)
            for control in (run, table.wanted):
                control.input(table.first, place[:2], outputs, **quiet)
    return blocks


def _runs(now: Snapshot) -> list[tuple[str, str]]:
    """What the choice of run offers: the newest, each one by its start, all of them."""
    past = [
        (
            f"{row['started_at']:%d %b %H:%M} · {row['mode']}"
            + (f" · seed {row['seed']}" if row["seed"] is not None else ""),
            str(row["id"]),
        )
        for row in now.runs
    ]
    return [("Current run", CURRENT), *past, ("All runs", ALL)]
