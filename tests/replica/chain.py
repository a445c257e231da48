"""Contract calls on a running replica for plain tests."""

from __future__ import annotations

from typing import Any

from keeper.domain.units import Address
from keeper.replica.deploy import Deployer
from tests.conftest import RunningReplica

SCRATCH = Address("0x1CBd3b2770909D4e10f157cABC84C7264073C9Ec")
"""Development account 10, which the replica uses for nothing."""


class Chain:
    """`Deployer` without ``await``."""

    def __init__(self, replica: RunningReplica) -> None:
        self.replica = replica
        self.deployer = Deployer(replica.client, SCRATCH)

    def read(self, to: str, signature: str, returns: str, *arguments: Any) -> Any:
        return self.replica.background.run(self.deployer.read(to, signature, returns, *arguments))

    def execute(self, to: str, signature: str, *arguments: Any, sender: str = SCRATCH, value: int = 0) -> None:
        work = self.deployer.execute(to, signature, *arguments, sender=sender, value=value)
        self.replica.background.run(work)

    def create(self, init_code: bytes) -> Address:
        return self.replica.background.run(self.deployer.create(init_code))

    def balance(self, token: str, account: str) -> int:
        return int(self.read(token, "balanceOf(address)", "uint256", account))
