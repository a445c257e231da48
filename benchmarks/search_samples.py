"""What a run of the search benchmark measures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.search_auction import AuctionResult
from benchmarks.search_cycles import ShapeResult
from benchmarks.search_roofline import Roofline

ALL_SIZES = (1_000, 10_000, 100_000, 400_000)
LARGEST_WITH_PEERS = 100_000
CHANGES = 200


@dataclass
class Samples:
    """What was timed, and what the best loops were compared on.

    Attributes:
        seconds, busy: by what was timed, time passed and time of the processor. The latter does not count what other
            work on the machine takes, so peers are compared by it.
    """

    size: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    busy: dict[str, list[float]] = field(default_factory=dict)
    loops: list[int] = field(default_factory=list)
    edges: int = 0
    differing: int = 0
    roofline: Roofline | None = None

    def time(self, name: str, work: Callable[[], Any]) -> Any:
        start, busy = time.perf_counter(), time.thread_time()
        result = work()
        self.busy.setdefault(name, []).append(time.thread_time() - busy)
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def add(self, name: str, *parts: str) -> None:
        """Put the sum of the last times of ``parts`` under ``name``."""
        for times in (self.seconds, self.busy):
            times.setdefault(name, []).append(sum(times[part][-1] for part in parts))

    def forget(self, *kept: str) -> None:
        """Drop what was timed so far, but for ``kept``."""
        self.loops.clear()
        for times in (self.seconds, self.busy):
            for name in times.keys() - set(kept):
                del times[name]

    def ms(self, name: str, percentile: float = 50) -> float:
        return float(np.percentile(self.seconds[name], percentile)) * 1e3

    def peer_ratio(self, name: str) -> float:
        return float(np.median(self.busy[name]) / np.median(self.busy["update + detect"]))


@dataclass
class Results:
    """What was measured; a part that was not is empty, and ``reasons`` says why.

    Attributes:
        joint: as `benchmarks.joint.run_joint` returns it.
    """

    markets: list[Samples] = field(default_factory=list)
    cycles: dict[str, ShapeResult] = field(default_factory=dict)
    joint: dict[str, Any] | None = None
    auction: AuctionResult | None = None
    reasons: dict[str, str] = field(default_factory=dict)
