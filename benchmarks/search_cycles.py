"""The same cycles for this search and for degenbot: random pool states, five shapes, one best input to find for each.

Every pool has the address that its factory would give it, since degenbot's engine checks that.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
from eth_utils.crypto import keccak

from benchmarks.peers.environment import answer_of_peer, python_of_peer
from benchmarks.search_market import UNIT, ranged_pool
from keeper.discovery.search.arrays import BoolArray, FloatArray, Heads, IntArray, Ranges
from keeper.discovery.search.exact import TAKEN, Work, pay_loops
from keeper.discovery.search.integer import Leg
from keeper.discovery.search.sizing import best_input
from keeper.discovery.search.tables import PoolTable
from keeper.domain.errors import ComponentError
from keeper.domain.units import Address, to_address
from keeper.market.venues.base import Pool
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import UniswapV3Pool
from keeper.replica.addresses import SUSHI_FACTORY, UNISWAP_V2_FACTORY, UNISWAP_V3_FACTORY

SPACINGS = {500: 10, 3000: 60}
SHAPES: dict[str, tuple[tuple[str, int], ...]] = {
    "V2-V2": (("uniswap_v2", 3000), ("sushiswap", 3000)),
    "V3-V2": (("uniswap_v3", 3000), ("uniswap_v2", 3000)),
    "V3-V3": (("uniswap_v3", 500), ("uniswap_v3", 3000)),
    "V2 x 3": (("uniswap_v2", 3000),) * 3,
    "V3-V3-V2": (("uniswap_v3", 500), ("uniswap_v3", 3000), ("uniswap_v2", 3000)),
}
"""DEX and fee of each hop."""
FACTORIES = {
    "uniswap_v2": (UNISWAP_V2_FACTORY.address, "96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f"),
    "sushiswap": (SUSHI_FACTORY.address, "e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303"),
    "uniswap_v3": (UNISWAP_V3_FACTORY.address, "e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54"),
}
"""Factory and hash of the creation code."""
CYCLES = 2_000
"""Of each shape; so many are sized at once."""
CALLED = 40
"""The first of them are also given to the peers one by one."""
REPEATS = 50
"""Times that all cycles are sized, before the peers and once more after; a run takes a millisecond or so."""
LEAST_GAIN = 2e-4
"""Logarithm of the product of a cycle's rates, at least."""
LOOSENESS = 16
"""The bound within which a peer searches, in best inputs; one that is much wider only costs the peer more time."""
PEER_SECONDS = 300.0
ROUNDING = 1e-9
"""Share of a profit by which an input in floating point may miss the best one."""
PEERS = ("degenbot_python", "degenbot_rust")


@dataclass(frozen=True)
class Cycles:
    """Cycles of one shape as rows of a `PoolTable`.

    Attributes:
        legs: by cycle.
        rows, directions: by cycle and hop, as `best_input` takes them.
    """

    legs: list[list[Leg]]
    table: PoolTable
    rows: IntArray
    directions: IntArray


@dataclass
class ShapeResult:
    """Best times in seconds a cycle by who computed it, and by how much peers' profits are above ours."""

    cycles: int
    seconds: dict[str, float] = field(default_factory=dict)
    worst: dict[str, float] = field(default_factory=dict)


def measure_cycles(say: Callable[[str], None]) -> tuple[dict[str, ShapeResult], dict[str, str]]:
    """Results by shape, and why a peer has none.

    Raises:
        AssertionError: a peer found more profit in a cycle than we did, beyond a unit and `ROUNDING`.
    """
    shapes = {shape: make_cycles(shape) for shape in SHAPES}
    results: dict[str, ShapeResult] = {}
    profits: dict[str, list[int]] = {}
    request: dict[str, list[dict[str, Any]]] = {}
    for shape, cycles in shapes.items():
        say(f"{shape}: {len(cycles.legs):,} cycles")
        results[shape] = ShapeResult(len(cycles.legs))
        inputs, profits[shape] = _time_own(cycles, results[shape])
        pairs = zip(cycles.legs, inputs, strict=True)
        request[shape] = [_described(legs, LOOSENESS * amount) for legs, amount in pairs]
    reasons: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cycles.json")
        path.write_text(json.dumps(request))
        for peer in PEERS:
            try:
                python = python_of_peer(peer, say)
                say(f"{peer}: {CALLED} calls a shape")
                answers = answer_of_peer(python, peer, path, PEER_SECONDS)
            except ComponentError as error:
                reasons[peer] = str(error)
                continue
            for shape, answer in answers.items():
                results[shape].worst[peer] = _compare(peer, shape, answer["profits"], profits[shape])
                for way in ("call", "bulk"):
                    if way in answer:
                        results[shape].seconds[f"{peer} {way}"] = answer[way]
    # once more, since a machine may have been slower before than it was for the peers
    for shape, cycles in shapes.items():
        _time_own(cycles, results[shape])
    return results, reasons


