"""The set-up's scripts: what is fresh is left alone, what is locked is complete, and what goes wrong is said."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]
TOOLCHAIN = CHECKOUT / "toolchain"
ENVIRONMENT = {"PATH": os.defpath, "HOME": os.environ.get("HOME", "/")}


def run(*command: str | Path, cwd: Path = CHECKOUT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout with nothing installed."""
    shutil.copytree(TOOLCHAIN, tmp_path / "bare" / "toolchain", ignore=shutil.ignore_patterns("node_modules"))
    shutil.copy(CHECKOUT / "Makefile", tmp_path / "bare")
    return tmp_path / "bare"


def locked() -> dict[str, str]:
    pins = {}
    for line in (TOOLCHAIN / "requirements.lock").read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line.removesuffix("\\").strip())
            pins[canonicalize_name(requirement.name)] = str(requirement.specifier)
    return pins


def test_lock_holds_every_requirement_of_the_project() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    pins = locked()
    for text in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]:
        wanted = Requirement(text)
        pin = pins[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(pin.removeprefix("==")), f"{text}, but locked is {pin}: run `make lock`"


def test_every_locked_package_has_a_hash() -> None:
    for name in ("requirements.lock", "uv.requirements.lock"):
        entries = re.split(r"\n(?=\S)", (TOOLCHAIN / name).read_text().strip())
        assert entries
        assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    packages = json.loads((TOOLCHAIN / "package-lock.json").read_text())["packages"]
    packages.pop("")
    assert packages
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())


def test_locks_name_no_host() -> None:
    for path in (*TOOLCHAIN.glob("*.lock"), TOOLCHAIN / "package-lock.json", TOOLCHAIN / ".npmrc"):
        assert not re.search(r"https?://(?!github\.com/sponsors/)", path.read_text()), path


def test_node_lock_is_of_the_packages_asked_for() -> None:
    asked = json.loads((TOOLCHAIN / "package.json").read_text())
    root = json.loads((TOOLCHAIN / "package-lock.json").read_text())["packages"][""]
    for group in ("dependencies", "optionalDependencies"):
        assert root[group] == asked[group], "run `make lock`"


def test_help_lists_every_target() -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert targets is not None
    listed = run("make").stdout
    assert listed == run("make", "help").stdout
    for target in targets[1].split():
        assert re.search(rf"^  {target} +\S", listed, re.MULTILINE), target


@pytest.mark.skipif(not (CHECKOUT / ".venv" / ".stamps" / "tools").exists(), reason="`make setup` has not run here")
def test_fresh_checkout_is_left_alone() -> None:
    stamps = {path: path.stat().st_mtime_ns for path in (CHECKOUT / ".venv" / ".stamps").iterdir()}
    done = run("make", "setup")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path: path.stat().st_mtime_ns for path in (CHECKOUT / ".venv" / ".stamps").iterdir()} == stamps


def fake_python(folder: Path, name: str, version: str, *, venv: bool) -> None:
    """An interpreter that knows its version, and whether it can import venv."""
    folder.mkdir(exist_ok=True)
    script = f'#!/bin/sh\ncase "$2" in *version_info*) echo {version} ;; *) exit {0 if venv else 1} ;; esac\n'
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


