"""The layout of routes through any venue, and of joint routes: one swap after the other.

    loan, or unlock and take { swap; swap; ... payments that were put off; settle }

A swap pays out to the executor, or straight to the next pool where that takes exactly this. A V2 or V3 pool whose input
is not there yet is called back: what follows runs in its callback, and it is paid at the end. So a route that starts
there finances itself. Tokens that are paid with, other than the profit token, are watched.

Operations on Uniswap V4's or Balancer V3's accounts name no contract: they run in the frame that the unlocking opens,
which is opened last, and a transaction can have one of the two.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeVar

from keeper.domain.errors import InputError
from keeper.domain.joint_route import JointRoute
from keeper.domain.plan import Financing
from keeper.domain.route import Hop, Route
from keeper.domain.swap_detail import BalancerV2Id, BalancerV3Vault, CurveCoins, CurveInterface, V4Key
from keeper.domain.token import LenderKind, VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.execution.nesting import NESTED_VENUES, V2_VENUES, V3_VENUES, nest_funded
from keeper.execution.opcodes import ETHEREUM_POOL_MANAGER, LENDERS, Opcode, To
from keeper.execution.operations import Loan, Operation, Step, Swap, V4Swap, step

_T = TypeVar("_T")
PULLED = frozenset(
    (
        VenueKind.BALANCER_V2_WEIGHTED,
        VenueKind.BALANCER_V2_STABLE,
        VenueKind.CURVE_STABLESWAP,
        VenueKind.CURVE_TRICRYPTO,
    )
)
BALANCER_V3_VENUES = frozenset((VenueKind.BALANCER_V3_WEIGHTED, VenueKind.BALANCER_V3_STABLE))


def arrange(
    route: Route | JointRoute, financing: Financing, executor: Address, hooks: Collection[Address] = ()
) -> tuple[tuple[Operation, ...], tuple[Address, ...]]:
    """The operations of the route, and the tokens to watch.

    Args:
        hooks: the hooks of Uniswap V4 that pools may have.

    Raises:
        InputError: a leg takes in what is not there and cannot be put off, two contracts would have to be unlocked, or
            a pool has hooks that are not allowed.
    """
    for leg in route.hops if isinstance(route, Route) else route.legs:
        if isinstance(leg.detail, V4Key) and leg.detail.hooks not in (ZERO_ADDRESS, *hooks):
            raise InputError(
                "route", leg.detail.hooks, "Take a pool without hooks, or allow these: they are foreign code."
            )
    if isinstance(route, Route):
        return _Arrangement(route.token, route.hops, True, financing, executor).build()
    return _Arrangement(route.token, route.legs, False, financing, executor).build()


@dataclass(slots=True)
class _Arrangement:
    token: Address
    legs: tuple[Hop, ...]
    closed: bool
    """Whether the legs are one loop, in its order."""
    financing: Financing
    executor: Address
    operations: list[Operation] = field(default_factory=list)
    held: dict[Address, int] = field(default_factory=dict)
    put_off: list[tuple[Address, Address, int]] = field(default_factory=list)
    """Token, pool and amount of what is paid at the end."""
    watched: list[Address] = field(default_factory=list)
    lies_in: Address | None = None
    """The pool to which the swap before delivered."""
    on_account: tuple[Address, int] | None = None
    """What the swap before left on V4's account."""

    def build(self) -> tuple[tuple[Operation, ...], tuple[Address, ...]]:
        singleton = self._singleton()
        kind = self.financing.kind
        if kind is LenderKind.UNISWAP_V4 and self._chained():
            unlock = _unlock_chain(singleton, self.token)
            closes = () if unlock.opcode is Opcode.V4_UNLOCK_ETHEREUM else (step(Opcode.V4_CLOSE),)
            return (unlock, *self._chain(), *closes), ()
        deferred = self._deferred()
        if kind not in (LenderKind.FLASH_SWAP, LenderKind.INVENTORY, LenderKind.UNISWAP_V4, LenderKind.BALANCER_V3):
            self.operations.append(Loan(_loan_opcode(self.financing, self.token), self.financing.lender, self._amount))
        self._defer(deferred)
        if singleton is not None:
            v4 = any(isinstance(leg.detail, V4Key) for leg in self.legs) or kind is LenderKind.UNISWAP_V4
            opcode = Opcode.V4_UNLOCK if v4 else Opcode.BALANCER_V3_UNLOCK
            self.operations.append(step(opcode, **{"manager" if v4 else "vault": singleton}))
        if kind in (LenderKind.UNISWAP_V4, LenderKind.BALANCER_V3):
            take = Opcode.V4_TAKE if kind is LenderKind.UNISWAP_V4 else Opcode.BALANCER_V3_TAKE
            self.operations.append(step(take, token=self.token, amount=self._amount, receiver=self.executor))
        if kind is not LenderKind.FLASH_SWAP:
            self.held[self.token] = self.held.get(self.token, 0) + self._amount
        if not deferred and self.closed and all(leg.venue in NESTED_VENUES for leg in self.legs):
            settles = kind in (LenderKind.UNISWAP_V4, LenderKind.BALANCER_V3)
            self.operations += nest_funded(self.legs, last=not settles)
        else:
            for index, leg in enumerate(self.legs):
                if leg not in deferred:
                    self._lay(leg, self.legs[index + 1] if index + 1 < len(self.legs) else None)
        for token, pool, amount in self.put_off:
            self._spend(token, amount)
            self.operations.append(step(Opcode.PAY_ADDRESS, token=token, amount=amount, receiver=pool))
        if kind in (LenderKind.UNISWAP_V4, LenderKind.BALANCER_V3):
            settle = Opcode.V4_SETTLE if kind is LenderKind.UNISWAP_V4 else Opcode.BALANCER_V3_SETTLE
            self.operations.append(step(settle, token=self.token, amount=self._amount))
        return tuple(self.operations), tuple(self.watched)

    @property
    def _amount(self) -> int:
        return self.financing.amount

    def _singleton(self) -> Address | None:
        """The contract that has to be unlocked, or None."""
        wanted: dict[Address, None] = {}
        for leg in self.legs:
            if isinstance(leg.detail, V4Key):
                wanted[leg.detail.manager] = None
            elif isinstance(leg.detail, BalancerV3Vault):
                wanted[leg.detail.vault] = None
        if self.financing.kind in (LenderKind.UNISWAP_V4, LenderKind.BALANCER_V3):
            wanted[self.financing.lender] = None
        if len(wanted) > 1:
            raise InputError("route", list(wanted), "Unlock one contract in a transaction: take pools of one of them.")
        return next(iter(wanted), None)

    # ------------------------------------------------------------------ V4 alone

    def _chained(self) -> bool:
        pairs = zip(self.legs, self.legs[1:], strict=False)
        return all(leg.venue is VenueKind.UNISWAP_V4 for leg in self.legs) and all(
            a.token_out == b.token_in and a.amount_out == b.amount_in for a, b in pairs
        )

    def _chain(self) -> list[Operation]:
        before: V4Key | None = None
        swaps: list[Operation] = []
        for leg in self.legs:
            key = _detail(leg, V4Key)
            swaps.append(_v4_swap(leg, key, before, chained=before is not None))
            before = key
        return swaps

    # ------------------------------------------------------------------ legs whose input comes later

    def _deferred(self) -> list[Hop]:
        """Legs that are called first because what they take in is not there when their turn comes."""
        deferred: list[Hop] = []
        while True:
            missing = self._first_missing(deferred)
            if missing is None:
                return deferred
            called = missing
            if missing in deferred or missing.venue not in V2_VENUES | V3_VENUES:
                # somebody else who pays this token out has to begin
                payers = [leg for leg in self.legs if leg.token_out == missing.token_in and leg not in deferred]
                payers = [leg for leg in payers if leg.venue in V2_VENUES | V3_VENUES]
                if not payers:
                    remedy = "Borrow it, or start with a pool that pays out first."
                    text = f"{missing.amount_in} of {missing.token_in} are missing. {remedy}"
                    raise InputError("route", missing.pool, text)
                called = max(payers, key=lambda leg: leg.amount_out)
            deferred.append(called)

    def _first_missing(self, deferred: list[Hop]) -> Hop | None:
        held = {} if self.financing.kind is LenderKind.FLASH_SWAP else {self.token: self._amount}
        for leg in deferred:
            held[leg.token_out] = held.get(leg.token_out, 0) + leg.amount_out
        for leg in self.legs:
            if leg in deferred:
                continue
            if held.get(leg.token_in, 0) < leg.amount_in:
                return leg
            held[leg.token_in] -= leg.amount_in
            held[leg.token_out] = held.get(leg.token_out, 0) + leg.amount_out
        return next((leg for leg in deferred if held.get(leg.token_in, 0) < leg.amount_in), None)

    def _defer(self, deferred: list[Hop]) -> None:
        for leg in deferred:
            opcode = Opcode.UNISWAP_V3 if leg.venue in V3_VENUES else Opcode.UNISWAP_V2_FLASH
            amount = leg.amount_in if leg.venue in V3_VENUES else leg.amount_out
            self.operations.append(
                Swap(opcode, leg.pool, leg.zero_for_one, To.SELF if leg.venue in V3_VENUES else To.CALLER, amount)
            )
            self._receive(leg)
            self.put_off.append((leg.token_in, leg.pool, leg.amount_in))

    # ------------------------------------------------------------------ one leg after the other

    def _lay(self, leg: Hop, following: Hop | None) -> None:
        to = To.SELF
        forwards = (
            following is not None
            and following.token_in == leg.token_out
            and following.amount_in == leg.amount_out
            and _takes_deliveries(following)
            and leg.venue is not VenueKind.UNISWAP_V4
            and leg.venue not in BALANCER_V3_VENUES
            and _names_receiver(leg)
            and all(following.pool != pool for _, pool, _ in self.put_off)
        )
        if forwards:
            to = To.NEXT
        lies_there, self.lies_in = self.lies_in == leg.pool, None
        if not lies_there and not (self.on_account == (leg.token_in, leg.amount_in) and isinstance(leg.detail, V4Key)):
            self.held[leg.token_in] = self.held.get(leg.token_in, 0) - leg.amount_in
        if leg.venue in V2_VENUES:
            self._lay_pair(leg, to, lies_there)
        elif leg.venue in V3_VENUES:
            self._lay_range(leg, to)
        elif leg.venue is VenueKind.UNISWAP_V4:
            self._lay_v4(leg, following)
            return
        elif leg.venue in BALANCER_V3_VENUES:
            self._lay_balancer_v3(leg)
        elif leg.venue in PULLED:
            self._lay_pulled(leg, to, lies_there)
        else:
            raise InputError("route", leg.venue.value, "The executor has no operation for this venue.")
        if forwards and following is not None:
            self.lies_in = following.pool
        else:
            self._receive(leg)

    def _lay_pair(self, leg: Hop, to: To, lies_there: bool) -> None:
        opcode, paid = Opcode.UNISWAP_V2, None
        if not lies_there and leg.token_in == self.token:
            opcode, paid = Opcode.UNISWAP_V2_PAID, leg.amount_in
        elif not lies_there:
            self._watch(leg.token_in)
            self.operations.append(step(Opcode.PAY, token=leg.token_in, amount=leg.amount_in, to=To.NEXT))
        self.operations.append(Swap(opcode, leg.pool, leg.zero_for_one, to, leg.amount_out, paid))

    def _lay_range(self, leg: Hop, to: To) -> None:
        if leg.token_in == self.token:
            self.operations.append(Swap(Opcode.UNISWAP_V3_DIRECT, leg.pool, leg.zero_for_one, to, leg.amount_in))
            return
        self._watch(leg.token_in)
        self.operations.append(
            step(
                Opcode.V3_TOKEN,
                pool=leg.pool,
                amount=leg.amount_in,
                token=leg.token_in,
                zero_for_one=int(leg.zero_for_one),
                to=to,
            )
        )

    def _lay_v4(self, leg: Hop, following: Hop | None) -> None:
        key = _detail(leg, V4Key)
        if self.on_account != (leg.token_in, leg.amount_in):
            self._watch(leg.token_in)
            self.operations.append(step(Opcode.V4_SETTLE, token=leg.token_in, amount=leg.amount_in))
        self.operations.append(_v4_swap(leg, key, None, chained=False))
        stays = (
            following is not None
            and following.venue is VenueKind.UNISWAP_V4
            and (following.token_in, following.amount_in) == (leg.token_out, leg.amount_out)
        )
        if stays:
            self.on_account = (leg.token_out, leg.amount_out)
            return
        self.on_account = None
        self._deliver(Opcode.V4_TAKE, leg, following)

    def _lay_balancer_v3(self, leg: Hop) -> None:
        _detail(leg, BalancerV3Vault)
        self._watch(leg.token_in)
        tokens = {"token_in": leg.token_in, "token_out": leg.token_out}
        self.operations += [
            step(Opcode.BALANCER_V3_SETTLE, token=leg.token_in, amount=leg.amount_in),
            step(Opcode.BALANCER_V3_SWAP, pool=leg.pool, amount=leg.amount_in, **tokens),
            step(Opcode.BALANCER_V3_TAKE, token=leg.token_out, amount=leg.amount_out, receiver=self.executor),
        ]

    def _deliver(self, opcode: Opcode, leg: Hop, following: Hop | None) -> None:
        receiver = self.executor
        if (
            following is not None
            and _takes_deliveries(following)
            and (following.token_in, following.amount_in) == (leg.token_out, leg.amount_out)
        ):
            receiver = self.lies_in = following.pool
        else:
            self._receive(leg)
        self.operations.append(step(opcode, token=leg.token_out, amount=leg.amount_out, receiver=receiver))

    def _lay_pulled(self, leg: Hop, to: To, lies_there: bool) -> None:
        if isinstance(leg.detail, BalancerV2Id):
            self._watch(leg.token_in)
            self.operations.append(
                step(
                    Opcode.BALANCER_V2_SWAP,
                    vault=leg.detail.vault,
                    amount=leg.amount_in,
                    pool_id=bytes.fromhex(leg.detail.pool_id[2:]),
                    token_in=leg.token_in,
                    token_out=leg.token_out,
                    to=to,
                )
            )
            return
        coins = _detail(leg, CurveCoins)
        if coins.interface is CurveInterface.RECEIVED:
            if not lies_there:
                self._watch(leg.token_in)
                self.operations.append(step(Opcode.PAY, token=leg.token_in, amount=leg.amount_in, to=To.NEXT))
            self.operations.append(
                step(Opcode.CURVE_RECEIVED, pool=leg.pool, amount=leg.amount_in, i=coins.i, j=coins.j, to=to)
            )
            return
        self._watch(leg.token_in)
        int128 = coins.interface is CurveInterface.INT128
        self.operations.append(
            step(
                Opcode.CURVE_INT128 if int128 else Opcode.CURVE_UINT256,
                pool=leg.pool,
                amount=leg.amount_in,
                token=leg.token_in,
                i=coins.i,
                j=coins.j,
            )
        )

    # ------------------------------------------------------------------ what is held

    def _receive(self, leg: Hop) -> None:
        self.held[leg.token_out] = self.held.get(leg.token_out, 0) + leg.amount_out

    def _spend(self, token: Address, amount: int) -> None:
        self._watch(token)
        self.held[token] = self.held.get(token, 0) - amount

    def _watch(self, token: Address) -> None:
        if token != self.token and token not in self.watched:
            self.watched.append(token)


