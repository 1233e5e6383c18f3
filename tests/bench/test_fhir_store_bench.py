"""What a search costs with a thousand and with a million stored Observations, on SQLite and on PostgreSQL.

Every round makes the same calls, and of each call its best time counts: what a database reads was in memory before, and
what else the machine does comes on top of either. The p99 is over the calls.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.fhir.parameters import EDITION, index
from cds.domain.resource import NewResource
from cds.domain.search import Criterion, Include, ResourceQuery, Sort, Wanted
from cds.store.engine import Database
from cds.store.resource_cursor import Cursor
from cds.store.resource_index import INDEX, RESOURCE, milliseconds
from cds.store.resource_versions import put_all
from cds.store.resources import SqlResourceStore
from tests.databases import Databases, fresh

pytestmark = pytest.mark.bench

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
_PER_BLOCK, _PER_STUDY, _PATIENTS, _CODES, _DEVICES = 1000, 5, 50, 20, 4
_BLOCKS = 1000
_CALLS, _ROUNDS = 200, 15
_LOINC, _MRN = "http://loinc.org", "urn:oid:1.2.36.146.595.217.0.1"
_FIRST = "00000000-"
_ANY = ResourceQuery("Observation")


def _id(block: int, kind: int, number: int) -> str:
    return f"{block:08x}-0000-4000-800{kind}-{number:012d}"


def _device(number: int) -> str:
    return f"ffffffff-0000-4000-8000-{number:012d}"


def _new(body: dict[str, object], patient: str | None = None) -> NewResource:
    return NewResource(str(body["resourceType"]), str(body["id"]), body, patient, index=index(body), edition=EDITION)


def _coded(code: str) -> dict[str, object]:
    return {"coding": [{"system": _LOINC, "code": code}]}


def _observation(number: int) -> NewResource:
    """A finding like those that are emitted; identifiers and references have the block's number in them."""
    study = number // _PER_STUDY
    patient = _id(0, 1, study % _PATIENTS)
    body = {
        "resourceType": "Observation",
        "id": _id(0, 2, number),
        "meta": {
            "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "AIAST"}]
        },
        "identifier": [{"system": "urn:sightline:findings", "value": _id(0, 2, number)}],
        "status": "preliminary",
        "category": [_coded("imaging")],
        "code": _coded(f"c{number % _CODES}"),
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": (START + timedelta(seconds=number)).isoformat(),
        "device": {"reference": f"Device/{_device(number % _DEVICES)}"},
        "derivedFrom": [{"reference": f"ImagingStudy/{_id(0, 4, study)}"}],
        "method": {"text": "x" * 400},
        "valueQuantity": {"value": number / 10, "system": "http://unitsofmeasure.org", "code": "mm", "unit": "mm"},
        "component": [{"code": _coded("threshold"), "valueQuantity": {"value": 0.5, "code": "%"}}],
    }
    return _new(body, patient)


def _patient(number: int) -> NewResource:
    key = _id(0, 1, number)
    body = {
        "resourceType": "Patient",
        "id": key,
        "identifier": [{"system": _MRN, "value": f"{_FIRST}{number}"}],
        "name": [{"family": f"Family{number}", "given": ["Anna"]}],
        "gender": "female",
        "birthDate": "1960-02-03",
    }
    return _new(body, key)


@dataclass(frozen=True)
class Stored:
    """A store of so many blocks of a thousand Observations."""

    store: SqlResourceStore
    blocks: int


def fill(database: Database, blocks: int) -> Stored:
    """The first block as reports are always written, the others as copies that the database itself makes of it."""
    devices = [_new({"resourceType": "Device", "id": _device(n), "status": "active"}) for n in range(_DEVICES)]
    with database.writing() as session:
        put_all(session, [(device, None) for device in devices], START)
    with database.writing() as session:
        put_all(session, [(_patient(n), None) for n in range(_PATIENTS)], START)
    for first in range(0, _PER_BLOCK, _PER_STUDY):
        with database.writing() as session:
            findings = [(_observation(number), "1.2") for number in range(first, first + _PER_STUDY)]
            put_all(session, findings, START + timedelta(seconds=first))
    if blocks > 1:
        with _without_indexes(database), database.writing() as session:
            for statement in _copies(database.writer.dialect.name, blocks):
                session.execute(statement)
    _settle(database)
    return Stored(SqlResourceStore(database, edition=EDITION), blocks)


