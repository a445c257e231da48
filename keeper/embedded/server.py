"""What the private servers have in common: own data, a free port, a bounded start, an end with the keeper."""

from __future__ import annotations

import asyncio
import fcntl
import os
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from keeper.domain.errors import ComponentError
from keeper.embedded.process import ManagedProcess, free_port

_MOST_INSTANCES = 8
_MOST_ATTEMPTS = 5
_START_TIMEOUT = 30.0


class EmbeddedServer(ABC):
    """A server on loopback for one keeper; its data lies in ``<home>/state`` and outlives it.

    The first keeper of a home uses instance 1. Another one beside it, while the first runs, gets instance 2 with data
    and a port of its own, and so on. After `start`, `url` says how to connect. A server that ended by itself can be
    started again: it comes back on the same port with the same password.
    """

    kind: ClassVar[str]
    """Short name, for folders, logs and messages."""
    transient: ClassVar[tuple[str, ...]] = ()
    """Last words after which a start is worth another attempt on the same port."""

    def __init__(self, home: Path, log_dir: Path) -> None:
        self.state_dir = home.absolute() / "state"
        self.log_dir = log_dir
        self.instance = 1
        self._lock: int | None = None
        self._port: int | None = None
        self._process: ManagedProcess | None = None

    @property
    def name(self) -> str:
        """``postgres`` for the first instance of a home, ``postgres-2`` for the second."""
        return self.kind if self.instance == 1 else f"{self.kind}-{self.instance}"

    @property
    def port(self) -> int:
        if self._port is None:
            raise ComponentError(self.kind, "has not been started", "Call start() first.")
        return self._port

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect, password included: never log it."""

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def in_use(self) -> bool:
        """Whether another keeper runs the first instance of this home at this moment."""
        path = self.state_dir / f"{self.kind}.lock"
        if not path.exists():
            return False
        with path.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    async def start(self, port: int | None = None) -> None:
        """Start and wait until it answers; `ComponentError` with the last lines of its log when it does not.

        Args:
            port: the one to try first; a free one when None. When it is taken, another one is used.
        """
        if self.running:
            raise ComponentError(self.name, f"runs already as process {self.pid}", "Stop it before starting it again.")
        try:
            self._claim()
            await self._prepare()
            await self._serve(port or self._port or free_port())
        except OSError as error:
            await self.stop()
            problem = f"cannot use {self.state_dir} or {self.log_dir} ({error})"
            remedy = "Make both writable and leave room on the disk, or name another folder with ORION_HOME."
            raise ComponentError(self.name, problem, remedy) from error
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        """Wait for the server's end, wanted or not, and return its exit status."""
        if self._process is None:
            raise ComponentError(self.name, "has not been started", "Call start() first.")
        return await self._process.wait()

    async def stop(self, grace: float = 10.0) -> None:
        """End the server in order, by force after ``grace`` seconds; harmless when it does not run."""
        try:
            if self._process is not None:
                await self._process.stop(grace)
        finally:
            self._release()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @abstractmethod
    async def _prepare(self) -> None:
        """Bring data and configuration into the state that a start needs."""

    @abstractmethod
    def _program(self, port: int) -> ManagedProcess:
        """The server, not yet started."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether a client can log in and be served."""

    async def _serve(self, port: int) -> None:
        for attempt in range(1, _MOST_ATTEMPTS + 1):
            self._port = port
            self._process = self._program(port)
            await self._process.start()
            try:
                await self._process.wait_ready(self._answers, _START_TIMEOUT)
                return
            except ComponentError:
                last_words = self._process.log_tail()
                taken = "Address already in use" in last_words
                if attempt == _MOST_ATTEMPTS or not (taken or any(word in last_words for word in self.transient)):
                    raise
                await self._process.stop()
                port = free_port() if taken else port
                await asyncio.sleep(0.1 * attempt)

    def _claim(self) -> None:
        """Take the first instance that no running keeper holds; the kernel frees the lock when a keeper dies."""
        if self._lock is not None:
            return
        self.state_dir.mkdir(parents=True, exist_ok=True)
        for self.instance in range(1, _MOST_INSTANCES + 1):
            descriptor = os.open(self.state_dir / f"{self.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            self._lock = descriptor
            return
        raise ComponentError(
            self.kind,
            f"{_MOST_INSTANCES} keepers already use {self.state_dir}",
            "Stop one of them, or give this one a folder of its own with ORION_HOME.",
        )

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
