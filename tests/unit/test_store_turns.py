"""Processes that write one SQLite file take turns."""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy as sa

from cds.store.engine import sqlite_engine
from cds.store.turns import Turns


def test_whoever_comes_second_waits_until_the_first_has_ended(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "a.sqlite")
    first, second = Turns(engine), Turns(engine)  # as two processes have them
    order: list[str] = []

    def other() -> None:
        with second.turn():
            order.append("second")

    thread = threading.Thread(target=other)
    with first.turn():
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    first.close()
    second.close()
    engine.dispose()


def test_writers_of_another_folder_do_not_wait(tmp_path: Path) -> None:
    engines = [sqlite_engine(tmp_path / name / "a.sqlite") for name in ("here", "there")]
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    here, there = map(Turns, engines)
    with here.turn(), there.turn():
        pass
    here.close()
    there.close()


def test_what_has_no_file_has_no_turns() -> None:
    for engine in (sa.create_engine("sqlite://"), sa.create_engine("postgresql+psycopg://nobody@localhost/none")):
        turns = Turns(engine)
        with turns.turn(), turns.turn():
            pass
        turns.close()
        engine.dispose()
