"""Judges a token by what the probe measured; pure, so that every verdict can be tested on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keeper.domain.token_facts import TokenFacts
from keeper.domain.units import Address

DIVISORS = (3, 7, 1009, 100_003)
"""Of the holder's balance these parts are sent: a third, as large trades do, and odd ones, which make shares round."""
_CONTROL, _DECIMALS, _PAUSED = "controlOfTheProbe()", "decimals()", "paused()"
_LISTS = ("isBlacklisted(address)", "isBlackListed(address)", "isFrozen(address)")
_SHARES = ("sharesOf(address)", "scaledBalanceOf(address)", "rebasingCreditsPerToken()", "monetaryPolicy()")
VIEWS = (_CONTROL, _DECIMALS, _PAUSED, *_LISTS, *_SHARES)
"""What else is asked. No token has the first: one that answers it answers anything."""

ROUNDING_WEI = 2
"""A transfer that misses its amount by no more than this everywhere rounds shares; a fee misses by more somewhere."""
_BPS = 10_000
_HEAD_WORDS, _LEG_WORDS = 6, 9
_NO_ANSWER = 2**256 - 1
_MAX_DECIMALS = 255
_WORD = 32
_TRANSFER_GAS = 500_000


@dataclass(frozen=True, slots=True)
class _Leg:
    """One transfer as the probe reports it."""

    success: int
    size: int
    word: int
    gas: int
    from_before: int
    from_after: int
    to_before: int
    to_after: int
    touches: int


def report_words(data: bytes) -> list[int]:
    """The ``uint256[]`` that the probe returns; `ValueError` when it is anything else."""
    words = [int.from_bytes(data[at : at + _WORD], "big") for at in range(0, len(data), _WORD)]
    if len(data) % _WORD or len(words) < 2 or words[0] != _WORD or words[1] != len(words) - 2:
        raise ValueError("no array of words")
    return words[2:]


def judge(
    token: Address, measured: Sequence[int] | None, peeked: Sequence[int] | None, later: Sequence[int] | None
) -> TokenFacts:
    """The verdict.

    Args:
        measured: the report of ``measure``; None where it ran out of gas, or where nobody holds the token.
        peeked: the report of ``peek`` on `VIEWS`; None where it ran out of gas.
        later: the same of the holder's balance a month later, without a transfer between.
    """
    answers = {} if peeked is None else _answers(peeked)
    legs = [] if measured is None else _legs(measured)
    through = [leg for leg in legs if leg.success]
    amounts = None if measured is None else _amounts(legs, measured[1])
    fee = _fee_bps(through, amounts or [])
    facts = TokenFacts(
        token=token,
        decimals=answers[_DECIMALS] if answers.get(_DECIMALS, _NO_ANSWER) <= _MAX_DECIMALS else None,
        fee_on_transfer_bps=fee,
        rebasing=bool(through) and (_rounds(through, amounts or []) or _drifts(legs, later)),
        returns_nothing=any(leg.size == 0 for leg in through),
        transfer_gas=max((leg.gas for leg in through), default=0),
        pausable=answers.get(_PAUSED, _NO_ANSWER) <= 1,
        blocklist=any(answers.get(view, _NO_ANSWER) <= 1 for view in _LISTS),
        refused=None,
    )
    shares = any(view in answers for view in _SHARES)
    reason = _reason(measured, legs, amounts or [], facts, shares)
    return replace(facts, rebasing=facts.rebasing or shares, refused=reason)


