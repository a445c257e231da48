"""A replica in use: the node with the executor deployed, and the service that makes it live."""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from keeper.config import CHECKOUT
from keeper.domain.errors import ComponentError
from keeper.embedded.process import ManagedProcess
from keeper.execution.deployment import Deployment, load_deployment
from keeper.replica import state
from keeper.replica.anvil import CHAIN_ID, Anvil
from keeper.replica.build import ensure_state, start_anvil
from keeper.replica.control import ReplicaControl
from keeper.replica.progress import Progress, silent
from keeper.replica.rpc import Rpc

DEPLOYED = "deployed.json"
MANIFEST = "deployed.manifest.json"
DEPLOY_SECONDS = 300.0
SERVICE_SECONDS = 60.0


class ReplicaSession:
    """Use `start`, then the attributes, then `stop`. The chain waits at its first block until told to go on.

    Args:
        home: the keeper's folder; state and logs lie below it.
        seed: of prices and traffic; equal seeds give equal blocks.
        block_time: seconds.
        rival: let a competing searcher take part.
        paced: each block waits until the keeper has finished with the one before.
    """

    control: ReplicaControl
    relay_url: str
    deployment: Deployment

    def __init__(
        self, home: Path, *, seed: int, block_time: float, rival: bool, paced: bool, progress: Progress = silent
    ) -> None:
        self._home = home
        self._seed = seed
        self._block_time = block_time
        self._rival = rival
        self._paced = paced
        self._progress = progress
        self._anvil: Anvil | None = None
        self._service: ManagedProcess | None = None
        self._ready_file = home / "run" / f"replica-{os.getpid()}.json"

    @property
    def http_url(self) -> str:
        return self._node.http_url

    @property
    def ws_url(self) -> str:
        return self._node.ws_url

    @property
    def processes(self) -> tuple[ManagedProcess, ...]:
        """What has to run for the replica to live."""
        return (self._node.process, *([self._service] if self._service else []))

    @property
    def pools_file(self) -> Path:
        """The list of all pools, for the keeper."""
        return self._home / "run" / f"replica-pools-{os.getpid()}.json"

    @property
    def tokens_file(self) -> Path:
        return state.folder(self._home) / state.TOKENS

    @property
    def block_seconds(self) -> int:
        """Time from block to block as the chain counts it."""
        return max(1, math.ceil(self._block_time))

    @property
    def _node(self) -> Anvil:
        if self._anvil is None:
            raise ComponentError("replica", "has not been started", "Call start() first.")
        return self._anvil

    async def start(self) -> None:
        """Build what is missing and start node and service."""
        deployed, self.deployment = await ensure_deployed(self._home, progress=self._progress)
        self.pools_file.parent.mkdir(parents=True, exist_ok=True)
        self.pools_file.write_bytes(orjson.dumps([*deployed.pools(), *deployed.other_pools()]))
        self._anvil = await start_anvil(deployed, log_dir=self._home / "logs", automine=False, name=self._name("anvil"))
        await self._start_service()

    async def stop(self) -> None:
        """Stop what runs; safe at any point of the start."""
        if hasattr(self, "control"):
            await self.control.close()
        if self._service is not None:
            await self._service.stop()
        if self._anvil is not None:
            await self._anvil.stop()
        self._ready_file.unlink(missing_ok=True)
        self.pools_file.unlink(missing_ok=True)

    async def _start_service(self) -> None:
        self._ready_file.parent.mkdir(parents=True, exist_ok=True)
        self._ready_file.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "keeper.replica.service", "--rpc-url", self.http_url, "--setup"]
        argv += ["--pools", str(state.folder(self._home) / state.POOLS), "--tokens", str(self.tokens_file)]
        argv += ["--seed", str(self._seed)]
        argv += ["--block-time", str(self._block_time), "--ready-file", str(self._ready_file)]
        argv += ["--rival"] * self._rival + ["--paced"] * self._paced
        self._service = ManagedProcess(self._name("replica"), argv, log_dir=self._home / "logs")
        await self._service.start()

        async def ready() -> bool:
            return self._ready_file.exists()

        await self._service.wait_ready(ready, SERVICE_SECONDS)
        found = orjson.loads(self._ready_file.read_bytes())
        self.relay_url = found["relay_url"]
        self.control = ReplicaControl(found["control_url"], found["token"])

    @staticmethod
    def _name(what: str) -> str:
        return f"{what}-{os.getpid()}"


async def ensure_deployed(home: Path, *, progress: Progress = silent) -> tuple[state.ReplicaState, Deployment]:
    """The replica's state with the executor in it, deployed by the same script as on any other network.

    Kept beside the plain state; made anew when the state, the contracts or the script have changed.
    """
    base = await ensure_state(home, progress=progress)
    here = state.folder(home)
    key = _deployment_key(base)
    manifest = _read_manifest(here / MANIFEST)
    if manifest.get("key") != key or not (here / DEPLOYED).exists():
        progress("executor", 0, 1)
        manifest = {"key": key, **await _deploy(home, base, here / DEPLOYED)}
        (here / MANIFEST).write_bytes(orjson.dumps(manifest))
        progress("executor", 1, 1)
    deployed = replace(
        base, path=here / DEPLOYED, timestamp=manifest["timestamp"], block_number=manifest["block_number"]
    )
    return deployed, load_deployment(here, CHAIN_ID)


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        return dict(orjson.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError):
        return {}


def _deployment_key(base: state.ReplicaState) -> str:
    digest = hashlib.sha256(base.path.read_bytes())
    for path in (*sorted((CHECKOUT / "contracts").rglob("*.sol")), CHECKOUT / "scripts" / "deploy.py"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


async def _deploy(home: Path, base: state.ReplicaState, kept: Path) -> dict[str, int]:
    """Run the deployment script against a node of its own; returns number and time of the last block."""
    ape = shutil.which("ape", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if ape is None:
        raise ComponentError("ape", "it is neither in .venv nor on PATH", "Run `make setup`.")
    node = await start_anvil(base, log_dir=home / "logs", name=f"anvil-deploy-{os.getpid()}")
    try:
        async with Rpc(node.http_url) as rpc:
            # without it the clock of this machine would enter the state, and equal seeds would not give equal blocks
            await rpc("anvil_setBlockTimestampInterval", 1)
        environment = {**os.environ, "APE_FOUNDRY_HOST": node.http_url, "ORION_HOME": str(state.folder(home))}
        deploy = await asyncio.create_subprocess_exec(
            *(ape, "run", "deploy", "--network", "ethereum:local:foundry"),
            cwd=CHECKOUT,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(deploy.communicate(), DEPLOY_SECONDS)
        finally:
            if deploy.returncode is None:
                deploy.kill()
                await deploy.wait()
        if deploy.returncode != 0:
            raise ComponentError(
                "ape",
                "the executor could not be deployed to the replica:\n" + output.decode(errors="replace")[-2000:],
                "Run `keeper doctor`.",
            )
        async with Rpc(node.http_url) as rpc:
            staged = kept.with_name(f".{kept.name}.{os.getpid()}")
            staged.write_bytes(await state.dump(rpc))
            staged.replace(kept)
            block = await rpc("eth_getBlockByNumber", "latest", False)
            return {"timestamp": int(block["timestamp"], 16), "block_number": int(block["number"], 16)}
    finally:
        await node.stop()