def test_unfit_pythons_are_told_apart(bare: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    fake_python(tools, "python3", "3.10", venv=True)
    fake_python(tools, "python3.12", "3.12", venv=False)
    (tools / "python3.11").write_text("#!/bin/sh\necho 'pyenv: python3.11: command not found' >&2; exit 127\n")
    (tools / "python3.11").chmod(0o755)
    for name in ("bash", "cat", "cksum", "mkdir", "chmod", "dirname", "rm", "env"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    done = run(shutil.which("bash") or "bash", bare / "toolchain" / "bootstrap.sh", cwd=bare, PATH=str(tools))
    assert done.returncode == 1
    assert "python3 is Python 3.10;" in done.stderr
    assert "python3.12 lacks venv or ensurepip (on Debian: apt-get install python3.12-venv)" in done.stderr
    assert "pyenv" not in done.stderr
    assert "step 1 (Python environment). Run `make setup` again" in done.stderr


def test_failed_step_is_done_again_and_not_the_ones_before(bare: Path, tmp_path: Path) -> None:
    """An interpreter whose venv has no pip stops the set-up at the second step; with pip mended it passes that step."""
    interpreter = tmp_path / "python3.11"
    interpreter.write_text(
        '#!/bin/sh\ncase "$2" in venv) shift 3; set -- -m venv --without-pip "$@" ;; esac\n'
        f'exec {sys.executable} "$@"\n'
    )
    interpreter.chmod(0o755)
    first = run("make", "setup", cwd=bare, PYTHON3=str(interpreter))
    assert first.returncode == 2
    assert "[1/6] Python environment: done" in first.stderr
    assert "stopped in step 2 (uv, the installer)" in first.stderr
    second = run("make", "setup", cwd=bare, PYTHON3="/gone")
    assert second.returncode == 2
    assert "[1/6]" not in second.stderr
    assert "stopped in step 2 (uv, the installer)" in second.stderr

    [packages] = bare.glob(".venv/lib/python3*/site-packages")
    (packages / "pip.py").write_text("import pathlib; pathlib.Path('.venv/bin/uv').symlink_to('/bin/false')\n")
    third = run("make", "setup", cwd=bare)
    assert "[1/6]" not in third.stderr
    assert "[2/6] uv, the installer: done" in third.stderr
    assert "stopped in step 3 (Python packages" in third.stderr


def test_ci_runs_the_tests_and_finds_the_recorded_data(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / ".ci").mkdir(parents=True)
    shutil.copy(CHECKOUT / ".ci" / "run", checkout / ".ci")
    (checkout / "Makefile").write_text('test:\n\t@echo "data: $$ORION_TEST_DATA"\n')
    command = checkout / ".ci" / "run"
    assert run(command, cwd=tmp_path).stdout == "data: \n"
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert run(command, cwd=tmp_path).stdout == f"data: {tmp_path}/shared/data\n"
    assert run(command, cwd=tmp_path, ORION_TEST_DATA="/elsewhere").stdout == "data: /elsewhere\n"
    (checkout / "Makefile").write_text("test:\n\t@exit 1\n")
    assert run(command, cwd=tmp_path).returncode != 0


def test_first_failing_stage_stops_the_tests_and_tells_its_command(bare: Path) -> None:
    tools = bare / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name, status in (("ruff", 0), ("mypy", 3), ("lint-imports", 0), ("python", 0)):
        (tools / name).write_text(f"#!/bin/sh\necho ran {name}\nexit {status}\n")
        (tools / name).chmod(0o755)
    done = run("bash", bare / "toolchain" / "test.sh")
    assert done.returncode == 3
    assert "mypy failed (status 3" in done.stderr
    assert ". toolchain/env.sh && .venv/bin/mypy" in done.stderr
    assert "ran lint-imports" not in done.stdout
    (tools / "mypy").write_text("#!/bin/sh\n")
    good = run("bash", bare / "toolchain" / "test.sh")
    assert good.returncode == 0
    assert re.search(r"All passed:\n +\d+ s  ruff: rules\n", good.stdout)


def test_browser_step_never_fails(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "uname", "id", "mktemp", "rm", "tail"):
        (tools / name).symlink_to(shutil.which(name) or name)
    script = TOOLCHAIN / "browser.sh"
    bash = shutil.which("bash") or "bash"
    done = run(bash, script, PATH=str(tools))
    assert done.returncode == 0
    assert "Browser tests will be skipped: no Chromium on PATH, and no apt-get" in done.stderr
    (tools / "apt-get").write_text("#!/bin/sh\necho 'E: no route to the mirror' >&2\nexit 100\n")
    (tools / "apt-get").chmod(0o755)
    done = run(bash, script, PATH=str(tools))
    assert done.returncode == 0
    expected = "no route to the mirror" if os.geteuid() == 0 else "only root can install it"
    assert expected in done.stderr
    (tools / "chromium").write_text("#!/bin/sh\n")
    (tools / "chromium").chmod(0o755)
    assert run(bash, script, PATH=str(tools)).stderr == ""


def test_keeper_command_sets_its_own_environment(bare: Path, tmp_path: Path) -> None:
    """Started from anywhere, by a link, with a stranger's settings around it."""
    tools = bare / ".venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "python").write_text(
        '#!/bin/sh\necho "$SOLCX_BINARY_PATH|$APE_DATA_FOLDER|$PYTHONPATH|$PATH"; shift 3; echo "$@"; exit 7\n'
    )
    (tools / "python").chmod(0o755)
    (tools / "keeper").symlink_to("../../toolchain/keeper")
    done = run(tools / "keeper", "run", "--seed", "7 8", cwd=tmp_path, PYTHONPATH="/strange")
    assert done.returncode == 7
    variables, arguments = done.stdout.splitlines()
    assert variables == f"{bare}/.orion/solcx|{bare}/.orion/ape||{tools}:{os.defpath}"
    assert arguments == "run --seed 7 8"
