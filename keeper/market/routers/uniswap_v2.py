"""Calls of UniswapV2Router01 and 02, and of their copies."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keeper.domain.pending import IntendedSwap, Intent, PendingTransaction, Step, Unwrap, Wrap
from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.market.routers import words
from keeper.market.routers.places import Factory, v2_hops
from keeper.market.routers.words import WORD, Malformed, selector

_HEAD = 4


@dataclass(frozen=True, slots=True)
class _Function:
    """Which of the first words are there: ``amounts`` of them, the other one being the ether that is sent."""

    name: str
    amounts: int
    exact_in: bool
    ether_in: bool = False
    ether_out: bool = False
    by_balance: bool = False


_FUNCTIONS = (
    _Function("swapExactTokensForTokens", 2, True),
    _Function("swapTokensForExactTokens", 2, False),
    _Function("swapExactETHForTokens", 1, True, ether_in=True),
    _Function("swapTokensForExactETH", 2, False, ether_out=True),
    _Function("swapExactTokensForETH", 2, True, ether_out=True),
    _Function("swapETHForExactTokens", 1, False, ether_in=True),
    _Function("swapExactTokensForTokensSupportingFeeOnTransferTokens", 2, True, by_balance=True),
    _Function("swapExactETHForTokensSupportingFeeOnTransferTokens", 1, True, ether_in=True, by_balance=True),
    _Function("swapExactTokensForETHSupportingFeeOnTransferTokens", 2, True, ether_out=True, by_balance=True),
)
_BY_SELECTOR = {selector(f"{one.name}({'uint256,' * one.amounts}address[],address,uint256)"): one for one in _FUNCTIONS}


def decode(factory: Factory, weth: Address, router: Address, transaction: PendingTransaction) -> Intent | None:
    """The swap, or None where the function is none that swaps; raises `Malformed`."""
    data = transaction.data
    function = _BY_SELECTOR.get(data[:4])
    if function is None:
        return None
    given = [words.uint(data, _HEAD + WORD * number) for number in range(function.amounts)]
    if function.ether_in:
        # what is sent is the exact input, or the most that may be paid
        given.insert(0 if function.exact_in else 1, transaction.value)
    path = words.addresses(data, _HEAD, function.amounts)
    recipient = words.address(data, _HEAD + WORD * (function.amounts + 1))
    deadline = words.uint(data, _HEAD + WORD * (function.amounts + 2))
    hops = v2_hops(factory, path)
    if (function.ether_in and path[0] != weth) or (function.ether_out and path[-1] != weth):
        raise Malformed("a path that does not begin or end at wrapped ether")
    swap = IntendedSwap(
        venue=VenueKind.UNISWAP_V2,
        dex=factory.dex,
        hops=hops,
        exact_in=function.exact_in,
        amount=given[0],
        limit=given[1],
        payer=router if function.ether_in else transaction.sender,
        recipient=recipient,
        by_balance=function.by_balance,
    )
    steps: tuple[Step, ...] = (swap,)
    if function.ether_in:
        steps = (Wrap(weth, transaction.value, router), swap)
    elif function.ether_out:
        # the pairs pay the router, which unwraps all of it
        steps = (replace(swap, recipient=router), Unwrap(weth, 0, recipient))
    return Intent(router, function.name, steps, transaction.value, deadline)
