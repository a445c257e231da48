"""The two ways by which bytecode gets to its mainnet address on a local node, and plain calls beside them.

*Create at nonce* replays history: the original deployer, at the original nonce, sends the creation. The address then
follows from deployer and nonce, so it proves itself. *Deploy in place* runs the init code at the wanted address:
constructor storage, immutables and child contracts come out as after a real creation, but the address proves nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_utils.crypto import keccak

from keeper.domain.errors import OrionError
from keeper.domain.units import Address, to_address
from keeper.replica.abi import call_data, decode_result
from keeper.replica.rpc import Rpc, RpcError

GAS_LIMIT = 16_000_000
"""Below the cap of 2**24 gas a transaction that Osaka sets (EIP-7825)."""
BATCHED_GAS_LIMIT = 1_500_000
LARGEST_BATCH = 36
"""Transactions a block: their gas limits together stay below the block's."""
GAS_PRICE = 10**10
DEPLOYER_BALANCE = 10**21


class DeployError(OrionError):
    """A transaction of the build reverted, or a contract came out at the wrong address."""


def create_address(deployer: str, nonce: int) -> Address:
    """Address of a contract created by CREATE: the last 20 bytes of keccak(rlp([deployer, nonce]))."""
    return to_address("0x" + keccak(rlp.encode([bytes.fromhex(deployer[2:]), nonce]))[12:].hex(), "create address")


def create2_address(deployer: str, salt: bytes, init_code_hash: bytes) -> Address:
    """Address of a contract created by CREATE2 (EIP-1014)."""
    packed = b"\xff" + bytes.fromhex(deployer[2:]) + salt + init_code_hash
    return to_address("0x" + keccak(packed)[12:].hex(), "create2 address")


def _transaction(sender: str, to: str | None, data: bytes, value: int, gas: int) -> dict[str, str]:
    transaction = {
        "from": sender,
        "data": "0x" + data.hex(),
        "value": hex(value),
        "gas": hex(gas),
        "gasPrice": hex(GAS_PRICE),
    }
    if to is not None:
        transaction["to"] = to
    return transaction


class Deployer:
    """Sends the build's transactions to a node that impersonates every sender and mines each at once."""

    def __init__(self, rpc: Rpc, account: Address) -> None:
        self.rpc = rpc
        self.account = account
        self.transactions = 0
        self._batching = False
        self._waiting = 0

    async def send(self, sender: str, to: str | None, data: bytes, *, value: int = 0) -> dict[str, Any]:
        """Send, mine and return the receipt; `DeployError` with the reason when it reverts."""
        transaction = _transaction(sender, to, data, value, GAS_LIMIT)
        receipt: dict[str, Any] = await self.rpc("eth_sendTransactionSync", transaction)
        self.transactions += 1
        if receipt["status"] != "0x1":
            try:
                await self.rpc("eth_call", transaction, "latest")
                reason = "the same call passes now; it may have run out of gas"
            except RpcError as error:
                reason = str(error)
            raise DeployError(f"transaction from {sender} to {to or 'create'} with 0x{data[:4].hex()} failed: {reason}")
        return receipt

    async def execute(self, to: str, signature: str, *arguments: Any, sender: str = "", value: int = 0) -> None:
        """Call a function by transaction; from the deployer's own account unless ``sender`` is given."""
        data = call_data(signature, *arguments)
        if self._batching:
            await self.rpc(
                "eth_sendTransaction", _transaction(sender or self.account, to, data, value, BATCHED_GAS_LIMIT)
            )
            self._waiting += 1
            if self._waiting == LARGEST_BATCH:
                await self._mine_batch()
        else:
            await self.send(sender or self.account, to, data, value=value)

    @asynccontextmanager
    async def batched(self) -> AsyncIterator[None]:
        """Inside, `execute` only queues plain calls; they are mined together, in order, in as few blocks as fit."""
        await self.rpc("evm_setAutomine", False)
        self._batching = True
        try:
            yield
            await self._mine_batch()
        finally:
            self._batching = False
            await self.rpc("evm_setAutomine", True)

    async def _mine_batch(self) -> None:
        await self.rpc("evm_mine")
        receipts = await self.rpc("eth_getBlockReceipts", "latest")
        passed = sum(receipt["status"] == "0x1" for receipt in receipts)
        if passed != self._waiting:
            raise DeployError(f"{self._waiting - passed} of {self._waiting} transactions sent together failed")
        self.transactions += passed
        self._waiting = 0

    async def read(self, to: str, signature: str, returns: str, *arguments: Any) -> Any:
        """Call a view; the value, or the tuple of values when ``returns`` names several types."""
        query = {"to": to, "data": "0x" + call_data(signature, *arguments).hex()}
        return decode_result(returns, bytes.fromhex((await self.rpc("eth_call", query, "latest"))[2:]))

    async def create(self, init_code: bytes, *, sender: str = "") -> Address:
        """An ordinary creation, for contracts whose address does not matter."""
        receipt = await self.send(sender or self.account, None, init_code)
        return to_address(receipt["contractAddress"], "contract address")

    async def create_at_nonce(self, deployer: str, nonce: int, init_code: bytes, expected: Address) -> None:
        await self.fund(deployer, DEPLOYER_BALANCE)
        await self.rpc("anvil_setNonce", deployer, hex(nonce))
        created = await self.create(init_code, sender=deployer)
        if created != expected:
            raise DeployError(f"{deployer} at nonce {nonce} created {created} instead of {expected}")

    async def deploy_in_place(self, address: Address, init_code: bytes, *, sender: str = "") -> None:
        # a new contract starts at nonce 1 (EIP-161): its own children get their addresses from there
        await self.rpc("anvil_setNonce", address, "0x1")
        await self.rpc("anvil_setCode", address, "0x" + init_code.hex())
        receipt = await self.send(sender or self.account, address, b"")
        trace = await self.rpc(
            "debug_traceTransaction",
            receipt["transactionHash"],
            {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}},
        )
        runtime = trace.get("output", "0x")
        if len(runtime) <= len("0x"):
            raise DeployError(f"the constructor of {address} returned no code")
        await self.rpc("anvil_setCode", address, runtime)

    async def fund(self, address: str, wei: int) -> None:
        await self.rpc("anvil_setBalance", address, hex(wei))
