"""The finding about one component, and how findings are shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Check:
    """What was found out about one component.

    ``ok`` with a remedy is a warning: the keeper runs, but something is missing or soon will be.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""

    @property
    def verdict(self) -> str:
        """``ok``, ``warning`` or ``wrong``."""
        if not self.ok:
            return "wrong"
        return "warning" if self.remedy else "ok"


def render(checks: list[Check]) -> None:
    """Print the checks as a table on stderr, then what to do."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"ok": "green", "warning": "yellow", "wrong": "red"}
    table = Table("component", "", "found", box=None, pad_edge=False)
    for check in checks:
        table.add_row(check.name, Text(check.verdict, colours[check.verdict]), Text(check.found))
    console = Console(stderr=True)
    console.print(table)
    for check in checks:
        if check.remedy:
            console.print(
                Text.assemble("\n", (check.name, colours[check.verdict]), f": {check.remedy}"), soft_wrap=True
            )


def to_json(checks: list[Check]) -> dict[str, object]:
    """``{"ok": bool, "checks": [{"name", "ok", "found", "remedy", "verdict"}]}``."""
    return {
        "ok": all(check.ok for check in checks),
        "checks": [{**asdict(check), "verdict": check.verdict} for check in checks],
    }
