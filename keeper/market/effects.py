"""From a pending transaction's steps to the pool states after it: exact, and of the pools that it touches alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keeper.domain.pending import (
    Amount,
    Batch,
    Carried,
    IntendedSwap,
    Intent,
    OtherStep,
    Payment,
    PortionPayment,
    Settle,
    Step,
    SwapHop,
    Sweep,
    Take,
    Unwrap,
    Wrap,
)
from keeper.domain.token import VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address, Hash32
from keeper.market.venues.base import InsufficientLiquidity, Pool
from keeper.market.venues.concentrated import WORD_BITS, ConcentratedPool, SwapResult
from keeper.market.venues.uniswap_v2 import UniswapV2Pool, get_amount_in

_ALL_BIPS = 10_000
_MAX_WORDS = 1500
"""Words of tick bitmaps that one transaction passes: at 3,500 gas and more each, beyond what wallets give."""


@dataclass(frozen=True, slots=True)
class Fill:
    """What one swap paid and received, raw units."""

    swap: IntendedSwap
    amount_in: int
    amount_out: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What a transaction would do on the states that it was worked out for.

    Attributes:
        pools: the states after it of the pools that it touches, by key; empty with a ``reason``.
        fills: its swaps, in order, without those that may fail and do.
        reason: why it would revert, or why its effect cannot be told; None where it succeeds.
        certain: with a ``reason``, whether it would revert; otherwise True.
    """

    pools: Mapping[Address, Pool]
    fills: tuple[Fill, ...] = ()
    reason: str | None = None
    certain: bool = True


def apply_intent(
    pools: Mapping[Address, Pool], intent: Intent, *, timestamp: int, parent: Hash32 | None = None
) -> Effect:
    """The effect of a whole call in a block of this time on top of ``parent``.

    It is taken for granted that the sender can pay, has approved the router and gives enough gas, and that the router
    held nothing before.
    """
    if intent.deadline is not None and timestamp > intent.deadline:
        return Effect({}, reason="its deadline has passed")
    if intent.previous_block not in (None, parent):
        return Effect({}, reason="another block precedes", certain=parent is not None)
    return apply_swaps(pools, intent.steps, router=intent.router, value=intent.value)


def apply_swaps(
    pools: Mapping[Address, Pool], steps: tuple[Step, ...], *, router: Address = ZERO_ADDRESS, value: int = 0
) -> Effect:
    """The effect of ``steps``, one after the other, on ``pools``, which are neither copied nor changed.

    Args:
        pools: by key.
        router: whose balances the steps spend.
        value: ether that the router begins with, wei.
    """
    run = _Run(pools, router, {ZERO_ADDRESS: value})
    try:
        run.all(steps)
    except _Reverts as reverts:
        return Effect({}, reason=str(reverts))
    except _Unknown as unknown:
        return Effect({}, reason=str(unknown), certain=False)
    return Effect(run.changed, tuple(run.fills))


class _Reverts(Exception):
    """The transaction, or the part of it that may fail, is undone."""


class _Unknown(Exception):
    """What happens does not follow from the pool states."""


