"""The doctor finds faults that were planted, tells them apart, and gives no secret away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from keeper.config import CHECKOUT, Settings
from keeper.doctor import Check, examine, machine, render, services, to_json
from keeper.embedded.postgres import EmbeddedPostgres
from keeper.embedded.process import free_port
from keeper.embedded.valkey import EmbeddedValkey
from tests.homes import open_home

installed = pytest.mark.skipif(
    not (CHECKOUT / ".orion" / "solcx").is_dir(), reason="`make setup` has not run here; shows a machine in good order"
)
SECRET = "s3cretkey"


@pytest.fixture
def settings() -> Iterator[Settings]:
    with open_home() as folder:
        yield Settings(home=folder / "home")


@contextlib.contextmanager
def http(answer: bytes, status: int = 200) -> Iterator[str]:
    """A server on loopback that says the same to every POST."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def program(folder: Path, name: str, says: str, status: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    path.chmod(0o755)
    return path


@installed
async def test_machine_in_good_order_has_nothing_wrong(settings: Settings) -> None:
    checks = await examine(settings)
    assert [check for check in checks if not check.ok] == []
    names = [check.name for check in checks]
    assert len(names) == len(set(names))
    assert {"python", "packages", "ape", "libc", "disk", "node", "anvil", "solc", "database", "bus"} <= set(names)
    assert to_json(checks)["ok"] is True


@installed
async def test_wrong_anvil_on_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = program(tmp_path / "bin", "anvil", "anvil Version: 1.7.10-nightly")
    monkeypatch.setenv("PATH", str(planted.parent), prepend=":")
    check = await machine.check_anvil()
    assert not check.ok
    assert str(planted) in check.found
    assert "1.7.1 is needed" in check.remedy


@pytest.mark.parametrize(
    ("ask", "name"), [(machine.check_anvil, "anvil"), (machine.check_node, "node")], ids=["anvil", "node"]
)
@pytest.mark.parametrize("fault", ["missing", "fails", "cannot be run"])
async def test_program_that_does_not_work(
    ask: Callable[[], Awaitable[Check]], name: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    if fault == "fails":
        program(folder, name, "v24.1.0 1.7.1", status=1)
    elif fault == "cannot be run":
        (folder / name).write_text("#!/no/such/interpreter\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    check = await ask()
    assert not check.ok
    assert "make" in check.remedy


async def test_program_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = tmp_path / "anvil"
    deaf.write_text("#!/bin/sh\nexec sleep 600\n")
    deaf.chmod(0o755)
    monkeypatch.setattr(machine, "_TIMEOUT", 0.1)
    assert await machine._ask(deaf) == (124, "did not end within 0.1 s")


async def test_wrong_compiler_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOLCX_BINARY_PATH", str(tmp_path))
    assert (await machine.check_solc()).found.endswith("is missing")
    program(tmp_path, "solc-v0.8.30", "Version: 0.8.28+commit.7893614a.Linux.g++")
    check = await machine.check_solc()
    assert not check.ok
    assert "0.8.28" in check.found


def test_packages_are_compared_with_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "eth-ape==0.8.52 \\\n    --hash=sha256:00\nno-such-package==1.0\nelsewhere==1 ; sys_platform == 'win32'\n"
    )
    check = machine.check_packages(lock)
    assert check.found == "eth-ape is 0.8.51, should be 0.8.52; no-such-package is missing, should be 1.0"
    assert not check.ok
    assert not machine.check_packages(tmp_path / "absent").ok


def test_full_disk_is_wrong_and_a_filling_one_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = []
    for free in (2**29, 2**31, 2**34):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: shutil._ntuple_diskusage(2**40, 0, free))
        verdicts.append(machine.check_disk(tmp_path / "not" / "yet").verdict)
    assert verdicts == ["wrong", "warning", "ok"]


def test_old_libc_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for answer, good in ((("glibc", "2.31"), False), (("", ""), False), (("glibc", "2.35"), True)):
        monkeypatch.setattr(machine.platform, "libc_ver", lambda answer=answer: answer)
        assert machine.check_libc().ok is good


def test_missing_browser_is_a_warning_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check = machine.check_browser()
    assert (check.ok, check.verdict) == (True, "warning")
    program(tmp_path, "chromium", "Chromium 140")
    assert machine.check_browser().verdict == "ok"


async def test_dead_database_is_told_without_its_password(settings: Settings) -> None:
    dead = settings.model_copy(update={"database_url": f"postgresql://me:{SECRET}@127.0.0.1:{free_port()}/orion"})
    check = await services.check_database(dead)
    assert not check.ok
    assert "no answer from PostgreSQL at 127.0.0.1" in check.found
    assert SECRET not in repr(check)


@pytest.mark.parametrize("url", [f"mysql://me:{SECRET}@127.0.0.1/orion", f"me:{SECRET}"])
async def test_address_that_is_no_database(settings: Settings, url: str) -> None:
    check = await services.check_database(settings.model_copy(update={"database_url": url}))
    assert not check.ok
    assert SECRET not in repr(check)


