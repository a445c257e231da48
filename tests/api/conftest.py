"""Stores and a running interface for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from keeper.embedded.valkey import EmbeddedValkey
from keeper.store.bus import connect
from tests.api.site import Site, site
from tests.store.servers import database_url, postgres, valkey

__all__ = ["database_url", "postgres", "valkey"]


@pytest.fixture
async def redis_url(valkey: EmbeddedValkey) -> str:
    """An empty bus."""
    client = connect(valkey.url)
    await client.flushall()
    await client.aclose()
    return valkey.url


@pytest.fixture
async def api(database_url: str, redis_url: str) -> AsyncIterator[Site]:
    async with site(database_url, redis_url) as running:
        yield running
