"""PostgreSQL and the Redis bus."""
