"""Calls of Uniswap's Universal Router: a string of commands, each with an input of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from keeper.domain.pending import (
    Amount,
    Batch,
    Carried,
    IntendedSwap,
    Intent,
    OtherStep,
    Payment,
    PendingTransaction,
    PortionPayment,
    Step,
    SwapHop,
    Sweep,
    Unwrap,
    Wrap,
)
from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.market.routers import uniswap_v4, words
from keeper.market.routers.places import Factory, v2_hops, v3_hops
from keeper.market.routers.uniswap_v4 import CONTRACT_BALANCE, V4Call
from keeper.market.routers.words import WORD, Malformed, selector

_HEAD = 4
_MAX_DEPTH = 3
_MAY_FAIL = 0x80
_SENDER, _ROUTER = (Address(f"0x{number:040x}") for number in (1, 2))

_EXECUTE = selector("execute(bytes,bytes[])")
_EXECUTE_UNTIL = selector("execute(bytes,bytes[],uint256)")
_EXECUTE_SIGNED = selector("executeSigned(bytes,bytes[],bytes32,bytes32,bool,bytes32,bytes,uint256)")
_DEADLINES = {_EXECUTE: None, _EXECUTE_UNTIL: 2, _EXECUTE_SIGNED: 7}
"""Which word of the head is the deadline."""


@dataclass(frozen=True, slots=True)
class UniversalRouter:
    """One Universal Router.

    Attributes:
        manager: V4's PoolManager; None for the first versions, whose commands from 0x10 on are others.
        command_mask: the bits of a command that are its number.
    """

    address: Address
    v2: Factory
    v3: Factory
    weth: Address
    manager: Address | None
    command_mask: int = 0x3F


@dataclass(frozen=True, slots=True)
class _Call:
    router: UniversalRouter
    sender: Address
    may_fail: bool
    depth: int

    def recipient(self, data: bytes, at: int) -> Address:
        given = words.address(data, at)
        return {_SENDER: self.sender, _ROUTER: self.router.address}.get(given, given)


def decode(router: UniversalRouter, transaction: PendingTransaction) -> Intent | None:
    """The commands, or None where the function runs none; raises `Malformed`."""
    data, selected = transaction.data, transaction.data[:4]
    if selected not in _DEADLINES:
        return None
    place = _DEADLINES[selected]
    deadline = None if place is None else words.uint(data, _HEAD + place * WORD)
    steps = _plan(data, _HEAD, router, transaction.sender, 0)
    name = "executeSigned" if selected == _EXECUTE_SIGNED else "execute"
    return Intent(router.address, name, steps, transaction.value, deadline)


def _plan(data: bytes, head: int, router: UniversalRouter, sender: Address, depth: int) -> tuple[Step, ...]:
    """``(bytes commands, bytes[] inputs)``."""
    commands = words.byte_string(data, head, 0)
    inputs = words.byte_strings(data, head, 1)
    if len(commands) != len(inputs):
        raise Malformed("commands without their inputs")
    return tuple(
        _decode(_Call(router, sender, bool(command & _MAY_FAIL), depth), command & router.command_mask, given)
        for command, given in zip(commands, inputs, strict=True)
    )


def _decode(call: _Call, command: int, data: bytes) -> Step:
    read = _COMMANDS.get(command)
    if read is not None:
        return read(call, data)
    manager = call.router.manager
    if command == 0x10 and manager is not None:
        return uniswap_v4.decode(V4Call(manager, call.router.address, call.sender), data, may_fail=call.may_fail)
    if command == 0x21 and manager is not None:
        if call.depth == _MAX_DEPTH:
            raise Malformed("calls nested too deep")
        return Batch(_plan(data, 0, call.router, call.sender, call.depth + 1), call.may_fail)
    # positions, bridges, and what earlier routers had under these numbers
    return OtherStep(f"0x{command:02x}", inert=False)


def _v3_swap(call: _Call, data: bytes, *, exact_in: bool) -> Step:
    hops = v3_hops(call.router.v3, words.byte_string(data, 0, 3), reverse=not exact_in)
    given = words.uint(data, WORD)
    carried = exact_in and given == CONTRACT_BALANCE
    if given >= CONTRACT_BALANCE and not carried:
        raise Malformed("a number beyond its type")
    amount = Carried.ROUTER_BALANCE if carried else given
    # later versions name a least price for every hop in a sixth word, to which the path's offset then makes room
    hop_limits = words.uint(data, 3 * WORD) >= 6 * WORD and words.array(data, 0, 5)[1] > 0
    return _swap(call, data, VenueKind.UNISWAP_V3, call.router.v3, hops, amount, exact_in, hop_limits)


def _v2_swap(call: _Call, data: bytes, *, exact_in: bool) -> Step:
    hops = v2_hops(call.router.v2, words.addresses(data, 0, 3))
    amount: Amount = words.uint(data, WORD)
    if exact_in and amount == CONTRACT_BALANCE:
        amount = Carried.ROUTER_BALANCE
    elif exact_in and amount == 0:
        amount = Carried.ALREADY_PAID
    hop_limits = words.uint(data, 3 * WORD) >= 6 * WORD and words.array(data, 0, 5)[1] > 0
    return _swap(call, data, VenueKind.UNISWAP_V2, call.router.v2, hops, amount, exact_in, hop_limits)


def _swap(
    call: _Call,
    data: bytes,
    venue: VenueKind,
    factory: Factory,
    hops: tuple[SwapHop, ...],
    amount: Amount,
    exact_in: bool,
    hop_limits: bool,
) -> IntendedSwap:
    return IntendedSwap(
        venue=venue,
        dex=factory.dex,
        hops=hops,
        exact_in=exact_in,
        amount=amount,
        limit=words.uint(data, 2 * WORD),
        payer=call.sender if words.boolean(data, 4 * WORD) else call.router.address,
        recipient=call.recipient(data, 0),
        by_balance=venue is VenueKind.UNISWAP_V2,
        hop_limits=hop_limits,
        may_fail=call.may_fail,
    )


def _wrap(call: _Call, data: bytes) -> Step:
    amount = words.uint(data, WORD)
    carried = Carried.ROUTER_BALANCE if amount == CONTRACT_BALANCE else amount
    return Wrap(call.router.weth, carried, call.recipient(data, 0))


def _unwrap(call: _Call, data: bytes) -> Step:
    return Unwrap(call.router.weth, words.uint(data, WORD), call.recipient(data, 0))


def _sweep(call: _Call, data: bytes) -> Step:
    return Sweep(words.address(data, 0), words.uint(data, 2 * WORD), call.recipient(data, WORD))


def _transfer(call: _Call, data: bytes, *, from_sender: bool) -> Step:
    """The router pays, or the sender does through Permit2, whose amounts have 160 bits."""
    given = words.uint(data, 2 * WORD, 160 if from_sender else 256)
    amount = Carried.ROUTER_BALANCE if given == CONTRACT_BALANCE else given
    payer = call.sender if from_sender else call.router.address
    return Payment(words.address(data, 0), amount, payer, call.recipient(data, WORD))


def _pay_portion(call: _Call, data: bytes) -> Step:
    return PortionPayment(words.address(data, 0), words.uint(data, 2 * WORD), call.recipient(data, WORD))


def _inert(_: _Call, data: bytes, *, name: str) -> Step:
    if not data:
        raise Malformed("truncated")
    return OtherStep(name)


_Read = Callable[[_Call, bytes], Step]
_COMMANDS: dict[int, _Read] = {
    0x00: partial(_v3_swap, exact_in=True),
    0x01: partial(_v3_swap, exact_in=False),
    0x02: partial(_transfer, from_sender=True),
    0x03: partial(_inert, name="PERMIT2_PERMIT_BATCH"),
    0x04: _sweep,
    0x05: partial(_transfer, from_sender=False),
    0x06: _pay_portion,
    0x08: partial(_v2_swap, exact_in=True),
    0x09: partial(_v2_swap, exact_in=False),
    0x0A: partial(_inert, name="PERMIT2_PERMIT"),
    0x0B: _wrap,
    0x0C: _unwrap,
    0x0E: partial(_inert, name="BALANCE_CHECK_ERC20"),
}
"""By number, as the router's ``Commands`` has them."""