def _takes_deliveries(leg: Hop) -> bool:
    received = isinstance(leg.detail, CurveCoins) and leg.detail.interface is CurveInterface.RECEIVED
    return leg.venue in V2_VENUES or received


def _names_receiver(leg: Hop) -> bool:
    pulled = isinstance(leg.detail, CurveCoins) and leg.detail.interface is not CurveInterface.RECEIVED
    return not pulled


def _v4_swap(leg: Hop, key: V4Key, before: V4Key | None, *, chained: bool) -> V4Swap:
    currencies = (key.currency0, key.currency1)
    same = before is not None and (before.currency0, before.currency1) == currencies
    return V4Swap(
        fee_pips=key.fee_pips,
        tick_spacing=key.tick_spacing,
        zero_for_one=leg.zero_for_one,
        currencies=None if same else currencies,
        hooks=None if key.hooks == ZERO_ADDRESS else key.hooks,
        amount=None if chained else leg.amount_in,
    )


def _unlock_chain(manager: Address | None, token: Address) -> Step:
    """For a chain of swaps through V4 that is closed: by the short way where the coin itself is earned on Ethereum."""
    if manager == ETHEREUM_POOL_MANAGER and token == ZERO_ADDRESS:
        return step(Opcode.V4_UNLOCK_ETHEREUM)
    return step(Opcode.V4_UNLOCK, manager=manager or ZERO_ADDRESS)


def _loan_opcode(financing: Financing, token: Address) -> Opcode:
    if financing.kind in LENDERS:
        return LENDERS[financing.kind]
    if financing.token0 is None:
        raise InputError("financing.token0", None, "Tell whether the profit token is the lender's first token.")
    if financing.kind is LenderKind.UNISWAP_V3:
        return Opcode.V3_FLASH_0 if financing.token0 else Opcode.V3_FLASH_1
    if financing.kind is LenderKind.DODO:
        return Opcode.DODO_BASE if financing.token0 else Opcode.DODO_QUOTE
    raise InputError("financing.kind", financing.kind.value, f"There is no loan of {token} by this name.")


def _detail(leg: Hop, kind: type[_T]) -> _T:
    if not isinstance(leg.detail, kind):
        raise InputError("route", leg.pool, f"A swap through {leg.venue.value} needs its {kind.__name__}.")
    return leg.detail
