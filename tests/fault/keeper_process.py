"""The keeper as an operator starts it: a process of its own, watched through what it prints."""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

from keeper.replica import state

CHECKOUT = Path(__file__).resolve().parents[2]


def prepare_home(home: Path, built: Path) -> None:
    """Give ``home`` the replica that is built already, so that a run does not build it again."""
    target = state.folder(home)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(built, target)


class KeeperProcess:
    """``keeper run`` with the given options below ``home``; ``settings`` are further variables of its environment."""

    def __init__(self, home: Path, *options: str, **settings: str) -> None:
        self.home = home
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ORION_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "keeper.cli", "run", "--json", *options],
            cwd=CHECKOUT,
            env={**environment, "ORION_HOME": str(home), **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._queue.put(line.rstrip())
        self._queue.put(None)

    def wait_for(self, pattern: str, timeout: float = 180.0) -> str:
        """The next line on stderr that matches; fails with everything printed so far."""
        limit = time.monotonic() + timeout
        while True:
            try:
                line = self._queue.get(timeout=max(0.0, limit - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"{pattern!r} did not come; the keeper said:\n" + "\n".join(self.lines))
            self.lines.append(line)
            if re.search(pattern, line):
                return line

    def finish(self, timeout: float = 180.0) -> tuple[int, dict[str, Any] | None]:
        """Exit status and, when there is one, the JSON object on the last line of stdout."""
        assert self.process.stdout is not None
        output = self.process.stdout.read() if self.process.wait(timeout) is not None else ""
        self._reader.join(timeout)
        while (line := self._queue.get()) is not None:
            self.lines.append(line)
        last = output.strip().splitlines()[-1:] if output.strip() else []
        return self.process.returncode, json.loads(last[0]) if last else None

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def children(self) -> dict[int, str]:
        """Command lines of the processes below this home, by process id."""
        return processes_of(self.home)

    def kill_child(self, part: str) -> None:
        """``kill -9`` the oldest child whose command line holds ``part``."""
        pid = min(pid for pid, command in self.children().items() if part in command)
        os.kill(pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                self._reader.join(10)
                stream.close()


def processes_of(home: Path) -> dict[int, str]:
    """Every process that has ``home`` in its command line, environment or working folder, but keepers themselves."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (folder / "environ").read_bytes().decode(errors="replace")
            where = os.readlink(folder / "cwd")
        except OSError:  # gone meanwhile
            continue
        if "keeper.cli run" in command or not command:
            continue
        if str(home) in command or f"ORION_HOME={home}\0" in environment or where.startswith(str(home)):
            found[int(folder.name)] = command
    return found
