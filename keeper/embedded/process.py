"""A server that the keeper runs for itself: started, awaited, logged, and gone when the keeper is gone."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from keeper.domain.errors import ComponentError
from keeper.embedded.launcher import KEEP

_LAUNCHER = Path(__file__).with_name("launcher.py")
_TAIL_BYTES = 64 * 1024
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.2


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment; another process may still be quicker."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ManagedProcess:
    """One child process in a session of its own, so that Ctrl-C in the terminal reaches the keeper alone.

    On Linux the kernel sends the child ``death_signal`` when the thread that started it ends, even by ``kill -9``:
    start it from the thread that lives as long as the keeper.

    Args:
        name: as the operator knows it; also the name of the log file.
        argv: program and arguments; the program is looked up on PATH.
        log_dir: folder of ``<name>.log``; the log of the start before is kept as ``<name>.log.1``.
        env: the whole environment of the child; the keeper's own when None.
        cwd: working folder; the keeper's when None, or ``/`` when another user runs the child.
        user: name of the account to run as; needs root.
        stop_signal: asks the program to finish in order.
        death_signal: sent by the kernel when the keeper dies.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log_dir: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.log_path = log_dir / f"{name}.log"
        self._env = env
        self._cwd = cwd
        self._user = user
        self._stop_signal = stop_signal
        self._death_signal = death_signal
        self._process: asyncio.subprocess.Process | None = None
        self._log_fd: int | None = None

    @property
    def pid(self) -> int | None:
        """Process id, kept after the end; None before the start."""
        return None if self._process is None else self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for the signal that ended it; None before the start and while it runs."""
        return None if self._process is None else self._process.returncode

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the program. `ComponentError` when it is running already or cannot be found."""
        if self.running:
            raise ComponentError(self.name, f"runs already as process {self.pid}", "Stop it before starting it again.")
        program = self._program()
        uid, gid, cwd = KEEP, KEEP, self._cwd
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            uid, gid, cwd = str(account.pw_uid), str(account.pw_gid), cwd or Path("/")
        self._open_log()
        launcher = (sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(int(self._death_signal)))
        self._process = await asyncio.create_subprocess_exec(
            *(*launcher, uid, gid, program, *self.argv[1:]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._log_fd,
            stderr=asyncio.subprocess.STDOUT,
            env=self._env,
            cwd=cwd,
            start_new_session=True,
        )

    async def wait_ready(self, probe: Callable[[], Awaitable[bool]], timeout: float) -> None:  # noqa: ASYNC109
        """Wait until ``probe`` answers True; an `OSError` in it (nobody listens yet) counts as False.

        Raises `ComponentError` with the last lines of the log when the program ends or ``timeout`` seconds pass.
        """
        process = self._started()
        ended = asyncio.create_task(process.wait())
        ready = asyncio.create_task(until(probe))
        try:
            await asyncio.wait({ended, ready}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise ComponentError(self.name, f"ended with status {ended.result()} while starting", self._advice())
            if not ready.done():
                raise ComponentError(self.name, f"did not answer within {timeout:g} s of its start", self._advice())
            ready.result()
        finally:
            for task in (ended, ready):
                task.cancel()
            await asyncio.gather(ended, ready, return_exceptions=True)

    async def wait(self) -> int:
        """Wait for the end of the program and return its exit status."""
        return await self._started().wait()

    async def stop(self, grace: float = 5.0) -> None:
        """Ask it to finish, kill it and its whole process group after ``grace`` seconds; harmless when it has ended."""
        process = self._process
        if process is None or self._log_fd is None:
            return
        try:
            if process.returncode is None:
                process.send_signal(self._stop_signal)
                async with asyncio.timeout(grace):
                    await process.wait()
        except (ProcessLookupError, TimeoutError):
            pass  # gone between the two lines, or deaf: what follows settles both
        finally:
            self._kill_group(process.pid)
            await process.wait()
            self._close_log()

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that the program wrote, of this start or of the last one."""
        if self._log_fd is not None:
            size = os.fstat(self._log_fd).st_size
            written = os.pread(self._log_fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        elif self.log_path.exists():
            written = self.log_path.read_bytes()[-_TAIL_BYTES:]
        else:
            return ""
        return "\n".join(written.decode(errors="replace").splitlines()[-lines:])

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _program(self) -> str:
        found = shutil.which(self.argv[0], path=None if self._env is None else self._env.get("PATH"))
        if found is None:
            raise ComponentError(self.name, f"the program {self.argv[0]} was not found", "Run `make setup`.")
        return os.path.abspath(found)

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise ComponentError(self.name, "has not been started", "Call start() first.")
        return self._process

    def _advice(self) -> str:
        tail = self.log_tail()
        shown = f"It said:\n{tail}\n" if tail else "It said nothing. "
        return f"{shown}Read {self.log_path} and run `keeper doctor`."

    def _open_log(self) -> None:
        self._close_log()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        if self.log_path.exists():
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        self._log_fd = os.open(self.log_path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _close_log(self) -> None:
        if self._log_fd is not None:
            os.close(self._log_fd)
            self._log_fd = None

    @staticmethod
    def _kill_group(leader: int) -> None:
        """End the leader, and whatever it left behind in its session's group."""
        try:
            os.killpg(leader, signal.SIGKILL)
        except ProcessLookupError:
            return


async def until(probe: Callable[[], Awaitable[bool]]) -> None:
    """Ask ``probe`` with growing pauses until it answers True. The caller sets the bound."""
    pause = _FIRST_PAUSE
    while True:
        try:
            if await probe():
                return
        except OSError:
            pass  # nobody listens yet
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
