"""What is sent together shares no pool, and value decides who stays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.units import Wei
from keeper.selection.disjoint import choose
from tests.routes import loop, opportunity

BASE_FEE = Wei(10**9)


def test_the_better_of_two_that_share_a_pool_stays() -> None:
    worse, better = opportunity(loop((1, 2), 10**16)), opportunity(loop((2, 3), 2 * 10**16))
    chosen, dropped = choose([worse, better], BASE_FEE, limit=8)
    assert chosen == [better]
    assert dropped[0].opportunity_id == worse.id
    assert dropped[0].reason == "shares_pool_with_better"
    assert dropped[0].details == {"better": str(better.id)}


def test_the_limit_keeps_the_most_valuable() -> None:
    found = [opportunity(loop((2 * n + 1, 2 * n + 2), 10**16 * (n + 1))) for n in range(4)]
    chosen, dropped = choose(found, BASE_FEE, limit=2)
    assert chosen == [found[3], found[2]]
    assert {change.reason for change in dropped} == {"beyond_plans_per_block"}


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(7, 12), st.integers(1, 10**18)), max_size=12),
    st.integers(1, 8),
)
def test_chosen_are_disjoint_and_none_is_lost(rows: list[tuple[int, int, int]], limit: int) -> None:
    found = [opportunity(loop((first, second), profit)) for first, second, profit in rows]
    chosen, dropped = choose(found, BASE_FEE, limit)
    pools = [pool for one in chosen for pool in one.route.pools]
    assert len(pools) == len(set(pools))
    assert len(chosen) <= limit
    assert {one.id for one in chosen} | {change.opportunity_id for change in dropped} == {one.id for one in found}
    if found:
        assert chosen[0].route.gross_profit == max(one.route.gross_profit for one in found)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(7, 12), st.integers(1, 10**18)), max_size=12), st.randoms())
def test_the_order_of_arrival_does_not_matter(rows: list[tuple[int, int, int]], random) -> None:  # type: ignore[no-untyped-def]
    found = [opportunity(loop((first, second), profit)) for first, second, profit in rows]
    shuffled = random.sample(found, len(found))
    first = [(one.route.pools, one.route.gross_profit) for one in choose(found, BASE_FEE, 4)[0]]
    second = [(one.route.pools, one.route.gross_profit) for one in choose(shuffled, BASE_FEE, 4)[0]]
    assert first == second
