"""What the sandbox's EHR writes is read as what was chosen; what it does with a card is in the standard's order."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest

from adapters.fhir.draft_order import read_draft_orders
from cds.exam_codes import EXAMS
from cds.sandbox import outcomes
from cds.sandbox.chart import Chart
from cds.sandbox.orders import PRIORITIES, Draft, Visit, choices, context, order, visit
from cds.sandbox.outcomes import Override
from cds.value_sets import LOINC

Json = dict[str, Any]


def chart(*resources: Json) -> Chart:
    """A chart of one patient."""
    patient = {"resourceType": "Patient", "id": "p1"}
    return Chart({"resourceType": "Bundle", "entry": [{"resource": one} for one in (patient, *resources)]})


def test_every_known_exam_can_be_chosen_once_by_a_name_of_its_own() -> None:
    offered = choices()
    assert {EXAMS[LOINC, one.code][0] for one in offered} == {exam for (s, _), (exam, _) in EXAMS.items() if s == LOINC}
    assert len({one.label for one in offered}) == len(offered)


@pytest.mark.parametrize("choice", choices(), ids=lambda one: one.code)
def test_what_was_chosen_is_what_is_read(choice: Any) -> None:
    written = order(Draft(choice.code, "stat", "fall", "S09.90XA 25064002"), "p1", "o1")
    ServiceRequest.model_validate(written)
    [found] = read_draft_orders(context("order-sign", Visit("Practitioner/1", "p1"), (written,)))
    assert found.exam == EXAMS[LOINC, choice.code][0]
    assert {one.code for one in found.reasons} == {"S09.90XA", "25064002"}
    assert (found.reason_text, found.further) == ("fall", False)


def test_an_order_says_no_reason_where_none_was_given() -> None:
    assert "reasonCode" not in order(Draft("24627-2"), "p1", "o1")
    assert PRIORITIES == ("routine", "urgent", "asap", "stat")  # http://hl7.org/fhir/R4/valueset-request-priority.html


def test_a_visit_is_the_charts_and_is_made_up_only_for_hooks_that_want_one() -> None:
    there = chart({"resourceType": "Encounter", "id": "e1"})
    assert visit(there, "Practitioner/1", "patient-view") == Visit("Practitioner/1", "p1", "e1")
    assert visit(chart(), "Practitioner/1", "patient-view").encounter == ""
    assert visit(chart(), "Practitioner/1", "encounter-discharge").encounter
    assert "encounterId" not in context("patient-view", Visit("Practitioner/1", "p1"))


def test_a_suggestion_is_done_as_delete_create_update() -> None:
    held = chart({"resourceType": "ServiceRequest", "id": "old", "status": "draft"})
    actions: list[Json] = [
        {"type": "update", "resource": {"resourceType": "Task", "id": "t", "status": "requested"}},
        {"type": "create", "resource": {"resourceType": "ServiceRequest", "id": "new", "status": "draft"}},
        {"type": "delete", "resourceId": "ServiceRequest/old"},
        {"type": "delete", "resourceId": "ServiceRequest/never"},
    ]
    assert list(outcomes.apply({"actions": actions}, held)) == [
        "deleted ServiceRequest/old",
        "not in the chart, so not deleted: ServiceRequest/never",
        "created ServiceRequest/new",
        "updated Task/t",
    ]


def test_times_of_feedback_are_utc_whatever_the_clock_shows() -> None:
    at = datetime(2026, 11, 22, 12, 30, 5, 900, tzinfo=timezone(timedelta(hours=2)))
    assert outcomes.overridden("c", Override(), at) == {
        "feedback": [{"card": "c", "outcome": "overridden", "outcomeTimestamp": "2026-11-22T10:30:05Z"}]
    }
