"""Alembic's entry for the app tables; the connection comes from `cds.store.schema`."""

from __future__ import annotations

from alembic import context

from cds.store import hook_tables, safety_tables  # noqa: F401 - name their tables to the metadata
from cds.store.tables import AppBase

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=AppBase.metadata,
    version_table=context.config.attributes["version_table"],
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
