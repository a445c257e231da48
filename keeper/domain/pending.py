"""Transactions that wait for a block, and what those to the known routers mean to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from keeper.domain.swap_detail import V4Key
from keeper.domain.token import VenueKind
from keeper.domain.units import Address, Hash32, Wei

Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class PendingTransaction:
    """A transaction as a node tells it before it is in a block.

    Attributes:
        to: None where it creates a contract.
        gas: its gas limit.
        max_fee, priority_fee: wei per gas; before EIP-1559 both are the gas price.
        seen_at: Unix time at which the keeper first heard of it, nanoseconds.
    """

    hash: Hash32
    sender: Address
    to: Address | None
    nonce: int
    value: Wei
    data: bytes
    gas: int
    max_fee: Wei
    priority_fee: Wei
    seen_at: int


class Carried(StrEnum):
    """Amounts that calldata does not name, because earlier steps of the same transaction make them."""

    ROUTER_BALANCE = "router_balance"
    """All that the router holds of the token by then."""
    OPEN_DELTA = "open_delta"
    """All that the V4 PoolManager owes for the token by then, or is owed."""
    ALREADY_PAID = "already_paid"
    """What lies in the first pair beyond its reserves."""


Amount = int | Carried
"""Raw token units."""


@dataclass(frozen=True, slots=True)
class SwapHop:
    """One pool on the way of a swap.

    Attributes:
        token_in, token_out: with Uniswap V4 the zero address is Ether.
        pool: the pool's key, as `keeper.market.venues.base.Pool` has it; it follows from factory, tokens and fee.
        v4_key: of Uniswap V4 alone.
    """

    token_in: Address
    token_out: Address
    fee_pips: int
    pool: Address
    v4_key: V4Key | None = None


@dataclass(frozen=True, slots=True)
class IntendedSwap:
    """One swap that a pending transaction asks a router for.

    Attributes:
        hops: from the token that is paid to the token that is received.
        exact_in: whether ``amount`` is what is paid or what is received.
        limit: the least to receive, or the most to pay; beyond it the router reverts.
        payer, recipient: the sender, the router, or another account.
        price_limit: of a single V3 pool, square root, Q64.96; 0 for none.
        by_balance: of V2 pairs: each pays for what it received, so that tokens with a fee on transfers work; otherwise
            all amounts are worked out beforehand.
        hop_limits: whether the router also holds single hops to a price.
        may_fail: whether the transaction goes on when this fails.
    """

    venue: VenueKind
    dex: str
    hops: tuple[SwapHop, ...]
    exact_in: bool
    amount: Amount
    limit: int
    payer: Address
    recipient: Address
    price_limit: int = 0
    by_balance: bool = False
    hop_limits: bool = False
    may_fail: bool = False

    @property
    def token_in(self) -> Address:
        return self.hops[0].token_in

    @property
    def token_out(self) -> Address:
        return self.hops[-1].token_out


@dataclass(frozen=True, slots=True)
class Wrap:
    """Ether of the router becomes wrapped ether, ``token``, of ``recipient``."""

    token: Address
    amount: Amount
    recipient: Address


@dataclass(frozen=True, slots=True)
class Unwrap:
    """All wrapped ether of the router, ``minimum`` at least, becomes ether of ``recipient``."""

    token: Address
    minimum: int
    recipient: Address


@dataclass(frozen=True, slots=True)
class Sweep:
    """All that the router holds of ``token``, ``minimum`` at least, goes to ``recipient``."""

    token: Address
    minimum: int
    recipient: Address


@dataclass(frozen=True, slots=True)
class Payment:
    """A transfer to or from the router; of ether where the token is the zero address."""

    token: Address
    amount: Amount
    payer: Address
    recipient: Address


@dataclass(frozen=True, slots=True)
class PortionPayment:
    """``bips`` ten-thousandths of what the router holds, or of its claim on the V4 PoolManager, go to ``recipient``."""

    token: Address
    bips: int
    recipient: Address
    of_claim: bool = False


@dataclass(frozen=True, slots=True)
class Settle:
    """A payment to the V4 PoolManager."""

    token: Address
    amount: Amount
    payer: Address


@dataclass(frozen=True, slots=True)
class Take:
    """A payment of the V4 PoolManager."""

    token: Address
    amount: Amount
    recipient: Address


@dataclass(frozen=True, slots=True)
class OtherStep:
    """A step that swaps nothing and is not modelled: a permit, a check of a balance, a position.

    Attributes:
        name: of the command or the function.
        token: whose amount at the router, or open with the PoolManager, is no longer known after it; None for none.
        inert: whether it certainly leaves pools as they are.
    """

    name: str
    token: Address | None = None
    inert: bool = True


@dataclass(frozen=True, slots=True)
class Batch:
    """Steps that succeed or fail together: a plan within a plan, or all that one V4_SWAP command holds."""

    steps: tuple[Step, ...]
    may_fail: bool = False


Step = IntendedSwap | Wrap | Unwrap | Sweep | Payment | PortionPayment | Settle | Take | OtherStep | Batch


@dataclass(frozen=True, slots=True)
class Intent:
    """What a pending transaction asks a router to do, step by step.

    Attributes:
        function: name of the router's function.
        value: ether that comes with it, wei.
        deadline: Unix time, seconds, after which the router reverts; None for none.
        previous_block: the block that has to precede; None for any.
    """

    router: Address
    function: str
    steps: tuple[Step, ...]
    value: Wei
    deadline: int | None = None
    previous_block: Hash32 | None = None

    @property
    def swaps(self) -> tuple[IntendedSwap, ...]:
        """The swaps in order, those of batches included."""
        return tuple(_swaps(self.steps))


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A call to a known router that does not decode; it would revert, or is of a form that nobody sends."""

    router: Address
    reason: str


@dataclass(frozen=True, slots=True)
class PendingEvent(Generic[Content]):
    """A pending transaction that was recognised, with what it means."""

    transaction: PendingTransaction
    content: Content


def _swaps(steps: tuple[Step, ...]) -> Iterator[IntendedSwap]:
    for step in steps:
        if isinstance(step, IntendedSwap):
            yield step
        elif isinstance(step, Batch):
            yield from _swaps(step.steps)
