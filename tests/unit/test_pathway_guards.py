"""What every pathway's guards have in common: open requests, what was done since, pain, and how values are shown."""

from __future__ import annotations

from datetime import date

import pytest

from cds import action_codes as actions
from cds import condition_codes, procedure_codes
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import ClinicalItem, Measurement
from cds.domain.recommendation import Source
from cds.pathways._facts import words
from cds.pathways._guards import amount, asked_already, requested
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import done_from, done_since_images, suffered
from tests.unit.clinical import STUDY_DATE, TODAY
from tests.unit.pathway_records import item, record, study

VISIT, ULTRASOUND = actions.LIPID_VISIT, actions.AORTIC_SURVEILLANCE
PAIN = condition_codes.BACK_PAIN
IMAGED = procedure_codes.ABDOMINAL_AORTA_IMAGING
BEFORE, AFTER = date(2026, 11, 1), date(2026, 11, 3)


def reasoning(facts: dict[object, object], today: date = TODAY) -> Reasoning:
    """A pathway about to reason on a record with these facts."""
    return Reasoning("test", "Test", Source("test", "https://example.org"), study(record(facts, facts), today=today))


def open_since(action: Coding, day: date) -> Reasoning:
    """The same with an open request."""
    return reasoning({procedure_codes.ORDERED[action.code]: item(day)})


def test_an_open_request_silences_a_step_that_can_wait_and_one_since_the_images_an_urgent_one() -> None:
    for day, urgent, silenced in ((BEFORE, False, True), (BEFORE, True, False), (STUDY_DATE, True, True)):
        found = open_since(VISIT, day)
        assert asked_already(found, VISIT, urgent=urgent) is silenced
        assert len(found.notes) == 1
        assert ("its addressee may not know of them" in found.notes[0]) is not silenced


def test_a_request_for_imaging_of_the_day_of_the_images_or_before_is_the_order_of_the_exam() -> None:
    for day, there in ((BEFORE, False), (STUDY_DATE, False), (AFTER, True)):
        for urgent in (False, True):
            found = open_since(ULTRASOUND, day)
            assert asked_already(found, ULTRASOUND, urgent=urgent) is there
            assert bool(found.notes) is there
        assert (requested(found.case, ULTRASOUND) is not None) is there


def test_every_action_that_makes_images_is_one_of_the_actions() -> None:
    assert set(actions.ACTIONS.values()) >= actions.IMAGING_ACTIONS
    assert not actions.IMAGING_ACTIONS & {actions.VASCULAR_SURGERY_REFERRAL, actions.COMPARE_STUDIES, VISIT}


def test_what_was_done_too_early_is_told_and_is_not_what_is_due() -> None:
    for day, done, told in (
        (STUDY_DATE, False, False),
        (AFTER, False, True),
        (TODAY, True, False),
        (None, None, False),
    ):
        found = reasoning({IMAGED: item(day)})
        assert done_from(found, IMAGED, TODAY) is done
        assert bool(found.notes) is told
    assert done_since_images(reasoning({IMAGED: item(AFTER)}), IMAGED)
    assert done_since_images(reasoning({IMAGED: item(STUDY_DATE)}), IMAGED) is False


def test_a_symptom_counts_back_from_today_and_from_images_of_a_later_day() -> None:
    assert suffered(reasoning({PAIN: item(date(2026, 11, 8))}), (PAIN,), 14)
    assert suffered(reasoning({PAIN: item(date(2026, 11, 7))}), (PAIN,), 14) is False
    year_later = date(2027, 11, 2)
    assert suffered(reasoning({PAIN: item(STUDY_DATE)}, year_later), (PAIN,), 14) is False
    assert suffered(reasoning({PAIN: item(date(2026, 10, 19))}, date(2026, 10, 1)), (PAIN,), 14)
    assert suffered(reasoning({PAIN: item(date(2026, 10, 18))}, date(2026, 10, 1)), (PAIN,), 14) is False


@pytest.mark.parametrize(
    ("number", "unit", "said"),
    [
        (1.2, "1", "1.2"),
        (22.9715, "mg/dL", "23 mg/dL"),
        (189.6, "mg/dL", "189.6 mg/dL"),
        (1234.5, "pg/mL", "1234 pg/mL"),
        (0.35, "mg/dL", "0.35 mg/dL"),
        (78.0, "mL/min/{1.73_m2}", "78 mL/min/1.73 m²"),
        (138.0, "mm[Hg]", "138 mmHg"),
        (250.0, "10*3/uL", "250 10³/µL"),
    ],
)
def test_a_value_is_shown_as_people_write_it(number: float, unit: str, said: str) -> None:
    assert amount(Measurement(Coding("urn:test", "1"), Quantity(number, unit))) == said


@pytest.mark.parametrize(
    ("text", "display", "said"),
    [
        ("5 mg once a day", "amlodipine", "amlodipine, 5 mg once a day (C08CA01)"),
        ("Amlodipine 5 mg", "amlodipine", "Amlodipine 5 mg (C08CA01)"),
        ("amlodipine", "Amlodipine 5 mg tablet", "Amlodipine 5 mg tablet (C08CA01)"),
        ("5 mg once a day", "", "5 mg once a day (C08CA01)"),
        ("", "amlodipine", "amlodipine (C08CA01)"),
        ("", "", "coded item (C08CA01)"),
    ],
)
def test_an_item_is_named_whatever_its_words_say(text: str, display: str, said: str) -> None:
    assert words(ClinicalItem(Coding("http://www.whocc.no/atc", "C08CA01", display), text)) == said
