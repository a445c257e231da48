"""Stops all signing at once: by a call inside the process or by a file that anyone on the machine can make."""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger(__name__)

HALT_FILE = "HALT"


class KillSwitch:
    """Looked at before every signature.

    Args:
        home: the keeper's folder; while ``<home>/HALT`` exists, nothing is signed. Its first line is the reason.
    """

    def __init__(self, home: Path) -> None:
        self.file = home / HALT_FILE
        self._reason: str | None = None

    def engage(self, reason: str) -> None:
        """Stop signing in this process and, through the file, in every later one until `release`."""
        self._reason = reason
        log.error("kill switch: %s. Nothing is signed any more; `%s` tells why.", reason, self.file)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(reason + "\n", encoding="utf-8")

    def release(self) -> None:
        self.file.unlink(missing_ok=True)
        self._reason = None

    @property
    def reason(self) -> str | None:
        """Why signing is stopped; None while it is not."""
        if self._reason is not None:
            return self._reason
        # lstat: a dangling link with this name is somebody's wish to stop, too
        try:
            self.file.lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{self.file} cannot be looked at ({error.strerror})"
        try:
            return self.file.read_text(encoding="utf-8", errors="replace").strip() or f"{self.file} exists"
        except OSError:
            return f"{self.file} exists"
