"""Follows what was sent until the chain says what became of it, and again when the chain changes its mind."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from keeper.domain.chain import BlockEvent
from keeper.domain.errors import ComponentError, InputError
from keeper.domain.opportunity import Fate, FateChange
from keeper.domain.trade import Trade, TradeStatus
from keeper.domain.units import Address, Hash32, Wei, to_hash32
from keeper.execution.ports import NodeClient
from keeper.execution.revert import Revert, RevertDecoder
from keeper.execution.signer import SignedPlan
from keeper.execution.transfers import net_flow
from keeper.market.node import RpcError, to_bytes, to_quantity

log = logging.getLogger(__name__)

FATES = {
    TradeStatus.LANDED: Fate.LANDED,
    TradeStatus.LOST: Fate.LOST,
    TradeStatus.REVERTED: Fate.REVERTED,
}


@dataclass(frozen=True, slots=True)
class Taker:
    """The transaction that was at the pools of a route first."""

    transaction_hash: Hash32
    pool: Address


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a sent plan ended, and the block that decided it."""

    trade: Trade
    decided_in: Hash32
    decided_at: int
    details: dict[str, Any]


@dataclass(slots=True)
class Followed:
    """A sent plan.

    Attributes:
        accepted: whether a relay took it, as far as is known.
        outcome: what was last reported of it; kept while the chain may still change it.
        reopened: the chain dropped the block of ``outcome``; it has to be decided anew.
    """

    signed: SignedPlan
    accepted: bool = True
    outcome: Outcome | None = None
    reopened: bool = False

    @property
    def id(self) -> UUID:
        return self.signed.plan.opportunity.id

    @property
    def is_pending(self) -> bool:
        return self.outcome is None or self.reopened


