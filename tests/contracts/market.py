"""Pools of every venue on the replica, with the exact states from which routes are made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from keeper.domain.route import Hop
from keeper.domain.swap_detail import V4Key
from keeper.domain.token import VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.market.loader import load_pools
from keeper.market.node import Node as RpcNode
from keeper.market.specs import PoolSpec
from keeper.market.venues import Pool
from keeper.market.venues.multi import MultiTokenPool
from tests.conftest import RunningReplica
from tests.contracts.compiler import STAND_INS, compile_sources, read_sources
from tests.contracts.site import ETHER, LENDERS, STRANGER, LenderKind, Site, calldata

MANAGER = LENDERS[LenderKind.UNISWAP_V4]
KEY = "(address,address,uint24,int24,address)"
FULL_RANGE = 887_200


def load(replica: RunningReplica, specs: Iterable[PoolSpec]) -> list[Pool]:
    """The pools as they are now, in the order of ``specs``."""
    wanted = list(specs)

    async def work() -> dict[Address, Pool]:
        async with RpcNode(replica.http_url) as node:
            return await load_pools(node, wanted, await node.block())

    found = replica.background.run(work())
    return [found[spec.key] for spec in wanted]


def specs(replica: RunningReplica, *kinds: VenueKind) -> list[PoolSpec]:
    """What the replica has of these kinds, in its order."""
    entries: list[dict[str, Any]] = [*replica.state.pools(), *replica.state.other_pools()]
    return [PoolSpec.from_json(entry) for entry in entries if entry["venue"] in kinds]


def spec_of(replica: RunningReplica, kind: VenueKind, *tokens: Address) -> PoolSpec:
    """The first pool of the kind that trades these two tokens."""
    for spec in specs(replica, kind):
        (pool,) = load(replica, [spec])
        held = pool.tokens if isinstance(pool, MultiTokenPool) else (pool.token0, pool.token1)
        if set(tokens) <= set(held):
            return spec
    raise LookupError(f"no pool of {kind} trades {tokens}")


def hop(pool: Pool, token_in: Address, token_out: Address, amount_in: int) -> Hop:
    """A swap of exactly this input."""
    view = pool.pair(token_in, token_out) if isinstance(pool, MultiTokenPool) else pool
    return Hop(
        pool=view.key,
        venue=view.venue,
        dex=view.dex,
        token_in=token_in,
        token_out=token_out,
        zero_for_one=token_in == view.token0,
        amount_in=amount_in,
        amount_out=view.amount_out(token_in, amount_in),
        fee_pips=view.fee_pips,
        detail=view.swap_detail(token_in),
    )


def hops(pools: Sequence[Pool], tokens: Sequence[Address], amount_in: int) -> tuple[Hop, ...]:
    """One after the other through ``tokens``, which begin and end with the token that is earned."""
    made: list[Hop] = []
    for pool, (token_in, token_out) in zip(pools, pairwise(tokens), strict=True):
        made.append(hop(pool, token_in, token_out, made[-1].amount_out if made else amount_in))
    return tuple(made)


class V4Market:
    """Another pool of ETH and USDC beside the replica's, at 0.3%, and a hand that trades in both."""

    def __init__(self, site: Site, usdc: Address, sqrt_price: int) -> None:
        self._site = site
        code = compile_sources(read_sources(STAND_INS), quick=True)["V4Hand"].init_code
        self.hand = site.create(code + bytes(12) + bytes.fromhex(MANAGER[2:]))
        self._site.give(usdc, self.hand, 10**14)
        site.rpc("anvil_setBalance", self.hand, hex(10**5 * ETHER))
        self.key = V4Key(MANAGER, ZERO_ADDRESS, usdc, 3000, 60, ZERO_ADDRESS)
        position = (-FULL_RANGE // 60 * 60 + 60, FULL_RANGE // 60 * 60 - 60, 10**18, bytes(32))
        fill = calldata(
            f"fill({KEY},uint160,(int24,int24,int256,bytes32))", self._words(self.key), sqrt_price, position
        )
        site.must(STRANGER, self.hand, fill)
        self.spec = PoolSpec(MANAGER, VenueKind.UNISWAP_V4, "uniswap_v4", ZERO_ADDRESS, usdc, 3000, 60)

    def sell_ether(self, key: V4Key, amount: int) -> None:
        """Let the pool have more ETH, so that it pays more of it for USDC."""
        terms = (True, -amount, 4295128740)
        self._site.must(STRANGER, self.hand, calldata(f"trade({KEY},(bool,int256,uint160))", self._words(key), terms))

    @staticmethod
    def _words(key: V4Key) -> tuple[Address, Address, int, int, Address]:
        return key.currency0, key.currency1, key.fee_pips, key.tick_spacing, key.hooks
