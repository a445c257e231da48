"""Calldata of the adapter (`contracts/interfaces/IAdapter.sol`): liquidations, leverage, fills, settlement swaps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from keeper.domain.errors import InputError
from keeper.domain.route import Hop
from keeper.domain.token import LenderKind, VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address, Hash32

STEP_WIDTH = 44
FEE_LIMIT = 1_000_000
UINT256_LIMIT = 1 << 256
UINT128_LIMIT = 1 << 128

_MARKET = "(address,address,address,address,uint256)"
_POSITION = "(uint8,address,address,address,address,address,uint256)"
_LENDER = "(uint8,address)"
_LIQUIDATE_AAVE = f"liquidateAave((address,address,address,address,uint256,{_LENDER},bytes,uint256,uint256))"
_LIQUIDATE_MORPHO = f"liquidateMorpho((address,{_MARKET},address,uint256,uint256,bytes,uint256,uint256))"
_FILL = "fill((address,(bytes,bytes),address,address,uint256,bytes,uint256,uint256))"
_LEVERAGE = f"({_POSITION},uint256,uint256,{_LENDER},bytes,uint256,uint256)"
_SWAP = "swap(address,bytes,uint256,address)"
_SET_MANDATE = f"setMandate({_POSITION},(uint128,uint128,uint128,uint128))"
_MANDATE_OF = f"mandateOf({_POSITION})"
_SWEEP = "sweep(address,uint256)"


class StepKind(IntEnum):
    """The first byte of a step."""

    V2 = 1
    V3 = 2


STEPS = {
    VenueKind.UNISWAP_V2: StepKind.V2,
    VenueKind.UNISWAP_V3: StepKind.V3,
    VenueKind.PANCAKESWAP_V3: StepKind.V3,
}
"""The venues that the adapter can sell at."""

LENDERS = {LenderKind.MORPHO: 0, LenderKind.BALANCER_V2: 1, LenderKind.AAVE_V3: 2, LenderKind.SPARK: 2}
"""The lenders that it can borrow from, by their number in ``IAdapter.LenderKind``."""


class Venue(IntEnum):
    """``IAdapter.Venue``: where a position is."""

    AAVE_V3 = 0
    MORPHO = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One swap of a route.

    Attributes:
        fee_pips: in millionths; of V2 pools alone, as the pool of any other kind knows its own.
    """

    kind: StepKind
    pool: Address
    fee_pips: int
    token_out: Address

    def to_bytes(self) -> bytes:
        """``kind(1) pool(20) fee(3) tokenOut(20)``."""
        if not 0 <= self.fee_pips < FEE_LIMIT:
            raise InputError("fee_pips", self.fee_pips, "Give millionths below a million.")
        pool, token_out = bytes.fromhex(self.pool[2:]), bytes.fromhex(self.token_out[2:])
        return bytes((self.kind,)) + pool + self.fee_pips.to_bytes(3, "big") + token_out


def route_of(hops: Iterable[Hop]) -> tuple[Step, ...]:
    """The steps of hops that follow one another; raises `InputError` for a venue that the adapter does not trade at."""
    steps = []
    for hop in hops:
        if hop.venue not in STEPS:
            raise InputError("venue", hop.venue, f"The adapter sells at {', '.join(STEPS)}.")
        kind = STEPS[hop.venue]
        steps.append(Step(kind, hop.pool, hop.fee_pips if kind is StepKind.V2 else 0, hop.token_out))
    return tuple(steps)


def route_bytes(route: Sequence[Step]) -> bytes:
    return b"".join(step.to_bytes() for step in route)


@dataclass(frozen=True, slots=True)
class Lender:
    """Who lends flash; ``kind`` is one of `LENDERS`."""

    kind: LenderKind
    target: Address

    def values(self) -> tuple[int, Address]:
        if self.kind not in LENDERS:
            raise InputError("lender", self.kind, f"The adapter borrows from {', '.join(LENDERS)}.")
        return LENDERS[self.kind], self.target


