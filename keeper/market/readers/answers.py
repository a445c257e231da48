"""What the readers of all venues share: which pool to read, and view calls whose answers are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from keeper.domain.errors import InputError
from keeper.domain.token import TRADED_VENUES, VenueKind
from keeper.domain.units import Address, to_address
from keeper.market.multicall import Call
from keeper.market.venues.fields import read, read_text

WORD = 32
_Item = TypeVar("_Item")


class Unreadable(Exception):
    """A pool that does not answer as its kind does; the text says how."""


class Ask(Protocol):
    """Answers view calls on the state of one block; None for one that reverts."""

    async def __call__(self, calls: Sequence[Call]) -> list[bytes | None]: ...


@dataclass(frozen=True, slots=True)
class PoolPlace:
    """Where a pool is and what it is, without its state.

    Attributes:
        address: the pool's contract; of Uniswap V4 the PoolManager.
    """

    address: Address
    venue: VenueKind
    dex: str

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """One entry ``{"address", "venue", "dex"}`` of a list; `InputError` names the first field that does not fit."""
        name = read_text(entry, "venue")
        kinds = [kind for kind in VenueKind if kind not in TRADED_VENUES]
        if name not in kinds:
            raise InputError("venue", name, f"Give one of: {', '.join(kinds)}.")
        return cls(to_address(read(entry, "address"), "address"), VenueKind(name), read_text(entry, "dex"))


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
