"""A sample of ``make exactness``, and that it notices a maths that is wrong by one unit."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from keeper.domain.token import VenueKind
from keeper.market.venues import SolidlyStablePool, SolidlyVolatilePool, UniswapV2Pool
from keeper.market.venues.concentrated import ConcentratedPool
from keeper.market.venues.multi import MultiTokenPool
from tests.conftest import RunningReplica
from tests.market.long_exactness import compare
from tests.market.long_venues import Batch, venues

SAMPLE = 120
VENUES = (
    VenueKind.UNISWAP_V2,
    VenueKind.UNISWAP_V3,
    VenueKind.PANCAKESWAP_V3,
    VenueKind.UNISWAP_V4,
    VenueKind.BALANCER_V2_WEIGHTED,
    VenueKind.BALANCER_V2_STABLE,
    VenueKind.BALANCER_V3_WEIGHTED,
    VenueKind.BALANCER_V3_STABLE,
    VenueKind.CURVE_STABLESWAP,
    VenueKind.SOLIDLY_VOLATILE,
    VenueKind.SOLIDLY_STABLE,
)
WITHOUT_EXACT_OUTPUT = {VenueKind.CURVE_STABLESWAP, VenueKind.SOLIDLY_VOLATILE, VenueKind.SOLIDLY_STABLE}


@pytest.fixture(scope="module")
def batches(replica: RunningReplica) -> dict[VenueKind, Callable[[], Batch]]:
    found = venues(replica)
    assert tuple(found) == VENUES
    return found


@pytest.mark.parametrize("venue", VENUES)
def test_no_swap_differs_and_an_error_of_one_unit_is_noticed(
    batches: dict[VenueKind, Callable[[], Batch]], venue: VenueKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batches[venue]()
    tally = compare(batch, SAMPLE, Random(venue))
    assert tally.mismatches == 0, tally.examples
    assert tally.swaps >= SAMPLE
    assert (tally.exact_out == 0) == (venue in WITHOUT_EXACT_OUTPUT)
    plant(monkeypatch)
    planted = compare(batch, SAMPLE, Random(venue))
    assert planted.mismatches > SAMPLE // 4


def plant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pool pays a unit too much."""
    for kind in (UniswapV2Pool, MultiTokenPool, SolidlyVolatilePool, SolidlyStablePool):
        honest = kind.amount_out
        monkeypatch.setattr(kind, "amount_out", lambda *arguments, honest=honest: honest(*arguments) + 1)
    swap = ConcentratedPool.swap

    def generous(*arguments: object) -> object:
        result = swap(*arguments)
        return result._replace(amount_out=result.amount_out + 1)

    monkeypatch.setattr(ConcentratedPool, "swap", generous)
