"""An environment of its own for a peer that needs another Python or other packages than this project.

It lies in ``.orion/peers``, is made at the first use from a lock file beside this module, and is used again after.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keeper.domain.errors import ComponentError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ROOT / ".orion" / "peers"
OLDEST = (3, 12)
MINORS = range(20, OLDEST[1] - 1, -1)
PROBE_SECONDS, INSTALL_SECONDS = 60, 600
UV = str(Path(sys.executable).with_name("uv"))
INSTALL = (UV, "pip", "install", "--quiet", "--no-deps", "--require-hashes")  # the lock file is complete


def python_of_peer(name: str, say: Callable[[str], None]) -> Path:
    """The interpreter of peer ``name``, whose ``<name>.lock`` is installed and whose ``<name>.py --probe`` runs.

    Raises:
        ComponentError: there is no Python that runs it, or its packages cannot be had.
    """
    lock = HERE / f"{name}.lock"
    home = PEERS / name
    python, stamp = home / "bin" / "python", home / ".lock"
    if python.exists() and stamp.exists() and stamp.read_bytes() == lock.read_bytes() and _probe(python, name) is None:
        return python
    tried = []
    for interpreter in interpreters():
        say(f"{name}: installing into an environment on {_version(interpreter)}")
        shutil.rmtree(home, ignore_errors=True)
        problem = (
            _run([UV, "venv", "--quiet", "--no-python-downloads", "--python", interpreter, str(home)])
            or _run([*INSTALL, "--python", str(python), "-r", str(lock)])
            or _probe(python, name)
        )
        if problem is None:
            stamp.write_bytes(lock.read_bytes())
            return python
        tried.append(f"on Python {_version(interpreter)}: {problem}")
    shutil.rmtree(home, ignore_errors=True)
    oldest = ".".join(map(str, OLDEST))
    raise ComponentError(
        f"peer {name}",
        "; ".join(tried) or f"no Python of {oldest} or later runs here",
        f"Put a Python of {oldest} or later on PATH and see that the package registry can be reached.",
    )


def interpreters() -> Iterator[str]:
    """Pythons that run and are new enough, each version once: of this process, on PATH, of pyenv, of uv.

    Every candidate is executed: version managers leave shims of versions that are not there.
    """
    seen: set[tuple[int, ...]] = set()
    for candidate in _candidates():
        version = _version_of(candidate)
        if version is not None and version >= OLDEST and version not in seen:
            seen.add(version)
            yield candidate


def answer_of_peer(python: Path, name: str, request: Path, seconds: float) -> Any:
    """What ``<name>.py`` prints on its last line, as JSON, for the file ``request``.

    Raises:
        ComponentError: it failed, took longer than ``seconds``, or printed something else.
    """
    remedy = "Run it by hand to see more."
    try:
        done = subprocess.run(
            [str(python), "-I", str(HERE / f"{name}.py"), str(request)],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired as error:
        raise ComponentError(f"peer {name}", f"took longer than {seconds:.0f} s", remedy) from error
    except subprocess.CalledProcessError as error:
        raise ComponentError(f"peer {name}", _last_line(error.stderr), remedy) from error
    except (IndexError, ValueError) as error:
        raise ComponentError(f"peer {name}", "printed no JSON", remedy) from error


def _candidates() -> Iterator[str]:
    yield sys.executable
    names = [f"python3.{minor}" for minor in MINORS] + ["python3"]
    for folder in os.get_exec_path():
        yield from (str(Path(folder, name)) for name in names)
    for home in (os.environ.get("PYENV_ROOT"), str(Path.home() / ".pyenv")):
        if home:
            yield from map(str, sorted(Path(home, "versions").glob("*/bin/python"), reverse=True))
    command = [UV, "python", "list", "--only-installed", "--output-format", "json"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PROBE_SECONDS).stdout
    except (OSError, subprocess.SubprocessError):
        return
    yield from (str(row["path"]) for row in json.loads(listed))


def _version_of(candidate: str) -> tuple[int, ...] | None:
    """None when it is not there, does not run, or is not CPython."""
    if not Path(candidate).is_file():
        return None
    program = "import sys, venv; print(*sys.version_info[:3], sys.implementation.name)"
    try:
        command = [candidate, "-I", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    *version, implementation = done.stdout.split() or ["", ""]
    if done.returncode != 0 or implementation != "cpython":
        return None
    return tuple(map(int, version))


def _version(candidate: str) -> str:
    return ".".join(map(str, _version_of(candidate) or ()))


def _probe(python: Path, name: str) -> str | None:
    return _run([str(python), "-I", str(HERE / f"{name}.py"), "--probe"])


def _run(command: list[str]) -> str | None:
    """None when it succeeds, else what it said last."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}: {command[0]}"
    return None if done.returncode == 0 else _last_line(done.stderr)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
