"""What the pools of Balancer V3 have in common: the Vault's part of a swap, and the events by which it tells changes.

The Vault scales all amounts to 18 decimals and to their rates, takes the fee off the input, asks the pool, scales back,
and rounds each step in its own favour. All events that concern a pool are the Vault's and have the pool's address as
their second topic; only the amplification is changed by an event of the pool too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.domain.swap_detail import BalancerV3Vault
from keeper.domain.units import Address, to_address
from keeper.market.venues import fixed_point as fp
from keeper.market.venues.arithmetic import div_up
from keeper.market.venues.base import InsufficientLiquidity, ReadAgain
from keeper.market.venues.fields import FEE_DENOMINATOR, MAX_UINT128, read, read_flag, read_int, read_text, words
from keeper.market.venues.multi import MultiTokenPool, read_ints, read_token_list

VAULT = Address("0xbA1333333333a1BA1108E8412f11850A5C319bA9")
"""The same address on every chain that has it."""
MINIMUM_TRADE = 10**6
"""At 18 decimals and at its rate: what mainnet's Vault wants to go into and come out of a pool at least."""
MAX_TOKENS = 8
MAX_DECIMALS = 18
MAX_RATE = 10**36

SWAP_TOPIC = keccak(text="Swap(address,address,address,uint256,uint256,uint256,uint256)")
ADDED_TOPIC = keccak(text="LiquidityAdded(address,address,uint8,uint256,uint256[],uint256[])")
REMOVED_TOPIC = keccak(text="LiquidityRemoved(address,address,uint8,uint256,uint256[],uint256[])")
SWAP_FEE_TOPIC = keccak(text="SwapFeePercentageChanged(address,uint256)")
AGGREGATE_FEE_TOPIC = keccak(text="AggregateSwapFeePercentageChanged(address,uint256)")
PAUSED_TOPIC = keccak(text="PoolPausedStateChanged(address,bool)")
RECOVERY_TOPIC = keccak(text="PoolRecoveryModeStateChanged(address,bool)")


