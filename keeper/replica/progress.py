"""Shows how far a long step of the replica is, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int], None]
"""Called with what is being done, the steps that are done and the steps in all."""


def silent(what: str, done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


@contextmanager
def shown(title: str = "replica") -> Iterator[Progress]:
    """A bar that appears with the first step, so that work which is already done shows nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(f"{title}: {{task.description}}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Bar(*columns, console=Console(stderr=True))
    task = bar.add_task("", start=True, visible=False)

    def show(what: str, done: int, total: int) -> None:
        if not bar.live.is_started:
            bar.start()
        bar.update(task, description=what, completed=done, total=total, visible=True)

    try:
        yield show
    finally:
        bar.stop()
