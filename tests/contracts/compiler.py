"""Compiles Solidity once for each content, with the project's own compiler and settings."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
CONTRACTS = CHECKOUT / "contracts"
STAND_INS = Path(__file__).with_name("solidity")
SETTINGS = {
    "optimizer": {"enabled": True, "runs": 1_000_000},
    "evmVersion": "cancun",
    "viaIR": True,
    "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"]}},
}


QUICK_OPTIMIZER = {"enabled": False, "details": {"yul": True, "yulDetails": {"optimizerSteps": "dhfDIul:"}}}
"""Just enough for the stack to suffice; for contracts whose gas does not matter."""

EXPECTED_WARNINGS = {
    "2394",  # transient storage has to be cleared at the end: it is, and tested
    "3628",  # the payable fallback without receive: coins are neither needed nor looked for
}


@dataclass(frozen=True)
class Compiled:
    """One contract: ``storage`` lists its state variables in storage."""

    abi: list[dict[str, Any]]
    init_code: bytes
    runtime: bytes
    storage: list[dict[str, Any]]


def read_sources(folder: Path, prefix: str = "") -> dict[str, str]:
    """Every Solidity file below ``folder``, named relative to it."""
    return {
        prefix + path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.sol"))
    }


def executor_sources() -> dict[str, str]:
    """All but the adapter's, whose names say so."""
    return {name: text for name, text in read_sources(CONTRACTS).items() if "adapter" not in name.lower()}


def adapter_sources() -> dict[str, str]:
    return {name: text for name, text in read_sources(CONTRACTS).items() if "adapter" in name.lower()}


def compile_sources(sources: Mapping[str, str], *, quick: bool = False) -> dict[str, Compiled]:
    """Contracts by name, from the cache where the same was compiled before.

    Args:
        quick: barely optimize, and let warnings pass.

    Raises:
        AssertionError: with the compiler's messages.
    """
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {**SETTINGS, "optimizer": QUICK_OPTIMIZER} if quick else SETTINGS,
    }
    output = _compiled(json.dumps(request, sort_keys=True), quick)
    return {
        name: Compiled(
            abi=contract["abi"],
            init_code=bytes.fromhex(contract["evm"]["bytecode"]["object"]),
            runtime=bytes.fromhex(contract["evm"]["deployedBytecode"]["object"]),
            storage=contract["storageLayout"]["storage"],
        )
        for contracts in output["contracts"].values()
        for name, contract in contracts.items()
    }


def compile_yul(source: str) -> bytes:
    """Init code of one object in Yul, from the cache where the same was compiled before.

    Raises:
        AssertionError: with the compiler's messages.
    """
    settings = {
        "optimizer": SETTINGS["optimizer"],
        "evmVersion": SETTINGS["evmVersion"],
        "outputSelection": {"*": {"*": ["evm.bytecode.object"]}},
    }
    request = {"language": "Yul", "sources": {"object.yul": {"content": source}}, "settings": settings}
    (compiled,) = _compiled(json.dumps(request, sort_keys=True), False)["contracts"]["object.yul"].values()
    return bytes.fromhex(compiled["evm"]["bytecode"]["object"])


def _compiled(body: str, quick: bool) -> Any:
    """The compiler's answer to a request."""
    home = Path(os.environ.get("ORION_HOME") or CHECKOUT / ".orion")
    kept = home / "cache" / "test-contracts" / f"{hashlib.sha256(body.encode()).hexdigest()}.json"
    if not kept.is_file():
        answer = _run_compiler(body, quick)
        kept.parent.mkdir(parents=True, exist_ok=True)
        half = kept.with_suffix(f".{os.getpid()}")
        half.write_text(answer, encoding="utf-8")
        half.replace(kept)
    return json.loads(kept.read_text(encoding="utf-8"))


def _run_compiler(body: str, quick: bool) -> str:
    toolchain = CHECKOUT / "toolchain"
    node = CHECKOUT / ".venv" / "bin" / "node"
    done = subprocess.run(
        [str(node), "--stack-size=8000", str(toolchain / "solc.js"), "--standard-json"],
        input=body,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    messages = [
        error["formattedMessage"]
        for error in json.loads(done.stdout).get("errors", [])
        if error["severity"] == "error" or not (quick or error["errorCode"] in EXPECTED_WARNINGS)
    ]
    assert not messages, "\n".join(messages)
    return done.stdout
