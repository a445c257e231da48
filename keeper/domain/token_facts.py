"""What is known of a token before it may be traded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from keeper.domain.errors import InputError
from keeper.domain.units import Address, to_address


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """How a token behaved when it was sent from a pool to the executor and back.

    Attributes:
        decimals: as it says itself; None where it does not.
        fee_on_transfer_bps: the largest share that did not arrive, basis points, rounded up; None where nothing could
            be measured.
        rebasing: whether balances change without a transfer, or are shares that round.
        returns_nothing: whether ``transfer`` returns no truth value, as early tokens do; the executor accepts that.
        transfer_gas: of the dearest transfer, the call's own cost included; 0 where none went through.
        pausable, blocklist: whether it answers ``paused()``, or whether an address is on a list: its owner can stop it.
        refused: why it must not be part of a route; None where it may.
    """

    token: Address
    decimals: int | None
    fee_on_transfer_bps: int | None
    rebasing: bool
    returns_nothing: bool
    transfer_gas: int
    pausable: bool
    blocklist: bool
    refused: str | None

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """`InputError` names the first field that does not fit."""
        values: dict[str, Any] = {"token": to_address(entry.get("token"), "token")}
        for name in ("decimals", "fee_on_transfer_bps", "transfer_gas"):
            number = entry.get(name)
            optional = number is None and name != "transfer_gas"
            if not optional and (not isinstance(number, int) or isinstance(number, bool) or number < 0):
                raise InputError(name, number, "Give a whole number from 0 on.")
            values[name] = number
        for name in ("rebasing", "returns_nothing", "pausable", "blocklist"):
            flag = entry.get(name)
            if not isinstance(flag, bool):
                raise InputError(name, flag, "Give true or false.")
            values[name] = flag
        refused = entry.get("refused")
        if refused is not None and (not isinstance(refused, str) or not refused):
            raise InputError("refused", refused, "Give a reason, or null.")
        return cls(**values, refused=refused)