@dataclass(frozen=True, slots=True)
class MarketParams:
    """A market of Morpho Blue; ``lltv`` is 10^18 for all."""

    loan_token: Address
    collateral_token: Address
    oracle: Address
    irm: Address
    lltv: int

    def values(self) -> tuple[Address, Address, Address, Address, int]:
        return self.loan_token, self.collateral_token, self.oracle, self.irm, self.lltv

    @property
    def id(self) -> Hash32:
        """keccak of the ABI-encoded parameters, as in Morpho's MarketParamsLib."""
        encoded = encode(["address", "address", "address", "address", "uint256"], self.values())
        return Hash32("0x" + keccak(encoded).hex())


@dataclass(frozen=True, slots=True)
class AaveLiquidation:
    """``IAdapter.AaveLiquidation``: ``amount`` of ``debt`` is borrowed and at most so much repaid, raw units.

    ``min_profit`` in raw units of ``debt`` has to reach the treasury.
    """

    pool: Address
    collateral: Address
    debt: Address
    borrower: Address
    amount: int
    lender: Lender
    route: tuple[Step, ...]
    min_profit: int
    last_block: int

    def calldata(self) -> bytes:
        amounts = _raw("amount", self.amount), self.lender.values(), route_bytes(self.route)
        bounds = _raw("min_profit", self.min_profit), _raw("last_block", self.last_block)
        return _call(_LIQUIDATE_AAVE, (self.pool, self.collateral, self.debt, self.borrower, *amounts, *bounds))


@dataclass(frozen=True, slots=True)
class MorphoLiquidation:
    """``IAdapter.MorphoLiquidation``: one of ``seized_assets`` (raw units) and ``repaid_shares`` is zero."""

    morpho: Address
    market: MarketParams
    borrower: Address
    seized_assets: int
    repaid_shares: int
    route: tuple[Step, ...]
    min_profit: int
    last_block: int

    def calldata(self) -> bytes:
        if (self.seized_assets == 0) == (self.repaid_shares == 0):
            raise InputError("repaid_shares", self.repaid_shares, "Give either seized assets or repaid shares.")
        amounts = _raw("seized_assets", self.seized_assets), _raw("repaid_shares", self.repaid_shares)
        bounds = _raw("min_profit", self.min_profit), _raw("last_block", self.last_block)
        route = route_bytes(self.route)
        return _call(_LIQUIDATE_MORPHO, (self.morpho, self.market.values(), self.borrower, *amounts, route, *bounds))


@dataclass(frozen=True, slots=True)
class Fill:
    """``IAdapter.Fill``: an order of UniswapX as its swapper signed it.

    Attributes:
        token_out: what the order wants, wrapped where it wants the chain's coin.
        max_output: most that the order may want in the block in which it is filled, all outputs together, raw units.
        min_profit: least amount of ``token_out`` that has to reach the treasury, raw units.
    """

    reactor: Address
    order: bytes
    signature: bytes
    token_in: Address
    token_out: Address
    max_output: int
    route: tuple[Step, ...]
    min_profit: int
    last_block: int

    def calldata(self) -> bytes:
        tokens = self.token_in, self.token_out, _raw("max_output", self.max_output), route_bytes(self.route)
        bounds = _raw("min_profit", self.min_profit), _raw("last_block", self.last_block)
        return _call(_FILL, (self.reactor, (self.order, self.signature), *tokens, *bounds))


@dataclass(frozen=True, slots=True)
class Position:
    """``IAdapter.Position``; ``oracle``, ``irm`` and ``lltv`` are those of a Morpho market and empty on Aave."""

    venue: Venue
    protocol: Address
    collateral: Address
    debt: Address
    oracle: Address = ZERO_ADDRESS
    irm: Address = ZERO_ADDRESS
    lltv: int = 0

    @classmethod
    def of_market(cls, morpho: Address, market: MarketParams) -> Position:
        tokens = market.collateral_token, market.loan_token
        return cls(Venue.MORPHO, morpho, *tokens, market.oracle, market.irm, market.lltv)

    def values(self) -> tuple[Any, ...]:
        return int(self.venue), self.protocol, self.collateral, self.debt, self.oracle, self.irm, self.lltv


