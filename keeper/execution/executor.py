"""Carries an opportunity from its route to a sent transaction and to its outcome."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keeper.config import Mode
from keeper.domain.chain import BlockEvent, BlockHeader
from keeper.domain.errors import ComponentError, InputError, SigningRefused
from keeper.domain.opportunity import Fate, FateChange, Opportunity
from keeper.domain.plan import AtomicPlan, Prediction
from keeper.domain.trade import Trade
from keeper.domain.units import Address, Wei
from keeper.execution.access_list import AccessLists, saves
from keeper.execution.draft import Draft, bids_falling, in_order_of_bids
from keeper.execution.gas import GasLimitExceeded, gas_limit, next_base_fee, priority_fee
from keeper.execution.nonce import NonceLeases
from keeper.execution.planner import Planner, Unfinanced
from keeper.execution.ports import Encoder
from keeper.execution.relays import BundleRelays
from keeper.execution.signer import SignedPlan, Signer
from keeper.execution.simulate import ExecutorCall, SimulatedCall, Simulator, compare
from keeper.execution.tracker import Tracker
from keeper.market.node import RpcError

log = logging.getLogger(__name__)


class AtomicExecution:
    """Execution of opportunities that are one transaction each.

    Args:
        bid_bps: share of the profit that goes to the builder: of what is left after the base fee when it is paid as
            priority fee, of the profit before gas when the stream pays it to the block's fee recipient.
        min_net: smallest profit after gas and bid that is worth sending, wei.
        pay_coinbase: let the stream pay the builder; its transactions then have no priority fee.
        parent_guard: bind each transaction to the very block that it was proven on.
        access_lists: where to ask what a call touches; None sends transactions without access lists.

    The last simulation of a block holds exactly the transactions that are then signed: calldata, nonces, gas limits
    and fees, in the order of their bids. So what is predicted is what the chain pays, to the wei, unless somebody
    else's transaction gets to the state first.
    """

    def __init__(
        self,
        *,
        executor: Address,
        token: Address,
        encode: Encoder,
        planner: Planner,
        simulator: Simulator,
        nonces: NonceLeases,
        signer: Signer,
        relays: BundleRelays,
        tracker: Tracker,
        bid_bps: int,
        min_net: int,
        pay_coinbase: bool = False,
        parent_guard: bool = False,
        access_lists: AccessLists | None = None,
    ) -> None:
        self._executor = executor
        self._token = token
        self._encode = encode
        self._planner = planner
        self._simulator = simulator
        self._nonces = nonces
        self._signer = signer
        self._relays = relays
        self._tracker = tracker
        self._bid_bps = bid_bps
        self._min_net = min_net
        self._builder_bps = bid_bps if pay_coinbase else 0
        self._parent_guard = parent_guard
        self._access_lists = access_lists

    @property
    def pending(self) -> int:
        """Sent plans whose fate is open."""
        return self._tracker.pending

    async def prepare(
        self, opportunities: Sequence[Opportunity], head: BlockHeader
    ) -> tuple[list[AtomicPlan], list[FateChange]]:
        """Finance, encode and prove; what comes back is proven on the state of ``head`` and in the order to be sent.

        Args:
            opportunities: the better ones first: where two want the same pool, the first has it.

        Raises:
            ComponentError: when the node cannot be asked; nothing is decided then.
        """
        base_fee = next_base_fee(head)
        drafts, fates = await self._draft(opportunities, head, base_fee)
        if not drafts:
            return [], fates
        try:
            drafts = await self._with_access_lists(drafts, head, base_fee)
            proven, dropped = await self._prove(drafts, head, base_fee)
        except RpcError as error:
            reason = (
                "operator_cannot_pay_gas" if "insufficient funds" in error.message.lower() else "simulation_refused"
            )
            log.error("the node refuses to simulate block %d: %s", head.number + 1, error.message)
            refused = [_fate(draft.opportunity, Fate.REJECTED, reason, error=error.message[:200]) for draft in drafts]
            return [], fates + refused
        plans = [self._plan(draft, head, base_fee) for draft in proven]
        passed = [_fate(plan.opportunity, Fate.SIMULATED, "proven", **_facts(plan)) for plan in plans]
        return plans, fates + dropped + passed

    async def sign(self, plans: Sequence[AtomicPlan]) -> tuple[list[SignedPlan], list[FateChange]]:
        """Sign what `prepare` returned, in its order.

        Returns:
            the signed plans, each with a fate `SUBMITTED` that is to be written down before `send`; in paper mode none,
            and fates that say so.
        """
        if not plans:
            return [], []
        nonces = self._nonces.lease(len(plans))
        try:
            signed = await self._signer.sign(list(zip(plans, nonces, strict=True)))
        except SigningRefused as error:
            if self._signer.mode is Mode.PAPER:
                return [], [_fate(plan.opportunity, Fate.SIMULATED, "paper_mode", **_facts(plan)) for plan in plans]
            log.error("not signed: %s", error)
            return [], [_fate(plan.opportunity, Fate.REJECTED, "signing_refused", error=str(error)) for plan in plans]
        except (ComponentError, RpcError) as error:
            log.error("not signed: %s", error)
            return [], [_fate(plan.opportunity, Fate.REJECTED, "node_unavailable", error=str(error)) for plan in plans]
        return signed, [
            _fate(
                one.plan.opportunity,
                Fate.SUBMITTED,
                "sent",
                transaction_hash=one.transaction_hash,
                nonce=one.nonce,
                target_block=one.plan.target_block,
                relays=list(self._relays.names),
            )
            for one in signed
        ]

    async def send(self, signed: Sequence[SignedPlan]) -> list[FateChange]:
        """Offer each plan to every relay, as a bundle of its own. From here on the tracker follows it.

        Returns:
            a fate `SUBMITTED` per plan with what each relay answered; ``refused_by_relays`` when none took it.
        """
        self._tracker.follow(signed)
        answers = await asyncio.gather(
            *(
                self._relays.send_bundle([one.raw], one.plan.target_block, replacement_uuid=one.plan.opportunity.id)
                for one in signed
            )
        )
        fates = []
        for one, given in zip(signed, answers, strict=True):
            accepted = any(answer.ok for answer in given)
            if not accepted:
                self._tracker.refused(one)
            reason = "accepted_by_relays" if accepted else "refused_by_relays"
            details = [answer.as_details() for answer in given]
            fates.append(_fate(one.plan.opportunity, Fate.SUBMITTED, reason, answers=details))
        return fates

    def forget(self, signed: Sequence[SignedPlan]) -> None:
        """Drop signed plans that will not be sent."""
        self._tracker.forget(signed)

    def abandon(self, reason: str) -> list[FateChange]:
        """Fates of the plans that no block will decide any more."""
        return self._tracker.abandon(reason)

    async def settle(self, event: BlockEvent) -> tuple[list[Trade], list[FateChange]]:
        """What ``event`` decided about earlier plans."""
        return await self._tracker.on_block(event)

    async def _draft(
        self, opportunities: Sequence[Opportunity], head: BlockHeader, base_fee: int
    ) -> tuple[list[Draft], list[FateChange]]:
        fates: list[FateChange] = []
        taken: dict[Address, Opportunity] = {}
        fresh: list[Opportunity] = []
        for one in opportunities:
            holder = next((taken[pool] for pool in one.route.pools if pool in taken), None)
            if one.block_number != head.number:
                fates.append(_fate(one, Fate.REJECTED, "stale_block", found_at=one.block_number, head=head.number))
            elif one.route.token != self._token:
                fates.append(_fate(one, Fate.REJECTED, "profit_not_in_wrapped_coin", token=one.route.token))
            elif holder is not None:
                fates.append(_fate(one, Fate.REJECTED, "pool_of_better_plan", better=str(holder.id)))
            else:
                fresh.append(one)
                taken |= dict.fromkeys(one.route.pools, one)
        drafts = []
        try:
            financings = await self._planner.finance([one.route for one in fresh], head, base_fee) if fresh else []
        except RpcError as error:
            return [], fates + [_fate(one, Fate.REJECTED, "lenders_unread", error=error.message[:200]) for one in fresh]
        for one, financing in zip(fresh, financings, strict=True):
            if isinstance(financing, Unfinanced):
                fates.append(_fate(one, Fate.REJECTED, financing.reason, lenders=financing.text))
                continue
            profit = one.route.gross_profit - financing.fee
            if profit <= 0:
                fates.append(_fate(one, Fate.REJECTED, "unprofitable_after_loan_fee", gross=str(profit)))
                continue
            payment = profit * self._builder_bps // 10_000  # the executor's own rounding
            draft = Draft(one, financing, b"", profit - payment, payment)
            try:
                drafts.append(replace(draft, data=self._stream(draft, head, guarded=self._parent_guard)))
            except InputError as error:
                fates.append(_fate(one, Fate.REJECTED, "not_encodable", error=str(error)))
        return drafts, fates

    def _stream(self, draft: Draft, head: BlockHeader, *, guarded: bool) -> bytes:
        """The calldata of a draft; ``guarded`` when it is to run on no other block than ``head``."""
        return self._encode(
            draft.opportunity.route,
            draft.financing,
            executor=self._executor,
            min_profit=draft.predicted,
            last_block=head.number + 1,
            parent_hash=head.hash if guarded else None,
            builder_bps=self._builder_bps,
        )

    async def _with_access_lists(self, drafts: list[Draft], head: BlockHeader, base_fee: int) -> list[Draft]:
        """The drafts, each with an access list if all of them, run with and without, show that it saves gas."""
        if self._access_lists is None:
            return drafts
        # the node runs them on the state of ``head``, not after it: there the guard would not hold
        probes = [self._stream(draft, head, guarded=False) if self._parent_guard else draft.data for draft in drafts]
        found = await self._access_lists.find(probes, head, base_fee)
        if not any(found):
            return drafts
        listed = [replace(draft, access_list=one) for draft, one in zip(drafts, found, strict=True)]
        plain, with_lists = await asyncio.gather(
            self._simulator.run(await self._calls(drafts, head, None), head, base_fee),
            self._simulator.run(await self._calls(listed, head, None), head, base_fee),
        )
        return [
            after if saves(before_gas.gas_used, after_gas.gas_used) else before
            for before, after, before_gas, after_gas in zip(drafts, listed, plain, with_lists, strict=True)
        ]

    async def _calls(self, drafts: Sequence[Draft], head: BlockHeader, base_fee: int | None) -> list[ExecutorCall]:
        first = await self._nonces.first(head)
        return [draft.call(first + index, head.gas_limit, base_fee) for index, draft in enumerate(drafts)]

    async def _prove(
        self, drafts: list[Draft], head: BlockHeader, base_fee: int
    ) -> tuple[list[Draft], list[FateChange]]:
        """Simulate until order, gas and bids of what is left stand still, dropping what does not earn its keep.

        Gas depends on the order, the bids on the gas, and the order on the bids: each round simulates with the figures
        of the last. The order is settled by the first round that could judge every draft; after it, no bid rises above
        the one before it. So each round drops a draft or comes closer to standing still.
        """
        dropped: list[FateChange] = []
        settled = False
        for round_ in range(2 * len(drafts) + 3):
            if not drafts:
                return [], dropped
            # a balance that pays gas is asked for only where gas will be paid
            priced = round_ > 0 and self._signer.mode is not Mode.PAPER
            calls = await self._calls(drafts, head, base_fee if priced else None)
            results = await self._simulator.run(calls, head, base_fee, validate=priced)
            following, fates, complete = self._sift(drafts, results, base_fee)
            following = bids_falling(following) if settled else in_order_of_bids(following)
            settled = settled or complete
            dropped += fates
            if following == drafts:
                return drafts, dropped
            drafts = following
        log.error("block %d: gas of %d plans does not settle, none is sent", head.number + 1, len(drafts))
        return [], dropped + [_fate(draft.opportunity, Fate.REJECTED, "gas_does_not_settle") for draft in drafts]

    def _sift(
        self, drafts: Sequence[Draft], results: Sequence[SimulatedCall], base_fee: int
    ) -> tuple[list[Draft], list[FateChange], bool]:
        """The drafts that passed, with gas and bid as now known; fates of the others; whether all could be judged."""
        kept: list[Draft] = []
        fates: list[FateChange] = []
        disturbed = False  # a draft that goes has altered the state for those behind it: they are judged next round
        for draft, result in zip(drafts, results, strict=True):
            if disturbed:
                kept.append(draft)
                continue
            divergence = compare(result, draft.predicted)
            if divergence is not None:
                if divergence.reason != "simulation_reverted":
                    log.error("%s diverges: %s", draft.opportunity.id, divergence.text)
                fates.append(
                    _fate(
                        draft.opportunity,
                        Fate.REJECTED,
                        divergence.reason,
                        predicted=str(divergence.predicted),
                        simulated=str(divergence.simulated),
                        error=divergence.text,
                    )
                )
                disturbed = divergence.changes_state
                continue
            assert result.gas_used is not None  # compare
            try:
                limit = gas_limit(result.gas_used)
            except GasLimitExceeded as error:
                fates.append(_fate(draft.opportunity, Fate.REJECTED, "gas_limit_exceeded", wanted=error.wanted))
                disturbed = True
                continue
            bid = 0 if self._builder_bps else priority_fee(draft.predicted, result.gas_used, base_fee, self._bid_bps)
            net = draft.predicted - result.gas_used * (base_fee + bid)
            if net <= 0 or net < self._min_net:
                fates.append(
                    _fate(
                        draft.opportunity,
                        Fate.REJECTED,
                        "unprofitable_after_gas" if net <= 0 else "below_minimum_profit",
                        gross=str(draft.predicted),
                        net=str(net),
                        gas_used=result.gas_used,
                    )
                )
                disturbed = True
                continue
            kept.append(replace(draft, gas_used=result.gas_used, gas_limit=limit, priority_fee=bid))
        return kept, fates, not disturbed

    def _plan(self, draft: Draft, head: BlockHeader, base_fee: int) -> AtomicPlan:
        return AtomicPlan(
            opportunity=draft.opportunity,
            financing=draft.financing,
            to=self._executor,
            data=draft.data,
            min_profit=draft.predicted,
            target_block=head.number + 1,
            gas_limit=draft.gas_limit,
            max_fee=Wei(base_fee + draft.priority_fee),
            prediction=Prediction(
                gross=Wei(draft.predicted),
                gas_used=draft.gas_used,
                base_fee=Wei(base_fee),
                priority_fee=Wei(draft.priority_fee),
                builder_payment=Wei(draft.builder_payment),
            ),
            access_list=draft.access_list,
        )


def _facts(plan: AtomicPlan) -> dict[str, Any]:
    """The proven figures of a plan, JSON-ready."""
    predicted = plan.prediction
    return {
        "gross": str(predicted.gross),
        "net": str(predicted.net),
        "gas_used": predicted.gas_used,
        "gas_limit": plan.gas_limit,
        "base_fee": str(predicted.base_fee),
        "priority_fee": str(predicted.priority_fee),
        "builder_payment": str(predicted.builder_payment),
        "access_list": sum(1 + len(slots) for _, slots in plan.access_list),
        "loan": str(plan.financing.amount),
        "loan_fee": str(plan.financing.fee),
        "lender": plan.financing.lender,
        "financing": plan.financing.kind.value,
        "financing_reason": plan.financing.reason,
        "target_block": plan.target_block,
    }


def _fate(opportunity: Opportunity, fate: Fate, reason: str, **details: Any) -> FateChange:
    return FateChange(opportunity_id=opportunity.id, fate=fate, reason=reason, at=time.time_ns(), details=details)
