"""What every pool state offers, whatever its maths."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol, Self

from keeper.domain.chain import Log
from keeper.domain.errors import InputError
from keeper.domain.swap_detail import SwapDetail
from keeper.domain.token import VenueKind
from keeper.domain.units import Address


class Pool(Protocol):
    """An immutable state of one pool of two tokens; amounts are exact integers in raw token units."""

    @property
    def address(self) -> Address:
        """The contract that is called; of Uniswap V4 the PoolManager, which all its pools share."""
        ...

    @property
    def key(self) -> Address:
        """What names the pool among all others: its address, or of Uniswap V4 its 32-byte id."""
        ...

    @property
    def holder(self) -> tuple[Address, bytes] | None:
        """The contract whose events name the pool by an id as their second topic, and the id; None where there is
        none. Events at the pool's own address concern it either way."""
        ...

    @property
    def venue(self) -> VenueKind: ...
    @property
    def dex(self) -> str:
        """Name of the DEX that runs the pool, for example ``sushiswap``."""
        ...

    @property
    def token0(self) -> Address: ...
    @property
    def token1(self) -> Address: ...
    @property
    def fee_pips(self) -> int:
        """Fee on the input, millionths."""
        ...

    def amount_out(self, token_in: Address, amount_in: int) -> int:
        """What the pool's contract pays for ``amount_in``.

        Raises:
            InsufficientLiquidity: the pool cannot take the whole input.
            InputError: ``token_in`` is not in the pool or the amount is not positive.
        """
        ...

    def amount_in(self, token_out: Address, amount_out: int) -> int:
        """The least input for which the pool's contract pays ``amount_out``; raises as `amount_out`."""
        ...

    def marginal_price(self, token_in: Address) -> Fraction:
        """Raw units paid out per raw unit of ``token_in`` for a vanishing input, fee included.

        Raises:
            InsufficientLiquidity: there is nothing to trade at the current price.
        """
        ...

    def spot_liquidity(self, token: Address) -> int:
        """How much of ``token`` stands behind the price: raw units, 0 where nothing can be traded.

        A pair's reserve; of liquidity in ranges the virtual reserve L / sqrt(P) or L * sqrt(P) of the range that
        holds the price; a balance elsewhere. Raises `InputError` when the token is not in the pool.
        """
        ...

    def swap_detail(self, token_in: Address) -> SwapDetail | None:
        """What a swap of ``token_in`` needs beside the pool's address; None where the address is enough."""
        ...

    def apply(self, log: Log) -> Self:
        """The state after ``log``; the same object when the log does not change it."""
        ...

    def to_json(self) -> dict[str, Any]: ...


class ReadAgain(InputError):
    """An event of the pool that changed more than it tells: its state has to be read from the chain."""


class InsufficientLiquidity(ArithmeticError):
    """A swap asks for more than a pool holds within its range."""


def is_token0(pool: Pool, token: Address, name: str) -> bool:
    """Whether ``token`` is the pool's token0 and not its token1; `InputError` names the argument when it is neither."""
    if token == pool.token0:
        return True
    if token == pool.token1:
        return False
    raise InputError(name, token, f"Pool {pool.address} trades {pool.token0} and {pool.token1}.")


def check_amount(amount: int, name: str) -> None:
    """`InputError` unless the amount is positive."""
    if amount <= 0:
        raise InputError(name, amount, "Give a positive amount.")
