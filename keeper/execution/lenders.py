"""The lenders the planner knows, by chain, and what taking a loan from each costs in gas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keeper.domain.token import LenderKind
from keeper.domain.units import Address

BALANCER_V2_VAULT: Final = Address("0xBA12222222228d8Ba445958a75a0704d566BF2C8")

LOAN_GAS: Final = {
    LenderKind.FLASH_SWAP: 600,
    LenderKind.MORPHO: 25_100,
    LenderKind.BALANCER_V2: 38_000,
    LenderKind.AAVE_V3: 138_000,
}
"""Gas of taking and repaying a loan over trading from inventory, measured; used to compare lenders only."""


@dataclass(frozen=True, slots=True)
class Lenders:
    """Addresses of the lending contracts on one chain; None where there is none."""

    morpho: Address | None
    aave_v3_pool: Address | None
    balancer_v2_vault: Address | None = BALANCER_V2_VAULT


LENDERS: Final = {
    1: Lenders(
        morpho=Address("0xBBBBBbbBBb9cC5e90e3b3Af64bdAF62C37EEFFCb"),
        aave_v3_pool=Address("0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2"),
    ),
    10: Lenders(
        morpho=Address("0xce95AfbB8EA029495c66020883F87aaE8864AF92"),
        aave_v3_pool=Address("0x794a61358D6845594F94dc1DB02A252b5b4814aD"),
    ),
    137: Lenders(
        morpho=Address("0x1bF0c2541F820E775182832f06c0B7Fc27A25f67"),
        aave_v3_pool=Address("0x794a61358D6845594F94dc1DB02A252b5b4814aD"),
    ),
    8453: Lenders(
        morpho=Address("0xBBBBBbbBBb9cC5e90e3b3Af64bdAF62C37EEFFCb"),
        aave_v3_pool=Address("0xA238Dd80C259a72e81d7e4664a9801593F98d1c5"),
    ),
    42161: Lenders(
        morpho=Address("0x6c247b1F6182318877311737BaC0844bAa518F5e"),
        aave_v3_pool=Address("0x794a61358D6845594F94dc1DB02A252b5b4814aD"),
    ),
}