def _reason(
    measured: Sequence[int] | None, legs: Sequence[_Leg], amounts: Sequence[int], facts: TokenFacts, shares: bool
) -> str | None:
    if measured is None:
        return "no balance of it could be found or made to send, or probing it takes more gas than a block has"
    read = list(zip(measured[0:6:2], measured[1:6:2], strict=True))
    if not all(answered for answered, _ in read):
        return "balanceOf does not answer"
    if len(set(read)) > 1:
        return "balanceOf answers different callers differently"
    for number, leg in enumerate(legs):
        way = "from the pool to the executor" if number % 2 == 0 else "from the executor back to the pool"
        share = f"1/{DIVISORS[number // 2]} of the pool's balance {way}"
        if not leg.success:
            if leg.gas >= _TRANSFER_GAS:
                return f"a transfer of {share} takes more than {_TRANSFER_GAS} gas"
            return f"a transfer of {share} reverts"
        if leg.size not in (0, _WORD) or (leg.size and leg.word > 1):
            return f"a transfer of {share} returns something else than a truth value"
        if leg.size and leg.word == 0:
            return f"a transfer of {share} returns false"
        if _NO_ANSWER in (leg.from_before, leg.from_after, leg.to_before, leg.to_after):
            return "balanceOf does not answer"
        if leg.touches:
            return "a transfer calls the pool or the executor"
        if amounts[number] and leg.from_before == leg.from_after and leg.to_before == leg.to_after:
            return "a transfer leaves the balances as they are"
    if facts.rebasing or shares:
        return "its balances change without transfers, or are shares that round"
    for leg, amount in zip(legs, amounts, strict=True):
        if leg.to_after - leg.to_before > amount or leg.from_before - leg.from_after < amount:
            return "a transfer moves more, or takes less, than its amount"
    if facts.fee_on_transfer_bps:
        return f"it takes a fee of up to {facts.fee_on_transfer_bps} bps on transfers"
    return None


def _answers(peeked: Sequence[int]) -> dict[str, int]:
    """The views that were answered with a word, by signature; none where the one that nobody has was answered too."""
    found = {
        view: peeked[3 * number + 2]
        for number, view in enumerate(VIEWS)
        if peeked[3 * number] and peeked[3 * number + 1] == _WORD
    }
    if _CONTROL in found:
        return {view: found[view] for view in (_DECIMALS,) if view in found}
    return found


def _legs(measured: Sequence[int]) -> list[_Leg]:
    """The transfers that were tried; the probe ends early and leaves zeros behind."""
    rows = [measured[at : at + _LEG_WORDS] for at in range(_HEAD_WORDS, len(measured), _LEG_WORDS)]
    return [_Leg(*row) for row in rows if any(row)]


def _amounts(legs: Sequence[_Leg], balance: int) -> list[int]:
    """What was sent on each: a part of the first balance out, and back what had arrived."""
    amounts: list[int] = []
    parts = [balance // divisor for divisor in DIVISORS if balance // divisor]
    for number in range(len(legs)):
        out = legs[number - number % 2]
        amounts.append((out.to_after - out.to_before) % 2**256 if number % 2 else parts[number // 2])
    return amounts


def _misses(legs: Sequence[_Leg], amounts: Sequence[int]) -> list[tuple[int, int]]:
    """By how much each transfer misses its amount at its worse end, and the amount."""
    return [
        (max(abs(leg.from_before - leg.from_after - amount), abs(leg.to_after - leg.to_before - amount)), amount)
        for leg, amount in zip(legs, amounts, strict=False)
    ]


def _rounds(legs: Sequence[_Leg], amounts: Sequence[int]) -> bool:
    misses = [miss for miss, _ in _misses(legs, amounts)]
    return any(misses) and max(misses) <= ROUNDING_WEI


def _fee_bps(legs: Sequence[_Leg], amounts: Sequence[int]) -> int | None:
    if not legs or _rounds(legs, amounts):
        return 0 if legs else None
    shares = [-(-miss * _BPS // amount) for miss, amount in _misses(legs, amounts) if amount]
    return min(max(shares, default=0), _BPS)


def _drifts(legs: Sequence[_Leg], later: Sequence[int] | None) -> bool:
    """Whether the holder's balance is another one a month after the last transfer, or is no longer told."""
    last = legs[-1]
    balance = last.to_after if len(legs) % 2 == 0 else last.from_after
    return later is None or later[0] != 1 or later[2] != balance
