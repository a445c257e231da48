"""What a transaction will pay for its gas in the next block, exactly."""

from __future__ import annotations

from keeper.domain.chain import BlockHeader
from keeper.domain.errors import OrionError
from keeper.domain.units import Wei

MAX_TRANSACTION_GAS = 16_777_216
"""EIP-7825: no transaction may ask for more gas (2**24)."""

ELASTICITY_MULTIPLIER = 2
BASE_FEE_MAX_CHANGE_DENOMINATOR = 8


class GasLimitExceeded(OrionError):
    """A transaction would need a gas limit above the protocol's cap per transaction."""

    def __init__(self, gas_used: int, wanted: int) -> None:
        self.gas_used = gas_used
        self.wanted = wanted
        super().__init__(
            f"a transaction that uses {gas_used} gas needs a limit of {wanted}, "
            f"above the cap of {MAX_TRANSACTION_GAS} (EIP-7825). Use a route with fewer hops."
        )


def next_base_fee(parent: BlockHeader) -> Wei:
    """Base fee of the child of ``parent``, wei per gas: the integer form of EIP-1559 with its parameters on mainnet."""
    fee, used = parent.base_fee, parent.gas_used
    target = parent.gas_limit // ELASTICITY_MULTIPLIER
    if used == target:
        return fee
    if used > target:
        rise = fee * (used - target) // target // BASE_FEE_MAX_CHANGE_DENOMINATOR
        return Wei(fee + max(rise, 1))
    return Wei(fee - fee * (target - used) // target // BASE_FEE_MAX_CHANGE_DENOMINATOR)


def priority_fee(gross: int, gas_used: int, base_fee: int, bid_bps: int) -> Wei:
    """The bid to the builder, wei per gas: ``bid_bps`` of what is left of ``gross`` after the base fee, rounded down.

    Args:
        gross: profit in wei before any gas.
        gas_used: gas, as simulated.

    Returns:
        0 when nothing is left after the base fee.
    """
    left = gross - gas_used * base_fee
    if left <= 0:
        return Wei(0)
    return Wei(left * bid_bps // 10_000 // gas_used)


def gas_limit(gas_used: int) -> int:
    """The gas limit under which a transaction that ends at ``gas_used`` gets through.

    Two things take more than the receipt shows. Refunds come off only at the end and are at most a fifth of what was
    spent (EIP-3529), so up to 5/4 of ``gas_used`` was spent. And each nested call may take only 63/64 of what is left
    (EIP-150): with 16 levels of calls the outermost needs (64/63)**16 < 1.287, taken as 13/10.

    Raises:
        GasLimitExceeded: when that is above `MAX_TRANSACTION_GAS`.
    """
    wanted = -(-gas_used * 5 * 13 // (4 * 10))
    if wanted > MAX_TRANSACTION_GAS:
        raise GasLimitExceeded(gas_used, wanted)
    return wanted
