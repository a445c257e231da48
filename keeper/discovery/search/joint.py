"""The joint optimum over many loops at once: one bundle of swaps, and a bound on what any bundle could earn."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from keeper.discovery.search.bundle import Flow, make_bundle
from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.joint_greedy import greedy_flows
from keeper.discovery.search.joint_instance import JointMarket, market_around
from keeper.discovery.search.joint_kernels import first_prices, flows, solve_joint, work_space
from keeper.discovery.search.joint_pools import market_of
from keeper.domain.errors import InputError
from keeper.domain.joint_route import JointRoute
from keeper.domain.units import Address
from keeper.market.venues.base import Pool
from keeper.market.venues.uniswap_v2 import UniswapV2Pool

GREEDY_BELOW = 0.99
"""Where the bundle is worth less than this share of the bound, loops taken one after the other are tried as well."""


@dataclass(frozen=True, slots=True)
class JointSolution:
    """What one solve found.

    Attributes:
        route: the bundle; None where none earns its gas.
        value: what it earns in the pools' own integers, less gas: raw units of the profit token; 0 without a bundle.
        bound: no bundle of the pools that were looked at earns more net of gas, in the same unit, up to the rounding
            of float64. Pools that are fitted rather than described exactly add their error; see `fitted`.
        legs: swaps of the bundle.
        iterations: Newton steps.
        seconds: wall time of the solve.
        greedy: the bundle is that of single loops taken one after the other, which was worth more.
    """

    route: JointRoute | None
    value: int
    bound: float
    legs: int
    iterations: int
    seconds: float
    greedy: bool = False

    @property
    def captured(self) -> float:
        """``value`` as a share of ``bound``; 1 where nothing is to be earned."""
        return self.value / self.bound if self.bound > 0.0 else 1.0


class JointSolver:
    """Finds the bundle of swaps that together earn most, net of gas.

    Args:
        profit_token: in which all profit is measured and taken.
        greedy_below: see `GREEDY_BELOW`. With 1 the bundle is never worth less than that of single loops; with 0
            they are never tried.
    """

    def __init__(self, profit_token: Address, *, greedy_below: float = GREEDY_BELOW) -> None:
        if not 0.0 <= greedy_below <= 1.0:
            raise InputError("greedy_below", greedy_below, "Give a share from 0 to 1.")
        self._token = profit_token
        self._greedy_below = greedy_below

    @staticmethod
    def warm_up() -> None:
        """Compile all kernels, or load them from the cache, so that the first block does not wait for it."""
        tokens = [Address(f"0x{n:040x}") for n in (1, 2, 3)]
        pools: dict[Address, Pool] = {}
        for n, (a, b, reserve) in enumerate(((0, 1, 10**9), (1, 2, 10**9), (0, 2, 2 * 10**9))):
            address = Address(f"0x{16 + n:040x}")
            pools[address] = UniswapV2Pool(address, "warm", tokens[a], tokens[b], 3000, 10**9, reserve)
        JointSolver(tokens[0]).solve(LoopSearch(pools, tokens[:1]), pools, 1)
        JointSolver(tokens[0]).solve_pools(pools.values(), 1)

    def solve(self, search: LoopSearch, changed: Collection[Address], gas_per_leg: int) -> JointSolution:
        """The bundle from the pools around ``changed``.

        Looked at are the tokens of all loops through the pairs of ``changed`` that earn, the hubs of the market, and
        every pool among these tokens.

        Args:
            search: up to date with the market.
            changed: usually the pools of the last block.
            gas_per_leg: what one swap costs, raw units of the profit token.

        Raises:
            InputError: ``gas_per_leg`` is negative.
        """
        start = time.perf_counter()
        _check_gas(gas_per_leg)
        return self._solve(market_around(search, changed, self._token), gas_per_leg, start)

    def solve_pools(self, pools: Iterable[Pool], gas_per_leg: int) -> JointSolution:
        """The bundle from all of ``pools``, of any kind that the keeper knows; units and errors as in `solve`.

        Pools of more than two tokens count as one pool for each two of them, of which a bundle uses one.
        """
        start = time.perf_counter()
        _check_gas(gas_per_leg)
        return self._solve(market_of(pools, self._token), gas_per_leg, start)

    def _solve(self, market: JointMarket | None, gas: int, start: float) -> JointSolution:
        if market is None:
            return JointSolution(None, 0, 0.0, 0, 0, time.perf_counter() - start)
        planned, bound, steps = plan(market, gas)
        route = make_bundle(planned, self._token)
        value = _value(route, gas)
        greedy = False
        if value < self._greedy_below * bound:
            rival = make_bundle(greedy_flows(market, self._token, gas), self._token)
            if _value(rival, gas) > value:
                route, value, greedy = rival, _value(rival, gas), True
        if value <= 0:
            route, value = None, 0
        legs = len(route.legs) if route is not None else 0
        return JointSolution(route, value, bound, legs, steps, time.perf_counter() - start, greedy)


def plan(market: JointMarket, gas: float) -> tuple[list[Flow], float, int]:
    """The flows that earn most net of ``gas`` a leg, the bound on that, and Newton steps; in raw profit tokens."""
    made, log_price = market.instance, first_prices(market.instance, len(market.tokens))
    work = work_space(made, len(market.tokens))
    _, bound, legs, steps = solve_joint(made, work, log_price, float(gas))
    slots, given = np.empty(legs, dtype=np.int64), np.empty(legs)
    count = flows(made, work, slots, given)
    slots, given = slots[:count], given[:count]
    pool_of = slots >> 1
    pair_of = made.first.searchsorted(pool_of, side="right") - 1
    low, high = made.low[pair_of], made.high[pair_of]
    into, out = np.where(slots & 1, high, low), np.where(slots & 1, low, high)
    worth = given * np.exp(work.leg_prices[into])
    planned: list[Flow] = []
    columns = (pool_of, into, out, given, worth)
    for n, a, b, amount, value in zip(*(column.tolist() for column in columns), strict=True):
        pool = market.pools[n]
        assert pool is not None, "a pool without a state pays nothing"
        planned.append(Flow(pool, market.tokens[a], market.tokens[b], amount, value))
    return planned, bound, steps


def _value(route: JointRoute | None, gas: int) -> int:
    return 0 if route is None else route.gross_profit - gas * len(route.legs)


def _check_gas(gas: int) -> None:
    if gas < 0:
        raise InputError("gas_per_leg", gas, "Give raw units of the profit token, 0 or more.")
