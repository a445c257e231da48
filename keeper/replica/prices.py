"""The prices that the replica's traders believe in: a seeded random process for each token and each pool."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from keeper.domain.units import Address
from keeper.replica.pool_state import MarketState, TradedPool


@dataclass(frozen=True, slots=True)
class Volatility:
    """How a token's logarithmic price moves from block to block.

    Attributes:
        step: standard deviation of an ordinary block.
        reversion: share of the distance from its anchor that it makes good each block.
        jump_chance, jump: probability of a jump and its standard deviation.
        in_dollars: the price is one in dollars, so it falls against ether as ether rises.
    """

    step: float
    reversion: float
    jump_chance: float
    jump: float
    in_dollars: bool = False


ETHER = Volatility(step=0.000_5, reversion=0.002, jump_chance=0.02, jump=0.003)
STABLE = Volatility(step=0.000_01, reversion=0.02, jump_chance=0.002, jump=0.000_1, in_dollars=True)
PEGGED_TO_ETHER = Volatility(step=0.000_03, reversion=0.02, jump_chance=0.002, jump=0.000_3)
LARGE = Volatility(step=0.000_5, reversion=0.002, jump_chance=0.02, jump=0.003)
SMALL = Volatility(step=0.001, reversion=0.002, jump_chance=0.03, jump=0.006)

VOLATILITY_BY_SYMBOL: dict[str, Volatility] = {
    **dict.fromkeys(("USDC", "USDT", "DAI", "FRAX", "LUSD", "crvUSD", "GHO", "PYUSD", "USDS"), STABLE),
    **dict.fromkeys(("stETH", "wstETH", "rETH", "cbETH", "weETH"), PEGGED_TO_ETHER),
    **dict.fromkeys(("WBTC", "cbBTC", "tBTC"), LARGE),
}
"""Tokens that are not listed move like `SMALL`; orders of magnitude as on mainnet, scaled to 2 s to 12 s blocks."""

_VIEW_REVERSION = 0.06
_VIEW_FEES = 2.0
_VIEW_FLOOR, _VIEW_CEILING = 0.000_2, 0.006


class PriceProcess:
    """Fair prices, and each pool's own noisy view of them.

    A token's logarithmic price against the numeraire is a mean-reverting random walk with jumps around the price that
    the pools had at the start. Each pool's view adds a mean-reverting error whose size goes with the pool's fee:
    that is what opens gaps between pools. Equal seeds and starts give equal paths.

    Args:
        anchors: logarithm of each token's price at the start, in raw units of the numeraire for one raw unit.
        volatility: of every token but the numeraire, which is ether; ether itself moves against all dollars at once.
    """

    def __init__(
        self,
        seed: int,
        anchors: Mapping[Address, float],
        volatility: Mapping[Address, Volatility],
        pools: Sequence[TradedPool],
    ) -> None:
        self._random = Random(f"prices {seed}")
        self._anchors = dict(anchors)
        self._volatility = dict(volatility)
        self._deviation = dict.fromkeys(anchors, 0.0)
        self._ether = 0.0
        self._view_size = {pool.address: view_size(pool.fee_pips) for pool in pools}
        self._view = {address: self._random.gauss(0.0, size) for address, size in self._view_size.items()}

    def step(self) -> None:
        """Move on by one block."""
        self._ether = self._moved(self._ether, ETHER)
        for token, way in self._volatility.items():
            self._deviation[token] = self._moved(self._deviation[token], way)
        kick = math.sqrt(2 * _VIEW_REVERSION)
        for address, size in self._view_size.items():
            self._view[address] += -_VIEW_REVERSION * self._view[address] + self._random.gauss(0.0, kick * size)

    def _moved(self, deviation: float, way: Volatility) -> float:
        deviation += -way.reversion * deviation + self._random.gauss(0.0, way.step)
        if self._random.random() < way.jump_chance:
            deviation += self._random.gauss(0.0, way.jump)
        return deviation

    def fair_log_price(self, token0: Address, token1: Address) -> float:
        """Logarithm of the raw units of ``token1`` that one raw unit of ``token0`` is worth."""
        return self._value(token0) - self._value(token1)

    def view(self, pool: TradedPool) -> float:
        """The logarithmic price of token0 in token1 that the traders of ``pool`` move it to."""
        return self.fair_log_price(pool.token0, pool.token1) + self._view[pool.address]

    def _value(self, token: Address) -> float:
        way = self._volatility.get(token)
        ether = self._ether if way is not None and way.in_dollars else 0.0
        return self._anchors[token] + self._deviation[token] - ether


def view_size(fee_pips: int) -> float:
    """Standard deviation of a pool's view: wide enough that gaps often exceed two fees."""
    return min(max(_VIEW_FEES * fee_pips / 1e6, _VIEW_FLOOR), _VIEW_CEILING)


def anchor_prices(pools: Sequence[TradedPool], state: MarketState, numeraire: Address) -> dict[Address, float]:
    """Logarithm of each token's price in ``numeraire``, raw unit for raw unit, read off the deepest pools.

    Tokens are reached one after the other through the pool that holds most value, as Prim's algorithm grows a tree.
    Tokens that no pool connects to ``numeraire`` are left out.
    """
    known = {numeraire: 0.0}
    while True:
        best: tuple[float, str, Address, float] | None = None
        for pool in pools:
            depth = state.depths.get(pool.address)
            if depth is None or (pool.token0 in known) == (pool.token1 in known):
                continue
            if pool.token1 in known:
                new, log_price = pool.token0, known[pool.token1] + math.log(depth.price)
                value = known[pool.token1] + math.log(depth.reserve1)
            else:
                new, log_price = pool.token1, known[pool.token0] - math.log(depth.price)
                value = known[pool.token0] + math.log(depth.reserve0)
            candidate = (value, pool.address, new, log_price)
            if best is None or candidate[:2] > best[:2]:
                best = candidate
        if best is None:
            return known
        known[best[2]] = best[3]
