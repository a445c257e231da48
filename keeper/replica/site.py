"""What the builders of the protocols share: the chain under construction, the bytecode, the markets, the notes."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keeper.domain.units import Address
from keeper.replica.artifacts import Artifacts
from keeper.replica.deploy import Deployer
from keeper.replica.markets import Markets, MarketToken

MAX_UINT256 = 2**256 - 1


@dataclass(slots=True)
class Site:
    """A replica under construction.

    Attributes:
        stand_ins: init code of the project's own stand-in contracts, by contract name.
        morpho_code, solidly_code: compilers at work; awaited where the code is first needed.
        measured: values that only the build can see, by the name of the row of `table.ROWS` that states them.
        other_pools: pools beyond the V2 and V3 type, as they go into ``other_pools.json``.
        feeds: the aggregator behind each Chainlink proxy, by what it prices.
    """

    chain: Deployer
    artifacts: Artifacts
    markets: Markets
    stand_ins: Mapping[str, bytes]
    morpho_code: Awaitable[Mapping[str, bytes]]
    solidly_code: Awaitable[Mapping[str, bytes]]
    measured: dict[str, str] = field(default_factory=dict)
    other_pools: list[dict[str, Any]] = field(default_factory=list)
    feeds: dict[str, Address] = field(default_factory=dict)

    def token(self, symbol: str) -> MarketToken:
        return self.markets.tokens[symbol]

    async def approve_all(self, spender: Address, *, owner: Address | None = None) -> None:
        """Let ``spender`` take any amount of every token of ``owner``, by default of the operator."""
        for token in self.markets.tokens.values():
            await self.chain.execute(
                token.address, "approve(address,uint256)", spender, MAX_UINT256, sender=owner or self.chain.account
            )
