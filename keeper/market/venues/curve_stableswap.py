"""Curve's StableSwap pools: the first ones such as 3pool, the templates of 2020 to 2022 with metapools, and NG.

Rates (a metapool's virtual price of its base pool, oracles of staked tokens) and a running change of A move without an
event of the pool: they are as of the state's block. Where an event shows that they moved, `apply` refuses it, and the
pool has to be read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Any, Self

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.domain.swap_detail import CurveCoins, CurveInterface
from keeper.domain.token import VenueKind
from keeper.domain.units import to_address
from keeper.market.venues.arithmetic import div_up, is_power_of_ten, least_input, uint256
from keeper.market.venues.base import InsufficientLiquidity, ReadAgain
from keeper.market.venues.curve_events import Change, read_change
from keeper.market.venues.curve_math import get_d, get_y
from keeper.market.venues.fields import FEE_DENOMINATOR as PIPS
from keeper.market.venues.fields import MAX_UINT128, read, read_int, read_text
from keeper.market.venues.multi import MultiTokenPool, read_ints, read_token_list
from keeper.market.venues.stable_price import stable_price

MAX_COINS = 8
MAX_A = 10**6
MAX_RATE = 10**54
FEE_DENOMINATOR = 10**10
_PRECISION = 10**18
_NG_A_PRECISION = 100


class Variant(StrEnum):
    """Which contract it is."""

    V1 = "v1"
    """The first pools: A as it is."""
    V2 = "v2"
    """The templates since the end of 2020, metapools among them: A times 100."""
    NG = "ng"
    """StableSwap-NG, plain and meta: A times 100, another order of divisions, a fee that grows off the peg."""


class Quote(StrEnum):
    """What a pool of the variant ``v1`` is asked for; all other contracts answer both alike."""

    GET_DY = "get_dy"
    """The view of the contract, which takes its fee off what is already cut to the coin's decimals."""
    EXCHANGE = "exchange"
    """What ``exchange`` pays: at times one unit less than the view says."""