@dataclass(slots=True)
class _Run:
    """The state of a transaction half-way; None stands for an amount that is not known.

    Attributes:
        balances: of the router, by token; ether is the zero address.
        deltas: what the V4 PoolManager owes the router.
        words: of tick bitmaps, passed so far.
    """

    pools: Mapping[Address, Pool]
    router: Address
    balances: dict[Address, int | None]
    deltas: dict[Address, int | None] = field(default_factory=dict)
    changed: dict[Address, Pool] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    words: int = 0

    def all(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if isinstance(step, IntendedSwap | Batch) and step.may_fail:
                self._try(step)
            else:
                self._one(step)

    def _try(self, step: IntendedSwap | Batch) -> None:
        kept = dict(self.balances), dict(self.deltas), dict(self.changed), list(self.fills)
        try:
            self._one(step)
        except _Reverts:
            self.balances, self.deltas, self.changed, self.fills = kept

    def _one(self, step: Step) -> None:
        match step:
            case IntendedSwap():
                self._swap(step)
            case Batch():
                self.all(step.steps)
                if any(delta != 0 for delta in self.deltas.values() if delta is not None):
                    raise _Reverts("it leaves debts to the PoolManager or claims on it")
                self.deltas.clear()
            case Wrap():
                amount = self._known(self.balances, ZERO_ADDRESS) if isinstance(step.amount, Carried) else step.amount
                held = self.balances[ZERO_ADDRESS]
                if held is not None and held < amount:
                    raise _Reverts("it wraps more ether than comes with it")
                self._move(self.balances, ZERO_ADDRESS, -amount)
                self._receive(step.token, amount, step.recipient)
            case Unwrap():
                held = self._all_of(step.token, step.minimum)
                self._receive(ZERO_ADDRESS, held, step.recipient)
            case Sweep():
                self._receive(step.token, self._all_of(step.token, step.minimum), step.recipient)
            case Payment():
                amount = self._known(self.balances, step.token) if isinstance(step.amount, Carried) else step.amount
                if step.payer == self.router:
                    self._spend(step.token, amount)
                self._receive(step.token, amount, step.recipient)
            case PortionPayment():
                if not 0 < step.bips <= _ALL_BIPS and not step.of_claim:
                    raise _Reverts("it pays no portion, or more than all")
                source = self.deltas if step.of_claim else self.balances
                held = source.get(step.token, 0)
                portion = None if held is None else max(held, 0) * step.bips // _ALL_BIPS
                self._move(source, step.token, None if portion is None else -portion)
                self._receive(step.token, portion, step.recipient)
            case Settle():
                if step.amount is Carried.ROUTER_BALANCE:
                    amount = self._known(self.balances, step.token)
                else:
                    amount = self._open(step.amount, step.token, -1)
                if step.payer == self.router:
                    self._spend(step.token, amount)
                self._move(self.deltas, step.token, amount)
            case Take():
                amount = self._open(step.amount, step.token, 1)
                self._move(self.deltas, step.token, -amount)
                self._receive(step.token, amount, step.recipient)
            case OtherStep():
                if not step.inert:
                    raise _Unknown(f"what {step.name} does is not modelled")
                if step.token is not None:
                    self.balances[step.token] = self.deltas[step.token] = None

    def _swap(self, swap: IntendedSwap) -> None:
        if swap.hop_limits:
            raise _Unknown("limits of single hops are not modelled")
        amount = self._amount(swap)
        if amount == 0:
            raise _Reverts("it swaps nothing")
        try:
            match swap.venue:
                case VenueKind.UNISWAP_V2:
                    paid, received = self._through_pairs(swap, amount)
                case VenueKind.UNISWAP_V3 | VenueKind.UNISWAP_V4:
                    paid, received = self._through_ranges(swap, amount)
                case _:
                    raise _Unknown(f"swaps of {swap.venue} are not modelled")
        except InsufficientLiquidity as error:
            raise _Reverts(f"a pool refuses: {error}") from error
        if swap.exact_in and received < swap.limit:
            raise _Reverts(f"it would receive {received} and wants {swap.limit}")
        if not swap.exact_in and paid > swap.limit:
            raise _Reverts(f"it would pay {paid} and bears {swap.limit}")
        if swap.venue is VenueKind.UNISWAP_V4:
            self._move(self.deltas, swap.token_in, -paid)
            self._move(self.deltas, swap.token_out, received)
        else:
            if swap.payer == self.router:
                self._spend(swap.token_in, paid)
            self._receive(swap.token_out, received, swap.recipient)
        self.fills.append(Fill(swap, paid, received))

    def _amount(self, swap: IntendedSwap) -> int:
        match swap.amount:
            case Carried.ROUTER_BALANCE:
                return self._known(self.balances, swap.token_in)
            case Carried.ALREADY_PAID:
                raise _Unknown("it spends what lies in a pair beyond its reserves")
            case Carried.OPEN_DELTA:
                token, sign = (swap.token_in, 1) if swap.exact_in else (swap.token_out, -1)
                return self._open(swap.amount, token, sign)
            case given:
                return given

    def _through_pairs(self, swap: IntendedSwap, amount: int) -> tuple[int, int]:
        """V2: the routers work amounts out beforehand, unless each pair pays for what it finds."""
        hops = swap.hops
        amounts = [amount]
        if not swap.exact_in:
            for hop in reversed(hops):
                pool = self._pair(hop)
                reserve_in, reserve_out = pool.reserve0, pool.reserve1
                if hop.token_in != pool.token0:
                    reserve_in, reserve_out = reserve_out, reserve_in
                amounts.insert(0, get_amount_in(amounts[0], reserve_in, reserve_out, pool.fee_pips))
        elif not swap.by_balance:
            for hop in hops:
                amounts.append(_paid(self._pair(hop), hop, amounts[-1]))
        paid = received = amounts[0]
        for number, hop in enumerate(hops):
            pool = self._pair(hop)
            amount_in = received
            received = _paid(pool, hop, amount_in) if swap.by_balance else amounts[number + 1]
            self.changed[hop.pool] = pool.exchanged(hop.token_in, amount_in, received)
        return paid, received

    def _through_ranges(self, swap: IntendedSwap, amount: int) -> tuple[int, int]:
        """V3 and V4: an exact output is asked for from the last pool on, and each then asks the one before it."""
        limit = swap.price_limit or None
        if swap.exact_in:
            first: int | None = None
            for hop in swap.hops:
                result = self._step(hop, amount, limit)
                first = result.amount_in if first is None else first
                amount = result.amount_out
            assert first is not None
            return first, amount
        received = None
        for hop in reversed(swap.hops):
            result = self._step(hop, -amount, limit)
            if result.amount_out != amount and limit is None:
                if swap.venue is VenueKind.UNISWAP_V4:
                    raise _Unknown("not every V4 router fills part of an output")
                raise _Reverts(f"{hop.pool} pays no more than {result.amount_out}")
            received = result.amount_out if received is None else received
            amount = result.amount_in
        assert received is not None
        return amount, received

    def _step(self, hop: SwapHop, amount: int, limit: int | None) -> SwapResult:
        """One pool's swap; ``amount`` is negative for an output."""
        pool = self._ranges(hop)
        if amount == 0:
            raise _Reverts("nothing is left to swap")
        result = pool.swap(hop.token_in == pool.token0, amount, limit)
        if result.amount_in == 0:
            # a V3 router's callback insists on paying, and a price that moves through nothing is worth no guess
            raise _Reverts(f"{hop.pool} has no liquidity to swap through")
        after = pool.after(result)
        # whoever wants to keep us busy asks for this; nobody pays for it
        self.words += abs(after.tick - pool.tick) // (WORD_BITS * pool.tick_spacing)
        if self.words > _MAX_WORDS:
            raise _Unknown("so long a way takes more gas than it is likely to have")
        self.changed[hop.pool] = after
        return result

    def _pair(self, hop: SwapHop) -> UniswapV2Pool:
        pool = self.changed.get(hop.pool) or self.pools.get(hop.pool)
        if not isinstance(pool, UniswapV2Pool):
            raise _Unknown(f"pool {hop.pool} is not in the book")
        return pool

    def _ranges(self, hop: SwapHop) -> ConcentratedPool:
        pool = self.changed.get(hop.pool) or self.pools.get(hop.pool)
        if not isinstance(pool, ConcentratedPool):
            raise _Unknown(f"pool {hop.pool} is not in the book")
        return pool

    def _all_of(self, token: Address, minimum: int) -> int | None:
        """What the router holds of the token, which leaves it."""
        held = self.balances.get(token, 0)
        if held is None and minimum:
            raise _Unknown(f"how much of {token} there is then is not modelled")
        if held is not None and held < minimum:
            raise _Reverts(f"it would receive {held} and wants {minimum}")
        self.balances[token] = 0
        return held

    def _known(self, amounts: dict[Address, int | None], token: Address) -> int:
        amount = amounts.get(token, 0)
        if amount is None:
            raise _Unknown(f"how much of {token} there is then is not modelled")
        return amount

    def _open(self, amount: Amount, token: Address, sign: int) -> int:
        """``amount``, or the whole credit (``sign`` 1) or debt (-1) with the PoolManager."""
        if not isinstance(amount, Carried):
            return amount
        delta = sign * self._known(self.deltas, token)
        if delta < 0:
            raise _Reverts(f"it takes a debt of {token} for a credit, or a credit for a debt")
        return delta

    def _spend(self, token: Address, amount: int) -> None:
        held = self.balances.get(token, 0)
        if held is not None and held < amount:
            raise _Unknown(f"the router pays {amount} of {token} and got {held}")
        self._move(self.balances, token, -amount)

    def _receive(self, token: Address, amount: int | None, recipient: Address) -> None:
        if recipient == self.router:
            self._move(self.balances, token, amount)

    @staticmethod
    def _move(amounts: dict[Address, int | None], token: Address, change: int | None) -> None:
        held = amounts.get(token, 0)
        amounts[token] = None if held is None or change is None else held + change


def _paid(pair: UniswapV2Pool, hop: SwapHop, amount_in: int) -> int:
    if amount_in == 0:
        raise _Reverts("nothing is left to swap")
    return pair.amount_out(hop.token_in, amount_in)
