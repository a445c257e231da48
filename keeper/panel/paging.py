"""A table that shows one page at a time, read by key from the ledger; only its newest page is live."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from keeper.domain.errors import ComponentError
from keeper.panel.components import html
from keeper.panel.snapshot import Snapshot, Watcher
from keeper.panel.text import empty, safe
from keeper.store.queries import Key, LedgerView, Page

PAGE_ROWS = 50

Fetch = Callable[[LedgerView, UUID | None, Key | None, str | None], Awaitable[Page]]
Render = Callable[[Page, Snapshot, str, str | None], str]


@dataclass
class PagedTable:
    """Components and handlers of one table.

    Attributes:
        name: used in ids of elements.
        filters: what the drop-down offers; the first entry means no filter.
        fetch: reads a page of a run, older than a key, with the filter or None.
        render: HTML of a page, given the snapshot, the choice of run and the filter.
        pages: where each page after the first begins; empty on the newest page.
    """

    watcher: Watcher
    name: str
    filter_label: str
    filters: list[str]
    fetch: Fetch
    render: Render
    js_on_load: str | None = None
    wanted: Any = field(init=False)
    table: Any = field(init=False)
    pages: Any = field(init=False)
    newer_button: Any = field(init=False)
    place: Any = field(init=False)
    older_button: Any = field(init=False)

    def build_filter(self) -> None:
        import gradio as gr

        self.wanted = gr.Dropdown(
            self.filters,
            value=self.filters[0],
            label=self.filter_label,
            filterable=False,
            elem_id=f"ao-{self.name}-filter",
            elem_classes="ao-choice",
        )

    def build(self) -> None:
        import gradio as gr

        self.pages = gr.State([])
        self.table = html("", elem_id=f"ao-{self.name}", js_on_load=self.js_on_load)
        with gr.Row(elem_classes="ao-pager"):
            self.newer_button = gr.Button("← Newer", interactive=False, size="sm", elem_id=f"ao-{self.name}-newer")
            self.place = html("", elem_classes="ao-place")
            self.older_button = gr.Button("Older →", interactive=False, size="sm", elem_id=f"ao-{self.name}-older")

    @property
    def outputs(self) -> list[Any]:
        return [self.table, self.newer_button, self.place, self.older_button]

    async def show(self, choice: str, wanted: str, pages: list[Key]) -> list[Any]:
        """New contents of `outputs`."""
        import gradio as gr

        page, problem = await self._read(choice, wanted, pages)
        place = f"Page {len(pages) + 1} · live updates paused" if pages else "Newest · live"
        return [
            self.render(page, self.watcher.current, choice, self._filter(wanted)) if page else problem,
            gr.Button(interactive=bool(pages)),
            f"<span>{place}</span>",
            gr.Button(interactive=page is not None and page.older is not None),
        ]

    async def older(self, choice: str, wanted: str, pages: list[Key]) -> list[Any]:
        """`pages` one further back, then `outputs`."""
        page, _ = await self._read(choice, wanted, pages)
        if page is not None and page.older is not None:
            pages = [*pages, page.older]
        return [pages, *await self.show(choice, wanted, pages)]

    async def newer(self, choice: str, wanted: str, pages: list[Key]) -> list[Any]:
        return [pages[:-1], *await self.show(choice, wanted, pages[:-1])]

    async def first(self, choice: str, wanted: str) -> list[Any]:
        return [[], *await self.show(choice, wanted, [])]

    def _filter(self, wanted: str) -> str | None:
        return wanted if wanted in self.filters[1:] else None

    async def _read(self, choice: str, wanted: str, pages: list[Key]) -> tuple[Page | None, str]:
        run = self.watcher.look(choice).run_id(choice)
        before = pages[-1] if pages else None
        name = self._filter(wanted)
        try:
            page = await self.watcher.read(
                (self.name, choice, name, before), lambda view: self.fetch(view, run, before, name)
            )
        except ComponentError as error:
            return None, empty("Database away", f"{safe(error.problem)}. It is asked again by itself.")
        return page, ""
