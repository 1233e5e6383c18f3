"""The first page of a worklist of 100,000 studies, with every filter: server time, 99th percentile below 50 ms.

All of them wait for a reader, which no site has: rare values are then the furthest from the top. The time is that of
the whole request without the socket: session, changes made good, rows, audit log, page.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from cds.bootstrap.ui_worklist import keeper, rules_of
from cds.domain.finding import Presence
from cds.domain.identity import Sex
from cds.settings import Settings
from cds.store.engine import Database
from cds.store.tables import StudyRow
from cds.store.values import dump
from cds.store.worklist_tables import WorklistChoiceRow, WorklistMarkRow, WorklistRow
from cds.ui.people import Role
from cds.ui.worklist import Entry, Line, Status, Urgency, values
from tests.contract.ui_worklist_site import NOW, Site, site
from tests.databases import fresh

pytestmark = pytest.mark.bench

_STUDIES = 100_000
_CALLS, _ROUNDS = 100, 2
_LEAST = 50.0
_AT_ONCE = 5000
_SITES = tuple(f"site-{n}" for n in range(5))
_MODALITIES = (("CT",), ("MR",), ("CR",), ("DX",), ("MG",), ("US",), ("CT", "PT"))
_FINDINGS = tuple((f"finding-{n}", f"Finding {n}") for n in range(40))
_STATUSES = (Status.ANALYSED, Status.NOT_ANALYSED, Status.ANALYSING, Status.WAITING, Status.HELD, Status.FAILED)
_UNKEPT = "?page=1"
Keep = Callable[[datetime], None]
#: Where nothing fits, everything is looked at.
_FILTERS = {
    "no filter": "",
    "modality": "?modality=CT",
    "rare modality": "?modality=XA",
    "modality that none has": "?modality=NM",
    "site": "?site=site-3",
    "finding": "?finding=finding-7",
    "rare finding": "?finding=rare",
    "status": "?status=held",
    "finished": "?status=reported",
    "finished, rare finding": "?status=reported&finding=rare",
    "all four": "?modality=CT&site=site-3&finding=finding-7&status=held",
    "all four, nothing fits": "?modality=XA&site=site-3&finding=rare&status=held",
    "page 20": "?page=20",
    "a change that no worker kept": _UNKEPT,
}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("is_finished", [False, True], ids=["all wait", "most are finished"])
def test_the_first_page_of_a_hundred_thousand_studies(
    tmp_path: Path, kind: str, is_finished: bool, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else ""
    settings = Settings(data_dir=tmp_path, database_url=url, sites={name: {"issuers": [name]} for name in _SITES})
    with fresh(tmp_path, url) as databases, _site(settings) as here:
        _fill(databases.app, settings, share_finished=0.98 if is_finished else 0.01)
        slowest = _measure(here, kind)
    assert max(slowest.values()) < _LEAST


@contextmanager
def _site(settings: Settings) -> Iterator[Site]:
    here = site(settings)
    yield here
    here.held.database.dispose()


def _measure(here: Site, kind: str) -> dict[str, float]:
    """The 99th percentile of each filter in ms, the best of some rounds: others use the machine too.

    A study changes between two calls; a worker keeps its row, as its timer does, but for the filter that says so.
    """
    browser = here.browser(Role.RADIOLOGIST)
    for path in ("/worklist", "/worklist?status=reported"):  # what a process does once is no part of it
        browser.get(path)
    rounds = [{name: _times(here, browser, query) for name, query in _FILTERS.items()} for _ in range(_ROUNDS)]
    print(f"\n{kind}: {_STUDIES} studies, {_CALLS} calls, best of {_ROUNDS} rounds; ms at 50 % and 99 %")
    slowest: dict[str, float] = {}
    for name in _FILTERS:
        median, slowest[name] = (min(one[name][at] for one in rounds) for at in (_CALLS // 2, int(_CALLS * 0.99) - 1))
        print(f"  {name:28} {median:6.1f} {slowest[name]:6.1f}")
    return slowest


def _times(here: Site, browser: FlaskClient, query: str) -> list[float]:
    keep = None if query == _UNKEPT else keeper(here.settings, here.held, here.clock)
    return sorted(_call(here, browser, f"/worklist{query}", number, keep) for number in range(_CALLS))


def _call(here: Site, browser: FlaskClient, path: str, number: int, keep: Keep | None) -> float:
    with here.held.database.writing() as session:
        session.add(WorklistMarkRow(kind="study", about=_uid(number * 37)))
    if keep is not None:
        keep(NOW)
    begun = time.perf_counter()
    answer = browser.get(path)
    took = (time.perf_counter() - begun) * 1000
    assert answer.status_code == 200
    return took


def _fill(database: Database, settings: Settings, *, share_finished: float) -> None:
    chance, rules = random.Random(7), rules_of(settings)
    with database.writer.begin() as connection:
        for start in range(0, _STUDIES, _AT_ONCE):
            entries = [_entry(number, chance, share_finished) for number in range(start, start + _AT_ONCE)]
            connection.execute(sa.insert(StudyRow), [_study(one) for one in entries])
            connection.execute(sa.insert(WorklistRow), [_row(one, rules) for one in entries])
        offered = {one for n in range(200) for one in values((_entry(n, chance, 0),))} | {("finding", "rare", "Rare")}
        columns = ("filter", "name", "title")
        connection.execute(sa.insert(WorklistChoiceRow), [dict(zip(columns, one, strict=True)) for one in offered])
        connection.execute(sa.delete(WorklistMarkRow))
    _settle(database)


def _entry(number: int, chance: random.Random, share_finished: float) -> Entry:
    found = tuple(chance.sample(_FINDINGS, chance.choice((0, 0, 1, 2))))
    is_rare = number % 20_000 == 19_999
    status = Status.REPORTED if chance.random() < share_finished else chance.choice(_STATUSES)
    lines = [Line(Presence.PRESENT, f"{title} 93 %") for _, title in found]
    lines += [Line(Presence.NOT_EVALUATED, "model-9: the lung is not covered"), Line(Presence.MEASURED, "Volume 3 ml")]
    return Entry(
        study_instance_uid=_uid(number),
        public_id=f"public-{number}",
        status=status,
        urgency=chance.choice((Urgency.CRITICAL, Urgency.STAT, *([Urgency.ROUTINE] * 20))),
        since=NOW - timedelta(seconds=30 * number),
        why=("critical: Finding 1 detected, 93 %", "STAT by the order"),
        patient_id=f"patient-{number % 60_000}",
        number=f"MRN{number % 60_000}",
        initials="AB",
        sex=Sex.FEMALE,
        birth_date=NOW.date().replace(year=1950),
        accession=f"ACC{number}",
        description="CT Head without contrast",
        study_date=NOW.date(),
        modalities=("XA",) if is_rare else chance.choice(_MODALITIES),
        site=chance.choice(_SITES),
        lines=tuple(lines),
        found=(*found, ("rare", "Rare")) if is_rare else found,
        priors=2,
    )


def _uid(number: int) -> str:
    return f"1.2.826.0.1.3680043.8.498.{number}"


def _study(one: Entry) -> dict[str, object]:
    row = StudyRow(
        uid=one.study_instance_uid, public_id=one.public_id, source="dicom", patient_value=one.number,
        patient_assigner="HOSPITAL", accession_number=one.accession, accession_issuer=one.site,
        study_date=one.study_date,
        image_revision=1, match_revision=1, analysis_run=1, revision_open=False, instances=100,
        first_instance_at=one.since, last_instance_at=one.since,
    )  # fmt: skip
    return row.model_dump()


def _row(one: Entry, rules: str) -> dict[str, object]:
    return {
        "study_uid": one.study_instance_uid,
        "is_open": one.status.is_open,
        "urgency": int(one.urgency),
        "since": one.since,
        "status": one.status.value,
        "site": one.site,
        "modalities": f"|{'|'.join(one.modalities)}|",
        "findings": f"|{'|'.join(name for name, _ in one.found)}|" if one.found else "",
        "patient_id": one.patient_id,
        "instances": 100,
        "rules": rules,
        "body": dump(Entry, one),
    }


def _settle(database: Database) -> None:
    """As after a night: PostgreSQL's autovacuum has run, SQLite's log is copied."""
    commands = {"postgresql": "VACUUM ANALYZE", "sqlite": "PRAGMA wal_checkpoint(TRUNCATE)"}
    with database.driven() as connection:
        if database.writer.dialect.name == "postgresql":
            connection.autocommit = True
        connection.execute(commands[database.writer.dialect.name]).close()
