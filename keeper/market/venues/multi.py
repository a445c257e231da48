"""Pools of two or more tokens, and the view of two of them that fulfils the `Pool` protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from typing import Any, Self

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.domain.swap_detail import SwapDetail
from keeper.domain.token import VenueKind
from keeper.domain.units import Address, to_address
from keeper.market.venues.base import Pool, check_amount
from keeper.market.venues.fields import read, to_int


@dataclass(frozen=True, slots=True)
class MultiTokenPool(ABC):
    """A pool that trades each of its tokens for each other.

    With two tokens it is a `Pool` as it stands. With more, a swap names both of its tokens, or goes through `pair`.

    Attributes:
        tokens: in the order of the contract.
    """

    address: Address
    dex: str
    tokens: tuple[Address, ...]

    @property
    def key(self) -> Address:
        return self.address

    @property
    def holder(self) -> tuple[Address, bytes] | None:
        return None

    @property
    @abstractmethod
    def venue(self) -> VenueKind: ...

    @property
    @abstractmethod
    def fee_pips(self) -> int:
        """The fee rounded up to millionths; the exact one is the venue's own field."""

    @property
    def token0(self) -> Address:
        return self._two_tokens()[0]

    @property
    def token1(self) -> Address:
        return self._two_tokens()[1]

    def amount_out(self, token_in: Address, amount_in: int, token_out: Address | None = None) -> int:
        """What the pool's contract pays for ``amount_in``.

        Args:
            token_out: may be left out where the pool has two tokens.

        Raises:
            InsufficientLiquidity: the contract would revert.
            InputError: a token is not in the pool or not named, or the amount is not positive.
        """
        check_amount(amount_in, "amount_in")
        i = self.index(token_in, "token_in")
        return self._get_out(i, self._other(i, token_out, "token_out"), amount_in)

    def amount_in(self, token_out: Address, amount_out: int, token_in: Address | None = None) -> int:
        """The input that ``amount_out`` takes; arguments and errors as in `amount_out`."""
        check_amount(amount_out, "amount_out")
        j = self.index(token_out, "token_out")
        return self._get_in(self._other(j, token_in, "token_in"), j, amount_out)

    def marginal_price(self, token_in: Address, token_out: Address | None = None) -> Fraction:
        """Raw units paid out per raw unit of ``token_in`` for a vanishing input, fee included."""
        i = self.index(token_in, "token_in")
        return self._get_price(i, self._other(i, token_out, "token_out"))

    def spot_liquidity(self, token: Address) -> int:
        """The balance of ``token``, raw units."""
        return self._get_balances()[self.index(token, "token")]

    def swap_detail(self, token_in: Address, token_out: Address | None = None) -> SwapDetail:
        """What a swap needs beside the pool's address; ``token_out`` may be left out where there are two tokens."""
        i = self.index(token_in, "token_in")
        return self._get_detail(i, self._other(i, token_out, "token_out"))

    @property
    def drifts(self) -> bool:
        """Whether parts of the state, such as rates, move without an event."""
        return False

    def drifted(self, fresh: Self) -> Self:  # noqa: ARG002
        """This state with what moves without an event as in ``fresh``, a later reading of the pool."""
        return self

    def pair(self, token_a: Address, token_b: Address) -> PairView:
        """The pool as one of these two tokens alone."""
        i = self.index(token_a, "token_a")
        self._other(i, token_b, "token_b")
        token0, token1 = sorted((token_a, token_b), key=_number)
        return PairView(self, token0, token1)

    def index(self, token: Address, name: str) -> int:
        """Position of ``token``; `InputError` names the argument when the pool does not have it."""
        if token not in self.tokens:
            raise InputError(name, token, f"Pool {self.address} trades {', '.join(self.tokens)}.")
        return self.tokens.index(token)

    @abstractmethod
    def apply(self, log: Log) -> Self:
        """The state after ``log``; the same object when the log does not change it."""

    def to_json(self) -> dict[str, Any]:
        """The form that ``from_json`` reads; see docs/venues.md."""
        return {"venue": self.venue.value, "address": self.address, "dex": self.dex, "tokens": list(self.tokens)}

    @abstractmethod
    def _get_balances(self) -> tuple[int, ...]:
        """By token, raw units."""

    @abstractmethod
    def _get_detail(self, i: int, j: int) -> SwapDetail: ...

    @abstractmethod
    def _get_out(self, i: int, j: int, amount_in: int) -> int: ...

    @abstractmethod
    def _get_in(self, i: int, j: int, amount_out: int) -> int: ...

    @abstractmethod
    def _get_price(self, i: int, j: int) -> Fraction: ...

    def _other(self, i: int, token: Address | None, name: str) -> int:
        if token is None:
            if len(self.tokens) != 2:
                raise InputError(name, None, f"Pool {self.address} has {len(self.tokens)} tokens: name the other one.")
            return 1 - i
        j = self.index(token, name)
        if j == i:
            raise InputError(name, token, "Name two different tokens.")
        return j

    def _two_tokens(self) -> list[Address]:
        if len(self.tokens) != 2:
            raise InputError("token0", self.tokens, f"Pool {self.address} has more than two tokens: take a pair of it.")
        return sorted(self.tokens, key=_number)


