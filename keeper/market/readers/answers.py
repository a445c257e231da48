"""What the readers of all venues share: view calls whose answers are checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from keeper.domain.units import Address
from keeper.market.multicall import Call

WORD = 32
_Item = TypeVar("_Item")


class Unreadable(Exception):
    """A pool that does not answer as its kind does; the text says how."""


class Ask(Protocol):
    """Answers view calls on the state of one block; None for one that reverts."""

    async def __call__(self, calls: Sequence[Call]) -> list[bytes | None]: ...


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


def expect(found: object, wanted: object, function: str) -> None:
    if found != wanted:
        raise Unreadable(f"{function} is {found}, not {wanted}")


def expect_tokens(wanted: tuple[Address, Address], token0: bytes | None, token1: bytes | None) -> None:
    for answer, token, function in zip((token0, token1), wanted, ("token0", "token1"), strict=True):
        found = to_word(answer, function)
        if found != int(token, 16):
            raise Unreadable(f"{function} is 0x{found:040x}, not {token}")
