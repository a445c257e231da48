"""How long the loop search takes on markets of growing size, beside other searches on the same inputs.

Each simulated block changes 200 pools. Timed are, in one process and on one core: the update of the tables, the
detection of the best loop of two, three and four hops through each changed pair, and the whole way to proven routes.
Peers look at the same graph with the same rates, or at the same pools.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.joint import run_joint
from benchmarks.search_auction import AUCTIONS, load_auction, search_auction
from benchmarks.search_cycles import measure_cycles
from benchmarks.search_market import SyntheticMarket, next_block, synthetic_market
from benchmarks.search_peers import bellman_ford_finder, bellman_ford_of_edges, exhaustive, rustworkx_finder
from benchmarks.search_report import summary, tables
from benchmarks.search_roofline import measure_roofline
from benchmarks.search_samples import ALL_SIZES, CHANGES, LARGEST_WITH_PEERS, Results, Samples
from keeper.discovery.search.arrays import FloatArray, IntArray
from keeper.discovery.search.best_loops import MAX_HOPS, best_loops
from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.loop_filter import LoopFilter
from keeper.domain.units import Address
from keeper.market.venues.base import Pool

LOOPS = 64
BLOCKS = 60
PEER_BLOCKS = 8
"""Blocks on which the peers run; they take long."""
RATE_ERROR = 1e-12
"""Two sums of the same logarithms in different order differ by less."""
PARTS = ("cycles", "markets", "joint", "auction")
WIDTH = 120
"""Columns of the tables where they go to a file."""


def measure(size: int, blocks: int, say: Callable[[str], None]) -> Samples:
    """Run ``blocks`` blocks on a market of ``size`` pools; each starts from the market at rest."""
    samples = Samples(size)
    say(f"{size:,} pools: making the market")
    market = synthetic_market(size)
    anchor = market.tokens[0]
    search = samples.time("build", lambda: LoopSearch(market.pools, [anchor], enumerated_steps=0))
    say(f"{size:,} pools: {blocks} blocks")
    rng = np.random.default_rng(1)
    pools = dict(market.pools)
    allow = LoopFilter()
    gc.collect()
    gc.disable()
    try:
        for block in range(-3, blocks):
            changed = next_block(market, rng, CHANGES)
            if block == 0:
                samples.forget("build")
            _run_block(samples, search, pools, changed, allow)
            if 0 <= block < PEER_BLOCKS and size <= LARGEST_WITH_PEERS:
                say(f"{size:,} pools: peers, block {block + 1} of {PEER_BLOCKS}")
                _run_peers(samples, search, list(changed), anchor)
            if block == blocks - 1 and size == LARGEST_WITH_PEERS:
                say(f"{size:,} pools: memory")
                samples.roofline = measure_roofline(search, _edges(search, list(changed)))
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
    loops = samples.time("rank", lambda: search.rank(addresses, allow=allow, limit=LOOPS))
    samples.loops.append(len(loops))
    samples.add("update + detect", "update", "detect")
    samples.add("pipeline", "update", "rank")


def _run_peers(samples: Samples, search: LoopSearch, changed: list[Address], anchor: Address) -> None:
    graph = search.graph
    (node,) = np.flatnonzero(graph.token == search.table.token_index[anchor])
    samples.time("rustworkx", rustworkx_finder(graph))
    bellman_ford = bellman_ford_finder(graph, int(node))
    bellman_ford()
    samples.time("Bellman-Ford, one loop", bellman_ford)
    edges = _edges(search, changed)
    work = np.empty(edges.size, dtype=np.bool_), np.empty((MAX_HOPS, graph.token.size))
    loosest = np.full((edges.size, MAX_HOPS + 1), -np.inf)
    bellman_ford_of_edges(graph, edges[:0], *work, loosest)
    samples.time("Bellman-Ford", lambda: bellman_ford_of_edges(graph, edges, *work, loosest))
    anchored = np.zeros(graph.token.size, dtype=np.bool_)
    anchored[node] = True
    closing = np.full(graph.token.size, -1, dtype=np.int32)
    best = np.empty((edges.size, MAX_HOPS + 1))
    exhaustive(graph, anchored, edges[:0], closing, best[:0])
    samples.time("exhaustive", lambda: exhaustive(graph, anchored, edges, closing, best))
    found = _rates_found(search, edges)
    same = np.isclose(best, found, rtol=0.0, atol=RATE_ERROR) | ((best <= RATE_ERROR) & (found <= RATE_ERROR))
    same &= found <= loosest + RATE_ERROR
    samples.edges += edges.size
    samples.differing += int((~same).any(axis=1).sum())


def _edges(search: LoopSearch, changed: list[Address]) -> IntArray:
    """The directed edges of the changed pools' pairs."""
    pairs = np.unique(search.graph.pair_of[search.table.positions(changed)])
    return np.concatenate((2 * pairs, 2 * pairs + 1)).astype(np.int32)


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


def measure_auction(results: Results, say: Callable[[str], None]) -> None:
    """The first recorded auction below ``ORION_TEST_DATA``, if there is one."""
    folder = os.environ.get("ORION_TEST_DATA")
    paths = sorted(Path(folder, AUCTIONS).glob("*.json.gz")) if folder else []
    if not paths:
        results.reasons["auction"] = "ORION_TEST_DATA names no folder with a recorded auction"
        return
    say(f"auction {paths[0].name}")
    results.auction = search_auction(load_auction(paths[0]))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="bench-search", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
    parser.add_argument("--blocks", type=int, default=BLOCKS, metavar="N", help=f"blocks a size, {BLOCKS} unless told")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=list(ALL_SIZES),
        choices=ALL_SIZES,
        metavar="POOLS",
        help="market sizes, of 1000, 10000, 100000 and 400000; all unless told",
    )
    parser.add_argument(
        "--parts",
        nargs="+",
        default=list(PARTS),
        choices=PARTS,
        help="what to measure: cycles (the same loops given to degenbot), markets (the search and its peers on\n"
        "a graph), joint (one bundle of many loops, and Clarabel), auction (a recorded one); all unless told",
    )
    options = parser.parse_args(arguments)
    if options.blocks < PEER_BLOCKS:
        parser.error(f"--blocks {options.blocks}: give at least {PEER_BLOCKS}, on so many the peers run")
    console = Console(stderr=True, width=None if sys.stderr.isatty() else WIDTH)
    start = time.perf_counter()

    def say(text: str) -> None:
        console.print(f"{time.perf_counter() - start:4.0f} s  {text}", style="dim", highlight=False)

    results = Results()
    LoopSearch.warm_up()
    sizes = sorted(set(options.sizes))
    if "cycles" in options.parts:
        results.cycles, reasons = measure_cycles(say)
        results.reasons.update(reasons)
    if "markets" in options.parts:
        results.markets = [measure(size, options.blocks, say) for size in sizes]
    if "joint" in options.parts:
        results.joint = run_joint(sizes, console=console)
        results.reasons.update(results.joint["joint_reasons"])
    if "auction" in options.parts:
        measure_auction(results, say)
    for table in tables(results):
        console.print(table)
    if options.json:
        print(json.dumps(summary(results)))
    return 1 if any(samples.differing for samples in results.markets) else 0


if __name__ == "__main__":
    sys.exit(main())