def make_cycles(shape: str, count: int = CYCLES) -> Cycles:
    """``count`` random cycles that earn, the same at each call."""
    rng = np.random.default_rng(sum(shape.encode()))
    pools: dict[Address, Pool] = {}
    legs: list[list[Leg]] = []
    while len(legs) < count:
        cycle = _random_cycle(rng, SHAPES[shape])
        legs.append(cycle)
        pools.update((leg.pool.address, leg.pool) for leg in cycle)
    table = PoolTable(pools)
    rows = np.array([[table.index[leg.pool.address] for leg in cycle] for cycle in legs], dtype=np.int32)
    starts = np.array([[table.token_index[leg.token_in] for leg in cycle] for cycle in legs], dtype=np.int32)
    return Cycles(legs, table, rows, np.where(table.low[rows] == starts, 0, 1).astype(np.int32))


def _time_own(cycles: Cycles, result: ShapeResult) -> tuple[list[int], list[int]]:
    """Put our best times into ``result``, where they beat what is there; return exact inputs and profits."""
    count, hops = cycles.rows.shape
    table, rows, directions = cycles.table, cycles.rows, cycles.directions
    sizes, kinks = np.empty(count), np.empty(count, dtype=np.bool_)
    sizing = (table.ranges, table.heads, rows, directions, np.empty((3, hops)), np.empty(hops, np.int32), sizes, kinks)
    legs = (
        np.arange(0, rows.size + 1, hops, dtype=np.int32),
        sizes,
        rows.ravel(),
        np.tile(np.arange(hops, dtype=np.int32), count),
        ((directions == 0) != table.ranges.flipped[rows]).ravel(),
        np.ones(rows.size),
    )
    amounts = [np.zeros((n, 2), dtype=np.uint64) for n in (rows.size, rows.size, count)]
    status = np.empty(count, dtype=np.int32)
    paying = (table.ranges, table.exact, Work.new(), *legs, *amounts, status)
    size_cycles(*sizing)
    pay_loops(*paying)
    for _ in range(REPEATS):
        start = time.perf_counter()
        size_cycles(*sizing)
        sized = time.perf_counter()
        pay_loops(*paying)
        done = time.perf_counter()
        for name, seconds in (("float", sized - start), ("exact", done - start)):
            result.seconds[name] = min(result.seconds.get(name, math.inf), seconds / count)
    assert (status == TAKEN).all(), "a cycle whose rates multiply to above 1 does not earn"
    given, paid, profits = ([low | high << 64 for low, high in column.tolist()] for column in amounts)
    _check(cycles, given, paid)
    return given[::hops], profits


def _check(cycles: Cycles, given: list[int], paid: list[int]) -> None:
    """Every amount is what the pool's own Python integers say, and the next hop is given what the last one paid."""
    at = 0
    for legs in cycles.legs:
        for place, leg in enumerate(legs):
            assert leg.pool.amount_out(leg.token_in, given[at]) == paid[at], leg
            assert place == 0 or given[at] == paid[at - 1], leg
            at += 1


@numba.njit(nogil=True, error_model="numpy", _nrt=False)
def size_cycles(
    ranges: Ranges,
    heads: Heads,
    rows: IntArray,
    directions: IntArray,
    scratch: FloatArray,
    at: IntArray,
    sizes: FloatArray,
    kinks: BoolArray,
) -> None:
    """The search's own kernel on each cycle. Not cached: numba would not see when that kernel's file changes."""
    for i in range(rows.shape[0]):
        _, sizes[i], kinks[i] = best_input(ranges, heads, rows[i], directions[i], rows.shape[1], scratch, at)


