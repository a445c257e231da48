"""Every financing with every order of hops earns exactly what was predicted, and leaves nothing behind."""

from __future__ import annotations

import pytest

from keeper.domain.token import LenderKind, VenueKind
from keeper.domain.units import Address
from tests.contracts.site import (
    BORROWED,
    DAI,
    ETHER,
    FOREVER,
    LENDERS,
    OPERATOR,
    USDC,
    USDT,
    WETH,
    Site,
    above,
)

ORDERS = [
    *("22", "23", "32", "33"),
    *("222", "223", "232", "233", "322", "323", "332", "333"),
    *("2222", "2232", "2323", "3223", "3232", "3322", "2233", "3333"),
]
LOOPS = {2: (WETH, USDC), 3: (WETH, USDC, DAI), 4: (WETH, USDC, USDT, DAI)}
WBTC = Address("0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599")
FINANCED = (LenderKind.FLASH_SWAP, *BORROWED)
VENUES = {"2": VenueKind.UNISWAP_V2, "3": VenueKind.UNISWAP_V3}


@pytest.mark.parametrize("order", ORDERS)
def test_profit_is_exact_whatever_the_order_of_hops_and_the_lender(site: Site, order: str) -> None:
    with site.undone():
        site.give(WETH, LENDERS[LenderKind.UNISWAP_V4], 100 * ETHER)
        route = site.profitable_route(LOOPS[len(order)], [VENUES[kind] for kind in order], 2 * ETHER)
        for kind in FINANCED:
            expected = route.gross_profit - site.financing(route, kind).fee
            refused = site.call(OPERATOR, site.executor, site.stream(route, kind, above(expected)))
            assert refused.error == "ProfitTooSmall", kind
            with site.undone():
                before = site.balance(WETH, site.executor)
                site.must(OPERATOR, site.executor, site.stream(route, kind, expected))
                assert site.balance(WETH, site.executor) - before == expected, kind
                for token in (WETH, USDC, USDT, DAI):
                    assert token == WETH or site.balance(token, site.executor) == 0
                    assert all(site.allowance(token, lender) == 0 for lender in LENDERS.values())


@pytest.mark.parametrize("kind", FINANCED)
@pytest.mark.parametrize("order", ["22", "32"])
def test_a_token_that_returns_nothing_can_be_earned_borrowed_and_repaid(
    site: Site, order: str, kind: LenderKind
) -> None:
    with site.undone():
        site.give(USDT, LENDERS[LenderKind.MORPHO], 10**12)
        site.give(USDT, LENDERS[LenderKind.BALANCER_V2], 10**12)
        site.give(USDT, LENDERS[LenderKind.UNISWAP_V4], 10**12)
        route = site.profitable_route((USDT, WETH), [VENUES[hop] for hop in order], 5_000 * 10**6)
        expected = route.gross_profit - site.financing(route, kind).fee
        site.must(OPERATOR, site.executor, site.stream(route, kind, expected))
        assert site.balance(USDT, site.executor) == expected
        assert all(site.allowance(USDT, lender) == 0 for lender in LENDERS.values())


def test_a_stream_runs_until_its_last_block_and_on_its_parent_only(site: Site) -> None:
    with site.undone():
        route = site.profitable_route((WETH, USDC), [VENUES["2"], VENUES["3"]], ETHER)
        head = site.rpc("eth_getBlockByNumber", "latest", False)
        number, parent = int(head["number"], 16), head["hash"]
        other = "0x" + "5a" * 32

        def error(last_block: int, parent_hash: str | None) -> str:
            guards = {"last_block": last_block, "parent_hash": parent_hash}
            stream = site.stream(route, LenderKind.FLASH_SWAP, route.gross_profit, **guards)
            return site.call(OPERATOR, site.executor, stream).error

        assert error(number + 1, None) == ""
        assert error(number, None) == "Expired"
        assert error(number + 1, parent) == ""
        assert error(number + 1, other) == "WrongParent"
        assert error(number, parent) == "Expired"
        assert error(FOREVER, other) == "WrongParent"


@pytest.mark.parametrize("order", ["33333333", "23232323", "32332323"])
def test_a_route_of_eight_pools(site: Site, order: str) -> None:
    """Tokens may come again, pools may not."""
    tokens = (WETH, USDC, USDT, DAI, WETH, USDT, USDC, DAI)
    with site.undone():
        route = site.profitable_route(tokens, [VENUES[kind] for kind in order], ETHER // 50)
        assert len(route.hops) == 8
        for kind in (LenderKind.FLASH_SWAP, LenderKind.MORPHO):
            with site.undone():
                before = site.balance(WETH, site.executor)
                site.must(OPERATOR, site.executor, site.stream(route, kind, route.gross_profit))
                assert site.balance(WETH, site.executor) - before == route.gross_profit, kind


@pytest.mark.parametrize(("token", "amount"), [(USDC, 5_000 * 10**6), (DAI, 5_000 * ETHER), (WBTC, 10**7)])
def test_other_tokens_are_earned(site: Site, token: Address, amount: int) -> None:
    with site.undone():
        route = site.profitable_route((token, WETH), [VENUES["3"], VENUES["2"]], amount)
        for kind in (LenderKind.FLASH_SWAP, LenderKind.MORPHO):
            with site.undone():
                before = site.balance(token, site.executor)
                site.must(OPERATOR, site.executor, site.stream(route, kind, route.gross_profit))
                assert site.balance(token, site.executor) - before == route.gross_profit, kind
