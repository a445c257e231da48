"""Becomes the program it is told to start, tied to the life of the keeper.

Usage: ``launcher.py PARENT_PID SIGNAL UID GID PROGRAM ARGUMENT...``

The work sits in a program of its own because none of it is safe between fork and exec of a process with threads.
Only the standard library is used and nothing of this package: the file is run by path with ``python -I -S``.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
KEEP = "-"
"""Stands for "leave user and group as they are"."""


def die_with(parent: int, signal_number: int) -> None:
    """Ask the kernel to send this process a signal when its parent is gone, however that ended. Linux only."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl(PR_SET_PDEATHSIG): {os.strerror(error)}")
    if os.getppid() != parent:  # it died before the kernel knew of the wish
        sys.exit(128 + signal_number)


def main(arguments: list[str]) -> None:
    parent, signal_number, uid, gid, *argv = arguments
    if uid != KEEP:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    die_with(int(parent), int(signal_number))  # after setuid, which clears the wish
    try:
        os.execv(argv[0], argv)
    except OSError as error:
        sys.exit(f"cannot run {argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
