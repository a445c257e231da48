"""A contract's bytecode as a function of its sources alone: the compiler's input, its output, and what is in it.

Deployment and verification share it. The input holds the contract's file and what it imports, nothing else, so that
another contract in the same folder changes neither the bytecode nor the address that follows from it.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from keeper.config import CHECKOUT
from keeper.domain.errors import ComponentError, InputError
from keeper.domain.units import Address, to_address

EXECUTOR: Final = "Executor"
ADAPTER: Final = "Adapter"
SETTINGS: Final[dict[str, Any]] = {
    "optimizer": {"enabled": True, "runs": 1_000_000},
    "evmVersion": "cancun",
    "viaIR": True,
}
"""As in the ``solidity`` section of ``ape-config.yaml``, which a test holds them to."""
_OUTPUT: Final = ["evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"]
_COMPILE_SECONDS: Final = 300
_IMPORT = re.compile(r"^\s*import\s+(?:[^\"';]*from\s+)?[\"']([^\"']+)[\"']", re.MULTILINE)
_VERSION = re.compile(r"(\d+\.\d+\.\d+\+commit\.[0-9a-f]{8})")
_WORD = 32


@dataclass(frozen=True, slots=True)
class Build:
    """One contract, compiled.

    Attributes:
        request: the compiler's standard JSON input, without an output selection.
        compiler: its version with the commit, as explorers want it: ``0.8.30+commit.73712a01``.
        init_code: without the constructor's arguments.
        runtime: with zeros in place of the immutables.
        immutables: offsets of each immutable's 32-byte words in ``runtime``, in order of declaration.
        contract: its name, which is also that of its file.
    """

    request: Mapping[str, Any]
    compiler: str
    init_code: bytes
    runtime: bytes
    immutables: tuple[tuple[int, ...], ...]
    contract: str = EXECUTOR

    @property
    def name(self) -> str:
        """The contract as explorers name it, with the path of its source."""
        return f"{_source_of(self.contract)}:{self.contract}"

    def read_immutables(self, deployed: bytes) -> tuple[bytes, ...]:
        """The immutables in ``deployed``, 32 bytes each, in order of declaration.

        Raises:
            InputError: ``deployed`` is not this build: its length, a byte beside the immutables, or two places of one
                immutable differ. The message names the first of them.
        """
        if len(deployed) != len(self.runtime):
            raise InputError("deployed code", f"{len(deployed)} bytes", f"This build has {len(self.runtime)} bytes.")
        masked = bytearray(deployed)
        values = []
        for offsets in self.immutables:
            words = {deployed[at : at + _WORD] for at in offsets}
            if len(words) != 1:
                raise InputError("deployed code", sorted(word.hex() for word in words), "One immutable has two values.")
            values.append(words.pop())
            for at in offsets:
                masked[at : at + _WORD] = bytes(_WORD)
        if masked != self.runtime:
            at = next(at for at, pair in enumerate(zip(masked, self.runtime, strict=True)) if pair[0] != pair[1])
            raise InputError(
                "deployed code", f"byte {at} is {masked[at]:#04x}", f"This build has {self.runtime[at]:#04x}."
            )
        return tuple(values)

    def roles_in(self, deployed: bytes) -> tuple[Address, Address]:
        """Operator and treasury of a deployed executor; raises `InputError` when it is not this build."""
        operator, treasury = (
            to_address("0x" + value[12:].hex(), "immutable") for value in self.read_immutables(deployed)
        )
        return operator, treasury


def executor_build(checkout: Path = CHECKOUT) -> Build:
    """The executor of ``checkout``, as `contract_build` makes it."""
    return contract_build(EXECUTOR, checkout)


def contract_build(contract: str, checkout: Path = CHECKOUT) -> Build:
    """A contract of ``checkout`` by name; compiled when ``.build`` does not hold the output for exactly this input.

    Raises:
        InputError: the sources do not compile.
        ComponentError: the compiler is missing or broke down.
    """
    request = {"language": "Solidity", "sources": _sources(checkout, contract), "settings": SETTINGS}
    selection = {"outputSelection": {_source_of(contract): {contract: _OUTPUT}}}
    body = orjson.dumps({**request, "settings": SETTINGS | selection}, option=orjson.OPT_SORT_KEYS)
    compiler = _compiler_version()
    digest = hashlib.sha256(compiler.encode() + b"\0" + body).hexdigest()
    kept = CHECKOUT / ".build" / contract.lower() / f"{digest[:32]}.json"
    if kept.is_file():
        code = orjson.loads(kept.read_bytes())
    else:
        code = _code_in(orjson.loads(_solc("--standard-json", body)), contract)
        _keep(kept, orjson.dumps(code))
    references = code["deployedBytecode"]["immutableReferences"]
    return Build(
        request=request,
        compiler=compiler,
        init_code=bytes.fromhex(code["bytecode"]["object"]),
        runtime=bytes.fromhex(code["deployedBytecode"]["object"]),
        # the keys are ids of the syntax tree, which count up in the order of the source
        immutables=tuple(tuple(place["start"] for place in references[name]) for name in sorted(references, key=int)),
        contract=contract,
    )


def _source_of(contract: str) -> str:
    return f"contracts/{contract}.sol"


def _sources(checkout: Path, contract: str) -> dict[str, dict[str, str]]:
    """The contract's file and all that it imports, by the name under which the compiler asks for them."""
    found: dict[str, dict[str, str]] = {}
    waiting = [_source_of(contract)]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            text = (checkout / name).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError("solidity import", name, f"There is no {checkout / name}.") from error
        found[name] = {"content": text}
        folder = posixpath.dirname(name)
        waiting += [posixpath.normpath(posixpath.join(folder, imported)) for imported in _IMPORT.findall(text)]
    return dict(sorted(found.items()))


def _code_in(answer: Any, contract: str) -> Any:
    problems = [error for error in answer.get("errors", []) if error["severity"] == "error"]
    if problems:
        raise InputError("solidity source", problems[0]["formattedMessage"][:400], "Mend the source.")
    return answer["contracts"][_source_of(contract)][contract]["evm"]


def _compiler_version() -> str:
    told = _solc("--version").decode(errors="replace")
    found = _VERSION.search(told)
    if found is None:
        raise ComponentError("solidity compiler", f"it says {told[:120]!r} of its version", "Run `make setup`.")
    return found.group(1)


def _solc(option: str, body: bytes = b"") -> bytes:
    node, script = CHECKOUT / ".venv" / "bin" / "node", CHECKOUT / "toolchain" / "solc.js"
    try:
        done = subprocess.run(
            [str(node), "--stack-size=8000", str(script), option],
            input=body,
            capture_output=True,
            check=False,
            timeout=_COMPILE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ComponentError("solidity compiler", str(error), "Run `make setup`.") from error
    if done.returncode != 0:
        text = done.stderr.decode(errors="replace")[-300:]
        raise ComponentError("solidity compiler", f"exit code {done.returncode}: {text}", "Run `make setup`.")
    return done.stdout


def _keep(path: Path, content: bytes) -> None:
    """Write by rename: whoever reads at the same time sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}")
    staged.write_bytes(content)
    staged.replace(path)
