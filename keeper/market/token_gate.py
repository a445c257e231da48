"""Keeps pools out of the book whose tokens did not pass the probe."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from keeper.domain.chain import BlockHeader
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.market.token_probe import TokenProbe
from keeper.market.venues.base import Pool
from keeper.market.venues.multi import MultiTokenPool

log = logging.getLogger(__name__)


async def refuse_tokens(
    probe: TokenProbe, pools: Mapping[Address, Pool], block: BlockHeader
) -> tuple[dict[Address, Pool], dict[Address, str]]:
    """The pools all of whose tokens may be traded, and why each of the others may not; both by key.

    Every token is probed from the pool with most of it. Ether is none.

    Raises:
        ComponentError: the node is unwell or does not serve eth_simulateV1.
        RpcError: the node refuses, for example because the block is gone.
    """
    facts = await probe.probe(_deepest_holders(pools.values()), block)
    bad = sum(verdict.refused is not None for verdict in facts.values())
    log.info("tokens: %d probed, %d refused", len(facts), bad)
    kept: dict[Address, Pool] = {}
    refused: dict[Address, str] = {}
    for key, pool in pools.items():
        reasons = [
            f"token {token}: {facts[token].refused}"
            for token in _tokens(pool)
            if token in facts and facts[token].refused is not None
        ]
        if reasons:
            refused[key] = "; ".join(reasons)
            log.warning("pool %s (%s) is left out: %s", key, pool.dex, refused[key])
        else:
            kept[key] = pool
    return kept, refused


def _tokens(pool: Pool) -> tuple[Address, ...]:
    return pool.tokens if isinstance(pool, MultiTokenPool) else (pool.token0, pool.token1)


def _deepest_holders(pools: Iterable[Pool]) -> dict[Address, Address]:
    """By token the contract, a pool or its vault, that holds it for the pool with most of it behind its price."""
    deepest: dict[Address, tuple[int, Address]] = {}
    for pool in pools:
        place = pool.address if pool.holder is None else pool.holder[0]
        for token in _tokens(pool):
            depth = pool.spot_liquidity(token)
            if token != ZERO_ADDRESS and (token not in deepest or depth > deepest[token][0]):
                deepest[token] = depth, place
    return {token: place for token, (_, place) in deepest.items()}
