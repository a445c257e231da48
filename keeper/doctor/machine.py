"""What is installed here: interpreter, packages, programs, room."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from keeper.config import CHECKOUT, Settings
from keeper.doctor.check import Check

ANVIL_VERSION = "1.7.1"
SOLC_VERSION = "0.8.30"
NODE_MAJOR = 20
GLIBC = (2, 35)
PLUGINS = ("eth-ape", "ape-foundry", "ape-solidity", "ape-polygon", "ape-arbitrum", "ape-base", "ape-optimism")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOCK = CHECKOUT / "toolchain" / "requirements.lock"
SET_UP = "Run `make setup`."
REINSTALL = "Run `make clean setup`."
_GIB = 2**30
_LEAST_DISK, _COMFORTABLE_DISK = 1 * _GIB, 4 * _GIB
_TIMEOUT = 20.0


def check_python() -> Check:
    found = f"{platform.python_version()} at {sys.executable}"
    good = (3, 11) <= sys.version_info[:2] < (3, 13)
    return Check("python", good, found, "" if good else "Install Python 3.11 or 3.12, then `make clean setup`.")


def check_packages(lock: Path = LOCK) -> Check:
    """Every package of the lock file whose marker fits this machine is installed in exactly that version."""
    if not lock.is_file():
        return Check("packages", False, f"{lock} is missing", "Restore the file from the repository.")
    wrong, right = [], 0
    for name, version in _locked(lock):
        installed = _installed(name)
        if installed == version:
            right += 1
        else:
            wrong.append(f"{name} is {installed or 'missing'}, should be {version}")
    if wrong:
        return Check("packages", False, "; ".join(wrong[:8]) + ("; ..." if len(wrong) > 8 else ""), REINSTALL)
    return Check("packages", True, f"{right} as locked")


def check_ape() -> Check:
    versions = {name: _installed(name) for name in PLUGINS}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        return Check("ape", False, f"missing: {', '.join(missing)}", REINSTALL)
    return Check("ape", True, ", ".join(f"{name} {version}" for name, version in versions.items()))


def check_libc() -> Check:
    name, version = platform.libc_ver()
    if sys.platform != "linux":
        return Check("libc", True, f"not needed on {sys.platform}")
    good = name == "glibc" and tuple(int(part) for part in version.split(".")[:2]) >= GLIBC
    remedy = "" if good else "anvil needs glibc 2.35 or later: use Debian 12, Ubuntu 22.04 or later."
    return Check("libc", good, f"{name or 'no glibc'} {version}".strip(), remedy)


def check_disk(home: Path) -> Check:
    existing = next(folder for folder in (home, *home.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / _GIB:.1f} GiB free at {existing}"
    if free < _LEAST_DISK:
        return Check("disk", False, found, "Free at least 1 GiB, or put the state elsewhere with ORION_HOME.")
    return Check("disk", True, found, "" if free >= _COMFORTABLE_DISK else "Less than 4 GiB: make room soon.")


def check_artifacts(settings: Settings) -> Check:
    folder = settings.cache_dir / "npm"
    if folder.is_dir() and any(folder.iterdir()):
        return Check("replica artifacts", True, str(folder))
    return Check("replica artifacts", True, "not fetched yet", "Nothing to do: the first `make run` fetches them.")


def check_browser() -> Check:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found:
        return Check("browser", True, found)
    remedy = "Only the browser tests need it. As root: apt-get install --no-install-recommends chromium"
    return Check("browser", True, "no Chromium on PATH", remedy)


async def check_node() -> Check:
    for program in _tools("node"):
        status, said = await _ask(program, "--version")
        version = re.match(r"v(\d+)\.", said)
        good = status == 0 and version is not None and int(version[1]) >= NODE_MAJOR
        return Check("node", good, f"{said} at {program}", "" if good else REINSTALL)
    return Check("node", False, "not found", SET_UP)


async def check_anvil() -> Check:
    """The one beside this Python, which the replica runs, and the first on PATH, which ape runs."""
    programs = list(_tools("anvil"))
    if not programs:
        return Check("anvil", False, "not found", SET_UP)
    for program in programs:
        status, said = await _ask(program, "--version")
        first_line = said.partition("\n")[0]
        if status != 0 or ANVIL_VERSION not in first_line.replace("-", " ").split():
            remedy = f"Version {ANVIL_VERSION} is needed. Take {program.parent} off PATH, or run `make clean setup`."
            return Check("anvil", False, f"{first_line or f'status {status}'} at {program}", remedy)
    return Check("anvil", True, f"{ANVIL_VERSION} at {programs[0]}")


async def check_solc() -> Check:
    folder = Path(os.environ.get("SOLCX_BINARY_PATH") or CHECKOUT / ".orion" / "solcx")
    program = folder / f"solc-v{SOLC_VERSION}"
    if not program.exists():
        return Check("solc", False, f"{program} is missing", SET_UP)
    status, said = await _ask(program, "--version")
    good = status == 0 and f"Version: {SOLC_VERSION}+" in said
    last_line = said.splitlines()[-1] if said else f"status {status}"
    return Check("solc", good, f"{last_line} at {program}", "" if good else REINSTALL)


def _locked(lock: Path) -> Iterator[tuple[str, str]]:
    for line in lock.read_text().splitlines():
        if not line or line[0] in " #":
            continue
        with contextlib.suppress(InvalidRequirement):
            requirement = Requirement(line.removesuffix("\\").strip())
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement.name, str(requirement.specifier).removeprefix("==")


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _tools(name: str) -> Iterator[Path]:
    """The program beside this Python, and the first on PATH when that is another one."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    on_path = shutil.which(name)
    seen = set()
    for found in (beside, on_path):
        if found is not None and (real := Path(found).resolve()) not in seen:
            seen.add(real)
            yield Path(found)


async def _ask(program: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and output of a short-lived program; status 127 when it cannot be run, 124 when it does not end."""
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        return 127, f"cannot be run: {error.strerror}"
    async with _ended(process):
        try:
            async with asyncio.timeout(_TIMEOUT):
                output, _ = await process.communicate()
        except TimeoutError:
            return 124, f"did not end within {_TIMEOUT:g} s"
    return process.returncode or 0, output.decode(errors="replace").strip()


@contextlib.asynccontextmanager
async def _ended(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