@dataclass(frozen=True, slots=True)
class PairView:
    """Two tokens of a pool; another one of its pairs changes with every swap through this one.

    Attributes:
        pool: the state of the whole pool.
    """

    pool: MultiTokenPool
    token0: Address
    token1: Address

    @property
    def address(self) -> Address:
        return self.pool.address

    @property
    def key(self) -> Address:
        """That of the whole pool, so all its pairs have the same."""
        return self.pool.key

    @property
    def holder(self) -> tuple[Address, bytes] | None:
        return self.pool.holder

    @property
    def venue(self) -> VenueKind:
        return self.pool.venue

    @property
    def dex(self) -> str:
        return self.pool.dex

    @property
    def fee_pips(self) -> int:
        return self.pool.fee_pips

    def amount_out(self, token_in: Address, amount_in: int) -> int:
        return self.pool.amount_out(token_in, amount_in, self._counterpart(token_in, "token_in"))

    def amount_in(self, token_out: Address, amount_out: int) -> int:
        return self.pool.amount_in(token_out, amount_out, self._counterpart(token_out, "token_out"))

    def marginal_price(self, token_in: Address) -> Fraction:
        return self.pool.marginal_price(token_in, self._counterpart(token_in, "token_in"))

    def spot_liquidity(self, token: Address) -> int:
        self._counterpart(token, "token")
        return self.pool.spot_liquidity(token)

    def swap_detail(self, token_in: Address) -> SwapDetail:
        return self.pool.swap_detail(token_in, self._counterpart(token_in, "token_in"))

    def apply(self, log: Log) -> Self:
        pool = self.pool.apply(log)
        return self if pool is self.pool else replace(self, pool=pool)

    def to_json(self) -> dict[str, Any]:
        return {**self.pool.to_json(), "pair": [self.token0, self.token1]}

    def _counterpart(self, token: Address, name: str) -> Address:
        if token not in (self.token0, self.token1):
            raise InputError(name, token, f"This pair of {self.address} is {self.token0} and {self.token1}.")
        return self.token1 if token == self.token0 else self.token0


def pairs_of(pool: Pool) -> tuple[Pool, ...]:
    """The pool as pools of two tokens: itself where it has no more, else a view of each two of them."""
    if not isinstance(pool, MultiTokenPool) or len(pool.tokens) == 2:
        return (pool,)
    return tuple(pool.pair(first, second) for first, second in combinations(pool.tokens, 2))


def read_token_list(state: Mapping[str, Any], most: int) -> tuple[Address, ...]:
    """``tokens``: two or more different addresses in the order of the contract."""
    tokens = read(state, "tokens")
    if not isinstance(tokens, list) or not 2 <= len(tokens) <= most:
        raise InputError("tokens", tokens, f"Give a list of 2 to {most} addresses.")
    read_ = tuple(to_address(token, f"tokens[{number}]") for number, token in enumerate(tokens))
    if len(set(read_)) != len(read_):
        raise InputError("tokens", tokens, "Name each token once.")
    return read_


def read_ints(state: Mapping[str, Any], name: str, count: int, low: int, high: int) -> tuple[int, ...]:
    """A list of ``count`` integers of ``low..high``."""
    values = read(state, name)
    if not isinstance(values, list) or len(values) != count:
        raise InputError(name, values, f"Give a list of {count} integers, one a token.")
    return tuple(to_int(value, f"{name}[{number}]", low, high) for number, value in enumerate(values))


def read_pair(state: Mapping[str, Any]) -> tuple[Address, Address] | None:
    """``pair``, the two tokens of a view; None when the state is that of the whole pool."""
    pair = state.get("pair")
    if pair is None:
        return None
    if not isinstance(pair, list) or len(pair) != 2:
        raise InputError("pair", pair, "Give two of the pool's tokens, or leave it out.")
    return to_address(pair[0], "pair[0]"), to_address(pair[1], "pair[1]")


def _number(address: Address) -> int:
    return int(address, 16)
