"""The keeper and the contract read streams alike; a bug in the reading is found."""

from __future__ import annotations

import pytest

from keeper.execution.opcodes import CALLED_BACK, V3_SWAPS, Opcode
from tests.contracts.compiler import Compiled, compile_sources
from tests.contracts.mutants import NUMBERS, PLANT_SLOT, planted_sources
from tests.contracts.security.bare_node import bare_node
from tests.contracts.security.differential import Comparison, compare_streams
from tests.contracts.security.forms import FORMS
from tests.contracts.site import Site

SAMPLE = 2_000
BUGS = ("operation_skipped", "bounds_unchecked", "v3_side")


def test_keeper_and_contract_agree(executor_contract: Compiled) -> None:
    with bare_node() as node:
        report = compare_streams(Comparison(Site(node, executor_contract.init_code)), SAMPLE, seed=1)
    assert report.disagreements == []
    assert report.streams == SAMPLE
    assert report.ends["readable: ran"] > SAMPLE // 4
    assert report.ends["unreadable: BadStream"] > SAMPLE // 10
    assert sum(number for end, number in report.ends.items() if end.startswith("not compared")) < SAMPLE // 100


def test_planted_bugs_are_found() -> None:
    with bare_node() as node:
        weak = Comparison(Site(node, compile_sources(planted_sources())["Executor"].init_code))
        assert compare_streams(weak, 100, seed=1).disagreements == []
        for bug in BUGS:
            node.rpc("anvil_setStorageAt", weak.site.executor, PLANT_SLOT, f"{NUMBERS[bug]:#066x}")
            assert compare_streams(weak, 300, seed=1).disagreements, f"{bug} goes unnoticed"


@pytest.mark.parametrize("opcode", sorted(CALLED_BACK | V3_SWAPS))
def test_every_operation_that_is_called_back_has_its_form(opcode: Opcode) -> None:
    assert opcode in FORMS
