"""A managed process lives exactly as long as it should, and says why it did not."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from keeper.domain.errors import ComponentError
from keeper.embedded.process import ManagedProcess, free_port

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process as somebody else")

LISTENER = textwrap.dedent("""
    import socket, sys
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    print("listening", flush=True)
    while True:
        server.accept()[0].close()
""")


def listener(port: int) -> list[str]:
    return [sys.executable, "-I", "-c", LISTENER, str(port)]


def accepts(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


async def connects(port: int) -> bool:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    await writer.wait_closed()
    return True


async def until_gone(pid: int, bound: float = 10.0) -> None:
    """Wait for the end of a process that need not be a child of ours."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        async with asyncio.timeout(bound):
            await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def test_runs_until_stopped(tmp_path: Path) -> None:
    port = free_port()
    async with ManagedProcess("listener", listener(port), log_dir=tmp_path) as process:
        await process.wait_ready(lambda: connects(port), 20)
        assert process.pid is not None
        assert os.getsid(process.pid) == process.pid != os.getsid(0)
        assert process.log_tail() == "listening"
    assert process.returncode == -signal.SIGTERM
    assert not accepts(port)
    assert process.log_tail() == "listening"
    await process.stop()


async def test_early_end_is_told_with_its_last_words(tmp_path: Path) -> None:
    process = ManagedProcess("brief", ["/bin/sh", "-c", "echo no such luck; exit 3"], log_dir=tmp_path)
    await process.start()
    with pytest.raises(ComponentError, match=r"(?s)status 3 while starting.*no such luck"):
        await process.wait_ready(lambda: connects(free_port()), 60)
    await process.stop()


async def test_silence_is_bounded(tmp_path: Path) -> None:
    async with ManagedProcess("mute", ["/bin/sleep", "60"], log_dir=tmp_path) as process:

        async def hangs() -> bool:
            await asyncio.Event().wait()
            return True

        with pytest.raises(ComponentError, match=r"did not answer within 0\.2 s"):
            await process.wait_ready(hangs, 0.2)


async def test_faulty_probe_is_not_swallowed(tmp_path: Path) -> None:
    async with ManagedProcess("mute", ["/bin/sleep", "60"], log_dir=tmp_path) as process:

        async def faulty() -> bool:
            raise ValueError("wrong answer")

        with pytest.raises(ValueError, match="wrong answer"):
            await process.wait_ready(faulty, 5)


async def test_deaf_process_and_its_children_are_killed(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 100 & echo $!; wait; sleep 100"
    process = ManagedProcess("deaf", ["/bin/sh", "-c", script], log_dir=tmp_path)
    await process.start()

    async def spoke() -> bool:
        return process.log_tail() != ""

    await process.wait_ready(spoke, 10)
    grandchild = int(process.log_tail())
    await process.stop(grace=0.1)
    assert process.returncode == -signal.SIGKILL
    await until_gone(grandchild)


async def test_unknown_program_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="make setup"):
        await ManagedProcess("ghost", ["no-such-program"], log_dir=tmp_path).start()


async def test_log_of_the_start_before_is_kept(tmp_path: Path) -> None:
    for word in ("first", "second"):
        async with ManagedProcess("talker", ["/bin/echo", word], log_dir=tmp_path) as process:
            assert await process.wait() == 0
    assert (tmp_path / "talker.log").read_text() == "second\n"
    assert (tmp_path / "talker.log.1").read_text() == "first\n"
    assert (tmp_path / "talker.log").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can tie a child to its parent's life")
@pytest.mark.parametrize("user", [None, pytest.param("nobody", marks=needs_root)])
async def test_killed_parent_takes_the_child_along(user: str | None, tmp_path: Path) -> None:
    """The child even ignores SIGTERM and SIGHUP."""
    keeper = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from keeper.embedded.process import ManagedProcess

        async def main() -> None:
            argv = ["/bin/sh", "-c", "trap '' TERM HUP; echo ready; while :; do sleep 1; done"]
            async with ManagedProcess("child", argv, log_dir=Path(sys.argv[1]), user=sys.argv[2] or None) as process:
                async def ready() -> bool:
                    return "ready" in process.log_tail()
                await process.wait_ready(ready, 20)
                print(process.pid, flush=True)
                await asyncio.Event().wait()

        asyncio.run(main())
    """)
    root = Path(__file__).parents[2]
    command = (sys.executable, "-c", keeper, str(tmp_path), user or "")
    parent = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=root)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    os.kill(child, 0)
    parent.kill()
    await parent.wait()
    await until_gone(child)


@needs_root
async def test_other_user_keeps_nothing_of_root(tmp_path: Path) -> None:
    async with ManagedProcess("nobody", ["/bin/cat", "/proc/self/status"], log_dir=tmp_path, user="nobody") as process:
        assert await process.wait() == 0
        status = dict(line.split(":\t", 1) for line in process.log_tail(200).splitlines())
    nobody = pwd.getpwnam("nobody")
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert status["Groups"].split() == []
    assert int(status["CapEff"], 16) == 0


def test_free_port_can_be_bound() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", port))