@dataclass(frozen=True, slots=True)
class CurveStableSwapPool(MultiTokenPool):
    """The state of one pool.

    Attributes:
        variant: which contract it is.
        balances: by coin, as ``balances(i)`` answers, without the fees of the DAO.
        rates: by coin, what brings a raw unit to 18 decimals and to its worth, times 1e18: ``10**(36 - decimals)``,
            times the rate of the token; of a metapool's second coin the virtual price of the base pool.
        amplification: ``A()`` of the variant ``v1``, ``A_precise()`` of the others.
        fee, admin_fee: of 10**10; the latter is the DAO's share of the former.
        offpeg_fee_multiplier: of 10**10; 0 where the fee is constant.
        quote: which of its two answers a pool of the variant ``v1`` is asked for.
        interface: how a swap is called; pools of NG with a rebasing coin have no ``exchange_received``.
    """

    variant: Variant
    balances: tuple[int, ...]
    rates: tuple[int, ...]
    amplification: int
    fee: int
    admin_fee: int
    offpeg_fee_multiplier: int
    quote: Quote
    interface: CurveInterface

    @property
    def venue(self) -> VenueKind:
        return VenueKind.CURVE_STABLESWAP

    @property
    def fee_pips(self) -> int:
        """The fee near the peg, rounded up to millionths; it is taken from the output."""
        return div_up(self.fee * PIPS, FEE_DENOMINATOR)

    @property
    def drifts(self) -> bool:
        """Whether a coin has a rate of its own: one that is no power of ten."""
        return any(not is_power_of_ten(rate) for rate in self.rates)

    def drifted(self, fresh: Self) -> Self:
        """With the rates and the amplification of ``fresh``."""
        return replace(self, rates=fresh.rates, amplification=fresh.amplification)

    def apply(self, log: Log) -> Self:
        """The state after an exchange, a deposit, a withdrawal or a new fee.

        Raises:
            InputError: the event cannot be the pool's, it shows that rates or A moved, or it does not tell all that
                it changed (``RemoveLiquidityOne``, swaps of underlying coins, a change of A): read the pool again.
        """
        if log.address != self.address or not log.topics:
            return self
        change = read_change(log, len(self.tokens), ng=self.variant is Variant.NG)
        if change is None:
            return self
        if change.exchange is not None:
            i, j, dx, dy = change.exchange
            return self._exchanged(i, j, dx, dy)
        if change.fees is not None:
            fee, second = change.fees
            if self.variant is Variant.NG:
                return replace(self, fee=fee, offpeg_fee_multiplier=second)
            return replace(self, fee=fee, admin_fee=second)
        return self._moved(change)

    def to_json(self) -> dict[str, Any]:
        return {
            **MultiTokenPool.to_json(self),
            "variant": self.variant.value,
            "balances": list(map(str, self.balances)),
            "rates": list(map(str, self.rates)),
            "amplification": self.amplification,
            "fee": self.fee,
            "admin_fee": self.admin_fee,
            "offpeg_fee_multiplier": self.offpeg_fee_multiplier,
            "quote": self.quote.value,
            "interface": self.interface.value,
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        tokens = read_token_list(state, MAX_COINS)
        variant, quote = read_text(state, "variant"), state.get("quote", Quote.GET_DY.value)
        interface = state.get("interface", _interfaces(variant)[0].value)
        choices = (("variant", variant, tuple(Variant)), ("quote", quote, tuple(Quote)))
        for name, value, known in (*choices, ("interface", interface, _interfaces(variant))):
            if value not in known:
                raise InputError(name, value, f"Give one of: {', '.join(known)}.")
        highest_a = MAX_A if variant == Variant.V1 else MAX_A * _NG_A_PRECISION
        optional = {"admin_fee": 0, "offpeg_fee_multiplier": 0, **state}
        return cls(
            address=to_address(read(state, "address"), "address"),
            dex=read_text(state, "dex"),
            tokens=tokens,
            variant=Variant(variant),
            balances=read_ints(state, "balances", len(tokens), 0, MAX_UINT128),
            rates=read_ints(state, "rates", len(tokens), 1, MAX_RATE),
            amplification=read_int(state, "amplification", 1, highest_a),
            fee=read_int(state, "fee", 0, FEE_DENOMINATOR - 1),
            admin_fee=read_int(optional, "admin_fee", 0, FEE_DENOMINATOR),
            offpeg_fee_multiplier=read_int(optional, "offpeg_fee_multiplier", 0, MAX_UINT128),
            quote=Quote(quote),
            interface=CurveInterface(interface),
        )

    def get_dy(self, i: int, j: int, dx: int) -> int:
        """What the contract's view of this name answers."""
        gross, charged = self._swap(i, j, dx)
        if self.variant is Variant.V1:
            native = gross * _PRECISION // self.rates[j]
            return native - self.fee * native // FEE_DENOMINATOR
        return (gross - charged) * _PRECISION // self.rates[j]

    def exchange(self, i: int, j: int, dx: int) -> int:
        """What the contract's function of this name pays."""
        gross, charged = self._swap(i, j, dx)
        return (gross - charged) * _PRECISION // self.rates[j]

    def _get_balances(self) -> tuple[int, ...]:
        return self.balances

    def _get_detail(self, i: int, j: int) -> CurveCoins:
        return CurveCoins(i, j, self.interface)

    def _get_out(self, i: int, j: int, amount_in: int) -> int:
        return self.get_dy(i, j, amount_in) if self.quote is Quote.GET_DY else self.exchange(i, j, amount_in)

    def _get_in(self, i: int, j: int, amount_out: int) -> int:
        """The least input that pays ``amount_out``; the contracts have no exact inverse."""
        if amount_out >= self.balances[j]:
            raise InsufficientLiquidity(f"{self.address} does not hold {amount_out} of {self.tokens[j]}")
        xp = self._xp()
        gross = div_up(amount_out * self.rates[j] * FEE_DENOMINATOR, _PRECISION * (FEE_DENOMINATOR - self.fee))
        left = max(xp[j] - gross - 1, 1)
        # the inverse without what the fee may grow by: close enough to look first
        guess = max(self._get_y(j, i, left, xp) - xp[i], 0) * _PRECISION // self.rates[i]
        return least_input(lambda amount: self._get_out(i, j, amount), amount_out, guess)

    def _get_price(self, i: int, j: int) -> Fraction:
        xp = self._xp()
        ann = Fraction(self.amplification * len(xp), self._a_precision())
        slope = stable_price(ann, xp, self._get_d(xp), i, j)
        kept = Fraction(FEE_DENOMINATOR - self._fee_at(xp[i], xp[j]), FEE_DENOMINATOR)
        return slope * Fraction(self.rates[i], self.rates[j]) * kept

    def _swap(self, i: int, j: int, dx: int) -> tuple[int, int]:
        """Output and fee, both at 18 decimals."""
        xp = self._xp()
        x = uint256(xp[i] + uint256(dx * self.rates[i]) // _PRECISION)
        y = self._get_y(i, j, x, xp)
        gross = xp[j] - y - 1
        if gross < 0:
            raise InsufficientLiquidity("the amount is too small for the rounding of the contract")
        fee = self._fee_at((xp[i] + x) // 2, (xp[j] + y) // 2)
        return gross, gross * fee // FEE_DENOMINATOR

    def _exchanged(self, i: int, j: int, dx: int, dy: int) -> Self:
        if not (0 <= i < len(self.tokens) and 0 <= j < len(self.tokens) and i != j):
            raise InputError("log.data", (i, j), f"The pool has {len(self.tokens)} coins.")
        try:
            gross, charged = self._swap(i, j, dx)
        except InsufficientLiquidity as error:
            raise ReadAgain("log.data", dx, f"The state is not the pool's: {error}. Read it again.") from error
        paid = (gross - charged) * _PRECISION // self.rates[j]
        if paid != dy:
            raise ReadAgain("log.data", dy, f"The state pays {paid}: rates or A moved. Read the pool again.")
        kept = charged * self.admin_fee // FEE_DENOMINATOR * _PRECISION // self.rates[j]
        return self._with_balances({i: dx, j: -dy - kept})

    def _moved(self, change: Change) -> Self:
        return self._with_balances(
            {
                k: change.sign * amount - fee * self.admin_fee // FEE_DENOMINATOR
                for k, (amount, fee) in enumerate(change.amounts)
            }
        )

    def _with_balances(self, deltas: Mapping[int, int]) -> Self:
        balances = tuple(balance + deltas.get(k, 0) for k, balance in enumerate(self.balances))
        if any(not 0 <= balance <= MAX_UINT128 for balance in balances):
            raise InputError("log.data", dict(deltas), "Balances would be impossible: the state is not the pool's.")
        return replace(self, balances=balances)

    def _xp(self) -> list[int]:
        xp = [rate * balance // _PRECISION for rate, balance in zip(self.rates, self.balances, strict=True)]
        if not all(xp):
            raise InsufficientLiquidity(f"{self.address} is empty")
        return xp

    def _a_precision(self) -> int:
        return 1 if self.variant is Variant.V1 else _NG_A_PRECISION

    def _get_d(self, xp: Sequence[int]) -> int:
        return get_d(xp, self.amplification, self._a_precision(), ng=self.variant is Variant.NG)

    def _get_y(self, i: int, j: int, x: int, xp: Sequence[int]) -> int:
        return get_y(i, j, x, xp, self.amplification, self._a_precision(), self._get_d(xp))

    def _fee_at(self, xpi: int, xpj: int) -> int:
        """``_dynamic_fee``."""
        multiplier = self.offpeg_fee_multiplier
        if multiplier <= FEE_DENOMINATOR:
            return self.fee
        balance = (multiplier - FEE_DENOMINATOR) * 4 * xpi * xpj // (xpi + xpj) ** 2
        return multiplier * self.fee // (balance + FEE_DENOMINATOR)


def _interfaces(variant: str) -> tuple[CurveInterface, ...]:
    """The interfaces that contracts of the variant have, the one they are taken for first."""
    return (CurveInterface.RECEIVED, CurveInterface.INT128) if variant == Variant.NG else (CurveInterface.INT128,)
