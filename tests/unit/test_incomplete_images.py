"""That images may not be all is told on every wire, in the same sentence (SAFETY section 6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adapters.hl7.message import Message
from adapters.hl7.report import oru
from adapters.hl7.segments import Envelope
from cds.domain import conclusion
from cds.domain.report import Report
from cds.hooks import cards
from tests.contract.hl7_reports import report as hl7_report
from tests.unit import fhir_samples
from tests.unit.clinical import report as clinical_report
from tests.unit.hook_desk import FAILED, Desk
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
    site = cards.Site("Sample Hospital", "https://sightline.example")
    card: Any = cards.could_not_tell(site, some(clinical_report()), [FAILED])
    assert card["detail"].startswith(f"**{SENTENCE}**")
    assert "incomplete" not in str(cards.could_not_tell(site, clinical_report(), [FAILED]))
    (advice,) = Desk(reports=(some(clinical_report()),)).call()
    assert advice["detail"].startswith(f"**{SENTENCE}**")
    assert "suggestions" in advice