def _copies(dialect: str, blocks: int) -> Iterator[sa.Insert]:
    """Block `k` is a thousand seconds later than the one before, and has its number in its ids."""
    r, i, step = RESOURCE.c, INDEX.c, _PER_BLOCK + _PATIENTS
    for k in range(1, blocks):
        later = {"sqlite": _later_in_text, "postgresql": _later}[dialect](k * _PER_BLOCK)
        changed: dict[str, Any] = {
            "number": r.number + k * step, "id": _renamed(r.id, k), "last_updated": later,
            "patient_id": _renamed(r.patient_id, k), "body": _renamed_bytes(dialect, k),
        }  # fmt: skip
        yield _copy(RESOURCE, changed, r.number.between(_DEVICES + 1, _DEVICES + step))
        dated = sa.case((i.param == "Observation.date", k * _PER_BLOCK), else_=0)
        changed = {
            "resource": i.resource + k * step, "value": _renamed(i.value, k), "low": i.low + dated,
            "high": i.high + dated, "updated": i.updated + k * 1000 * _PER_BLOCK,
        }  # fmt: skip
        yield _copy(INDEX, changed, i.resource.between(_DEVICES + 1, _DEVICES + step))


def _copy(table: sa.Table, changed: Mapping[str, Any], where: sa.ColumnElement[bool]) -> sa.Insert:
    rows = sa.select(*(changed.get(column.name, column) for column in table.columns)).where(where)
    return sa.insert(table).from_select([column.name for column in table.columns], rows)


def _renamed(text: Any, k: int) -> Any:
    return sa.func.replace(text, _FIRST, f"{k:08x}-")


def _renamed_bytes(dialect: str, k: int) -> Any:
    if dialect == "sqlite":
        return sa.cast(_renamed(sa.cast(RESOURCE.c.body, sa.Text), k), sa.LargeBinary)
    return sa.func.convert_to(_renamed(sa.func.convert_from(RESOURCE.c.body, "UTF8"), k), "UTF8")


def _later(seconds: int) -> Any:
    return RESOURCE.c.last_updated + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def _later_in_text(seconds: int) -> Any:
    return sa.func.strftime("%Y-%m-%d %H:%M:%f000", RESOURCE.c.last_updated, f"+{seconds} seconds")


@contextmanager
def _without_indexes(database: Database) -> Iterator[None]:
    """Made again afterwards, which is quicker than row by row."""
    indexes = [*RESOURCE.indexes, *INDEX.indexes]
    with database.writer.begin() as connection:
        for one in indexes:
            one.drop(connection)
    yield
    with database.writer.begin() as connection:
        for one in indexes:
            one.create(connection)


def _settle(database: Database) -> None:
    """As after a night: PostgreSQL's autovacuum has run, SQLite's log is copied."""
    commands = {"postgresql": "VACUUM ANALYZE", "sqlite": "PRAGMA wal_checkpoint(TRUNCATE)"}
    with database.driven() as connection:
        if database.writer.dialect.name == "postgresql":
            connection.autocommit = True
        connection.execute(commands[database.writer.dialect.name]).close()


# --- what is called


def _token(param: str, value: str, system: str) -> Criterion:
    return Criterion(param, "token", (Wanted(value, system),))


def _code(number: int) -> Criterion:
    return _token("code", f"c{number}", _LOINC)


def _subject(one: Stored, chance: random.Random, number: int) -> Criterion:
    return Criterion("subject", "reference", (Wanted(f"Patient/{_id(chance.randrange(one.blocks), 1, number)}", ""),))


def _search(one: Stored, wanted: int, *criteria: Criterion, query: ResourceQuery = _ANY) -> None:
    page = one.store.search(replace(query, criteria=criteria))
    assert len(page.resources) == wanted


def _read(one: Stored, chance: random.Random) -> None:
    one.store.read("Observation", _id(chance.randrange(one.blocks), 2, chance.randrange(_PER_BLOCK)))


def _by_patient_and_code(one: Stored, chance: random.Random) -> None:
    """Each patient has five codes in four studies, those of every second one alike."""
    number = chance.randrange(_PATIENTS)
    code = (_PER_STUDY * number + chance.randrange(_PER_STUDY)) % _CODES
    _search(one, 2, _subject(one, chance, number), _code(code))


