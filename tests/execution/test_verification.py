"""The build that deployment and verification share, and the publication of its source."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_abi.abi import encode

from keeper.config import CHECKOUT
from keeper.domain.errors import ComponentError, InputError
from keeper.domain.units import Address, to_address
from keeper.execution.contract_build import SETTINGS, Build, executor_build
from keeper.execution.deployment import executor_address
from keeper.execution.explorers import Etherscan, Explorer, Report, Sourcify, Ticket, Verdict, publish
from tests.contracts.compiler import SETTINGS as COMPILER_SETTINGS
from tests.contracts.compiler import compile_sources, executor_sources
from tests.execution.explorer import KEY, StandIn, serving
from tests.execution.site import listening

OPERATOR = to_address("0x" + "0a" * 20, "operator")
TREASURY = to_address("0x" + "0b" * 20, "treasury")
ARGUMENTS = encode(["address", "address"], [OPERATOR, TREASURY])
METADATA = 53
"""Bytes of the metadata's hash at the end of the code; it depends on the names of the sources."""
BASE = 8453


@pytest.fixture(scope="module")
def build() -> Build:
    return executor_build()


def deployed_code(build: Build, operator: Address = OPERATOR, treasury: Address = TREASURY) -> bytes:
    code = bytearray(build.runtime)
    for offsets, role in zip(build.immutables, (operator, treasury), strict=True):
        for at in offsets:
            code[at : at + 32] = bytes(12) + bytes.fromhex(role[2:])
    return bytes(code)


# ------------------------------------------------------------------ the build


def test_the_build_is_what_the_tests_test(build: Build) -> None:
    tested = compile_sources(executor_sources())["Executor"]
    assert build.init_code[:-METADATA] == tested.init_code[:-METADATA]
    assert build.runtime[:-METADATA] == tested.runtime[:-METADATA]
    assert {name: COMPILER_SETTINGS[name] for name in SETTINGS} == SETTINGS


def test_ape_is_told_the_same_settings() -> None:
    lines = [line.partition("#")[0].strip() for line in (CHECKOUT / "ape-config.yaml").read_text().splitlines()]
    assert f"evm_version: {SETTINGS['evmVersion']}" in lines
    assert f"optimization_runs: {SETTINGS['optimizer']['runs']}" in lines
    assert "via_ir: true" in lines
    assert "optimize: true" in lines


def test_other_contracts_of_the_checkout_change_nothing(build: Build, tmp_path: Path) -> None:
    """Nor does where the checkout lies; a line of the executor's own sources does."""
    shutil.copytree(CHECKOUT / "contracts", tmp_path / "contracts")
    (tmp_path / "contracts" / "Other.sol").write_text("contract Other {}\n")
    assert executor_build(tmp_path) == build
    own = tmp_path / "contracts" / "Roles.sol"
    own.write_text(own.read_text() + "// one more line\n")
    changed = executor_build(tmp_path)
    assert changed.init_code != build.init_code
    assert executor_address(changed.init_code, OPERATOR, TREASURY) != executor_address(
        build.init_code, OPERATOR, TREASURY
    )
    own.unlink()
    with pytest.raises(InputError, match=r"Roles\.sol"):
        executor_build(tmp_path)


def test_roles_are_read_out_of_the_code(build: Build) -> None:
    assert build.roles_in(deployed_code(build)) == (OPERATOR, TREASURY)


