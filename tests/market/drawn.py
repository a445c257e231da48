"""How many states a test draws: few by default, ``ORION_TEST_REPEAT`` times as many for a long run."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

VARIABLE = "ORION_TEST_REPEAT"


def drawn(examples: int) -> settings:
    """``ORION_TEST_REPEAT=12`` makes more than 10,000 swaps a venue."""
    repeat = int(os.environ.get(VARIABLE, "1"))
    return settings(max_examples=repeat * examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
