"""The state machine finds nothing in the executor, and finds the bugs that are planted; what it reached is shown."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from keeper.domain.token import LenderKind, VenueKind
from tests.conftest import RunningReplica
from tests.contracts.compiler import Compiled, compile_sources
from tests.contracts.mutants import NUMBERS, PLANT_SLOT, planted_sources
from tests.contracts.security.cast import deploy_cast
from tests.contracts.security.machine import Attacks, set_the_stage
from tests.contracts.security.reached import Reached
from tests.contracts.site import BORROWED, ERRORS, ETHER, USDC, WETH, Site

SAMPLE = settings(
    max_examples=24,
    stateful_step_count=14,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
TRIED = {
    "callback out of the blue": 5,
    "any call of an outsider": 5,
    "lender or pair driven by an outsider": 3,
    "withdrawal by another than the treasury": 1,
    "altered bytes": 3,
    "bytes behind the stream": 3,
    "another layout": 3,
    "callback gone wrong": 5,
    "re-entry by a pool": 3,
    "poisoned token": 8,
    "stolen key": 5,
    "stolen key with code": 5,
    "replay": 3,
}
STATES = {
    "streams landed": 30,
    "callbacks authenticated in mid-route": 40,
    "callbacks and calls refused in mid-route": 40,
    "calls refused while idle": 20,
    "re-entered by another": 40,
    "re-entered by the operator": 3,
    "nested 2 deep": 5,
    "withdrawals": 5,
}
"""How often a run has to come to each state; otherwise its finding nothing says nothing."""

MOST_ERRORS = 10
"""Of the 13 that a call can come to; `attempts` and `attacks` come to each of them."""
FOUND = ("hash_unchecked", "profit_unchecked", "operator_unchecked", "withdrawal_open")


def staged(site: Site) -> Site:
    deploy_cast(site)
    set_the_stage(site)
    return site


def trades(site: Site) -> list[bytes]:
    """Streams that earn, by each way to finance them."""
    route = site.profitable_route((WETH, USDC), [VenueKind.UNISWAP_V2, VenueKind.UNISWAP_V3], 2 * ETHER)
    return [site.stream(route, kind, 1) for kind in (LenderKind.FLASH_SWAP, *BORROWED)]


def attack(site: Site, streams: list[bytes], chosen: settings) -> Reached:
    reached = Reached(site.executor)
    machine = type("Attacks", (Attacks,), {"site": site, "reached": reached, "trades": streams})
    run_state_machine_as_test(machine, settings=chosen)
    return reached


def test_nothing_moves_but_to_the_treasury(
    replica: RunningReplica, executor_contract: Compiled, capsys: pytest.CaptureFixture[str]
) -> None:
    site = staged(Site(replica, executor_contract.init_code))
    reached = attack(site, trades(site), SAMPLE)
    with capsys.disabled():
        print(f"\nWhat the attacks reached:\n{reached.table()}")
    assert_reached(reached)


def assert_reached(reached: Reached) -> None:
    """Every kind of attack was tried, every state and most errors were reached, and not all streams were in vain."""
    counts = reached.counts
    wanted = STATES | {f"tried: {kind}": least for kind, least in TRIED.items()}
    missing = {name: counts[name] for name, least in wanted.items() if counts[name] < least}
    assert not missing, f"too rarely reached: {missing}"
    errors = {name for name in ERRORS.values() if counts[f"reverted: {name}"]}
    assert len(errors) >= MOST_ERRORS, f"of the executor's errors only {sorted(errors)} were reached"
    refused = counts["streams refused"] / (counts["streams refused"] + counts["streams landed"])
    assert refused < 0.8, f"{refused:.0%} of the streams reverted"


@pytest.fixture(scope="module")
def weak(replica: RunningReplica) -> Site:
    return staged(Site(replica, compile_sources(planted_sources())["Executor"].init_code))


@pytest.mark.parametrize("bug", FOUND)
def test_it_finds_a_planted_bug(weak: Site, bug: str) -> None:
    with weak.undone():
        weak.rpc("anvil_setStorageAt", weak.executor, PLANT_SLOT, f"{NUMBERS[bug]:#066x}")
        with pytest.raises(AssertionError):
            attack(weak, trades(weak), SAMPLE)
