"""Token buckets: how many requests each caller may make."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable


class RateLimiter:
    """A bucket for each caller, in this process.

    A bucket holds ``burst`` requests at first and is refilled by ``rate`` a second up to that.

    Args:
        rate: requests per second in the long run.
        burst: requests at once.
        clock: seconds, never going backwards.
        most_callers: buckets held; the one unused for longest gives way, and has refilled by then or was a stranger's.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float], most_callers: int = 4_096) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._most = most_callers
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def wait(self, caller: Hashable) -> int:
        """Take one request out of the caller's bucket; 0, or whole seconds to wait until there is one."""
        left = self._left(caller)
        granted = left >= 1
        self._buckets[caller] = (left - 1 if granted else left, self._clock())
        self._buckets.move_to_end(caller)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0 if granted else max(1, math.ceil((1 - left) / self._rate))

    def _left(self, caller: Hashable) -> float:
        now = self._clock()
        level, at = self._buckets.get(caller, (float(self._burst), now))
        return min(float(self._burst), level + (now - at) * self._rate)
