"""The adapter, deployed by the project's own script on a fork of mainnet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from keeper.domain.errors import InputError
from keeper.domain.units import Address
from keeper.execution.contract_build import ADAPTER, contract_build
from tests.fork.conftest import script

if TYPE_CHECKING:
    from ape.api import AccountAPI, ProviderAPI

DEPLOY = script("deploy_adapter")


def test_the_adapter_is_deployed_once_and_recognised(
    provider: ProviderAPI, operator: AccountAPI, treasury: AccountAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    roles = Address(operator.address), Address(treasury.address)
    deployment = DEPLOY.deploy(provider, *roles, operator)
    assert "already deployed" not in capsys.readouterr().err
    assert contract_build(ADAPTER).roles_in(bytes(provider.get_code(deployment.adapter))) == roles
    again = DEPLOY.deploy(provider, *roles, operator)
    assert "already deployed" in capsys.readouterr().err
    assert (again.adapter, again.codehash) == (deployment.adapter, deployment.codehash)


def test_other_code_at_the_address_is_refused(
    provider: ProviderAPI, operator: AccountAPI, treasury: AccountAPI
) -> None:
    other = Address(treasury.address), Address(operator.address)
    deployment = DEPLOY.deploy(provider, *other, operator)
    provider.make_request("anvil_setCode", [deployment.adapter, "0x00"])
    with pytest.raises(InputError):
        DEPLOY.deploy(provider, *other, operator)
