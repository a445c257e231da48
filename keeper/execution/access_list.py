"""Access lists (EIP-2930): which contracts and slots a call will touch, declared beforehand where that is cheaper.

A contract in the list costs 2,400 gas and makes its first call 2,500 cheaper; a slot costs 1,900 and saves 2,000, or
2,100 where it is written first. What a transaction finds warm anyway saves nothing: its sender, the contract that it
calls, precompiled contracts and, since EIP-3651, the fee recipient of the block.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from keeper.domain.chain import BlockHeader
from keeper.domain.errors import ComponentError
from keeper.domain.plan import AccessList
from keeper.domain.units import Address, to_address, to_hash32
from keeper.execution.ports import NodeClient
from keeper.market.node import RpcError

log = logging.getLogger(__name__)

PROBE_GAS: Final = 3_000_000
"""Gas limit of the calls whose accesses are asked for; nodes want a sender that could pay for it at the base fee."""
LAST_PRECOMPILE: Final = 0x100
"""Precompiled contracts have addresses up to this one (RIP-7212)."""
METHOD_MISSING: Final = -32601
CHARGED_BY_BYTE: Final = frozenset((10, 8453, 42161))
"""Rollups: they charge a transaction for its bytes on their parent chain, so that a list costs more than it saves."""


class AccessLists:
    """Asks a node what the operator's calls touch. A node that has no such method is asked once."""

    def __init__(self, node: NodeClient, *, operator: Address, executor: Address) -> None:
        self._node = node
        self._operator = operator
        self._executor = executor
        self._served = True

    async def find(self, calls: Sequence[bytes], head: BlockHeader, base_fee: int) -> list[AccessList]:
        """The list of each call, each on the state of ``head`` by itself; empty where there is none worth having.

        A call may touch more in the slot after ``head``, in which pools note the time that has passed: what is missing
        in a list is merely paid as if there were none.

        Args:
            calls: calldata of the executor, without a guard that only the next block can fulfil.

        Raises:
            ComponentError: when the node cannot be asked or makes no sense.
        """
        if not self._served:
            return [()] * len(calls)
        return list(await asyncio.gather(*(self._one(data, head, base_fee) for data in calls)))

    async def _one(self, data: bytes, head: BlockHeader, base_fee: int) -> AccessList:
        call = {
            "from": self._operator,
            "to": self._executor,
            "data": "0x" + data.hex(),
            "gas": hex(PROBE_GAS),
            "maxFeePerGas": hex(base_fee),
            "maxPriorityFeePerGas": "0x0",
        }
        try:
            answer = await self._node.request(
                "eth_createAccessList", call, {"blockHash": head.hash, "requireCanonical": True}
            )
        except RpcError as error:
            if error.code == METHOD_MISSING and self._served:
                self._served = False
                log.warning("the node has no eth_createAccessList: transactions go without access lists")
            return ()
        if not isinstance(answer, Mapping):
            raise _rubbish(answer)
        if answer.get("error"):
            return ()
        return without_warm(_read(answer.get("accessList")), {self._operator, self._executor, head.coinbase})


def without_warm(found: AccessList, warm: Collection[Address]) -> AccessList:
    """The entries of ``found`` that are not warm anyway."""
    return tuple(
        (address, slots) for address, slots in found if address not in warm and int(address, 16) > LAST_PRECOMPILE
    )


def saves(gas_without: int | None, gas_with: int | None) -> bool:
    """Whether a simulated call takes less gas with its list than without."""
    return gas_without is not None and gas_with is not None and gas_with < gas_without


def as_json(access_list: AccessList) -> list[dict[str, Any]]:
    return [{"address": address, "storageKeys": list(slots)} for address, slots in access_list]


def _read(entries: object) -> AccessList:
    """In order of their numbers: nodes have them in any, and equal states are to give equal transactions."""
    if not isinstance(entries, list):
        raise _rubbish(entries)
    try:
        return tuple(
            sorted(
                (
                    to_address(entry["address"], "accessList.address"),
                    tuple(sorted(to_hash32(slot, "accessList.storageKeys") for slot in entry["storageKeys"])),
                )
                for entry in entries
            )
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _rubbish(entries) from error


def _rubbish(answer: object) -> ComponentError:
    return ComponentError(
        "node",
        f"eth_createAccessList answers with {repr(answer)[:120]}",
        "Use a node that serves it, or set ORION_ACCESS_LIST=false.",
    )
