"""Nobody can make the adapter do or lose anything; and each check is missed when it is taken out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from eth_utils import keccak

from keeper.domain.token import LenderKind
from keeper.execution.adapter import sweep_calldata
from keeper.execution.deployment import creation_code
from tests.conftest import RunningReplica
from tests.contracts.adapter_attacks import ATTEMPTS, Attempt
from tests.contracts.adapter_hunt import adapters, wake
from tests.contracts.adapter_mutants import MUTANTS
from tests.contracts.adapter_site import AdapterSite, compiled_adapter
from tests.contracts.adapter_stage import (
    COLLATERAL,
    DEBT,
    PROTOCOL,
    Coin,
    agree,
    closing,
    fill,
    liquidation,
    mint_as,
    morpho_liquidation,
    opening,
)
from tests.contracts.compiler import Compiled
from tests.contracts.site import ETHER, GAS, OPERATOR, STRANGER, TREASURY, USDT, WETH, calldata

CODE_SIZE_LIMIT = 24_576


Pair = tuple[AdapterSite, AdapterSite]
"""The adapter, and one with every bug of `MUTANTS` in it, all asleep."""


@pytest.fixture(scope="module")
def pair(replica: RunningReplica) -> Pair:
    return adapters(replica)


@pytest.fixture
def site(pair: Pair) -> Iterator[AdapterSite]:
    with pair[0].undone():
        yield pair[0]


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.act.__name__)
def test_attempt_fails_and_would_not_without_its_check(pair: Pair, attempt: Attempt) -> None:
    for adapter in pair:
        with adapter.undone():
            assert attempt.act(adapter) == attempt.answer
    weak = pair[1]
    for name in attempt.mutants:
        with weak.undone():
            wake(weak, name)
            assert attempt.act(weak) != attempt.answer, f"{name} goes unnoticed"


def test_every_planted_bug_is_noticed_by_some_attempt() -> None:
    assert {name for attempt in ATTEMPTS for name in attempt.mutants} == set(MUTANTS)


@pytest.mark.parametrize("coin", [Coin.PLAIN, Coin.SHY])
def test_honest_parties_are_served(site: AdapterSite, coin: Coin) -> None:
    """Without this the attempts could fail for a reason of their own."""
    for token in (DEBT, COLLATERAL):
        mint_as(site, token, coin)
    jobs = [
        *(liquidation(kind).calldata() for kind in (LenderKind.MORPHO, LenderKind.BALANCER_V2, LenderKind.AAVE_V3)),
        morpho_liquidation().calldata(),
        fill().calldata(),
        opening(site).open_calldata(),
        closing(site).close_calldata(),
    ]
    for data in jobs:
        site.must(OPERATOR, site.adapter, data)
        assert site.left(DEBT, COLLATERAL) == {}
    agree(site, PROTOCOL, COLLATERAL, 50, "0x" + "00" * 20, 100)
    site.must(OPERATOR, site.adapter, fill().calldata())
    assert site.left(DEBT, COLLATERAL) == {}


def test_the_entry_points_are_these_and_no_others() -> None:
    """A function that is added has to be thought of here, and in the attempts."""
    functions = {entry["name"] for entry in compiled_adapter().abi if entry["type"] == "function"}
    assert functions == {
        *("liquidateAave", "liquidateMorpho", "fill", "open", "close"),  # the operator
        *("setMandate", "sweep"),  # the treasury
        *("swap", "operator", "treasury", "mandateOf"),  # everybody
        *("uniswapV3SwapCallback", "pancakeV3SwapCallback", "onMorphoFlashLoan", "onMorphoLiquidate"),
        *("receiveFlashLoan", "executeOperation", "reactorCallback"),
    }


def test_nothing_that_strangers_or_routes_make_it_call_uses_what_the_treasury_allowed() -> None:
    """The treasury lets the adapter borrow, withdraw and take aTokens: those calls are made for its positions alone."""
    anybody = {"getReserves()", "swap(uint256,uint256,address,bytes)", "swap(address,bool,int256,uint160,bytes)"}
    anybody |= {"balanceOf(address)", "transfer(address,uint256)", "approve(address,uint256)"}
    operator = {
        "allowance(address,address)",
        "flashLoan(address,uint256,bytes)",
        "flashLoan(address,address[],uint256[],bytes)",
        "flashLoanSimple(address,address,uint256,bytes,uint16)",
        "liquidationCall(address,address,address,uint256,bool)",
        "liquidate((address,address,address,address,uint256),address,uint256,uint256,bytes)",
        "executeWithCallback((bytes,bytes),bytes)",
        "withdraw(uint256)",
    }
    market = "(address,address,address,address,uint256)"
    granted = {
        "transferFrom(address,address,uint256)",
        "borrow(address,uint256,uint256,uint16,address)",
        "withdraw(address,uint256,address)",
        f"borrow({market},uint256,uint256,address,address)",
        f"withdrawCollateral({market},uint256,address,address)",
        f"withdraw({market},uint256,uint256,address,address)",
        "setAuthorization(address,bool)",
    }
    selectors = {keccak(text=signature)[:4] for signature in anybody | operator}
    assert len(selectors) == len(anybody | operator)
    assert selectors.isdisjoint({keccak(text=signature)[:4] for signature in granted})


def test_only_the_treasury_withdraws_and_only_to_itself(site: AdapterSite) -> None:
    site.give(USDT, site.adapter, 10**6)
    site.give(WETH, site.adapter, ETHER)
    site.rpc("anvil_setBalance", site.adapter, hex(ETHER))
    coin = "0x" + "00" * 20
    for sender in (OPERATOR, STRANGER):
        for token in (WETH, USDT, coin):
            assert site.run(sweep_calldata(token, 1), sender).error == "Unauthorized"
    for token in (WETH, USDT, coin):
        before = 0 if token == coin else site.balance(token, TREASURY)
        held = ETHER if token == coin else site.balance(token, site.adapter)
        site.must(TREASURY, site.adapter, sweep_calldata(token, held))
        assert token == coin or site.balance(token, TREASURY) == before + held
    assert site.left() == {}


def test_roles_are_told_to_everyone_and_set_once(site: AdapterSite) -> None:
    assert site.read(site.adapter, "operator()", ["address"]).lower() == OPERATOR.lower()
    assert site.read(site.adapter, "treasury()", ["address"]).lower() == TREASURY.lower()
    zero = "0x" + "00" * 20
    for roles in ((OPERATOR, zero), (zero, TREASURY)):
        code = creation_code(compiled_adapter().init_code, *roles)
        request = {"from": STRANGER, "data": "0x" + code.hex(), "gas": hex(GAS)}
        assert site.rpc("eth_sendTransactionSync", request)["status"] == "0x0"


def test_it_can_be_deployed_cannot_delegate_or_destroy_itself_and_stores_mandates_alone() -> None:
    compiled = compiled_adapter()
    assert len(compiled.runtime) <= CODE_SIZE_LIMIT
    # callcode, delegatecall, selfdestruct, origin, create, create2
    assert _opcodes(compiled).isdisjoint({0xF2, 0xF4, 0xFF, 0x32, 0xF0, 0xF5})
    assert [variable["label"] for variable in compiled.storage] == ["_mandates"]


def test_outsiders_get_nothing_out_of_any_function(site: AdapterSite) -> None:
    """Every function with empty and with random arguments, by outsiders, while tokens lie in the adapter."""
    site.give(WETH, site.adapter, ETHER)
    reached = {"operator", "treasury", "mandateOf"}
    for entry in compiled_adapter().abi:
        if entry["type"] != "function" or entry["name"] in reached:
            continue
        selector = keccak(text=f"{entry['name']}({','.join(_type(field) for field in entry['inputs'])})")[:4]
        for filling in (b"", bytes(320), keccak(text=entry["name"]) * 10):
            assert not site.run(selector + filling, STRANGER).ok, entry["name"]
    assert not site.run(b"\x12\x34\x56\x78", STRANGER).ok
    assert (
        site.send(STRANGER, site.adapter, calldata("swap(address,bytes,uint256,address)", WETH, b"", 0, STRANGER)).ok
        is False
    )
    assert site.balance(WETH, site.adapter) == ETHER


def _type(field: dict) -> str:
    if not field["type"].startswith("tuple"):
        return field["type"]
    return f"({','.join(_type(part) for part in field['components'])}){field['type'][5:]}"


def _opcodes(compiled: Compiled) -> set[int]:
    """Instructions of a contract, without the data of pushes and without the metadata at the end."""
    runtime = compiled.runtime
    code = runtime[: -2 - int.from_bytes(runtime[-2:], "big")]
    found, at = set(), 0
    while at < len(code):
        found.add(code[at])
        at += 1 + (code[at] - 0x5F if 0x60 <= code[at] <= 0x7F else 0)
    return found
