"""Every source of financing that there is on a chain."""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.token import LenderKind
from keeper.domain.units import Address
from keeper.execution.lenders import Lenders
from keeper.execution.pool_sources import Aave, Dodo, UniswapV3, by_token
from keeper.execution.sources import Balance, BalancerV2, BalancerV3, Erc3156, Inventory, Source
from keeper.market.specs import PoolSpec


def sources_of(lenders: Lenders, executor: Address | None, flash_pools: Sequence[PoolSpec]) -> tuple[Source, ...]:
    """Every source there is on a chain.

    Args:
        flash_pools: of Uniswap V3.
    """
    made: list[Source] = []
    if executor:
        made.append(Inventory(executor))
    if lenders.uniswap_v4_manager:
        made.append(Balance(LenderKind.UNISWAP_V4, lenders.uniswap_v4_manager))
    if lenders.balancer_v3_vault:
        made.append(BalancerV3(lenders.balancer_v3_vault))
    if lenders.morpho:
        made.append(Balance(LenderKind.MORPHO, lenders.morpho))
    if lenders.balancer_v2_vault:
        made.append(BalancerV2(lenders.balancer_v2_vault))
    if lenders.dodo:
        made.append(Dodo(lenders.dodo))
    if flash_pools:
        made.append(UniswapV3(by_token(flash_pools)))
    if lenders.erc3156:
        made.append(Erc3156(lenders.erc3156))
    if lenders.spark_pool:
        made.append(Aave(LenderKind.SPARK, lenders.spark_pool))
    if lenders.aave_v3_pool:
        made.append(Aave(LenderKind.AAVE_V3, lenders.aave_v3_pool))
    return tuple(made)
