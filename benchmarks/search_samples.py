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
    """Seconds by what was timed, and what the best loops were compared on."""

    size: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    routes: list[int] = field(default_factory=list)
    edges: int = 0
    differing: int = 0
    roofline: Roofline | None = None

    def time(self, name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def ms(self, name: str, percentile: float = 50) -> float:
        return float(np.percentile(self.seconds[name], percentile)) * 1e3

    def peer_ratio(self, name: str) -> float:
        return self.ms(name) / self.ms("update + detect")


@dataclass
class Results:
    """What was measured; a part that was not is empty, and ``reasons`` says why."""

    markets: list[Samples] = field(default_factory=list)
    cycles: dict[str, ShapeResult] = field(default_factory=dict)
    auction: AuctionResult | None = None
    reasons: dict[str, str] = field(default_factory=dict)
