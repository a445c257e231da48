"""The book at mainnet's size: memory, start from a checkpoint, logs applied. Run: ``make bench-book``.

The market is synthetic (`benchmarks.search_market`). Start and memory are measured in a process of their own that does
what the keeper does: read the checkpoint, make the book, build the search tables. The logs are of the pools' own kinds:
``Sync`` for pairs, ``Swap`` and now and then ``Mint`` for pools with ranges. Beside the time that passed stands that of
the processor, which does not count what else the machine was doing.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

from benchmarks.search_market import synthetic_market
from keeper.discovery.search.engine import LoopSearch
from keeper.domain.chain import BlockEvent, BlockHeader, Log
from keeper.domain.units import ZERO_ADDRESS, Address, Hash32, Wei, to_address
from keeper.market.book import Book
from keeper.market.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from keeper.market.venues.base import Pool
from keeper.market.venues.tick_math import get_sqrt_ratio_at_tick
from keeper.market.venues.uniswap_v2 import SYNC_TOPIC, UniswapV2Pool
from keeper.market.venues.uniswap_v3 import MINT_TOPIC, SWAP_TOPIC, UniswapV3Pool

POOLS = 100_000
LOGS = 1_000
BLOCKS = 21
"""Blocks of `LOGS` logs, of which the median counts; the first is left out."""
MINT_SHARE = 0.02
CHAIN_ID = 1
TARGETS = {"rss_mb": 1_500.0, "start_s": 5.0, "apply_1000_logs_ms": 20.0}
_PAGE = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line on stdout")
    parser.add_argument("--pools", type=int, default=POOLS, help="size of the market")
    parser.add_argument("--checkpoint", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.checkpoint is not None:
        print(json.dumps(_start(arguments.checkpoint)))
        return
    result = measure(arguments.pools)
    for name, value in result.items():
        target = f"at most {TARGETS[name]:,g}" if name in TARGETS else ""
        print(f"{name:22} {value:>12,} {target}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(result))


def measure(size: int) -> dict[str, float]:
    """Everything, in the units that the names say."""
    pools = {pool.address: pool for pool in map(_checksummed, synthetic_market(size).pools.values())}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.bin"
        began = time.perf_counter()
        written = write_checkpoint(path, Checkpoint(CHAIN_ID, _header(0), pools))
        writing = time.perf_counter() - began
        child = [sys.executable, "-m", "benchmarks.book", "--checkpoint", str(path)]
        found: dict[str, float] = json.loads(subprocess.run(child, check=True, capture_output=True).stdout)
    applied, applied_cpu = _apply(pools)
    return {
        "pools": size,
        "rss_mb": found["rss_mb"],
        "start_s": found["start_s"],
        "apply_1000_logs_ms": round(applied, 2),
        "checkpoint_mb": round(written / 1e6, 1),
        "start_cpu_s": found["start_cpu_s"],
        "apply_1000_logs_cpu_ms": round(applied_cpu, 2),
        "read_checkpoint_s": found["read_checkpoint_s"],
        "search_tables_s": found["search_tables_s"],
        "write_checkpoint_s": round(writing, 2),
        "rss_without_book_mb": found["rss_without_book_mb"],
    }


def _start(path: Path) -> dict[str, float]:
    """In a fresh process: what the keeper does with a checkpoint that is of the latest block."""
    LoopSearch.warm_up()
    before = _rss()
    began, began_cpu = time.perf_counter(), time.process_time()
    kept = read_checkpoint(path, CHAIN_ID)
    assert kept is not None
    book = Book(kept.pools, {}, kept.header)
    read = time.perf_counter()
    weth = max(_degrees(book.pools).items(), key=lambda one: one[1])[0]
    began_search = time.perf_counter()
    search = LoopSearch(book.pools, (weth,))
    ended = time.perf_counter()
    del kept
    gc.collect()
    assert len(search.table.pools) == len(book.pools)
    return {
        "rss_mb": round(_rss(), 1),
        "rss_without_book_mb": round(before, 1),
        "start_s": round(read - began + ended - began_search, 2),
        "start_cpu_s": round(time.process_time() - began_cpu, 2),
        "read_checkpoint_s": round(read - began, 2),
        "search_tables_s": round(ended - began_search, 2),
    }


def _apply(pools: dict[Address, Pool]) -> tuple[float, float]:
    """Milliseconds for a block of `LOGS` logs, the medians: as they passed, and of the processor."""
    random = Random(5)
    book = Book(pools, {}, _header(0))
    gc.collect()
    gc.freeze()
    took: list[float] = []
    worked: list[float] = []
    for number in range(1, BLOCKS + 1):
        event = BlockEvent(_header(number), tuple(_logs(random, book, number)), (), 0)
        began, began_cpu = time.perf_counter(), time.process_time()
        book.apply(event)
        took.append((time.perf_counter() - began) * 1e3)
        worked.append((time.process_time() - began_cpu) * 1e3)
        assert not book.quarantined
    return statistics.median(took[1:]), statistics.median(worked[1:])


def _logs(random: Random, book: Book, number: int) -> Iterator[Log]:
    keys = random.sample(list(book.pools), LOGS)
    for index, key in enumerate(keys):
        pool = book.pools[key]
        if isinstance(pool, UniswapV2Pool):
            topics, words = (SYNC_TOPIC,), (pool.reserve0 + 1, max(pool.reserve1 - 1, 1))
        else:
            assert isinstance(pool, UniswapV3Pool)
            topics, words = _ranged(random, pool)
        data = b"".join(word.to_bytes(32, "big", signed=word < 0) for word in words)
        yield Log(pool.address, topics, data, number, Hash32("0x" + "00" * 32), index, index)


def _ranged(random: Random, pool: UniswapV3Pool) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    if random.random() < MINT_SHARE:
        lower = pool.tick // pool.tick_spacing * pool.tick_spacing
        ends = (lower, lower + pool.tick_spacing)
        marks = (end.to_bytes(32, "big", signed=end < 0) for end in ends)
        return (MINT_TOPIC, bytes(32), *marks), (1, 10**12, 0, 0)
    tick = pool.tick + (1 if random.random() < 0.5 else -1)
    price = get_sqrt_ratio_at_tick(tick)
    return (SWAP_TOPIC, bytes(32), bytes(32)), (1, -1, price, pool.liquidity, tick)


def _checksummed(pool: Pool) -> Pool:
    """The pool with addresses as a node's answers are read, so that logs find it."""
    assert isinstance(pool, UniswapV2Pool | UniswapV3Pool)
    names = ("address", "token0", "token1")
    return replace(pool, **{name: _address(getattr(pool, name)) for name in names})


@cache
def _address(text: str) -> Address:
    return to_address(text, "address")


def _degrees(pools: Mapping[Address, Pool]) -> dict[Address, int]:
    degrees: dict[Address, int] = {}
    for pool in pools.values():
        for token in (pool.token0, pool.token1):
            degrees[token] = degrees.get(token, 0) + 1
    return degrees


def _header(number: int) -> BlockHeader:
    def name(block: int) -> Hash32:
        return Hash32(f"0x{block + 1:064x}")

    return BlockHeader(number, name(number), name(number - 1), 12 * number, Wei(10**9), 30_000_000, 0, ZERO_ADDRESS)


def _rss() -> float:
    """Resident memory, MB of 10**6 bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6


if __name__ == "__main__":
    main()
