"""What the keeper remembers and tells: the ledger in PostgreSQL, and the Redis bus of what happens now."""
