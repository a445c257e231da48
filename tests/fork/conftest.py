"""Fixtures of the tests under ape: the executor, deployed by the project's own script, on a fork of mainnet."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from ape.managers.accounts import TestAccountManager
from ape_ethereum.trace import Trace

from keeper.config import CHECKOUT
from keeper.execution.deployment import Deployment
from tests.contracts.site import DAI, USDC, WETH, Site

if TYPE_CHECKING:
    from ape.api import AccountAPI, ProviderAPI

# mainnet's own; the replica has the same
POOLS = [
    ("uniswap_v2", "uniswap_v2", USDC, WETH, 3000, "0xB4e16d0168e52d35CaCD2c6185b44281Ec28C9Dc", None),
    ("uniswap_v2", "sushiswap", USDC, WETH, 3000, "0x397FF1542f962076d0BFE58eA045FfA2d347ACa0", None),
    ("uniswap_v2", "uniswap_v2", DAI, USDC, 3000, "0xAE461cA67B15dc8dc81CE7615e0320dA1A9aB8D5", None),
    ("uniswap_v2", "uniswap_v2", DAI, WETH, 3000, "0xA478c2975Ab1Ea89e8196811F51A7B7Ade33eB11", None),
    ("uniswap_v3", "uniswap_v3", USDC, WETH, 500, "0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640", 10),
]


@dataclass(frozen=True)
class Fork:
    """The node that ape has forked."""

    provider: ProviderAPI
    pools: list[dict[str, Any]]

    def rpc(self, method: str, *params: Any) -> Any:
        return self.provider.make_request(method, list(params))


def _addresses_by_call_tracer(self: Trace, reverse: bool = False) -> Iterator[str]:
    """Contracts in a failed transaction, as anvil's own tracer tells them."""
    root = self.provider.make_request("debug_traceTransaction", [self.transaction_hash, {"tracer": "callTracer"}])
    found: list[str] = []

    def walk(frame: dict[str, Any]) -> None:
        if frame.get("to"):
            found.append(self._ecosystem.decode_address(frame["to"]))
        for call in frame.get("calls", ()):
            walk(call)

    walk(root)
    return iter(reversed(found) if reverse else found)


@pytest.fixture(scope="session", autouse=True)
def quick_errors() -> Iterator[None]:
    """ape would walk every step of a failed transaction in Python, which takes it ten seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trace, "get_addresses_used", _addresses_by_call_tracer)
        yield


@pytest.fixture(scope="session")
def provider(networks: Any) -> ProviderAPI:
    return networks.active_provider


def script(name: str) -> ModuleType:
    """One of the project's ape scripts as a module."""
    spec = importlib.util.spec_from_file_location(f"{name}_script", CHECKOUT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def deploy_script() -> ModuleType:
    return script("deploy")


@pytest.fixture(scope="session")
def operator(accounts: TestAccountManager) -> AccountAPI:
    return accounts[0]


@pytest.fixture(scope="session")
def treasury(accounts: TestAccountManager) -> AccountAPI:
    return accounts[1]


@pytest.fixture(scope="session")
def deployment(
    deploy_script: ModuleType, provider: ProviderAPI, operator: AccountAPI, treasury: AccountAPI
) -> Deployment:
    return deploy_script.deploy(provider, operator.address, treasury.address, operator)


@pytest.fixture
def site(provider: ProviderAPI, deployment: Deployment) -> Site:
    names = ("venue", "dex", "token0", "token1", "fee_pips", "address", "tick_spacing")
    fork = Fork(provider, [dict(zip(names, pool, strict=True)) for pool in POOLS])
    fork.rpc("anvil_autoImpersonateAccount", True)
    site = Site(fork, deployment.executor)
    site.give(WETH, site.executor, 1)
    return site
