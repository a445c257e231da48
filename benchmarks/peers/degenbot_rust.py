"""degenbot 0.6 with its engine in Rust, on each cycle of a request; see `search_cycles`.

Runs in an environment of its own. Two ways of use are timed: a call for one cycle, on an engine that knows only that
one, and one call for all cycles of a shape, for which the processor's time over all threads counts. Pools are
registered before the clock starts. Between two calls one pool moves by a unit and back, so that nothing can be answered
from memory.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

from degenbot._ffi import ArbitrageEngine, Bot

REPEATS = 3


def register(bot: Bot, row: dict) -> int:
    for name in ("token0", "token1"):
        bot.register_token(row[name], "token", "TKN", 18, 1)
    if row["kind"] == "V2":
        fee = (997, 1000)
        return bot.register_v2_pool(
            row["address"],
            row["token0"],
            row["token1"],
            row["reserve0"],
            row["reserve1"],
            *fee,
            *fee,
            row["factory"],
            1,
        )
    return bot.register_v3_pool(
        row["address"],
        row["token0"],
        row["token1"],
        row["fee"],
        row["spacing"],
        row["factory"],
        row["sqrt_price_x96"],
        row["liquidity"],
        row["tick"],
        {tick: (gross, net, 1) for tick, gross, net in row["ticks"]},
        1,
        "tracked",
    )


def touch(bot: Bot, row: dict, by: int, block: int) -> None:
    if row["kind"] == "V2":
        bot.update_v2_pool(row["address"], row["reserve0"] + by, row["reserve1"], block)
    else:
        bot.update_v3_pool(row["address"], row["sqrt_price_x96"] + by, row["liquidity"], row["tick"], block)


def engine_of(cycles: list) -> tuple[Bot, ArbitrageEngine, list[int]]:
    bot = Bot(1)
    engine, paths = ArbitrageEngine(bot), []
    for cycle in cycles:
        ids = [register(bot, row) for row in cycle["pools"]]
        paths.append(engine.register_path(list(zip(ids, cycle["zero_for_one"], strict=True)))[0])
    return bot, engine, paths


def timed(bot: Bot, engine: ArbitrageEngine, cycles: list, clock) -> float:
    """The best time of a call, in seconds; the last call sees the states of the request."""
    seconds = []
    for n in range(2 * REPEATS):
        for cycle in cycles:
            touch(bot, cycle["pools"][0], 1 - n % 2, n + 2)
        start = clock()
        engine.solve_all_paths(n + 2)
        seconds.append(clock() - start)
    return min(seconds)


def main(request: str) -> None:
    answers = {}
    for shape, cycles in json.loads(Path(request).read_text()).items():
        calls = []
        for cycle in cycles[: cycles[0]["called"]]:
            bot, engine, _ = engine_of([cycle])
            calls.append(timed(bot, engine, [cycle], time.perf_counter))
        bot, engine, paths = engine_of(cycles)
        bulk = timed(bot, engine, cycles, time.process_time) / len(cycles)
        found = {row[0]: row for row in engine.latest_results()[0]}
        answers[shape] = {
            "call": statistics.median(calls),
            "bulk": bulk,
            "inputs": [found[path][1] if path in found else 0 for path in paths],
            "profits": [found[path][2] if path in found else 0 for path in paths],
        }
    print(json.dumps(answers))


if __name__ == "__main__":
    if sys.argv[1] != "--probe":
        main(sys.argv[1])
