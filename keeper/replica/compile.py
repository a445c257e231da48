"""Compiles the stand-ins, and the protocols that npm ships as source only, with the compiler's npm build.

Output is cached by a hash of the whole compiler input, sources included, so a change of any line compiles again and
nothing else does.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from keeper.config import CHECKOUT
from keeper.domain.errors import ComponentError, InputError

STAND_IN_DIR = Path(__file__).with_name("solidity")
_IMPORT = re.compile(r"^\s*import\s+(?:[^\"';]*from\s+)?[\"']([^\"']+)[\"']", re.MULTILINE)
_RUN_SOLC = """
const solc = require(process.argv[1]);
const chunks = [];
process.stdin.on('data', chunk => chunks.push(chunk));
process.stdin.on('end', () => process.stdout.write(solc.compile(Buffer.concat(chunks).toString())));
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """One run of the compiler.

    Attributes:
        compiler: npm folder of the compiler below ``toolchain/node_modules``.
        entries: source paths to compile, as imports would name them.
        roots: folder by import prefix; the longest prefix that fits wins.
        settings: ``settings`` of the compiler's standard JSON.
    """

    compiler: str
    entries: tuple[str, ...]
    roots: Mapping[str, Path]
    settings: Mapping[str, Any]


def stand_ins() -> Unit:
    return Unit(
        compiler="solc",
        entries=tuple(sorted(path.name for path in STAND_IN_DIR.glob("*.sol"))),
        roots={"": STAND_IN_DIR},
        settings={"optimizer": {"enabled": True, "runs": 200}, "evmVersion": "cancun"},
    )


def morpho(package: Path) -> Unit:
    """Morpho Blue with the settings of its own build: 0.8.19, via IR, 999999 runs, no metadata hash."""
    return Unit(
        compiler="solc019",
        entries=("src/Morpho.sol",),
        roots={"": package},
        settings={
            "optimizer": {"enabled": True, "runs": 999_999},
            "viaIR": True,
            "evmVersion": "paris",
            "metadata": {"bytecodeHash": "none"},
        },
    )


def solidly(package: Path, openzeppelin: Path) -> Unit:
    contracts = "domains/aerodrome/contracts"
    return Unit(
        compiler="solc",
        entries=(f"{contracts}/Pool.sol", f"{contracts}/factories/PoolFactory.sol"),
        roots={"": package, "@openzeppelin/contracts/": openzeppelin},
        settings={"optimizer": {"enabled": True, "runs": 200}, "evmVersion": "cancun"},
    )


def gather_sources(unit: Unit) -> dict[str, str]:
    """The entries and all that they import, by the name under which the compiler asks for them."""
    sources: dict[str, str] = {}
    waiting = list(unit.entries)
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        prefix = max((prefix for prefix in unit.roots if name.startswith(prefix)), key=len)
        path = unit.roots[prefix] / name.removeprefix(prefix)
        if not path.is_file():
            raise InputError("solidity import", name, f"There is no {path}; list it in pins.json.")
        text = path.read_text()
        sources[name] = text
        folder = PurePosixPath(name).parent
        for imported in _IMPORT.findall(text):
            relative = imported.startswith(".")
            waiting.append(os.path.normpath(folder / imported) if relative else imported)
    return sources


async def compile_unit(unit: Unit, home: Path) -> dict[str, bytes]:
    """Init code by contract name, for the contracts of the unit's entries.

    Raises:
        InputError: the sources do not compile.
        ComponentError: the compiler is missing or broke down.
    """
    selection = {entry: {"*": ["evm.bytecode.object"]} for entry in unit.entries}
    request = orjson.dumps(
        {
            "language": "Solidity",
            "sources": {name: {"content": text} for name, text in sorted(gather_sources(unit).items())},
            "settings": {**unit.settings, "outputSelection": selection},
        },
        option=orjson.OPT_SORT_KEYS,
    )
    digest = hashlib.sha256(unit.compiler.encode() + b"\0" + request).hexdigest()
    cached = home / "cache" / "solidity" / f"{digest[:32]}.json"
    if not cached.is_file():
        code = _init_codes(unit.entries, await _run(unit.compiler, request))
        _keep(cached, orjson.dumps(code))
    return {name: bytes.fromhex(digits) for name, digits in orjson.loads(cached.read_bytes()).items()}


def _keep(path: Path, content: bytes) -> None:
    """Write by rename: whoever reads at the same time sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as staged:
        staged.write(content)
    Path(staged.name).replace(path)


def _compiler_folder(name: str) -> Path:
    folder = CHECKOUT / "toolchain" / "node_modules" / name
    if not folder.is_dir():
        raise ComponentError("solidity compiler", f"{folder} is missing", "Run `make setup`.")
    return folder


async def _run(compiler: str, request: bytes) -> dict[str, Any]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    node = shutil.which("node", path=path)
    if node is None:
        raise ComponentError("node", "it is not on PATH", "Run `make setup`, which puts it into .venv.")
    process = await asyncio.create_subprocess_exec(
        node, "-e", _RUN_SOLC, str(_compiler_folder(compiler)),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, errors = await process.communicate(request)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise ComponentError(
            "solidity compiler", f"exit code {process.returncode}: {errors.decode(errors='replace')[-500:]}",
            "Run `make setup` to install it anew.",
        )  # fmt: skip
    answer: dict[str, Any] = orjson.loads(output)
    return answer


def _init_codes(entries: Sequence[str], answer: dict[str, Any]) -> dict[str, str]:
    problems = [error for error in answer.get("errors", []) if error["severity"] == "error"]
    if problems:
        raise InputError("solidity source", problems[0]["formattedMessage"][:400], "Mend the source.")
    return {
        name: contract["evm"]["bytecode"]["object"]
        for entry in entries
        for name, contract in answer["contracts"].get(entry, {}).items()
        if contract["evm"]["bytecode"]["object"]
    }
