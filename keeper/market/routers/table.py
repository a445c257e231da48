"""The routers that pending transactions are decoded for, and the factories whose pools they swap through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from keeper.domain.pending import Intent, PendingTransaction
from keeper.domain.units import Address, to_address
from keeper.market.routers.places import Factory
from keeper.market.routers.uniswap_v3 import V3Router
from keeper.market.routers.universal import UniversalRouter

Decode = Callable[[PendingTransaction], Intent | None]
"""Raises `keeper.market.routers.words.Malformed`."""


@dataclass(frozen=True, slots=True)
class Routers:
    """Of one chain; ``v2`` names the factory of each V2 router."""

    weth: Address
    v2: Mapping[Address, Factory]
    v3: tuple[V3Router, ...]
    universal: tuple[UniversalRouter, ...]


UNISWAP_V2 = Factory(
    "uniswap_v2",
    Address("0x5C69bEe701ef814a2B6a3EDD4B1652CB9cc5aA6f"),
    "96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f",
)
SUSHISWAP = Factory(
    "sushiswap",
    Address("0xC0AEe478e3658e2610c5F7A4A2E1777cE9e4f2Ac"),
    "e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303",
)
UNISWAP_V3 = Factory(
    "uniswap_v3",
    Address("0x1F98431c8aD98523631AE4a59f267346ea31F984"),
    "e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54",
)


def mainnet() -> Routers:
    """Ethereum's: Uniswap's and Sushiswap's V2 routers, both SwapRouters, the Universal Routers 1.2 to 2.1.2."""
    weth = Address("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2")
    manager = Address("0x000000000004444c5dc75cB358380D2e3dE08A90")
    universal = (
        ("0x3fC91A3afd70395Cd496C647d5a6CC9D4B2b7FAD", None, 0x3F),
        ("0x66a9893cC07D91D95644AEDD05D03f95e1dBA8Af", manager, 0x3F),
        ("0x4C82D1fBFe28C977cBB58D8C7FF8FCF9F70a2cCA", manager, 0x7F),
        ("0x23617e59A5925b2A4Bf75d73ff6711cD0b29De85", manager, 0x7F),
    )
    return Routers(
        weth=weth,
        v2={
            Address("0xf164fC0Ec4E93095b804a4795bBe1e041497b92a"): UNISWAP_V2,
            Address("0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D"): UNISWAP_V2,
            Address("0xd9e1cE17f2641f24aE83637ab66a2cca9C378B9F"): SUSHISWAP,
        },
        v3=(
            V3Router(Address("0xE592427A0AEce92De3Edee1F18E0157C05861564"), UNISWAP_V3, None, weth),
            V3Router(Address("0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"), UNISWAP_V3, UNISWAP_V2, weth),
        ),
        universal=tuple(
            UniversalRouter(to_address(address, "router"), UNISWAP_V2, UNISWAP_V3, weth, pool_manager, mask)
            for address, pool_manager, mask in universal
        ),
    )
