"""The configured networks: one deployment on each gives one address, and its source holds on each."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from keeper.domain.errors import InputError
from keeper.execution.contract_build import executor_build
from keeper.execution.deployment import Deployment, executor_address, load_deployment, save_deployment
from keeper.execution.lenders import LENDERS
from keeper.replica.anvil import find_anvil
from tests.fork.conftest import script

if TYPE_CHECKING:
    from ape.api import AccountAPI

VERIFY = script("verify")
NETWORKS = {"ethereum": 1, "polygon": 137, "arbitrum": 42161, "base": 8453, "optimism": 10}


@contextmanager
def chain(chain_id: int) -> Iterator[str]:
    """An empty local chain with this id; yields its address."""
    argv = [find_anvil(), "--port", "0", "--chain-id", str(chain_id), "--hardfork", "osaka"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as node:
        try:
            assert node.stdout is not None
            told = (re.search(r"Listening on (127\.0\.0\.1:\d+)", line) for line in node.stdout)
            found = next((match for match in told if match), None)
            assert found is not None, "anvil ended before it listened"
            yield f"http://{found.group(1)}"
        finally:
            node.terminate()


def test_the_configured_networks_are_those_with_lenders(networks: Any) -> None:
    assert set(NETWORKS.values()) == set(LENDERS)
    for name, chain_id in NETWORKS.items():
        assert networks.get_ecosystem(name).mainnet.chain_id == chain_id


@pytest.fixture(scope="module")
def deployments(
    deploy_script: ModuleType, operator: AccountAPI, treasury: AccountAPI, networks: Any
) -> dict[str, Deployment]:
    """The executor on a local chain of each network, deployed by the script under that network's configuration."""
    found = {}
    for name, chain_id in NETWORKS.items():
        with chain(chain_id) as url, networks.parse_network_choice(f"{name}:mainnet:{url}") as provider:
            assert provider.chain_id == chain_id
            roles = operator.address, treasury.address
            found[name] = deploy_script.deploy(provider, *roles, operator, 0)
            again = deploy_script.deploy(provider, *roles, operator, 0)
            assert (again.executor, again.codehash) == (found[name].executor, found[name].codehash)
    return found


def test_one_address_and_one_code_on_every_network(
    deployments: dict[str, Deployment], operator: AccountAPI, treasury: AccountAPI
) -> None:
    assert set(deployments) == set(NETWORKS)
    init_code = executor_build().init_code
    assert {one.executor for one in deployments.values()} == {
        executor_address(init_code, operator.address, treasury.address)
    }
    assert len({one.codehash for one in deployments.values()}) == 1
    assert {(one.operator, one.treasury) for one in deployments.values()} == {(operator.address, treasury.address)}


def test_other_roles_have_another_address(deployments: dict[str, Deployment]) -> None:
    init_code = executor_build().init_code
    one = deployments["base"]
    assert executor_address(init_code, one.treasury, one.operator) != one.executor


def test_a_network_of_another_id_is_refused(networks: Any) -> None:
    """The configuration's own guard: what is deployed for Base cannot land elsewhere by a wrong address of a node."""
    from ape.exceptions import NetworkMismatchError

    with chain(42161) as url, pytest.raises(NetworkMismatchError):
        networks.parse_network_choice(f"base:mainnet:{url}").__enter__()


def test_the_executor_on_the_fork_is_this_checkouts(deployment: Deployment, provider: Any, tmp_path: Path) -> None:
    build = executor_build()
    assert VERIFY.check_code(provider, build, deployment.executor) == (deployment.operator, deployment.treasury)
    code = provider.make_request("eth_getCode", [deployment.executor, "latest"])
    provider.make_request("anvil_setCode", [deployment.executor, code[:-2] + "00"])
    with pytest.raises(InputError, match="deployed code"):
        VERIFY.check_code(provider, build, deployment.executor)
    with pytest.raises(InputError, match="Nothing is deployed"):
        VERIFY.check_code(provider, build, deployment.treasury)
    save_deployment(tmp_path, 1, deployment)
    assert load_deployment(tmp_path, 1) == deployment


def test_a_key_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VERIFY.KEY, raising=False)
    with pytest.raises(InputError, match="ORION_EXPLORER_KEY"):
        VERIFY.choose_explorer("etherscan", 1, None)
    assert VERIFY.choose_explorer("sourcify", 1, None) is not None
