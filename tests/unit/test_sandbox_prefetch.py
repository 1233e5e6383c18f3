"""Prefetch templates are filled as CDS Hooks 2.0 says, and one that cannot be is left out with the reason."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.errors import InvalidResource
from cds.sandbox.chart import Chart
from cds.sandbox.prefetching import fill, query

Json = dict[str, Any]
BASE = "http://127.0.0.1:1/fhir"
CONTEXT: Json = {"patientId": "p1", "userId": "Practitioner/u1", "draftOrders": {"resourceType": "Bundle"}, "n": 7}
CHART = Chart({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": "p1"}}]})
#: What a FHIR id may be (R4, datatype id).
IDS = st.from_regex(re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII), fullmatch=True)
PLAIN = st.text(st.characters(exclude_characters="{}"), max_size=20)


@pytest.mark.parametrize(
    ("template", "asked"),
    [
        ("Patient/{{context.patientId}}", "Patient/p1"),
        ("Patient/{{ context.patientId }}", "Patient/p1"),
        ("Practitioner/{{userPractitionerId}}", "Practitioner/u1"),
        ("Observation?patient={{context.patientId}}&_count={{context.n}}", "Observation?patient=p1&_count=7"),
        ("Metadata", "Metadata"),
    ],
)
def test_tokens_become_values_of_the_context_and_the_user(template: str, asked: str) -> None:
    assert query(template, CONTEXT) == asked


@pytest.mark.parametrize(
    "template",
    ["{{context.absent}}", "{{context.draftOrders}}", "{{userPatientId}}", "{{userPractitionerRoleId}}", "{{user}}",
     "{{context.draftOrders.entry}}", "{{today()}}", "{{}}"],
)  # fmt: skip
def test_a_token_that_stands_for_nothing_simple_is_refused(template: str) -> None:
    with pytest.raises(InvalidResource, match=r"\w+ \w+"):
        query(f"Patient/{template}", CONTEXT)


def test_a_read_gives_the_resource_or_null_and_a_search_a_bundle() -> None:
    templates = {
        "patient": "Patient/{{context.patientId}}",
        "nobody": "Practitioner/{{userPractitionerId}}",
        "empty": "Observation?patient={{context.patientId}}",
        "odd": "Observation?near={{context.patientId}}",
        "role": "PractitionerRole/{{userPractitionerRoleId}}",
    }
    filled = fill(templates, CONTEXT, CHART, base_url=BASE)
    assert filled.found["patient"] == {"resourceType": "Patient", "id": "p1"}
    assert filled.found["nobody"] is None
    assert filled.found["empty"] == CHART.search("Observation?patient=p1", BASE)
    assert set(filled.left_out) == {"odd", "role"}


def test_an_ehr_may_honour_some_templates_alone() -> None:
    filled = fill({"a": "Patient/p1", "b": "Patient/p1"}, CONTEXT, CHART, base_url=BASE, wanted=["b"])
    assert (set(filled.found), dict(filled.left_out)) == ({"b"}, {"a": "not asked of this EHR"})


@given(PLAIN, IDS, PLAIN)
def test_whatever_stands_around_a_token_stays(before: str, name: str, after: str) -> None:
    assert query(before + "{{context.patientId}}" + after, {"patientId": name}) == before + name + after


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=40), max_size=5), IDS)
def test_every_template_is_filled_or_left_out_with_a_reason_and_never_both(templates: Json, name: str) -> None:
    filled = fill(templates, CONTEXT | {"patientId": name}, CHART, base_url=BASE)
    assert filled.found.keys() | filled.left_out.keys() == templates.keys()
    assert filled.found.keys().isdisjoint(filled.left_out)
    assert all(filled.left_out.values())
