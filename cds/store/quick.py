"""Reading at the driver's speed: for whoever waits for a few rows and needs no session.

A query is compiled once for each database; its parameters are text. Within a look (`Database.looking`) rows that were
found once, or foreseen with another statement, are found again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from cds.store.engine import Database

Row = tuple[Any, ...]
#: (cursor, values in their order) → rows.
_Run = Callable[[Any, Sequence[str]], list[Row]]
#: A query and its values → what it finds.
Foreseen = dict[tuple[int, tuple[str, ...]], list[Row]]


class Query:
    """One SELECT over named text parameters, which `rows` is given in the order of their names here."""

    def __init__(self, selected: sa.Select[*tuple[Any, ...]] | sa.CompoundSelect[Any], *parameters: str) -> None:
        self._selected, self._parameters = selected, parameters
        self._compiled: dict[str, _Run] = {}

    def rows(self, database: Database, *values: str) -> list[Row]:
        """All rows; raise Unavailable where the database cannot be used."""
        look = database.look()
        known: list[Row] | None = look.foreseen.get(self.key(*values)) if look else None
        if known is not None:
            return known
        with database.looking() as looked:
            rows = self._run(database)(looked.cursor, values)
            if looked.lasts:
                looked.foreseen[self.key(*values)] = rows
            return rows

    def key(self, *values: str) -> tuple[int, tuple[str, ...]]:
        """What the rows are foreseen under."""
        return id(self), values

    def _run(self, database: Database) -> _Run:
        dialect = database.reader.dialect
        return self._compiled.get(dialect.name) or self._compiled.setdefault(dialect.name, self._compile(dialect))

    def _compile(self, dialect: sa.Dialect) -> _Run:
        compiled = self._selected.compile(dialect=dialect)
        text, given, names = str(compiled), dict(compiled.params), getattr(compiled, "positiontup", None)
        columns = [column.type.dialect_impl(dialect) for column in self._selected.selected_columns]
        readers = [
            (place, reader)
            for place, column in enumerate(columns)
            if (reader := column.result_processor(dialect, None)) is not None
        ]

        def run(cursor: Any, values: Sequence[str]) -> list[Row]:
            named = given | dict(zip(self._parameters, values, strict=True))
            found = cursor.execute(text, [named[name] for name in names] if names else named).fetchall()
            return [_read(row, readers) for row in found] if readers else list(found)

        return run


def _read(row: Row, readers: Sequence[tuple[int, Callable[[Any], Any]]]) -> Row:
    values = list(row)
    for place, reader in readers:
        values[place] = reader(values[place])
    return tuple(values)
