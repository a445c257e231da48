"""What the readers of all venues share: which pool to read, and view calls whose answers are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from keeper.domain.errors import InputError
from keeper.domain.token import TRADED_VENUES, VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address, to_address
from keeper.market.multicall import Call
from keeper.market.venues.concentrated import MAX_TICK_SPACING
from keeper.market.venues.fields import FEE_DENOMINATOR, read, read_int, read_text, read_tokens

WORD = 32
_Item = TypeVar("_Item")


class Unreadable(Exception):
    """A pool that does not answer as its kind does; the text says how."""


class Ask(Protocol):
    """Answers view calls on the state of one block; None for one that reverts."""

    async def __call__(self, calls: Sequence[Call]) -> list[bytes | None]: ...


@dataclass(frozen=True, slots=True)
class PoolKey:
    """What names a pool of Uniswap V4 without hooks; Ether is the zero address."""

    token0: Address
    token1: Address
    fee_pips: int
    tick_spacing: int


@dataclass(frozen=True, slots=True)
class PoolPlace:
    """Where a pool is and what it is, without its state.

    Attributes:
        address: the pool's contract; of Uniswap V4 the PoolManager.
        key: of Uniswap V4 alone.
    """

    address: Address
    venue: VenueKind
    dex: str
    key: PoolKey | None = None

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """One entry ``{"address", "venue", "dex"}`` of a list; `InputError` names the first field that does not fit.

        For Uniswap V4 it also has ``tokens``, ``fee_pips``, ``tick_spacing`` and, where there are any, ``hooks``.
        """
        name = read_text(entry, "venue")
        kinds = [kind for kind in VenueKind if kind not in TRADED_VENUES]
        if name not in kinds:
            raise InputError("venue", name, f"Give one of: {', '.join(kinds)}.")
        key = _read_key(entry) if name == VenueKind.UNISWAP_V4 else None
        return cls(to_address(read(entry, "address"), "address"), VenueKind(name), read_text(entry, "dex"), key)


def _read_key(entry: Mapping[str, Any]) -> PoolKey:
    tokens = read(entry, "tokens")
    if not isinstance(tokens, list) or len(tokens) != 2:
        raise InputError("tokens", tokens, "Give the two tokens of the pool, the lower address first.")
    token0, token1 = read_tokens({"token0": tokens[0], "token1": tokens[1]})
    hooks = to_address(entry.get("hooks", ZERO_ADDRESS), "hooks")
    if hooks != ZERO_ADDRESS:
        raise InputError("hooks", hooks, "Only pools without hooks can be computed.")
    fee_pips = read_int(entry, "fee_pips", 0, FEE_DENOMINATOR - 1)
    return PoolKey(token0, token1, fee_pips, read_int(entry, "tick_spacing", 1, MAX_TICK_SPACING))


def selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


def argument(value: int) -> bytes:
    return value.to_bytes(WORD, "big", signed=value < 0)


def to_words(answer: bytes | None, count: int, function: str) -> tuple[int, ...]:
    """The first ``count`` words of the answer."""
    if answer is None or len(answer) < count * WORD:
        raise Unreadable(f"{function} does not answer")
    return tuple(int.from_bytes(answer[at : at + WORD], "big") for at in range(0, count * WORD, WORD))


def to_word(answer: bytes | None, function: str) -> int:
    return to_words(answer, 1, function)[0]


def word_address(word: int, function: str) -> Address:
    if word >> 160:
        raise Unreadable(f"{function} answers no address")
    return Address(to_checksum_address(word.to_bytes(20, "big")))


def to_array(answer: bytes | None, place: int, function: str) -> tuple[int, ...]:
    """The dynamic array of words that the answer's word number ``place`` points to."""
    offset = to_words(answer, place + 1, function)[place]
    assert answer is not None
    length = to_word(answer[offset : offset + WORD], function)
    return to_words(answer[offset + WORD :], min(length, len(answer)), function)


def rows(answers: Sequence[_Item], width: int) -> list[Sequence[_Item]]:
    """The flat answers to ``width`` calls a pool, by pool."""
    return [answers[at : at + width] for at in range(0, len(answers), width)]
