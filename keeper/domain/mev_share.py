"""What the MEV-Share event stream tells of transactions and bundles that wait for a backrun."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.units import Address, Hash32, Wei


@dataclass(frozen=True, slots=True)
class HintedLog:
    """A log that the transaction would emit; ``data`` is None where its sender keeps it back."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes | None


@dataclass(frozen=True, slots=True)
class HintedTransaction:
    """What a sender shares of one transaction; None stands for what it keeps back.

    Attributes:
        selector: first four bytes of the calldata.
        hash: the transaction's own, which is rarely shared.
    """

    to: Address | None
    selector: bytes | None
    data: bytes | None
    hash: Hash32 | None


@dataclass(frozen=True, slots=True)
class MevShareEvent:
    """One transaction or bundle.

    Attributes:
        hash: what a backrun names it by; the hash of its transaction's hash, or of its bundle's.
        logs, transactions: None where nothing of the kind is shared.
        gas_price: effective, wei per gas.
        seen_at: Unix time at which the keeper heard of it, nanoseconds.
    """

    hash: Hash32
    logs: tuple[HintedLog, ...] | None
    transactions: tuple[HintedTransaction, ...] | None
    gas_price: Wei | None
    gas_used: int | None
    seen_at: int
