"""Which repetitions of PID-3 say who somebody is (HL7 table 0203)."""

from __future__ import annotations

import pytest

from adapters.hl7.read import Reader
from cds.domain.identity import Identifier
from cds.domain.message import MessageContent
from cds.errors import InvalidMessage
from tests.unit.hl7_content import READER, content

_LEFT_OUT = "an identifier of PID-3 whose type (PID-3.5) is not a person's was left out"

_PERSONS = "MR mr MRN MRT PI PT PE PN PNT NI NH NNDEU NNESP SS SSN HC JHN MA MC U"
_OTHERS = "AN AC ANC AND ANT VN DL BA BC EI EN SN MB NII NIIP NPI MCR PPN LN PRN XX ACSN GI NN NNX ANON WEST"


def _identifiers(pid_3: str, reader: Reader = READER) -> tuple[Identifier, ...]:
    patient = _read(pid_3, reader).patient
    assert patient is not None
    return patient.identifiers


def _read(pid_3: str, reader: Reader = READER) -> MessageContent:
    return content(f"PID|1||{pid_3}||Probe^Petra||19610203|F", reader=reader)


@pytest.mark.parametrize(
    "kind",
    ["", *_PERSONS.split()],
)
def test_a_number_of_a_person_identifies_the_patient(kind: str) -> None:
    assert _identifiers(f"4711^^^CLINIC^{kind}") == (Identifier("4711", "CLINIC"),)


@pytest.mark.parametrize(
    "kind",
    _OTHERS.split(),
)
def test_a_number_of_something_else_does_not(kind: str) -> None:
    said = _read(f"900^^^CLINIC^{kind}~4711^^^CLINIC^MR")
    assert said.patient is not None
    assert said.patient.identifiers == (Identifier("4711", "CLINIC"),)
    assert said.warnings == (_LEFT_OUT,)


def test_two_patients_with_one_account_number_stay_two() -> None:
    first, second = _identifiers("1^^^CLINIC^MR~900^^^CLINIC^AN"), _identifiers("2^^^CLINIC^MR~900^^^CLINIC^AN")
    assert not set(first) & set(second)


def test_a_patient_known_by_a_visit_alone_is_nobody() -> None:
    with pytest.raises(InvalidMessage, match=r"identifier of a person with an assigning authority in PID-3\.4"):
        _read("900^^^CLINIC^VN")


@pytest.mark.parametrize("blank", ["\\X20\\", "\N{NO-BREAK SPACE}", "\N{IDEOGRAPHIC SPACE}\N{IDEOGRAPHIC SPACE}"])
def test_a_number_of_blanks_alone_is_nobodys(blank: str) -> None:
    assert _identifiers(f"{blank}^^^CLINIC^MR~9^^^CLINIC^PI") == (Identifier("9", "CLINIC"),)
    assert _identifiers(f"9{blank}^^^{blank}^PI") == (Identifier("9", "CLINIC"),)


def test_orders_are_filed_under_a_number_of_the_patient_and_not_of_the_state() -> None:
    pid = "PID|1||123^^^SSA^SS~9^^^CLINIC^PI"
    (said,) = content(pid, "ORC|NW|P-1^HIS", "OBR|1", kind="ORM^O01").orders
    assert said.order.patient == Identifier("9", "CLINIC")


@pytest.mark.parametrize("number", ["47\\X00\\11", "47\\X01\\11", "47\x0111"])
def test_a_number_with_control_characters_is_nobodys(number: str) -> None:
    said = _read(f"{number}^^^CLINIC^MR~9^^^CLINIC^PI")
    assert said.patient is not None
    assert said.patient.identifiers == (Identifier("9", "CLINIC"),)
    assert said.warnings == ("an identifier with characters that cannot be read was dropped",)


@pytest.mark.parametrize(
    ("fields", "deleted"),
    [
        ({}, set()),
        ({5: '""'}, {"name"}),
        ({5: '""^""'}, {"name"}),
        ({5: '""^Petra'}, set()),
        ({5: '""~Probe^Petra'}, set()),
        ({7: '""'}, {"birth_date"}),
        ({8: '""'}, {"sex"}),
        ({29: '""'}, {"deceased"}),
        ({30: '""'}, {"deceased"}),
        ({29: '""', 30: "Y"}, set()),
        ({29: "20260101", 30: '""'}, set()),
        ({5: '""', 7: '""', 8: '""', 30: '""'}, {"name", "birth_date", "sex", "deceased"}),
    ],
)
def test_two_quotes_delete_and_an_empty_field_does_not(fields: dict[int, str], deleted: set[str]) -> None:
    pid = "|".join(["PID", "1", "", "4711^^^CLINIC", *(fields.get(number, "") for number in range(4, 31))])
    for kind in ("ADT^A08", "ADT^A40", "ORM^O01"):
        said = content(pid, *(["MRG|2^^^CLINIC"] if kind == "ADT^A40" else ["ORC|NW|1"]), kind=kind)
        assert said.deletes == deleted
        assert len(said.warnings) == len(deleted)
        assert all("it is unknown from now on" in warning for warning in said.warnings)
    assert content(pid, kind="ADT^A29").deletes == frozenset()


def test_a_name_beside_a_deleted_one_is_read() -> None:
    patient = content('PID|1||4711^^^CLINIC||""~Probe^Petra').patient
    assert patient is not None
    assert patient.name.family == "Probe"


@pytest.mark.parametrize("number", ["4711\ufffd", "47\\.br\\11", "47\\C2841\\11", "47\\XFF\\11"])
def test_nobody_is_known_by_a_character_that_was_not_meant(number: str) -> None:
    assert _identifiers(f"{number}^^^CLINIC^MR~9^^^CLINIC^PI") == (Identifier("9", "CLINIC"),)
