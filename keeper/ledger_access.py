"""Opens the ledger's database for one short command, whether or not a keeper runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from keeper.config import Settings
from keeper.embedded.postgres import EmbeddedPostgres
from keeper.store.migrations import upgrade


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[str]:
    """The URL of the migrated database: the one that is named, or the private one, started for now unless it runs."""
    async with AsyncExitStack() as stack:
        url = settings.database_url
        if url is None:
            postgres = EmbeddedPostgres(settings.home, settings.log_dir)
            url = postgres.running_url()
            if url is None:
                settings.log_dir.mkdir(parents=True, exist_ok=True)
                await stack.enter_async_context(postgres)
                url = postgres.url
        await asyncio.to_thread(upgrade, url)
        yield url
