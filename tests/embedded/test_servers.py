"""The private servers, started for real: data survives, locks hold, passwords are asked for, nobody is left behind."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
import redis.asyncio

from keeper.domain.errors import ComponentError
from keeper.embedded import placement
from keeper.embedded.placement import Placement, find_place
from keeper.embedded.postgres import EmbeddedPostgres
from keeper.embedded.process import until
from keeper.embedded.server import EmbeddedServer
from keeper.embedded.valkey import EmbeddedValkey
from tests.homes import open_home

ROOT = os.geteuid() == 0
CHECKOUT = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(not ROOT, reason="shows what root's keeper does; run as root to see it")


@pytest.fixture
def home() -> Iterator[Path]:
    with open_home() as folder:
        yield folder


@pytest.fixture
def shared() -> Iterator[Path]:
    """Stands for /var/lib/alpha-orion."""
    with tempfile.TemporaryDirectory(prefix="orion-shared-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "alpha-orion"


@pytest.fixture(params=[EmbeddedPostgres, EmbeddedValkey], ids=["postgres", "valkey"])
def server(request: pytest.FixtureRequest, home: Path) -> EmbeddedServer:
    built: EmbeddedServer = request.param(home, home / "logs")
    return built


def dsn(server: EmbeddedServer) -> str:
    return server.url.replace("postgresql+psycopg://", "postgresql://")


async def write(server: EmbeddedServer, value: str) -> None:
    if isinstance(server, EmbeddedPostgres):
        async with await psycopg.AsyncConnection.connect(dsn(server)) as connection:
            await connection.execute("CREATE TABLE IF NOT EXISTS note (value text)")
            await connection.execute("INSERT INTO note VALUES (%s)", (value,))
        return
    async with redis.asyncio.Redis.from_url(server.url, decode_responses=True) as client:
        await client.rpush("note", value)
        await client.execute_command("WAITAOF", 1, 0, 5_000)


async def read(server: EmbeddedServer) -> list[str]:
    if isinstance(server, EmbeddedPostgres):
        async with await psycopg.AsyncConnection.connect(dsn(server)) as connection:
            return [row[0] for row in await (await connection.execute("SELECT value FROM note")).fetchall()]
    async with redis.asyncio.Redis.from_url(server.url, decode_responses=True) as client:
        values: list[str] = await client.lrange("note", 0, -1)
        return values


def process_file(pid: int | str | None, name: str) -> str:
    """A file of /proc, empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def has_ended(pid: int | str) -> bool:
    status = process_file(pid, "status")
    return not status or "(zombie)" in status  # nobody may be there to collect it


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def listening_addresses(pid: int, port: int) -> set[str]:
    """Local addresses, IPv4 and IPv6, that sockets listen on at ``port``, from /proc."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in process_file(pid, f"net/{table}").splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, hex_port = local.split(":")
            if state == "0A" and int(hex_port, 16) == port:
                found.add(address)
    return found


async def test_data_survives_an_orderly_restart(server: EmbeddedServer) -> None:
    await server.start()
    await write(server, "kept")
    await server.stop()
    assert not server.running
    again = type(server)(server.state_dir.parent, server.log_dir)
    async with again:
        assert await read(again) == ["kept"]
        assert again.name == server.kind


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_listens_on_loopback_only(server: EmbeddedServer) -> None:
    async with server:
        assert server.pid is not None
        assert listening_addresses(server.pid, server.port) == {"0100007F"}


async def test_comes_back_on_its_port_after_a_kill(server: EmbeddedServer) -> None:
    await server.start()
    await write(server, "kept")
    before = server.url
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL
    await server.start()
    try:
        assert server.url == before
        assert await read(server) == ["kept"]
    finally:
        await server.stop()


async def test_second_one_beside_the_first_has_its_own_data_and_port(server: EmbeddedServer) -> None:
    async with server:
        await write(server, "first")
        async with type(server)(server.state_dir.parent, server.log_dir) as second:
            assert (second.instance, second.name) == (2, f"{server.kind}-2")
            assert second.port != server.port
            await write(second, "second")
            assert await read(second) == ["second"]
        assert await read(server) == ["first"]


async def test_taken_port_is_avoided(server: EmbeddedServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        await server.start(port=taken)
        try:
            assert server.port != taken
            await write(server, "served")
        finally:
            await server.stop()


async def test_password_is_asked_for_and_lies_in_no_open_file(server: EmbeddedServer) -> None:
    async with server:
        password = server.url.split(":")[2].split("@")[0]
        assert len(password) >= 32
        wrong = server.url.replace(password, "x" * len(password))
        if isinstance(server, EmbeddedPostgres):
            with pytest.raises(psycopg.OperationalError, match="authentication failed"):
                await psycopg.AsyncConnection.connect(wrong.replace("+psycopg", ""))
        else:
            async with redis.asyncio.Redis.from_url(wrong) as client:
                with pytest.raises(redis.exceptions.AuthenticationError):
                    await client.ping()
        assert password not in process_file(server.pid, "cmdline")
        holders = [
            path
            for path in server.state_dir.parent.rglob("*")
            if path.is_file() and password.encode() in path.read_bytes()
        ]
        assert holders
        assert all(permissions(path) & 0o077 == 0 for path in holders)
        assert not any(server.log_dir in path.parents for path in holders)


async def test_url_before_the_start_is_an_error(server: EmbeddedServer) -> None:
    with pytest.raises(ComponentError, match="has not been started"):
        _ = server.url


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a child to its parent's life")
async def test_killed_keeper_leaves_no_server_and_loses_nothing(server: EmbeddedServer) -> None:
    home = server.state_dir.parent
    program = textwrap.dedent(f"""
        import asyncio, pathlib
        from keeper.embedded.{server.kind} import {type(server).__name__} as Server

        async def main() -> None:
            home = pathlib.Path({str(home)!r})
            async with Server(home, home / "logs") as server:
                print(server.pid, server.url, flush=True)
                await asyncio.Event().wait()

        asyncio.run(main())
    """)
    keeper = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE, cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": ""}
    )
    assert keeper.stdout is not None
    pid, url = (await keeper.stdout.readline()).decode().split()
    await write(known(server, url), "kept")
    keeper.kill()
    await keeper.wait()
    async with server:  # starts at once, while the old one may still be ending
        assert server.instance == 1
        assert str(server.pid) != pid
        assert await read(server) == ["kept"]

        async def gone() -> bool:
            return has_ended(pid)

        async with asyncio.timeout(10):
            await until(gone)


def known(server: EmbeddedServer, url: str) -> EmbeddedServer:
    """The same kind of server, run by somebody else, of which only the address is known."""
    foreign: EmbeddedServer = type("Foreign", (type(server),), {"url": url})(server.state_dir.parent, server.log_dir)
    return foreign


async def test_orphaned_postgres_is_seen_off(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of a killed keeper that did not end, as where the kernel cannot tie it to its parent."""
    first = EmbeddedPostgres(home, home / "logs")
    await first.start()
    await write(first, "kept")
    first._release()
    second = EmbeddedPostgres(home, home / "logs")
    monkeypatch.setattr("keeper.embedded.postgres._PREDECESSOR_TIMEOUT", 0.2)
    async with second:
        assert second.instance == 1
        async with asyncio.timeout(10):
            await first.wait()
        assert await read(second) == ["kept"]
    await first.stop()


