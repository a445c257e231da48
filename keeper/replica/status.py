"""What the replica is made of: each contract, where its code comes from, and whether the built chain has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keeper.replica.build import replica_chain
from keeper.replica.markets import load_markets
from keeper.replica.progress import Progress, silent
from keeper.replica.rpc import Rpc
from keeper.replica.table import Finding, Origin, check_all


@dataclass(frozen=True, slots=True)
class Row:
    """One line of ``keeper replica status``.

    Attributes:
        expected: mainnet's address, or the hash that proves the code.
        origin: ``exact``, ``shipped``, ``compiled`` or ``stand-in``; see `table.Origin`.
        present: the built chain has it, as expected.
    """

    name: str
    expected: str
    origin: str
    source: str
    present: bool

    @classmethod
    def of(cls, finding: Finding) -> Row:
        row = finding.row
        return cls(row.name, row.expected, row.origin.value, row.source, finding.holds)


async def status(home: Path, *, progress: Progress = silent) -> list[Row]:
    """Start a node on the cached state, built first where it is missing, and look at every known address and hash."""
    async with replica_chain(home, progress=progress) as chain, Rpc(chain.http_url) as rpc:
        return [Row.of(finding) for finding in await check_all(load_markets(), rpc, chain.state.measured)]


def render(rows: Sequence[Row]) -> None:
    """Print one line a row, on standard error."""
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    widths = [max(len(getattr(row, field)) for row in rows) for field in ("name", "origin", "source")]
    for row in rows:
        mark = "[green]ok[/]     " if row.present else "[red]missing[/]"
        name, origin, source = (
            text.ljust(width) for text, width in zip((row.name, row.origin, row.source), widths, strict=True)
        )
        console.print(f"{mark}  {name}  {origin}  {source}  {row.expected}")
    count = Counter(row.origin for row in rows)
    console.print(", ".join(f"{count[origin.value]} {origin.value}" for origin in Origin))


def to_json(rows: Sequence[Row]) -> list[dict[str, str | bool]]:
    return [
        {
            "name": row.name,
            "expected": row.expected,
            "origin": row.origin,
            "source": row.source,
            "present": row.present,
        }
        for row in rows
    ]
