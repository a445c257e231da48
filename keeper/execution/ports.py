"""What execution needs from outside: a node and an encoder of executor calls."""

from __future__ import annotations

from typing import Any, Protocol

from keeper.domain.joint_route import JointRoute
from keeper.domain.plan import Financing
from keeper.domain.route import Route
from keeper.domain.units import Address, Hash32


class NodeClient(Protocol):
    """A JSON-RPC node.

    Raises `ComponentError` when it cannot be reached or makes no sense, and `keeper.market.node.RpcError` when it
    answers with an error of its own.
    """

    async def request(self, method: str, *params: object) -> Any: ...


class Encoder(Protocol):
    """Turns a route and its financing into calldata of the executor; raises `InputError` for what it cannot express."""

    def __call__(
        self,
        route: Route | JointRoute,
        financing: Financing,
        *,
        executor: Address,
        min_profit: int,
        last_block: int,
        parent_hash: Hash32 | None = None,
        builder_bps: int = 0,
    ) -> bytes: ...
