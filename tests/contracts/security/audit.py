"""slither and halmos on the executor: `make audit`.

Both run in an environment of their own (`toolchain/audit.sh`). slither may find what `accepted.toml` lists and gives a
reason for. halmos proves the properties of `proofs/` on the compiled code, for all calldata of the lengths tried.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from tests.contracts.compiler import CHECKOUT, QUICK_OPTIMIZER, SETTINGS, _compiled, executor_sources, read_sources
from tests.contracts.mutants import with_bug

TOOLS = CHECKOUT / ".orion" / "tools" / "audit" / "bin"
HERE = Path(__file__).parent
PROOFS = HERE / "proofs"
OUTPUTS = ["abi", "metadata", "storageLayout", "evm.bytecode", "evm.deployedBytecode", "evm.methodIdentifiers"]
SLITHER_OUTPUTS = [*OUTPUTS, "devdoc", "userdoc"]
SLITHER_TIMEOUT, HALMOS_TIMEOUT = 120, 600
SOLVER_TIMEOUT = "30s"
LOOPS = 300
"""Turns of a loop: a copied `bytes` has up to so many."""
DISPROVED = {
    "Callbacks.check_idle": "withdrawal_open",
    "Callbacks.check_otherCaller": "caller_unchecked",
    "Callbacks.check_otherBytes": "short_hash_unchecked",
    "Callbacks.check_otherBytesOfPair": "pair_hash_unchecked",
    "Callbacks.check_otherBytesLong": "hash_unchecked",
    "Decoder.check_bothRunLong": "operation_skipped",
    "Decoder.check_tailLong1": "bounds_unchecked",
}
"""A planted bug with which the property does not hold any more."""
QUICK = "Callbacks"
"""The proofs that the tests run; the others take minutes."""


def install() -> None:
    """Install the auditors if they are not there."""
    subprocess.run(["bash", str(CHECKOUT / "toolchain" / "audit.sh")], check=True, timeout=600)


# ---------------------------------------------------------------------- slither


def slither_findings(sources: Mapping[str, str]) -> list[dict[str, str]]:
    """What slither finds, each with ``check``, ``impact``, ``where`` and ``text``."""
    request = {
        "language": "Solidity",
        "sources": {f"contracts/{name}": {"content": text} for name, text in sources.items()},
        "settings": {
            **SETTINGS,
            "optimizer": QUICK_OPTIMIZER,
            "outputSelection": {"*": {"*": SLITHER_OUTPUTS, "": ["ast"]}},
        },
    }
    solc = CHECKOUT / ".orion" / "solcx" / "solc-v0.8.30"
    done = subprocess.run(
        [str(TOOLS / "python"), str(HERE / "slither_run.py"), str(solc)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        timeout=SLITHER_TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    findings: list[dict[str, str]] = json.loads(done.stdout)
    return findings


def accepted() -> list[dict[str, str]]:
    entries: list[dict[str, str]] = tomllib.loads((HERE / "accepted.toml").read_text(encoding="utf-8"))["accepted"]
    assert all(entry["reason"] for entry in entries)
    return entries


def not_accepted(findings: list[dict[str, str]]) -> list[dict[str, str]]:
    known = {(entry["check"], entry["where"]) for entry in accepted()}
    return [f for f in findings if not {(f["check"], f["where"]), (f["check"], "*")} & known]


# ---------------------------------------------------------------------- halmos


def proof_sources(contracts: Mapping[str, str]) -> dict[str, str]:
    return {f"contracts/{name}": text for name, text in contracts.items()} | read_sources(PROOFS, "proofs/")


def prove(contracts: Mapping[str, str], *, only: str = "", quick: bool = False) -> dict[str, bool]:
    """Whether each property holds, by its name.

    Args:
        only: the contract of proofs to run, all by default; or ``Contract.property``.
        quick: compile with the barest optimization, for planted bugs.
    """
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in proof_sources(contracts).items()},
        "settings": {
            **SETTINGS,
            "optimizer": QUICK_OPTIMIZER if quick else SETTINGS["optimizer"],
            "outputSelection": {"*": {"*": OUTPUTS, "": ["ast"]}},
        },
    }
    output = _compiled(json.dumps(request, sort_keys=True), True)
    contract, _, name = only.partition(".")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_artifacts(output, root / "out")
        _write_forge(root / "bin" / "forge")
        results = root / "results.json"
        command = [str(TOOLS / "halmos"), "--root", folder, "--no-status", "--json-output", str(results)]
        command += ["--loop", str(LOOPS), "--solver-timeout-assertion", SOLVER_TIMEOUT]
        command += ["--contract", contract] if contract else []
        command += ["--function", name] if name else []
        path = f"{root / 'bin'}{os.pathsep}{TOOLS}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=HALMOS_TIMEOUT,
        )
        assert results.is_file(), done.stdout + done.stderr
        found = json.loads(results.read_text(encoding="utf-8"))["test_results"]
    return {
        f"{where.rpartition(':')[2]}.{test['name'].partition('(')[0]}": test["exitcode"] == 0
        for where, tests in found.items()
        for test in tests
    }


def _write_artifacts(output: Mapping[str, Any], folder: Path) -> None:
    """The compiler's answer in the layout of Foundry's artifacts, which halmos reads."""
    for source, contracts in output["contracts"].items():
        for name, contract in contracts.items():
            place = folder / Path(source).name / f"{name}.json"
            place.parent.mkdir(parents=True, exist_ok=True)
            evm = contract["evm"]
            artifact = {
                "abi": contract["abi"],
                "ast": output["sources"][source]["ast"],
                "id": output["sources"][source]["id"],
                "metadata": json.loads(contract["metadata"] or '{"compiler": {"version": "0.8.30"}}'),
                "methodIdentifiers": evm["methodIdentifiers"],
                "storageLayout": contract["storageLayout"],
                "bytecode": {**evm["bytecode"], "object": "0x" + evm["bytecode"]["object"]},
                "deployedBytecode": {**evm["deployedBytecode"], "object": "0x" + evm["deployedBytecode"]["object"]},
            }
            place.write_text(json.dumps(artifact), encoding="utf-8")


def _write_forge(path: Path) -> None:
    """halmos builds with forge before it begins; here everything is built already."""
    path.parent.mkdir()
    path.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    path.chmod(0o755)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object on stdout.")
def main(as_json: bool) -> None:
    """Run slither and halmos on the executor; fail on a finding without a reason, on a property that does not hold."""
    install()
    findings = slither_findings(executor_sources())
    unknown = not_accepted(findings)
    sys.stderr.write(f"slither: {len(findings)} findings, {len(unknown)} of them without a reason\n")
    for finding in unknown:
        sys.stderr.write(f"  {finding['impact']} {finding['check']}: {finding['text']}\n")
    proved = prove(executor_sources())
    for name, holds in proved.items():
        sys.stderr.write(f"halmos: {'holds' if holds else 'DOES NOT HOLD'}  {name}\n")
    for name, bug in DISPROVED.items():
        noticed = not all(prove(with_bug(bug), only=name, quick=True).values())
        sys.stderr.write(f"halmos: {'notices' if noticed else 'DOES NOT NOTICE'}  {bug}, by {name}\n")
        proved[f"{name} without {bug}"] = noticed
    failed = sum(not holds for holds in proved.values())
    if as_json:
        counts = {"findings": len(findings), "without_reason": len(unknown)}
        sys.stdout.write(json.dumps({**counts, "properties": len(proved), "failed": failed}) + "\n")
    if unknown or failed:
        raise SystemExit("The audit found something.")


if __name__ == "__main__":
    main()
