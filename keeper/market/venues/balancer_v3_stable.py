"""Stable pools of Balancer V3: the StableSwap invariant over balances at their rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

from eth_utils.crypto import keccak

from keeper.domain.chain import Log
from keeper.domain.token import VenueKind
from keeper.market.venues.arithmetic import div_up, uint256
from keeper.market.venues.balancer_v3 import BalancerV3Pool, read_common
from keeper.market.venues.base import InsufficientLiquidity, ReadAgain
from keeper.market.venues.fields import MAX_UINT128, read_flag, read_int
from keeper.market.venues.stable_math import AMP_PRECISION, calculate_invariant
from keeper.market.venues.stable_price import stable_price

MAX_TOKENS = 5
MAX_AMPLIFICATION = 50_000 * AMP_PRECISION
IMBALANCE_LIMIT = 10_000
_STEPS = 255
_AMPLIFICATION_MOVES = frozenset(
    keccak(text=text) for text in ("AmpUpdateStarted(uint256,uint256,uint256,uint256)", "AmpUpdateStopped(uint256)")
)


def compute_balance(amplification: int, balances: Sequence[int], invariant: int, index: int) -> int:
    """``StableMath.computeBalance``, rounded up; it rounds otherwise than the pools of Balancer V2."""
    count = len(balances)
    amp_times_total = amplification * count
    product = balances[0] * count
    for balance in balances[1:]:
        product = uint256(product * balance * count) // invariant
    if product == 0:
        raise InsufficientLiquidity("a balance is nothing")
    square = uint256(invariant * invariant)
    c = uint256(div_up(uint256(square * AMP_PRECISION), uint256(amp_times_total * product)) * balances[index])
    b = sum(balances) - balances[index] + invariant * AMP_PRECISION // amp_times_total
    balance = div_up(uint256(square + c), invariant + b)
    for _ in range(_STEPS):
        previous = balance
        balance = div_up(uint256(balance * balance + c), uint256(2 * balance + b - invariant))
        if abs(balance - previous) <= 1:
            return balance
    raise InsufficientLiquidity("the balance does not converge")


@dataclass(frozen=True, slots=True)
class BalancerV3StablePool(BalancerV3Pool):
    """The state of one pool.

    Attributes:
        amplification: as ``getAmplificationParameter`` answers: A n**(n - 1), times 1000.
        ramping: whether it is being changed, which goes on without events.
        imbalance_limit: the largest balance stays below so many times the smallest; 0 for the first releases, which
            have no such bound.
    """

    amplification: int
    ramping: bool
    imbalance_limit: int

    @property
    def venue(self) -> VenueKind:
        return VenueKind.BALANCER_V3_STABLE

    @property
    def drifts(self) -> bool:
        """Whether a token has a rate other than one, or the amplification is being changed."""
        return self.ramping or self._rated()

    def drifted(self, fresh: Self) -> Self:
        """With the rates and the amplification of ``fresh``, and the balances less the fees on the rates' yield."""
        moved = replace(self, amplification=fresh.amplification, ramping=fresh.ramping)
        return BalancerV3Pool.drifted(moved, fresh)

    def apply(self, log: Log) -> Self:
        """The state after an event of the Vault; `ReadAgain` as well when the amplification begins or ends to move."""
        if log.address == self.address and log.topics and log.topics[0] in _AMPLIFICATION_MOVES:
            raise ReadAgain("log", "0x" + log.topics[0].hex(), "The amplification moves. Read the pool again.")
        return BalancerV3Pool.apply(self, log)

    def to_json(self) -> dict[str, Any]:
        return {
            **BalancerV3Pool.to_json(self),
            "amplification": self.amplification,
            "ramping": self.ramping,
            "imbalance_limit": self.imbalance_limit,
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        optional = {"imbalance_limit": IMBALANCE_LIMIT, **state}
        return cls(
            **read_common(state, MAX_TOKENS),
            amplification=read_int(state, "amplification", AMP_PRECISION, MAX_AMPLIFICATION),
            ramping=read_flag(state, "ramping"),
            imbalance_limit=read_int(optional, "imbalance_limit", 0, MAX_UINT128),
        )

    def _pool_out(self, live: Sequence[int], i: int, j: int, amount_in: int) -> int:
        invariant = calculate_invariant(self.amplification, live)
        after = list(live)
        after[i] += amount_in
        out = live[j] - compute_balance(self.amplification, after, invariant, j) - 1
        if out < 0:
            raise InsufficientLiquidity("the amount is too small for the rounding of the contract")
        self._check_imbalance(live, after[i], live[j] - out)
        return out

    def _pool_in(self, live: Sequence[int], i: int, j: int, amount_out: int) -> int:
        invariant = calculate_invariant(self.amplification, live)
        after = list(live)
        after[j] -= amount_out
        if after[j] < 0:
            raise InsufficientLiquidity("the pool does not hold so much")
        amount = compute_balance(self.amplification, after, invariant, i) - live[i] + 1
        if amount < 0:
            raise InsufficientLiquidity("the amount is too small for the rounding of the contract")
        self._check_imbalance(live, live[i] + amount, after[j])
        return amount

    def _live_price(self, live: Sequence[int], i: int, j: int) -> Fraction:
        ann = Fraction(self.amplification * len(live), AMP_PRECISION)
        return stable_price(ann, live, calculate_invariant(self.amplification, live), i, j)

    def _check_imbalance(self, live: Sequence[int], grown: int, shrunk: int) -> None:
        """``ensureBalancesWithinMaxImbalanceRange``, of the balances before the swap and the two after it."""
        most, least = max(*live, grown), min(*live, shrunk)
        if self.imbalance_limit and (least == 0 or most // least >= self.imbalance_limit):
            raise InsufficientLiquidity(f"{self.address} lets no balance be {self.imbalance_limit} times another")
