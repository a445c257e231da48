"""Calls of Uniswap's SwapRouter and SwapRouter02, several at once among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from keeper.domain.pending import (
    Carried,
    IntendedSwap,
    Intent,
    OtherStep,
    Payment,
    PendingTransaction,
    Step,
    SwapHop,
    Sweep,
    Unwrap,
    Wrap,
)
from keeper.domain.token import VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address, Hash32
from keeper.market.routers import words
from keeper.market.routers.places import Factory, v2_hops, v3_hop, v3_hops
from keeper.market.routers.words import WORD, Malformed, selector

_HEAD = 4
_MAX_DEPTH = 3
_LARGEST = 255
"""Bits of an amount that a V3 pool takes: it counts with a sign."""
_SENDER, _ROUTER = (Address(f"0x{number:040x}") for number in (1, 2))


@dataclass(frozen=True, slots=True)
class V3Router:
    """One SwapRouter.

    Attributes:
        v2: where SwapRouter02 finds pairs; None for the first SwapRouter.
    """

    address: Address
    v3: Factory
    v2: Factory | None
    weth: Address


@dataclass(frozen=True, slots=True)
class _Call:
    """One call within a transaction."""

    router: V3Router
    transaction: PendingTransaction
    data: bytes

    def recipient(self, at: int) -> Address:
        given = words.address(self.data, at)
        if self.router.v2 is None:
            return self.router.address if given == ZERO_ADDRESS else given
        return {_SENDER: self.transaction.sender, _ROUTER: self.router.address}.get(given, given)


_TOKEN_PERMIT = "address,uint256,uint256,uint8,bytes32,bytes32"
_INERT = {
    selector(signature): signature[: signature.index("(")]
    for signature in (
        "refundETH()",
        f"selfPermit({_TOKEN_PERMIT})",
        f"selfPermitIfNecessary({_TOKEN_PERMIT})",
        f"selfPermitAllowed({_TOKEN_PERMIT})",
        f"selfPermitAllowedIfNecessary({_TOKEN_PERMIT})",
        "approveMax(address)",
        "approveMaxMinusOne(address)",
        "approveZeroThenMax(address)",
        "approveZeroThenMaxMinusOne(address)",
    )
}
_WITH_FEE = {
    selector(signature): signature[: signature.index("(")]
    for signature in (
        "sweepTokenWithFee(address,uint256,address,uint256,address)",
        "sweepTokenWithFee(address,uint256,uint256,address)",
        "unwrapWETH9WithFee(uint256,address,uint256,address)",
        "unwrapWETH9WithFee(uint256,uint256,address)",
    )
}
_SWEEP_TO, _SWEEP = selector("sweepToken(address,uint256,address)"), selector("sweepToken(address,uint256)")
_UNWRAP_TO, _UNWRAP = selector("unwrapWETH9(uint256,address)"), selector("unwrapWETH9(uint256)")
_PULL = selector("pull(address,uint256)")
_WRAP = selector("wrapETH(uint256)")
_MULTICALL = selector("multicall(bytes[])")
_MULTICALL_BY = selector("multicall(uint256,bytes[])")
_MULTICALL_AFTER = selector("multicall(bytes32,bytes[])")


def decode(router: V3Router, transaction: PendingTransaction) -> Intent | None:
    """The swaps, or None where the function is none that swaps; raises `Malformed`."""
    return _decode(_Call(router, transaction, transaction.data), 0)


def _decode(call: _Call, depth: int) -> Intent | None:
    data, selected = call.data, call.data[:4]
    intent = Intent(call.router.address, "multicall", (), call.transaction.value)
    if selected == _MULTICALL:
        return _decode_all(call, intent, 0, depth)
    if call.router.v2 is not None and selected == _MULTICALL_BY:
        return _decode_all(call, replace(intent, deadline=words.uint(data, _HEAD)), 1, depth)
    if call.router.v2 is not None and selected == _MULTICALL_AFTER:
        parent = Hash32(f"0x{words.uint(data, _HEAD):064x}")
        return _decode_all(call, replace(intent, previous_block=parent), 1, depth)
    single = (_FIRST if call.router.v2 is None else _SECOND).get(selected)
    if single is None:
        return None
    name, read = single
    step, deadline = read(call)
    return replace(intent, function=name, steps=(step,), deadline=deadline)


def _decode_all(call: _Call, intent: Intent, place: int, depth: int) -> Intent:
    """The calls within a multicall, in order; the earliest deadline counts for all."""
    if depth == _MAX_DEPTH:
        raise Malformed("calls nested too deep")
    steps: list[Step] = []
    deadlines = [] if intent.deadline is None else [intent.deadline]
    for data in words.byte_strings(call.data, _HEAD, place):
        inner = replace(call, data=data)
        found = _decode(inner, depth + 1)
        if found is None:
            steps.append(_other(inner))
            continue
        if len(steps) + len(found.steps) > words.MAX_ITEMS:
            raise Malformed("an array too long")
        steps += found.steps
        deadlines += [] if found.deadline is None else [found.deadline]
        if found.previous_block is not None:
            if intent.previous_block not in (None, found.previous_block):
                raise Malformed("two preceding blocks")
            intent = replace(intent, previous_block=found.previous_block)
    return replace(intent, steps=tuple(steps), deadline=min(deadlines, default=None))


def _other(call: _Call) -> Step:
    data, selected, weth = call.data, call.data[:4], call.router.weth
    router, sender = call.router.address, call.transaction.sender
    if selected in _INERT:
        return OtherStep(_INERT[selected])
    if selected in _WITH_FEE:
        name = _WITH_FEE[selected]
        return OtherStep(name, weth if name.startswith("unwrap") else words.address(data, _HEAD))
    if selected in (_UNWRAP_TO, _UNWRAP):
        recipient = call.recipient(_HEAD + WORD) if selected == _UNWRAP_TO else sender
        return Unwrap(weth, words.uint(data, _HEAD), recipient)
    if selected in (_SWEEP_TO, _SWEEP):
        recipient = call.recipient(_HEAD + 2 * WORD) if selected == _SWEEP_TO else sender
        return Sweep(words.address(data, _HEAD), words.uint(data, _HEAD + WORD), recipient)
    if selected == _WRAP and call.router.v2 is not None:
        return Wrap(weth, words.uint(data, _HEAD), router)
    if selected == _PULL and call.router.v2 is not None:
        return Payment(words.address(data, _HEAD), words.uint(data, _HEAD + WORD), sender, router)
    return OtherStep("0x" + selected.hex(), inert=False)


def _single(call: _Call, *, exact_in: bool) -> tuple[Step, int | None]:
    """``exactInputSingle`` and ``exactOutputSingle``; only the first router's struct has a deadline."""
    data, router = call.data, call.router
    tokens = words.address(data, _HEAD), words.address(data, _HEAD + WORD)
    fee = words.uint(data, _HEAD + 2 * WORD, 24)
    recipient = call.recipient(_HEAD + 3 * WORD)
    at = _HEAD + 4 * WORD
    deadline = None
    if router.v2 is None:
        deadline = words.uint(data, at)
        at += WORD
    price_limit = words.uint(data, at + 2 * WORD, 160)
    hops = (v3_hop(router.v3, *tokens, fee),)
    return _swap(call, hops, at, recipient, exact_in=exact_in, price_limit=price_limit), deadline


