"""Recorded arbitrages of mainnet: what a searcher did, and the pools immediately before that transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from keeper.domain.units import Address, to_address
from keeper.market.venues.base import Pool
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import WORD_BITS, UniswapV3Pool

FOLDER = "mainnet-blocks"


@dataclass(frozen=True, slots=True)
class RecordedArbitrage:
    """One of them.

    Attributes:
        number, position: of the block, and of the transaction in it.
        pools: those of Uniswap V2 and its forks and of V3 that were recorded, by address.
        hops: addresses of the searcher's pools, in order, also of those that are not among ``pools``.
        token, profit: what the searcher earned, raw units.
        label: the record as it is.
    """

    name: str
    number: int
    position: int
    pools: dict[Address, Pool]
    hops: tuple[Address, ...]
    token: Address
    profit: int
    label: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> Self:
        record = json.loads(path.read_text())
        label = record["label"]
        pools: list[Pool] = [*map(_v2, record["v2"]), *map(_v3, record["v3"])]
        return cls(
            name=path.stem,
            number=record["block"],
            position=record["tx_index"],
            pools={pool.address: pool for pool in pools},
            hops=tuple(to_address(hop["pool"], "pool") for hop in label["hops"]),
            token=to_address(label["token"], "token"),
            profit=int(label["profit"]),
            label=label,
        )

    @property
    def all_known(self) -> bool:
        return all(pool in self.pools for pool in self.hops)


def all_recorded(data: str) -> list[RecordedArbitrage]:
    """Those below the folder of test data, in the order of their blocks."""
    return [RecordedArbitrage.load(path) for path in sorted(Path(data, FOLDER, "arbitrages").glob("*.json"))]


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
