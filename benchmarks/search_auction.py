"""A recorded batch auction of the CoW protocol as a market: its pools, what a swap in each costs, prices of tokens.

The format is that of the solvers' instance files: pools of constant product, with ranges, weighted and stable, with
decimal fees; gas as an amount of a token, Ether's wrapper throughout; prices in wei of Ether a raw unit, where known.
"""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.loop_filter import HOP_COUNTS, LoopFilter
from keeper.domain.route import Route
from keeper.domain.token import TRADED_VENUES
from keeper.domain.units import Address, Hash32, to_address
from keeper.market.venues.balancer_v2 import VAULT
from keeper.market.venues.balancer_v2_stable import BalancerV2StablePool
from keeper.market.venues.balancer_v2_weighted import BalancerV2WeightedPool
from keeper.market.venues.base import Pool
from keeper.market.venues.multi import MultiTokenPool, pairs_of
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import UniswapV3Pool

AUCTIONS = "cow-auctions"
SPACINGS = {100: 1, 500: 10, 3000: 60, 10_000: 200}
ROUTES = 1_000
ALL_STEPS = 10**12
WAD = 10**18
AMP_PRECISION = 1000


@dataclass(frozen=True)
class Auction:
    """The market of one auction.

    Attributes:
        pools: by address; those with more than two tokens as a whole.
        cost: by pool, wei that a swap in it costs.
        price: by token, wei a raw unit; the file's own, else what its pools imply.
        weth: the token that gas is paid in.
    """

    name: str
    pools: dict[Address, Pool | MultiTokenPool]
    cost: dict[Address, int]
    price: dict[Address, float]
    weth: Address

    def net(self, route: Route) -> float | None:
        """Wei that a route earns after gas; None where its token has no price."""
        if route.token not in self.price:
            return None
        return route.gross_profit * self.price[route.token] - sum(self.cost[hop.pool] for hop in route.hops)


@dataclass(frozen=True)
class AuctionResult:
    """What the search finds in an auction.

    Attributes:
        pools: that the search took, and how many there are.
        routes: proven loops of two to four hops, before gas; of each number of hops the best `ROUTES`.
        gross, net: of the best of them, wei; ``net`` is None when there is no loop.
        sent: loops that earn more than their gas.
        seconds: building the tables, and searching all loops.
    """

    pools: tuple[int, int]
    routes: list[Route]
    gross: float | None
    net: float | None
    sent: list[Route]
    seconds: tuple[float, float]


def load_auction(path: Path) -> Auction:
    """Read an instance file, compressed by gzip."""
    instance = json.loads(gzip.decompress(path.read_bytes()))
    decimals = {token: entry["decimals"] for token, entry in instance["tokens"].items()}
    pools: dict[Address, Pool | MultiTokenPool] = {}
    cost: dict[Address, int] = {}
    for entry in instance["amms"].values():
        pool = _pool(entry, decimals)
        pools[pool.address] = pool
        cost[pool.address] = int(entry["cost"]["amount"])
    price = {
        to_address(token, "token"): float(entry["external_price"])
        for token, entry in instance["tokens"].items()
        if entry["external_price"] is not None
    }
    weth = to_address(instance["metadata"]["native_token"], "native_token")
    return Auction(path.name.split(".")[0], pools, cost, _implied(pools.values(), price) | price, weth)


def search_auction(auction: Auction) -> AuctionResult:
    """All loops of two to four hops through the pools that the search takes, with profit in any token with a price."""
    pools = {address: pool for address, pool in auction.pools.items() if pool.venue in TRADED_VENUES}
    pairs = [pair for pool in pools.values() for pair in pairs_of(pool)]
    tokens = Counter(token for pair in pairs for token in (pair.token0, pair.token1))
    priced = sorted((token for token in tokens if token in auction.price), key=lambda token: -tokens[token])
    start = time.perf_counter()
    search = LoopSearch(pools, [auction.weth, *priced], enumerated_steps=ALL_STEPS)
    built = time.perf_counter()
    # one number of hops after the other: the bounds of a search are for each, and loops of four are many
    found = [search.find(pools, allow=LoopFilter(frozenset({hops})), limit=ROUTES) for hops in sorted(HOP_COUNTS)]
    routes = [route for some in found for route in some]
    done = time.perf_counter()
    worth = {id(route): auction.net(route) for route in routes}
    valued = [(worth[id(route)], route) for route in routes if worth[id(route)] is not None]
    gross = [route.gross_profit * auction.price[route.token] for _, route in valued]
    return AuctionResult(
        pools=(len(pools), len(auction.pools)),
        routes=routes,
        gross=max(gross, default=None),
        net=max((net for net, _ in valued), default=None),
        sent=[route for net, route in valued if net > 0],
        seconds=(built - start, done - built),
    )


