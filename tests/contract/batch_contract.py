"""What a batch of messages promises on every database: the same rows as if each had been applied by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import strategies as st
from sqlmodel import select

from cds import intake
from cds.clock import SystemClock
from cds.domain.coding import Coding, Quantity
from cds.domain.event import StudyEvent, StudyEventKind
from cds.domain.identity import HumanName, Identifier, IdentityChange, IdentityEvent, Patient, Sex
from cds.domain.message import LoggedMessage, MessageContent, RawMessage, RecordValue
from cds.domain.order import OrderChange, OrderStatus, Priority, ServiceRequest
from cds.domain.verification import FinalReport
from cds.store.message_log import SqlMessageLog
from cds.store.realm import in_test
from cds.store.record import RecordStore
from cds.store.revisions import decide_match
from cds.store.studies import StudyStore
from cds.store.tables import (
    AppBase,
    OrderRow,
    PatientIdentifierRow,
    PatientRow,
)
from tests.contract.closing import close_quiet
from tests.contract.store_contract import instance
from tests.databases import Databases

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
Made = Callable[[], AbstractContextManager[Databases]]
#: Type and event of a message, and what it says.
Message = tuple[str, str, MessageContent]
Rows = dict[str, list[dict[str, object]]]

_STATUS = {"NW": OrderStatus.ACTIVE, "XO": OrderStatus.ACTIVE, "SC": OrderStatus.ACTIVE, "CA": OrderStatus.REVOKED}
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def person(number: int) -> Identifier:
    """The identifier of one of the few people of these tests."""
    return Identifier(f"P{number}", "HOSP")


def registered(
    people: Sequence[int], *, born: int | None = None, sex: Sex = Sex.UNKNOWN, event: str = "A08"
) -> Message:
    """A registration; whoever is not in the seed has one birth date and sex, so that no random id decides of two."""
    if max(people) > 1:
        born, sex = (1960 if born else None), (Sex.FEMALE if sex is not Sex.UNKNOWN else sex)
    day = date(born, 1, 1) if born else None
    identifiers = tuple(map(person, people))
    return "ADT", event, MessageContent(Patient(identifiers, HumanName("Test", f"T{people}"), birth_date=day, sex=sex))


def ordered(
    one: int, placer: int | None, filler: int | None, accession: int | None, *,
    control: str = "NW", minutes: int = 0, test: bool = False, visit: int | None = None,
) -> Message:  # fmt: skip
    """A message of an order of one person."""
    at = NOW + timedelta(minutes=minutes)
    order = ServiceRequest(
        Identifier(f"PL{placer}", "EHR") if placer is not None else None,
        Identifier(f"F{filler}", "RIS") if filler is not None else None,
        Identifier(f"A{accession}", "RIS") if accession is not None else None,
        person(one),
        _STATUS[control],
        priority=Priority.STAT if minutes % 2 else None,
        scheduled_at=at,
        changed_at=at,
    )
    change = OrderChange(order, control, states_status=control != "SC")
    under = Identifier(f"V{visit}", "HOSP") if visit is not None else None
    return "ORM", "O01", MessageContent(Patient((person(one),)), (change,), test=test, visit=under, account=under)


def resulted(one: int, keys: Sequence[int], value: int) -> Message:
    """Laboratory results of one person."""
    code = Coding("http://loinc.org", "2093-3")
    values = (RecordValue("observation", f"K{key}", code, Quantity(value, "mg/dL"), NOW.date()) for key in keys)
    return "ORU", "R01", MessageContent(Patient((person(one),)), values=tuple(values))


def reported(one: int, accession: int, text: str) -> Message:
    """A radiology report of one person."""
    report = FinalReport(Identifier(f"A{accession}", "RIS"), person(one), "final", NOW, "HL7 RIS|HOSP", NOW, text=text)
    return "ORU", "R01", MessageContent(Patient((person(one),)), final_reports=(report,))


def changed(event: IdentityEvent, survivor: int, prior: int, visit: int | None = None) -> Message:
    """A change of who is who."""
    number = Identifier(f"V{visit}", "HOSP") if visit is not None else None
    of_two = event not in (IdentityEvent.DELETE, IdentityEvent.CANCEL_VISIT)
    change = IdentityChange(
        event, "A00", (person(survivor),), (person(prior),) if of_two else (), visit=number, account=number
    )
    return "ADT", "A00", MessageContent(None, identity=(change,))


def told_of(one: int, kind: StudyEventKind, placer: int | None, accession: int | None) -> Message:
    """What a scheduler says of an exam of one person."""
    event = StudyEvent(
        kind,
        "HL7 SCH|HOSP",
        NOW,
        "1.0" if kind is StudyEventKind.IMAGES_AVAILABLE else None,
        Identifier(f"A{accession}", "RIS") if accession is not None else None,
        Identifier(f"PL{placer}", "EHR") if placer is not None else None,
        scheduled_at=NOW + timedelta(days=1),
    )
    return "SIU", "S12", MessageContent(Patient((person(one),)), events=(event,))


_one, _number = st.integers(0, 4), st.integers(0, 2)
_maybe = st.none() | _number
_two = st.lists(_one, min_size=2, max_size=2, unique=True)
#: Any message of these tests.
MESSAGES = st.one_of(
    st.builds(
        registered,
        st.lists(_one, min_size=1, max_size=2, unique=True),
        born=st.sampled_from([None, 1960, 1970]),
        sex=st.sampled_from([Sex.UNKNOWN, Sex.FEMALE, Sex.MALE]),
        event=st.sampled_from(["A04", "A08", "A03"]),
    ),
    *2
    * [
        st.builds(
            ordered,
            _one,
            _number,
            _maybe,
            _maybe,
            control=st.sampled_from(["NW", "NW", "XO", "CA", "SC"]),
            minutes=st.integers(0, 30),
            test=st.sampled_from([False, False, False, True]),
            visit=_maybe,
        )
    ],
    st.builds(ordered, _one, st.none(), _number, _maybe, control=st.sampled_from(["NW", "SC", "CA"])),
    st.builds(told_of, _one, st.sampled_from(StudyEventKind), _maybe, _number),
    st.builds(resulted, _one, st.lists(_number, max_size=3), st.integers(0, 9)),
    st.builds(reported, _one, _number, st.sampled_from(["nodule", "no nodule"])),
    st.builds(
        lambda event, two, visit: changed(event, two[0], two[1], visit), st.sampled_from(IdentityEvent), _two, _maybe
    ),
    st.builds(lambda two: changed(IdentityEvent.MERGE, two[0], two[1]), _two),
)


class BatchContract:
    """Subclasses give `made`."""

    @pytest.fixture
    def made(self) -> Made:
        """Makes empty databases."""
        raise NotImplementedError

    def test_a_new_patient_in_two_messages_of_a_batch_is_one(self, made: Made) -> None:
        messages = [registered([2], born=1960), registered([2, 3]), ordered(3, 1, None, 1), resulted(2, [1], 5)]
        left = left_by_either(made, messages)
        assert len(left["patient"]) == len(SEEDED) + 1

    def test_an_order_behind_a_merge_in_a_batch_is_the_survivors(self, made: Made) -> None:
        merge = changed(IdentityEvent.MERGE, 3, 2)
        messages = [ordered(2, 1, None, 1), registered([3]), merge, ordered(3, 1, None, 1, control="CA")]
        left = left_by_either(made, messages)
        assert [row["status"] for row in left["service_request"] if row["accession_number"] == "A1"] == ["revoked"]

    def test_a_cancel_in_the_batch_of_its_order_cancels_it(self, made: Made) -> None:
        messages = [
            ordered(2, 1, 1, None),
            ordered(2, 1, None, 0, control="XO", minutes=1),
            ordered(2, None, 1, 0, control="CA"),
        ]
        left = left_by_either(made, messages)
        assert [row["status"] for row in left["service_request"] if row["accession_number"] == "A0"] == ["revoked"]

    def test_an_order_is_found_by_the_number_that_it_got_in_the_batch(self, made: Made) -> None:
        messages = [
            ordered(2, None, 1, None),
            ordered(2, 1, 1, None, control="XO"),
            ordered(2, 1, None, 1, control="CA"),
        ]
        left = left_by_either(made, messages)
        assert [row["status"] for row in left["service_request"] if row["accession_number"] == "A1"] == ["revoked"]

    def test_an_order_that_gets_its_number_in_a_batch_matches_the_study_attached_to_it_again(self, made: Made) -> None:
        messages = [registered([2]), ordered(1, 2, None, 7, control="XO", minutes=1)]
        left = left_by_either(made, messages)
        told = [row["detail"] for row in left["timeline"] if (row["study_uid"], row["step"]) == ("1.3", "match")]
        assert told[-1] == '["the order changed after the images came"]'

    def test_a_correction_in_the_batch_of_its_result_replaces_it(self, made: Made) -> None:
        messages = [resulted(0, [1, 2], 5), resulted(2, [1], 5), resulted(2, [1, 1], 6), resulted(0, [2], 7)]
        left = left_by_either(made, messages)
        assert len(left["statement"]) == 3

    def test_a_message_twice_in_a_batch_is_applied_once(self, made: Made) -> None:
        messages = logged([ordered(2, 1, 1, 1), ordered(2, 1, 1, 1, control="XO", minutes=5)])
        with made() as databases:
            RecordStore(databases.app).apply([*messages, *messages], NOW)
            RecordStore(databases.app).apply(messages, NOW)
            assert len(rows(databases)["timeline"]) == 3

    @pytest.mark.parametrize("broken", ["of the patient", "of a value"])
    def test_a_message_that_breaks_rolls_back_only_itself(self, made: Made, broken: str) -> None:
        """A lone surrogate is no text that a database or JSON takes: one breaks when it is written, one before."""
        name = HumanName("\ud800" if broken == "of the patient" else "Test")
        value = RecordValue("observation", "K", Coding("s", "c"), "\ud800" if broken == "of a value" else "x", None)
        bad = MessageContent(Patient((person(3),), name), values=(value,))
        messages = [registered([2]), ("ORU", "R01", bad), registered([2, 4]), ordered(4, 1, 1, 1)]
        said = {bytes([number]): content for number, (_, _, content) in enumerate(messages)}
        with made() as databases:
            log, record = SqlMessageLog(databases.messages), RecordStore(databases.app)
            log.append([raw(kind, event, number) for number, (kind, event, _) in enumerate(messages)])
            assert intake.apply_next(log, lambda message: said[message.raw], record, SystemClock()) == len(messages)
            left = rows(databases)
        assert [row["state"] for row in left["message_outcome"]] == ["applied", "failed", "applied", "applied"]
        assert [row["value"] for row in left["patient_identifier"]] == ["P2", "P4"]
        assert len(left["service_request"]) == 1


SEEDED = ("p0", "p1")


def left_by_either(made: Made, messages: Sequence[Message]) -> Rows:
    """What a batch of messages leaves, which is what they leave one by one."""
    left = left_by(made, messages)
    assert left == left_one_by_one(made, messages)
    return left


def left_by(made: Made, messages: Sequence[Message]) -> Rows:
    """The rows of a database with a few patients, studies and attached orders after a batch of messages."""
    with made() as databases:
        _seed(databases)
        RecordStore(databases.app).apply(logged(messages), NOW)
        return rows(databases)


def left_one_by_one(made: Made, messages: Sequence[Message]) -> Rows:
    """The same where each message has a transaction of its own, in which nothing is foreseen."""
    with made() as databases:
        _seed(databases)
        record = RecordStore(databases.app)
        for message, content in logged(messages):
            with databases.app.writing() as session:
                record._apply_one(session, message, in_test(content) if content.test else content, NOW)
        return rows(databases)


def logged(messages: Sequence[Message]) -> list[tuple[LoggedMessage, MessageContent]]:
    """Messages as the log gives them, with what the reader made of them."""
    return [
        (LoggedMessage(number + 100, raw(kind, event, number)), content)
        for number, (kind, event, content) in enumerate(messages)
    ]


def raw(kind: str, event: str, number: int) -> RawMessage:
    """A message as the bounded check leaves it."""
    at, block = NOW + timedelta(seconds=number), bytes([number])
    return RawMessage(block, block.hex(), "LAB", "HOSP", str(number), kind, event, "2.5.1", "P", "", "peer", at)


def rows(databases: Databases) -> Rows:
    """All rows of all tables; random ids by the order in which the timeline tells of them."""
    with databases.app.reading() as session:
        found = {
            name: [dict(row) for row in session.execute(sa.select(table).order_by(*table.primary_key)).mappings()]
            for name, table in AppBase.metadata.tables.items()
        }
    names: dict[str, str] = {}
    chance = (("study", "public_id"), ("hold", "id"), ("study_event", "key"), ("announcement", "event_key"))
    for table, column in chance:
        for row in found[table]:
            row[column] = ""  # random, or made of a random id
    del found["worklist_mark"]  # one by one marks steps that a batch passes over; `worklist_contract` looks at them
    for row in found["timeline"]:
        for one in filter(None, (row["patient_id"], row["order_id"])):
            names.setdefault(str(one), f"id {len(names)}")
    text = _UUID.sub(lambda one: names[one.group()], json.dumps(found, default=str))
    read: Rows = json.loads(text)
    for name in ("patient", "service_request", "hold", "study_event"):  # by random ids until now
        read[name].sort(key=lambda row: json.dumps(row, sort_keys=True))
    return read


def _seed(databases: Databases) -> None:
    """Two known patients, a study with A0, one with A1, and two without number, to which orders are attached.

    The one order has the number A2, the other none.
    """
    with databases.app.writing() as session:
        for number, patient in enumerate(SEEDED):
            session.add(PatientRow(id=patient, updated_at=NOW))
            session.add(PatientIdentifierRow(value=f"P{number}", assigner="HOSP", patient_id=patient))
    studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
    for number, (whose, accession) in enumerate((("P0", "A0"), ("P1", ""), ("P3", "A1"), ("P1", ""))):
        one = instance(f"1.{number}", study=f"1.{number}", accession=accession)
        header = replace(one.header, patient_id=whose)
        studies.add(replace(one, header=header), received_at=NOW, consumed=True, source="dicom")
    close_quiet(databases.app, NOW + timedelta(hours=1), timedelta(minutes=1))
    for number, (study, message) in enumerate({"1.1": ordered(1, 0, 0, 2), "1.3": ordered(1, 2, 2, None)}.items()):
        ((entry, content),) = logged([message])
        RecordStore(databases.app).apply([(replace(entry, id=number), content)], NOW)
        with databases.app.writing() as session:
            order = session.exec(select(OrderRow.id).where(OrderRow.placer_order_number == f"PL{number * 2}|EHR")).one()
            decide_match(session, study, "attach", order, "a person", NOW)