async def test_note_of_a_foreign_process_is_no_obstacle(home: Path) -> None:
    """After a reboot the id in a stale postmaster.pid may belong to anybody: here to this test."""
    server = EmbeddedPostgres(home, home / "logs")
    await server.start()
    note = server.data_dir / "postmaster.pid"
    stale = note.read_text().split("\n", 1)[1]
    await server.stop()
    note.write_text(f"{os.getpid()}\n{stale}")
    async with server:
        await write(server, "served")


async def test_interrupted_initdb_is_begun_anew(home: Path) -> None:
    server = EmbeddedPostgres(home, home / "logs")
    place = find_place_in(home)
    (place.folder / "data.new").mkdir()
    (place.folder / "data.new" / "PG_VERSION").write_text("18\n")
    (place.folder / "password.new").write_text("half a pass")
    async with server:
        await write(server, "served")
    assert sorted(path.name for path in place.folder.iterdir()) == ["data"]


def find_place_in(home: Path) -> Placement:
    (home / "state").mkdir(exist_ok=True)
    return find_place(home / "state", "postgres")


async def test_data_of_another_major_version_is_left_alone(home: Path) -> None:
    place = find_place_in(home)
    data = place.folder / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("12\n")
    with pytest.raises(ComponentError, match="written by PostgreSQL 12"):
        await EmbeddedPostgres(home, home / "logs").start()
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


