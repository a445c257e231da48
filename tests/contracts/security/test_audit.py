"""What slither and halmos say; the deployed code has no entry, no storage and no size that it should not have."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from eth_utils import function_signature_to_4byte_selector as selector

from tests.contracts.compiler import Compiled, executor_sources
from tests.contracts.security.audit import (
    QUICK,
    TOOLS,
    accepted,
    install,
    not_accepted,
    prove,
    slither_findings,
)
from tests.contracts.security.bare_node import bare_node
from tests.contracts.security.forms import CALLBACKS, FUNCTIONS
from tests.contracts.site import STRANGER, Site

ENTRY_POINTS = {"operator()", "treasury()"}
"""What anybody gets an answer to; the treasury has `sweep` beside."""
EIP_170 = 24_576
INSTALLED = (TOOLS / "halmos").exists()
needs_auditors = pytest.mark.skipif(
    not INSTALLED, reason="slither and halmos are not installed; `make audit` installs and runs them"
)


@needs_auditors
def test_slither_finds_nothing_without_a_reason_and_finds_a_planted_bug() -> None:
    install()
    sources = executor_sources()
    findings = slither_findings(sources)
    assert not_accepted(findings) == []
    for entry in accepted():
        assert any(f["check"] == entry["check"] for f in findings) or entry["where"] == "*", f"{entry} is of no use"
    check = "if (uint160(msg.sender) != TREASURY) revert Unauthorized();"
    assert check in sources["Roles.sol"]
    planted = {**sources, "Roles.sol": sources["Roles.sol"].replace(check, check.replace("msg.sender", "tx.origin"))}
    assert "tx-origin" in {finding["check"] for finding in not_accepted(slither_findings(planted))}


@needs_auditors
def test_halmos_proves_who_may_call() -> None:
    """`make audit` proves the rest, and disproves each property on a contract with a planted bug."""
    proved = prove(executor_sources(), only=QUICK)
    assert len(proved) > 10
    assert all(proved.values()), proved


@pytest.fixture(scope="module")
def site(executor_contract: Compiled) -> Iterator[Site]:
    with bare_node() as node:
        yield Site(node, executor_contract.init_code)


def test_the_code_reacts_to_no_other_selector(site: Site, executor_contract: Compiled) -> None:
    """All selectors that the code compares with, those of a dictionary, and random ones."""
    code = executor_contract.runtime
    known = {selector(signature) for signature in FUNCTIONS}
    known |= {selector(form.signature) for form in CALLBACKS if form.signature}
    known |= {code[at + 1 : at + 5] for at in range(len(code)) if code[at] == 0x63}  # PUSH4
    chance = random.Random(7)
    known |= {chance.randbytes(4) for _ in range(300)}
    answered = {data for data in known if site.call(STRANGER, site.executor, data + bytes(chance.randbytes(96))).ok}
    assert answered == {selector(signature) for signature in ENTRY_POINTS}
    names = {entry["name"] for entry in executor_contract.abi if entry["type"] == "function"}
    assert names == set()  # everything enters through the fallback function


def test_every_call_of_the_code_is_of_a_known_kind(executor_contract: Compiled) -> None:
    """Plain and static calls alone; nothing is created, delegated, destroyed or stored, no origin is asked."""
    found = opcodes(executor_contract.runtime)
    assert {0xF1, 0xFA} <= found  # CALL, STATICCALL
    forbidden = {0xF0, 0xF2, 0xF4, 0xF5, 0xFF, 0x32, 0x54, 0x55}
    assert found & forbidden == set()
    assert executor_contract.storage == []


def test_the_code_fits(executor_contract: Compiled) -> None:
    assert len(executor_contract.runtime) <= EIP_170


def opcodes(runtime: bytes) -> set[int]:
    """Instructions of a contract, without the data of pushes and without the metadata at the end."""
    code = runtime[: -2 - int.from_bytes(runtime[-2:], "big")]
    found, at = set(), 0
    while at < len(code):
        found.add(code[at])
        at += 1 + (code[at] - 0x5F if 0x60 <= code[at] <= 0x7F else 0)
    return found
