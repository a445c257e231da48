"""Random and hand-made markets, and an exhaustive search in exact integers to compare with.

The reference shares nothing with the search but the pools' own `amount_out`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from keeper.domain.route import Route
from keeper.domain.units import Address, to_address
from keeper.market.venues.base import Pool
from keeper.market.venues.tick_math import get_sqrt_ratio_at_tick, get_tick_at_sqrt_ratio
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import UniswapV3Pool

Market = dict[Address, Pool]
Leg = tuple[Pool, Address]
Legs = Sequence[Leg]

TOKENS = [to_address(f"0x{n:040x}", "token") for n in (0x11, 0x22, 0x33, 0x44, 0x55)]
DECIMALS = {TOKENS[0]: 18, TOKENS[1]: 6, TOKENS[2]: 18, TOKENS[3]: 8, TOKENS[4]: 18}
PRICES = {TOKENS[0]: 2500.0, TOKENS[1]: 1.0, TOKENS[2]: 1.0, TOKENS[3]: 60_000.0, TOKENS[4]: 0.03}
"""US dollars a whole token."""
SPACING = {100: 1, 500: 10, 3000: 60, 10_000: 200}


def address(number: int) -> Address:
    return to_address(f"0x{0xAA000000 + number:040x}", "pool")


def raw_price(token0: Address, token1: Address) -> float:
    """Fair raw units of ``token1`` per raw unit of ``token0``."""
    return PRICES[token0] / PRICES[token1] * 10.0 ** (DECIMALS[token1] - DECIMALS[token0])


def v2(number: int, dex: str, token0: Address, token1: Address, dollars: float, skew: float = 1.0) -> UniswapV2Pool:
    """A pair with ``dollars`` on each side and ``skew`` times the fair price."""
    reserve0 = int(dollars / PRICES[token0] * 10 ** DECIMALS[token0])
    reserve1 = int(reserve0 * raw_price(token0, token1) * skew)
    return UniswapV2Pool(address(number), dex, token0, token1, 3000, reserve0, reserve1)


def v3(
    number: int,
    token0: Address,
    token1: Address,
    fee: int,
    positions: Iterable[tuple[int, int, float]],
    skew: float = 1.0,
    dex: str = "uniswap_v3",
) -> UniswapV3Pool:
    """A pool with ``positions`` of (spacings below, spacings above the price, virtual dollars)."""
    price = raw_price(token0, token1) * skew
    sqrt_price = int(math.sqrt(price) * 2**96)
    tick = get_tick_at_sqrt_ratio(sqrt_price)
    spacing = SPACING[fee]
    middle = tick // spacing
    nets: dict[int, int] = {}
    gross: dict[int, int] = {}
    active = 0
    for below, above, dollars in positions:
        lower, upper = (middle - below) * spacing, (middle + above) * spacing
        virtual0 = dollars / PRICES[token0] * 10.0 ** DECIMALS[token0]
        amount = int(virtual0 * math.sqrt(price))
        for at, net in ((lower, amount), (upper, -amount)):
            nets[at] = nets.get(at, 0) + net
            gross[at] = gross.get(at, 0) + amount
        active += amount if lower <= tick < upper else 0
    ticks = sorted(nets)
    return UniswapV3Pool(
        address(number),
        dex,
        token0,
        token1,
        fee,
        spacing,
        sqrt_price,
        tick,
        active,
        tuple(ticks),
        tuple(nets[at] for at in ticks),
        tuple(gross[at] for at in ticks),
    )


def at_tick(pool: UniswapV3Pool, tick: int, sqrt_price_x96: int | None = None) -> UniswapV3Pool:
    """``pool`` moved to ``tick``, its liquidity as the ticks tell."""
    liquidity = sum(net for at, net in zip(pool.tick_indices, pool.liquidity_net, strict=True) if at <= tick)
    price = get_sqrt_ratio_at_tick(tick) if sqrt_price_x96 is None else sqrt_price_x96
    return replace(pool, sqrt_price_x96=price, tick=tick, liquidity=liquidity)


def random_pool(rng: random.Random, number: int, tokens: Sequence[Address]) -> Pool:
    token0, token1 = sorted(rng.sample(list(tokens), 2))
    skew = math.exp(rng.gauss(0, 0.012))
    dollars = 10 ** rng.uniform(3, 7)
    if rng.random() < 0.5:
        return v2(number, rng.choice(["uniswap_v2", "sushiswap"]), token0, token1, dollars, skew)
    # ranges may overlap, leave gaps and lie beside the price
    positions = [
        (rng.randint(-4, 12), rng.randint(5, 25), dollars * 10 ** rng.uniform(-0.5, 1.5))
        for _ in range(rng.randint(1, 5))
    ]
    return v3(number, token0, token1, rng.choice(list(SPACING)), positions, skew)


def random_market(rng: random.Random, pools: int, tokens: int = 5) -> Market:
    made = (random_pool(rng, n, TOKENS[:tokens]) for n in range(pools))
    return {pool.address: pool for pool in made}


def other(pool: Pool, token: Address) -> Address:
    return pool.token1 if token == pool.token0 else pool.token0


def all_loops(market: Market, start: Address, hops: int) -> Iterator[list[Leg]]:
    """Every loop of ``hops`` different pools from ``start`` that visits no token twice."""

    def extend(legs: list[Leg], token: Address) -> Iterator[list[Leg]]:
        if len(legs) == hops:
            if token == start:
                yield legs
            return
        for pool in market.values():
            if token not in (pool.token0, pool.token1) or any(pool is used for used, _ in legs):
                continue
            following = other(pool, token)
            seen = {token_in for _, token_in in legs}
            if following not in seen or (following == start and len(legs) == hops - 1):
                yield from extend([*legs, (pool, token)], following)

    yield from extend([], start)


def exact_profit(legs: Legs, amount: int) -> int | None:
    """Profit of ``amount`` in exact integers; None where a pool refuses."""
    given = amount
    for pool, token in legs:
        try:
            given = pool.amount_out(token, given)
        except (ArithmeticError, ValueError):
            return None
    return given - amount


def best_by_golden_section(legs: Legs, largest: int = 10**30) -> tuple[int, int]:
    """(profit, input): the best of a logarithmic grid, refined by golden section on exact integers."""

    def value(amount: int) -> float:
        profit = exact_profit(legs, amount)
        return -math.inf if profit is None else profit

    grid = sorted({int(10 ** (k / 6)) for k in range(6 * 30) if 10 ** (k / 6) <= largest})
    at = max(range(len(grid)), key=lambda k: value(grid[k]))
    low, high = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    ratio = (math.sqrt(5) - 1) / 2
    while high - low > 3:
        a, b = high - int((high - low) * ratio), low + int((high - low) * ratio)
        if value(a) >= value(b):
            high = b
        else:
            low = a
    best = max([*range(low, high + 1), grid[at]], key=value)
    profit = exact_profit(legs, best)
    return (profit if profit is not None else 0), best


def rate(legs: Legs) -> float:
    """Product of the marginal rates; infinite where a pool has no liquidity at its very price."""
    product = 1.0
    for pool, token in legs:
        assert isinstance(pool, UniswapV2Pool | UniswapV3Pool)
        try:
            product *= float(pool.marginal_price(token))
        except ArithmeticError:
            return math.inf
    return product


def profitable_loops(market: Market, start: Address, hops: Iterable[int]) -> Iterator[tuple[list[Leg], int]]:
    """Every loop whose marginal rates multiply to above 1, with the largest exact profit found for it."""
    for count in hops:
        for legs in all_loops(market, start, count):
            if rate(legs) > 1.0:
                yield legs, best_by_golden_section(legs)[0]


def legs_of(route: Route, market: Market) -> list[Leg]:
    return [(market[hop.pool], hop.token_in) for hop in route.hops]


def check_integers(route: Route, market: Market) -> None:
    """Every amount of ``route`` is what its pool pays, and the whole earns."""
    for hop in route.hops:
        pool = market[hop.pool]
        assert pool.amount_out(hop.token_in, hop.amount_in) == hop.amount_out
        assert (hop.dex, hop.fee_pips, hop.venue) == (pool.dex, pool.fee_pips, pool.venue)
        assert hop.zero_for_one == (hop.token_in == pool.token0)
        assert hop.token_out == other(pool, hop.token_in)
    assert route.gross_profit > 0


def grain(route: Route) -> int:
    """Worth of a few raw units of every amount of ``route``, in its first token.

    Each pool rounds its input up and its output down by less than a unit for each range it crosses. A profit can thus
    differ by this much between two inputs whose real-valued profits are the same, and no more is claimed.
    """
    amounts = [hop.amount_out for hop in route.hops]
    return sum(8 * (route.amount_in // amount + 1) for amount in amounts)
