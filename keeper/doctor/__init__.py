"""Examines every component that the keeper needs and says what is wrong and how to mend it."""

from __future__ import annotations

import asyncio

from keeper.config import Settings
from keeper.doctor import machine, services
from keeper.doctor.check import Check, render, to_json

__all__ = ["Check", "examine", "render", "to_json"]


async def examine(settings: Settings) -> list[Check]:
    """Check everything that ``settings`` make the keeper use; takes a few seconds, each answer being bounded."""
    local = [
        machine.check_python(),
        machine.check_packages(),
        machine.check_ape(),
        machine.check_libc(),
        machine.check_disk(settings.home),
    ]
    answers = await asyncio.gather(
        machine.check_node(),
        machine.check_anvil(),
        machine.check_solc(),
        services.check_database(settings),
        services.check_bus(settings),
        *([services.check_node_rpc(settings)] if settings.rpc_url or settings.network != "replica" else []),
        *(services.check_relay(url) for url in settings.relay_urls),
    )
    replica = [machine.check_artifacts(settings)] if settings.network == "replica" else []
    return [*local, *answers, *replica, machine.check_browser()]
