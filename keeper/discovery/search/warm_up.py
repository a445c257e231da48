"""A small market that makes every kernel run once, with the types of arguments that it always has."""

from __future__ import annotations

from dataclasses import replace

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from keeper.domain.units import Address
from keeper.market.venues.base import Pool
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import UniswapV3Pool


def run_all_kernels() -> None:
    """Search with tables of hubs and by enumeration, in the market and within a DEX, split and not, and supposed."""
    tokens = [Address(f"0x{n:040x}") for n in (1, 2, 3)]
    pools: dict[Address, Pool] = {}
    for n, (a, b, reserve) in enumerate(((0, 1, 10**9), (1, 2, 10**9), (0, 2, 2 * 10**9), (0, 2, 2 * 10**9))):
        address = Address(f"0x{16 + n:040x}")
        pools[address] = UniswapV2Pool(address, "warm", tokens[a], tokens[b], 3000, 10**9, reserve)
    address = Address(f"0x{32:040x}")
    ticks = ((-600, 600), (10**12, -(10**12)), (10**12, 10**12))
    ranged = UniswapV3Pool(address, "warm", tokens[0], tokens[1], 500, 10, 1 << 96, 0, 10**12, *ticks)
    pools[address] = ranged
    for steps in (0, 10**6):
        search = LoopSearch(pools, tokens[:2], probe=1, enumerated_steps=steps)
        for allow in (LoopFilter(), LoopFilter(dexes=DexRule.SAME)):
            search.update(pools, list(pools))
            search.find(pools, allow=allow)
            search.find_split(pools, allow=allow)
        search.find_after({address: replace(ranged, tick=1)}, allow=LoopFilter())
