"""Homes for keepers under test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_home() -> Iterator[Path]:
    """A home that every account can pass through, as pytest's own folders do not let them.

    Root's PostgreSQL then keeps its data in it; for a closed one it would be put, and stay, below /var/lib.
    """
    with tempfile.TemporaryDirectory(prefix="orion-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
