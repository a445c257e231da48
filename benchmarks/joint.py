"""How much the joint solve earns of what it proves can be earned, how long it takes, and Clarabel beside it.

Each simulated block changes 200 pools of a synthetic market. Timed is all that the keeper does with a block for its
bundle: the update of the tables, the detection of loops, the solve, and the bundle in exact integers.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.joint_clarabel import PeerAnswer, ask_clarabel
from benchmarks.search_market import HUBS, SyntheticMarket, _listings, next_block, synthetic_market
from keeper.discovery.search.bundle import make_bundle
from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.joint import JointSolver, plan
from keeper.discovery.search.joint_instance import JointMarket, market_around
from keeper.discovery.search.joint_kernels import first_prices
from keeper.discovery.search.ranges import FloatArray
from keeper.domain.errors import ComponentError

SIZES = (1_000, 10_000, 100_000)
CHANGES = 200
GAS_DOLLARS = (1.0, 0.05)
"""Of a leg, as on a busy and on a quiet day, or a rollup."""
REPEATS = 3
PEER_BLOCKS = 4
WARM_UP_BLOCKS = 3
COMPARED = (10_000, 100_000)
"""Sizes on which Clarabel runs."""


@dataclass
class JointSamples:
    """What was measured on markets of one size.

    Attributes:
        seconds: by gas in dollars, of update and solve, one a block; ``processor`` the same without what other
            programs took of the processor.
        captured: by gas in dollars, value of the integer bundle by the certified bound, one a block.
        legs: by gas in dollars.
        speed: Clarabel's time by ours, one a block, on the same instance without gas.
        profit: ours by Clarabel's, both in the pools' integers and gross.
        statuses: what Clarabel said of its answers.
        problem: why it gave none.
    """

    size: int
    seconds: dict[float, list[float]] = field(default_factory=lambda: {gas: [] for gas in GAS_DOLLARS})
    processor: dict[float, list[float]] = field(default_factory=lambda: {gas: [] for gas in GAS_DOLLARS})
    captured: dict[float, list[float]] = field(default_factory=lambda: {gas: [] for gas in GAS_DOLLARS})
    legs: dict[float, list[int]] = field(default_factory=lambda: {gas: [] for gas in GAS_DOLLARS})
    speed: list[float] = field(default_factory=list)
    profit: list[float] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    problem: str | None = None


def dollar_of(market: SyntheticMarket, size: int, seed: int = 0) -> float:
    """Raw units of the market's first token that are worth a dollar, from the draws that the market is made of."""
    rng = np.random.default_rng(seed)
    spokes = max(int(0.6 * size) - HUBS, 20)
    _listings(rng, size, spokes)
    tokens = [f"0x{rng.bytes(20).hex()}" for _ in range(HUBS + spokes)]
    if tokens[0] != market.tokens[0]:
        raise ValueError("the market is made of other draws than this")
    return float(1e18 / np.exp(np.clip(rng.normal(0.0, 3.0, len(tokens)), -9.0, 9.0)[0]))


def run_size(size: int, blocks: int, say: Callable[[str], None]) -> JointSamples:
    """Blocks on one market, each from the market at rest; Clarabel on some of them."""
    samples = JointSamples(size)
    say(f"{size:,} pools: making the market")
    market = synthetic_market(size)
    dollar, token = dollar_of(market, size), market.tokens[0]
    search = LoopSearch(market.pools, [token], enumerated_steps=0)
    solver = JointSolver(token)
    pools, rng = dict(market.pools), np.random.default_rng(1)
    kept: list[tuple[JointMarket, FloatArray]] = []
    gc.collect()
    gc.disable()
    try:
        for block in range(-WARM_UP_BLOCKS, blocks):
            changed = next_block(market, rng, CHANGES)
            pools.update(changed)
            addresses = list(changed)
            for gas in GAS_DOLLARS:
                search.update(market.pools, addresses)
                start, processor = time.perf_counter(), time.thread_time()
                search.update(pools, addresses)
                solution = solver.solve(search, addresses, int(gas * dollar))
                taken, processor = time.perf_counter() - start, time.thread_time() - processor
                if block >= 0:
                    samples.seconds[gas].append(taken)
                    samples.processor[gas].append(processor)
                    samples.captured[gas].append(solution.captured)
                    samples.legs[gas].append(solution.legs)
            if 0 <= block < PEER_BLOCKS and size in COMPARED:
                found = market_around(search, addresses, token)
                if found is not None:
                    kept.append((found, first_prices(found.instance, len(found.tokens))))
            rest = {address: market.pools[address] for address in addresses}
            pools.update(rest)
            search.update(pools, addresses)
    finally:
        gc.enable()
    if kept:
        say(f"{size:,} pools: Clarabel on {len(kept)} instances")
        try:
            _compare(samples, kept, dollar, say)
        except ComponentError as error:
            samples.problem = str(error)
    return samples


