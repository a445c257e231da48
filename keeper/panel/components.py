"""The one kind of HTML component that the panel uses: our own style, no script unless given."""

from __future__ import annotations

from typing import Any


def html(value: str = "", *, js_on_load: str | None = None, **options: Any) -> Any:
    """``value`` must be safe already: everything foreign in it has gone through `keeper.panel.text.safe`."""
    import gradio as gr

    return gr.HTML(value, js_on_load=js_on_load, apply_default_css=False, **options)
