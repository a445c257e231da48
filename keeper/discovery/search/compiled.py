"""How the search's kernels are compiled: without the interpreter lock, and kept on disk between runs.

The compiled code lies beside its source, or in ``NUMBA_CACHE_DIR`` where that is set. It is made anew when the file of
the kernel changes, and only then: so a kernel may call kernels and read constants of its own file alone.

``python -m keeper.discovery.search.compiled`` compiles all kernels ahead of the first start, for an image or a package.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile ``function`` at its first call. Division by zero gives infinity or nan, as in numpy."""
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def lean_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """As `kernel`, for functions that allocate nothing.

    Without numba's run time no reference is counted. An array that is read from a tuple would be counted at every
    access otherwise, which in an innermost loop costs several times what the loop does.
    """
    options: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
    return cast(Callable[P, R], numba.njit(**options)(function))


def main() -> int:
    """Fill the cache and tell how long it took."""
    from keeper.discovery.search.engine import LoopSearch

    start = time.perf_counter()
    LoopSearch.warm_up()
    print(f"the search's kernels are ready after {time.perf_counter() - start:.1f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
