"""Servers and databases for the tests of the store."""

from tests.store.servers import database_url, empty_database_url, postgres, valkey

__all__ = ["database_url", "empty_database_url", "postgres", "valkey"]
