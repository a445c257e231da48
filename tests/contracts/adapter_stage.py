"""The stage for attempts on the adapter: stand-ins that can be told to misbehave, and jobs in which they take part.

Positions are on the real Morpho, in a market of two stand-in tokens at a price of one.
"""

from __future__ import annotations

from enum import IntEnum

from eth_abi import encode
from eth_utils import to_checksum_address

from keeper.domain.token import LenderKind
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.execution.adapter import (
    AaveLiquidation,
    Fill,
    Lender,
    Leverage,
    Mandate,
    MarketParams,
    MorphoLiquidation,
    Position,
    Step,
    StepKind,
    set_mandate_calldata,
)
from keeper.replica.addresses import MORPHO_OWNER
from tests.contracts.adapter_site import FOREVER, MORPHO, SUPPLIER, USER, AdapterSite, stand_in
from tests.contracts.site import ETHER, STRANGER, TREASURY, WETH, calldata


class Mode(IntEnum):
    """The modes of `solidity/AdapterStage.sol`, in its order."""

    HONEST = 0
    ALTERED = 1
    EXTENDED = 2
    TWICE = 3
    SILENT = 4
    FOREIGN = 5
    ACCOMPLICE = 6
    OTHERWISE = 7
    GREEDY = 8
    SHORT = 9
    INFLATED = 10
    LAX = 11
    MOVING = 12


class Coin(IntEnum):
    """The modes of `solidity/AdapterToken.sol`, in its order."""

    PLAIN = 0
    REFUSING = 1
    SHY = 2
    STICKY = 3
    HOOKED = 4
    TAXED = 5


def _address(last: int) -> Address:
    return Address(to_checksum_address(f"0x{'52' * 19}{last:02x}"))


DEBT, COLLATERAL, OTHER_TOKEN = (_address(last) for last in (1, 2, 3))
SELLER, BUYER, LENDER, PROTOCOL, THIEF = (_address(last) for last in range(11, 16))
"""A pool that pays 130 of the debt token, one that pays 95 of the collateral, a lender, and a protocol that pays 50 of
the collateral for 100 of the debt token; and somebody who helps them."""

