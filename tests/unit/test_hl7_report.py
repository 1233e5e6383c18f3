"""ORU^R01: hl7apy and the project's reader read it back; it cannot be mistaken for the radiologist's report."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Literal

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message as PeerMessage
from hl7apy.parser import parse_message
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7.message import Message, Segment
from adapters.hl7.proof import prove
from adapters.hl7.report import DISCLAIMER, OruSink, oru, retraction
from adapters.hl7.rules import UnreadableMessage
from adapters.hl7.segments import Envelope
from adapters.hl7.statement import quantity
from cds.destinations import MllpDestination
from cds.domain import conclusion
from cds.domain.coding import Quantity
from cds.domain.finding import Findings, NotEvaluated, Presence
from cds.domain.identity import Patient
from cds.domain.matching import Match, MatchState
from cds.domain.recommendation import NothingToSay
from cds.domain.report import Audience, Report
from cds.domain.verification import Agreement, Verdict
from cds.errors import ConfigurationError, InvalidInput
from tests.contract.hl7_reports import advice, findings, patient, report
from tests.unit.clinical import StillClock
from tests.unit.opinions import compared, verified

ENVELOPE = Envelope("M1", "SIGHTLINE", "CLINIC", "EHR", "SITE", "Europe/Berlin")
AT = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)


def _oru(said: Report, earlier: Report | None = None) -> bytes:
    return oru(said, ENVELOPE, earlier=earlier)


def _retraction(said: Report, reason: str = "it was of another patient") -> bytes:
    return prove(retraction(said, ENVELOPE, reason=reason, at=AT))


def _peer(block: bytes) -> PeerMessage:
    return parse_message(block.decode(), validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)


#: What stands beside findings and advice: details of a finding, and what is said of the whole.
_BESIDE = ("AI-THRESHOLD", "112002", "AI-IMPRESSION", "AI-LABEL", "110180")


def _observations(said: Report) -> list[Segment]:
    """Findings, refusals and advice."""
    return [obx for obx in Message(_oru(said)).all("OBX") if obx.text(3) not in _BESIDE]


def _codes(said: Report) -> list[str]:
    return [obx.text(3) for obx in Message(_oru(said)).all("OBX")]


def test_hl7apy_reads_every_segment_of_it() -> None:
    peer = _peer(_oru(report()))
    assert peer.msh.msh_9.to_er7() == "ORU^R01^ORU_R01"
    assert [peer.msh.msh_12.to_er7(), peer.msh.msh_18.to_er7()] == ["2.5.1", "UNICODE UTF-8"]
    assert [child.name for child in peer.children][:5] == ["MSH", "SFT", "PID", "OBR", "NTE"]
    assert len(peer.obx) == len(_codes(report())) == 10
    assert len(_observations(report())) == 6
    assert peer.obr.obr_25.to_er7() == "P"


def test_hl7apy_finds_the_structure_valid() -> None:
    parsed = parse_message(_oru(report()).decode(), validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=True)
    assert parsed.validate()


def test_the_request_is_ours_and_only_points_to_the_exams() -> None:
    obr = Message(_oru(report())).first("OBR")
    assert obr.raw(2) == ""
    assert obr.raw(3) == "SL-k3v9^SIGHTLINE"
    assert obr.raw(4) == "AI-ANALYSIS^AI analysis of imaging study^99SIGHTLINE"
    assert obr.raw(7) == "20261101093000+0100"
    assert obr.raw(18) == "ACC1"
    assert obr.raw(22) == "20261101100000+0100"
    assert (obr.raw(25), obr.raw(32)) == ("P", "")
    assert obr.raw(29) == "P-1&HIS^F-1&RIS"
    assert Message(_oru(report())).all("ORC") == []


def test_the_patient_is_named_by_the_number_of_the_order_first() -> None:
    pid = Message(_oru(report())).first("PID")
    assert pid.raw(3) == "4711^^^CLINIC~9^^^OTHER"
    assert (pid.raw(5), pid.raw(7), pid.raw(8)) == ("Probe^Petra", "19610203", "F")


def test_findings_say_value_negative_and_refusal_differently() -> None:
    measured, negative, refused, bone, spirometry, screening = _observations(report())
    assert [measured.raw(n) for n in (2, 3, 5, 6, 11)] == [
        "NM", "LAA950^Low attenuation area^99SIGHTLINE", "14.25", "%^%^UCUM", "P",
    ]  # fmt: skip
    assert measured.text(17, 2) == "ct_lung 1.2.0"
    assert measured.raw(18) == "ct_lung 1.2.0^SIGHTLINE"
    sentence = "not detected by ct_lung 1.2.0 at threshold 0.5 1; does not exclude"
    assert (negative.raw(2), negative.raw(11)) == ("CWE", "P")
    assert negative.text(5, 2) == negative.text(5, 9) == sentence
    assert [refused.raw(n) for n in (2, 5, 11)] == ["ST", "not evaluated: contrast medium", "X"]
    assert [bone.raw(n) for n in (2, 5, 11)] == ["ST", "not evaluated: sharp kernel", "X"]
    assert spirometry.raw(2) == "TX"
    assert spirometry.text(5).startswith("Spirometry, by 2026-12-01 (routine). Emphysema with 30 pack-years. Source:")
    assert screening.text(5) == "not evaluated: Lung screening: the quit date is unknown"


def test_the_reader_is_told_what_it_is_and_what_was_used() -> None:
    notes = [note.text(3) for note in Message(_oru(report())).all("NTE")]
    assert notes[0] == DISCLAIMER
    assert "not a radiology report" in DISCLAIMER
    assert "Used: pack-years: 30 (2026-05-04, HL7 LAB|CLINIC)" in notes
    assert "Checked: thickness: 1.0 mm." in notes
    assert not any("replaces" in note for note in notes)


def test_a_new_version_keeps_its_numbers_and_says_what_it_replaces() -> None:
    first, second = Message(_oru(report())), Message(_oru(report(version=2)))
    assert first.first("OBR").raw(3) == second.first("OBR").raw(3)
    assert [obx.raw(4) for obx in first.all("OBX")] == [obx.raw(4) for obx in second.all("OBX")]
    assert second.first("OBR").raw(25) == "P"
    assert "replaces version 1" in second.all("NTE")[1].text(3)


def test_recommendations_wait_for_their_release() -> None:
    assert len(_observations(report(refer=False))) == 4


def test_nothing_to_say_is_not_said() -> None:
    said = report()
    silent = replace(said, decision=replace(said.decision, outcomes=(NothingToSay("p", "does not apply"),)))
    assert len(_observations(silent)) == 4


def test_a_report_without_a_patient_is_not_sent() -> None:
    with pytest.raises(InvalidInput):
        _oru(replace(report(), patient=None))


@pytest.mark.parametrize(
    ("value", "wanted"), [(14.25, "14.25 %"), (1e-9, "0.000000001 %"), (3.0, "3 %"), (1e21, f"1{'0' * 21} %")]
)
def test_numbers_have_no_exponent(value: float, wanted: str) -> None:
    assert quantity(Quantity(value, "%")) == wanted


def test_a_number_that_is_none_is_not_sent() -> None:
    with pytest.raises(InvalidInput):
        quantity(Quantity(float("nan"), "%"))


def test_the_control_id_is_the_same_for_the_same_delivery() -> None:
    sink = OruSink("ehr", MllpDestination(host="127.0.0.1", port=1), facility="CLINIC", time_zone="UTC")
    ids = [Message(sink.encode(report(), delivery)).first("MSH").text(10) for delivery in ("a", "a", "b")]
    assert ids[0] == ids[1] != ids[2]
    assert all(len(control_id) <= 20 for control_id in ids)
    assert sink.encode(report(), "a") == sink.encode(report(), "a")


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=80))
def test_no_name_and_no_text_injects_a_segment(family: str, given_name: str, reason: str) -> None:
    hostile = report(who=patient(family, f"{given_name}\rOBR|9"), said=advice(f"{reason}\r\nPID|||EVIL"))
    block = _oru(hostile)
    ours = [segment.name for segment in Message(block)]
    assert ours == [segment.name for segment in Message(_oru(report()))]
    assert block.count(b"\r") == len(ours)
    assert b"\n" not in block
    assert Message(block).first("OBR").raw(25) == "P"


@pytest.mark.parametrize("text", ["a\rOBX|9", "|^~\\&", "\\F\\", '""', "x\u2028PID|", "ß 漢 \U0001f600", "\x0b\x1c\r"])
def test_hl7apy_sees_no_injected_segment(text: str) -> None:
    peer = _peer(_oru(report(who=patient(text, text), said=advice(text))))
    assert len(peer.pid) == 1
    assert len(peer.obx) == 10


def test_a_block_that_another_library_cannot_read_back_is_not_sent() -> None:
    assert prove(_oru(report())) == _oru(report())
    with pytest.raises(UnreadableMessage):
        prove(_oru(report()).replace(b"\rOBR|", b"\rOBR|1\rPID|", 1))
    with pytest.raises(UnreadableMessage):
        prove(b"no message")


def test_what_a_radiologist_said_is_a_note_and_the_value_stays_the_models() -> None:
    block = Message(_oru(verified(report(), Verdict.CORRECTED)))
    first = block.first("OBX")
    assert [first.raw(n) for n in (5, 11)] == ["14.25", "P"]
    assert block.first("OBR").raw(25) == "P"
    notes = [note.text(3) for note in block.all("NTE")]
    assert "A radiologist (dr.grey) corrected this finding on 2026-03-06 07:45 UTC to 9.5 %: motion." in notes


def test_how_a_finding_stands_to_the_radiologists_report_is_a_note_that_quotes_nothing() -> None:
    block = prove(_oru(compared(report(), Agreement.DISCORDANT)))
    notes = [note.text(3) for note in Message(block).all("NTE")]
    assert "Contradicted by the radiologist's report of 2026-03-05: the report codes it as absent." in notes
    assert b"Unmistakable" not in block


def test_a_report_under_another_patient_has_a_filler_number_of_its_own() -> None:
    assert Message(_oru(replace(report(), episode=2))).first("OBR").raw(3) == "SL-k3v9.2^SIGHTLINE"


def test_an_order_that_was_cancelled_is_not_named_by_any_number() -> None:
    block = _oru(replace(report(), match=Match(MatchState.DETACHED, ("the order was cancelled",), None, "p")))
    obr = Message(block).first("OBR")
    assert [obr.raw(n) for n in (2, 18, 29)] == ["", "", ""]
    assert not [number for number in (b"ACC1", b"P-1", b"F-1") if number in block]
    assert Message(block).first("PID").raw(3) == "4711^^^CLINIC~9^^^OTHER"


def test_images_that_belong_to_nobody_are_sent_to_no_chart_even_where_a_patient_is_at_hand() -> None:
    with pytest.raises(InvalidInput):
        _oru(replace(report(), match=Match(MatchState.UNMATCHED, ("no accession number",))))


class TestRetraction:
    """Table 0085 W, table 0123 X, under our own number alone."""

    def test_every_observation_of_the_report_is_posted_as_wrong_without_its_value(self) -> None:
        told, gone = (Message(block).all("OBX") for block in (_oru(report()), _retraction(report())))
        assert [(obx.raw(3), obx.raw(4)) for obx in gone] == [(obx.raw(3), obx.raw(4)) for obx in told]
        assert {tuple(obx.raw(n) for n in (2, 5, 6, 11)) for obx in gone} == {("ST", "withdrawn", "", "W")}

    def test_nothing_of_what_was_said_is_said_again(self) -> None:
        text = _retraction(report()).decode()
        assert not [
            said for said in ("14.25", "not detected", "Spirometry,", "30 (2026", "Emphysema was") if said in text
        ]

    def test_it_names_the_patient_of_the_wrong_report_and_its_number_and_neither_order_nor_exam(self) -> None:
        told, gone = Message(_oru(report())), Message(_retraction(report()))
        assert gone.first("PID").raw(3) == told.first("PID").raw(3)
        assert gone.first("OBR").raw(3) == told.first("OBR").raw(3)
        assert [gone.first("OBR").raw(n) for n in (2, 18, 25, 29)] == ["", "", "X", ""]
        assert gone.all("ORC") == []

    def test_it_is_younger_than_the_report_and_says_why_in_words(self) -> None:
        gone = Message(_retraction(report()))
        assert (gone.first("MSH").raw(7), gone.first("OBR").raw(22)) == ("20261103130000+0100",) * 2
        assert gone.all("NTE")[0].text(3) == (
            "Withdrawn: it was of another patient. Disregard the earlier AI analysis under this number."
        )

    def test_hl7apy_reads_it(self) -> None:
        peer = _peer(_retraction(report()))
        assert {obx.obx_11.to_er7() for obx in peer.obx} == {"W"}

    @pytest.mark.parametrize("reason", ["a\rOBX|9||||||||||F", "|^~\\&", "x\x0b\x1c\r"])
    def test_no_reason_injects_a_segment(self, reason: str) -> None:
        ours = [segment.name for segment in Message(_retraction(report(), reason))]
        assert ours == [segment.name for segment in Message(_retraction(report()))]

    def test_the_sink_stamps_it_with_its_own_clock(self) -> None:
        sink = _sink(StillClock(AT))
        block = Message(sink.retract(report(), "d", "wrong patient"))
        assert block.first("MSH").raw(7) == "20261103120000+0000"
        assert block.first("OBX").raw(11) == "W"


class TestEarlier:
    """What a later version does not say any more does not stand at the destination either."""

    def test_it_is_posted_as_wrong_beside_what_stands(self) -> None:
        outcome = report().outcomes[0]
        assert isinstance(outcome, Findings)
        fewer = replace(report(version=2), outcomes=(replace(outcome, findings=outcome.findings[:2]),))
        said = Message(prove(_oru(fewer, report()))).all("OBX")
        status = {(obx.text(3, 1), obx.raw(4)): obx.raw(11) for obx in said}
        assert status["LAA950", "laa_950"] == "P"
        assert (status["30526-8", "calcium"], status["ct_bone", "ct_bone"]) == ("W", "W")
        assert len(status) == len(said) == len(_codes(report()))

    def test_nothing_is_withdrawn_where_nothing_is_gone_or_it_was_another_patients(self) -> None:
        same = report(version=2)
        assert _oru(same, report()) == _oru(same)
        other = replace(report(), episode=2, outcomes=report().outcomes[:1])
        assert _oru(other, report()) == _oru(other)


class TestFlags:
    """OBX-8, table 0078, and nothing that would call a negative normal (SAFETY section 6)."""

    @pytest.mark.parametrize(
        ("presence", "flag"),
        [
            (Presence.PRESENT, "A"),
            (Presence.NOT_DETECTED, ""),
            (Presence.MEASURED, ""),
            (Presence.NOT_EVALUATED, ""),
        ],
    )
    def test_what_was_detected_is_abnormal_and_nothing_else_is_judged(self, presence: Presence, flag: str) -> None:
        outcome = findings()
        one = replace(outcome.findings[0], presence=presence)
        said = replace(report(), outcomes=(replace(outcome, findings=(one,)),))
        assert _observations(said)[0].raw(8) == flag
        assert {obx.raw(8) for obx in Message(_oru(said)).all("OBX")} <= {flag, ""}

    def test_a_withdrawn_detection_has_no_flag(self) -> None:
        outcome = findings()
        one = replace(outcome.findings[0], presence=Presence.PRESENT)
        said = replace(report(), outcomes=(replace(outcome, findings=(one,)),))
        assert {obx.raw(8) for obx in Message(_retraction(said)).all("OBX")} == {""}


class TestWhole:
    """What is said of the report as a whole."""

    def test_the_summary_is_ours_and_no_radiologists_impression(self) -> None:
        (said,) = [obx for obx in Message(_oru(report())).all("OBX") if obx.text(3) == "AI-IMPRESSION"]
        assert (said.raw(2), said.text(3, 3)) == ("FT", "99SIGHTLINE")
        assert said.value(5).whole() == conclusion.text(report())
        assert b"19005-8" not in _oru(report())

    def test_it_names_the_study_by_its_uid_and_each_finding_its_series(self) -> None:
        said = {(obx.raw(3), obx.raw(4)): obx.raw(5) for obx in Message(_oru(report())).all("OBX")}
        assert said["110180^Study Instance UID^DCM", ""] == "1.2.3"
        outcome = findings()
        one = replace(outcome.findings[0], series_instance_uid="1.2.3.4")
        block = _oru(replace(report(), outcomes=(replace(outcome, findings=(one,)),)))
        said = {(obx.raw(3), obx.raw(4)): obx.raw(5) for obx in Message(block).all("OBX")}
        assert said["112002^Series Instance UID^DCM", "laa_950"] == "1.2.3.4"

    def test_somebody_without_a_name_is_sent_with_a_name_that_says_so(self) -> None:
        block = prove(_oru(report(who=patient("", ""))))
        assert Message(block).first("PID").raw(5) == "^^^^^^U"

    def test_a_birth_date_long_ago_keeps_its_four_digits(self) -> None:
        block = prove(_oru(report(who=replace(patient(), birth_date=date(1, 1, 1)))))
        assert Message(block).first("PID").raw(7) == "00010101"

    def test_a_long_reason_is_a_text_and_one_of_several_lines_a_formatted_one(self) -> None:
        kinds = []
        for reason in ("short", "long " * 60, "one\ntwo"):
            said = replace(report(), outcomes=(NotEvaluated("ct_bone", "1", (reason,), "kernel"),))
            first = Message(prove(_oru(said))).first("OBX")
            kinds.append(first.raw(2))
            assert reason.strip() in first.value(5).whole()
        assert kinds == ["ST", "TX", "FT"]


class TestDocument:
    """The PDF is one more observation, where the destination wants it."""

    def test_it_is_sent_as_ed_and_comes_back_byte_for_byte(self) -> None:
        drawn = bytes(range(256)) * 400
        block = _pdf_sink(drawn).encode(report(), "d")
        obx = Message(block).all("OBX")[-1]
        assert (obx.raw(2), obx.text(3)) == ("ED", "AI-DOCUMENT")
        assert [obx.text(5, part) for part in range(1, 5)] == ["SIGHTLINE", "Application", "PDF", "Base64"]
        assert base64.b64decode(obx.text(5, 5), validate=True) == drawn
        assert [obx.raw(1) for obx in Message(block).all("OBX")] == [str(n) for n in range(1, 12)]

    def test_a_retraction_takes_the_document_back_as_well(self) -> None:
        block = _pdf_sink(b"%PDF").retract(report(), "d", "wrong patient")
        gone = Message(block).all("OBX")[-1]
        assert (gone.text(3), gone.raw(2), gone.raw(5), gone.raw(11)) == ("AI-DOCUMENT", "ST", "withdrawn", "W")

    def test_a_destination_that_wants_none_gets_none(self) -> None:
        assert b"AI-DOCUMENT" not in _sink().encode(report(), "d")

    def test_a_retraction_takes_the_document_back_whatever_the_destination_wants_now(self) -> None:
        withdrawn = next(s for s in _sink().retract(report(), "d", "void").split(b"\r") if b"AI-DOCUMENT" in s)
        assert withdrawn.split(b"|")[11] == b"W"

    def test_a_destination_that_wants_one_is_not_served_without(self) -> None:
        to = MllpDestination(host="127.0.0.1", port=1, pdf=True)
        with pytest.raises(ConfigurationError, match="PDF"):
            OruSink("ehr", to, facility="CLINIC", time_zone="UTC")


def _pdf_sink(drawn: bytes) -> OruSink:
    to = MllpDestination(host="127.0.0.1", port=1, pdf=True)
    return OruSink("ehr", to, facility="CLINIC", time_zone="UTC", document=lambda _: drawn)


class TestSink:
    """Whose eyes, and production or test."""

    @pytest.mark.parametrize("processing", ["T", "D"])
    def test_a_test_report_goes_to_a_test_destination_under_its_own_processing_id(
        self, processing: Literal["T", "D"]
    ) -> None:
        to = MllpDestination(host="127.0.0.1", port=1, processing=processing, audience=Audience.RADIOLOGIST)
        sink = OruSink("test", to, facility="CLINIC", time_zone="UTC")
        who = patient()
        ours = Patient(tuple(i.in_test() for i in who.identifiers), who.name)
        block = Message(sink.encode(replace(report(who=ours), test=True), "d"))
        assert block.first("MSH").raw(11) == processing
        assert block.first("PID").raw(3) == "9^^^OTHER~4711^^^CLINIC"
        assert (sink.audience, sink.production, sink.made(b"")) == (Audience.RADIOLOGIST, False, ())
        with pytest.raises(InvalidInput):
            sink.encode(report(), "d")

    def test_a_production_destination_takes_no_test_report(self) -> None:
        assert _sink().production
        with pytest.raises(InvalidInput):
            _sink().encode(replace(report(), test=True), "d")
        with pytest.raises(InvalidInput):
            _sink().retract(replace(report(), test=True), "d", "void")


def _sink(clock: StillClock | None = None) -> OruSink:
    to = MllpDestination(host="127.0.0.1", port=1)
    return OruSink("ehr", to, facility="CLINIC", time_zone="UTC", clock=clock)
