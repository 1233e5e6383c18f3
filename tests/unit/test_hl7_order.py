"""Orders: whose number the accession number is, what is no imaging, and what a message says of an order's status."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds.domain.identity import Identifier
from cds.domain.order import OrderStatus, Priority, merge_order
from cds.errors import InvalidMessage
from tests.unit.hl7_content import PID, READER, change, content

_NEW = "ORC|NW|P-1^HIS|F-1^RIS||||||20261101080000"


@pytest.mark.parametrize(
    ("fallback", "issuer", "orc", "obr", "wanted"),
    [
        ("ORC-3", "CLINIC", "ORC|NW|P-1^HIS|F-1^RIS", "OBR|1", Identifier("F-1", "RIS")),
        ("ORC-3", "CLINIC", "ORC|NW|P-1^HIS|F-1^^1.2.9^ISO", "OBR|1", Identifier("F-1", "1.2.9")),
        ("ORC-3", "CLINIC", "ORC|NW|P-1^HIS|F-1", "OBR|1|P-1|F-1^RIS", Identifier("F-1", "RIS")),
        ("ORC-3", "CLINIC", "ORC|NW|P-1^HIS|F-1", "OBR|1|P-1|F-2^RIS", Identifier("F-1", "CLINIC")),
        ("ORC-3", "CLINIC", "ORC|NW|P-1^HIS", "OBR|1|P-1|F-1^RIS", Identifier("F-1", "RIS")),
        ("ORC-3", "CLINIC", "ORC|NW|P-1^HIS|F-1", "OBR|1", Identifier("F-1", "CLINIC")),
        ("ORC-2", "CLINIC", "ORC|NW|P-1^HIS|F-1", "OBR|1", Identifier("P-1", "HIS")),
        ("ORC-2", "CLINIC", "ORC|NW|P-1|F-1^RIS", "OBR|1", Identifier("P-1", "CLINIC")),
        ("ORC-3", "", "ORC|NW|P-1^HIS|F-1", "OBR|1", None),
    ],
)
def test_a_number_that_names_its_issuer_keeps_it(
    fallback: str, issuer: str, orc: str, obr: str, wanted: Identifier | None
) -> None:
    reader = replace(READER, accession_fallback=fallback, accession_issuer=issuer)
    assert change(orc, obr, reader=reader).order.accession == wanted


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("ACC1^ISS", Identifier("ACC1", "ISS")),
        ("ACC1^^1.2.9^ISO", Identifier("ACC1", "1.2.9")),
        ("ACC1", Identifier("ACC1", "CLINIC")),
    ],
)
def test_the_step_of_an_exam_names_its_issuer_too(written: str, wanted: Identifier) -> None:
    assert change(_NEW, "OBR|1", f"IPC|{written}|RP1|1.2.3", kind="OMI^O23").order.accession == wanted


def test_the_issuer_is_the_one_of_the_obr_where_several_share_an_orc() -> None:
    found = content(PID, "ORC|NW|1|9^A", "OBR|1|1|11^B", "OBR|2|2|12^C", kind="ORM^O01").orders
    assert [said.order.accession for said in found] == [Identifier("9", "A"), Identifier("12", "C")]


@pytest.mark.parametrize(
    ("obr", "placer", "filler", "accession"),
    [
        ("OBR|2|P-2", "P-2", None, None),
        ("OBR|2||F-2", "P-1", "F-2", "F-2"),
        ("OBR|2|P-1", "P-1", "F-1", "F-1"),
        ("OBR|2|P-2|F-2", "P-2", "F-2", "F-2"),
        ("OBR|2", "P-1", "F-1", "F-1"),
    ],
)
def test_an_exam_never_takes_the_filler_number_of_another_one_whose_orc_it_shares(
    obr: str, placer: str | None, filler: str | None, accession: str | None
) -> None:
    first, second = content(PID, "ORC|NW|P-1^HIS|F-1^RIS", "OBR|1|||CT^CT head", obr, kind="ORM^O01").orders
    stated = (second.order.placer_order_number, second.order.filler_order_number, second.order.accession)
    assert [one and one.value for one in stated] == [placer, filler, accession]
    assert first.order.accession == Identifier("F-1", "RIS")


def test_a_study_is_not_shared_by_orders_without_an_accession_number() -> None:
    lines = ("ORC|NW|P-1^HIS", "OBR|1", "ORC|NW|P-2^HIS", "OBR|2", "ZDS|1.2.3")
    found = content(PID, *lines, kind="ORM^O01").orders
    assert [said.order.study_instance_uid for said in found] == [None, "1.2.3"]


def test_a_later_transaction_is_not_when_the_order_was_requested() -> None:
    said = change(_NEW.replace("NW", "SC"), "OBR|1").order
    assert (said.requested_at, said.changed_at is None) == (None, False)


def test_a_message_with_very_many_steps_is_not_read() -> None:
    steps = [f"IPC|A{number}|RP1|1.2.3" for number in range(1001)]
    assert len(content(PID, _NEW, "OBR|1", *steps[:1000], kind="OMI^O23").orders) == 1000
    with pytest.raises(InvalidMessage, match="1000 segments IPC"):
        content(PID, _NEW, "OBR|1", *steps, kind="OMI^O23")


def test_a_number_with_control_characters_is_no_orders() -> None:
    with pytest.raises(InvalidMessage, match="order number"):
        change("ORC|CA|P\\X00\\-1^HIS")
    assert change(_NEW, f"OBR|1{'|' * 17}A\\X01\\CC").order.accession == Identifier("F-1", "RIS")


@pytest.mark.parametrize("section", ["LAB", "lab", "HM", "CH", "MB", "BLB", "SP", "TX", "URN"])
def test_an_order_of_a_laboratory_is_left_out(section: str) -> None:
    said = content(PID, _NEW, f"OBR|1|||CBC^Blood count^L{'|' * 20}{section}", kind="OMG^O19")
    assert said.orders == ()
    assert said.warnings == ("an order that is no imaging order was left out",)


@pytest.mark.parametrize("section", ["", "RAD", "IMG", "CT", "CUS", "RUS", "OTH", "SR", "PF", "XYZ"])
def test_any_other_section_is_not_judged(section: str) -> None:
    assert change(_NEW, f"OBR|1|||X^x^L{'|' * 20}{section}").order.filler_order_number == Identifier("F-1", "RIS")


@pytest.mark.parametrize("line", ["IPC|ACC1|RP1|1.2.3||CT", "ZDS|1.2.3^100^Application^DICOM"])
def test_an_order_that_names_a_study_is_never_a_laboratorys(line: str) -> None:
    assert change(_NEW, f"OBR|1|||X^x^L{'|' * 20}LAB", line).order.study_instance_uid == "1.2.3"


@pytest.mark.parametrize(
    ("control", "state", "states"),
    [
        *((control, "", False) for control in ("NW", "XO", "XR", "XX", "RE", "SC", "SN", "NA", "PA", "CH", "OP", "OK")),
        ("NW", "ER", False),
        ("XO", "QQ", False),
        *((control, "", True) for control in ("CA", "DC", "OC", "OD", "CR", "DR", "RP", "RQ", "RU")),
        *((control, "", True) for control in ("HD", "OH", "HR", "RL", "OE", "OR")),
        *(("SC", state, True) for state in ("CM", "CA", "DC", "RP", "HD", "IP", "SC", "A", "cm")),
        ("XO", "CM", True),
        ("UC", "CM", True),
    ],
)
def test_a_message_states_a_status_or_does_not(control: str, state: str, states: bool) -> None:
    assert change(f"ORC|{control}|P-1|||{state}", "OBR|1|P-1||X^x^L").states_status is states


@pytest.mark.parametrize("control", ["NW", "XO", "XX", "RE", "SC"])
@pytest.mark.parametrize("status", [OrderStatus.COMPLETED, OrderStatus.ON_HOLD, OrderStatus.REVOKED])
def test_what_says_nothing_of_the_status_leaves_it(status: OrderStatus, control: str) -> None:
    known = replace(change(_NEW, "OBR|1").order, status=status)
    said = change(f"ORC|{control}|P-1^HIS|F-1^RIS||||||20261101090000", "OBR|1|||X^x^L|STAT")
    after, _ = merge_order(known, said)
    assert after.status is status
    assert (after.procedure is None) is (status is OrderStatus.REVOKED)


@pytest.mark.parametrize("control", ["RL", "OE", "OR"])
def test_a_hold_is_ended_by_its_release(control: str) -> None:
    held = replace(change(_NEW, "OBR|1").order, status=OrderStatus.ON_HOLD)
    said = change(f"ORC|{control}|P-1^HIS|F-1^RIS||||||20261101090000", "OBR|1")
    assert merge_order(held, said)[0].status is OrderStatus.ACTIVE


def test_a_cancel_is_never_older_than_what_is_known() -> None:
    known = change("ORC|XO|P-1^HIS|F-1^RIS||||||20261101100000", "OBR|1").order
    after, reason = merge_order(known, change("ORC|CA|P-1^HIS|F-1^RIS||||||20261101090000"))
    assert (after.status, reason) == (OrderStatus.REVOKED, "cancelled")
    older = change("ORC|HD|P-1^HIS|F-1^RIS||||||20261101090000", "OBR|1")
    assert merge_order(known, older)[0] is known


@pytest.mark.parametrize(
    ("control", "status"),
    [
        *((control, OrderStatus.REVOKED) for control in ("CA", "DC", "OC", "OD", "CR", "DR", "RP", "RQ", "RU")),
        *((control, OrderStatus.ON_HOLD) for control in ("HD", "OH", "HR")),
        *((control, OrderStatus.ACTIVE) for control in ("NW", "XO", "XR", "RO", "RL", "OE", "OR", "OP", "SN", "NA")),
    ],
)
def test_an_unknown_order_gets_the_status_of_its_control_code(control: str, status: OrderStatus) -> None:
    assert change(f"ORC|{control}|P-1^HIS", "OBR|1").order.status is status


@pytest.mark.parametrize(
    "control", ["UA", "UC", "UD", "UF", "UH", "UM", "UR", "UX", "DE", "SS", "RF", "LI", "UN", "PR"]
)
def test_what_states_no_order_makes_none(control: str) -> None:
    said = content(PID, f"ORC|{control}|P-1^HIS", "OBR|1|||CTCH^CT chest^L", kind="ORM^O01")
    assert said.orders == ()
    assert said.patient is not None
    assert "ORC-1" in said.warnings[0]


def test_a_status_message_about_an_order_that_was_not_found_makes_none() -> None:
    said = content(PID, "ORC|SC|P-1^HIS|||ER", "OBR|1|||CTCH^CT chest^L", kind="ORM^O01")
    assert said.orders == ()
    assert said.warnings == ("ORC-5 says that the order was not found: nothing is taken of it",)


def test_a_state_of_no_table_is_told() -> None:
    said = content(PID, "ORC|SC|P-1^HIS|||DONE", "OBR|1", kind="ORM^O01")
    assert said.warnings == ("ORC-5 is no code of table 0038: it says nothing of the status",)


def test_a_replacement_comes_before_what_it_replaces_so_that_nobody_is_asked_about_the_images() -> None:
    lines = ("ORC|RP|P-1^HIS", "OBR|1|||OLD", "ORC|RO|P-2^HIS", "OBR|2|||NEW", "ORC|NW|P-3^HIS", "OBR|3|||OTHER")
    said = content(PID, *lines, kind="ORM^O01")
    assert [(c.control, c.order.placer_order_number, c.order.status) for c in said.orders] == [
        ("RO", Identifier("P-2", "HIS"), OrderStatus.ACTIVE),
        ("RP", Identifier("P-1", "HIS"), OrderStatus.REVOKED),
        ("NW", Identifier("P-3", "HIS"), OrderStatus.ACTIVE),
    ]


@pytest.mark.parametrize("control", ["RP", "RQ", "RU"])
def test_a_replacement_under_the_same_numbers_is_a_change(control: str) -> None:
    said = content(PID, f"ORC|{control}|P-1^HIS", "OBR|1|||OLD", "ORC|RO|P-1^HIS", "OBR|2|||NEW", kind="ORM^O01")
    assert [c.control for c in said.orders] == ["RO"]
    assert said.warnings == ("an order is replaced under its own numbers: it is read as changed",)
    known = change("ORC|NW|P-1^HIS", "OBR|1|||OLD").order
    after, _ = merge_order(known, said.orders[0])
    assert (after.status, after.procedure and after.procedure.code) == (OrderStatus.ACTIVE, "NEW")


def test_a_replacement_under_a_new_filler_number_alone_is_a_change_of_the_same_exam() -> None:
    acc = "|" * 14
    old = ("ORC|RU|P-1^HIS|F-1^RIS", f"OBR|1|||OLD{acc}ACC1")
    same, other = (("ORC|RO|P-1^HIS|F-2^RIS", f"OBR|2|||NEW{acc}{number}") for number in ("ACC1", "ACC2"))
    assert [c.control for c in content(PID, *old, *same, kind="ORM^O01").orders] == ["RO"]
    assert [c.control for c in content(PID, *old, *other, kind="ORM^O01").orders] == ["RO", "RU"]


def test_exams_that_nothing_tells_apart_are_a_doubt() -> None:
    said = content(PID, "ORC|NW|P-1^HIS|F-1^RIS", "OBR|1|||CT", "OBR|2|||MR", kind="ORM^O01")
    assert said.warnings == ("several exams have the same numbers: the last of them is what the order is",)


def test_a_parent_stands_back_for_its_children_and_alone_is_an_order() -> None:
    parent, children = ("ORC|PA|P-1^HIS", "OBR|1"), ("ORC|CH|P-2^HIS", "OBR|2", "ORC|CH|P-3^HIS", "OBR|3")
    said = content(PID, *parent, *children, kind="ORM^O01")
    assert [c.order.placer_order_number for c in said.orders] == [Identifier("P-2", "HIS"), Identifier("P-3", "HIS")]
    assert len(said.warnings) == 1
    assert change(*parent).order.placer_order_number == Identifier("P-1", "HIS")


def test_a_number_is_assigned_to_the_order_that_has_the_other_one() -> None:
    said = change("ORC|NA|P-1^HIS|F-1^RIS", "OBR|1")
    assert (said.order.placer_order_number, said.order.filler_order_number) == (
        Identifier("P-1", "HIS"),
        Identifier("F-1", "RIS"),
    )
    known = change("ORC|SN||F-1^RIS", "OBR|1").order
    assert merge_order(known, said)[0].placer_order_number == Identifier("P-1", "HIS")


@pytest.mark.parametrize(
    ("codes", "wanted", "doubts"),
    [
        (("S", "R", "R", "R"), Priority.STAT, 1),
        (("", "A", "R", "R"), Priority.ASAP, 1),
        (("", "", "S", "R"), Priority.STAT, 1),
        (("", "", "", "U"), Priority.URGENT, 0),
        (("A", "A", "A", "ASAP"), Priority.ASAP, 0),
        (("", "XYZ", "", "S"), Priority.STAT, 0),
        (("", "XYZ", "", ""), Priority.ROUTINE, 1),
        (("P", "", "", ""), Priority.ROUTINE, 1),
        (("TS10", "", "", ""), Priority.URGENT, 0),
        (("TM5", "", "", ""), Priority.URGENT, 0),
        (("TEST", "", "", ""), Priority.ROUTINE, 1),
        (("stat", "", "", ""), Priority.STAT, 0),
        (("", "", "", ""), None, 0),
    ],
)
def test_the_first_field_with_a_priority_says_it(
    codes: tuple[str, str, str, str], wanted: Priority | None, doubts: int
) -> None:
    tq1, orc7, obr27, obr5 = codes
    lines = (f"ORC|NW|P-1^HIS|||||^^^^^{orc7}", f"TQ1|1||||||||{tq1}", f"OBR|1|||CT|{obr5}{'|' * 22}^^^^^{obr27}")
    said = content(PID, *lines, kind="OMG^O19")
    assert said.orders[0].order.priority is wanted
    assert len(said.warnings) == doubts


@pytest.mark.parametrize(
    ("ipc", "zds", "obx", "wanted"),
    [
        ("1.2.3", "", "", "1.2.3"),
        ("", "1.2.3^100^Application^DICOM", "", "1.2.3"),
        ("", "", "1.2.3", "1.2.3"),
        ("", "", "^1.2.3", "1.2.3"),
        ("1.2.3", "1.2.3", "1.2.3", "1.2.3"),
        ("../../etc/passwd", "1.2.3", "", "1.2.3"),
        ("../../etc/passwd", "", "", None),
        ("1.2.03", "", "", None),
        ("", "", "", None),
    ],
)
def test_the_study_is_what_any_of_three_places_says(ipc: str, zds: str, obx: str, wanted: str | None) -> None:
    lines = [f"IPC|A-1|RP1|{ipc}||CT", f"OBX|1|HD|110180^Study Instance UID^DCM||{obx}||||||F", f"ZDS|{zds}"]
    said = content(PID, _NEW, "OBR|1", *lines, kind="OMI^O23")
    assert said.orders[0].order.study_instance_uid == wanted
    assert len(said.warnings) == (1 if "passwd" in ipc or ".03" in ipc else 0)


@pytest.mark.parametrize(
    ("ipc", "zds", "obx"), [("1.2.3", "1.2.4", ""), ("1.2.3", "", "1.2.4"), ("", "1.2.3", "1.2.4")]
)
def test_an_order_that_names_two_studies_is_not_taken(ipc: str, zds: str, obx: str) -> None:
    lines = [f"IPC|A-1|RP1|{ipc}||CT", f"OBX|1|HD|110180^Study Instance UID^DCM||{obx}||||||F", f"ZDS|{zds}"]
    with pytest.raises(InvalidMessage, match="two different Study Instance UIDs"):
        content(PID, _NEW, "OBR|1", *lines, kind="OMI^O23")


def test_an_observation_of_another_system_names_no_study() -> None:
    said = change(_NEW, "OBR|1", "OBX|1|TX|110180^Study^L||1.2.3||||||F")
    assert said.order.study_instance_uid is None


def test_steps_with_numbers_of_their_own_are_exams_of_their_own() -> None:
    steps = ("IPC|A-1|RP1|1.2.3|S1|CT", "IPC|A-1|RP1|1.2.3|S2|CT", "IPC|A-2|RP2|1.2.4|S3|MR")
    said = content(PID, _NEW, f"OBR|1{'|' * 17}A-2", *steps, kind="OMI^O23")
    found = [
        (c.order.accession and c.order.accession.value, c.order.study_instance_uid, c.order.modality)
        for c in said.orders
    ]
    assert found == [("A-1", "1.2.3", "CT"), ("A-2", "1.2.4", "MR")]
    assert said.warnings == ()


def test_one_requested_procedure_has_one_study() -> None:
    steps = ("IPC|A-1|RP1|1.2.3|S1|CT", "IPC|A-1|RP1|1.2.4|S2|CT")
    with pytest.raises(InvalidMessage, match="two different Study Instance UIDs"):
        content(PID, _NEW, "OBR|1", *steps, kind="OMI^O23")


def test_accession_numbers_that_differ_are_told() -> None:
    said = content(PID, _NEW, f"OBR|1{'|' * 17}A-9", "IPC|A-1|RP1|1.2.3", kind="OMI^O23")
    assert said.orders[0].order.accession == Identifier("A-1", "CLINIC")
    assert said.warnings == ("IPC-1 and OBR-18 name different accession numbers: IPC-1 is taken",)


def test_the_study_at_the_end_is_that_of_all_orders_of_its_accession_number() -> None:
    obr = f"OBR|1{'|' * 17}"
    lines = ("ORC|NW|P-1^HIS", f"{obr}A-1", "ORC|NW|P-2^HIS", f"{obr}A-2", "ORC|NW|P-3^HIS", f"{obr}A-1", "ZDS|1.2.3")
    said = content(PID, *lines, kind="ORM^O01")
    assert [c.order.study_instance_uid for c in said.orders] == ["1.2.3", None, "1.2.3"]


@pytest.mark.parametrize(
    ("ipc", "section", "wanted"),
    [("CT", "MR", "CT"), ("", "MR", "MR"), ("", "NMR", "MR"), ("", "CUS", "US"), ("ct", "", "CT"), ("", "RAD", None)],
)
def test_the_modality_is_dicoms(ipc: str, section: str, wanted: str | None) -> None:
    said = change(_NEW, f"OBR|1{'|' * 23}{section}", f"IPC|A-1|RP1|||{ipc}", kind="OMI^O23")
    assert said.order.modality == wanted


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("Cough for 3 weeks\\.br\\smoker \\T\\ asthma", "Cough for 3 weeks\nsmoker & asthma"),
        ("first~second", "first\nsecond"),
        ("pain > 5^left", "pain > 5^left"),
        ("^^^^^^^^as she told it", "as she told it"),
        ("", ""),
    ],
)
def test_clinical_information_is_what_was_written(written: str, wanted: str) -> None:
    said = change(_NEW, f"OBR|1{'|' * 12}{written}", "NTE|1||call the ward")
    assert said.order.clinical_information == wanted


@pytest.mark.parametrize(
    ("kind", "version", "told"),
    [("OMG^O19", "2.3", True), ("OMG^O19", "2.4", False), ("OMI^O23", "2.4", True), ("OMI^O23", "2.8.2", False)],
)
def test_a_type_older_than_itself_is_read_with_a_doubt(kind: str, version: str, told: bool) -> None:
    said = content(PID, _NEW, "OBR|1|||CT", kind=kind, version=version)
    assert len(said.orders) == 1
    assert any("exists from version" in warning for warning in said.warnings) is told


@pytest.mark.parametrize(
    ("system", "wanted"),
    [
        ("https://example.org/codes", "https://example.org/codes"),
        ("urn:oid:1.2.3", "urn:oid:1.2.3"),
        ("LN", "http://loinc.org"),
        ("L", "urn:hl7v2:HOSPITAL"),
        ("EPIC", "urn:hl7v2:EPIC"),
    ],
)
def test_a_system_that_is_a_uri_stays_as_it_is(system: str, wanted: str) -> None:
    procedure = change(_NEW, f"OBR|1|||X^x^{system}").order.procedure
    assert procedure is not None
    assert procedure.system == wanted
