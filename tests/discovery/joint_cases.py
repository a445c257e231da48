"""Markets for the joint solve, and what every answer of it has to fulfil."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.joint import JointSolution
from keeper.discovery.search.loop_filter import LoopFilter
from keeper.domain.joint_route import JointRoute
from keeper.domain.route import Hop
from keeper.domain.units import Address
from keeper.market.venues import Pool, load
from keeper.market.venues.multi import pairs_of
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import UniswapV3Pool
from tests.discovery.markets import DECIMALS, PRICES, TOKENS, Market, address

WETH, USDC, DAI, WBTC, _ = TOKENS
DOLLAR = int(1e18 / PRICES[WETH])
"""In wei."""
ONE = 10**18


def weighted(number: int, tokens: Sequence[Address], weights: Sequence[float], dollars: float, skew: float) -> Pool:
    """A Balancer pool of 0.3% with ``dollars`` in all; the first token's price is ``skew`` times the fair one."""
    shares = [int(weight * ONE) for weight in weights]
    shares[-1] = ONE - sum(shares[:-1])
    balances = [int(dollars * w / PRICES[t] * 10 ** DECIMALS[t]) for t, w in zip(tokens, weights, strict=True)]
    balances[0] = int(balances[0] / skew)
    state: dict[str, Any] = {
        "venue": "balancer_v2_weighted",
        "address": address(number),
        "dex": "balancer",
        "tokens": list(tokens),
        "pool_id": "0x" + f"{number:02x}" * 32,
        "swap_fee": 3 * 10**15,
        "balances": balances,
        "weights": shares,
        "decimals": [DECIMALS[token] for token in tokens],
        "pow_version": "v2",
    }
    return load(state)


def stable(number: int, tokens: Sequence[Address], dollars: Sequence[float], fee: int = 4_000_000) -> Pool:
    """A Curve pool of A = 200 with so many ``dollars`` of each token."""
    state: dict[str, Any] = {
        "venue": "curve_stableswap",
        "address": address(number),
        "dex": "curve",
        "tokens": list(tokens),
        "variant": "v1",
        "amplification": 200,
        "balances": [int(d / PRICES[t] * 10 ** DECIMALS[t]) for t, d in zip(tokens, dollars, strict=True)],
        "rates": [10 ** (36 - DECIMALS[token]) for token in tokens],
        "fee": fee,
    }
    return load(state)


def views(pools: Iterable[Pool]) -> dict[tuple[Address, frozenset[Address]], Pool]:
    """By key and tokens; pools of more than two tokens are there once for each two of them."""
    return {(pair.key, frozenset((pair.token0, pair.token1))): pair for pool in pools for pair in pairs_of(pool)}


def check_leg(hop: Hop, known: Mapping[tuple[Address, frozenset[Address]], Pool]) -> None:
    pool = known[hop.pool, frozenset((hop.token_in, hop.token_out))]
    assert pool.amount_out(hop.token_in, hop.amount_in) == hop.amount_out
    assert (hop.dex, hop.fee_pips, hop.venue) == (pool.dex, pool.fee_pips, pool.venue)
    assert hop.zero_for_one == (hop.token_in == pool.token0)
    assert hop.detail == pool.swap_detail(hop.token_in)


def check(solution: JointSolution, pools: Iterable[Pool], gas: int, slack: float = 1.0) -> None:
    """Integers are the pools' own, no token is short, and the value is what the legs leave, within the bound."""
    assert solution.value <= solution.bound * (1 + 1e-9) + slack
    if solution.route is None:
        assert (solution.value, solution.legs) == (0, 0)
        return
    known = views(pools)
    changes: dict[Address, int] = {}
    for hop in solution.route.legs:
        check_leg(hop, known)
        changes[hop.token_in] = changes.get(hop.token_in, 0) - hop.amount_in
        changes[hop.token_out] = changes.get(hop.token_out, 0) + hop.amount_out
    assert min(changes.values()) >= 0
    assert len({hop.pool for hop in solution.route.legs}) == len(solution.route.legs) == solution.legs
    assert solution.route.token == WETH
    assert solution.value == changes[WETH] - gas * solution.legs
    assert solution.value > 0


def volume(route: JointRoute) -> float:
    """What all legs pay out, in wei at the fair prices of `tests.discovery.markets`."""
    return sum(hop.amount_out * PRICES[hop.token_out] / 10 ** DECIMALS[hop.token_out] * DOLLAR for hop in route.legs)


def grain(route: JointRoute) -> int:
    """Wei that the rounding of a few units of every amount is worth, generously; see `tests.discovery.markets`."""
    return sum(int(16 * PRICES[hop.token_out] / 10 ** DECIMALS[hop.token_out] * DOLLAR) + 16 for hop in route.legs)


def one_after_the_other(market: Market, gas: int) -> int:
    """What single loops earn, each the best of what the ones before left: net of gas, a pool paid for once."""
    pools, used, total = dict(market), set[Address](), 0
    search = LoopSearch(pools, [WETH])
    for _ in range(12):
        routes = search.find(pools, allow=LoopFilter(), limit=16)
        nets = [route.gross_profit - gas * sum(hop.pool not in used for hop in route.hops) for route in routes]
        if not nets or max(nets) <= 0:
            break
        route = routes[nets.index(max(nets))]
        total += max(nets)
        for hop in route.hops:
            pool = pools[hop.pool]
            assert isinstance(pool, UniswapV2Pool | UniswapV3Pool)
            pools[hop.pool], paid = pool.after_swap(hop.token_in, hop.amount_in)
            assert paid == hop.amount_out
            used.add(hop.pool)
        search.update(pools, [hop.pool for hop in route.hops])
    return total


def wander(rng: random.Random, pools: Sequence[Pool], scale: int) -> tuple[int, int]:
    """Profit and swaps of a trader who swaps at random what he holds, each pool once; he starts with wei alone."""
    held = {WETH: scale * 1000}
    swaps = 0
    for pool in rng.sample(list(pools), len(pools)):
        sides = [token for token in (pool.token0, pool.token1) if held.get(token, 0) > 1]
        if not sides or rng.random() < 0.2:
            continue
        token = rng.choice(sides)
        most = held[token] if token != WETH else min(held[token], scale * 10 ** rng.randint(-3, 0))
        amount = int(most * rng.choice([1.0, rng.random()]))
        if amount < 1:
            continue
        try:
            paid = pool.amount_out(token, amount)
        except ArithmeticError:
            continue
        other = pool.token1 if token == pool.token0 else pool.token0
        held[token] -= amount
        held[other] = held.get(other, 0) + paid
        swaps += 1
    return held[WETH] - scale * 1000, swaps
