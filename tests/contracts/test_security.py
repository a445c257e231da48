"""Nobody can make the executor do or lose anything; and each check is missed when it is taken out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keeper.execution.codec import Loan
from keeper.execution.deployment import creation_code
from keeper.execution.opcodes import Opcode
from tests.conftest import RunningReplica
from tests.contracts.attacks import (
    ACCOMPLICE,
    ATTEMPTS,
    OTHER,
    POOL,
    TOKEN,
    Attempt,
    Mode,
    flash,
    paid,
    play,
    run,
    stream,
    v3,
)
from tests.contracts.compiler import Compiled, compile_sources
from tests.contracts.mutants import MUTANTS, NUMBERS, PLANT_SLOT, planted_sources
from tests.contracts.security import attempts as scripted
from tests.contracts.site import ETHER, GAS, OPERATOR, STRANGER, TREASURY, USDT, WETH, Site, calldata

ALL_ATTEMPTS = [*ATTEMPTS, *scripted.ATTEMPTS]


@pytest.fixture(scope="module")
def weak(replica: RunningReplica) -> Site:
    """An executor with every bug of `MUTANTS` in it, all asleep."""
    return Site(replica, compile_sources(planted_sources())["Executor"].init_code)


@pytest.fixture(scope="module", autouse=True)
def stages(replica: RunningReplica, stage_contract: Compiled) -> None:
    for address in (POOL, OTHER, TOKEN, ACCOMPLICE):
        replica.rpc("anvil_setCode", address, "0x" + stage_contract.runtime.hex())
    scripted.prepare_node(replica)


@pytest.fixture
def undone(site: Site) -> Iterator[None]:
    with site.undone():
        yield


@pytest.mark.parametrize("attempt", ALL_ATTEMPTS, ids=lambda attempt: attempt.act.__name__)
def test_attempt_fails_and_would_not_without_its_check(site: Site, weak: Site, attempt: Attempt) -> None:
    for executor in (site, weak):
        with executor.undone():
            assert attempt.act(executor) == attempt.answer
    for name in attempt.mutants:
        with weak.undone():
            weak.rpc("anvil_setStorageAt", weak.executor, PLANT_SLOT, f"{NUMBERS[name]:#066x}")
            assert attempt.act(weak) != attempt.answer, f"{name} goes unnoticed"


def test_every_planted_bug_is_noticed_by_some_attempt() -> None:
    assert {name for attempt in ALL_ATTEMPTS for name in attempt.mutants} == set(MUTANTS)


@pytest.mark.usefixtures("undone")
@pytest.mark.parametrize("mode", [Mode.HONEST, Mode.RENAMED, Mode.SHY])
def test_honest_parties_are_served_whatever_they_call_the_callback(site: Site, mode: Mode) -> None:
    """Without this the attempts could fail for a reason of their own."""
    play(site, TOKEN if mode is Mode.SHY else POOL, mode)
    starts = [
        v3(POOL),
        flash(POOL),
        Loan(Opcode.MORPHO, POOL, 100),
        Loan(Opcode.BALANCER_V2, POOL, 100),
        Loan(Opcode.AAVE_V3, POOL, 100),
    ]
    for first in starts:
        assert run(site, stream(first, paid(OTHER))) == "", first


@pytest.mark.usefixtures("undone")
def test_only_the_treasury_withdraws_and_only_to_itself(site: Site) -> None:
    site.give(WETH, site.executor, ETHER)
    site.give(USDT, site.executor, 10**6)
    site.rpc("anvil_setBalance", site.executor, hex(ETHER))
    for sender in (OPERATOR, STRANGER):
        for token in (WETH, USDT, "0x" + "00" * 20):
            assert not site.send(sender, site.executor, calldata("sweep(address,uint256)", token, 10**6)).ok
    for token in (WETH, USDT):
        held = site.balance(token, site.executor)
        site.must(TREASURY, site.executor, calldata("sweep(address,uint256)", token, held))
        assert (site.balance(token, site.executor), site.balance(token, TREASURY)) == (0, held)
    before = int(site.rpc("eth_getBalance", TREASURY, "latest"), 16)
    site.must(TREASURY, site.executor, calldata("sweep(address,uint256)", "0x" + "00" * 20, ETHER))
    assert int(site.rpc("eth_getBalance", site.executor, "latest"), 16) == 0
    assert int(site.rpc("eth_getBalance", TREASURY, "latest"), 16) > before + ETHER * 99 // 100


@pytest.mark.usefixtures("undone")
def test_nothing_is_expected_between_two_streams_of_one_transaction(site: Site, executor_contract: Compiled) -> None:
    """An operator that is a contract runs two streams; the pool of the first then tries its callback again."""
    executor = site.create(creation_code(executor_contract.init_code, ACCOMPLICE, TREASURY))
    play(site, ACCOMPLICE, Mode.REENTERING)
    data = stream(v3(POOL), paid(OTHER))
    late = calldata("uniswapV3SwapCallback(int256,int256,bytes)", 1, -1, bytes.fromhex(TOKEN[2:]) + data[75:])
    replay = calldata("forward(address,bytes)", executor, late)
    for target, prepared in ((executor, data), (executor, data), (POOL, replay)):
        site.must(STRANGER, ACCOMPLICE, calldata("prepare(address,bytes)", target, prepared))
    site.must(STRANGER, ACCOMPLICE, calldata("transfer(address,uint256)", STRANGER, 0))
    counts = [site.read(ACCOMPLICE, name, ["uint256"]) for name in ("reached()", "succeeded()")]
    assert counts == [3, 2]


def test_roles_are_told_to_everyone_and_set_once(site: Site, executor_contract: Compiled) -> None:
    assert site.read(site.executor, "operator()", ["address"]).lower() == OPERATOR.lower()
    assert site.read(site.executor, "treasury()", ["address"]).lower() == TREASURY.lower()
    assert executor_contract.storage == []
    for roles in ((OPERATOR, "0x" + "00" * 20), ("0x" + "00" * 20, TREASURY)):
        code = creation_code(executor_contract.init_code, *roles)
        request = {"from": STRANGER, "data": "0x" + code.hex(), "gas": hex(GAS)}
        assert site.rpc("eth_sendTransactionSync", request)["status"] == "0x0"


def test_the_code_cannot_delegate_or_destroy_itself(executor_contract: Compiled) -> None:
    assert _opcodes(executor_contract.runtime) & {0xF2, 0xF4, 0xFF, 0x32, 0xF0, 0xF5, 0x55} == set()


def _opcodes(runtime: bytes) -> set[int]:
    """Instructions of a contract, without the data of pushes and without the metadata at the end."""
    code = runtime[: -2 - int.from_bytes(runtime[-2:], "big")]
    found, at = set(), 0
    while at < len(code):
        found.add(code[at])
        at += 1 + (code[at] - 0x5F if 0x60 <= code[at] <= 0x7F else 0)
    return found
