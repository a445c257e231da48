"""degenbot 0.4.3, all in Python: `UniswapLpCycle.calculate` on each cycle of a request; see `search_cycles`.

Runs in an environment of its own. Its constructors read a pool from a chain; here their attributes are set from the
request instead. What is timed is degenbot's own code: the check of the rates, SciPy's bounded search for the best
input over its integer swap functions, and the amounts of the swaps at the end.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from threading import Lock
from weakref import WeakSet

from degenbot.arbitrage.uniswap_lp_cycle import UniswapLpCycle
from degenbot.erc20_token import Erc20Token
from degenbot.uniswap.types import UniswapV3BitmapAtWord, UniswapV3LiquidityAtTick
from degenbot.uniswap.v2_liquidity_pool import UniswapV2Pool
from degenbot.uniswap.v3_liquidity_pool import UniswapV3Pool

REPEATS = 5


def token_of(address: str) -> Erc20Token:
    token = Erc20Token.__new__(Erc20Token)
    token.address, token._chain_id = address, 1
    token.name = token.symbol = address[:8]
    token.decimals = 18
    return token


def pool_of(row: dict, token0: Erc20Token, token1: Erc20Token) -> UniswapV2Pool | UniswapV3Pool:
    kind = UniswapV2Pool if row["kind"] == "V2" else UniswapV3Pool
    pool = kind.__new__(kind)
    pool.address, pool.name, pool._chain_id = row["address"], row["address"], 1
    pool.token0, pool.token1 = token0, token1
    pool._state_lock, pool._subscribers = Lock(), WeakSet()
    if row["kind"] == "V2":
        pool.fee_token0 = pool.fee_token1 = UniswapV2Pool.FEE
        pool._state = pool.PoolState.__value__(
            address=pool.address, reserves_token0=row["reserve0"], reserves_token1=row["reserve1"], block=1
        )
        return pool
    pool.fee, pool.tick_spacing, pool.sparse_liquidity_map = row["fee"], row["spacing"], False
    words = {}
    for tick, _, _ in row["ticks"]:
        word, bit = divmod(tick // row["spacing"], 256)
        words[word] = words.get(word, 0) | 1 << bit
    pool._state = pool.PoolState.__value__(
        address=pool.address,
        liquidity=row["liquidity"],
        sqrt_price_x96=row["sqrt_price_x96"],
        tick=row["tick"],
        tick_bitmap={word: UniswapV3BitmapAtWord(bitmap=bits) for word, bits in words.items()},
        tick_data={
            tick: UniswapV3LiquidityAtTick(liquidity_net=net, liquidity_gross=gross)
            for tick, gross, net in row["ticks"]
        },
        block=1,
    )
    return pool


def main(request: str) -> None:
    answers = {}
    for shape, cycles in json.loads(Path(request).read_text()).items():
        seconds, inputs, profits = [], [], []
        for cycle in cycles[: cycles[0]["called"]]:
            tokens = {row[name]: token_of(row[name]) for row in cycle["pools"] for name in ("token0", "token1")}
            pools = [pool_of(row, tokens[row["token0"]], tokens[row["token1"]]) for row in cycle["pools"]]
            path = UniswapLpCycle(tokens[cycle["token"]], pools, id="cycle", max_input=cycle["max_input"])
            times = []
            for _ in range(REPEATS):
                start = time.perf_counter()
                result = path.calculate()
                times.append(time.perf_counter() - start)
            seconds.append(min(times))
            inputs.append(result.input_amount)
            profits.append(result.profit_amount)
        answers[shape] = {"call": statistics.median(seconds), "inputs": inputs, "profits": profits}
    print(json.dumps(answers))


if __name__ == "__main__":
    if sys.argv[1] != "--probe":
        main(sys.argv[1])
