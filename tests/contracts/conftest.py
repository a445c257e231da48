"""Fixtures of the contract tests: compiled contracts, and an executor on the replica."""

from __future__ import annotations

import pytest

from tests.conftest import RunningReplica
from tests.contracts.compiler import STAND_INS, Compiled, compile_sources, executor_sources, read_sources
from tests.contracts.site import WETH, Site


@pytest.fixture(scope="session")
def executor_contract() -> Compiled:
    return compile_sources(executor_sources())["Executor"]


@pytest.fixture(scope="session")
def stage_contract() -> Compiled:
    return compile_sources(read_sources(STAND_INS), quick=True)["Stage"]


@pytest.fixture(scope="module")
def site(replica: RunningReplica, executor_contract: Compiled) -> Site:
    """The executor with one wei of WETH, as an operator keeps it."""
    site = Site(replica, executor_contract.init_code)
    site.give(WETH, site.executor, 1)
    return site
