"""Gas of the executor is what the snapshot says, to the unit. `make bench-gas ARGS=--renew` writes it anew."""

from __future__ import annotations

import json

from benchmarks.floor import floor_source
from benchmarks.gas import ROUTES, SNAPSHOT, V4, key, measure, snapshot
from keeper.execution.codec import Stream, Swap
from keeper.execution.opcodes import Opcode, To
from tests.conftest import RunningReplica
from tests.contracts.attacks import OTHER, POOL
from tests.contracts.compiler import Compiled
from tests.contracts.site import FOREVER, WETH

PLAIN_MEMORY = bytes.fromhex("6080604052")
"""mstore(0x40, 0x80): free memory starts at 0x80, so the compiler keeps nothing of its own there."""


def test_gas_is_that_of_the_snapshot(replica: RunningReplica) -> None:
    kept = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert set(kept) == {key(order) for order in (*ROUTES, V4)}
    assert snapshot(measure(replica, compare=False)) == kept, "renew it with: make bench-gas ARGS=--renew"


def test_the_compiler_keeps_nothing_where_calls_are_built(executor_contract: Compiled) -> None:
    assert executor_contract.runtime.startswith(PLAIN_MEMORY)


def test_the_floor_asks_for_nothing_but_the_calls() -> None:
    flash = Swap(Opcode.UNISWAP_V2_FLASH, OTHER, True, To.CALLER, 7)
    paid = Swap(Opcode.UNISWAP_V2_PAID, POOL, False, To.CALLER, 5, 3)
    source = floor_source(Stream(0, FOREVER, None, WETH, (flash, paid)))
    assert source.count("call(gas()") == 3
    assert not any(word in source for word in ("sload", "tload", "tstore", "keccak256", "balance", "revert"))
