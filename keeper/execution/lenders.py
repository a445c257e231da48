"""The lenders the planner knows, by chain, and what taking a loan from each costs in gas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from keeper.domain.token import LenderKind
from keeper.domain.units import Address

BALANCER_V2_VAULT: Final = Address("0xBA12222222228d8Ba445958a75a0704d566BF2C8")
BALANCER_V3_VAULT: Final = Address("0xbA1333333333a1BA1108E8412f11850A5C319bA9")

LOAN_GAS: Final = {
    LenderKind.FLASH_SWAP: -4_000,
    LenderKind.INVENTORY: 0,
    LenderKind.UNISWAP_V4: 25_600,
    LenderKind.DODO: 26_800,
    LenderKind.MORPHO: 28_100,
    LenderKind.BALANCER_V3: 29_300,
    LenderKind.BALANCER_V2: 36_700,
    LenderKind.ERC3156: 36_700,
    LenderKind.UNISWAP_V3: 61_900,
    LenderKind.SPARK: 118_200,
    LenderKind.AAVE_V3: 123_800,
}
"""Gas of taking and repaying a loan over trading from the executor's own balance; used to compare lenders only.

Measured by `make bench-loans`: the mean over routes of two hops. A flash swap takes less than inventory does, as the
route's output pays its input without a transfer of its own.
"""

WITHIN_GAS: Final = {LenderKind.UNISWAP_V4: 21_000, LenderKind.BALANCER_V3: 24_100}
"""The same where the route unlocks this lender anyway: less the call that unlocks and what it takes by itself."""


@dataclass(frozen=True, slots=True)
class Lenders:
    """Addresses of the lending contracts on one chain; None or empty where there is none.

    Attributes:
        erc3156: lenders with the interface of ERC-3156, such as Maker's DssFlash.
        dodo: DODO pools.
    """

    uniswap_v4_manager: Address | None = None
    balancer_v3_vault: Address | None = None
    morpho: Address | None = None
    balancer_v2_vault: Address | None = None
    aave_v3_pool: Address | None = None
    spark_pool: Address | None = None
    erc3156: tuple[Address, ...] = ()
    dodo: tuple[Address, ...] = ()


LENDERS: Final = {
    1: Lenders(
        uniswap_v4_manager=Address("0x000000000004444c5dc75cB358380D2e3dE08A90"),
        balancer_v3_vault=BALANCER_V3_VAULT,
        morpho=Address("0xBBBBBbbBBb9cC5e90e3b3Af64bdAF62C37EEFFCb"),
        balancer_v2_vault=BALANCER_V2_VAULT,
        aave_v3_pool=Address("0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2"),
        spark_pool=Address("0xC13e21B648A5Ee794902342038FF3aDAB66BE987"),
        erc3156=(Address("0x60744434d6339a6B27d73d9Eda62b6F66a0a04FA"),),  # DssFlash
        dodo=(Address("0x3058EF90929cb8180174D74C507176ccA6835D73"),),  # DAI and USDT
    ),
    10: Lenders(
        uniswap_v4_manager=Address("0x9a13F98Cb987694C9F086b1F5eB990EeA8264Ec3"),
        balancer_v3_vault=BALANCER_V3_VAULT,
        morpho=Address("0xce95AfbB8EA029495c66020883F87aaE8864AF92"),
        balancer_v2_vault=BALANCER_V2_VAULT,
        aave_v3_pool=Address("0x794a61358D6845594F94dc1DB02A252b5b4814aD"),
    ),
    137: Lenders(  # Balancer V3 is not there
        uniswap_v4_manager=Address("0x67366782805870060151383F4BbFF9daB53e5cD6"),
        morpho=Address("0x1bF0c2541F820E775182832f06c0B7Fc27A25f67"),
        balancer_v2_vault=BALANCER_V2_VAULT,
        aave_v3_pool=Address("0x794a61358D6845594F94dc1DB02A252b5b4814aD"),
    ),
    8453: Lenders(
        uniswap_v4_manager=Address("0x498581fF718922c3f8e6A244956aF099B2652b2b"),
        balancer_v3_vault=BALANCER_V3_VAULT,
        morpho=Address("0xBBBBBbbBBb9cC5e90e3b3Af64bdAF62C37EEFFCb"),
        balancer_v2_vault=BALANCER_V2_VAULT,
        aave_v3_pool=Address("0xA238Dd80C259a72e81d7e4664a9801593F98d1c5"),
    ),
    42161: Lenders(
        uniswap_v4_manager=Address("0x360E68faCcca8cA495c1B759Fd9EEe466db9FB32"),
        balancer_v3_vault=BALANCER_V3_VAULT,
        morpho=Address("0x6c247b1F6182318877311737BaC0844bAa518F5e"),
        balancer_v2_vault=BALANCER_V2_VAULT,
        aave_v3_pool=Address("0x794a61358D6845594F94dc1DB02A252b5b4814aD"),
    ),
}


def lenders_of(chain_id: int, *, dodo_pools: tuple[Address, ...] = ()) -> Lenders:
    """The lenders of a chain, none where it is unknown, and DODO pools beside those that are known there."""
    known = LENDERS.get(chain_id, Lenders())
    return replace(known, dodo=tuple(dict.fromkeys((*known.dodo, *dodo_pools))))
