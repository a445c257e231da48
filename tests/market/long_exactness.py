"""Many random swaps of each venue against the deployed contracts: ``make exactness``, ``--help`` for its options."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.table import Table

from keeper.config import load_settings
from keeper.domain.token import VenueKind
from keeper.replica.build import ensure_state
from tests.conftest import BackgroundLoop, running_replica
from tests.market.long_venues import Batch, venues

SWAPS = 100_000
MANY = (VenueKind.UNISWAP_V2, VenueKind.UNISWAP_V3)
SHARE_OF_OTHERS = 10
EXAMPLES = 3
REPORT_SECONDS = 10.0
WIDTH = 120
"""Columns of the table where it goes to a file."""


@dataclass
class Tally:
    """What came out for one venue.

    Attributes:
        exact_in, exact_out: swaps that the contract makes.
        refused: swaps that neither makes; they do not count as swaps.
        mismatches: swaps for which the two differ, be it by a unit.
        examples: the first of them.
    """

    exact_in: int = 0
    exact_out: int = 0
    refused: int = 0
    mismatches: int = 0
    seconds: float = 0.0
    examples: list[str] = field(default_factory=list)

    @property
    def swaps(self) -> int:
        return self.exact_in + self.exact_out


def compare(batch: Batch, swaps: int, random: Random, progress: Callable[[Tally], None] = lambda _: None) -> Tally:
    """Draw states until the contract has made ``swaps`` swaps, or as many have gone wrong."""
    tally, start = Tally(), time.perf_counter()
    while tally.swaps + tally.mismatches < swaps:
        for outcome in batch(random):
            if outcome.ours != outcome.theirs:
                tally.mismatches += 1
                if len(tally.examples) < EXAMPLES:
                    tally.examples.append(
                        f"{outcome.swap}: {outcome.ours} here, {outcome.theirs} there, {outcome.state}"
                    )
            if outcome.theirs is None:
                tally.refused += outcome.ours is None
            elif outcome.exact_in:
                tally.exact_in += 1
            else:
                tally.exact_out += 1
        tally.seconds = time.perf_counter() - start
        progress(tally)
    return tally


def report(tallies: dict[VenueKind, Tally]) -> Table:
    table = Table(title="Swaps on random states against the deployed contracts")
    for name in ("venue", "swaps", "exact in", "exact out", "refused by both", "mismatches", "seconds"):
        table.add_column(name, justify="left" if name == "venue" else "right")
    for venue, tally in tallies.items():
        counts = (tally.swaps, tally.exact_in, tally.exact_out, tally.refused, tally.mismatches)
        table.add_row(venue, *(f"{count:,}" for count in counts), f"{tally.seconds:.0f}")
    return table


def summary(tallies: dict[VenueKind, Tally], seed: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "swaps": {venue: tally.swaps for venue, tally in tallies.items()},
        "exact_out": {venue: tally.exact_out for venue, tally in tallies.items()},
        "mismatches": {venue: tally.mismatches for venue, tally in tallies.items()},
        "seconds": {venue: round(tally.seconds, 1) for venue, tally in tallies.items()},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="exactness", description=__doc__)
    parser.add_argument(
        "--swaps",
        type=int,
        default=SWAPS,
        metavar="N",
        help=f"of Uniswap V2 and V3, {SWAPS:,} unless told; a {SHARE_OF_OTHERS}th of them of each other venue",
    )
    parser.add_argument("--venues", nargs="+", metavar="VENUE", choices=list(VenueKind), help="all unless told")
    parser.add_argument("--seed", type=int, default=1, help="of the random states, 1 unless told")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
    options = parser.parse_args(arguments)
    if options.swaps < SHARE_OF_OTHERS:
        parser.error(f"--swaps {options.swaps}: give at least {SHARE_OF_OTHERS}")
    console = Console(stderr=True, width=None if sys.stderr.isatty() else WIDTH)
    background, tallies = BackgroundLoop(), {}
    state = background.run(ensure_state(load_settings().home))
    with tempfile.TemporaryDirectory() as folder, running_replica(state, background, Path(folder)) as replica:
        for venue, make in venues(replica).items():
            if options.venues and venue not in options.venues:
                continue
            wanted = options.swaps if venue in MANY else options.swaps // SHARE_OF_OTHERS
            tallies[venue] = compare(make(), wanted, Random(options.seed), _progress(console, venue, wanted))
            for example in tallies[venue].examples:
                console.print(f"{venue}: {example}", style="red", highlight=False)
    background.close()
    console.print(report(tallies))
    if options.json:
        print(json.dumps(summary(tallies, options.seed)))
    return 1 if any(tally.mismatches for tally in tallies.values()) else 0


def _progress(console: Console, venue: VenueKind, wanted: int) -> Callable[[Tally], None]:
    last = -REPORT_SECONDS

    def tell(tally: Tally) -> None:
        nonlocal last
        if tally.seconds - last >= REPORT_SECONDS or tally.swaps >= wanted:
            last = tally.seconds
            text = f"{venue}: {tally.swaps:,} of {wanted:,} swaps, {tally.mismatches} mismatches"
            console.print(text, style="dim", highlight=False)

    return tell


if __name__ == "__main__":
    sys.exit(main())
