"""How long the loop search takes on markets of growing size, beside other searches in the same graphs.

Each simulated block changes 200 pools. Timed are, in one process and on one core: the update of the tables, the
detection of the best loop of two, three and four hops through each changed pair, and the whole way to proven routes.
The peers look at the same graph with the same rates.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.search_market import SyntheticMarket, next_block, synthetic_market
from benchmarks.search_peers import bellman_ford_finder, exhaustive, rustworkx_finder
from keeper.discovery.search.best_loops import MAX_HOPS, best_loops
from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.loop_filter import LoopFilter
from keeper.discovery.search.ranges import FloatArray
from keeper.discovery.search.tables import IntArray
from keeper.domain.units import Address
from keeper.market.venues.base import Pool

SIZES = (1_000, 10_000, 100_000)
ALL_SIZES = (*SIZES, 400_000)
CHANGES = 200
ROUTES = 64
PEER_BLOCKS = 8
"""Blocks on which the peers run; they take long."""
RATE_ERROR = 1e-12
"""Two sums of the same logarithms in different order differ by less."""
REASONS = {
    "vs_degenbot_python": "not measured: needs an environment of its own",
    "vs_degenbot_rust_call": "not measured: needs an environment of its own",
    "vs_degenbot_rust_bulk": "not measured: needs an environment of its own",
    "vs_clarabel": "not measured: the search has no joint solve",
    "joint_p50_ms": "not measured: the search has no joint solve",
    "captured_median": "not measured: the search has no joint solve",
    "captured_p5": "not measured: the search has no joint solve",
    "gather_fraction": "not measured",
}
PEERS = ("rustworkx", "Bellman-Ford", "exhaustive")
STAGES = ("update", "detect", "update + detect", "find", "pipeline")


@dataclass
class Samples:
    """Seconds by what was timed, and what the best loops were compared on."""

    size: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    routes: list[int] = field(default_factory=list)
    edges: int = 0
    differing: int = 0

    def time(self, name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def ms(self, name: str, percentile: float = 50) -> float:
        return float(np.percentile(self.seconds[name], percentile)) * 1e3

    def peer_ratio(self, name: str) -> float:
        return self.ms(name) / self.ms("update + detect")


def measure(size: int, blocks: int, console: Console) -> Samples:
    """Run ``blocks`` blocks on a market of ``size`` pools; each starts from the market at rest."""
    samples = Samples(size)
    console.print(f"{size:,} pools: making the market", style="dim")
    market = synthetic_market(size)
    anchor = market.tokens[0]
    search = samples.time("build", lambda: LoopSearch(market.pools, [anchor], enumerated_steps=0))
    rng = np.random.default_rng(1)
    pools = dict(market.pools)
    allow = LoopFilter()
    gc.collect()
    gc.disable()
    try:
        for block in range(-3, blocks):
            changed = next_block(market, rng, CHANGES)
            if block == 0:
                samples.seconds = {"build": samples.seconds["build"]}
                samples.routes.clear()
            _run_block(samples, search, pools, changed, allow)
            if 0 <= block < PEER_BLOCKS:
                console.print(f"{size:,} pools: peers, block {block + 1} of {PEER_BLOCKS}", style="dim")
                _run_peers(samples, search, list(changed), anchor)
            _rest(search, pools, market, list(changed))
    finally:
        gc.enable()
    return samples


def _run_block(
    samples: Samples, search: LoopSearch, pools: dict[Address, Pool], changed: dict[Address, Pool], allow: LoopFilter
) -> None:
    pools.update(changed)
    addresses = list(changed)
    samples.time("update", lambda: search.update(pools, addresses))
    samples.time("detect", lambda: search.detect(addresses, allow=allow))
    routes = samples.time("find", lambda: search.find(addresses, allow=allow, limit=ROUTES))
    samples.routes.append(len(routes))
    for name, second in (("update + detect", "detect"), ("pipeline", "find")):
        samples.seconds.setdefault(name, []).append(samples.seconds["update"][-1] + samples.seconds[second][-1])


def _run_peers(samples: Samples, search: LoopSearch, changed: list[Address], anchor: Address) -> None:
    graph = search.graph
    (node,) = np.flatnonzero(graph.token == search.table.token_index[anchor])
    samples.time("rustworkx", rustworkx_finder(graph))
    bellman_ford = bellman_ford_finder(graph, int(node), MAX_HOPS)
    bellman_ford()
    samples.time("Bellman-Ford", bellman_ford)
    pairs = np.unique(graph.pair_of[search.table.positions(changed)])
    edges = np.concatenate((2 * pairs, 2 * pairs + 1)).astype(np.int32)
    anchored = np.zeros(graph.token.size, dtype=np.bool_)
    anchored[node] = True
    closing = np.full(graph.token.size, -1, dtype=np.int32)
    best = np.empty((edges.size, 5))
    exhaustive(graph, anchored, edges[:0], closing, best[:0])
    samples.time("exhaustive", lambda: exhaustive(graph, anchored, edges, closing, best))
    found = _rates_found(search, edges)
    same = np.isclose(best, found, rtol=0.0, atol=RATE_ERROR) | ((best <= RATE_ERROR) & (found <= RATE_ERROR))
    samples.edges += edges.size
    samples.differing += int((~same).any(axis=1).sum())


def _rates_found(search: LoopSearch, edges: IntArray) -> FloatArray:
    """What the tables give for each edge and number of hops, in the form of `exhaustive`; loops that earn only."""
    loops = np.empty((3 * edges.size, MAX_HOPS), dtype=np.int32)
    hop_counts = np.empty(3 * edges.size, dtype=np.int32)
    wanted = np.array([hops >= 2 for hops in range(MAX_HOPS + 1)])
    count = best_loops(search.graph, search.hubs, edges, wanted, np.empty(MAX_HOPS, np.int32), loops, hop_counts)
    place = {edge: i for i, edge in enumerate(edges.tolist())}
    rates = np.full((edges.size, MAX_HOPS + 1), -np.inf)
    for loop, hops in zip(loops[:count], hop_counts[:count].tolist(), strict=True):
        rates[place[int(loop[0])], hops] = search.graph.log_rate[loop[:hops]].sum()
    return rates


def _rest(search: LoopSearch, pools: dict[Address, Pool], market: SyntheticMarket, changed: list[Address]) -> None:
    pools.update({address: market.pools[address] for address in changed})
    search.update(pools, changed)


def label(size: int) -> str:
    return f"{size // 1000}k"


def summary(results: list[Samples]) -> dict[str, Any]:
    """The numbers by their names; null with an entry in ``reasons`` where nothing was measured."""
    by_size = {samples.size: samples for samples in results}
    reasons = dict(REASONS)
    numbers: dict[str, Any] = dict.fromkeys(REASONS)
    largest = by_size.get(100_000)
    for key, peer in (("rustworkx", PEERS[0]), ("bellman_ford", PEERS[1]), ("exhaustive", PEERS[2])):
        numbers[f"vs_{key}_100k"] = round(largest.peer_ratio(peer), 2) if largest else None
        if largest is None:
            reasons[f"vs_{key}_100k"] = "not measured: 100,000 pools were not among the sizes"
    for key, stage in (("pipeline", "pipeline"), ("update_detect", "update + detect")):
        for percentile in (50, 99):
            numbers[f"{key}_p{percentile}_ms"] = {
                label(size): round(by_size[size].ms(stage, percentile), 4) if size in by_size else None
                for size in ALL_SIZES
            }
    for size in ALL_SIZES:
        if size not in by_size:
            reasons[f"pipeline_p50_ms.{label(size)}"] = "not measured: this size was not asked for"
    if 1_000 in by_size and largest:
        for key, stage in (("update_detect", "update + detect"), ("pipeline", "pipeline")):
            numbers[f"{key}_growth_1k_100k"] = round(largest.ms(stage) / by_size[1_000].ms(stage), 3)
    numbers["edges_compared"] = sum(samples.edges for samples in results)
    numbers["edges_differing"] = sum(samples.differing for samples in results)
    numbers["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    numbers["load_average"] = round(os.getloadavg()[0], 2)
    numbers["reasons"] = reasons
    return numbers


def tables(results: list[Samples]) -> list[Table]:
    own = Table(title=f"{CHANGES} changed pools a block, milliseconds: median (99th percentile)")
    peers = Table(title="Peers, median in milliseconds (times of update + detect)")
    for table in (own, peers):
        table.add_column("")
        for samples in results:
            table.add_column(f"{samples.size:,} pools", justify="right")
    for stage in STAGES:
        own.add_row(stage, *(f"{samples.ms(stage):.3f} ({samples.ms(stage, 99):.3f})" for samples in results))
    own.add_row("build", *(f"{samples.ms('build'):.0f}" for samples in results))
    own.add_row("routes proven", *(f"{np.median(samples.routes):.0f}" for samples in results))
    for peer in PEERS:
        peers.add_row(peer, *(f"{samples.ms(peer):.3f} ({samples.peer_ratio(peer):.1f}x)" for samples in results))
    peers.add_row("edges compared", *(f"{samples.edges:,}" for samples in results))
    peers.add_row("best loop differs", *(str(samples.differing) for samples in results))
    return [own, peers]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="bench-search", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
    parser.add_argument("--blocks", type=int, default=60, metavar="N", help="blocks a size, 60 unless told")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=list(SIZES),
        choices=ALL_SIZES,
        metavar="POOLS",
        help="market sizes, of 1000, 10000, 100000 and 400000; all but the last unless told",
    )
    options = parser.parse_args(arguments)
    if options.blocks < PEER_BLOCKS:
        parser.error(f"--blocks {options.blocks}: give at least {PEER_BLOCKS}, on so many the peers run")
    console = Console(stderr=True)
    LoopSearch.warm_up()
    results = [measure(size, options.blocks, console) for size in sorted(set(options.sizes))]
    for table in tables(results):
        console.print(table)
    if options.json:
        print(json.dumps(summary(results)))
    return 1 if any(samples.differing for samples in results) else 0


if __name__ == "__main__":
    sys.exit(main())
