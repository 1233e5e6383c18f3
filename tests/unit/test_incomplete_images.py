"""That images may not be all is told on every wire, in the same sentence (SAFETY section 6)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from adapters.dicom.ahead import KeyImages
from adapters.dicom.key_image import NOTICE, words
from adapters.dicom.one_frame import frame_values
from adapters.dicom.own import Edition
from adapters.dicom.presentation_state import presentation_state
from adapters.hl7.message import Message
from adapters.hl7.report import oru
from adapters.hl7.segments import Envelope
from cds.domain import conclusion
from cds.domain.report import Report
from cds.hooks import cards, parts
from tests.contract.critical_notices import NOTICE as NOTICE_OF
from tests.contract.hl7_reports import report as hl7_report
from tests.unit import fhir_samples
from tests.unit.clinical import report as clinical_report
from tests.unit.hook_desk import FAILED, Desk
from tests.unit.pacs_reports import images, report
from tests.unit.test_report_pdf import drawn

WHY = "184 of 200 images of series 3"
SENTENCE = f"Made from incomplete images: {WHY}."


def some(of: Report) -> Report:
    return replace(of, study=replace(of.study, incomplete=WHY))


def test_it_is_one_sentence_of_the_conclusion_and_none_where_all_are_there() -> None:
    assert SENTENCE in conclusion.text(some(fhir_samples.report())).splitlines()
    assert "incomplete" not in conclusion.text(fhir_samples.report())


def test_fhir_has_it_in_the_conclusion() -> None:
    [body] = fhir_samples.bodies(some(fhir_samples.report()), "DiagnosticReport")
    assert SENTENCE in body["conclusion"].splitlines()


def test_hl7_has_it_among_the_notes_and_in_the_impression() -> None:
    message = Message(oru(some(hl7_report()), Envelope("M1", "SIGHTLINE", "CLINIC", "EHR", "SITE", "Europe/Berlin")))
    assert SENTENCE in [nte.text(3) for nte in message.all("NTE")]
    impression = [obx.text(5) for obx in message.all("OBX") if obx.text(3) == "AI-IMPRESSION"]
    assert SENTENCE in impression[0]


def test_the_document_has_it() -> None:
    assert SENTENCE in drawn(some(fhir_samples.report()))


def test_cards_have_it_before_everything_else() -> None:
    site = parts.Site("Sample Hospital", "https://sightline.example")
    card: Any = cards.could_not_tell(site, some(clinical_report()), [FAILED]).body
    assert card["detail"].startswith(f"**{SENTENCE}**")
    assert "incomplete" not in str(cards.could_not_tell(site, clinical_report(), [FAILED]))
    (advice,) = Desk(reports=(some(clinical_report()),)).call()
    assert advice["detail"].startswith(f"**{SENTENCE}**")
    assert "suggestions" in advice


def test_key_images_say_it_after_what_they_are(tmp_path: Path) -> None:
    of = images(tmp_path)
    told = report(of)
    [place], _ = KeyImages(of.sources, 1 << 24, frame_values).take(told)
    edition = Edition(some(told), ZoneInfo("Europe/Berlin"))
    assert words(edition, place)[:2] == [NOTICE, SENTENCE]
    state = presentation_state(edition, place, 1, place.image)
    [text] = state.GraphicAnnotationSequence[0].TextObjectSequence
    assert SENTENCE in text.UnformattedTextValue.splitlines()
    assert SENTENCE not in words(replace(edition, report=told), place)


def test_who_is_told_of_a_critical_result_reads_it() -> None:
    partial = replace(NOTICE_OF, study=replace(NOTICE_OF.study, incomplete=WHY))
    assert SENTENCE in partial.lines
    assert SENTENCE not in NOTICE_OF.lines
    assert SENTENCE not in replace(partial, withdrawn="it was another patient").lines
