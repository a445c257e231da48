"""Reads pool states from the chain, all at one block."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from keeper.domain.chain import BlockHeader
from keeper.domain.errors import InputError
from keeper.domain.units import Address
from keeper.market.multicall import BATCH_CALLS, Call, Progress, aggregate
from keeper.market.node import Node
from keeper.market.readers import READERS, Unreadable
from keeper.market.specs import PoolSpec, read_pool_specs, read_token_list
from keeper.market.venues.base import Pool

__all__ = ["PoolSpec", "load_pools", "read_pool_specs", "read_token_list"]

log = logging.getLogger(__name__)

POOLS_AT_ONCE = 1000
"""Pools of one kind that are read together: a pool with narrow ticks takes thousands of calls."""


async def load_pools(
    node: Node,
    specs: Sequence[PoolSpec],
    block: BlockHeader,
    *,
    progress: Progress | None = None,
    batch_calls: int = BATCH_CALLS,
    pools_at_once: int = POOLS_AT_ONCE,
) -> dict[Address, Pool]:
    """The states of the pools at the end of ``block``, by key and in the order of ``specs``.

    A pool that does not answer as its kind does, or not with the tokens and the fee of its spec, is left out with a
    warning in the log.

    Args:
        progress: told, by kind, how many pools were read or left out so far, and how many there are.

    Raises:
        ComponentError: the node is unwell.
        InputError: there is no reader for the kind of a pool.
        RpcError: the node refuses to answer, for example because the block is no longer part of its chain.
    """

    async def ask(calls: Sequence[Call]) -> list[bytes | None]:
        return await aggregate(node, calls, block.hash, batch_calls=batch_calls)

    pools: dict[Address, Pool] = {}
    for kind in dict.fromkeys(spec.venue for spec in specs):
        if kind not in READERS:
            raise InputError("venue", kind.value, f"Give one of: {', '.join(READERS)}.")
        chosen = [spec for spec in specs if spec.venue is kind]
        for at in range(0, len(chosen), pools_at_once):
            batch = chosen[at : at + pools_at_once]
            for spec, outcome in zip(batch, await READERS[kind](ask, batch), strict=True):
                if isinstance(outcome, Unreadable):
                    log.warning("pool %s (%s) is left out: %s", spec.key, spec.dex, outcome)
                else:
                    pools[outcome.key] = outcome
            if progress is not None:
                progress(kind.value, at + len(batch), len(chosen))
    return {key: pools[key] for key in (spec.key for spec in specs) if key in pools}
