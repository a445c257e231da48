"""What a node tells about a block."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.units import Address, Hash32, Wei


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """The fields of a block header that the keeper uses.

    Attributes:
        timestamp: seconds since the epoch, as the chain counts them.
        base_fee: EIP-1559 base fee, wei per gas.
        gas_limit, gas_used: gas; the next base fee follows from them.
        coinbase: fee recipient.
    """

    number: int
    hash: Hash32
    parent_hash: Hash32
    timestamp: int
    base_fee: Wei
    gas_limit: int
    gas_used: int
    coinbase: Address


@dataclass(frozen=True, slots=True)
class Log:
    """One event of one transaction; ``topics`` and ``data`` are raw bytes."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    transaction_hash: Hash32
    transaction_index: int
    log_index: int


@dataclass(frozen=True, slots=True)
class BlockEvent:
    """A new canonical block with its logs, in chain order.

    Attributes:
        reverted: hashes of the blocks that this one displaces, newest first; empty without a reorg.
        seen_at: Unix time at which the keeper first heard of the block, nanoseconds.
    """

    header: BlockHeader
    logs: tuple[Log, ...]
    reverted: tuple[Hash32, ...]
    seen_at: int
