"""Synthetic markets of any size, shaped like mainnet's: few hubs, many tokens with one pool, parallel pools.

There are 60% as many tokens as pools. The first token takes part in about three quarters of the pools, four further
ones in most of the rest; 45% of the pools have ranges of liquidity; a pair has up to `MAX_PARALLEL` pools. Prices of
pools lie within their fee of one fair price a token, so that a market at rest offers nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from keeper.domain.units import Address
from keeper.market.venues.base import Pool
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import UniswapV3Pool

HUBS = 32
MAJORS = 5
"""The hubs between which most of the trade goes."""
HUB_SHARE = np.concatenate(([0.74, 0.08, 0.07, 0.02, 0.02], 0.07 / np.arange(1, 28) / np.sum(1 / np.arange(1, 28))))
MAX_PARALLEL = 24
TIERS = ((100, 1), (500, 10), (3000, 60), (10_000, 200))
"""Fee, millionths, and tick spacing of the pools with ranges."""
V2_DEXES = ("uniswap_v2", "sushiswap", "shibaswap")
LOG_TICK = math.log(1.0001)
UNIT = 10.0**18

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class SyntheticMarket:
    """Pools by address and the tokens, the hubs first; ``core`` names the pools between two majors."""

    pools: dict[Address, Pool]
    tokens: list[Address]
    core: list[Address]


@cache
def synthetic_market(size: int, seed: int = 0) -> SyntheticMarket:
    """A market of ``size`` pools, the same for the same arguments; kept, for it takes long, and not to be changed."""
    rng = np.random.default_rng(seed)
    spokes = max(int(0.6 * size) - HUBS, 20)
    ends = _listings(rng, size, spokes)
    # addresses in no order, so that a hub is now token0 and now token1
    tokens = [Address(f"0x{rng.bytes(20).hex()}") for _ in range(HUBS + spokes)]
    log_price = np.clip(rng.normal(0.0, 3.0, len(tokens)), -9.0, 9.0)
    core = (ends < MAJORS).all(axis=1)
    dollars = np.exp(rng.normal(10.3, 1.9, size)) * np.where(core, 200.0, 1.0)
    ranged = rng.random(size) < 0.45
    tier = rng.choice(len(TIERS), size, p=(0.1, 0.25, 0.4, 0.25))
    focus = np.exp(rng.normal(2.0, 0.7, size))
    noise = rng.uniform(-0.4, 0.4, size)
    pools: dict[Address, Pool] = {}
    core_pools: list[Address] = []
    for n in range(size):
        a, b = (int(end) for end in ends[n])
        if tokens[a] > tokens[b]:
            a, b = b, a
        fee, spacing = TIERS[tier[n]] if ranged[n] else (3000, 0)
        log_ratio = log_price[a] - log_price[b] + noise[n] * fee / 1e6
        address = Address(f"0x{rng.bytes(20).hex()}")
        side = dollars[n] / 2 * (focus[n] if ranged[n] else 1.0)
        geometric = side / math.exp((log_price[a] + log_price[b]) / 2) * UNIT
        if ranged[n]:
            pools[address] = ranged_pool(
                rng, address, tokens[a], tokens[b], fee, spacing, log_ratio, geometric, core[n]
            )
        else:
            dex = V2_DEXES[int(rng.choice(3, p=(0.6, 0.3, 0.1)))]
            reserves = (int(geometric * math.exp(sign * log_ratio / 2)) for sign in (-1, 1))
            pools[address] = UniswapV2Pool(address, dex, tokens[a], tokens[b], fee, *reserves)
        if core[n]:
            core_pools.append(address)
    return SyntheticMarket(pools, tokens, core_pools)


def next_block(market: SyntheticMarket, rng: np.random.Generator, changes: int = 200) -> dict[Address, Pool]:
    """New states of ``changes`` pools, a third of them between majors, moved by about 0.4% each."""
    addresses = list(market.pools)
    among_core = min(changes * 35 // 100, len(market.core))
    chosen = {market.core[i] for i in rng.choice(len(market.core), among_core, replace=False)}
    while len(chosen) < changes:
        chosen.add(addresses[int(rng.integers(len(addresses)))])
    return {address: _moved(market.pools[address], rng.normal(0.0, 0.004)) for address in sorted(chosen)}


def _listings(rng: np.random.Generator, size: int, spokes: int) -> Integers:
    """The two tokens of each pool, shape (size, 2)."""
    scale = max(1, int(math.log10(size)) - 1)
    between_hubs: list[tuple[int, int]] = []
    for a in range(HUBS):
        for b in range(a + 1, HUBS):
            if b < MAJORS:
                between_hubs += [(a, b)] * (4 * scale)
            elif a < MAJORS:
                between_hubs += [(a, b)] * (2 * scale)
            elif rng.random() < 0.25:
                between_hubs.append((a, b))
    hubs = np.array(between_hubs, dtype=np.int64)
    hubs = rng.permutation(hubs)[: size // 3]
    first = min(spokes, size - len(hubs))
    listed = np.column_stack((rng.choice(HUBS, first, p=HUB_SHARE), HUBS + np.arange(first)))
    popularity = 1 / np.arange(1, spokes + 1) ** 0.9
    popularity /= popularity.sum()
    more = size - len(hubs) - first
    again = np.empty((more, 2), dtype=np.int64)
    redraw = np.arange(more)
    while redraw.size:
        again[redraw, 0] = rng.choice(HUBS, redraw.size, p=HUB_SHARE)
        again[redraw, 1] = HUBS + rng.choice(spokes, redraw.size, p=popularity)
        # one pool in fifty has no hub
        loose = redraw[rng.random(redraw.size) < 0.02]
        again[loose, 0] = HUBS + rng.choice(spokes, loose.size, p=popularity)
        keys = again.min(axis=1) * (HUBS + spokes) + again.max(axis=1)
        order = np.argsort(keys, kind="stable")
        starts = np.searchsorted(keys[order], keys[order], side="left")
        place = np.arange(more) - starts
        redraw = np.concatenate((order[place >= MAX_PARALLEL], np.flatnonzero(again[:, 0] == again[:, 1])))
        redraw = np.unique(redraw)
        popularity = np.sqrt(popularity) / np.sqrt(popularity).sum()
    return np.concatenate((hubs, listed, again))


def ranged_pool(
    rng: np.random.Generator,
    address: Address,
    token0: Address,
    token1: Address,
    fee: int,
    spacing: int,
    log_ratio: float,
    liquidity: float,
    core: bool,
) -> UniswapV3Pool:
    """A pool whose positions all hold the price, so that its liquidity falls to both sides."""
    tick = math.floor(log_ratio / LOG_TICK)
    middle = tick // spacing
    positions = int(rng.integers(8, 24)) if core else int(rng.integers(1, 5))
    reach = max(4000 // spacing, 4)
    widths = rng.integers(1, reach, (positions, 2))
    amount = max(int(liquidity / positions), 1)
    net: dict[int, int] = {}
    for below, above in widths.tolist():
        for at, sign in (((middle - below) * spacing, 1), ((middle + above + 1) * spacing, -1)):
            net[at] = net.get(at, 0) + sign * amount
    ticks = tuple(sorted(net))
    nets = tuple(net[at] for at in ticks)
    price = int(math.exp(log_ratio / 2) * 2**96)
    dex = "uniswap_v3" if rng.random() < 0.8 else "sushiswap_v3"
    gross = tuple(map(abs, nets))
    return UniswapV3Pool(
        address, dex, token0, token1, fee, spacing, price, tick, positions * amount, ticks, nets, gross
    )


def _moved(pool: Pool, by: float) -> Pool:
    """``pool`` after trades that move its price by the factor exp(``by``), kept within its liquidity."""
    if isinstance(pool, UniswapV2Pool):
        factor = math.exp(by / 2)
        return replace(pool, reserve0=int(pool.reserve0 / factor), reserve1=int(pool.reserve1 * factor))
    assert isinstance(pool, UniswapV3Pool)
    log_ratio = 2 * math.log(pool.sqrt_price_x96 / 2**96) + by
    lowest, highest = (at * LOG_TICK for at in (pool.tick_indices[0] + 1, pool.tick_indices[-1] - 1))
    log_ratio = min(max(log_ratio, lowest), highest)
    tick = math.floor(log_ratio / LOG_TICK)
    liquidity = sum(net for at, net in zip(pool.tick_indices, pool.liquidity_net, strict=True) if at <= tick)
    price = int(math.exp(log_ratio / 2) * 2**96)
    return replace(pool, sqrt_price_x96=price, tick=tick, liquidity=liquidity)
