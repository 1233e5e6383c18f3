"""Calls that are written down before they are committed: nobody waits, and the end of a process takes none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from cds.domain.hook import FeedbackTaken
from cds.store.card_log import SqlCardLog
from cds.store.engine import Database, open_app
from cds.store.grouped import GroupWriter
from tests.contract.card_log_contract import ABOUT, ANN, KNOWN, NOW, SERVICE, call, card, overridden, past, rows
from tests.databases import fresh
from tests.e2e.site import until


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with fresh(tmp_path / "data") as databases:
        yield databases.app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where calls are written down."""
    return tmp_path / "shown"


def over(database: Database, folder: Path) -> SqlCardLog:
    """A log as a web process has it."""
    return SqlCardLog(database, GroupWriter(database), database, (KNOWN,), folder)


def kept(database: Database) -> list[tuple[object, ...]]:
    """The calls in the tables."""
    return rows(database, "hook_call", "id", "whose")


def test_feedback_finds_a_card_that_was_shown_a_moment_ago(database: Database, folder: Path) -> None:
    log, shown = over(database, folder), card()
    log.keep(call(shown))
    assert log.feedback(SERVICE, "epic", [overridden(shown)], NOW) == FeedbackTaken(1, 0, 0)


def test_another_process_finds_a_card_that_was_shown_a_moment_ago(database: Database, folder: Path) -> None:
    here, there, shown = over(database, folder), over(database, folder), card()
    here.keep(call(shown))
    assert there.feedback(SERVICE, "epic", [overridden(shown)], NOW) == FeedbackTaken(1, 0, 0)


def test_what_was_shown_counts_before_it_is_in_the_tables_and_afterwards(database: Database, folder: Path) -> None:
    log = over(database, folder)
    log.keep(call(card(), whose="anna"))
    log.keep(call(card(replace(ABOUT, key="other")), whose="berta"))
    before = past(log)
    until(lambda: len(kept(database)) == 2, 10, "both calls in the tables")
    assert before == past(log)
    assert before.seen == {(ABOUT.key, ABOUT.digest): NOW}
    assert before.today == {ABOUT.key, "other"}


def test_what_comes_within_a_moment_is_one_commit(database: Database, folder: Path) -> None:
    log = over(database, folder)
    with database.looking() as look:
        version = "PRAGMA data_version"
        before = look.cursor.execute(version).fetchone()[0]
        for _ in range(20):
            log.keep(call(card()))
        until(lambda: len(kept(database)) == 20, 10, "all calls")
        assert look.cursor.execute(version).fetchone()[0] - before <= 2


def test_a_process_that_is_killed_takes_no_call_with_it(tmp_path: Path, database: Database, folder: Path) -> None:
    command = [sys.executable, "-m", __name__, str(tmp_path / "data"), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "shown\n"
        os.kill(process.pid, signal.SIGKILL)
    assert kept(database) == []
    log = over(database, folder)
    log.keep(call(card(), whose="berta"))
    until(lambda: len(kept(database)) == 4, 10, "the calls of the process that was killed")
    assert past(log).seen == {(ABOUT.key, ABOUT.digest): NOW}
    until(lambda: len(list(folder.iterdir())) == 1, 10, "its file to be gone")


def test_a_call_that_was_being_written_when_its_process_ended_was_not_answered(
    database: Database, folder: Path
) -> None:
    folder.mkdir()
    (folder / "torn.calls").write_bytes(b'[[["begun",')
    log = over(database, folder)
    log.keep(call(card()))
    until(lambda: not (folder / "torn.calls").exists(), 10, "the torn file to be gone")
    until(lambda: len(kept(database)) == 1, 10, "the new call")


def test_what_is_written_twice_is_there_once(tmp_path: Path, database: Database, folder: Path) -> None:
    command = [sys.executable, "-m", __name__, str(tmp_path / "data"), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    [left] = folder.glob("*.calls")
    again = left.read_bytes()
    log = over(database, folder)
    log.keep(call(card()))
    until(lambda: not left.exists(), 10, "the file to be worked off")
    left.write_bytes(again)
    other = over(database, folder)
    other.keep(call(card()))
    until(lambda: not left.exists(), 10, "the file to be worked off again")
    until(lambda: len(kept(database)) == 5, 10, "three calls, and one of each log")


def test_where_the_disk_takes_no_more_the_call_is_committed_before_it_is_answered(
    database: Database, folder: Path
) -> None:
    folder.write_text("a file where the folder should be")
    log = over(database, folder)
    log.keep(call(card()))
    assert len(kept(database)) == 1


def test_of_a_line_that_the_disk_takes_in_part_nothing_stays(folder: Path) -> None:
    folder.mkdir()
    code = (
        "import resource, signal, sys, pathlib\n"
        "from cds.store import card_journal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "page = card_journal._new(pathlib.Path(sys.argv[1]))\n"
        "card_journal._append(page.descriptor, b'whole' + b'\\n')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))\n"
        "try:\n    card_journal._append(page.descriptor, b'longer than there is room')\n"
        "except OSError as error:\n    print(page.path.read_bytes())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == "b'whole\\n'\n"


def test_what_one_call_cannot_be_written_with_takes_no_other(database: Database, folder: Path) -> None:
    log = over(database, folder)
    with database.writer.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE TRIGGER refuses BEFORE INSERT ON hook_call WHEN NEW.whose = 'poison'"
                " BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        )
    for whose in ("anna", "poison", "berta"):
        log.keep(call(card(), whose=whose))
    until(lambda: {whose for _, whose in kept(database)} == {"anna", "berta"}, 10, "the others")
    log.keep(call(card(), whose="clara"))
    until(lambda: len(kept(database)) == 3, 10, "the next one")


def test_while_the_database_is_away_calls_wait_in_their_file(database: Database, folder: Path) -> None:
    hasty = open_app(Path(str(database.writer.url.database)).parent, "", patience_ms=50)
    log = SqlCardLog(database, GroupWriter(hasty), database, (KNOWN,), folder)
    with database.writer.connect() as busy:
        busy.exec_driver_sql("SELECT 1")  # begins a transaction that writes
        log.keep(call(card(), at=NOW + timedelta(minutes=1)))
        time.sleep(0.6)
    assert kept(database) == []
    [waiting] = folder.glob("*.calls")
    assert waiting.stat().st_size > 0
    over(database, folder).keep(call(card()))
    until(lambda: len(kept(database)) == 2, 10, "what waited")


def main(data_dir: str, folder: str) -> None:
    """Show three cards, say so, and wait to be killed."""
    log = over(open_app(Path(data_dir), ""), Path(folder))
    log.history(ANN, "anna", since=NOW, midnight=NOW)
    with open_app(Path(data_dir), "").writer.connect() as busy:
        busy.exec_driver_sql("SELECT 1")  # begins a transaction that writes: nothing is committed before the kill
        for _ in range(3):
            log.keep(call(card()))
        print("shown", flush=True)
        time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
