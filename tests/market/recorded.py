"""Mainnet's own answers, recorded outside the project: swaps, pool states, view calls and receipts."""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keeper.domain.chain import Log
from keeper.domain.units import Hash32, to_address
from keeper.market.venues import UniswapV2Pool, UniswapV3Pool, load


def folder(shows: str) -> Path:
    """The folder of recorded data; skips the test, saying what it would have shown, where there is none."""
    path = os.environ.get("ORION_TEST_DATA")
    if not path:
        pytest.skip(f"ORION_TEST_DATA is not set; would have shown that {shows}")
    return Path(path)


def v2_swaps(data: Path) -> list[dict[str, str]]:
    with (data / "mainnet-blocks" / "v2_swaps.csv").open() as file:
        return list(csv.DictReader(file))


def v3_swaps(data: Path) -> list[dict[str, Any]]:
    swaps: list[dict[str, Any]] = json.loads((data / "mainnet-blocks" / "v3_swaps.json").read_text())
    return swaps


def block_numbers(data: Path) -> list[int]:
    return sorted(int(path.name) for path in (data / "mainnet-blocks" / "blocks").iterdir())


def pools_at_start(data: Path, block: int) -> list[UniswapV2Pool]:
    """The V2 pairs; the V3 states in this file know only some of their ticks."""
    state = json.loads((data / "mainnet-blocks" / "pools_at_block_start" / f"{block}.json").read_text())
    pools = [load({**entry, "venue": "uniswap_v2", "dex": "recorded", "fee_pips": 3000}) for entry in state["v2"]]
    return [pool for pool in pools if isinstance(pool, UniswapV2Pool)]


def receipts_logs(data: Path, block: int) -> Iterator[Log]:
    with gzip.open(data / "mainnet-blocks" / "blocks" / str(block) / "receipts.json.gz") as file:
        content = json.load(file)
    receipts = next(value for value in content.values() if isinstance(value, list))
    number = 0
    for receipt in receipts:
        for entry in receipt["logs"]:
            yield Log(
                address=to_address(entry["address"], "address"),
                topics=tuple(bytes.fromhex(topic[2:]) for topic in entry["topics"]),
                data=bytes.fromhex(entry["data"][2:]),
                block_number=block,
                transaction_hash=Hash32(receipt["hash"]),
                transaction_index=receipt["index"],
                log_index=number,
            )
            number += 1


def pool_before(swap: dict[str, Any]) -> UniswapV3Pool:
    """The V3 pool before a recorded swap; ticks whose liquidity was not read were not crossed, their net is left 0."""
    spacing = swap["tickSpacing"]
    rows = []
    for word, bitmap in swap["bitmap_words_known"].items():
        for bit in range(256):
            if int(bitmap, 16) >> bit & 1:
                tick = (int(word) * 256 + bit) * spacing
                known = swap["ticks_known"].get(str(tick), {"liquidityNet": "0", "liquidityGross": "1"})
                rows.append([tick, known["liquidityNet"], known["liquidityGross"]])
    pool = load(
        {
            "venue": "uniswap_v3",
            "address": swap["pool"],
            "dex": "recorded",
            "token0": swap["token0"],
            "token1": swap["token1"],
            "fee_pips": swap["fee"],
            "tick_spacing": spacing,
            "sqrt_price_x96": swap["pre_sqrtPriceX96"],
            "tick": swap["pre_tick"],
            "liquidity": swap["pre_liquidity"],
            "ticks": sorted(rows),
        }
    )
    assert isinstance(pool, UniswapV3Pool)
    return pool


def wbtc_weth(data: Path) -> tuple[UniswapV3Pool, list[tuple[str, str, str, int, int]]]:
    """A whole V3 pool and what QuoterV2 answered: (function, symbol in, symbol out, amount, answer)."""
    name = "uniswap_v3_wbtc_weth_block_24407242.json"
    state = json.loads((data / "amm-vectors" / "states" / "1" / name).read_text())
    scalars = state["scalars"]
    pool = load(
        {
            "venue": "uniswap_v3",
            "address": state["pool"],
            "dex": "uniswap_v3",
            "token0": state["token0"]["address"],
            "token1": state["token1"]["address"],
            "fee_pips": scalars["fee"],
            "tick_spacing": scalars["tick_spacing"],
            "sqrt_price_x96": scalars["sqrt_price_x96"],
            "tick": scalars["tick"],
            "liquidity": scalars["liquidity"],
            "ticks": sorted([int(tick), net, gross] for tick, (gross, net, _) in state["tick_data"].items()),
        }
    )
    assert isinstance(pool, UniswapV3Pool)
    folder = data / "amm-vectors" / "recorded" / "uniswap" / "v3" / "test_uniswap_v3_onchain_parity"
    entries = json.loads((folder / "test_cached_calculations_v3_wbtc_weth.json").read_text())["entries"]
    answers = []
    for key, answer in entries.items():
        _, function, pair, amount = key.split("|")
        symbol_in, symbol_out = pair.split("->")
        answers.append((function, symbol_in, symbol_out, int(amount), int(answer["value"])))
    return pool, answers
