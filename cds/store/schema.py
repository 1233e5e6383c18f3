"""Creates and upgrades the tables with Alembic; each database has its own chain of revisions."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from cds.errors import ConfigurationError
from cds.store.engine import Database, translated

_HERE = Path(__file__).parent / "migrations"


def config(branch: str, connection: sa.Connection | None = None) -> Config:
    """The Alembic configuration of "app" or "inbox"."""
    configuration = Config()
    configuration.set_main_option("script_location", str(_HERE / branch))
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["connection"] = connection
    configuration.attributes["version_table"] = f"alembic_version_{branch}"
    return configuration


def upgrade(database: Database, branch: str, revision: str = "head") -> None:
    """Bring the tables to a revision."""
    with database.writer.begin() as connection:
        command.upgrade(config(branch, connection), revision)


def downgrade(database: Database, branch: str, revision: str = "base") -> None:
    """Take the tables back to a revision."""
    with database.writer.begin() as connection:
        command.downgrade(config(branch, connection), revision)


def check(database: Database, branch: str) -> None:
    """Raise ConfigurationError unless the tables are at the newest revision."""
    with translated(), database.writer.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": f"alembic_version_{branch}"})
        current = context.get_current_revision()
    newest = ScriptDirectory.from_config(config(branch)).get_current_head()
    if current != newest:
        raise ConfigurationError([f"the {branch} tables are at revision {current}, want {newest}: run cds db upgrade"])