async def test_state_that_cannot_be_written_is_told(server: EmbeddedServer) -> None:
    server.state_dir.write_text("a file where a folder should be")
    with pytest.raises(ComponentError, match=f"cannot use {server.state_dir}.*ORION_HOME"):
        await server.start()


async def test_lost_password_is_told_and_not_replaced(home: Path) -> None:
    server = EmbeddedPostgres(home, home / "logs")
    await server.start()
    await server.stop()
    (home / "state" / "postgres.password").write_text("forgotten")
    with pytest.raises(ComponentError, match=r"does not accept the password in .*postgres\.password"):
        await server.start()
    assert not server.running


async def test_broken_configuration_shows_the_servers_words(home: Path) -> None:
    server = EmbeddedPostgres(home, home / "logs")
    await server.start()
    await server.stop()
    with (server.data_dir / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(ComponentError, match=r"(?s)while starting.*no_such_setting"):
        await server.start()
    assert not server.running


async def test_account_without_a_name_is_told_before_anything_is_made(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unnamed = next(uid for uid in range(60_000, 65_000) if not is_named(uid))
    monkeypatch.setattr(os, "geteuid", lambda: unnamed)
    with pytest.raises(ComponentError, match=f"the account {unnamed} has no name.*passwd"):
        await EmbeddedPostgres(home, home / "logs").start()
    assert [path.name for path in (home / "state").iterdir()] == ["postgres.lock"]


def is_named(uid: int) -> bool:
    return any(account.pw_uid == uid for account in pwd.getpwall())


@needs_root
async def test_roots_postgres_runs_without_rights(home: Path) -> None:
    async with EmbeddedPostgres(home, home / "logs") as server:
        assert "Uid:\t65534\t65534" in process_file(server.pid, "status")
        assert server.data_dir.parent == home / "state" / "postgres"
        assert server.data_dir.stat().st_mode & 0o077 == 0


@needs_root
async def test_closed_folder_stays_closed_and_data_goes_elsewhere(
    home: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    checkout = closed / "checkout"
    monkeypatch.setattr(placement, "SHARED", shared)
    for expected in ([], ["kept"]):
        async with EmbeddedPostgres(checkout, checkout / "logs") as server:
            assert shared in server.data_dir.parents
            if expected:
                assert await read(server) == expected
            else:
                await write(server, "kept")
    outside = server.data_dir.parent
    assert (permissions(closed), permissions(outside), permissions(shared)) == (0o700, 0o700, 0o711)
    closed.chmod(0o755)  # reachable now: the data that exists is used all the same
    assert find_place(checkout / "state", "postgres").folder == outside


@needs_root
def test_programs_below_a_closed_folder_are_copied(home: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install, version = placement.find_wheel()
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(install.parent, closed / install.parent.name, symlinks=True)
    libraries = install.parent.with_name(install.parent.name + ".libs")
    shutil.copytree(libraries, closed / libraries.name)
    monkeypatch.setattr(placement, "find_wheel", lambda: (closed / install.parent.name / install.name, version))
    monkeypatch.setattr(placement, "SHARED", shared)
    (home / "state").mkdir()
    for _ in range(2):
        place = find_place(home / "state", "postgres")
        assert shared in place.install.parents
        assert place.folder == home / "state" / "postgres"
        assert placement._succeeds(place.binary("initdb"), "--version")
    assert place.binary("postgres").stat().st_uid == 0
    assert [path.name for path in shared.iterdir()] == [f"postgresql-{version}"]


@needs_root
def test_data_that_became_unreachable_is_not_replaced_by_an_empty_database(
    home: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "SHARED", shared)
    place = find_place_in(home)
    (place.folder / "data").mkdir()
    home.chmod(0o700)
    with pytest.raises(ComponentError, match="can no longer reach the data"):
        find_place(home / "state", "postgres")


@needs_root
def test_both_servers_serve_an_ordinary_user(home: Path) -> None:
    """The tests of this file again, by an account without rights."""
    listing = f"import os; os.listdir({str(CHECKOUT)!r})"
    if not placement._succeeds(Path(sys.executable), "-c", listing):
        pytest.skip(f"an ordinary user cannot reach {sys.executable}; shows that both servers run without root")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:ape_test", "-p", "no:cacheprovider", __file__]
    command += ["--rootdir", str(CHECKOUT), "-k", "orderly or after_a_kill or beside"]
    os.chown(home, 65534, 65534)
    environment = {"PATH": os.defpath, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        user=65534,
        group=65534,
        extra_groups=[],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
