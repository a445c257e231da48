"""The rule-based filter: each rule drops what breaks it, names itself, and nothing vanishes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.opportunity import Fate, RiskClass
from keeper.domain.units import Wei
from keeper.selection.rules import Rules, estimate_gas
from tests.routes import USDC, WETH, loop, opportunity

BASE_FEE = Wei(10**9)
RULES = Rules(profit_token=WETH, min_profit=Wei(10**14), max_gas_share_bps=5_000)


def reason_for(profit: int, *, risk: RiskClass = RiskClass.LOW, rules: Rules = RULES) -> str | None:
    kept, dropped = rules.apply([opportunity(loop((1, 2), profit), risk=risk)], BASE_FEE)
    assert len(kept) + len(dropped) == 1
    return dropped[0].reason if dropped else None


def test_a_good_loop_passes() -> None:
    assert reason_for(10**16) is None


def test_the_minimum_counts_after_gas() -> None:
    gas_cost = estimate_gas(loop((1, 2), 0)) * BASE_FEE
    rules = Rules(profit_token=WETH, min_profit=Wei(10**14), max_gas_share_bps=10_000)
    assert reason_for(gas_cost + 10**14, rules=rules) is None
    assert reason_for(gas_cost + 10**14 - 1, rules=rules) == "below_minimum_profit"


def test_gas_may_not_eat_the_profit() -> None:
    gas_cost = estimate_gas(loop((1, 2), 0)) * BASE_FEE
    rules = Rules(profit_token=WETH, min_profit=Wei(0), max_gas_share_bps=5_000)
    assert reason_for(2 * gas_cost, rules=rules) is None
    assert reason_for(2 * gas_cost - 1, rules=rules) == "gas_share_too_high"


def test_very_high_risk_is_out_at_any_profit() -> None:
    assert reason_for(10**20, risk=RiskClass.VERY_HIGH) == "risk_very_high"


def test_profit_in_a_token_without_exact_wei_value_is_out() -> None:
    kept, dropped = RULES.apply([opportunity(loop((1, 2), 10**20, token=USDC))], BASE_FEE)
    assert kept == []
    assert [change.reason for change in dropped] == ["profit_token_not_accounted"]


@given(profits=st.lists(st.integers(-(10**18), 10**18), max_size=20))
def test_every_opportunity_is_kept_or_has_a_fate(profits: list[int]) -> None:
    found = [opportunity(loop((2 * n + 1, 2 * n + 2), profit)) for n, profit in enumerate(profits)]
    kept, dropped = RULES.apply(found, BASE_FEE)
    assert {one.id for one in kept} | {change.opportunity_id for change in dropped} == {one.id for one in found}
    assert len(kept) + len(dropped) == len(found)
    assert all(change.fate is Fate.FILTERED for change in dropped)
