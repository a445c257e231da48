"""The treasury takes home what the executor holds: tokens of every temper and the chain's coin; nobody else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ape
import pytest

from keeper.domain.errors import InputError
from keeper.domain.units import ZERO_ADDRESS
from keeper.execution.deployment import Deployment
from tests.contracts.site import DAI, ETHER, USDC, USDT, WETH, Site
from tests.fork.conftest import script

if TYPE_CHECKING:
    from ape.api import AccountAPI, ProviderAPI

WITHDRAW = script("withdraw")
TOKENS = [WETH, USDC, USDT, DAI]
"""USDT answers nothing to a transfer."""


def test_all_tokens_and_the_coin_go_to_the_treasury(
    provider: ProviderAPI, deployment: Deployment, treasury: AccountAPI, site: Site
) -> None:
    held = {token: 10**9 + number for number, token in enumerate(TOKENS)}
    for token, amount in held.items():
        site.give(token, site.executor, amount - site.balance(token, site.executor))
    provider.make_request("anvil_setBalance", [site.executor, hex(3 * ETHER)])
    before = {token: site.balance(token, treasury.address) for token in TOKENS}

    withdrawn = WITHDRAW.withdraw_all(provider, deployment, treasury, TOKENS, 1)

    assert withdrawn == {token: amount - 1 for token, amount in held.items()} | {ZERO_ADDRESS: 3 * ETHER}
    assert provider.get_balance(site.executor) == 0
    for token in TOKENS:
        assert site.balance(token, site.executor) == 1
        assert site.balance(token, treasury.address) - before[token] == withdrawn[token]
    assert WITHDRAW.withdraw_all(provider, deployment, treasury, TOKENS, 1) == {}


def test_one_token_in_part(provider: ProviderAPI, deployment: Deployment, treasury: AccountAPI, site: Site) -> None:
    site.give(USDC, site.executor, 5_000)
    held = site.balance(USDC, site.executor)
    assert WITHDRAW.withdraw(provider, deployment, treasury, USDC, 4_000, 1) == 4_000
    assert site.balance(USDC, site.executor) == held - 4_000
    with pytest.raises(InputError, match="--token"):
        WITHDRAW.withdraw(provider, deployment, treasury, treasury.address, 1, 0)
    with pytest.raises(InputError, match="--amount"):
        WITHDRAW.withdraw(provider, deployment, treasury, USDC, held, 1)


def test_nobody_but_the_treasury(
    provider: ProviderAPI, deployment: Deployment, operator: AccountAPI, site: Site
) -> None:
    site.give(USDC, site.executor, 5_000)
    with ape.reverts():
        WITHDRAW.withdraw(provider, deployment, operator, USDC, 1, 0)
    chosen = WITHDRAW.choose_account(None, deployment.treasury, dev_chain=True)
    assert chosen.address == deployment.treasury
    with pytest.raises(InputError, match="--account"):
        WITHDRAW.choose_account(None, deployment.treasury, dev_chain=False)