def _compare(peer: str, shape: str, theirs: list[int], ours: list[int]) -> float:
    """The largest share by which a profit of the peer is above ours; below zero where ours are all better."""
    worst = -math.inf
    for i, profit in enumerate(theirs):
        assert profit <= ours[i] + max(1, int(ours[i] * ROUNDING)), (
            f"{peer} earns {profit} in cycle {i} of {shape}, we earn {ours[i]}"
        )
        worst = max(worst, (profit - ours[i]) / ours[i])
    return worst


def _random_cycle(rng: np.random.Generator, hops: tuple[tuple[str, int], ...]) -> list[Leg]:
    tokens = [to_address(f"0x{rng.bytes(20).hex()}", "token") for _ in range(max(len(hops), 2))]
    log_price = np.clip(rng.normal(0.0, 2.0, len(tokens)), -5.0, 5.0)
    fees = sum(math.log1p(-fee / 1e6) for _, fee in hops)
    surplus = rng.normal(0.0, 0.012, len(hops))
    while surplus.sum() + fees < LEAST_GAIN:
        surplus = rng.normal(0.0, 0.012, len(hops))
    legs = []
    for place, (dex, fee) in enumerate(hops):
        here, there = place % len(tokens), (place + 1) % len(tokens)
        low, high = sorted((here, there), key=lambda n: int(tokens[n], 16))
        log_ratio = log_price[low] - log_price[high] + (surplus[place] if low == here else -surplus[place])
        geometric = math.exp(rng.normal(13.0, 1.2) - (log_price[low] + log_price[high]) / 2) * UNIT
        address = address_of(dex, tokens[low], tokens[high], fee)
        pool: Pool
        if dex == "uniswap_v3":
            spacing = SPACINGS[fee]
            args = (tokens[low], tokens[high], fee, spacing, log_ratio, 4 * geometric)
            pool = replace(ranged_pool(rng, address, *args, core=True), dex=dex)
        else:
            reserves = (int(geometric * math.exp(sign * log_ratio / 2)) for sign in (-1, 1))
            pool = UniswapV2Pool(address, dex, tokens[low], tokens[high], fee, *reserves)
        legs.append(Leg(pool, tokens[here]))
    return legs


def address_of(dex: str, token0: Address, token1: Address, fee: int) -> Address:
    """The CREATE2 address of a pool; in Uniswap V3 the salt has the fee, too, and is padded to words."""
    factory, code_hash = FACTORIES[dex]
    tokens = [bytes.fromhex(token[2:]) for token in (token0, token1)]
    if dex == "uniswap_v3":
        tokens = [token.rjust(32, b"\0") for token in tokens] + [fee.to_bytes(32, "big")]
    salt = keccak(b"".join(tokens))
    created = keccak(b"\xff" + bytes.fromhex(factory[2:]) + salt + bytes.fromhex(code_hash))
    return to_address(f"0x{created[12:].hex()}", "pool")


def _described(legs: list[Leg], most: int) -> dict[str, Any]:
    """A cycle for a peer; ``most`` bounds the input for those that search within bounds."""
    return {
        "called": CALLED,
        "token": legs[0].token_in,
        "max_input": most,
        "zero_for_one": [leg.token_in == leg.pool.token0 for leg in legs],
        "pools": [_row(leg.pool) for leg in legs],
    }


def _row(pool: Pool) -> dict[str, Any]:
    row = {
        "address": pool.address,
        "factory": FACTORIES[pool.dex][0],
        "token0": pool.token0,
        "token1": pool.token1,
        "fee": pool.fee_pips,
    }
    if isinstance(pool, UniswapV2Pool):
        return row | {"kind": "V2", "reserve0": pool.reserve0, "reserve1": pool.reserve1}
    assert isinstance(pool, UniswapV3Pool)
    return row | {
        "kind": "V3",
        "spacing": pool.tick_spacing,
        "sqrt_price_x96": pool.sqrt_price_x96,
        "tick": pool.tick,
        "liquidity": pool.liquidity,
        "ticks": list(zip(pool.tick_indices, pool.liquidity_gross, pool.liquidity_net, strict=True)),
    }
