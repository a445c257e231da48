"""Servers and databases for the tests of the panel."""

from tests.store.servers import database_url, postgres, valkey

__all__ = ["database_url", "postgres", "valkey"]
