"""Builders of routes and opportunities for tests."""

from __future__ import annotations

from keeper.domain.opportunity import Opportunity, RiskClass
from keeper.domain.route import Hop, Route
from keeper.domain.token import VenueKind
from keeper.domain.units import Address, to_address

WETH = to_address("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2", "weth")
USDC = to_address("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "usdc")


def pool_address(number: int) -> Address:
    return to_address(f"0x{number:040x}", "pool")


def loop(pools: tuple[int, int], profit: int, *, amount_in: int = 10**18, token: Address = WETH) -> Route:
    """A two-hop loop ``token`` -> USDC -> ``token`` through the pools with these numbers."""
    other = USDC if token == WETH else WETH
    middle = 3_000 * 10**6

    def hop(pool: int, token_in: Address, token_out: Address, amounts: tuple[int, int]) -> Hop:
        return Hop(
            pool=pool_address(pool),
            venue=VenueKind.UNISWAP_V2,
            dex="uniswap_v2",
            token_in=token_in,
            token_out=token_out,
            zero_for_one=token_in < token_out,
            amount_in=amounts[0],
            amount_out=amounts[1],
            fee_pips=3000,
        )

    return Route(
        (
            hop(pools[0], token, other, (amount_in, middle)),
            hop(pools[1], other, token, (middle, amount_in + profit)),
        )
    )


def opportunity(route: Route, *, risk: RiskClass = RiskClass.LOW, block_number: int = 100) -> Opportunity:
    return Opportunity(strategy="cross_dex", chain_id=1, block_number=block_number, route=route, risk=risk)
