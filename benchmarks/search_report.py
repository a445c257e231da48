"""The results of the search benchmark as tables and as one JSON object."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.search_cycles import CYCLES
from benchmarks.search_samples import ALL_SIZES, CHANGES, LARGEST_WITH_PEERS, Results, Samples

NO_JOINT = "not measured: the joint solve was not asked for"
JOINT_KEYS = ("vs_clarabel", "joint_p50_ms", "captured_median", "captured_p5")
PEERS = {
    "vs_rustworkx_100k": "rustworkx",
    "vs_bellman_ford_100k": "Bellman-Ford",
    "vs_bellman_ford_one_loop_100k": "Bellman-Ford, one loop",
    "vs_exhaustive_100k": "exhaustive",
}
"""By key of the JSON object, the name under which a peer was timed."""
DEGENBOT = {
    "vs_degenbot_python": ("degenbot_python", "call", "float"),
    "vs_degenbot_rust_call": ("degenbot_rust", "call", "float"),
    "vs_degenbot_rust_bulk": ("degenbot_rust", "bulk", "exact"),
}
"""By key, the peer, how it was used, and which of our two times it is compared with."""
STAGES = ("update", "detect", "update + detect", "rank", "pipeline")
ETHER = 1e18


def summary(results: Results) -> dict[str, Any]:
    """The numbers by their names; null with an entry in ``reasons`` where nothing was measured."""
    by_size = {samples.size: samples for samples in results.markets}
    reasons: dict[str, str] = {}
    numbers: dict[str, Any] = {}
    for key, (peer, way, own) in DEGENBOT.items():
        ratios = [
            result.seconds[f"{peer} {way}"] / result.seconds[own]
            for result in results.cycles.values()
            if f"{peer} {way}" in result.seconds
        ]
        numbers[key] = round(min(ratios), 2) if ratios else None
        if not ratios:
            reasons[key] = results.reasons.get(peer, "not measured: cycles were not asked for")
    largest = by_size.get(LARGEST_WITH_PEERS)
    for key, peer in PEERS.items():
        numbers[key] = round(largest.peer_ratio(peer), 2) if largest else None
        if largest is None:
            reasons[key] = f"not measured: {LARGEST_WITH_PEERS:,} pools were not among the sizes"
    for key in JOINT_KEYS:
        numbers[key] = results.joint[key] if results.joint else None
        if numbers[key] is None:
            reasons[key] = results.reasons.get(key, NO_JOINT)
    if results.joint:
        by_pools = results.joint["joint_p50_ms"]
        numbers["joint_p50_ms"] = {label(size): by_pools.get(str(size)) for size in ALL_SIZES}
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
    roofline = largest.roofline if largest else None
    numbers["gather_fraction"] = round(roofline.fraction, 3) if roofline else None
    if roofline is None:
        reasons["gather_fraction"] = f"not measured: {LARGEST_WITH_PEERS:,} pools were not among the sizes"
    numbers["edges_compared"] = sum(samples.edges for samples in results.markets)
    numbers["edges_differing"] = sum(samples.differing for samples in results.markets)
    numbers["auction"] = _auction(results)
    if results.auction is None:
        reasons["auction"] = results.reasons.get("auction", "not measured: the auction was not asked for")
    numbers["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    numbers["load_average"] = round(os.getloadavg()[0], 2)
    numbers["reasons"] = reasons
    return numbers


def tables(results: Results) -> list[Table]:
    made = []
    if results.markets:
        made += [_own(results.markets), *_peers(results.markets)]
    if results.cycles:
        made.append(_cycles(results))
    if results.joint is not None:
        made.append(_joint_table(results.joint))
    if results.auction is not None:
        made.append(_auction_table(results))
    return made


def label(size: int) -> str:
    return f"{size // 1000}k"


def _own(markets: list[Samples]) -> Table:
    table = Table(title=f"{CHANGES} changed pools a block, milliseconds: median (99th percentile)")
    _columns(table, (f"{samples.size:,} pools" for samples in markets))
    for stage in STAGES:
        table.add_row(stage, *(f"{samples.ms(stage):.3f} ({samples.ms(stage, 99):.3f})" for samples in markets))
    table.add_row("build", *(f"{samples.ms('build'):.0f}" for samples in markets))
    table.add_row("loops proven", *(f"{np.median(samples.loops):.0f}" for samples in markets))
    return table


def _peers(markets: list[Samples]) -> list[Table]:
    markets = [samples for samples in markets if samples.edges]
    if not markets:
        return []
    table = Table(title="Peers, median in milliseconds (times the processor's work for update + detect)")
    _columns(table, (f"{samples.size:,} pools" for samples in markets))
    for peer in PEERS.values():
        table.add_row(peer, *(f"{samples.ms(peer):.3f} ({samples.peer_ratio(peer):.1f}x)" for samples in markets))
    table.add_row("edges compared", *(f"{samples.edges:,}" for samples in markets))
    table.add_row("best loop differs", *(str(samples.differing) for samples in markets))
    for samples in markets:
        if samples.roofline:
            memory = samples.roofline
            table.caption = (
                f"Enumeration at {samples.size:,} pools: {memory.enumeration:.0f} of {memory.limit:.0f} million "
                f"loops a second, {memory.fraction:.0%} of what memory allows"
            )
    return [table]


def _cycles(results: Results) -> Table:
    table = Table(title=f"The same loops, microseconds each; ours over {CYCLES:,} at once (smallest ratio to ours)")
    _columns(table, results.cycles)
    shapes = results.cycles.values()
    table.add_row("best input", *(f"{1e6 * result.seconds['float']:.3f}" for result in shapes))
    table.add_row("and exact amounts", *(f"{1e6 * result.seconds['exact']:.2f}" for result in shapes))
    for peer, way, own in DEGENBOT.values():
        name = f"{peer} {way}"
        if all(name in result.seconds for result in shapes):
            cells = (
                f"{1e6 * result.seconds[name]:.0f} ({result.seconds[name] / result.seconds[own]:.0f}x)"
                for result in shapes
            )
            table.add_row(name.replace("_", " "), *cells)
    return table


def _joint_table(joint: dict[str, Any]) -> Table:
    table = Table(title="One bundle of many loops, net of gas; over all sizes and gas prices")
    _columns(table, ("",))
    for size, milliseconds in joint["joint_p50_ms"].items():
        table.add_row(f"median at {int(size):,} pools, ms", f"{milliseconds:.2f}")
    for name, key in (
        ("share of the proven bound, median", "captured_median"),
        ("share of the proven bound, 5th percentile", "captured_p5"),
        ("times faster than Clarabel", "vs_clarabel"),
        ("times Clarabel's profit", "vs_clarabel_profit"),
    ):
        table.add_row(name, "" if joint[key] is None else f"{joint[key]:,}")
    return table


def _auction(results: Results) -> dict[str, Any] | None:
    found = results.auction
    if found is None:
        return None
    return {
        "pools": found.pools[1],
        "pools_searched": found.pools[0],
        "loops": len(found.routes),
        "best_gross_eth": None if found.gross is None else round(found.gross / ETHER, 6),
        "best_net_eth": None if found.net is None else round(found.net / ETHER, 6),
        "worth_sending": len(found.sent),
        "search_ms": round(1e3 * found.seconds[1], 1),
    }


def _auction_table(results: Results) -> Table:
    table = Table(title="A recorded auction: all loops of two to four swaps")
    _columns(table, ("",))
    for name, value in (_auction(results) or {}).items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    return table


def _columns(table: Table, names: Iterable[str]) -> None:
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
