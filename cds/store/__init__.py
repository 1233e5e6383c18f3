"""The store: tables, queries that return domain objects, migrations."""
