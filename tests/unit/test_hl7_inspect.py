"""`cds hl7 inspect`: what was understood of a message, and every doubt."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest

from adapters.hl7.inspect import inspect, inspect_file
from adapters.hl7.read import Reader
from cds.destinations import Sender
from cds.domain.inspection import InspectedOrder, Inspection

NOW = datetime(2026, 11, 1, tzinfo=UTC)
#: As without any configuration.
PLAIN = Reader("", "", "ORC-3", "UTC")
MSH = "MSH|^~\\&|RIS|CLINIC|S|S|20261101083000||{kind}|MSG-1|P|2.5.1||||||UNICODE UTF-8"
PID = "PID|1||4711^^^CLINIC^MR||Müller^Petra^M||19610203|F"
OBR = (
    "OBR|1|P-1|F-1|CTCH^CT chest^L^71250^CT thorax^C4|||||||||Cough\\.br\\\\T\\ smoker|||||A-1||||||CT"
    "|||^^^^^S||||^R/O PE~R05^Cough^I10"
)


def block(*lines: str, kind: str = "ORM^O01^ORM_O01") -> bytes:
    """A message of these segments behind a header."""
    return "\r".join([MSH.format(kind=kind), *lines, ""]).encode()


def shown(*lines: str, kind: str = "ORM^O01^ORM_O01", reader: Reader = PLAIN) -> Inspection:
    """What is understood of it."""
    return inspect(block(*lines, kind=kind), reader, NOW)


def test_an_order_is_shown_with_all_that_was_understood() -> None:
    seen = shown(PID, "ORC|XO|P-1^HIS|F-1^RIS||SC", OBR, "ZDS|1.2.3^100^Application^DICOM")
    assert (seen.answer, seen.outcome, seen.taken, seen.has_orders) == ("AA", "applied", True, True)
    (order,) = seen.orders
    assert asdict(order) == {
        "msg_type": "ORM_O01",
        "version": "2.5.1",
        "control_id": "MSG-1",
        "order_control": "XO",
        "order_status": "SC",
        "placer": "P-1",
        "filler": "F-1",
        "accession": "A-1",
        "study_uid": "1.2.3",
        "patient_id": "4711",
        "assigner": "CLINIC",
        "family": "Müller",
        "given": "Petra",
        "procedure": "CTCH",
        "procedure_text": "CT chest",
        "alt_code": "71250",
        "modality": "CT",
        "priority": "S",
        "reason": "R/O PE; Cough",
        "clinical_info": "Cough\n& smoker",
        "charset": "utf-8",
        "problems": ("the accession number has no issuer, and none is configured: the order cannot match images",),
    }


def test_each_order_group_has_an_entry_with_its_own_doubts() -> None:
    first, second = shown(PID, "ORC|NW|P-1", "OBR|1|P-9||X^x^L", "ORC|NW|P-2", "OBR|2|P-2||Y^y^L|NOW").orders
    assert [first.placer, second.placer, first.procedure, second.procedure] == ["P-1", "P-2", "X", "Y"]
    assert first.problems == ("ORC-2 and OBR-2 differ: ORC-2 is taken",)
    assert second.problems == ("the priority is no code of table 0485: it is read as routine",)


def test_steps_share_an_entry_unless_their_exams_differ() -> None:
    steps = ("IPC|A-1|RP1|1.2.3|S1|CT", "IPC|A-1|RP1|1.2.3|S2|CT", "IPC|A-2|RP2|1.2.4|S3|MR")
    seen = shown(PID, "ORC|NW|P-1", "OBR|1|||X^x^L", *steps, kind="OMI^O23").orders
    assert [(o.accession, o.study_uid, o.modality) for o in seen] == [("A-1", "1.2.3", "CT"), ("A-2", "1.2.4", "MR")]


def test_two_studies_of_one_order_are_a_problem_and_none_is_shown() -> None:
    seen = shown(PID, "ORC|NW|P-1", "OBR|1|||X^x^L", "IPC|A-1|RP1|1.2.3||CT", "ZDS|1.2.4", kind="OMI^O23")
    text = "an order names two different Study Instance UIDs: a conflict"
    assert (seen.outcome, seen.taken, seen.answer) == (f"quarantined: {text}", False, "AA")
    assert (seen.orders[0].study_uid, seen.orders[0].accession) == ("", "A-1")
    assert text in seen.orders[0].problems


def test_the_study_at_the_end_is_shown_with_all_orders_that_it_is_of() -> None:
    obr = f"OBR|1{'|' * 17}"
    lines = ("ORC|NW|P-1", f"{obr}A-1", "ORC|NW|P-2", f"{obr}A-2", "ORC|NW|P-3", f"{obr}A-1", "ZDS|1.2.3")
    reader = replace(PLAIN, accession_issuer="RIS")
    seen = shown(PID, *lines, reader=reader)
    assert [order.study_uid for order in seen.orders] == ["1.2.3", "", "1.2.3"]
    assert seen.content is not None
    assert [c.order.study_instance_uid or "" for c in seen.content.orders] == ["1.2.3", "", "1.2.3"]


def test_what_is_left_out_is_shown_with_the_reason() -> None:
    seen = shown(PID, "ORC|NW|P-1", "RXO|ASA^aspirin^L", "ORC|UC|P-2", "OBR|1", "ORC|NW|P-3", "OBR|2|||X^x^L")
    assert [len(order.problems) for order in seen.orders] == [1, 1, 0]
    assert seen.orders[0].problems == ("an order that is no imaging order was left out",)


@pytest.mark.parametrize(
    ("fields", "letter"),
    [("TQ1|1||||||||A^asap", "A"), ("TQ1|1||||||||TM5", "T"), ("TQ1|1||||||||C", "C"), ("TQ1|1||||||||SOON", "")],
)
def test_a_priority_is_shown_as_its_letter(fields: str, letter: str) -> None:
    assert shown(PID, "ORC|NW|P-1", fields, "OBR|1|||X^x^L").orders[0].priority == letter


def test_results_are_shown_by_their_groups_without_doubts_of_orders() -> None:
    result = "OBX|1|NM|2160-0^Creatinine^LN||0.9|mg/dL^^UCUM|||||F"
    seen = shown(PID, "OBR|1|P-1|F-1|CREA^Creatinine^L|NOW|||||||||||||||||||LAB", result, kind="ORU^R01")
    (order,) = seen.orders
    assert (order.placer, order.filler, order.accession, order.procedure) == ("P-1", "F-1", "", "CREA")
    assert (order.modality, order.problems, seen.outcome) == ("", (), "applied")
    assert seen.content is not None
    assert len(seen.content.values) == 1


def test_a_message_without_an_order_is_one_entry() -> None:
    seen = shown("EVN|A31", PID, kind="ADT")
    (order,) = seen.orders
    assert (order.msg_type, order.patient_id, order.placer, seen.has_orders) == ("ADT_A31", "4711", "", False)


def test_a_message_that_nobody_reads_says_so() -> None:
    assert shown(PID, kind="MFN^M02").outcome == "ignored: messages of this type are not read"
    assert shown(PID, kind="MFN^M02").taken


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (("PID|1||4711^^^CLINIC", "OBR|1|P-1"), "AE 101: want an order in ORC"),
        (("PID|1||", "ORC|NW|P-1"), "AE 101: want a patient identifier in PID-3"),
        (("PID|1||4711^^^CLINIC", "ORC|ZZ|P-1"), "AE 103: want an order control code of table 0119 in ORC-1"),
    ],
)
def test_what_the_door_refuses_is_shown_with_its_answer(lines: tuple[str, ...], answer: str) -> None:
    seen = shown(*lines)
    assert (seen.answer, seen.outcome, seen.taken) == (answer, f"refused with {answer}", False)
    assert (seen.orders[0].msg_type, seen.orders[0].problems) == ("ORM_O01", (answer.partition(": ")[2],))


def test_the_answer_is_that_of_the_mode_that_the_sender_asks_for() -> None:
    enhanced = block(PID, "ORC|NW|P-1", "OBR|1|||X^x^L").replace(b"||||||UNICODE", b"|||AL|NE||UNICODE")
    assert inspect(enhanced, PLAIN, NOW).answer == "CA"
    silent = enhanced.replace(b"|AL|NE|", b"|NE|NE|")
    assert inspect(silent, PLAIN, NOW).answer == "no answer"
    assert inspect(enhanced.replace(b"ORC|NW", b"ORC|"), PLAIN, NOW).answer.startswith("CE 101")


def test_a_patient_without_an_authority_is_shown_and_not_taken() -> None:
    lines = ("PID|1||4711||Probe^Petra", "ORC|NW|P-1", "OBR|1|||X^x^L")
    seen = shown(*lines)
    order = seen.orders[0]
    assert (order.patient_id, order.assigner, order.family, order.placer) == ("4711", "", "Probe", "P-1")
    assert (seen.taken, seen.outcome.startswith("quarantined: want an identifier of a person")) == (False, True)
    configured = shown(*lines, reader=replace(PLAIN, assigning_authority="CLINIC"))
    assert (configured.taken, configured.orders[0].assigner) == (True, "CLINIC")


@pytest.mark.parametrize("data", [b"", b"hello", b"\x00\xff\xfe", b"MSH", b"MSH|", b"\x0b\x1c\r"])
def test_a_file_without_a_message_has_an_entry_with_a_problem(data: bytes) -> None:
    seen = inspect_file("x.hl7", data, PLAIN, NOW)
    assert not seen.taken
    (order,) = seen.orders
    assert replace(order, problems=()) == InspectedOrder()
    assert order.problems


def test_an_empty_batch_has_no_entry_and_nothing_wrong() -> None:
    seen = inspect_file("x.hl7", b"BHS|^~\\&\rBTS|0\r", PLAIN, NOW)
    assert (seen.taken, seen.orders) == (True, ())


def test_bytes_that_fit_no_character_set_still_show_their_header() -> None:
    raw = block(PID).replace("Müller".encode(), b"M\x81ller").replace(b"UNICODE UTF-8", b"ASCII")
    seen = inspect(raw, PLAIN, NOW)
    assert not seen.taken
    assert (seen.orders[0].msg_type, seen.orders[0].control_id, seen.orders[0].charset) == ("ORM_O01", "MSG-1", "")


def test_a_guessed_character_set_is_a_doubt() -> None:
    raw = block(PID, kind="ADT^A04").decode().replace("UNICODE UTF-8", "").encode("cp1252")
    seen = inspect(raw, PLAIN, NOW)
    assert (seen.orders[0].charset, seen.orders[0].family) == ("cp1252", "Müller")
    assert len(seen.doubts) == 1


@pytest.mark.parametrize(
    "broken", [b"MSH|^~\\&|A|B|||20261101||ORM^O01|1|X|2.5\rPID|1||7^^^C\rORC|NW|P-1", b"MSH|||||"]
)
def test_a_message_that_cannot_be_opened_shows_what_it_can(broken: bytes) -> None:
    seen = inspect(broken, PLAIN, NOW)
    assert not seen.taken
    assert seen.orders[0].problems


def test_the_senders_profile_holds() -> None:
    reader = Reader("", "", "none", "UTC", {"RIS|*": Sender(fields={"OBR-18": "ZRO-1"}, assigning_authority="OWN")})
    seen = shown("PID|1||4711", "ORC|NW|P-1", "OBR|1|||X^x^L", "ZRO|A-7", reader=reader)
    assert (seen.taken, seen.orders[0].accession, seen.orders[0].assigner) == (True, "A-7", "OWN")


def test_several_messages_of_a_file_are_told_apart() -> None:
    data = b"".join(block(f"PID|1||{number}^^^C", kind="ADT^A04") for number in (1, 2, 3))
    seen = inspect_file("x.hl7", data, PLAIN, NOW)
    assert [order.patient_id for order in seen.orders] == ["1", "2", "3"]
    assert seen.taken


def test_the_problems_of_a_batch_stand_with_its_first_message() -> None:
    data = b"BHS|^~\\&|A|B\r" + block("PID|1||1^^^C", kind="ADT^A04") + b"BTS|2\r"
    seen = inspect_file("x.hl7", data, PLAIN, NOW)
    assert not seen.taken
    assert len(seen.orders) == 1
    assert "BTS-1" in seen.orders[0].problems[0]
