"""The tables of best paths give the best loop of every edge, before and after any change of rates."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.discovery.search.best_loops import MAX_HOPS, best_loops
from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.hubs import build_hubs, refresh_hubs
from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from keeper.discovery.search.tables import Graph, IntArray, PoolTable
from keeper.domain.units import to_address
from keeper.market.venues.base import Pool
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from tests.discovery.markets import TOKENS, Market, address, check_integers, legs_of, random_market, v2

WETH = TOKENS[0]
WANTED = np.array([False, False, True, True, True])
Loop = tuple[int, ...]


def random_graph(rng: random.Random, nodes: int, pairs: int) -> Graph:
    """A graph of about so many nodes and pairs with random rates; some edges have none."""
    tokens = [to_address(f"0x{n + 1:040x}", "token") for n in range(nodes)]
    pools: dict[str, Pool] = {}
    for n in range(pairs):
        # the first tokens are in more pairs than the others
        a = min(int(rng.expovariate(3 / nodes)), nodes - 1)
        b = (a + rng.randrange(1, nodes)) % nodes
        a, b = min(a, b), max(a, b)
        pools[address(n)] = UniswapV2Pool(address(n), "d", tokens[a], tokens[b], 3000, 10**18, 10**18)
    graph = PoolTable({to_address(key, "pool"): pool for key, pool in pools.items()}).graph(by_dex=False)
    for pair in range(graph.low.size):
        set_rates(rng, graph, pair)
    return graph


def set_rates(rng: random.Random, graph: Graph, pair: int) -> None:
    for edge in (2 * pair, 2 * pair + 1):
        graph.log_rate[edge] = -math.inf if rng.random() < 0.1 else rng.gauss(0.0, 0.05)


def source(graph: Graph, edge: int) -> int:
    return int(graph.high[edge >> 1] if edge & 1 else graph.low[edge >> 1])


def loops_through(graph: Graph, edge: int) -> Iterator[Loop]:
    """Every loop of two to four edges that visits no node twice, by walking all ways."""
    leaving: dict[int, list[int]] = {}
    for each in range(graph.log_rate.size):
        leaving.setdefault(source(graph, each), []).append(each)
    home = source(graph, edge)

    def walk(loop: Loop, seen: set[int]) -> Iterator[Loop]:
        for following in leaving[source(graph, loop[-1] ^ 1)]:
            node = source(graph, following ^ 1)
            if node == home:
                yield (*loop, following)
            elif node not in seen and len(loop) < MAX_HOPS - 1:
                yield from walk((*loop, following), seen | {node})

    yield from walk((edge,), {home, source(graph, edge ^ 1)})


def total(graph: Graph, loop: Loop) -> float:
    return float(sum(graph.log_rate[edge] for edge in loop))


def check_best(graph: Graph, hubs: int, anchors: IntArray) -> None:
    tables = build_hubs(graph, anchors, hubs)
    edges = np.arange(graph.log_rate.size, dtype=np.int32)
    loops = np.empty((3 * edges.size, MAX_HOPS), dtype=np.int32)
    hop_counts = np.empty(3 * edges.size, dtype=np.int32)
    count = best_loops(graph, tables, edges, WANTED, np.empty(MAX_HOPS, np.int32), loops, hop_counts)
    found = {(int(loop[0]), int(hops)): tuple(loop[:hops].tolist()) for loop, hops in zip(loops[:count], hop_counts)}  # noqa: B905
    held = set(anchors.tolist())
    for edge in edges.tolist():
        best = dict.fromkeys((2, 3, 4), 0.0)
        real = set()
        for loop in loops_through(graph, edge):
            if held & {source(graph, each) for each in loop}:
                real.add(loop)
                best[len(loop)] = max(best[len(loop)], total(graph, loop))
        for hops, rate in best.items():
            if rate < 1e-12:
                assert (edge, hops) not in found or total(graph, found[edge, hops]) < 1e-12
            else:
                assert found[edge, hops] in real
                assert total(graph, found[edge, hops]) == pytest.approx(rate, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 14), st.integers(2, 40), st.integers(0, 6), st.integers(1, 3))
def test_best_loop_of_each_edge_is_that_of_exhaustive_search(
    seed: int, nodes: int, pairs: int, hubs: int, anchors: int
) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, nodes, pairs)
    size = graph.token.size
    held = np.array(sorted(rng.sample(range(size), min(anchors, size))), dtype=np.int32)
    check_best(graph, hubs, held)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 30), st.integers(2, 90), st.integers(0, 8), st.integers(1, 3))
def test_changed_tables_are_those_made_anew(seed: int, nodes: int, pairs: int, hubs: int, anchors: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, nodes, pairs)
    size = graph.token.size
    held = np.array(sorted(rng.sample(range(size), min(anchors, size))), dtype=np.int32)
    tables = build_hubs(graph, held, hubs)
    for _ in range(8):
        changed = rng.sample(range(graph.low.size), rng.randint(0, min(graph.low.size, 6)))
        for pair in changed:
            set_rates(rng, graph, pair)
        refresh_hubs(graph, tables, np.array(changed, dtype=np.int32), len(changed))
        anew = build_hubs(graph, held, hubs)
        np.testing.assert_array_equal(tables.two_rate[:, :, :2], anew.two_rate[:, :, :2])
        np.testing.assert_array_equal(tables.three_rate, anew.three_rate)
        # rates are drawn from a continuum: no two paths are alike, but for those without a rate
        live = np.isfinite(anew.two_rate[:, :, :2])
        np.testing.assert_array_equal(tables.two_node[:, :, :2][live], anew.two_node[:, :, :2][live])
        live = np.isfinite(anew.three_rate)
        np.testing.assert_array_equal(tables.three_path[live], anew.three_path[live])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(4, 12))
def test_routes_from_the_tables_are_exact_and_stay_so_over_changes(seed: int, pools: int) -> None:
    rng = random.Random(seed)
    market = random_market(rng, pools)
    search = LoopSearch(market, [WETH], enumerated_steps=0)
    for _ in range(3):
        one = rng.choice(list(market))
        pool = market[one]
        if isinstance(pool, UniswapV2Pool):
            market = {**market, one: replace(pool, reserve0=int(pool.reserve0 * rng.uniform(0.95, 1.05)))}
        search.update(market, [one])
        for rule in (DexRule.ANY, DexRule.SAME):
            routes = search.find(market, allow=LoopFilter(dexes=rule))
            for route in routes:
                check_integers(route, market)
                assert rule is DexRule.ANY or len({pool.dex for pool, _ in legs_of(route, market)}) == 1
            assert routes == LoopSearch(market, [WETH], enumerated_steps=0).find(market, allow=LoopFilter(dexes=rule))
            two = [route for route in routes if len(route.hops) == 2]
            every = LoopSearch(market, [WETH]).find(market, allow=LoopFilter(hops=frozenset({2}), dexes=rule))
            assert [route.gross_profit for route in two] == [route.gross_profit for route in every][: len(two)]


def test_a_restriction_to_pairs_holds_within_one_dex() -> None:
    """Nodes of the graph by DEX are not tokens: a pair is told by its tokens."""
    market: Market = {}
    for n, dex in enumerate(("a", "b")):
        for k, (x, y, skew) in enumerate(((0, 1, 1.0), (1, 2, 1.0), (0, 2, 1.1), (1, 3, 1.0), (0, 3, 1.2))):
            pool = v2(10 * n + k, dex, TOKENS[x], TOKENS[y], 1e6, skew)
            market[pool.address] = pool
    triangle = [frozenset({TOKENS[x], TOKENS[y]}) for x, y in ((0, 1), (1, 2), (0, 2))]
    allow = LoopFilter(hops=frozenset({3}), dexes=DexRule.SAME, pairs=frozenset(triangle))
    routes = LoopSearch(market, [WETH]).find(market, allow=allow)
    assert len(routes) == 2
    assert {frozenset({hop.token_in, hop.token_out}) for route in routes for hop in route.hops} == set(triangle)
