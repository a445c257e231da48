"""The executor on a fork of mainnet, deployed and driven through ape as an operator would."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import ape
import pytest

from keeper.domain.errors import InputError
from keeper.domain.token import LenderKind, VenueKind
from keeper.execution.deployment import Deployment
from tests.contracts.site import DAI, ETHER, USDC, WETH, Site

if TYPE_CHECKING:
    from ape.api import AccountAPI, ProviderAPI

V2, V3 = VenueKind.UNISWAP_V2, VenueKind.UNISWAP_V3


def test_deploying_again_finds_the_same_executor(
    deploy_script: ModuleType,
    provider: ProviderAPI,
    deployment: Deployment,
    operator: AccountAPI,
    treasury: AccountAPI,
) -> None:
    nonce = operator.nonce
    again = deploy_script.deploy(provider, operator.address, treasury.address, operator)
    assert (again.executor, again.codehash) == (deployment.executor, deployment.codehash)
    assert operator.nonce == nonce


def test_other_code_at_the_address_is_refused(
    deploy_script: ModuleType,
    provider: ProviderAPI,
    deployment: Deployment,
    operator: AccountAPI,
    treasury: AccountAPI,
) -> None:
    code = provider.make_request("eth_getCode", [deployment.executor, "latest"])
    provider.make_request("anvil_setCode", [deployment.executor, code[:-2] + "00"])
    with pytest.raises(InputError, match="not this project's executor"):
        deploy_script.deploy(provider, operator.address, treasury.address, operator)


def test_roles_have_to_be_given_and_apart(deploy_script: ModuleType, operator: AccountAPI) -> None:
    choose = deploy_script.choose_roles
    one, nobody = operator.address, "0x" + "00" * 20
    with pytest.raises(InputError, match="--operator"):
        choose(None, one, dev_chain=False, force=False)
    with pytest.raises(InputError, match="--treasury"):
        choose(one, nobody, dev_chain=False, force=False)
    for dev_chain, force in ((False, False), (False, True), (True, False)):
        with pytest.raises(InputError, match="another account"):
            choose(one, one, dev_chain=dev_chain, force=force)
    assert choose(one, one, dev_chain=True, force=True) == (one, one)


@pytest.mark.parametrize(
    ("tokens", "venues"),
    [((WETH, USDC), (V2, V2)), ((WETH, USDC), (V3, V2)), ((WETH, USDC, DAI), (V2, V2, V2))],
    ids=["cross-dex V2-V2", "cross-dex V3-V2", "triangular"],
)
def test_a_trade_earns_what_was_predicted(
    site: Site, operator: AccountAPI, tokens: tuple[str, ...], venues: tuple[VenueKind, ...]
) -> None:
    route = site.profitable_route(tokens, venues, ETHER)
    too_much = route.gross_profit + route.gross_profit // 10**6  # a stream states its profit to some seven digits
    with ape.reverts():
        operator.transfer(site.executor, 0, data=site.stream(route, LenderKind.FLASH_SWAP, too_much), gas=2_000_000)
    before = site.balance(WETH, site.executor)
    operator.transfer(
        site.executor, 0, data=site.stream(route, LenderKind.FLASH_SWAP, route.gross_profit), gas=2_000_000
    )
    assert site.balance(WETH, site.executor) - before == route.gross_profit
