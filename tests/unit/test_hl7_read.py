"""Patients, orders and the record, as the reader takes them from a message."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7.check import check
from adapters.hl7.read import Reader
from cds.domain.coding import Coding, Quantity
from cds.domain.identity import HumanName, Identifier, Sex
from cds.domain.message import MessageContent, RecordValue
from cds.domain.order import OrderStatus, Priority, ServiceRequest
from cds.errors import InvalidMessage

_READER = Reader("CLINIC", "CLINIC", "ORC-3", "Europe/Berlin")
_BERLIN = ZoneInfo("Europe/Berlin")
_PID = "PID|1||4711^^^CLINIC^MR||Probe^Petra^M||19610203|F"


def _content(*lines: str, kind: str = "ADT^A04", reader: Reader = _READER, mode: str = "P") -> MessageContent:
    header = f"MSH|^~\\&|LAB|HOSPITAL|S|S|20261101083000||{kind}|1|{mode}|2.5.1||||||UNICODE UTF-8"
    block = "\r".join([header, *lines]).encode()
    return reader(check(block, "peer", datetime(2026, 11, 1, tzinfo=UTC)))


def _order(*lines: str, kind: str = "ORM^O01", reader: Reader = _READER) -> ServiceRequest:
    (change,) = _content(_PID, *lines, kind=kind, reader=reader).orders
    return change.order


def _values(*lines: str, kind: str = "ORU^R01") -> tuple[RecordValue, ...]:
    return _content(_PID, *lines, kind=kind).values


def test_a_patient_is_all_identifiers_with_their_authorities() -> None:
    content = _content('PID|1||4711^^^CLINIC&1.2.3&ISO^MR~A9^^^&1.2.9&ISO~77^^^^PI~4711^^^CLINIC||""||196102|X')
    assert content.patient is not None
    assert content.patient.identifiers == (
        Identifier("4711", "CLINIC"),
        Identifier("A9", "1.2.9"),
        Identifier("77", "CLINIC"),
    )
    assert content.patient.name == HumanName()
    assert content.patient.birth_date is None
    assert content.patient.sex is Sex.UNKNOWN
    assert len(content.warnings) == 3


def test_demographics_are_read() -> None:
    content = _content("PID|1||1||Nick^N^^^^^N~O\\T\\Hara&van&Hara^Seán^^^^^L||19610203101500|M|||||||||||||||||||||Y")
    patient = content.patient
    assert patient is not None
    assert (patient.name, patient.birth_date) == (HumanName("O&Hara", "Seán"), date(1961, 2, 3))
    assert (patient.sex, patient.deceased) == (Sex.MALE, True)
    assert content.occurred_at == datetime(2026, 11, 1, 8, 30, tzinfo=_BERLIN)


@pytest.mark.parametrize("pid", ["PID|1||77", "PID|1||123-45^^^^SS"])
def test_without_an_authority_there_is_no_patient(pid: str) -> None:
    reader = Reader("", "", "none", "UTC") if pid.endswith("77") else _READER
    with pytest.raises(InvalidMessage, match=r"PID-3\.4"):
        _content(pid, reader=reader)


def test_two_patients_in_one_message_are_never_mixed() -> None:
    block = f"MSH|^~\\&|L|H|S|S|20261101||ADT^A08|1|P|2.5\r{_PID}\rPID|2||4712^^^CLINIC\rDG1|1||J44^COPD^I10"
    taken = check(block.replace("PID|2", "QID|2").encode(), "peer", datetime(2026, 11, 1, tzinfo=UTC))
    for read in (
        lambda: _content(_PID, "PID|2||4", kind="ADT^A08"),
        lambda: _READER(replace(taken, raw=block.encode())),
    ):
        with pytest.raises(InvalidMessage, match="one patient"):
            read()


@pytest.mark.parametrize(("mode", "test"), [("P", False), ("T", True), ("D", True)])
def test_training_and_debugging_are_marked(mode: str, test: bool) -> None:
    assert _content(_PID, mode=mode).test is test


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("ADT^A17", "bed management is not read"),
        ("ADT^A46", "an external or alternate patient identifier (PID-2, PID-4) names nobody here"),
        ("ADT^A51", "an alternate visit identifier (PV1-50) files nothing here"),
        ("ADT^A12", "no exam depends on a transfer, discharge, absence or tracking that is cancelled"),
        ("ADT^A13", "no exam depends on a transfer, discharge, absence or tracking that is cancelled"),
        ("SIU^S23", "of SIU only what becomes of an appointment is read: S12 to S17, S26"),
        ("MDM^T02", "messages of this type are not read"),
        ("ORU^R40", "of ORU only R01 is read"),
    ],
)
def test_what_is_not_applied_says_why(kind: str, reason: str) -> None:
    content = _content(_PID, "MRG|4712^^^CLINIC", kind=kind)
    assert (content.ignored, content.patient, content.values) == (reason, None, ())


def test_an_imaging_order_is_read() -> None:
    order = _order(
        "ORC|NW|P-1^HIS|F-1^RIS||SC||^^^202611021000^^A||20261101080000|||22^Rufer^Rosa",
        "TQ1|1||||||20261102101500+0000||S",
        "OBR|1|P-1^HIS|F-1^RIS|CTCH^CT chest^L^24627-2^CT Chest^LN||||||||||||||ACC7||||||CT|||||||"
        "J44.9^COPD^I10C~^cough for weeks~R05^Cough^I10C",
        "DG1|1||C34.1^Neoplasm^I10",
        "IPC|ACC1^ISS|RP1|1.2.840.1|SPS1|CT",
        kind="OMI^O23^OMI_O23",
    )
    assert order.placer_order_number == Identifier("P-1", "HIS")
    assert order.filler_order_number == Identifier("F-1", "RIS")
    assert order.accession == Identifier("ACC1", "ISS")
    assert order.patient == Identifier("4711", "CLINIC")
    assert (order.status, order.priority, order.modality) == (OrderStatus.ACTIVE, Priority.STAT, "CT")
    assert order.procedure == Coding("http://loinc.org", "24627-2", "CT Chest")
    assert order.study_instance_uid == "1.2.840.1"
    assert [reason.code for reason in order.reasons] == ["J44.9", "R05", "C34.1"]
    assert (order.reason_text, order.requester) == ("cough for weeks", "Rosa Rufer")
    assert order.requested_at == order.changed_at == datetime(2026, 11, 1, 8, tzinfo=_BERLIN)
    assert order.scheduled_at == datetime(2026, 11, 2, 10, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fallback", "issuer", "obr18", "wanted"),
    [
        ("ORC-3", "CLINIC", "ACC", Identifier("ACC", "CLINIC")),
        ("ORC-3", "CLINIC", "ACC^ISS", Identifier("ACC", "ISS")),
        ("ORC-3", "CLINIC", "ACC^^1.2.9^ISO", Identifier("ACC", "1.2.9")),
        ("ORC-3", "CLINIC", "", Identifier("F-1", "RIS")),
        ("ORC-3", "", "", Identifier("F-1", "RIS")),
        ("ORC-2", "CLINIC", "", Identifier("P-1", "HIS")),
        ("none", "CLINIC", "", None),
        ("none", "", "ACC", None),
    ],
)
def test_the_accession_number_follows_its_precedence(
    fallback: str, issuer: str, obr18: str, wanted: Identifier | None
) -> None:
    reader = replace(_READER, accession_fallback=fallback, accession_issuer=issuer)
    obr = f"OBR|1|||X^x^L||||||||||||||{obr18}"
    assert _order("ORC|NW|P-1^HIS|F-1^RIS", obr, reader=reader).accession == wanted


@pytest.mark.parametrize(
    ("control", "state", "wanted"),
    [
        *((code, "", OrderStatus.REVOKED) for code in ("CA", "DC", "OC", "OD", "CR", "DR")),
        ("CA", "IP", OrderStatus.REVOKED),
        ("HD", "", OrderStatus.ON_HOLD),
        ("RL", "", OrderStatus.ACTIVE),
        ("XO", "", OrderStatus.ACTIVE),
        ("NW", "SC", OrderStatus.ACTIVE),
        ("SC", "CM", OrderStatus.COMPLETED),
        ("SC", "CA", OrderStatus.REVOKED),
        ("SC", "HD", OrderStatus.ON_HOLD),
        ("SC", "IP", OrderStatus.ACTIVE),
    ],
)
def test_control_code_and_state_give_the_status(control: str, state: str, wanted: OrderStatus) -> None:
    assert _order(f"ORC|{control}|P-1|||{state}", "OBR|1|P-1||X^x^L").status is wanted


def test_a_cancel_may_be_an_orc_alone() -> None:
    (change,) = _content(_PID, "ORC|CA|P-1^HIS", kind="ORM^O01").orders
    assert (change.control, change.order.status) == ("CA", OrderStatus.REVOKED)
    assert change.order.requested_at is None


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (("ORC|NW|1||||||^^^^^A".replace("||||||^", "|||||^"), "OBR|1|1|||S"), Priority.ASAP),
        (("ORC|NW|1", "OBR|1|1|||S"), Priority.STAT),
        (("ORC|NW|1", "OBR|1|1||" + "|" * 23 + "^^^^^R"), Priority.ROUTINE),
        (("ORC|NW|1", "TQ1|||||||||T", "OBR|1|1|||R"), Priority.URGENT),
        (("ORC|NW|1", "OBR|1|1|||whenever"), Priority.ROUTINE),
        (("ORC|NW|1", "OBR|1|1"), None),
    ],
)
def test_the_priority_follows_its_precedence(lines: tuple[str, ...], wanted: Priority | None) -> None:
    assert _order(*lines).priority is wanted


def test_several_orders_of_a_message_are_all_read() -> None:
    content = _content(
        _PID, "ORC|NW|1|11", "OBR|1|||A^a^L", "ORC|XO|2|12", "OBR|2|||B^b^L", "OBR|3|3|13|C^c^L", kind="ORM^O01"
    )
    found = [(o.control, o.order.filler_order_number, o.order.procedure) for o in content.orders]
    local = "urn:hl7v2:HOSPITAL"
    assert found == [
        ("NW", Identifier("11", "CLINIC"), Coding(local, "A", "a")),
        ("XO", Identifier("12", "CLINIC"), Coding(local, "B", "b")),
        ("XO", Identifier("13", "CLINIC"), Coding(local, "C", "c")),
    ]


def test_every_exam_under_one_obr_is_an_order_and_its_steps_are_not() -> None:
    content = _content(
        _PID, "ORC|NW|1|11", "OBR|1|||A^a^L", "IPC|ACC1||1.2.3||CT", "IPC|ACC1||1.2.3||CT", "IPC|ACC2||1.2.4||MR",
        kind="OMI^O23",
    )  # fmt: skip
    found = [(o.order.accession, o.order.study_instance_uid, o.order.modality) for o in content.orders]
    assert found == [
        (Identifier("ACC1", "CLINIC"), "1.2.3", "CT"),
        (Identifier("ACC2", "CLINIC"), "1.2.4", "MR"),
    ]


def test_one_zds_is_the_study_of_all_orders_of_its_accession_number() -> None:
    content = _content(
        _PID, "ORC|NW|1", f"OBR|1{'|' * 17}ACC1", "ORC|NW|2", f"OBR|2{'|' * 17}ACC2", "ORC|NW|3",
        f"OBR|3{'|' * 17}ACC1", "ZDS|1.2.3^100^Application^DICOM", kind="ORM^O01",
    )  # fmt: skip
    assert [change.order.study_instance_uid for change in content.orders] == ["1.2.3", None, "1.2.3"]


def test_two_studies_for_one_order_are_a_conflict() -> None:
    with pytest.raises(InvalidMessage, match="two different Study Instance UIDs"):
        _order("ORC|NW|1", "OBR|1", "ZDS|1.2.3", "ZDS|1.2.4")
    with pytest.raises(InvalidMessage, match="two different Study Instance UIDs"):
        _order("ORC|NW|1", "OBR|1", "IPC|A||1.2.3", "ZDS|1.2.4", kind="OMI^O23")


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.02.3", "1..2", ".1", "1." + "2" * 63, "1.2.3 "[:-1] + "x"])
def test_a_study_uid_that_is_none_is_dropped_with_a_warning(uid: str) -> None:
    content = _content(_PID, "ORC|NW|1", "OBR|1", f"ZDS|{uid}", kind="ORM^O01")
    assert content.orders[0].order.study_instance_uid is None
    assert any("Study Instance UID" in warning for warning in content.warnings)


def test_a_medication_order_is_left_out() -> None:
    content = _content(_PID, "ORC|NW|1", "RXO|1^a^L", kind="ORM^O01")
    assert content.orders == ()
    assert content.warnings == ("an order that is no imaging order was left out",)


def test_observations_have_their_types() -> None:
    obr = "OBR|1|P-1^H|F-1^L|24331-1^Lipids^LN|||20261030080000"
    number, worst, coded, day, text, local, ratio = _values(
        obr,
        "OBX|1|NM|2093-3^Cholesterol^LN||182.5|mg/dL|||||F|||20261031",
        "OBX|2|SN|8480-6^Systolic^LN||>^180|mm[Hg]|||||F",
        "OBX|3|CWE|72166-2^Smoking^LN||X^ex^L^8517006^Ex-smoker^SCT||||||F",
        "OBX|4|DT|74010-0^Quit^LN||20190401||||||P",
        "OBX|5|TX|18748-4^Report^LN||line one & more~line\\.br\\two||||||C",
        "OBX|6|NM|GLU^Glucose^99LAB||5|mmol/L|||||D",
        "OBX|7|SN|9279-1^Rate^LN||^16|/min|||||F",
    )
    assert number.value == Quantity(182.5, "mg/dL")
    assert (number.effective, number.status) == (date(2026, 10, 31), "final")
    assert worst.value == ">180 mm[Hg]"
    assert worst.effective == date(2026, 10, 30)
    assert coded.value == Coding("http://snomed.info/sct", "8517006", "Ex-smoker")
    assert (day.value, day.status) == (date(2019, 4, 1), "preliminary")
    assert (text.value, text.status) == ("line one & more\nline\ntwo", "corrected")
    assert (local.code, local.status) == (Coding("urn:hl7v2:99LAB", "GLU", "Glucose"), "entered-in-error")
    assert ratio.value == Quantity(16.0, "/min")


def test_a_correction_has_the_key_of_what_it_corrects() -> None:
    obr = "OBR|1|P-1^H|F-1^L|24331-1^Lipids^LN|||20261030080000"
    first, second = _values(obr, "OBX|1|NM|a^^LN||1||||||F", "OBX|2|NM|b^^LN||2||||||F")
    (corrected,) = _values(obr.replace("20261030", "20261031"), "OBX|1|NM|b^^LN||3||||||C")
    assert corrected.key == second.key != first.key


def test_repeated_observations_keep_their_own_keys() -> None:
    values = _values("OBR|1|1", "OBX|1|NM|a^^LN|1|1||||||F", "OBX|2|NM|a^^LN|2|2||||||F", "OBX|3|NM|a^^LN|2|3||||||F")
    assert len({value.key for value in values}) == 3


def test_the_same_observation_of_two_orders_has_two_keys() -> None:
    values = _values("OBR|1|1", "OBX|1|NM|a^^LN||1||||||F", "OBR|2|2", "OBX|1|NM|a^^LN||2||||||F")
    assert len({value.key for value in values}) == 2


@pytest.mark.parametrize(
    "obx",
    [
        "OBX|1|ED|PDF^report^L||^IM^PDF^Base64^AAAA||||||F",
        "OBX|1|RP|IMG^image^L||http://x||||||F",
        "OBX|1|NM|2093-3^Cholesterol^LN||high||||||F",
        "OBX|1|NM|2093-3^Cholesterol^LN||1~2||||||F",
        "OBX|1|NM|2093-3^Cholesterol^LN||nan||||||F",
        "OBX|1|NM|2093-3^Cholesterol^LN||||||||F",
        "OBX|1|NM|2093-3^Cholesterol^LN||5||||||I",
        "OBX|1|NM|^Cholesterol||5||||||F",
        "OBX|1|TS|74010-0^Quit^LN||last spring||||||F",
    ],
)
def test_what_is_no_value_is_left_out(obx: str) -> None:
    assert _values("OBR|1|1", obx) == ()


def test_diagnoses_problems_and_procedures_are_read() -> None:
    pneumonia, cough, gone, operation = _content(
        _PID,
        "DG1|1|I9|486^Pneumonia||20260105|F",
        "DG1|2||R05^Cough^I10C|||W",
        "DG1|3||J43.9^Emphysema^I10|||F||||||||||||||D77|D",
        "PR1|1||94010^Spirometry^C4||20260301",
    ).values
    assert (pneumonia.category, pneumonia.code.system) == ("condition", "http://hl7.org/fhir/sid/icd-9-cm")
    assert (pneumonia.code.code, pneumonia.effective) == ("486", date(2026, 1, 5))
    assert (cough.category, cough.status) == ("symptom", "preliminary")
    assert (gone.status, gone.key) == ("entered-in-error", "DG1:D77")
    assert (operation.category, operation.effective) == ("procedure", date(2026, 3, 1))
    (problem,) = _content(_PID, "PRB|AD|20260101|J44.9^COPD^I10|P1|||20200304", kind="PPR^PC1").values
    assert (problem.category, problem.key, problem.effective) == ("condition", "PRB:P1", date(2020, 3, 4))


def test_a_reason_is_a_record_only_where_it_is_a_symptom() -> None:
    obr = f"OBR|1|1||X^x^L{'|' * 27}J43.9^Emphysema?^I10~R05^Cough^I10"
    (value,) = _content(_PID, "ORC|NW|1", obr, kind="ORM^O01").values
    assert (value.category, value.code.code) == ("symptom", "R05")
    assert value.effective == date(2026, 11, 1)


def test_the_same_diagnosis_twice_is_said_once() -> None:
    assert len(_content(_PID, "DG1|1||J44^COPD^I10", "DG1|2||J44^COPD^I10").values) == 1


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("20261101", datetime(2026, 11, 1, tzinfo=_BERLIN)),
        ("202611010830", datetime(2026, 11, 1, 8, 30, tzinfo=_BERLIN)),
        ("20261101083015.1234+0100", datetime(2026, 11, 1, 7, 30, 15, 123400, tzinfo=UTC)),
        ("202607010830-0500", datetime(2026, 7, 1, 13, 30, tzinfo=UTC)),
        ("2026110", None),
        ("20261301", None),
        ("20261101083015+2500", None),
        ("2026-11-01", None),
    ],
)
def test_times_without_an_offset_are_in_the_sites_zone(written: str, wanted: datetime | None) -> None:
    assert _order("ORC|NW|1", f"OBR|1{'|' * 35}{written}").scheduled_at == wanted


def test_a_day_with_an_offset_is_the_day_at_the_site() -> None:
    (value,) = _values("OBR|1|1", "OBX|1|NM|a^^LN||1||||||F|||202610312330+0000")
    assert value.effective == date(2026, 11, 1)


_LINE = st.builds(
    lambda name, parts: name + "|" + "|".join(parts),
    st.sampled_from(["ORC", "OBR", "OBX", "IPC", "ZDS", "TQ1", "DG1", "PR1", "PRB", "EVN", "PID", "QQQ"]),
    st.lists(
        st.sampled_from(
            ["", "NW", "CA", "1", "A^B^LN", "^^^CLINIC", "NM", "CWE", "TS", "00010101+1400", "99991231", "~"]
        )
        | st.text("AZ09^~\\&.|-+ XF\xe9", max_size=12),
        max_size=14,
    ),
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.sampled_from(["ADT^A08", "ORM^O01", "OMI^O23", "ORU^R01", "PPR^PC1"]), st.lists(_LINE, max_size=6))
def test_whatever_follows_a_header_is_read_or_is_an_invalid_message(kind: str, lines: list[str]) -> None:
    taken = check(f"MSH|^~\\&|L|H|S|S|20261101||{kind}|1|P|2.5\r{_PID}\rORC|NW|1\r".encode(), "peer", datetime.now(UTC))
    block = f"MSH|^~\\&|L|H|S|S|20261101||{kind}|1|P|2.5\r{_PID}\r" + "\r".join(lines)
    try:
        content = _READER(replace(taken, raw=block.encode()))
    except InvalidMessage:
        return
    assert content.patient is not None


def test_no_warning_holds_a_value_of_the_message() -> None:
    content = _content(
        "PID|1||4711^^^^MR~9^^^^SS||Mustermann^M||19XX|Q", "ORC|NW|1|2", "OBR|1|3|4|||||||||||||||||||||XY",
        "ZDS|../x", "OBX|1|NM|Mustermann^^LN||geheim", kind="ORM^O01",
    )  # fmt: skip
    said = " ".join(content.warnings)
    assert len(content.warnings) >= 5
    assert not any(secret in said for secret in ("Mustermann", "4711", "19XX", "geheim", "XY", "../x"))


def test_what_is_deleted_of_an_order_is_said_and_not_carried_out() -> None:
    obr = f'OBR|1|1||""{"|" * 9}""{"|" * 18}""'
    content = _content(_PID, "ORC|NW|1", obr, kind="ORM^O01")
    assert [warning for warning in content.warnings if "not carried out" in warning] == [
        "OBR-4 deletes the procedure of an order: not carried out",
        "OBR-13 deletes the clinical information of an order: not carried out",
        "OBR-31 deletes the reason of an order: not carried out",
    ]
    assert _content(_PID, "ORC|NW|1", "OBR|1|1", kind="ORM^O01").warnings == ()


def test_every_field_that_is_looked_at_is_traced() -> None:
    trace: set[tuple[str, int]] = set()
    reader = replace(_READER, trace=trace)
    _content(_PID, "ORC|NW|1", "OBR|1|1||CT^c^L", kind="ORM^O01", reader=reader)
    assert {("MSH", 9), ("PID", 3), ("PID", 30), ("ORC", 1), ("OBR", 4), ("OBR", 44), ("EVN", 2), ("PV1", 19)} <= trace
    assert not {("PID", 9), ("OBR", 47), ("ZDS", 1)} & trace
    assert all(name and number > 0 for name, number in trace)


def test_a_trace_changes_nothing_of_what_is_read() -> None:
    lines = (_PID, "ORC|NW|1|2", "OBR|1|1||CT^c^L", "OBX|1|NM|2160-0^c^LN||1.1|mg/dL|||||F")
    traced = _content(*lines, kind="ORM^O01", reader=replace(_READER, trace=set()))
    assert traced == _content(*lines, kind="ORM^O01")
