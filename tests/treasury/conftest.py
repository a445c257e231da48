"""Servers and databases for the tests of the treasury."""

from tests.store.servers import database_url, postgres

__all__ = ["database_url", "postgres"]
