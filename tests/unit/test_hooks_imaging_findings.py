"""The imaging-findings service: dict in, dict out, against the schemas of CDS Hooks 2.0 and the rules of SAFETY."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from adapters.fhir.report import resources
from cds import codes, hooks
from cds.domain.coding import Quantity
from cds.domain.ids import resource_id
from cds.domain.message import RecordStatements, Searched
from cds.domain.recommendation import Advice, CouldNotTell, PathwayOutcome
from cds.errors import InvalidResource, NotFound, PreconditionFailed
from cds.hooks import cards, parts
from tests.unit.clinical import (
    DAILY,
    PACK_YEARS,
    SMOKING,
    STUDY_UID,
    patient,
    record,
    reference,
    report,
    said,
    study,
)
from tests.unit.hook_desk import FAILED, REPORT, Desk, Json, only_emphysema


def schema(reference_dir: Path, name: str) -> Draft202012Validator:
    """A schema of the reference collection."""
    path = reference(reference_dir) / "cds-hooks" / "schema" / f"{name}.schema.json"
    return Draft202012Validator(json.loads(path.read_text()))


def empty_members(value: object, at: str = "") -> list[str]:
    """Where a null or an empty member stands; `cards` alone may be empty."""
    if value is None or (value in ("", [], {}) and at != ".cards"):
        return [at]
    if isinstance(value, dict):
        return [found for name, item in value.items() for found in empty_members(item, f"{at}.{name}")]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in empty_members(item, f"{at}[{index}]")]
    return []


# --- the wire


def test_the_schema_accepts_discovery(reference_dir: Path) -> None:
    document = hooks.discovery()
    schema(reference_dir, "discovery").validate(document)
    service = cast("list[Json]", document["services"])[0]
    assert (service["hook"], service["id"]) == ("patient-view", "imaging-findings")
    assert service["prefetch"]["patient"] == "Patient/{{context.patientId}}"
    assert empty_members(document) == []


def test_prefetch_templates_keep_to_the_query_subset() -> None:
    services = cast("list[Json]", hooks.discovery()["services"])
    for template in (one for service in services for one in service["prefetch"].values()):
        assert template.count("{{") == 1
        assert "{{context.patientId}}" in template or template in (
            "PractitionerRole/{{userPractitionerRoleId}}",
            "{{context.order}}",
        )
        query = template.partition("?")[2]
        assert {part.split("=")[0] for part in query.split("&") if part} <= {"patient", "code", "_sort", "_count"}


@pytest.mark.parametrize(
    "desk",
    [
        Desk(),
        Desk(reports=()),
        Desk(who=patient(identifiers=())),
        Desk(evaluate=lambda case: (*only_emphysema(case), FAILED)),
    ],
    ids=["advice", "no report", "unmapped", "one failed"],
)
def test_the_schema_accepts_every_kind_of_answer(reference_dir: Path, desk: Desk) -> None:
    answer = {"cards": desk.call()}
    schema(reference_dir, "response").validate(answer)
    assert empty_members(answer) == []
    assert json.loads(json.dumps(answer)) == answer


@pytest.mark.parametrize("name", ["patient-view", "prefetch_error_OperationOutcome"])
def test_the_standards_example_requests_are_answered(reference_dir: Path, name: str) -> None:
    body = json.loads((reference(reference_dir) / "cds-hooks" / "examples" / f"request_{name}.json").read_text())
    desk = Desk(who=patient(id=None, birth_date=None))
    schema(reference_dir, "response").validate(hooks.call("imaging-findings", body, desk.context()))


def test_the_paginated_example_lacks_the_patient(reference_dir: Path) -> None:
    path = reference(reference_dir) / "cds-hooks" / "examples" / "request_prefetch_paginated.json"
    with pytest.raises(PreconditionFailed, match="'patient'"):
        hooks.call("imaging-findings", json.loads(path.read_text()), Desk().context())


def test_another_hook_and_another_service_are_refused() -> None:
    with pytest.raises(NotFound):
        hooks.call("nothing", {}, Desk().context())
    with pytest.raises(InvalidResource, match="hook: want 'patient-view'"):
        hooks.call("imaging-findings", {"hook": "order-sign"}, Desk().context())


# --- the card


def test_the_card_shows_the_study_date_and_leads_to_the_report_without_phi() -> None:
    (card,) = Desk().call()
    assert "2026-11-02" in card["summary"]
    assert card["source"]["url"].startswith("https://")
    assert card["selectionBehavior"] == "any"
    link, *guidelines = card["links"]
    assert guidelines
    assert all(one["type"] == "absolute" and one["url"].startswith("https://") for one in guidelines)
    assert link["url"] == f"https://sightline.example/fhir/DiagnosticReport/{resource_id(study(), 'DiagnosticReport')}"
    for identifying in ("Unmistakable", "4711", STUDY_UID, "1288992"):
        assert identifying not in link["url"] + card["summary"] + card["detail"]


def test_each_recommendation_is_a_whole_draft_that_a_person_signs() -> None:
    (card,) = Desk().call()
    assert [s.get("isRecommended", False) for s in card["suggestions"]] == [True, False, False]
    drafts = [suggestion["actions"][0]["resource"] for suggestion in card["suggestions"]]
    for draft in drafts:
        assert (draft["resourceType"], draft["status"], draft["intent"]) == ("ServiceRequest", "draft", "proposal")
        assert draft["subject"] == {"reference": "Patient/1288992"}
        assert draft["priority"] == "routine"
        assert "A person decides" in draft["note"][0]["text"]
    spirometry, visit, cessation = drafts
    assert spirometry["code"]["coding"] == [{"system": codes.SNOMED, "code": "127783003", "display": "Spirometry"}]
    assert "coding" not in visit["code"], "no public code could be verified: text alone"
    assert visit["occurrencePeriod"] == {"start": "2027-11-02"}
    assert "occurrencePeriod" not in cessation


def test_a_draft_names_the_report_by_the_identifier_that_the_report_carries() -> None:
    (card,) = Desk().call()
    (body,) = [r.body for r in resources(report(), identifier_systems={}, site_name="S") if r.type == REPORT]
    for suggestion in card["suggestions"]:
        (info,) = suggestion["actions"][0]["resource"]["supportingInfo"]
        assert info["type"] == REPORT
        assert [info["identifier"]] == body["identifier"]


def test_link_and_draft_name_the_report_of_the_patient_who_has_the_images_now() -> None:
    now = replace(report(), episode=2)
    (card,) = Desk(reports=(now,)).call()
    (body,) = [r.body for r in resources(now, identifier_systems={}, site_name="S") if r.type == REPORT]
    (stands,) = [r.id for r in resources(now, identifier_systems={}, site_name="S") if r.type == REPORT]
    assert card["links"][0]["url"] == f"https://sightline.example/fhir/{REPORT}/{stands}"
    drafts = [suggestion["actions"][0]["resource"] for suggestion in card["suggestions"]]
    assert {info["identifier"]["value"] for draft in drafts for info in draft["supportingInfo"]} == {
        identifier["value"] for identifier in cast("list[Json]", body["identifier"])
    }


def test_the_drafts_are_valid_r4() -> None:
    from fhir.resources.R4B.servicerequest import ServiceRequest

    (card,) = Desk().call()
    for suggestion in card["suggestions"]:
        ServiceRequest.model_validate(suggestion["actions"][0]["resource"])


@pytest.mark.requirement(80, 119)
def test_ids_are_fresh_in_each_response_and_what_the_card_is_about_stays() -> None:
    desk = Desk()
    first, again = desk.call(), desk.call()
    ids = {c["uuid"] for c in (*first, *again)} | {s["uuid"] for c in (*first, *again) for s in c["suggestions"]}
    assert len(ids) == 8
    assert all(uuid.UUID(i).version == 4 for i in ids)
    (one,), (other,) = (call.shown for call in desk.calls)
    assert (one.uuid, other.uuid) == (first[0]["uuid"], again[0]["uuid"])
    assert one.about == other.about
    assert set(one.suggestions) == {s["uuid"] for s in first[0]["suggestions"]}
    assert sorted(one.suggestions.values()) == sorted(other.suggestions.values())


def test_what_a_card_says_changes_its_digest_and_not_what_it_is_about() -> None:
    desk, other = Desk(), Desk(evaluate=lambda case: tuple(map(_reworded, only_emphysema(case))))
    desk.call(), other.call()
    one, changed = desk.calls[0].shown[0].about, other.calls[0].shown[0].about
    assert one.key == changed.key
    assert one.digest != changed.digest


def _reworded(said: PathwayOutcome) -> PathwayOutcome:
    return replace(said, summary="Something else") if isinstance(said, Advice) else said


@pytest.mark.requirement(100, 136)
def test_the_override_reasons_are_those_of_the_vocabulary(reference_dir: Path) -> None:
    folder = reference(reference_dir) / "cds-hooks" / "vocab"
    system = json.loads((folder / "CodeSystem-non-adherence-reason-codes.json").read_text())

    def concepts(of: list[Json]) -> dict[str, str]:
        found = {c["code"]: c["display"] for c in of}
        for concept in of:
            found |= concepts(concept.get("concept", []))
        return found

    known = concepts(system["concept"])
    public = [reason for reason in parts.FINDING_REASONS if reason.system == system["url"]]
    assert len(public) >= 5
    assert all(known[reason.code] == reason.display for reason in public)
    assert all(reason.display for reason in parts.FINDING_REASONS)


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=400))
@pytest.mark.requirement(83)
def test_no_summary_is_ever_longer_than_139(text: str) -> None:
    summary = parts.summary(text)
    assert len(summary) <= 139
    assert "\n" not in summary


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_a_card_that_could_not_tell_stays_short_and_escapes_its_reason(title: str, reason: str) -> None:
    untold = [CouldNotTell("p", title, reason + "<script>", ("[x](http://evil.example)",))] * 3
    card = cards.could_not_tell(parts.Site("Sightline", "https://sightline.example"), report(), untold)
    assert len(cast("str", card.body["summary"])) <= 139
    assert "<script>" not in cast("str", card.body["detail"])
    assert "](http:/" not in cast("str", card.body["detail"])


def _digest(held: RecordStatements) -> str:
    desk = Desk(held=held)
    desk.call()
    ((shown,),) = [one.shown for one in desk.calls]
    return shown.about.digest


def test_what_a_card_says_is_the_same_wherever_something_was_searched_for_in_vain() -> None:
    facts = (said(SMOKING, DAILY), said(PACK_YEARS, Quantity(38, "{pack-years}")))
    held = _digest(record(*facts))
    assert _digest(record(*facts, searched=(Searched("FHIR", None),))) == held
    young = (Searched("HL7 LAB", date(2026, 11, 18)), Searched("FHIR", date(2026, 11, 19)))
    assert _digest(record(*facts, searched=young)) == held
    assert _digest(record(said(SMOKING, DAILY), said(PACK_YEARS, Quantity(10, "{pack-years}")))) != held
