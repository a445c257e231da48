"""What a bundle would do in the coming block: one ``eth_simulateV1`` request that also reads the builder's balance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from keeper.domain.errors import OrionError
from keeper.domain.units import Address
from keeper.replica.bundles import TRANSACTION_GAS_CAP, SignedTransaction
from keeper.replica.rpc import Rpc, RpcError

_READER = Address("0x00000000000000000000000000000000C01BA5E0")
_READER_CODE = "0x41315f5260205ff3"  # COINBASE BALANCE PUSH0 MSTORE PUSH1 32 PUSH0 RETURN
_READ_CALL = {"from": "0x00000000000000000000000000000000C01BA5E1", "to": _READER, "gas": hex(50_000), "input": "0x"}
_ERROR_STRING = bytes.fromhex("08c379a0")


class BundleRejected(OrionError):
    """A bundle that cannot be run at all; the message is the reason, as a node would put it."""


class NonceAhead(BundleRejected):
    """A transaction whose turn has not come: another one of its sender has to go first."""


@dataclass(frozen=True, slots=True)
class BlockContext:
    """The block to be built, as far as it is known beforehand.

    Attributes:
        state_block: JSON-RPC tag of the state it is built on.
        base_fee: wei per gas.
    """

    number: int
    timestamp: int
    base_fee: int
    gas_limit: int
    coinbase: Address
    state_block: str = "latest"


@dataclass(frozen=True, slots=True)
class SimulatedTransaction:
    """One transaction of a simulated bundle.

    Attributes:
        gas_fees: priority fee times gas used, wei.
        coinbase_diff: growth of the fee recipient's balance over the transaction, wei.
        error: empty when it succeeded.
    """

    gas_used: int
    gas_fees: int
    coinbase_diff: int
    return_data: bytes
    error: str

    @property
    def revert_reason(self) -> str:
        """The text of ``Error(string)``; empty when the transaction reverted with anything else."""
        if self.return_data[:4] != _ERROR_STRING:
            return ""
        try:
            return str(decode(["string"], self.return_data[4:])[0])
        except (DecodingError, UnicodeDecodeError):
            return ""


@dataclass(frozen=True, slots=True)
class BundleSimulation:
    """The results of a bundle's transactions, in order."""

    transactions: tuple[SimulatedTransaction, ...]

    @property
    def gas_used(self) -> int:
        return sum(tx.gas_used for tx in self.transactions)

    @property
    def coinbase_diff(self) -> int:
        return sum(tx.coinbase_diff for tx in self.transactions)

    @property
    def gas_fees(self) -> int:
        return sum(tx.gas_fees for tx in self.transactions)

    @property
    def gas_price(self) -> Fraction:
        """What the bundle pays the builder per gas: priority fees and direct payments over gas used, wei."""
        return Fraction(self.coinbase_diff, self.gas_used)


def next_base_fee(parent: dict[str, Any]) -> int:
    """EIP-1559 in integers, from the parent block as JSON-RPC gives it (gas target is half the limit)."""
    base, used = int(parent["baseFeePerGas"], 16), int(parent["gasUsed"], 16)
    target = int(parent["gasLimit"], 16) // 2
    if used == target:
        return base
    if used > target:
        return base + max(base * (used - target) // target // 8, 1)
    return base - base * (target - used) // target // 8


async def simulate_bundle(
    rpc: Rpc,
    context: BlockContext,
    transactions: Sequence[SignedTransaction],
    *,
    after: Sequence[SignedTransaction] = (),
) -> BundleSimulation:
    """Run ``transactions`` at the top of ``context``, after those of ``after``.

    State carries from one to the next and each is charged as a transaction of its own, exactly as when mined.
    Raises `BundleRejected` when one could not be put into a block: wrong nonce (`NonceAhead` when it may still become
    right), fee below the base fee, no funds.
    """
    await _check_runnable(rpc, context, transactions, after)
    calls: list[dict[str, Any]] = [tx.request for tx in after]
    calls.append(_READ_CALL)
    for tx in transactions:
        calls += [tx.request, _READ_CALL]
    block = {
        "blockOverrides": {
            "number": hex(context.number),
            "time": hex(context.timestamp),
            "gasLimit": hex(context.gas_limit),
            "feeRecipient": context.coinbase,
            "baseFeePerGas": hex(context.base_fee),
        },
        "stateOverrides": {_READER: {"code": _READER_CODE}},
        "calls": calls,
    }
    try:
        answer = await rpc("eth_simulateV1", {"blockStateCalls": [block], "validation": True}, context.state_block)
    except RpcError as error:
        raise BundleRejected(str(error)) from error
    results = answer[0]["calls"][len(after) :]
    balances = [int(result["returnData"], 16) for result in results[::2]]
    return BundleSimulation(
        tuple(
            _simulated(tx, result, before, afterwards, context.base_fee)
            for tx, result, before, afterwards in zip(
                transactions, results[1::2], balances[:-1], balances[1:], strict=True
            )
        )
    )


def _simulated(
    tx: SignedTransaction, result: dict[str, Any], before: int, afterwards: int, base_fee: int
) -> SimulatedTransaction:
    gas_used = int(result["gasUsed"], 16)
    failed = result["status"] != "0x1"
    # REVERT hands unused gas back, any other failure uses it up; anvil calls both by one name
    message = "execution reverted" if gas_used < tx.gas else "execution failed"
    return SimulatedTransaction(
        gas_used=gas_used,
        gas_fees=gas_used * tx.tip(base_fee),
        coinbase_diff=afterwards - before,
        return_data=bytes.fromhex(result["returnData"][2:]),
        error=message if failed else "",
    )


async def _check_runnable(
    rpc: Rpc,
    context: BlockContext,
    transactions: Sequence[SignedTransaction],
    after: Sequence[SignedTransaction],
) -> None:
    """Nonces, fees and gas limits, which the node's simulation does not look at."""
    senders = list(dict.fromkeys(tx.sender for tx in (*after, *transactions)))
    nonces = {sender: int(await rpc("eth_getTransactionCount", sender, context.state_block), 16) for sender in senders}
    for tx in after:
        nonces[tx.sender] += 1
    for tx in transactions:
        if tx.nonce != nonces[tx.sender]:
            ahead = tx.nonce > nonces[tx.sender]
            raise (NonceAhead if ahead else BundleRejected)(
                f"nonce too {'high' if ahead else 'low'}: address {tx.sender}, "
                f"tx: {tx.nonce} state: {nonces[tx.sender]}; {tx.hash}"
            )
        if tx.max_fee < context.base_fee:
            raise BundleRejected(
                f"max fee per gas less than block base fee: maxFeePerGas: {tx.max_fee}, baseFee: {context.base_fee}; "
                f"{tx.hash}"
            )
        if tx.gas > TRANSACTION_GAS_CAP:
            raise BundleRejected(f"transaction gas limit too high: {tx.gas}, cap: {TRANSACTION_GAS_CAP}; {tx.hash}")
        nonces[tx.sender] += 1
