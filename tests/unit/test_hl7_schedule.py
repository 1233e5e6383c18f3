"""Appointments and announced images, as the reader takes them from SIU and ORU."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapters.hl7.check import check
from adapters.hl7.read import Reader
from cds.domain.event import StudyEvent, StudyEventKind
from cds.domain.identity import Identifier
from cds.errors import InvalidMessage
from tests.contract.hl7_corpus import samples
from tests.unit.clinical import NOW
from tests.unit.hl7_content import PID, content

BERLIN = ZoneInfo("Europe/Berlin")
SOURCE = "HL7 LAB|HOSPITAL"
SCH = f"SCH|APT1^S|APT2^S{'|' * 9}^^30^20261125140000^20261125143000{'|' * 15}"
UID = "1.2.840.113619.2.1"


def events(*lines: str, kind: str) -> tuple[StudyEvent, ...]:
    return content(PID, *lines, kind=kind).events


def images(obx: str = f"OBX|1|ST|110180^Study Instance UID^DCM||{UID}||||||F", obr: str = "") -> tuple[StudyEvent, ...]:
    return events(obr or f"OBR|1|P-1^HIS|F-1^RIS|CTCH^CT^L{'|' * 14}ACC1", obx, kind="ORU^R01")


@pytest.mark.parametrize(
    ("trigger", "kind"),
    [
        ("S12", StudyEventKind.SCHEDULED),
        ("S13", StudyEventKind.RESCHEDULED),
        ("S14", StudyEventKind.SCHEDULED),
        ("S15", StudyEventKind.APPOINTMENT_CANCELLED),
        ("S16", StudyEventKind.APPOINTMENT_CANCELLED),
        ("S17", StudyEventKind.APPOINTMENT_CANCELLED),
        ("S26", StudyEventKind.NO_SHOW),
    ],
)
def test_the_trigger_says_what_became_of_the_appointment(trigger: str, kind: StudyEventKind) -> None:
    message = content(PID, f"{SCH}P-1^HIS|F-1^RIS", kind=f"SIU^{trigger}^SIU_S12")
    assert message.patient is not None
    assert message.orders == ()
    assert message.events == (
        StudyEvent(
            kind,
            SOURCE,
            occurred_at=datetime(2026, 11, 1, 8, 30, tzinfo=BERLIN),
            placer_order_number=Identifier("P-1", "HIS"),
            filler_order_number=Identifier("F-1", "RIS"),
            scheduled_at=datetime(2026, 11, 25, 14, tzinfo=BERLIN),
        ),
    )


@pytest.mark.parametrize("trigger", ["S01", "S18", "S22", "S23", "S24", "S27"])
def test_requests_resources_and_slots_are_ignored(trigger: str) -> None:
    message = content(PID, SCH, kind=f"SIU^{trigger}")
    assert message.ignored.startswith("of SIU only")
    assert message.events == ()


def test_the_numbers_of_an_appointment_are_not_those_of_an_order() -> None:
    (event,) = events(SCH, kind="SIU^S12")
    assert (event.placer_order_number, event.filler_order_number, event.accession) == (None, None, None)
    assert event.scheduled_at is not None


def test_an_appointment_of_two_orders_is_two_events() -> None:
    found = events(f"{SCH}P-1^HIS~P-2^HIS|F-1^RIS", kind="SIU^S12")
    numbers = [(e.placer_order_number, e.filler_order_number) for e in found]
    assert numbers == [
        (Identifier("P-1", "HIS"), Identifier("F-1", "RIS")),
        (Identifier("P-2", "HIS"), None),
    ]


def test_the_time_of_the_service_comes_before_that_of_the_appointment() -> None:
    ais = "AIS|1|A|CTCH^CT chest^L|20261125141500"
    (by_service,) = events(f"{SCH}P-1", "RGS|1", ais, kind="SIU^S12")
    (by_timing,) = events("SCH|APT1", "TQ1|||||||20261126090000+0000", kind="SIU^S12")
    (without,) = events("SCH|APT1", kind="SIU^S12")
    assert by_service.scheduled_at == datetime(2026, 11, 25, 14, 15, tzinfo=BERLIN)
    assert by_timing.scheduled_at == datetime(2026, 11, 26, 9, tzinfo=UTC)
    assert without.scheduled_at is None


def test_a_zds_gives_the_one_order_its_study() -> None:
    assert [e.study_instance_uid for e in events(f"{SCH}P-1", f"ZDS|{UID}^PACS", kind="SIU^S12")] == [UID]
    two = events(f"{SCH}P-1~P-2", f"ZDS|{UID}", kind="SIU^S12")
    assert [e.study_instance_uid for e in two] == [None, None]


def test_a_result_of_dcm_110180_says_that_the_images_are_there() -> None:
    message = content(
        PID, f"OBR|1|P-1^HIS|F-1^RIS|CTCH^CT^L{'|' * 14}ACC1",
        f"OBX|1|ST|110180^Study Instance UID^DCM||{UID}||||||F|||20261101081500", kind="ORU^R01",
    )  # fmt: skip
    assert message.values == ()
    assert message.final_reports == ()
    assert message.events == (
        StudyEvent(
            StudyEventKind.IMAGES_AVAILABLE,
            SOURCE,
            occurred_at=datetime(2026, 11, 1, 8, 15, tzinfo=BERLIN),
            study_instance_uid=UID,
            accession=Identifier("ACC1", "CLINIC"),
            placer_order_number=Identifier("P-1", "HIS"),
            filler_order_number=Identifier("F-1", "RIS"),
        ),
    )


@pytest.mark.parametrize("status", ["W", "D", "X", "I", "S", "O", "N"])
def test_what_is_taken_back_or_not_there_yet_announces_nothing(status: str) -> None:
    assert images(f"OBX|1|ST|110180^Study Instance UID^DCM||{UID}||||||{status}") == ()


@pytest.mark.parametrize("uid", ["", "../../etc/passwd", "1.02.3", "1..2"])
def test_what_is_no_uid_announces_nothing(uid: str) -> None:
    assert images(f"OBX|1|ST|110180^Study Instance UID^DCM||{uid}||||||F") == ()


def test_two_studies_in_one_result_are_a_conflict() -> None:
    obx = "OBX|1|ST|110180^Study Instance UID^DCM||1.2.3||||||F"
    with pytest.raises(InvalidMessage, match="two different Study Instance UIDs"):
        events("OBR|1|P-1|F-1", obx, obx.replace("1.2.3", "1.2.4"), kind="ORU^R01")


def test_what_sightline_itself_sent_is_never_an_event() -> None:
    assert images(obr="OBR|1||SL-1^SIGHTLINE|AI-ANALYSIS^AI^99SIGHTLINE") == ()
    block = (
        f"MSH|^~\\&|SIGHTLINE|H|S|S|20261101||ORU^R01|1|P|2.5.1\r{PID}\rOBR|1|P-1|F-1\r"
        f"OBX|1|ST|110180^Study Instance UID^DCM||{UID}||||||F"
    )
    message = Reader("CLINIC", "CLINIC", "none", "UTC")(check(block.encode(), "peer", NOW))
    assert message.events == ()


def test_a_report_is_read_as_before_beside_the_study_that_it_names() -> None:
    message = content(
        PID, f"OBR|1|P-1^HIS|F-1^RIS|CTCH^CT^L{'|' * 14}ACC1||||20261101||CT|F",
        "OBX|1|TX|59776-5^Findings^LN||No nodule.||||||F",
        f"OBX|2|ST|113014^DICOM Study^DCM||{UID}||||||F", kind="ORU^R01",
    )  # fmt: skip
    (report,) = message.final_reports
    assert (report.status, report.text) == ("final", "FINDINGS:\nNo nodule.")
    assert [one.code.code for one in message.values] == ["59776-5"]
    assert message.events == ()


def test_the_appointments_of_the_corpus_are_read(reference_dir: Path) -> None:
    reader = Reader("CLINIC", "CLINIC", "none", "UTC")
    found: dict[str, StudyEvent] = {}
    for sample in samples(reference_dir):
        if not sample.fields("MSH", 9)[0].startswith("SIU"):
            continue
        (found[sample.file],) = reader(check(sample.block, "peer", NOW)).events
    by_name = {name.rpartition("_")[2]: event for name, event in found.items()}
    assert len(found) >= 10
    assert by_name["SIU-S26-02.hl7"].kind is StudyEventKind.NO_SHOW
    assert by_name["SIU-S17-02.hl7"].kind is StudyEventKind.APPOINTMENT_CANCELLED
    moved = by_name["SIU-S13-01.hl7"]
    assert moved.kind is StudyEventKind.RESCHEDULED
    assert moved.scheduled_at == datetime.fromisoformat("2021-09-24T09:30:00+02:15")
    assert by_name["siu-s12-schedule.hl7"].scheduled_at == datetime(2026, 3, 25, 14, tzinfo=UTC)


def test_an_order_whose_status_became_complete_announces_its_images() -> None:
    (event,) = events(
        "ORC|SC|P-1^HIS|F-1^RIS||CM||||20261125150000",
        f"OBR|1|P-1^HIS|F-1^RIS|CTCH^CT^L{'|' * 14}ACC1",
        f"ZDS|{UID}^PACS",
        kind="ORM^O01",
    )
    assert event.kind is StudyEventKind.IMAGES_AVAILABLE
    assert event.study_instance_uid == UID
    assert event.accession is not None
    assert event.accession.value == "ACC1"


@pytest.mark.parametrize("orc", ["ORC|SC|P-1^HIS|F-1^RIS||IP", "ORC|NW|P-1^HIS|F-1^RIS", "ORC|XO|P-1^HIS|F-1^RIS||CM"])
def test_an_order_in_any_other_state_announces_nothing(orc: str) -> None:
    assert events(orc, f"OBR|1|P-1^HIS|F-1^RIS|CTCH^CT^L{'|' * 14}ACC1", kind="ORM^O01") == ()
