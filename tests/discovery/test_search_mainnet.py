"""Real arbitrages: on the state before the transaction, the search earns at least what the searcher earned."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.loop_filter import LoopFilter
from keeper.domain.units import Address, to_address
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import WORD_BITS, UniswapV3Pool
from tests.discovery.markets import Market, check_integers

DATA = os.environ.get("ORION_TEST_DATA")


def _v2(row: dict[str, Any]) -> UniswapV2Pool:
    dex = "uniswap_v2" if row["canonical_univ2_code"] else f"fork_{row['code_hash'][2:10]}"
    tokens = (to_address(row[name], name) for name in ("token0", "token1"))
    return UniswapV2Pool(
        to_address(row["address"], "pool"), dex, *tokens, 3000, int(row["reserve0"]), int(row["reserve1"])
    )


def _v3(row: dict[str, Any]) -> UniswapV3Pool:
    """The pool with its liquidity cut off where the recording stops knowing its ticks."""
    spacing, tick, liquidity = row["tickSpacing"], row["tick"], int(row["liquidity"])
    initialised = [
        (int(word) * WORD_BITS + bit) * spacing
        for word, bits in row["bitmap_words_known"].items()
        for bit in range(WORD_BITS)
        if int(bits, 16) >> bit & 1
    ]
    known = {int(at): values for at, values in row["ticks_known"].items()}
    nets: dict[int, int] = {}
    for upwards in (True, False):
        reached = liquidity
        side = sorted((at for at in initialised if (at > tick) == upwards), reverse=not upwards)
        here = tick // spacing // WORD_BITS
        words = {int(word) for word in row["bitmap_words_known"]}
        while here in words:
            here += 1 if upwards else -1
        border = (here if upwards else here + 1) * WORD_BITS * spacing
        side = [at for at in side if (at < border) == upwards]
        for at in [*side, border]:
            sign = 1 if upwards else -1
            net = int(known[at]["liquidityNet"]) if at in known and at != border else -sign * reached
            nets[at] = net
            reached += sign * net
            if reached == 0:
                break
    ticks = sorted(nets)
    tokens = (to_address(row[name], name) for name in ("token0", "token1"))
    return UniswapV3Pool(
        to_address(row["address"], "pool"),
        "uniswap_v3",
        *tokens,
        row["fee"],
        spacing,
        int(row["sqrtPriceX96"]),
        tick,
        liquidity,
        tuple(ticks),
        tuple(nets[at] for at in ticks),
        tuple(abs(nets[at]) for at in ticks),
    )


@dataclass(frozen=True, slots=True)
class Recorded:
    name: str
    market: Market
    label: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> Recorded:
        record = json.loads(path.read_text())
        pools = [*map(_v2, record["v2"]), *map(_v3, record["v3"])]
        return cls(path.stem, {pool.address: pool for pool in pools}, record["label"])


@pytest.fixture(scope="module")
def recorded() -> list[Recorded]:
    if not DATA:
        pytest.skip("ORION_TEST_DATA is not set: would search the states before real mainnet arbitrages")
    return [Recorded.load(path) for path in sorted(Path(DATA, "mainnet-blocks", "arbitrages").glob("*.json"))]


def test_recorded_hops_are_repeated_to_the_unit(recorded: list[Recorded]) -> None:
    """The states are read rightly: the pools pay what they paid."""
    checked = 0
    for case in recorded:
        for hop in case.label["hops"]:
            pool = case.market.get(to_address(hop["pool"], "pool"))
            if pool is not None:
                assert pool.amount_out(to_address(hop["tin"], "token"), int(hop["ain"])) == int(hop["aout"])
                checked += 1
    assert checked >= 11


def test_search_earns_at_least_what_the_searcher_earned(recorded: list[Recorded]) -> None:
    searched = 0
    for case in recorded:
        hops = [to_address(hop["pool"], "pool") for hop in case.label["hops"]]
        if not all(pool in case.market for pool in hops):
            continue
        token = Address(to_address(case.label["token"], "token"))
        found = LoopSearch(case.market, [token]).find(hops, allow=LoopFilter())
        assert found, case.name
        check_integers(found[0], case.market)
        assert found[0].token == token
        assert found[0].gross_profit >= int(case.label["profit"]), case.name
        # the searcher's own loop is among those found, at least as well sized
        own = [route for route in found if set(route.pools) == set(hops)]
        assert own, case.name
        assert own[0].gross_profit >= int(case.label["profit"]), case.name
        searched += 1
    assert searched >= 4
