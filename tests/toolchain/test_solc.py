"""The compiler's wrapper behaves like the native program where its callers look."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SOLC = CHECKOUT / ".orion" / "solcx" / "solc-v0.8.30"

pytestmark = pytest.mark.skipif(
    not SOLC.exists(), reason="`make setup` has not run here; shows that the compiler's wrapper works"
)


def solc(*arguments: str | Path, given: object = None, cwd: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    """Run the wrapper as strangers do: without the project's environment."""
    return subprocess.run(
        [str(SOLC), *map(str, arguments)],
        input=None if given is None else json.dumps(given),
        stdin=subprocess.DEVNULL if given is None else None,
        env={"PATH": os.defpath},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def job(**sources: str) -> dict[str, object]:
    return {
        "language": "Solidity",
        "sources": {f"{name}.sol": {"content": content} for name, content in sources.items()},
        "settings": {"outputSelection": {"*": {"*": ["evm.bytecode.object"], "": ["ast"]}}},
    }


def bytecode(output: str, unit: str, contract: str) -> str:
    compiled: str = json.loads(output)["contracts"][unit][contract]["evm"]["bytecode"]["object"]
    return compiled


def test_version_is_the_one_that_callers_parse() -> None:
    from packaging.version import Version
    from solcx.wrapper import get_solc_version

    assert get_solc_version(SOLC) == Version("0.8.30")
    assert solc("--version").stdout.splitlines()[1].startswith("Version: 0.8.30+commit.73712a01")


def test_large_output_reaches_a_pipe_whole() -> None:
    body = "".join(
        f"function f{i}(uint x) external pure returns (uint) {{ return x * {i} + 1; }}\n" for i in range(300)
    )
    done = solc("--standard-json", given=job(Large=f"pragma solidity 0.8.30; contract Large {{ {body} }}"))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) > 4 * 65_536
    assert len(bytecode(done.stdout, "Large.sol", "Large")) > 10_000


def test_reads_a_file_and_searches_its_roots_in_order(tmp_path: Path) -> None:
    base, first, second = (tmp_path / name for name in ("base dir", "first", "second"))
    for folder, value in ((base, 0), (first, 1), (second, 2)):
        (folder / "lib").mkdir(parents=True)
        (folder / "lib" / f"Only{value}.sol").write_text(
            f"pragma solidity 0.8.30; uint constant ONLY{value} = {value};"
        )
    (first / "lib" / "Both.sol").write_text("pragma solidity 0.8.30; uint constant BOTH = 0x11111111;")
    (second / "lib" / "Both.sol").write_text("pragma solidity 0.8.30; uint constant BOTH = 0x22222222;")
    source = (
        'pragma solidity 0.8.30; import "lib/Only0.sol"; import "lib/Only1.sol"; import "lib/Only2.sol";'
        'import "lib/Both.sol"; contract C { function f() external pure returns (uint) { return BOTH; } }'
    )
    request = tmp_path / "input.json"
    request.write_text(json.dumps(job(C=source)))
    roots = ["--base-path", base, f"--include-path={first}", "--include-path", second, "--allow-paths", tmp_path]
    done = solc("--standard-json", request, *roots)
    assert "11111111" in bytecode(done.stdout, "C.sol", "C")
    assert "22222222" not in bytecode(done.stdout, "C.sol", "C")


def test_missing_import_is_an_error_of_the_compiler(tmp_path: Path) -> None:
    done = solc("--standard-json", "--base-path", tmp_path, given=job(C='pragma solidity 0.8.30; import "gone.sol";'))
    [error] = [each for each in json.loads(done.stdout)["errors"] if each["severity"] == "error"]
    assert f"File not found: {tmp_path / 'gone.sol'}" in error["message"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--optimize",), "Unknown option --optimize"), ((), "Nothing to do"), (("--base-path",), "needs a value")],
)
def test_what_it_cannot_do_it_says(arguments: tuple[str, ...], said: str) -> None:
    done = solc(*arguments)
    assert done.returncode == 1
    assert said in done.stderr


def test_reader_that_leaves_ends_it_quietly() -> None:
    with subprocess.Popen([str(SOLC), "--version"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_solcx_compiles_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import solcx

    monkeypatch.setenv("SOLCX_BINARY_PATH", str(SOLC.parent))
    source = "pragma solidity 0.8.30; contract C {}"
    output = solcx.compile_standard(job(C=source), solc_version="0.8.30")
    assert output["contracts"]["C.sol"]["C"]["evm"]["bytecode"]["object"]
