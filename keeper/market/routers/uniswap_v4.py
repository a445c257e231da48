"""The actions of Uniswap's V4Router: what one V4_SWAP command of the Universal Router holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keeper.domain.pending import (
    Amount,
    Batch,
    Carried,
    IntendedSwap,
    OtherStep,
    PortionPayment,
    Settle,
    Step,
    SwapHop,
    Sweep,
    Take,
)
from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.market.routers import words
from keeper.market.routers.places import v4_hop
from keeper.market.routers.words import WORD, Malformed

DEX = "uniswap_v4"
CONTRACT_BALANCE = 1 << 255
_SENDER, _ROUTER = (Address(f"0x{number:040x}") for number in (1, 2))
_KEY_WORDS = 5


@dataclass(frozen=True, slots=True)
class V4Call:
    """Who acts: the PoolManager, the router, and the sender of the transaction."""

    manager: Address
    router: Address
    sender: Address

    def recipient(self, given: Address) -> Address:
        return {_SENDER: self.sender, _ROUTER: self.router}.get(given, given)


def decode(call: V4Call, command: bytes, *, may_fail: bool) -> Batch:
    """``(bytes actions, bytes[] params)``; raises `Malformed`."""
    actions = words.byte_string(command, 0, 0)
    params = words.byte_strings(command, 0, 1)
    if len(actions) != len(params):
        raise Malformed("commands without their inputs")
    return Batch(
        tuple(step for action, data in zip(actions, params, strict=True) for step in _decode(call, action, data)),
        may_fail,
    )


def _decode(call: V4Call, action: int, data: bytes) -> tuple[Step, ...]:
    read = _ACTIONS.get(action)
    if read is None:
        raise Malformed("an unknown action")
    return read(call, data)


def _single(call: V4Call, data: bytes, *, exact_in: bool) -> tuple[Step, ...]:
    """A pool's key, the direction, two amounts, the hook's data; later routers put a least price before the data.

    Which form it is shows in where the offset of the hook's data is: it names the end of the head.
    """
    head = words.item(data, 0, 0)
    currency0, currency1 = words.address(data, head), words.address(data, head + WORD)
    fee = words.uint(data, head + 2 * WORD, 24)
    spacing = words.int24(data, head + 3 * WORD)
    hooks = words.address(data, head + 4 * WORD)
    zero_for_one = words.boolean(data, head + _KEY_WORDS * WORD)
    after_limit = words.uint(data, head + 8 * WORD)
    hop_limits = after_limit != 9 * WORD
    if hop_limits and words.uint(data, head + 9 * WORD) != 10 * WORD:
        raise Malformed("a struct of another form")
    if int(currency0, 16) >= int(currency1, 16):
        raise Malformed("currencies out of order")
    tokens = (currency0, currency1) if zero_for_one else (currency1, currency0)
    hop = v4_hop(call.manager, *tokens, fee, spacing, hooks)
    at = head + (_KEY_WORDS + 1) * WORD
    return (_swap(call, (hop,), data, at, exact_in=exact_in, hop_limits=hop_limits and after_limit > 0),)


def _path(call: V4Call, data: bytes, *, exact_in: bool) -> tuple[Step, ...]:
    """A currency, the pools on the way from it or to it, two amounts; later routers put prices before the amounts."""
    head = words.item(data, 0, 0)
    currency = words.address(data, head)
    place = words.uint(data, head + WORD)
    limited = place == 5 * WORD
    if not limited and place != 4 * WORD:
        raise Malformed("a struct of another form")
    start, length = words.array(data, head, 1)
    if length == 0:
        raise Malformed("a path without a pool")
    rows = [_read_key(data, words.item(data, start, number)) for number in range(length)]
    hops: list[SwapHop] = []
    for other, fee, spacing, hooks in rows if exact_in else reversed(rows):
        tokens = (currency, other) if exact_in else (other, currency)
        hops.append(v4_hop(call.manager, *tokens, fee, spacing, hooks))
        currency = other
    if not exact_in:
        hops.reverse()
    hop_limits = limited and words.array(data, head, 2)[1] > 0
    at = head + (3 if limited else 2) * WORD
    return (_swap(call, tuple(hops), data, at, exact_in=exact_in, hop_limits=hop_limits),)


def _read_key(data: bytes, at: int) -> tuple[Address, int, int, Address]:
    """The other currency, fee, tick spacing and hooks of one pool on a path."""
    return (
        words.address(data, at),
        words.uint(data, at + WORD, 24),
        words.int24(data, at + 2 * WORD),
        words.address(data, at + 3 * WORD),
    )


def _swap(
    call: V4Call, hops: tuple[SwapHop, ...], data: bytes, at: int, *, exact_in: bool, hop_limits: bool
) -> IntendedSwap:
    amount = words.uint(data, at, 128)
    return IntendedSwap(
        venue=VenueKind.UNISWAP_V4,
        dex=DEX,
        hops=hops,
        exact_in=exact_in,
        amount=amount or Carried.OPEN_DELTA,
        limit=words.uint(data, at + WORD, 128),
        payer=call.manager,
        recipient=call.manager,
        hop_limits=hop_limits,
    )


def _payer(call: V4Call, *, by_sender: bool) -> Address:
    return call.sender if by_sender else call.router


def _open(amount: int) -> Amount:
    if amount == CONTRACT_BALANCE:
        return Carried.ROUTER_BALANCE
    return amount or Carried.OPEN_DELTA


def _settle(call: V4Call, data: bytes) -> tuple[Step, ...]:
    by_sender = words.boolean(data, 2 * WORD)
    return (Settle(words.address(data, 0), _open(words.uint(data, WORD)), _payer(call, by_sender=by_sender)),)


def _settle_all(call: V4Call, data: bytes) -> tuple[Step, ...]:
    words.uint(data, WORD)
    return (Settle(words.address(data, 0), Carried.OPEN_DELTA, call.sender),)


def _settle_pair(call: V4Call, data: bytes) -> tuple[Step, ...]:
    return tuple(Settle(words.address(data, at), Carried.OPEN_DELTA, call.sender) for at in (0, WORD))


def _take(call: V4Call, data: bytes) -> tuple[Step, ...]:
    amount = words.uint(data, 2 * WORD) or Carried.OPEN_DELTA
    return (Take(words.address(data, 0), amount, call.recipient(words.address(data, WORD))),)


def _take_all(call: V4Call, data: bytes) -> tuple[Step, ...]:
    words.uint(data, WORD)
    return (Take(words.address(data, 0), Carried.OPEN_DELTA, call.sender),)


def _take_pair(call: V4Call, data: bytes) -> tuple[Step, ...]:
    recipient = call.recipient(words.address(data, 2 * WORD))
    return tuple(Take(words.address(data, at), Carried.OPEN_DELTA, recipient) for at in (0, WORD))


def _take_portion(call: V4Call, data: bytes) -> tuple[Step, ...]:
    recipient = call.recipient(words.address(data, WORD))
    return (PortionPayment(words.address(data, 0), words.uint(data, 2 * WORD), recipient, of_claim=True),)


def _sweep(call: V4Call, data: bytes) -> tuple[Step, ...]:
    return (Sweep(words.address(data, 0), 0, call.recipient(words.address(data, WORD))),)


def _other(name: str) -> _Read:
    """An action that leaves pools alone and something of its first argument, a currency, unknown."""

    def read(_: V4Call, data: bytes) -> tuple[Step, ...]:
        return (OtherStep(name, words.address(data, 0)),)

    return read


_Read = Callable[[V4Call, bytes], tuple[Step, ...]]
_ACTIONS: dict[int, _Read] = {
    0x06: lambda call, data: _single(call, data, exact_in=True),
    0x07: lambda call, data: _path(call, data, exact_in=True),
    0x08: lambda call, data: _single(call, data, exact_in=False),
    0x09: lambda call, data: _path(call, data, exact_in=False),
    0x0B: _settle,
    0x0C: _settle_all,
    0x0D: _settle_pair,
    0x0E: _take,
    0x0F: _take_all,
    0x10: _take_portion,
    0x11: _take_pair,
    0x12: _other("CLOSE_CURRENCY"),
    0x13: _other("CLEAR_OR_TAKE"),
    0x14: _sweep,
}
"""By number, as v4-periphery's ``Actions`` has them. The router takes no other: those of positions are not its own."""