def _by_identifier(one: Stored, chance: random.Random) -> None:
    key = _id(chance.randrange(one.blocks), 2, chance.randrange(_PER_BLOCK))
    _search(one, 1, _token("identifier", key, "urn:sightline:findings"))


def _by_code(one: Stored, chance: random.Random) -> None:
    _search(one, 20, _code(chance.randrange(_CODES)), query=replace(_ANY, count=20))


def _by_code_deep(one: Stored, chance: random.Random) -> None:
    """From anywhere in the first half of a block: there are twenty more in the other."""
    at = START + timedelta(seconds=_PER_BLOCK * chance.randrange(one.blocks) + chance.randrange(_PER_BLOCK // 2))
    query = replace(_ANY, count=20, after=Cursor(milliseconds(at), 0).text)
    _search(one, 20, _code(chance.randrange(_CODES)), query=query)


def _newest_first(one: Stored, chance: random.Random) -> None:
    """From any day on."""
    at = START + timedelta(seconds=_PER_BLOCK * chance.randrange(one.blocks) + chance.randrange(20, _PER_BLOCK))
    after = Cursor(at.timestamp(), 0).text
    _search(one, 20, query=replace(_ANY, count=20, sort=Sort("date", descending=True), after=after))


def _with_patient_and_device(one: Stored, chance: random.Random) -> None:
    includes = (Include("Observation", "subject"), Include("Observation", "device"))
    subject = _subject(one, chance, chance.randrange(_PATIENTS))
    page = one.store.search(ResourceQuery("Observation", (subject,), includes))
    assert len(page.resources) == _PER_BLOCK // _PATIENTS
    assert len(page.included) == 1 + _DEVICES


def _chained(one: Stored, chance: random.Random) -> None:
    number = f"{chance.randrange(one.blocks):08x}-{chance.randrange(_PATIENTS)}"
    chain = Criterion("subject", "reference", chain=("Patient", _token("identifier", number, _MRN)))
    _search(one, _PER_BLOCK // _PATIENTS, chain)


Call = Callable[[Stored, random.Random], None]
CALLS: Mapping[str, Call] = {
    "read": _read,
    "patient and code": _by_patient_and_code,
    "identifier": _by_identifier,
    "code, first page": _by_code,
    "code, deep page": _by_code_deep,
    "_sort=-date": _newest_first,
    "patient, _include": _with_patient_and_device,
    "subject:Patient.identifier": _chained,
}


# --- how long it takes


def best(call: Call, stores: tuple[Stored, Stored]) -> tuple[list[float], list[float]]:
    """The best time of each of the same calls in several rounds, in milliseconds; the stores take turns."""
    times: tuple[list[float], list[float]] = ([float("inf")] * _CALLS, [float("inf")] * _CALLS)
    for _ in range(_ROUNDS):
        chances = random.Random(1), random.Random(1)
        for number in range(_CALLS):
            for one, took, chance in zip(stores, times, chances, strict=True):
                started = time.perf_counter()
                call(one, chance)
                took[number] = min(took[number], 1000 * (time.perf_counter() - started))
    return times


def compare(small: Stored, large: Stored) -> dict[str, float]:
    """The p99 of the large store to that of the small one, by what is called."""
    ratios = {}
    for name, call in CALLS.items():
        few, many = (sorted(times)[int(0.99 * _CALLS)] for times in best(call, (small, large)))
        ratios[name] = many / few
        print(f"{name:28} p99 {few:5.2f} ms with 10^3, {many:5.2f} ms with 10^6, ratio {ratios[name]:.2f}")
    return ratios


@contextmanager
def _large(folder: Path, url: str) -> Iterator[Databases]:
    """Some gigabytes, which do not stay."""
    try:
        with fresh(folder, url) as databases:
            yield databases
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_million_observations_are_searched_as_fast_as_a_thousand(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else ""
    with fresh(tmp_path / "small", url) as few, _large(tmp_path / "large", url and _second(url)) as many:
        small = fill(few.app, 1)
        started = time.perf_counter()
        large = fill(many.app, _BLOCKS)
        print(f"\n{kind}: loaded in {time.perf_counter() - started:.0f} s; {_CALLS} calls, each the best of {_ROUNDS}")
        ratios = compare(small, large)
    assert max(ratios.values()) <= 1.3


def _second(url: str) -> str:
    """Another database of the same cluster."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE large"))
    engine.dispose()
    return url.rpartition("/")[0] + "/large"
