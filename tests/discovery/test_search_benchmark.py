"""The benchmark of the search: its peers answer what it says they do, and what it could not measure says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.environment import interpreters, python_of_peer
from benchmarks.search_cycles import SHAPES, ShapeResult, make_cycles
from benchmarks.search_market import next_block, synthetic_market
from benchmarks.search_peers import bellman_ford_finder, bellman_ford_of_edges, exhaustive
from benchmarks.search_report import DEGENBOT, JOINT_KEYS, PEERS, summary, tables
from benchmarks.search_samples import Results
from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.integer import prove
from keeper.domain.errors import ComponentError
from keeper.domain.route import Route


def test_what_was_not_measured_is_null_and_says_why() -> None:
    numbers = summary(Results(reasons={"degenbot_python": "no Python of 3.12 or later runs here"}))
    for key in (*DEGENBOT, *PEERS, *JOINT_KEYS, "gather_fraction", "auction"):
        assert numbers[key] is None
        assert numbers["reasons"][key]
    assert numbers["reasons"]["vs_degenbot_python"] == "no Python of 3.12 or later runs here"
    assert set(numbers["pipeline_p50_ms"]) == {"1k", "10k", "100k", "400k"}
    assert tables(Results()) == []


def test_the_smallest_ratio_over_the_shapes_counts() -> None:
    cycles = {
        "near": ShapeResult(1, {"float": 1e-7, "exact": 1e-6, "degenbot_rust bulk": 4e-5, "degenbot_rust call": 1e-4}),
        "far": ShapeResult(1, {"float": 1e-7, "exact": 1e-6, "degenbot_rust bulk": 3e-5, "degenbot_rust call": 1e-3}),
    }
    numbers = summary(Results(cycles=cycles))
    assert numbers["vs_degenbot_rust_bulk"] == pytest.approx(30)
    assert numbers["vs_degenbot_rust_call"] == pytest.approx(1000)
    assert numbers["vs_degenbot_python"] is None


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_python_counts_only_if_it_runs_and_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version managers leave shims that fail, and print a hint."""
    executable(tmp_path / "bin" / "python3.14", "echo 3 14 0 cpython; exit 127")
    executable(tmp_path / "bin" / "python3.13", "echo 3 11 2 cpython")
    executable(tmp_path / "bin" / "python3.12", "echo 3 13 1 pypy")
    executable(tmp_path / "pyenv" / "versions" / "3.13.9" / "bin" / "python", "echo 3 13 9 cpython")
    executable(tmp_path / "bin" / "uv", "exit 2")
    monkeypatch.setattr("benchmarks.peers.environment.UV", str(tmp_path / "bin" / "uv"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin" / "python3.13"))
    monkeypatch.setattr("benchmarks.peers.environment.PEERS", tmp_path / "peers")
    found = list(interpreters())
    assert found == [str(tmp_path / "pyenv" / "versions" / "3.13.9" / "bin" / "python")]
    said: list[str] = []
    with pytest.raises(ComponentError, match=r"on Python 3\.13\.9: ") as caught:
        python_of_peer("degenbot_rust", said.append)
    assert caught.value.component == "peer degenbot_rust"
    assert said
    assert not (tmp_path / "peers" / "degenbot_rust").exists()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_drawn_cycle_earns(shape: str) -> None:
    cycles = make_cycles(shape, 5)
    for legs in cycles.legs:
        assert [leg.pool.dex for leg in legs] == [dex for dex, _ in SHAPES[shape]]
        amounts = range(10, 26)
        assert any(isinstance(prove(legs, 10.0**power, at_kink=False), Route) for power in amounts)


@pytest.fixture(scope="module")
def search() -> LoopSearch:
    market = synthetic_market(300)
    pools = {**market.pools, **next_block(market, np.random.default_rng(5))}
    return LoopSearch(pools, market.tokens[:1], enumerated_steps=0)


def test_rounds_from_an_edge_are_never_below_the_exhaustive_search(search: LoopSearch) -> None:
    graph = search.graph
    edges = np.arange(graph.log_rate.size, dtype=np.int32)
    anchored = np.zeros(graph.token.size, dtype=np.bool_)
    anchored[graph.token == 0] = True
    best = np.empty((edges.size, 5))
    exhaustive(graph, anchored, edges, np.full(graph.token.size, -1, dtype=np.int32), best)
    loosest = np.full_like(best, -np.inf)
    work = np.empty(edges.size, dtype=np.bool_), np.empty((4, graph.token.size))
    bellman_ford_of_edges(graph, edges, *work, loosest)
    assert (loosest >= best - 1e-12).all()
    # loops of two edges are the same in both, but for those without the profit token
    both = np.isfinite(best[:, 2])
    assert both.any()
    assert np.allclose(loosest[both, 2], best[both, 2])
    assert (best > 0).any()


def test_bellman_ford_finds_a_cycle_where_there_is_one(search: LoopSearch) -> None:
    quiet = synthetic_market(300)
    at_rest = LoopSearch(quiet.pools, quiet.tokens[:1], enumerated_steps=0)

    def finder(of: LoopSearch) -> Callable[[], bool]:
        (node,) = np.flatnonzero(of.graph.token == of.table.token_index[quiet.tokens[0]])
        return bellman_ford_finder(of.graph, int(node))

    assert finder(search)()
    assert not finder(at_rest)()