FEE = 5
LLTV = 86 * 10**16
MARKET = "(address,address,address,address,uint256)"
BOUNDS = Mandate(max_debt=500 * ETHER, loss_budget=20 * ETHER, min_health=11 * ETHER // 10, last_block=FOREVER)
NO_LIMIT = 10**30

CALLBACKS = {
    "uniswapV3SwapCallback(int256,int256,bytes)": lambda data: (1, -1, data),
    "pancakeV3SwapCallback(int256,int256,bytes)": lambda data: (1, -1, data),
    "onMorphoFlashLoan(uint256,bytes)": lambda data: (1, data),
    "onMorphoLiquidate(uint256,bytes)": lambda data: (1, data),
    "receiveFlashLoan(address[],uint256[],uint256[],bytes)": lambda data: ([WETH], [1], [0], data),
    "executeOperation(address,uint256,uint256,address,bytes)": lambda data: (WETH, 1, 0, STRANGER, data),
}
FILL_CALLBACK = bytes.fromhex("585da628")
"""Of `reactorCallback`, with no order and no data behind it."""


def callbacks() -> list[bytes]:
    """Every callback with data that would pay the caller a unit of the debt token."""
    data = bytes.fromhex(DEBT[2:]) + (1).to_bytes(32, "big")
    fill = FILL_CALLBACK + encode(["uint256", "uint256", "uint256", "uint256"], [64, 96, 0, 0])
    return [*(calldata(signature, *arguments(data)) for signature, arguments in CALLBACKS.items()), fill]


# ---------------------------------------------------------------------- the stage


def prepare_chain(site: AdapterSite) -> MarketParams:
    """Put the stand-ins in their places, agree on terms, and open a market in which the treasury has collateral."""
    stage, token = stand_in("AdapterStage"), stand_in("AdapterToken")
    for address in (SELLER, BUYER, LENDER, PROTOCOL, THIEF):
        site.rpc("anvil_setCode", address, "0x" + stage.runtime.hex())
    for address in (DEBT, COLLATERAL, OTHER_TOKEN):
        site.rpc("anvil_setCode", address, "0x" + token.runtime.hex())
        site.rpc("anvil_setBalance", address, hex(10**24))
        for owner in (SELLER, BUYER, LENDER, PROTOCOL, TREASURY, SUPPLIER):
            site.must(STRANGER, address, calldata("mint(address,uint256)", owner, 10_000 * ETHER))
    agree(site, SELLER, DEBT, 130, ZERO_ADDRESS, 0)
    agree(site, BUYER, COLLATERAL, 95, ZERO_ADDRESS, 0)
    agree(site, PROTOCOL, COLLATERAL, 50, DEBT, 100)
    mock = site.create(stand_in("AdapterMarket").init_code)
    market = MarketParams(DEBT, COLLATERAL, mock, mock, LLTV)
    site.must(STRANGER, mock, calldata("set(uint256,uint256)", 10**36, 0))
    site.rpc("anvil_setBalance", MORPHO_OWNER, hex(10**24))
    site.must(MORPHO_OWNER, MORPHO, calldata("enableIrm(address)", mock))
    if not site.read(MORPHO, "isLltvEnabled(uint256)", ["bool"], LLTV):
        site.must(MORPHO_OWNER, MORPHO, calldata("enableLltv(uint256)", LLTV))
    site.must(STRANGER, MORPHO, calldata(f"createMarket({MARKET})", market.values()))
    for owner, coin in ((SUPPLIER, DEBT), (TREASURY, COLLATERAL)):
        site.must(owner, coin, calldata("approve(address,uint256)", MORPHO, 10**30))
    supply = f"supply({MARKET},uint256,uint256,address,bytes)"
    site.must(SUPPLIER, MORPHO, calldata(supply, market.values(), 5_000 * ETHER, 0, SUPPLIER, b""))
    supply = f"supplyCollateral({MARKET},uint256,address,bytes)"
    site.must(TREASURY, MORPHO, calldata(supply, market.values(), 1_000 * ETHER, TREASURY, b""))
    return market


def admit(site: AdapterSite, market: MarketParams) -> None:
    """The treasury lets the adapter act for it within `BOUNDS`."""
    site.market = market
    site.must(TREASURY, MORPHO, calldata("setAuthorization(address,bool)", site.adapter, True))
    site.must(TREASURY, site.adapter, set_mandate_calldata(position(site), BOUNDS))


def agree(site: AdapterSite, who: Address, pays: Address, paid: int, asks: Address, asked: int) -> None:
    signature = "agree(address,uint256,address,uint256)"
    site.must(STRANGER, who, calldata(signature, pays, paid * ETHER, asks, asked * ETHER))


def play(site: AdapterSite, who: Address, mode: Mode, accomplice: Address = THIEF, fee: int = 0) -> None:
    site.must(STRANGER, who, calldata("set(uint8,address,uint256)", mode, accomplice, fee))


def mint_as(site: AdapterSite, token: Address, mode: Coin) -> None:
    site.must(STRANGER, token, calldata("set(uint8)", mode))


def let_move(site: AdapterSite, who: Address, target: str, data: bytes) -> None:
    """Let ``who`` make a call before it does anything else."""
    play(site, who, Mode.MOVING)
    site.must(STRANGER, who, calldata("prepare(address,bytes)", target, data))


# ---------------------------------------------------------------------- honest jobs


SELL = (Step(StepKind.V3, SELLER, 0, DEBT),)
BUY = (Step(StepKind.V3, BUYER, 0, COLLATERAL),)


def liquidation(kind: LenderKind = LenderKind.MORPHO) -> AaveLiquidation:
    amount = 100 * ETHER
    return AaveLiquidation(PROTOCOL, COLLATERAL, DEBT, USER, amount, Lender(kind, LENDER), SELL, 0, FOREVER)


def morpho_liquidation() -> MorphoLiquidation:
    market = MarketParams(DEBT, COLLATERAL, ZERO_ADDRESS, ZERO_ADDRESS, LLTV)
    return MorphoLiquidation(PROTOCOL, market, USER, ETHER, 0, SELL, 0, FOREVER)


def fill() -> Fill:
    return Fill(PROTOCOL, b"order", b"signature", COLLATERAL, DEBT, 100 * ETHER, SELL, 0, FOREVER)


def position(site: AdapterSite) -> Position:
    return Position.of_market(MORPHO, site.market)


def opening(site: AdapterSite, kind: LenderKind = LenderKind.MORPHO) -> Leverage:
    return Leverage(position(site), 100 * ETHER, 0, Lender(kind, LENDER), BUY, NO_LIMIT, FOREVER)


def closing(site: AdapterSite, kind: LenderKind = LenderKind.MORPHO) -> Leverage:
    return Leverage(position(site), 50 * ETHER, 140 * ETHER, Lender(kind, LENDER), SELL, NO_LIMIT, FOREVER)
