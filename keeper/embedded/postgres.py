"""The private database: PostgreSQL from a wheel, run as an account without rights when the keeper runs as root."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import sys
from pathlib import Path

import psycopg

from keeper.domain.errors import ComponentError
from keeper.embedded.placement import Placement, find_place
from keeper.embedded.process import ManagedProcess, until
from keeper.embedded.server import EmbeddedServer

_ROLE = _DATABASE = "orion"
_INITDB_TIMEOUT = 120.0
_PREDECESSOR_TIMEOUT = 10.0
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}
_REMEDY = "Read {log} and run `keeper doctor`, or set ORION_DATABASE_URL to a server of your own."


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL on loopback only, without a socket file, behind a password of its own (SCRAM).

    Data lies in ``<home>/state/postgres``, or in a folder below ``/var/lib/alpha-orion`` where root's keeper has its
    home in a folder that is closed to other accounts (see `keeper.embedded.placement`). The server keeps its safe
    defaults (fsync, full page writes): what was committed survives a power cut.
    """

    kind = "postgres"
    transient = ("is still in use", "postmaster.pid")

    def __init__(self, home: Path, log_dir: Path) -> None:
        super().__init__(home, log_dir)
        self._password = ""
        self._place: Placement | None = None

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{_ROLE}:{self._password}@127.0.0.1:{self.port}/{_DATABASE}"

    def running_url(self) -> str | None:
        """Where the server answers that another keeper of this home runs as its first instance; None without one."""
        if not self.in_use():
            return None
        self._place = find_place(self.state_dir, self.kind)
        try:
            # the fourth line of PostgreSQL's own note is its port
            port = int((self.data_dir / "postmaster.pid").read_text().splitlines()[3])
            self._password = self._password_file.read_text().strip()
        except (OSError, IndexError, ValueError):
            return None
        self._port = port
        return self.url

    @property
    def place(self) -> Placement:
        if self._place is None:
            raise ComponentError(self.kind, "has not been started", "Call start() first.")
        return self._place

    @property
    def data_dir(self) -> Path:
        return self.place.folder / "data"

    async def _prepare(self) -> None:
        if self._place is None:
            self._place = await asyncio.to_thread(find_place, self.state_dir, self.name)
        self._password = self._remembered_password()
        if self.data_dir.exists():
            self._check_version()
            await self._see_predecessor_off()
        else:
            await self._create_cluster()

    def _program(self, port: int) -> ManagedProcess:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": "50",
            "log_timezone": "UTC",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return ManagedProcess(
            self.name,
            [str(self.place.binary("postgres")), "-D", str(self.data_dir), *options],
            log_dir=self.log_dir,
            env=_ENVIRONMENT,
            user=self.place.user,
            stop_signal=signal.SIGINT,  # "fast": rolls open transactions back; SIGTERM would wait for every client
            death_signal=signal.SIGQUIT,  # "immediate": takes its children along, the next start replays the log
        )

    async def _answers(self) -> bool:
        try:
            connection = await self._connect("postgres")
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                raise ComponentError(
                    self.name,
                    "does not accept the password in " + str(self._password_file),
                    f"Put the right password back, or move {self.place.folder} away to begin with an empty database.",
                ) from error
            return False
        async with connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_DATABASE,))
            if await found.fetchone() is None:
                await connection.execute(f"CREATE DATABASE {_DATABASE}")
        return True

    async def _connect(self, database: str) -> psycopg.AsyncConnection[tuple[object, ...]]:
        return await psycopg.AsyncConnection.connect(
            host="127.0.0.1",
            port=self.port,
            user=_ROLE,
            password=self._password,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    @property
    def _password_file(self) -> Path:
        return self.state_dir / f"{self.name}.password"

    def _remembered_password(self) -> str:
        if not self._password_file.exists():
            fresh = self._password_file.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            fresh.touch(mode=0o600, exist_ok=False)
            fresh.write_text(secrets.token_urlsafe(24))
            fresh.replace(self._password_file)
        return self._password_file.read_text().strip()

    def _check_version(self) -> None:
        written_by = (self.data_dir / "PG_VERSION").read_text().strip()
        if not re.match(rf"{re.escape(written_by)}\b", self.place.version):
            raise ComponentError(
                self.name,
                f"{self.data_dir} was written by PostgreSQL {written_by}, installed is {self.place.version}",
                "Install the old version and dump the data with its pg_dump, or move the folder away.",
            )

    async def _create_cluster(self) -> None:
        """Make an empty cluster beside its place and move it there when it is complete."""
        unfinished = self.place.folder / "data.new"
        given_password = self.place.folder / "password.new"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        given_password.unlink(missing_ok=True)
        self.place.write_private(given_password, self._password)
        argv = [str(self.place.binary("initdb")), "-D", str(unfinished), "-U", _ROLE, f"--pwfile={given_password}"]
        argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        name = f"{self.name}-initdb"
        try:
            initdb = ManagedProcess(name, argv, log_dir=self.log_dir, env=_ENVIRONMENT, user=self.place.user)
            async with initdb, asyncio.timeout(_INITDB_TIMEOUT):
                status = await initdb.wait()
        except TimeoutError:
            raise self._initdb_failed(initdb, f"took longer than {_INITDB_TIMEOUT:g} s") from None
        finally:
            given_password.unlink()
        if status != 0:
            raise self._initdb_failed(initdb, f"ended with status {status}")
        unfinished.replace(self.data_dir)

    def _initdb_failed(self, initdb: ManagedProcess, problem: str) -> ComponentError:
        remedy = f"It said:\n{initdb.log_tail()}\n{_REMEDY.format(log=initdb.log_path)}"
        return ComponentError(self.name, f"initdb {problem}", remedy)

    async def _see_predecessor_off(self) -> None:
        """Deal with a server that a killed keeper left behind: it may still be ending, or be a mere note of a process.

        This keeper holds the lock of the instance, so no other keeper can be using the server. The process id in the
        note may belong to somebody else by now; only a process that really serves this folder is touched.
        """
        note = self.data_dir / "postmaster.pid"
        if not (note.exists() and sys.platform == "linux"):  # elsewhere PostgreSQL's own check has to do
            return
        words = note.read_text().split(maxsplit=1)
        pid = int(words[0]) if words and words[0].isdecimal() else 0
        for step in (None, signal.SIGQUIT, signal.SIGKILL):
            if not self._serves_here(pid):
                break
            if step is not None:
                os.kill(pid, step)
            await self._until_gone(pid)
        if self._serves_here(pid):
            raise ComponentError(
                self.name, f"process {pid} still holds {self.data_dir}", f"End it with `kill -9 {pid}` and start again."
            )
        note.unlink(missing_ok=True)

    def _serves_here(self, pid: int) -> bool:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return os.fsencode(self.data_dir) in command

    async def _until_gone(self, pid: int) -> None:
        async def gone() -> bool:
            return not self._serves_here(pid)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PREDECESSOR_TIMEOUT):
                await until(gone)
