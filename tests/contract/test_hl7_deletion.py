"""`""` in PID of a registration deletes what was known; an empty field, and other messages, change nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.hl7.check import check
from adapters.hl7.read import Reader
from cds.domain.identity import Identifier, Patient, Sex
from cds.domain.message import LoggedMessage
from cds.store.record import RecordStore
from tests.databases import fresh

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
READER = Reader("CLINIC", "CLINIC", "ORC-3", "Europe/Berlin")
KNOWN = "PID|1||4711^^^CLINIC^MR||Probe^Petra||19610203|F||||||||||||||||||||||Y"


def known_after(folder: Path, *messages: tuple[str, str]) -> Patient:
    """The patient after a registration and these messages, each its type and its PID."""
    record = RecordStore(fresh(folder).app)
    for number, (kind, pid) in enumerate((("ADT^A28", KNOWN), *messages), 1):
        at = NOW + timedelta(minutes=number)
        header = f"MSH|^~\\&|RIS|CLINIC|S|S|{at:%Y%m%d%H%M%S}+0000||{kind}|M{number}|P|2.5.1"
        read = check("\r".join([header, pid]).encode(), "peer", at)
        record.apply([(LoggedMessage(number, read), READER(read))], at)
    patient = record.patient(Identifier("4711", "CLINIC"))
    assert patient is not None
    return patient


@pytest.mark.parametrize(
    ("field", "name", "blank"),
    [(5, "name", ""), (7, "birth_date", None), (8, "sex", Sex.UNKNOWN), (30, "deceased", None)],
)
def test_a_registration_deletes_what_it_says(tmp_path: Path, field: int, name: str, blank: object) -> None:
    fields = ["PID", "1", "", "4711^^^CLINIC^MR", *[""] * 27]
    fields[field] = '""'
    patient = known_after(tmp_path, ("ADT^A31", "|".join(fields)))
    value = getattr(patient, name)
    assert (value.family if name == "name" else value) == blank
    kept = {"name", "birth_date", "sex", "deceased"} - {name}
    assert all(getattr(patient, other) == getattr(known_after(tmp_path / "kept"), other) for other in kept)


def test_an_empty_field_and_a_result_delete_nothing(tmp_path: Path) -> None:
    empty = "PID|1||4711^^^CLINIC^MR"
    result = 'PID|1||4711^^^CLINIC^MR||""||""|""'
    patient = known_after(tmp_path, ("ADT^A31", empty), ("ORU^R01", result))
    assert (patient.name.family, patient.sex, patient.deceased) == ("Probe", Sex.FEMALE, True)
    assert patient.birth_date is not None
