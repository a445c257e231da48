"""What pending calls of the known routers mean to swap. Decoding is pure: calldata in, steps or a refusal out.

It is strict. What a router would refuse, what is cut off, and numbers beyond their types come back as `Undecodable`
with one of a few reasons; nothing is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from keeper.domain.pending import Intent, PendingTransaction, Undecodable
from keeper.domain.units import Address
from keeper.market.routers import uniswap_v2, uniswap_v3, universal
from keeper.market.routers.table import Decode, Routers, mainnet
from keeper.market.routers.words import Malformed

__all__ = ["Decoder", "Routers", "mainnet"]


class Decoder:
    """Decodes calls of the routers of one chain.

    Args:
        routers: which they are; `mainnet` has Ethereum's.
    """

    def __init__(self, routers: Routers) -> None:
        by_address: dict[Address, Decode] = {}
        for address, factory in routers.v2.items():
            by_address[address] = partial(uniswap_v2.decode, factory, routers.weth, address)
        for v3_router in routers.v3:
            by_address[v3_router.address] = partial(uniswap_v3.decode, v3_router)
        for universal_router in routers.universal:
            by_address[universal_router.address] = partial(universal.decode, universal_router)
        self._by_address: Mapping[Address, Decode] = by_address

    def __call__(self, transaction: PendingTransaction) -> Intent | Undecodable | None:
        """What the transaction asks for; None where it is no call of a known router, or none of a function that swaps
        tokens."""
        to = transaction.to
        decode = None if to is None else self._by_address.get(to)
        if to is None or decode is None:
            return None
        try:
            return decode(transaction)
        except Malformed as malformed:
            return Undecodable(to, str(malformed))