@pytest.mark.parametrize("url", [f"redis://:{SECRET}@127.0.0.1:1/0", f"carrier-pigeon://:{SECRET}@loft"])
async def test_dead_bus_is_told_without_its_password(settings: Settings, url: str) -> None:
    check = await services.check_bus(settings.model_copy(update={"redis_url": url}))
    assert not check.ok
    assert SECRET not in repr(check)


async def test_servers_of_the_operator_are_asked(settings: Settings) -> None:
    other = settings.home.with_name("other")
    async with EmbeddedPostgres(other, other / "logs") as database, EmbeddedValkey(other, other / "logs") as bus:
        theirs = settings.model_copy(update={"database_url": database.url, "redis_url": bus.url})
        checks = [await services.check_database(theirs), await services.check_bus(theirs)]
    assert [check.verdict for check in checks] == ["ok", "ok"]
    assert not settings.state_dir.exists()


async def test_running_keeper_is_not_disturbed(settings: Settings) -> None:
    home, logs = settings.home, settings.log_dir
    async with EmbeddedPostgres(home, logs) as database, EmbeddedValkey(home, logs) as bus:
        before = sorted(settings.state_dir.iterdir())
        checks = [await services.check_database(settings), await services.check_bus(settings)]
        assert all("in use by a running keeper" in check.found for check in checks)
        assert database.running
        assert bus.running
        assert sorted(settings.state_dir.iterdir()) == before


async def test_embedded_database_that_cannot_start(settings: Settings) -> None:
    settings.home.mkdir()
    (settings.home / "state").write_text("a file where a folder should be")
    check = await services.check_database(settings)
    assert not check.ok
    assert str(settings.state_dir) in check.found


@pytest.mark.parametrize(
    ("answer", "status", "ok", "said"),
    [
        (b'{"jsonrpc":"2.0","id":1,"result":"0x1"}', 200, True, "is chain 1"),
        (b'{"jsonrpc":"2.0","id":1,"result":"0x89"}', 200, False, "is chain 137, not 1"),
        (b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no"}}', 200, False, "not with a chain id"),
        (b'{"result":null}', 200, False, "not with a chain id"),
        (b"[]", 200, False, "not with a chain id"),
        (b"<html>Forbidden</html>", 403, False, "answers HTTP 403"),
        (b"\xff\xfe", 200, False, "not with a chain id"),
    ],
    ids=["right", "wrong chain", "error", "null", "list", "forbidden", "rubbish"],
)
async def test_node_is_asked_for_its_chain(settings: Settings, answer: bytes, status: int, ok: bool, said: str) -> None:
    with http(answer, status) as url:
        check = await services.check_node_rpc(settings.model_copy(update={"rpc_url": f"{url}/v2/{SECRET}"}))
    assert check.ok is ok
    assert said in check.found
    assert SECRET not in repr(check)


async def test_node_that_is_gone_and_node_that_was_never_named(settings: Settings) -> None:
    gone = settings.model_copy(update={"rpc_url": f"http://127.0.0.1:{free_port()}/{SECRET}"})
    check = await services.check_node_rpc(gone)
    assert "no answer from http://127.0.0.1" in check.found
    assert SECRET not in repr(check)
    real = settings.model_copy(update={"network": "ethereum:mainnet"})
    assert (await services.check_node_rpc(real)).found == "no endpoint"


@pytest.fixture
def unvouched(tmp_path: Path) -> ssl.SSLContext:
    """A server's side of TLS with a certificate that nobody vouches for."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl; shows that a false certificate is refused")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_relay_connections() -> None:
    with http(b"{}") as url:
        assert (await services.check_relay(url)).ok
    check = await services.check_relay(f"http://127.0.0.1:{free_port()}/{SECRET}")
    assert "no connection" in check.found
    assert SECRET not in repr(check)
    for address in ("ftp://relay.example", "relay", "https://relay.example:port", "https://"):
        assert (await services.check_relay(address)).found == "not an address"


async def test_relay_with_a_false_certificate(unvouched: ssl.SSLContext) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=unvouched) as server:
        port = server.sockets[0].getsockname()[1]
        check = await services.check_relay(f"https://localhost:{port}")
    assert not check.ok
    assert "TLS failed: self-signed certificate" in check.found


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        Check("first", True, "fine"),
        Check("second", True, "so so", "Watch it."),
        Check("third", False, "[x]", "Mend it."),
    ]
    render(checks)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line.split()[:2] for line in printed.err.splitlines()[1:4]] == [
        ["first", "ok"],
        ["second", "warning"],
        ["third", "wrong"],
    ]
    assert "[x]" in printed.err
    assert "second: Watch it." in printed.err
    assert "third: Mend it." in printed.err
    report = json.loads(json.dumps(to_json(checks)))
    assert report["ok"] is False
    assert report["checks"][2] == {
        "name": "third", "ok": False, "found": "[x]", "remedy": "Mend it.", "verdict": "wrong",
    }  # fmt: skip
