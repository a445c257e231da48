"""Builds each block of the replica: the best bundles first, then everybody else's transactions, and mines it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from keeper.domain.errors import ComponentError
from keeper.domain.units import Address, Hash32
from keeper.replica.bundle_simulation import (
    BlockContext,
    BundleRejected,
    BundleSimulation,
    NonceAhead,
    next_base_fee,
    simulate_bundle,
)
from keeper.replica.bundles import Bundle, BundlePool, SignedTransaction
from keeper.replica.node_pool import NodePool, PooledTransaction, as_pooled, order_by_tip
from keeper.replica.rpc import Rpc, RpcError

BUILDER_ADDRESS = Address("0x95222290DD7278Aa3Ddd389Cc1E1d165CC4BAfe5")
_REMEMBERED_OUTCOMES = 10_000


class BundleFate(StrEnum):
    LANDED = "landed"
    DROPPED = "dropped"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class BundleOutcome:
    """What became of one bundle; ``gas_price`` is what it paid or offered the builder, wei per gas."""

    bundle_hash: Hash32
    block_number: int
    signer: Address
    fate: BundleFate
    reason: str = ""
    gas_price: int = 0


@dataclass(frozen=True, slots=True)
class BuiltBlock:
    """A mined block; ``reverted`` holds the transactions in it that failed."""

    number: int
    hash: Hash32
    timestamp: int
    base_fee: int
    gas_used: int
    transactions: tuple[Hash32, ...]
    reverted: frozenset[Hash32]
    bundles: tuple[BundleOutcome, ...]


@dataclass(frozen=True, slots=True)
class _Accepted:
    bundle: Bundle
    simulation: BundleSimulation


FillerSource = Callable[[BlockContext, int, int], Sequence[SignedTransaction]]
"""Given the block, the gas expected to be used and the gas that is left, the transactions that fill it up."""


class BlockBuilder:
    """Chooses, orders and mines.

    Args:
        rpc: the node, started with ``--no-mining --order fifo``.
        pool: where the relay puts bundles.
        block_seconds: time from block to block on the chain's clock, whole seconds.
    """

    def __init__(self, rpc: Rpc, pool: BundlePool, *, block_seconds: int) -> None:
        self.rpc = rpc
        self._pool = pool
        self._node_pool = NodePool(rpc)
        self._block_seconds = block_seconds
        self.outcomes: deque[BundleOutcome] = deque(maxlen=_REMEMBERED_OUTCOMES)
        self.totals: Counter[BundleFate] = Counter()

    async def start(self) -> None:
        """Take the fee recipient's place."""
        await self.rpc("anvil_setCoinbase", BUILDER_ADDRESS)

    async def next_block(self) -> BlockContext:
        """The block that would be built now. Its time follows from its parent's, never from the wall clock."""
        parent = await self.rpc("eth_getBlockByNumber", "latest", False)
        pending = await self.rpc("eth_getBlockByNumber", "pending", False)
        return BlockContext(
            number=int(parent["number"], 16) + 1,
            timestamp=int(parent["timestamp"], 16) + self._block_seconds,
            # not by formula: the fee after a loaded state or an anvil_setNextBlockBaseFeePerGas is the node's own
            base_fee=int(pending["baseFeePerGas"], 16),
            gas_limit=int(parent["gasLimit"], 16),
            coinbase=BUILDER_ADDRESS,
        )

    async def block_after(self, state_block: str, number: int, timestamp: int | None) -> BlockContext:
        """Block ``number`` on the state of ``state_block``, for ``eth_callBundle``."""
        parent = await self.rpc("eth_getBlockByNumber", state_block, False)
        if parent is None:
            raise BundleRejected(f"header not found: stateBlockNumber {state_block}")
        state_number = int(parent["number"], 16)
        if number <= state_number:
            raise BundleRejected(f"blockNumber {number} is not after stateBlockNumber {state_number}")
        distance = number - state_number
        return BlockContext(
            number=number,
            timestamp=timestamp or int(parent["timestamp"], 16) + distance * self._block_seconds,
            base_fee=next_base_fee(parent),
            gas_limit=int(parent["gasLimit"], 16),
            coinbase=BUILDER_ADDRESS,
            state_block=parent["number"],
        )

    async def build(
        self, context: BlockContext, private: Sequence[SignedTransaction], filler: FillerSource | None = None
    ) -> BuiltBlock:
        """Mine ``context`` with the bundles that hold, the pool, ``private`` order flow and ``filler``, in this order.

        Transactions that are not in bundles are ordered by tip, within an account by nonce. Raises `ComponentError`
        when the mined block is not the one that was chosen.
        """
        due, expired = self._pool.take(context.number)
        outcomes = [_outcome(bundle, BundleFate.EXPIRED, "its block has passed") for bundle in expired]
        accepted, dropped = await self._choose(context, due)
        waiting = await self._node_pool.take()
        accepted, refused = await self._submit_bundles(context, accepted)
        bundled = [tx for item in accepted for tx in item.bundle.transactions]
        ours = {tx.hash for tx in bundled}
        # what reached the node in between must not stand before the bundles or among them
        waiting |= await self._node_pool.take(keep=ours)
        open_flow = [tx for tx in (*waiting.values(), *map(as_pooled, private)) if tx.hash not in ours]
        others = order_by_tip(open_flow, context.base_fee)
        others += self._fill(filler, context, accepted, others)
        for tx in others:
            await self._node_pool.put(tx)
        # anvil's clock goes with the wall's and has moved at every look at the pending block; it refuses earlier times
        await self.rpc("evm_setTime", context.timestamp - self._block_seconds)
        await self.rpc("evm_mine", {"timestamp": hex(context.timestamp)})
        outcomes += [
            *dropped,
            *refused,
            *(_outcome(item.bundle, BundleFate.LANDED, gas_price=int(item.simulation.gas_price)) for item in accepted),
        ]
        block = await self._read_block(context, accepted, tuple(outcomes))
        self.note(*outcomes)
        return block

    def note(self, *outcomes: BundleOutcome) -> None:
        """Remember what became of bundles."""
        for outcome in outcomes:
            self.outcomes.append(outcome)
            self.totals[outcome.fate] += 1

    async def _choose(
        self, context: BlockContext, candidates: Sequence[Bundle]
    ) -> tuple[list[_Accepted], list[BundleOutcome]]:
        """Greedy: the highest paying bundle first, each of the others on top of what is in; ties by bundle hash.

        A bundle that comes after another one in the nonces of its sender is considered once that one is in.
        """
        accepted: list[_Accepted] = []
        offers, waiting, dropped = await self._offers(context, candidates, ())
        while offers:
            offer = min(offers, key=lambda one: (-one.simulation.gas_price, one.bundle.hash, one.bundle.signer))
            offers.remove(offer)
            before = [tx for item in accepted for tx in item.bundle.transactions]
            room = context.gas_limit - sum(item.simulation.gas_used for item in accepted)
            try:
                simulation = await self._simulate(context, offer.bundle, before) if before else offer.simulation
                if sum(tx.gas for tx in offer.bundle.transactions) > room:
                    raise BundleRejected("the block is full")
            except BundleRejected as error:
                reason = f"outbid: {error}" if before else str(error)
                dropped.append(
                    _outcome(offer.bundle, BundleFate.DROPPED, reason, gas_price=int(offer.simulation.gas_price))
                )
                continue
            accepted.append(_Accepted(offer.bundle, simulation))
            if waiting:
                following, waiting, refused = await self._offers(
                    context, [bundle for bundle, _ in waiting], [*before, *offer.bundle.transactions]
                )
                offers += following
                dropped += refused
        dropped += [_outcome(bundle, BundleFate.DROPPED, reason) for bundle, reason in waiting]
        return accepted, dropped

    async def _offers(
        self, context: BlockContext, candidates: Sequence[Bundle], before: Sequence[SignedTransaction]
    ) -> tuple[list[_Accepted], list[tuple[Bundle, str]], list[BundleOutcome]]:
        """What each candidate would pay after ``before``: those that run, those whose nonce is ahead, the others."""
        offers: list[_Accepted] = []
        waiting: list[tuple[Bundle, str]] = []
        dropped: list[BundleOutcome] = []
        for bundle in candidates:
            try:
                offers.append(_Accepted(bundle, await self._simulate(context, bundle, before)))
            except NonceAhead as error:
                waiting.append((bundle, str(error)))
            except BundleRejected as error:
                dropped.append(_outcome(bundle, BundleFate.DROPPED, str(error)))
        return offers, waiting, dropped

    async def _simulate(
        self, context: BlockContext, bundle: Bundle, before: Sequence[SignedTransaction]
    ) -> BundleSimulation:
        if context.timestamp < bundle.min_timestamp:
            raise BundleRejected(f"block time {context.timestamp} is before minTimestamp {bundle.min_timestamp}")
        if bundle.max_timestamp is not None and context.timestamp > bundle.max_timestamp:
            raise BundleRejected(f"block time {context.timestamp} is after maxTimestamp {bundle.max_timestamp}")
        simulation = await simulate_bundle(self.rpc, context, bundle.transactions, after=before)
        for tx, result in zip(bundle.transactions, simulation.transactions, strict=True):
            if result.error and tx.hash not in bundle.reverting:
                detail = f": {result.revert_reason}" if result.revert_reason else ""
                raise BundleRejected(f"{result.error}{detail}; {tx.hash}")
        return simulation

    async def _submit_bundles(
        self, context: BlockContext, accepted: list[_Accepted]
    ) -> tuple[list[_Accepted], list[BundleOutcome]]:
        """Put the bundles into the empty pool. One that the node refuses is dropped and the rest are tried afresh."""
        refused: list[BundleOutcome] = []
        while True:
            sent: list[Hash32] = []
            try:
                for index, item in enumerate(accepted):  # noqa: B007 - names the bundle in the except branch
                    for tx in item.bundle.transactions:
                        await self.rpc("eth_sendRawTransaction", tx.raw_hex)
                        sent.append(tx.hash)
            except RpcError as error:
                for tx_hash in sent:
                    await self.rpc("anvil_dropTransaction", tx_hash)
                refused.append(_outcome(accepted[index].bundle, BundleFate.DROPPED, str(error)))
                rest = [kept.bundle for position, kept in enumerate(accepted) if position != index]
                accepted, dropped = await self._choose(context, rest)
                refused += dropped
            else:
                return accepted, refused

    def _fill(
        self,
        filler: FillerSource | None,
        context: BlockContext,
        accepted: Sequence[_Accepted],
        others: Sequence[PooledTransaction],
    ) -> list[PooledTransaction]:
        if filler is None:
            return []
        bundled = sum(item.simulation.gas_used for item in accepted)
        limits = sum(tx.gas for tx in others)
        # a third of its limit is about what an ordinary transaction uses
        return [as_pooled(tx) for tx in filler(context, bundled + limits // 3, context.gas_limit - bundled - limits)]

    async def _read_block(
        self, context: BlockContext, accepted: Sequence[_Accepted], outcomes: tuple[BundleOutcome, ...]
    ) -> BuiltBlock:
        block = await self.rpc("eth_getBlockByNumber", hex(context.number), False)
        receipts = await self.rpc("eth_getBlockReceipts", hex(context.number))
        if block is None or receipts is None:
            raise ComponentError("block builder", f"block {context.number} was not mined", "Does another miner run?")
        expected = [
            (tx.hash, result.gas_used, not result.error)
            for item in accepted
            for tx, result in zip(item.bundle.transactions, item.simulation.transactions, strict=True)
        ]
        mined = [
            (receipt["transactionHash"], int(receipt["gasUsed"], 16), receipt["status"] == "0x1")
            for receipt in receipts
        ]
        if mined[: len(expected)] != expected or int(block["timestamp"], 16) != context.timestamp:
            raise ComponentError(
                "block builder",
                f"block {context.number} is not the one that was chosen",
                "Start the node with --no-mining --order fifo and let nobody else mine.",
            )
        return BuiltBlock(
            number=context.number,
            hash=Hash32(block["hash"]),
            timestamp=int(block["timestamp"], 16),
            base_fee=int(block["baseFeePerGas"], 16),
            gas_used=int(block["gasUsed"], 16),
            transactions=tuple(Hash32(tx_hash) for tx_hash, _, _ in mined),
            reverted=frozenset(Hash32(tx_hash) for tx_hash, _, succeeded in mined if not succeeded),
            bundles=outcomes,
        )


def _outcome(bundle: Bundle, fate: BundleFate, reason: str = "", gas_price: int = 0) -> BundleOutcome:
    return BundleOutcome(bundle.hash, bundle.block_number, bundle.signer, fate, reason, gas_price)