def _compare(
    samples: JointSamples, kept: list[tuple[JointMarket, FloatArray]], dollar: float, say: Callable[[str], None]
) -> None:
    answers: list[PeerAnswer] = ask_clarabel(kept, dollar, say)
    for (found, _), answer in zip(kept, answers, strict=True):
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            planned, _, _ = plan(found, 0.0)
            seconds.append(time.perf_counter() - start)
        bundle = make_bundle(planned, found.tokens[-1])
        gross = bundle.gross_profit if bundle is not None else 0
        samples.speed.append(answer.seconds / float(np.median(seconds)))
        samples.profit.append(gross / answer.profit if answer.profit > 0 else np.inf)
        samples.statuses.append(answer.status)


def run_joint(sizes: Sequence[int] = SIZES, blocks: int = 40, console: Console | None = None) -> dict[str, Any]:
    """The figures of `summary` for markets of ``sizes`` pools, with ``blocks`` blocks each."""
    return summary(_run(sizes, blocks, console or Console(stderr=True)))


def _run(sizes: Sequence[int], blocks: int, console: Console) -> list[JointSamples]:
    JointSolver.warm_up()
    return [run_size(size, blocks, lambda text: console.print(text, style="dim")) for size in sizes]


def summary(results: list[JointSamples]) -> dict[str, Any]:
    """By name; null with an entry in ``reasons`` where nothing was measured.

    ``captured_median`` and ``captured_p5`` are the least over all sizes and gas prices; ``joint_p50_ms`` is by size,
    at the gas price that takes longer. ``vs_clarabel`` is the least median over sizes.
    """
    captured = {(s.size, gas): s.captured[gas] for s in results for gas in GAS_DOLLARS if s.captured[gas]}
    compared = [samples for samples in results if samples.speed]
    reasons = {}
    if not compared:
        problems = [s.problem for s in results if s.problem]
        reasons["vs_clarabel"] = problems[0] if problems else "not measured: none of its sizes was asked for"
    return {
        "vs_clarabel": round(min(float(np.median(s.speed)) for s in compared), 1) if compared else None,
        "vs_clarabel_profit": round(min(min(s.profit) for s in compared), 6) if compared else None,
        "clarabel_statuses": sorted({status for s in compared for status in s.statuses}),
        "joint_p50_ms": {str(s.size): round(max(map(_median_ms, s.seconds.values())), 3) for s in results},
        "joint_p50_processor_ms": {str(s.size): round(max(map(_median_ms, s.processor.values())), 3) for s in results},
        "captured_median": round(min(float(np.median(v)) for v in captured.values()), 6) if captured else None,
        "captured_p5": round(min(float(np.percentile(v, 5)) for v in captured.values()), 6) if captured else None,
        "joint_load_average": round(os.getloadavg()[0], 2),
        "joint_reasons": reasons,
    }


def _median_ms(seconds: list[float]) -> float:
    return float(np.median(seconds)) * 1e3


def table(results: list[JointSamples]) -> Table:
    made = Table(title=f"Joint bundle, {CHANGES} changed pools a block, net of gas")
    for column in (
        "pools",
        "gas a leg",
        "captured, median",
        "captured, p5",
        "legs",
        "ms, median",
        "processor",
        "Clarabel's time",
    ):
        made.add_column(column, justify="right")
    for samples in results:
        for gas in GAS_DOLLARS:
            captured = samples.captured[gas]
            made.add_row(
                f"{samples.size:,}",
                f"${gas:.2f}",
                f"{np.median(captured):.5f}",
                f"{np.percentile(captured, 5):.5f}",
                f"{np.median(samples.legs[gas]):.0f}",
                f"{_median_ms(samples.seconds[gas]):.2f}",
                f"{_median_ms(samples.processor[gas]):.2f}",
                f"{np.median(samples.speed):.0f}x" if samples.speed else "",
            )
    return made


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench-joint", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
    parser.add_argument("--blocks", type=int, default=40, metavar="N", help="blocks a size, 40 unless told")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), choices=SIZES, metavar="POOLS")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    results = _run(sorted(set(options.sizes)), options.blocks, console)
    console.print(table(results))
    if options.json:
        print(json.dumps(summary(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
