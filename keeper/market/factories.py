"""Finds pools by the events of the contracts that create or register them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from eth_utils.crypto import keccak

from keeper.domain.chain import BlockHeader, Log
from keeper.domain.errors import ComponentError, InputError
from keeper.domain.token import VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address, to_address
from keeper.market.multicall import Progress, aggregate
from keeper.market.node import Node, RpcError
from keeper.market.readers.answers import selector
from keeper.market.specs import PoolSpec, read_entries
from keeper.market.venues.concentrated import MAX_TICK_SPACING
from keeper.market.venues.fields import FEE_DENOMINATOR, read, read_int, read_text, signed

log = logging.getLogger(__name__)

FIRST_SPAN = 2_000
LARGEST_SPAN = 200_000
_FEW_LOGS = 2_000
"""Answers of fewer logs than this double the next range."""
_WORD = 32


class FactoryKind(StrEnum):
    """Whose events name the pools."""

    UNISWAP_V2 = "uniswap_v2"
    UNISWAP_V3 = "uniswap_v3"
    PANCAKESWAP_V3 = "pancakeswap_v3"
    UNISWAP_V4 = "uniswap_v4"
    """The PoolManager; pools with hooks or a dynamic fee are left out."""
    BALANCER_V2 = "balancer_v2"
    """The Vault; what kind a pool is it tells itself."""
    BALANCER_V3 = "balancer_v3"
    """The Vault; what kind a pool is it tells itself."""
    SOLIDLY = "solidly"


@dataclass(frozen=True, slots=True)
class Factory:
    """A contract that creates pools, or registers them.

    Attributes:
        dex: the name that its pools get.
        first_block: where its events begin.
        fee_pips: of all its pools; of Uniswap V2's kind alone, which do not tell it.
    """

    address: Address
    kind: FactoryKind
    dex: str
    first_block: int
    fee_pips: int = 0

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """One entry ``{"address", "kind", "dex", "first_block"}``, with ``fee_pips`` where the kind is Uniswap V2."""
        kind = read_text(entry, "kind")
        if kind not in tuple(FactoryKind):
            raise InputError("kind", kind, f"Give one of: {', '.join(FactoryKind)}.")
        fee = read_int(entry, "fee_pips", 0, FEE_DENOMINATOR - 1) if kind == FactoryKind.UNISWAP_V2 else 0
        return cls(
            address=to_address(read(entry, "address"), "address"),
            kind=FactoryKind(kind),
            dex=read_text(entry, "dex"),
            first_block=read_int(entry, "first_block", 0, 2**63),
            fee_pips=fee,
        )


def read_factories(path: Path) -> list[Factory]:
    """A JSON list of factories; `InputError` names file, place and field."""
    factories = list(read_entries(path, Factory.from_json))
    if len({factory.address for factory in factories}) != len(factories):
        raise InputError(path.name, [factory.address for factory in factories], "List each factory once.")
    return factories


async def discover(
    node: Node, factory: Factory, first: int, head: BlockHeader, *, progress: Progress | None = None
) -> list[PoolSpec]:
    """The pools that the factory named from block ``first`` up to ``head``, in their order.

    Args:
        progress: told the DEX, the blocks looked through and the blocks in all.

    Raises:
        ComponentError: the node is unwell.
        RpcError: the node refuses even the events of one block.
    """
    found: dict[Address, PoolSpec] = {}
    topic, to_spec = _EVENTS[factory.kind]
    left_out = 0
    async for entry in _events(node, factory, topic, first, head.number, progress):
        try:
            spec = to_spec(factory, entry)
        except InputError as error:
            raise InputError(f"event of {factory.address}", error.value, f"{error.field}: {error.remedy}") from error
        if spec is None:
            left_out += 1
        else:
            found[spec.key] = spec
    specs = list(found.values())
    if factory.kind in (FactoryKind.BALANCER_V2, FactoryKind.BALANCER_V3):
        known = await _kinds(node, factory, specs, head)
        left_out += len(specs) - len(known)
        specs = known
    if left_out:
        log.info("%s: %d pools with hooks or of other kinds are left out", factory.dex, left_out)
    return specs


async def _events(
    node: Node, factory: Factory, topic: bytes, first: int, last: int, progress: Progress | None
) -> AsyncIterator[Log]:
    """The factory's events, in ranges as wide as the node answers."""
    at, span = first, FIRST_SPAN
    while at <= last:
        end = min(at + span - 1, last)
        try:
            logs = await node.logs_between(at, end, factory.address, topic)
        except (RpcError, ComponentError) as error:
            if span == 1:
                raise
            span = max(span // 4, 1)
            log.debug("%s: blocks %d to %d: %s", factory.dex, at, end, error)
            continue
        for entry in logs:
            yield entry
        at = end + 1
        if len(logs) < _FEW_LOGS:
            span = min(2 * span, LARGEST_SPAN)
        if progress is not None:
            progress(factory.dex, at - first, last - first + 1)


_WEIGHTS, _AMPLIFICATION = selector("getNormalizedWeights()"), selector("getAmplificationParameter()")
_STABLE_AND_WEIGHTED = {
    FactoryKind.BALANCER_V2: (VenueKind.BALANCER_V2_STABLE, VenueKind.BALANCER_V2_WEIGHTED),
    FactoryKind.BALANCER_V3: (VenueKind.BALANCER_V3_STABLE, VenueKind.BALANCER_V3_WEIGHTED),
}


async def _kinds(node: Node, factory: Factory, specs: Sequence[PoolSpec], head: BlockHeader) -> list[PoolSpec]:
    """The pools that answer as weighted or as stable ones, as what they are."""
    stable, weighted = _STABLE_AND_WEIGHTED[factory.kind]
    calls = [(spec.address, call) for spec in specs for call in (_WEIGHTS, _AMPLIFICATION)]
    answers = await aggregate(node, calls, head.hash)
    known: list[PoolSpec] = []
    for spec, weights, amplification in zip(specs, answers[::2], answers[1::2], strict=True):
        if weights or amplification:
            known.append(PoolSpec(spec.address, weighted if weights else stable, spec.dex))
    return known


def _pair(factory: Factory, entry: Log) -> PoolSpec:
    token0, token1 = _addresses(entry, 1, 2)
    return PoolSpec(_address(_word(entry, 0)), VenueKind.UNISWAP_V2, factory.dex, token0, token1, factory.fee_pips)


def _ranged(factory: Factory, entry: Log) -> PoolSpec:
    token0, token1 = _addresses(entry, 1, 2)
    spacing, address = signed(_word(entry, 0)), _address(_word(entry, 1))
    if factory.kind is FactoryKind.PANCAKESWAP_V3:
        return PoolSpec(address, VenueKind.PANCAKESWAP_V3, factory.dex)
    fee = int.from_bytes(entry.topics[3], "big")
    return PoolSpec(address, VenueKind.UNISWAP_V3, factory.dex, token0, token1, fee, spacing)


def _managed(factory: Factory, entry: Log) -> PoolSpec | None:
    token0, token1 = _addresses(entry, 2, 3)
    fee, spacing, hooks = _word(entry, 0), signed(_word(entry, 1)), _address(_word(entry, 2))
    if hooks != ZERO_ADDRESS or fee >= FEE_DENOMINATOR or not 0 < spacing <= MAX_TICK_SPACING:
        return None
    return PoolSpec(entry.address, VenueKind.UNISWAP_V4, factory.dex, token0, token1, fee, spacing)


def _registered_v2(factory: Factory, entry: Log) -> PoolSpec:
    return PoolSpec(_addresses(entry, 2, 2)[0], VenueKind.BALANCER_V2_WEIGHTED, factory.dex)


def _registered_v3(factory: Factory, entry: Log) -> PoolSpec:
    return PoolSpec(_addresses(entry, 1, 1)[0], VenueKind.BALANCER_V3_WEIGHTED, factory.dex)


def _solidly(factory: Factory, entry: Log) -> PoolSpec:
    stable = int.from_bytes(_topics(entry, 4)[3], "big")
    kind = VenueKind.SOLIDLY_STABLE if stable else VenueKind.SOLIDLY_VOLATILE
    return PoolSpec(_address(_word(entry, 0)), kind, factory.dex)


_ToSpec = Callable[[Factory, Log], PoolSpec | None]
_POOL_CREATED = keccak(text="PoolCreated(address,address,uint24,int24,address)")
_EVENTS: Mapping[FactoryKind, tuple[bytes, _ToSpec]] = {
    FactoryKind.UNISWAP_V2: (keccak(text="PairCreated(address,address,address,uint256)"), _pair),
    FactoryKind.UNISWAP_V3: (_POOL_CREATED, _ranged),
    FactoryKind.PANCAKESWAP_V3: (_POOL_CREATED, _ranged),
    FactoryKind.UNISWAP_V4: (
        keccak(text="Initialize(bytes32,address,address,uint24,int24,address,uint160,int24)"),
        _managed,
    ),
    FactoryKind.BALANCER_V2: (keccak(text="PoolRegistered(bytes32,address,uint8)"), _registered_v2),
    FactoryKind.BALANCER_V3: (
        keccak(
            text="PoolRegistered(address,address,(address,uint8,address,bool)[],uint256,uint32,"
            "(address,address,address),"
            "(bool,bool,bool,bool,bool,bool,bool,bool,bool,bool,address),(bool,bool,bool,bool))"
        ),
        _registered_v3,
    ),
    FactoryKind.SOLIDLY: (keccak(text="PoolCreated(address,address,bool,address,uint256)"), _solidly),
}


def _topics(entry: Log, count: int) -> tuple[bytes, ...]:
    if len(entry.topics) != count:
        raise InputError("log.topics", f"{len(entry.topics)} topics", f"The event has {count}.")
    return entry.topics


def _addresses(entry: Log, first: int, last: int) -> list[Address]:
    if len(entry.topics) <= last:
        raise InputError("log.topics", f"{len(entry.topics)} topics", f"The event has more than {last}.")
    return [_address(int.from_bytes(topic, "big")) for topic in entry.topics[first : last + 1]]


def _word(entry: Log, number: int) -> int:
    word = entry.data[_WORD * number : _WORD * (number + 1)]
    if len(word) != _WORD:
        raise InputError("log.data", f"{len(entry.data)} bytes", f"The event has more than {number} words.")
    return int.from_bytes(word, "big")


def _address(word: int) -> Address:
    return to_address(f"0x{word:040x}", "log")
