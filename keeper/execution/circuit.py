"""Leaves a relay that does not work alone for a while, and says so once."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


class Circuit:
    """Opens when a component fails, lets one attempt through after each wait, closes when one succeeds.

    The wait doubles from ``first_wait`` to ``longest_wait``, seconds. One line is logged when it opens, one when it
    closes; nothing in between.
    """

    def __init__(self, component: str, *, first_wait: float = 1.0, longest_wait: float = 60.0) -> None:
        self._component = component
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._failures = 0
        self._retry_at: float | None = None

    @property
    def is_open(self) -> bool:
        return self._retry_at is not None

    def admits(self, now: float) -> bool:
        """Whether a request may go out at ``now`` (monotonic seconds); an open circuit admits one per wait."""
        if self._retry_at is None:
            return True
        if now < self._retry_at:
            return False
        self._retry_at = now + self._wait()
        return True

    def succeeded(self) -> None:
        if self._retry_at is not None:
            log.info("%s: works again after %d failures", self._component, self._failures)
        self._failures = 0
        self._retry_at = None

    def failed(self, now: float, problem: str) -> None:
        self._failures += 1
        if self._retry_at is None:
            log.error(
                "%s: %s. It is tried again after %.0f s, then less often. Check its URL and your network.",
                self._component,
                problem,
                self._first_wait,
            )
        self._retry_at = now + self._wait()

    def _wait(self) -> float:
        doublings = min(self._failures - 1, 30)  # 2**30 s is past any longest wait
        return min(self._first_wait * 2.0**doublings, self._longest_wait)
