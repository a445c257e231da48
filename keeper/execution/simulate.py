"""Proves plans on the exact state they are meant for: one eth_simulateV1 request for all of a block's plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keeper.domain.chain import BlockHeader
from keeper.domain.errors import ComponentError
from keeper.domain.plan import AccessList
from keeper.domain.units import Address
from keeper.execution.access_list import as_json
from keeper.execution.ports import NodeClient
from keeper.execution.predecessors import call_of
from keeper.execution.revert import Revert, RevertDecoder
from keeper.execution.transfers import net_flow
from keeper.market.node import to_bytes, to_quantity

INTRINSIC_GAS = 21_000


@dataclass(frozen=True, slots=True)
class ExecutorCall:
    """One transaction of the operator to the executor.

    Attributes:
        gas: its gas limit.
        max_fee, priority_fee: wei per gas; None leaves the price out, and with it the check that it can be paid.
        access_list: as it will be in the transaction; its gas is part of the result.
    """

    data: bytes
    nonce: int
    gas: int
    max_fee: int | None = None
    priority_fee: int | None = None
    access_list: AccessList = ()


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """What one call did.

    Attributes:
        gas_used: gas of the transaction, refunds taken off; None when the node gives none.
        gross: raw units of the profit token that came to the executor, net.
        revert: why it reverted; None when ``ok``.
    """

    ok: bool
    gas_used: int | None
    gross: int
    revert: Revert | None


@dataclass(frozen=True, slots=True)
class Divergence:
    """A simulation that does not confirm the prediction to the wei.

    Attributes:
        reason: ``simulation_reverted``, ``simulation_diverged`` or ``simulation_without_gas``.
        changes_state: whether the calls after it ran on a state that it altered.
    """

    reason: str
    predicted: int
    simulated: int
    text: str
    changes_state: bool


class Simulator:
    """Runs calls in order on the state of a block, under the header that its child will have.

    The method gives every call the gas of a transaction of its own, so the figures are those of the receipts to come.

    Args:
        token: the profit token whose transfers are counted.
        block_seconds: time from a block to its child.
        state_overrides: accounts to change beforehand, as eth_simulateV1 takes them: for paper trading with an
            executor that is not deployed.
    """

    def __init__(
        self,
        node: NodeClient,
        *,
        operator: Address,
        executor: Address,
        token: Address,
        decoder: RevertDecoder,
        block_seconds: int = 12,
        state_overrides: Mapping[Address, Mapping[str, Any]] | None = None,
    ) -> None:
        self._node = node
        self._operator = operator
        self._executor = executor
        self._token = token
        self._decoder = decoder
        self._block_seconds = block_seconds
        self._state_overrides = state_overrides

    async def run(
        self,
        calls: Sequence[ExecutorCall],
        head: BlockHeader,
        base_fee: int,
        *,
        predecessors: Sequence[bytes] = (),
        validate: bool = False,
    ) -> list[SimulatedCall]:
        """Simulate ``predecessors`` (signed transactions of others) and then ``calls`` in the child of ``head``.

        The state is named by the hash of ``head``, which is `latest` unless the chain has moved on: then the node
        refuses rather than prove something about another block.

        Args:
            validate: hold the calls to what a block demands of transactions: nonce, fees, and a balance that pays them.

        Returns:
            one result per call, in order; predecessors have none.

        Raises:
            RpcError: when the node refuses the request, for example for a head that is gone or a balance too small.
            ComponentError: when the answer does not make sense.
        """
        block: dict[str, Any] = {
            "blockOverrides": {
                "number": hex(head.number + 1),
                "time": hex(head.timestamp + self._block_seconds),
                "baseFeePerGas": hex(base_fee),
                "feeRecipient": head.coinbase,
            },
            "calls": [*map(call_of, predecessors), *map(self._call_object, calls)],
        }
        if self._state_overrides:
            block["stateOverrides"] = self._state_overrides
        answer = await self._node.request(
            "eth_simulateV1",
            {"blockStateCalls": [block], "traceTransfers": False, "validation": validate},
            {"blockHash": head.hash, "requireCanonical": True},
        )
        try:
            results = answer[0]["calls"]
            if len(results) != len(predecessors) + len(calls):
                raise _rubbish(f"{len(results)} results for {len(predecessors) + len(calls)} calls")
            return [self._read(result) for result in results[len(predecessors) :]]
        except (KeyError, IndexError, TypeError) as error:
            raise _rubbish(f"no list of calls ({type(error).__name__})") from error

    def _call_object(self, call: ExecutorCall) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "from": self._operator,
            "to": self._executor,
            "input": "0x" + call.data.hex(),
            "value": "0x0",
            "nonce": hex(call.nonce),
            "gas": hex(call.gas),
        }
        if call.max_fee is not None and call.priority_fee is not None:
            fields |= {"maxFeePerGas": hex(call.max_fee), "maxPriorityFeePerGas": hex(call.priority_fee)}
        if call.access_list:
            fields["accessList"] = as_json(call.access_list)
        return fields

    def _read(self, result: Mapping[str, Any]) -> SimulatedCall:
        ok = to_quantity(result["status"], "eth_simulateV1.status") == 1
        given = result.get("gasUsed")
        gas_used = None if given is None else to_quantity(given, "eth_simulateV1.gasUsed")
        if gas_used is not None and gas_used < INTRINSIC_GAS:
            gas_used = None  # no transaction takes less: the node does not count
        if ok:
            return SimulatedCall(True, gas_used, net_flow(result["logs"], self._token, self._executor), None)
        error = result.get("error") or {}
        data = error.get("data") or result.get("returnData") or "0x"
        return SimulatedCall(False, gas_used, 0, self._decoder.decode(to_bytes(data, "eth_simulateV1.returnData")))


def compare(call: SimulatedCall, predicted: int) -> Divergence | None:
    """None when the simulation confirms ``predicted`` gross profit, to the wei and with its gas."""
    if call.revert is not None:
        return Divergence("simulation_reverted", predicted, 0, f"{call.revert.reason}: {call.revert.text}", False)
    if call.gas_used is None:
        return Divergence("simulation_without_gas", predicted, call.gross, "the node reports no gas", True)
    if call.gross != predicted:
        text = f"{call.gross - predicted:+d} wei against the prediction"
        return Divergence("simulation_diverged", predicted, call.gross, text, True)
    return None


def _rubbish(problem: str) -> ComponentError:
    return ComponentError(
        "node",
        f"eth_simulateV1 answers with {problem}",
        "Use a node that serves eth_simulateV1 (geth 1.14.9 or later).",
    )