class Tracker:
    """Decides for each sent plan whether it landed, reverted or was lost.

    A plan is good for one block. In that block, or in a later one when the block was missed, its receipt decides;
    without a receipt it is lost. A reorg that drops the deciding block reopens the question.

    Args:
        depth: blocks for which an outcome is kept open to a reorg.
    """

    def __init__(
        self, node: NodeClient, *, executor: Address, token: Address, decoder: RevertDecoder, depth: int = 64
    ) -> None:
        self._node = node
        self._executor = executor
        self._token = token
        self._decoder = decoder
        self._depth = depth
        self._followed: dict[UUID, Followed] = {}

    @property
    def pending(self) -> int:
        """Plans whose fate is open."""
        return sum(one.is_pending for one in self._followed.values())

    def follow(self, signed: Sequence[SignedPlan]) -> None:
        """Begin with plans that are about to leave."""
        for one in signed:
            self._followed[one.plan.opportunity.id] = Followed(one)

    def forget(self, signed: Sequence[SignedPlan]) -> None:
        """Drop plans that did not leave after all."""
        for one in signed:
            self._followed.pop(one.plan.opportunity.id, None)

    def refused(self, signed: SignedPlan) -> None:
        """Remember that no relay took this plan. It is followed all the same: a relay may have lied or lagged."""
        followed = self._followed.get(signed.plan.opportunity.id)
        if followed is not None:
            followed.accepted = False

    def abandon(self, reason: str) -> list[FateChange]:
        """Close what is still open because no block will ever decide it: the chain itself ends."""
        closed = [one for one in self._followed.values() if one.is_pending]
        self._followed.clear()
        return [_change(one, Fate.LOST, reason, {"target_block": one.signed.plan.target_block}) for one in closed]

    async def on_block(self, event: BlockEvent) -> tuple[list[Trade], list[FateChange]]:
        """What this block decided. While the node cannot be asked, plans stay open and the next block decides."""
        changes = self._reopen(event)
        pending = [one for one in self._followed.values() if one.is_pending]
        pending.sort(key=lambda one: (one.signed.plan.target_block, one.signed.nonce))
        try:
            receipts = await self._receipts(pending, event)
        except (ComponentError, RpcError) as error:
            log.error("%s Sent plans stay open until it answers.", error)
            return [], changes
        trades: list[Trade] = []
        for followed in pending:
            try:
                outcome = await self._decide(followed, receipts.get(followed.id), event)
            except (ComponentError, InputError) as error:  # one bad receipt must not lose the others' outcomes
                log.error("%s stays open: %s", followed.signed.transaction_hash, error)
                continue
            if outcome is None:
                continue
            before, followed.outcome, followed.reopened = followed.outcome, outcome, False
            if before is not None and before.trade == outcome.trade:
                reason = "unchanged_by_reorg"
            else:
                trades.append(outcome.trade)
                reason = outcome.trade.reason or ("landed" if before is None else "landed_after_reorg")
            changes.append(_change(followed, FATES[outcome.trade.status], reason, outcome.details))
        self._drop_final(event.header.number)
        return trades, changes

    def _reopen(self, event: BlockEvent) -> list[FateChange]:
        gone = frozenset(event.reverted)
        changes = []
        for followed in self._followed.values():
            if followed.outcome is not None and not followed.reopened and followed.outcome.decided_in in gone:
                followed.reopened = True
                details = {"dropped_block": followed.outcome.decided_in, "was": followed.outcome.trade.status.value}
                changes.append(_change(followed, Fate.SUBMITTED, "reopened_by_reorg", details))
        return changes

    async def _receipts(self, pending: Sequence[Followed], event: BlockEvent) -> dict[UUID, dict[str, Any]]:
        """Receipts of the pending plans on the chain of ``event``, by opportunity."""
        if not pending:
            return {}
        hashes = [one.signed.transaction_hash for one in pending]
        block, *found = await asyncio.gather(
            self._node.request("eth_getBlockByHash", event.header.hash, False),
            *(self._node.request("eth_getTransactionReceipt", one) for one in hashes),
        )
        if not isinstance(block, Mapping):
            raise ComponentError("node", f"it does not know block {event.header.hash}", "Wait until it is in sync.")
        included = frozenset(block.get("transactions", ()))
        receipts: dict[UUID, dict[str, Any]] = {}
        for followed, transaction, receipt in zip(pending, hashes, found, strict=True):
            if receipt is not None:
                receipts[followed.id] = receipt
            elif transaction in included:
                raise ComponentError("node", f"it has {transaction} in a block but no receipt", "Wait until it has.")
        return receipts

    async def _decide(self, followed: Followed, receipt: Mapping[str, Any] | None, event: BlockEvent) -> Outcome | None:
        if receipt is None:
            if event.header.number < followed.signed.plan.target_block:
                return None
            return self._lost(followed, event)
        number = to_quantity(receipt.get("blockNumber"), "receipt.blockNumber")
        if number > event.header.number or (
            number == event.header.number and receipt["blockHash"] != event.header.hash
        ):
            return None  # the node is ahead of this event or on another branch: a later event decides
        return await self._mined(followed.signed, receipt, number, event)

    async def _mined(self, signed: SignedPlan, receipt: Mapping[str, Any], number: int, event: BlockEvent) -> Outcome:
        gas_used = to_quantity(receipt.get("gasUsed"), "receipt.gasUsed")
        price = to_quantity(receipt.get("effectiveGasPrice"), "receipt.effectiveGasPrice")
        landed = to_quantity(receipt.get("status"), "receipt.status") == 1
        details: dict[str, Any] = {
            "transaction_hash": signed.transaction_hash,
            "block_number": number,
            "gas_used": gas_used,
            "effective_gas_price": str(price),
        }
        trade = Trade(
            plan=signed.plan,
            status=TradeStatus.LANDED if landed else TradeStatus.REVERTED,
            transaction_hash=signed.transaction_hash,
            block_number=number,
            gross=Wei(net_flow(receipt["logs"], self._token, self._executor) if landed else 0),
            gas_used=gas_used,
            gas_cost=Wei(gas_used * price),
        )
        if landed:
            predicted = signed.plan.prediction
            details |= {"gross": str(trade.gross), "net": str(trade.net), "predicted_net": str(predicted.net)}
            if not trade.matches_prediction:
                log.error(
                    "%s earned %d wei net, predicted were %d: gross %+d, gas %+d, gas price %+d",
                    *(signed.transaction_hash, trade.net, predicted.net, trade.gross - predicted.gross),
                    *(gas_used - predicted.gas_used, price - predicted.base_fee - predicted.priority_fee),
                )
        else:
            revert = await self._revert_of(signed.transaction_hash)
            trade = replace(trade, reason=revert.reason)
            before = to_quantity(receipt.get("transactionIndex"), "receipt.transactionIndex")
            taker = _first_taker(event, signed, before) if number == event.header.number else None
            details |= {"error": revert.text} | _taken(taker)
        return Outcome(trade, to_hash32(receipt.get("blockHash"), "receipt.blockHash"), number, details)

    def _lost(self, followed: Followed, event: BlockEvent) -> Outcome:
        signed = followed.signed
        in_target = event.header.number == signed.plan.target_block
        taker = _first_taker(event, signed, None) if in_target else None
        reason = "lost_race" if taker else "not_included"
        if self._earlier_nonce_lost(signed):
            reason = "nonce_gap"
        if not followed.accepted:
            reason = "refused_by_relays"
        trade = Trade(
            plan=signed.plan,
            status=TradeStatus.LOST,
            transaction_hash=signed.transaction_hash,
            block_number=None,
            gross=Wei(0),
            gas_used=0,
            gas_cost=Wei(0),
            reason=reason,
        )
        details = {"transaction_hash": signed.transaction_hash, "target_block": signed.plan.target_block}
        return Outcome(trade, event.header.hash, event.header.number, details | _taken(taker))

    def _earlier_nonce_lost(self, signed: SignedPlan) -> bool:
        return any(
            other.outcome is not None
            and not other.reopened
            and other.outcome.trade.status is TradeStatus.LOST
            and other.signed.plan.target_block == signed.plan.target_block
            and other.signed.nonce < signed.nonce
            for other in self._followed.values()
        )

    async def _revert_of(self, transaction_hash: Hash32) -> Revert:
        """What the transaction reverted with, from its trace; not every node keeps traces."""
        try:
            trace = await self._node.request(
                "debug_traceTransaction",
                transaction_hash,
                {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}},
            )
        except (RpcError, ComponentError) as error:
            return Revert("revert_unknown", f"the node gives no trace: {error}")
        if not isinstance(trace, Mapping):
            return Revert("revert_unknown", "the node gives no trace")
        if "output" not in trace and trace.get("error") not in (None, "execution reverted"):
            return Revert("revert_by_evm", str(trace["error"])[:200])  # out of gas, invalid opcode
        return self._decoder.decode(to_bytes(trace.get("output", "0x"), "trace.output"))

    def _drop_final(self, number: int) -> None:
        self._followed = {
            id_: one
            for id_, one in self._followed.items()
            if one.is_pending or one.outcome is None or one.outcome.decided_at > number - self._depth
        }


def _first_taker(event: BlockEvent, signed: SignedPlan, before_index: int | None) -> Taker | None:
    """The first transaction of the block that touched a pool of the route, ahead of ours where ours is in the block."""
    pools = signed.plan.opportunity.route.pools
    for entry in event.logs:
        if before_index is not None and entry.transaction_index >= before_index:
            return None
        if entry.address in pools and entry.transaction_hash != signed.transaction_hash:
            return Taker(entry.transaction_hash, entry.address)
    return None


def _taken(taker: Taker | None) -> dict[str, Any]:
    return {} if taker is None else {"taken_by": taker.transaction_hash, "taken_pool": taker.pool}


def _change(followed: Followed, fate: Fate, reason: str, details: dict[str, Any]) -> FateChange:
    return FateChange(opportunity_id=followed.id, fate=fate, reason=reason, at=time.time_ns(), details=details)
