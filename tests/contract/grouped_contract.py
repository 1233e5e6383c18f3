"""What is promised of writes that are committed together, on every database; a subclass gives `databases`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from cds.errors import Conflict, Unavailable
from cds.store.driver_values import insertion, times
from cds.store.engine import Database
from cds.store.grouped import GroupWriter, Kind
from cds.store.tables import AppBase
from tests.databases import Databases

_AT = datetime(2026, 11, 3, tzinfo=UTC)
_SOON = 5.0


@dataclass(frozen=True)
class Counted(Database):
    """A database that says how many transactions were committed."""

    commits: list[int] = field(default_factory=list)

    @contextmanager
    def inserting(self) -> Iterator[Any]:
        with super().inserting() as cursor:
            yield cursor
        self.commits.append(1)


class Lines:
    """Writes lines to the timeline; "bad" cannot be written, and nothing is while the door is closed."""

    def __init__(self, database: Database, door: threading.Event | None = None) -> None:
        dialect = database.writer.dialect
        self._statement = insertion("timeline", ("at", "step", "outcome", "detail"), dialect)
        self._at = times(dialect)[0](_AT)
        self._door, self.entered = door, threading.Event()
        self.kind: Kind[str, str] = Kind("lines", self._write)

    def _write(self, cursor: Any, lines: Sequence[str]) -> Sequence[str]:
        self.entered.set()
        assert self._door is None or self._door.wait(_SOON)
        cursor.executemany(self._statement, [(self._at, line, "", "[]") for line in lines])
        for word, error in (("refused", Conflict("no")), ("bad", ValueError("no")), ("broken", RuntimeError("no"))):
            if word in lines:
                raise error
        return [line.upper() for line in lines]


def written(database: Database) -> list[str]:
    """All lines."""
    step = AppBase.metadata.tables["timeline"].c.step
    with database.reading() as session:
        return sorted(row[0] for row in session.connection().execute(sa.select(step)))


class GroupedContract:
    """Every promise of `cds.store.grouped`."""

    @pytest.fixture
    def database(self, databases: Databases) -> Counted:
        """The application's tables, counting."""
        return Counted(databases.app.reader, databases.app.writer)

    def test_everybody_gets_their_own_result_once_it_is_committed(self, database: Counted) -> None:
        writer, lines = GroupWriter(database), Lines(database)
        given = {word: writer.give(lines.kind, word) for word in ("a", "b", "c")}
        assert {word: one.result(_SOON) for word, one in given.items()} == {"a": "A", "b": "B", "c": "C"}
        assert written(database) == ["a", "b", "c"]

    def test_what_comes_during_a_commit_is_the_next_group(self, database: Counted) -> None:
        door = threading.Event()
        writer, lines = GroupWriter(database), Lines(database, door)
        first = writer.give(lines.kind, "0")
        assert lines.entered.wait(_SOON)
        given = [writer.give(lines.kind, str(number)) for number in range(1, 51)]
        assert written(database) == []
        door.set()
        assert [one.result(_SOON) for one in (first, *given)] == [str(number) for number in range(51)]
        assert len(database.commits) == 2

    def test_what_may_come_later_is_written_with_what_comes_next(self, database: Counted) -> None:
        writer, lines = GroupWriter(database), Lines(database)
        later = [writer.give_later(lines.kind, word) for word in ("a", "b")]
        assert writer.give(lines.kind, "c").result(_SOON) == "C"
        assert [one.result(_SOON) for one in later] == ["A", "B"]
        assert len(database.commits) == 1

    def test_what_may_come_later_is_written_where_somebody_waits_for_it(self, database: Counted) -> None:
        writer, lines = GroupWriter(database), Lines(database)
        first, second = (writer.give_later(lines.kind, word) for word in ("a", "b"))
        assert second.result(_SOON) == "B"
        assert first.result(_SOON) == "A"
        assert len(database.commits) == 1

    def test_what_may_come_later_is_written_at_the_end(self, database: Counted) -> None:
        writer, lines = GroupWriter(database), Lines(database)
        writer.give(lines.kind, "0").result(_SOON)
        for number in range(1000, 1600):
            writer.give_later(lines.kind, str(number))
        writer.close()
        assert written(database) == ["0", *map(str, range(1000, 1600))]

    def test_a_kind_is_told_when_what_it_wrote_is_committed(self, database: Counted) -> None:
        lines, told = Lines(database), list[list[str]]()
        writer = GroupWriter(database)
        kind = Kind("told", lines.kind.write, lambda: told.append(written(database)))
        writer.give(kind, "a").result(_SOON)
        with pytest.raises(Conflict):
            writer.give(kind, "refused").result(_SOON)
        assert told == [["a"]]

    @pytest.mark.parametrize(("bad", "error"), [("refused", Conflict), ("bad", Unavailable)])
    def test_what_cannot_be_written_fails_alone(self, database: Counted, bad: str, error: type[Exception]) -> None:
        door = threading.Event()
        writer, lines = GroupWriter(database), Lines(database, door)
        first = writer.give(lines.kind, "0")
        assert lines.entered.wait(_SOON)
        given = [writer.give(lines.kind, word) for word in ("1", bad, "2")]
        door.set()
        assert [one.result(_SOON) for one in (first, given[0], given[2])] == ["0", "1", "2"]
        with pytest.raises(error):
            given[1].result(_SOON)
        assert written(database) == ["0", "1", "2"]

    def test_a_thread_that_breaks_leaves_nobody_waiting_and_another_one_begins(
        self, database: Counted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broke: list[object] = []
        monkeypatch.setattr(threading, "excepthook", broke.append)
        writer, lines = GroupWriter(database), Lines(database)
        with pytest.raises(Unavailable):
            writer.give(lines.kind, "broken").result(_SOON)
        writer.close()
        assert writer.give(lines.kind, "a").result(_SOON) == "A"
        assert len(broke) == 1
        assert written(database) == ["a"]

    def test_who_stops_waiting_does_not_stop_it(self, database: Counted) -> None:
        door = threading.Event()
        writer, lines = GroupWriter(database), Lines(database, door)
        given = writer.give(lines.kind, "a")
        with pytest.raises(Unavailable):
            given.result(0.01)
        door.set()
        assert given.result(_SOON) == "A"

    def test_no_more_wait_than_may(self, database: Counted) -> None:
        door = threading.Event()
        writer, lines = GroupWriter(database, most_waiting=2), Lines(database, door)
        writer.give(lines.kind, "0")
        assert lines.entered.wait(_SOON)
        given = [writer.give(lines.kind, word) for word in ("1", "2")]
        with pytest.raises(Unavailable):
            writer.give(lines.kind, "3")
        door.set()
        assert [one.result(_SOON) for one in given] == ["1", "2"]

    def test_what_waits_at_the_end_is_written(self, database: Counted) -> None:
        writer, lines = GroupWriter(database), Lines(database)
        for number in range(1000, 2000):
            writer.give(lines.kind, str(number))
        writer.close()
        assert written(database) == [str(number) for number in range(1000, 2000)]
        assert 1000 / 256 <= len(database.commits) <= 1000

    def test_the_thread_ends_with_its_writer(self, database: Counted) -> None:
        before = set(threading.enumerate())
        writer, lines = GroupWriter(database), Lines(database)
        writer.give(lines.kind, "a").result(_SOON)
        [thread] = set(threading.enumerate()) - before
        del writer
        thread.join(_SOON)
        assert not thread.is_alive()

    def test_a_child_process_has_a_thread_of_its_own(self, database: Counted) -> None:
        writer, lines = GroupWriter(database), Lines(database)
        writer.give(lines.kind, "parent").result(_SOON)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if writer.give(lines.kind, "child").result(_SOON) == "CHILD" else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert writer.give(lines.kind, "after").result(_SOON) == "AFTER"
        assert written(database) == ["after", "child", "parent"]
