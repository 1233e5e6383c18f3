"""Alembic's entry for the app tables; the connection comes from `cds.store.schema`."""

from __future__ import annotations

from alembic import context

from cds.store import (  # noqa: F401 - name their tables to the metadata
    fhir_tables,
    follow_up_tables,
    hook_tables,
    operations_tables,
    people_tables,
    quality_tables,
    reading_tables,
    retrieval_tables,
    safety_tables,
    worklist_tables,
)
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
