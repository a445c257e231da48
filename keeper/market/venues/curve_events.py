"""Reads the events of Curve's StableSwap pools, whose arrays are of fixed length before NG and dynamic since."""

from __future__ import annotations

from dataclasses import dataclass

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.market.venues.base import ReadAgain
from keeper.market.venues.fields import signed, words


@dataclass(frozen=True, slots=True)
class Change:
    """What one event says.

    Attributes:
        exchange: sold coin, bought coin, amount sold, amount bought.
        fees: the two words of a new fee.
        amounts: by coin, what was put in or taken out, and the fee on it.
        sign: 1 for a deposit, -1 for a withdrawal.
    """

    exchange: tuple[int, int, int, int] | None = None
    fees: tuple[int, int] | None = None
    amounts: tuple[tuple[int, int], ...] = ()
    sign: int = 1


TOKEN_EXCHANGE_TOPIC = keccak(text="TokenExchange(address,int128,uint256,int128,uint256)")
_NEW_FEE = frozenset({keccak(text="NewFee(uint256,uint256)"), keccak(text="ApplyNewFee(uint256,uint256)")})
_UNTOLD = frozenset(
    keccak(text=text)
    for text in (
        "TokenExchangeUnderlying(address,int128,uint256,int128,uint256)",
        "RemoveLiquidityOne(address,uint256,uint256)",
        "RemoveLiquidityOne(address,uint256,uint256,uint256)",
        "RemoveLiquidityOne(address,int128,uint256,uint256,uint256)",
        "RampA(uint256,uint256,uint256,uint256)",
        "StopRampA(uint256,uint256)",
    )
)
"""Events that change balances or A by more than they tell."""


def read_change(log: Log, coins: int, *, ng: bool) -> Change | None:
    """What the event says; None for one that changes no amount, `InputError` for one that cannot be followed."""
    topic = log.topics[0]
    if topic == TOKEN_EXCHANGE_TOPIC:
        sold, dx, bought, dy = words(log, 4)
        return Change(exchange=(signed(sold), signed(bought), dx, dy))
    if topic in _NEW_FEE:
        fee, second = words(log, 2)
        if fee >= 10**10:
            raise InputError("log.data", fee, "A fee is below 10^10.")
        return Change(fees=(fee, second))
    if topic in _UNTOLD:
        raise ReadAgain("log", "0x" + topic.hex(), "The event does not tell what it changed. Read the pool again.")
    for name, sign, scalars in (
        ("AddLiquidity", 1, 2),
        ("RemoveLiquidity", -1, 1),
        ("RemoveLiquidityImbalance", -1, 2),
    ):
        array = "uint256[]" if ng else f"uint256[{coins}]"
        types = [array, array, *(["uint256"] * scalars)]
        if topic == keccak(text=f"{name}(address,{','.join(types)})"):
            try:
                amounts, fees, *_ = decode(types, log.data)
            except (DecodingError, OverflowError) as error:
                raise InputError("log.data", log.data.hex(), f"{name} has two arrays of {coins} integers.") from error
            # a withdrawal in proportion has no fees, and NG writes an empty list for them
            paid = list(fees) or [0] * coins
            if not len(amounts) == len(paid) == coins:
                raise InputError("log.data", len(amounts), f"{name} has arrays of {coins} integers.")
            return Change(amounts=tuple(zip(amounts, paid, strict=True)), sign=sign)
    return None