def _path(call: _Call, *, exact_in: bool) -> tuple[Step, int | None]:
    """``exactInput`` and ``exactOutput``: a struct that begins with the packed path."""
    data, router = call.data, call.router
    head = words.item(data, _HEAD, 0)
    hops = v3_hops(router.v3, words.byte_string(data, head, 0), reverse=not exact_in)
    recipient = call.recipient(head + WORD)
    at = head + 2 * WORD
    deadline = None
    if router.v2 is None:
        deadline = words.uint(data, at)
        at += WORD
    return _swap(call, hops, at, recipient, exact_in=exact_in), deadline


def _swap(
    call: _Call, hops: tuple[SwapHop, ...], at: int, recipient: Address, *, exact_in: bool, price_limit: int = 0
) -> IntendedSwap:
    """``at`` is where amount and limit are."""
    amount = words.uint(call.data, at, _LARGEST)
    carried = call.router.v2 is not None and exact_in and amount == 0
    return IntendedSwap(
        venue=VenueKind.UNISWAP_V3,
        dex=call.router.v3.dex,
        hops=hops,
        exact_in=exact_in,
        amount=Carried.ROUTER_BALANCE if carried else amount,
        limit=words.uint(call.data, at + WORD),
        payer=call.router.address if carried else call.transaction.sender,
        recipient=recipient,
        price_limit=price_limit,
    )


def _pairs(call: _Call, *, exact_in: bool) -> tuple[Step, int | None]:
    """SwapRouter02's swaps through V2 pairs, without a deadline."""
    assert call.router.v2 is not None
    data = call.data
    amount = words.uint(data, _HEAD)
    carried = exact_in and amount == 0
    swap = IntendedSwap(
        venue=VenueKind.UNISWAP_V2,
        dex=call.router.v2.dex,
        hops=v2_hops(call.router.v2, words.addresses(data, _HEAD, 2)),
        exact_in=exact_in,
        amount=Carried.ROUTER_BALANCE if carried else amount,
        limit=words.uint(data, _HEAD + WORD),
        payer=call.router.address if carried else call.transaction.sender,
        recipient=call.recipient(_HEAD + 3 * WORD),
        by_balance=True,
    )
    return swap, None


_Reader = Callable[[_Call], tuple[Step, int | None]]


def _readers(functions: dict[str, _Reader]) -> dict[bytes, tuple[str, _Reader]]:
    """Name and reader by selector."""
    return {selector(signature): (signature[: signature.index("(")], read) for signature, read in functions.items()}


_TOKENS = "address,address,uint24,address"
_FIRST = _readers(
    {
        f"exactInputSingle(({_TOKENS},uint256,uint256,uint256,uint160))": partial(_single, exact_in=True),
        f"exactOutputSingle(({_TOKENS},uint256,uint256,uint256,uint160))": partial(_single, exact_in=False),
        "exactInput((bytes,address,uint256,uint256,uint256))": partial(_path, exact_in=True),
        "exactOutput((bytes,address,uint256,uint256,uint256))": partial(_path, exact_in=False),
    }
)
_SECOND = _readers(
    {
        f"exactInputSingle(({_TOKENS},uint256,uint256,uint160))": partial(_single, exact_in=True),
        f"exactOutputSingle(({_TOKENS},uint256,uint256,uint160))": partial(_single, exact_in=False),
        "exactInput((bytes,address,uint256,uint256))": partial(_path, exact_in=True),
        "exactOutput((bytes,address,uint256,uint256))": partial(_path, exact_in=False),
        "swapExactTokensForTokens(uint256,uint256,address[],address)": partial(_pairs, exact_in=True),
        "swapTokensForExactTokens(uint256,uint256,address[],address)": partial(_pairs, exact_in=False),
    }
)