@dataclass(frozen=True, slots=True)
class BalancerV3Pool(MultiTokenPool):
    """The state of one pool without hooks that take part in a swap.

    Attributes:
        vault: where the balances are, and whose events change them.
        swap_fee: on the input, 18 decimals.
        aggregate_fee: the part of the swap fee that does not stay in the pool (the protocol's and its creator's),
            18 decimals.
        balances: by token, raw units, without the fees on yield that are due at ``rates``; uint128.
        decimals: of the tokens, at most 18.
        rates: by token, 18 decimals; one for a token without a rate provider.
        minimum_trade: at 18 decimals and at its rate, the least that may go into the pool, or come out of it.
        paused: whether pool or Vault refuse swaps.
        recovery: in recovery mode no part of the fee leaves the pool.
    """

    vault: Address
    swap_fee: int
    aggregate_fee: int
    balances: tuple[int, ...]
    decimals: tuple[int, ...]
    rates: tuple[int, ...]
    minimum_trade: int
    paused: bool
    recovery: bool

    @property
    def holder(self) -> tuple[Address, bytes]:
        return self.vault, int(self.address, 16).to_bytes(32, "big")

    @property
    def fee_pips(self) -> int:
        return div_up(self.swap_fee * FEE_DENOMINATOR, fp.ONE)

    @property
    def drifts(self) -> bool:
        """Whether a token has a rate other than one."""
        return self._rated()

    def drifted(self, fresh: Self) -> Self:
        """With the rates of ``fresh``, and the balances less the fees on their yield."""
        return replace(self, rates=fresh.rates, balances=fresh.balances)

    @abstractmethod
    def _pool_out(self, live: Sequence[int], i: int, j: int, amount_in: int) -> int:
        """The pool's ``onSwap`` given the input, all at 18 decimals and at their rates."""

    @abstractmethod
    def _pool_in(self, live: Sequence[int], i: int, j: int, amount_out: int) -> int:
        """The pool's ``onSwap`` given the output."""

    @abstractmethod
    def _live_price(self, live: Sequence[int], i: int, j: int) -> Fraction:
        """What a little of token ``i`` is worth in token ``j``, at 18 decimals and without fee."""

    def apply(self, log: Log) -> Self:
        """The state after an event of the Vault that names the pool.

        Raises:
            ReadAgain: a pool whose tokens have rates may owe fees on yield that no event tells.
            InputError: the event cannot be the pool's.
        """
        if log.address != self.vault or log.topics[1:2] != (self.holder[1],):
            return self
        match log.topics[0]:
            case topic if topic == SWAP_TOPIC:
                if len(log.topics) != 4:
                    raise InputError("log.topics", f"{len(log.topics)} topics", "Swap has four.")
                amount_in, amount_out, _, fee = words(log, 4)
                return self._changed(
                    {
                        self._place(log.topics[2]): amount_in - self._leaving(fee),
                        self._place(log.topics[3]): -amount_out,
                    }
                )
            case topic if topic in (ADDED_TOPIC, REMOVED_TOPIC):
                sign = 1 if topic == ADDED_TOPIC else -1
                amounts, fees = self._arrays(log)
                return self._changed(
                    {
                        k: sign * amount - self._leaving(fee)
                        for k, (amount, fee) in enumerate(zip(amounts, fees, strict=True))
                    }
                )
            case topic if topic == SWAP_FEE_TOPIC:
                return replace(self, swap_fee=_percentage(log))
            case topic if topic == AGGREGATE_FEE_TOPIC:
                return replace(self, aggregate_fee=_percentage(log))
            case topic if topic == PAUSED_TOPIC:
                return replace(self, paused=bool(words(log, 1)[0]))
            case topic if topic == RECOVERY_TOPIC:
                return replace(self, recovery=bool(words(log, 1)[0]))
            case _:
                return self

    def to_json(self) -> dict[str, Any]:
        return {
            **MultiTokenPool.to_json(self),
            "vault": self.vault,
            "swap_fee": str(self.swap_fee),
            "aggregate_fee": str(self.aggregate_fee),
            "balances": list(map(str, self.balances)),
            "decimals": list(self.decimals),
            "rates": list(map(str, self.rates)),
            "minimum_trade": self.minimum_trade,
            "paused": self.paused,
            "recovery": self.recovery,
        }

    def _rated(self) -> bool:
        return any(rate != fp.ONE for rate in self.rates)

    def _get_balances(self) -> tuple[int, ...]:
        return self.balances

    def _get_detail(self, i: int, j: int) -> BalancerV3Vault:  # noqa: ARG002
        return BalancerV3Vault(self.vault)

    def _get_out(self, i: int, j: int, amount_in: int) -> int:
        live = self._live()
        given = fp.mul_down(amount_in * self._scale(i), self.rates[i])
        fee = fp.mul_up(given, self.swap_fee)
        out = self._valid(self._pool_out(live, i, j, self._valid(given - fee)))
        amount_out = fp.div_down(out, self._scale(j) * _round_up(self.rates[j]))
        self._check_held(i, amount_in, j, amount_out)
        return amount_out

    def _get_in(self, i: int, j: int, amount_out: int) -> int:
        live = self._live()
        given = fp.mul_up(amount_out * self._scale(j), _round_up(self.rates[j]))
        net = self._valid(self._pool_in(live, i, j, self._valid(given)))
        gross = net + div_up(net * self.swap_fee, fp.ONE - self.swap_fee)
        amount_in = fp.div_up(gross, self._scale(i) * self.rates[i])
        self._check_held(i, amount_in, j, amount_out)
        return amount_in

    def _get_price(self, i: int, j: int) -> Fraction:
        live = self._live()
        if not all(live):
            raise InsufficientLiquidity(f"{self.address} is empty")
        units = Fraction(self._scale(i) * self.rates[i], self._scale(j) * self.rates[j])
        return self._live_price(live, i, j) * units * Fraction(fp.ONE - self.swap_fee, fp.ONE)

    def _live(self) -> list[int]:
        """The balances at 18 decimals and at their rates; a paused pool has none that can be traded."""
        if self.paused:
            raise InsufficientLiquidity(f"{self.address} is paused")
        return [fp.mul_down(held * self._scale(k), self.rates[k]) for k, held in enumerate(self.balances)]

    def _scale(self, k: int) -> int:
        scale: int = 10 ** (MAX_DECIMALS - self.decimals[k])
        return scale

    def _valid(self, amount: int) -> int:
        """``_ensureValidSwapAmount``."""
        if amount < self.minimum_trade:
            raise InsufficientLiquidity(f"the Vault trades no less than {self.minimum_trade}")
        return amount

    def _check_held(self, i: int, amount_in: int, j: int, amount_out: int) -> None:
        """The Vault keeps raw and live balances in 128 bits each."""
        after = self.balances[i] + amount_in
        if (
            max(after, fp.mul_down(after * self._scale(i), self.rates[i])) > MAX_UINT128
            or amount_out > self.balances[j]
        ):
            raise InsufficientLiquidity(f"{self.address} cannot hold these amounts")

    def _leaving(self, fee: int) -> int:
        """What of a raw fee goes to the protocol and the pool's creator."""
        return 0 if self.recovery else fp.mul_down(fee, self.aggregate_fee)

    def _place(self, topic: bytes) -> int:
        return self.index(to_address("0x" + topic[-20:].hex(), "log.topics"), "log.topics")

    def _arrays(self, log: Log) -> tuple[Sequence[int], Sequence[int]]:
        try:
            _, amounts, fees = decode(["uint256", "uint256[]", "uint256[]"], log.data)
        except (DecodingError, OverflowError) as error:
            raise InputError("log.data", log.data.hex(), "The event has a number and two arrays.") from error
        if not len(amounts) == len(fees) == len(self.tokens):
            raise InputError("log.data", len(amounts), f"The arrays have {len(self.tokens)} numbers.")
        return amounts, fees

    def _changed(self, deltas: Mapping[int, int]) -> Self:
        if self.drifts:
            raise ReadAgain("log", self.address, "Its rates may have cost it fees on yield. Read the pool again.")
        balances = tuple(held + deltas.get(k, 0) for k, held in enumerate(self.balances))
        if any(not 0 <= held <= MAX_UINT128 for held in balances):
            raise InputError("log.data", dict(deltas), "Balances would be impossible: the state is not the pool's.")
        return self if balances == self.balances else replace(self, balances=balances)