def test_any_other_code_is_refused(build: Build) -> None:
    code = deployed_code(build)
    inside = {at + offset for offsets in build.immutables for at in offsets for offset in range(32)}
    beside = [at for at in range(len(code)) if at not in inside]
    for at in (beside[0], beside[len(beside) // 2], beside[-1]):
        changed = bytearray(code)
        changed[at] ^= 1
        with pytest.raises(InputError, match=f"byte {at} is"):
            build.roles_in(bytes(changed))
    for other in (b"", code[:-1], code + b"\0"):
        with pytest.raises(InputError, match="bytes"):
            build.roles_in(other)
    twice = next(offsets for offsets in build.immutables if len(offsets) > 1)
    changed = bytearray(code)
    changed[twice[0] + 31] ^= 1
    with pytest.raises(InputError, match="two values"):
        build.roles_in(bytes(changed))


# ------------------------------------------------------------------ publication


@pytest.fixture
def explorer(build: Build) -> Iterator[StandIn]:
    address = executor_address(build.init_code, OPERATOR, TREASURY)
    with serving(StandIn(build, BASE, {address: build.init_code + ARGUMENTS})) as running:
        yield running


def client(kind: str, url: str, *, chain_id: int = BASE, key: str = KEY) -> Explorer:
    return Sourcify(chain_id, url) if kind == "sourcify" else Etherscan(chain_id, key, f"{url}/api")


async def published(site: Explorer, build: Build, arguments: bytes = ARGUMENTS, looks: int = 5) -> Report:
    address = executor_address(build.init_code, OPERATOR, TREASURY)
    return await publish(site, build, address, arguments, looks=looks, every_seconds=0)


@pytest.mark.parametrize("kind", ["etherscan", "sourcify"])
async def test_pending_then_verified_then_already_verified(build: Build, explorer: StandIn, kind: str) -> None:
    explorer.patience = 3
    site = client(kind, explorer.url)
    report = await published(site, build)
    assert report == Report(Verdict.VERIFIED, {"etherscan": "Pass - Verified", "sourcify": "exact_match"}[kind])
    assert explorer.looks == {"ticket0": 4}
    again = await published(site, build)
    assert again.verdict is Verdict.ALREADY_VERIFIED
    assert len(explorer.jobs) == 1


@pytest.mark.parametrize("kind", ["etherscan", "sourcify"])
async def test_one_that_takes_too_long_stays_pending(build: Build, explorer: StandIn, kind: str) -> None:
    explorer.patience = 10
    report = await published(client(kind, explorer.url), build, looks=2)
    assert report.verdict is Verdict.PENDING
    assert explorer.looks == {"ticket0": 2}


@pytest.mark.parametrize("kind", ["etherscan", "sourcify"])
async def test_another_source_is_rejected(build: Build, explorer: StandIn, kind: str) -> None:
    """The same code is claimed to come from a source with one more comment."""
    sources = {name: {"content": entry["content"] + "// more\n"} for name, entry in build.request["sources"].items()}
    other = replace(build, request={**build.request, "sources": sources})
    report = await published(client(kind, explorer.url), other)
    assert report.verdict is Verdict.REJECTED
    assert report.text in ("Fail - Unable to verify", "no_match: The bytecodes do not match")
    assert not explorer.verified


async def test_other_arguments_of_the_constructor_are_rejected(build: Build, explorer: StandIn) -> None:
    swapped = encode(["address", "address"], [TREASURY, OPERATOR])
    report = await published(client("etherscan", explorer.url), build, swapped)
    assert report == Report(Verdict.REJECTED, "Fail - Unable to verify")


async def test_refusals_at_the_door(build: Build, explorer: StandIn) -> None:
    wrong_key = await published(client("etherscan", explorer.url, key="another"), build)
    assert (wrong_key.verdict, wrong_key.text) == (Verdict.REJECTED, "Invalid API Key (#err2)|")
    other_chain = await published(client("etherscan", explorer.url, chain_id=10), build)
    assert "chainid" in other_chain.text
    unsupported = await published(client("sourcify", explorer.url, chain_id=10), build)
    assert unsupported.text.startswith("unsupported_chain")
    address = executor_address(build.init_code, OPERATOR, TREASURY)
    assert isinstance(await client("sourcify", explorer.url).submit(build, address, ARGUMENTS), Ticket)
    twice = await client("sourcify", explorer.url).submit(build, address, ARGUMENTS)
    assert isinstance(twice, Report)
    assert twice.verdict is Verdict.PENDING
    explorer.known.clear()
    nothing_there = await published(client("etherscan", explorer.url), build)
    assert nothing_there.text.startswith("Unable to locate ContractCode")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"status": 1}', b'{"status": "2", "result": "x"}', b"{}"])
@pytest.mark.parametrize("kind", ["etherscan", "sourcify"])
async def test_rubbish_is_told(build: Build, kind: str, body: bytes) -> None:
    async with listening(lambda *_: (200, body)) as socket:
        site = client(kind, socket.url)
        with pytest.raises(ComponentError, match="explorer") as submitted:
            await published(site, build)
        with pytest.raises(ComponentError, match="explorer"):
            await site.look(Ticket("x"))
    assert KEY not in str(submitted.value)


async def test_one_that_cannot_be_reached(build: Build) -> None:
    async with listening(lambda *_: (200, b"")) as socket:
        url = socket.url
    with pytest.raises(ComponentError, match="explorer"):
        await published(client("etherscan", url), build)
    for wrong in ("http://explorer.example", "ftp://explorer.example", "nothing"):
        with pytest.raises(InputError, match="--url"):
            client("sourcify", wrong)