@dataclass(frozen=True, slots=True)
class Mandate:
    """``IAdapter.Mandate``: raw units of the debt token; health is 10^18 at the point of liquidation."""

    max_debt: int
    loss_budget: int
    min_health: int
    last_block: int

    def values(self) -> tuple[int, int, int, int]:
        found = self.max_debt, self.loss_budget, self.min_health, self.last_block
        for value in found:
            if not 0 <= value < UINT128_LIMIT:
                raise InputError("mandate", value, "Give numbers from 0 to 2^128 - 1.")
        return found


@dataclass(frozen=True, slots=True)
class Leverage:
    """``IAdapter.Leverage``: what is opened or closed of a position of the treasury.

    Attributes:
        debt: borrowed flash, raw units: sold for collateral, or at most repaid.
        collateral: withdrawn at most when closing, raw units.
        max_loss: equity that it may cost, raw units of the debt token.
    """

    position: Position
    debt: int
    collateral: int
    lender: Lender
    route: tuple[Step, ...]
    max_loss: int
    last_block: int

    def open_calldata(self) -> bytes:
        return _call(f"open({_LEVERAGE})", self._values())

    def close_calldata(self) -> bytes:
        return _call(f"close({_LEVERAGE})", self._values())

    def _values(self) -> tuple[Any, ...]:
        amounts = _raw("debt", self.debt), _raw("collateral", self.collateral)
        bounds = _raw("max_loss", self.max_loss), _raw("last_block", self.last_block)
        return self.position.values(), *amounts, self.lender.values(), route_bytes(self.route), *bounds


def swap_calldata(token_in: Address, route: Sequence[Step], min_out: int, to: Address) -> bytes:
    """Sell all of ``token_in`` that the adapter was sent before, in the same transaction."""
    return _call(_SWAP, token_in, route_bytes(route), _raw("min_out", min_out), to)


def settlement_interactions(
    adapter: Address, settlement: Address, token_in: Address, amount_in: int, route: Sequence[Step], min_out: int
) -> tuple[tuple[Address, int, bytes], tuple[Address, int, bytes]]:
    """The two interactions, each ``(target, value, calldata)``, by which a CoW settlement sells what it holds.

    They belong one behind the other, with nothing between them: what lies in the adapter is anybody's.
    """
    pay = _call("transfer(address,uint256)", adapter, _raw("amount_in", amount_in))
    return (token_in, 0, pay), (adapter, 0, swap_calldata(token_in, route, min_out, settlement))


def set_mandate_calldata(position: Position, mandate: Mandate) -> bytes:
    """For the treasury; a mandate of zeros takes back what was signed off."""
    return _call(_SET_MANDATE, position.values(), mandate.values())


def mandate_of_calldata(position: Position) -> bytes:
    return _call(_MANDATE_OF, position.values())


def sweep_calldata(token: Address, amount: int) -> bytes:
    """For the treasury."""
    return _call(_SWEEP, token, _raw("amount", amount))


def _raw(field: str, amount: int) -> int:
    if not 0 <= amount < UINT256_LIMIT:
        raise InputError(field, amount, "Give a number from 0 to 2^256 - 1.")
    return amount


def _call(signature: str, *values: Any) -> bytes:
    types = signature[signature.index("(") :]
    return keccak(text=signature)[:4] + encode([types], [values])[_head(types) :]


def _head(types: str) -> int:
    """Bytes before the arguments where they are encoded as one tuple: an offset, unless all of them are static."""
    return 32 if "bytes" in types else 0
