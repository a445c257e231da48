"""After the warm-up nothing is left to compile: the first block of a process takes no longer than the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from numba.core.dispatcher import Dispatcher

from keeper.discovery.search import best_loops, exact, hubs, kernels, rows, sizing, split

MODULES = (best_loops, exact, hubs, kernels, rows, sizing, split)
FIRST_BLOCK_SECONDS = 3.0
FIRST_BLOCK = """
import random, time
from keeper.discovery.search import best_loops, exact, hubs, kernels, rows, sizing, split
from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from numba.core.dispatcher import Dispatcher
from tests.discovery.markets import TOKENS, random_market

def compiled():
    modules = (best_loops, exact, hubs, kernels, rows, sizing, split)
    kernels_ = [k for m in modules for k in vars(m).values() if isinstance(k, Dispatcher)]
    return {k.py_func.__qualname__: len(k.signatures) for k in kernels_}

LoopSearch.warm_up()
ready = compiled()
market = random_market(random.Random(3), 40)
for steps in (0, 10**6):
    search = LoopSearch(market, TOKENS[:1], enumerated_steps=steps)
    start = time.perf_counter()
    search.update(market, list(market))
    for rule in DexRule:
        search.find(market, allow=LoopFilter(dexes=rule))
    pairs = frozenset({frozenset(TOKENS[:2]), frozenset(TOKENS[1:3])})
    search.find(market, allow=LoopFilter(pairs=pairs))
    search.find_split(frozenset(market), allow=LoopFilter(), gas_per_leg=10**13)
    search.find_after(dict(list(market.items())[:2]), allow=LoopFilter())
    seconds = time.perf_counter() - start
    assert compiled() == ready, {k: v for k, v in compiled().items() if v != ready[k]}
    print(seconds)
"""


def test_nothing_is_compiled_after_the_warm_up(tmp_path: Path) -> None:
    """In a process of its own; kernels come from the cache, or from an empty one if ``ORION_COLD_START`` is set."""
    environment = dict(os.environ)
    if os.environ.get("ORION_COLD_START"):
        environment["NUMBA_CACHE_DIR"] = str(tmp_path)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FIRST_BLOCK], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert max(map(float, done.stdout.split())) < FIRST_BLOCK_SECONDS


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_kernel_releases_the_lock_and_calls_only_its_own_file(module: ModuleType) -> None:
    """Else a search would stop the keeper; and code on disk would outlive a change of what it calls."""
    compiled = [value for value in vars(module).values() if isinstance(value, Dispatcher)]
    assert compiled
    assert all(value.targetoptions["nogil"] for value in compiled)
    assert {value.py_func.__module__ for value in compiled} == {module.__name__}