def _implied(pools: Iterable[Pool | MultiTokenPool], price: Mapping[Address, float]) -> dict[Address, float]:
    """Prices of tokens that the file gives none for, from the pool in which most stands against a token with one."""
    deepest: dict[Address, tuple[float, float]] = {}
    for pair in (pair for pool in pools for pair in pairs_of(pool)):
        for token, other in ((pair.token0, pair.token1), (pair.token1, pair.token0)):
            if token in price or other not in price:
                continue
            depth = pair.spot_liquidity(other) * price[other]
            if depth > deepest.get(token, (0.0, 0.0))[0]:
                deepest[token] = depth, float(pair.marginal_price(token)) * price[other]
    return {token: implied for token, (_, implied) in deepest.items()}


def _pool(entry: Mapping[str, Any], decimals: Mapping[str, int]) -> Pool | MultiTokenPool:
    address = to_address(entry["address"], "address")
    match entry["kind"]:
        case "ConstantProduct":
            (token0, reserve0), (token1, reserve1) = sorted(entry["reserves"].items())
            tokens = to_address(token0, "token"), to_address(token1, "token")
            return UniswapV2Pool(address, "constant_product", *tokens, _pips(entry), int(reserve0), int(reserve1))
        case "Concentrated":
            return _concentrated(address, entry)
        case "WeightedProduct" | "Stable":
            return _balancer(address, entry, decimals)
        case kind:
            raise ValueError(f"pool {address} is of the unknown kind {kind}")


def _concentrated(address: Address, entry: Mapping[str, Any]) -> UniswapV3Pool:
    state = entry["pool"]["state"]
    nets = sorted((int(tick), int(net)) for tick, net in state["liquidity_net"].items())
    return UniswapV3Pool(
        address,
        "concentrated",
        *(to_address(token["id"], "token") for token in entry["pool"]["tokens"]),
        _pips(entry),
        SPACINGS[_pips(entry)],
        int(state["sqrt_price"]),
        int(state["tick"]),
        int(state["liquidity"]),
        tuple(tick for tick, _ in nets),
        tuple(net for _, net in nets),
        tuple(abs(net) for _, net in nets),
    )


def _balancer(address: Address, entry: Mapping[str, Any], decimals: Mapping[str, int]) -> MultiTokenPool:
    """A weighted or stable pool. The file does not tell the pool's id, which only events and transactions need."""
    names = sorted(entry["reserves"])
    reserves = [entry["reserves"][name] for name in names]
    tokens = tuple(to_address(name, "token") for name in names)
    common = (address, "balancer_v2", tokens, VAULT, Hash32(address.lower().ljust(66, "0")), _of_wad(entry["fee"]))
    if entry["kind"] == "Stable":
        # the worth of a raw unit is one in so many scaling rates
        factors = tuple(WAD * WAD // int(entry["scaling_rates"][name]) for name in names)
        amplification = int(entry["amplification_parameter"]) * AMP_PRECISION
        return BalancerV2StablePool(*common, tuple(map(int, reserves)), amplification, factors)
    weights = [_of_wad(reserve["weight"]) for reserve in reserves]
    weights[-1] += WAD - sum(weights)  # written as rounded decimals
    balances = tuple(int(reserve["balance"]) for reserve in reserves)
    return BalancerV2WeightedPool(*common, balances, tuple(weights), tuple(decimals[name] for name in names), "v2")


def _pips(entry: Mapping[str, Any]) -> int:
    pips = Decimal(entry["fee"]) * 10**6
    if pips != int(pips):
        raise ValueError(f"the fee of {entry['address']} is no whole number of millionths")
    return int(pips)


def _of_wad(share: str) -> int:
    return int((Decimal(share) * WAD).to_integral_value())