def read_common(state: Mapping[str, Any], most_tokens: int) -> dict[str, Any]:
    """The fields that every pool of Balancer V3 has in its JSON form."""
    tokens = read_token_list(state, most_tokens)
    count = len(tokens)
    optional = {"rates": [fp.ONE] * count, "minimum_trade": MINIMUM_TRADE, **state}
    return {
        "address": to_address(read(state, "address"), "address"),
        "dex": read_text(state, "dex"),
        "tokens": tokens,
        "vault": to_address(state.get("vault", VAULT), "vault"),
        "swap_fee": read_int(state, "swap_fee", 0, fp.ONE - 1),
        "aggregate_fee": read_int(state, "aggregate_fee", 0, fp.ONE),
        "balances": read_ints(state, "balances", count, 0, MAX_UINT128),
        "decimals": read_ints(state, "decimals", count, 0, MAX_DECIMALS),
        "rates": read_ints(optional, "rates", count, 1, MAX_RATE),
        "minimum_trade": read_int(optional, "minimum_trade", 0, MAX_UINT128),
        "paused": read_flag(state, "paused"),
        "recovery": read_flag(state, "recovery"),
    }


def _round_up(rate: int) -> int:
    """``computeRateRoundUp``: one unit more, unless the rate is a whole number."""
    return rate if rate % fp.ONE == 0 else rate + 1


def _percentage(log: Log) -> int:
    (value,) = words(log, 1)
    if value > fp.ONE:
        raise InputError("log.data", value, "A percentage is at most 1e18.")
    return value
