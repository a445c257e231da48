"""Whatever is called in whatever order: nothing stays, and the treasury loses no more than it signed off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keeper.domain.token import LenderKind
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.execution.adapter import mandate_of_calldata, swap_calldata
from tests.conftest import RunningReplica
from tests.contracts.adapter_hunt import adapters, wake
from tests.contracts.adapter_site import MORPHO, USER, AdapterSite
from tests.contracts.adapter_stage import (
    BUYER,
    COLLATERAL,
    DEBT,
    LENDER,
    PROTOCOL,
    SELL,
    SELLER,
    Mode,
    agree,
    closing,
    fill,
    liquidation,
    morpho_liquidation,
    opening,
    play,
    position,
)
from tests.contracts.site import OPERATOR, STRANGER, TREASURY, calldata

LOANS = (LenderKind.MORPHO, LenderKind.BALANCER_V2, LenderKind.AAVE_V3)
JOBS = ("liquidate", "liquidate on Morpho", "fill", "open", "open", "close", "swap")
HOSTILE = tuple(mode for mode in Mode if mode not in (Mode.HONEST, Mode.MOVING))
ROUNDING = 10
"""Wei that Morpho's shares may round a debt up by in one call."""


@dataclass(frozen=True)
class Act:
    """One transaction: what is called, with which loan, who misbehaves how, what the pools pay in whole tokens."""

    job: str
    loan: LenderKind
    villain: Address | None
    mode: Mode
    sold_for: int
    bought: int


@dataclass
class Count:
    made: int = 0
    passed: int = 0
    by_job: set[str] = field(default_factory=set)


ACTS = st.builds(
    Act,
    job=st.sampled_from(JOBS),
    loan=st.sampled_from(LOANS),
    villain=st.sampled_from([None, None, None, SELLER, BUYER, LENDER, PROTOCOL]),
    mode=st.sampled_from(HOSTILE),
    sold_for=st.sampled_from([130, 120, 145, 55]),
    bought=st.sampled_from([99, 95, 100, 60]),
)


@pytest.fixture(scope="module")
def pair(replica: RunningReplica) -> tuple[AdapterSite, AdapterSite]:
    return adapters(replica)


@pytest.fixture(scope="module")
def count() -> Iterator[Count]:
    found = Count()
    yield found
    assert found.passed * 4 >= found.made, "most calls revert, so little was tried"
    assert found.by_job == set(JOBS), "some job never went through"


def calldata_of(site: AdapterSite, act: Act) -> bytes:
    found = {
        "liquidate": lambda: liquidation(act.loan).calldata(),
        "liquidate on Morpho": lambda: morpho_liquidation().calldata(),
        "fill": lambda: fill().calldata(),
        "open": lambda: opening(site, act.loan).open_calldata(),
        "close": lambda: closing(site, act.loan).close_calldata(),
        "swap": lambda: swap_calldata(COLLATERAL, SELL, 1, USER),
    }
    return found[act.job]()


def perform(site: AdapterSite, act: Act) -> bool:
    """Mine it; a swap sends its tokens in the same transaction, as a settlement would."""
    agree(site, SELLER, DEBT, act.sold_for, ZERO_ADDRESS, 0)
    agree(site, BUYER, COLLATERAL, act.bought, ZERO_ADDRESS, 0)
    if act.villain is not None:
        play(site, act.villain, act.mode)
    data = calldata_of(site, act)
    if act.job == "swap":
        mint = calldata("mint(address,uint256)", site.adapter, 10**18)
        done = site.read(LENDER, "succeeded()", ["uint256"])
        perform_both = calldata("perform(address[],bytes[])", [COLLATERAL, site.adapter], [mint, data])
        site.must(STRANGER, LENDER, perform_both)
        passed = site.read(LENDER, "succeeded()", ["uint256"]) == done + 2
        if not passed:  # the tokens were left there by their owner: anybody may have them
            site.send(TREASURY, site.adapter, calldata("sweep(address,uint256)", COLLATERAL, 10**18))
    else:
        passed = site.send(OPERATOR, site.adapter, data).ok
    if act.villain is not None:
        play(site, act.villain, Mode.HONEST)
    return passed


def worth(site: AdapterSite) -> int:
    """All that the treasury has, at a price of one."""
    key = bytes.fromhex(site.market.id[2:])
    _, shares, collateral = site.read(
        MORPHO, "position(bytes32,address)", ["uint256", "uint128", "uint128"], key, TREASURY
    )
    totals = site.read(MORPHO, "market(bytes32)", ["uint128"] * 6, key)
    debt = -(-shares * (totals[2] + 1) // (totals[3] + 10**6))
    return int(collateral - debt + site.balance(DEBT, TREASURY) + site.balance(COLLATERAL, TREASURY))


def budget(site: AdapterSite) -> int:
    answer = site.rpc(
        "eth_call", {"to": site.adapter, "data": "0x" + mandate_of_calldata(position(site)).hex()}, "latest"
    )
    return int.from_bytes(bytes.fromhex(answer[2:])[32:64], "big")


def run_through(site: AdapterSite, acts: list[Act], count: Count) -> None:
    """Raises AssertionError when something stays in the adapter, or the treasury loses what it did not sign off."""
    signed_off, before = budget(site), worth(site)
    for act in acts:
        passed = perform(site, act)
        count.made += 1
        if passed:
            count.passed += 1
            count.by_job.add(act.job)
        for token in (DEBT, COLLATERAL):
            assert site.balance(token, site.adapter) == 0, (act, token)
            assert all(site.allowance(token, spender) == 0 for spender in (LENDER, PROTOCOL, MORPHO)), (act, token)
    assert before - worth(site) <= signed_off - budget(site) + ROUNDING * len(acts)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(ACTS, min_size=3, max_size=6))
def test_nothing_stays_and_the_treasury_loses_no_more_than_it_signed_off(
    pair: tuple[AdapterSite, AdapterSite], count: Count, acts: list[Act]
) -> None:
    site = pair[0]
    with site.undone():
        run_through(site, acts, count)


def test_every_job_goes_through_when_all_are_honest(pair: tuple[AdapterSite, AdapterSite], count: Count) -> None:
    site = pair[0]
    honest = [Act(job, loan, None, Mode.HONEST, 130, 99) for job in dict.fromkeys(JOBS) for loan in LOANS[:2]]
    with site.undone():
        run_through(site, honest, count)


LOSING = Act("open", LenderKind.MORPHO, None, Mode.HONEST, 130, 95)
LAX = Act("liquidate", LenderKind.BALANCER_V2, PROTOCOL, Mode.LAX, 130, 99)


@pytest.mark.parametrize(("bug", "acts"), [("budget_kept", [LOSING] * 3), ("offer_not_taken_back", [LAX])])
def test_the_property_fails_where_a_bug_is_planted(
    pair: tuple[AdapterSite, AdapterSite], bug: str, acts: list[Act]
) -> None:
    weak = pair[1]
    with weak.undone():
        run_through(weak, acts, Count())
    with weak.undone():
        wake(weak, bug)
        with pytest.raises(AssertionError):
            run_through(weak, acts, Count())
