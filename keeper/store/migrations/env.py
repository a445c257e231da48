"""Run by Alembic: migrates on the connection that `keeper.store.migrations` hands over."""

from __future__ import annotations

from alembic import context

from keeper.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
