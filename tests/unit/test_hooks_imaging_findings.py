"""The imaging-findings service: dict in, dict out, against the schemas of CDS Hooks 2.0 and the rules of SAFETY."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cds import codes, hooks
from cds.domain.coding import Quantity
from cds.domain.ids import resource_id
from cds.domain.message import RecordStatements
from cds.domain.recommendation import Case, CouldNotTell, NothingToSay, PathwayOutcome
from cds.domain.report import Audience, Release, Report
from cds.errors import InvalidResource, NotFound, PreconditionFailed
from cds.hooks import CardsShown, HookContext, cards
from cds.pathways import evaluate
from tests.unit.clinical import (
    DAILY,
    MRN,
    PACK_YEARS,
    SMOKING,
    STUDY_UID,
    Records,
    Reports,
    StillClock,
    density,
    patient,
    record,
    reference,
    refusal,
    report,
    said,
    study,
)

Json = dict[str, Any]
HELD = record(said(SMOKING, DAILY), said(PACK_YEARS, Quantity(38, "{pack-years}")))
PATIENT: Json = {"resourceType": "Patient", "id": "1288992", "birthDate": "1963-05-01"}


def only_emphysema(case: Case) -> tuple[PathwayOutcome, ...]:
    """The installed pathway, enabled."""
    return evaluate(case, {"emphysema"})


@dataclass
class Desk:
    """A hook context over handmade ports, and what it was told to remember."""

    reports: tuple[Report, ...] = field(default_factory=lambda: (report(),))
    held: RecordStatements = HELD
    prefetched: RecordStatements = field(default_factory=RecordStatements)
    who: Any = field(default_factory=lambda: patient(id=None))
    evaluate: Callable[[Case], tuple[PathwayOutcome, ...]] = only_emphysema
    advisory: bool = True
    shown: list[CardsShown] = field(default_factory=list)

    def context(self) -> HookContext:
        """What the service is given."""
        return HookContext(
            reports=Reports({MRN: self.reports}),
            record=Records(self.held),
            read_patient=lambda _: self.who,
            read_statements=lambda _: self.prefetched,
            evaluate=self.evaluate,
            model_is_advisory=lambda _: self.advisory,
            clock=StillClock(),
            public_url="https://sightline.example",
            site_options={"emphysema.laa_950_percent": "10"},
            site_name="Sightline",
            on_shown=self.shown.append,
        )

    def call(self, prefetch: Mapping[str, object] | None = None) -> list[Json]:
        """The cards of one call."""
        body = {
            "hook": "patient-view",
            "hookInstance": "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc",
            "context": {"userId": "Practitioner/123", "patientId": "1288992"},
            "prefetch": {"patient": PATIENT} if prefetch is None else prefetch,
        }
        answer = hooks.call("imaging-findings", body, self.context())
        return cast("list[Json]", answer["cards"])


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
    (service,) = cast("list[Json]", document["services"])
    assert (service["hook"], service["id"]) == ("patient-view", "imaging-findings")
    assert service["prefetch"]["patient"] == "Patient/{{context.patientId}}"
    assert empty_members(document) == []


def test_prefetch_templates_keep_to_the_query_subset() -> None:
    (service,) = cast("list[Json]", hooks.discovery()["services"])
    for template in service["prefetch"].values():
        assert template.count("{{") == template.count("{{context.patientId}}") == 1
        query = template.partition("?")[2]
        assert {part.split("=")[0] for part in query.split("&") if part} <= {"patient", "code", "_sort", "_count"}


@pytest.mark.parametrize(
    "desk",
    [
        Desk(),
        Desk(reports=()),
        Desk(who=patient(identifiers=())),
        Desk(evaluate=lambda case: evaluate(replace(case, site={}), {"emphysema"})),
    ],
    ids=["advice", "no report", "unmapped", "could not tell"],
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
    (link,) = card["links"]
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
        reported = draft["supportingInfo"][0]["identifier"]["value"]
        assert reported == f"urn:uuid:{resource_id(study(), 'DiagnosticReport')}"
        assert "A person decides" in draft["note"][0]["text"]
    spirometry, visit, cessation = drafts
    assert spirometry["code"]["coding"] == [{"system": codes.SNOMED, "code": "127783003", "display": "Spirometry"}]
    assert "coding" not in visit["code"], "no public code could be verified: text alone"
    assert visit["occurrencePeriod"] == {"start": "2027-11-02"}
    assert "occurrencePeriod" not in cessation


def test_the_drafts_are_valid_r4() -> None:
    from fhir.resources.R4B.servicerequest import ServiceRequest

    (card,) = Desk().call()
    for suggestion in card["suggestions"]:
        ServiceRequest.model_validate(suggestion["actions"][0]["resource"])


def test_ids_stay_the_same_over_calls_and_change_with_the_version() -> None:
    first, again = Desk().call(), Desk().call()
    assert first == again
    newer = Desk(reports=(replace(report(), version=2),)).call()
    ids = {c["uuid"] for c in (*first, *newer)} | {s["uuid"] for c in (*first, *newer) for s in c["suggestions"]}
    assert len(ids) == 8
    assert all(uuid.UUID(i) for i in ids)


def test_the_override_reasons_are_those_of_the_vocabulary(reference_dir: Path) -> None:
    folder = reference(reference_dir) / "cds-hooks" / "vocab"
    system = json.loads((folder / "CodeSystem-non-adherence-reason-codes.json").read_text())

    def concepts(of: list[Json]) -> dict[str, str]:
        found = {c["code"]: c["display"] for c in of}
        for concept in of:
            found |= concepts(concept.get("concept", []))
        return found

    known = concepts(system["concept"])
    public = [reason for reason in cards.OVERRIDE_REASONS if reason.system == system["url"]]
    assert len(public) >= 5
    assert all(known[reason.code] == reason.display for reason in public)
    assert all(reason.display for reason in cards.OVERRIDE_REASONS)


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=400))
def test_no_summary_is_ever_longer_than_139(text: str) -> None:
    summary = cards.summary(text)
    assert len(summary) <= 139
    assert "\n" not in summary


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_a_card_that_could_not_tell_stays_short_and_escapes_its_reason(title: str, reason: str) -> None:
    untold = [CouldNotTell("p", title, reason + "<script>", ("[x](http://evil.example)",))] * 3
    card = cards.could_not_tell(cards.Site("Sightline", "https://sightline.example"), report(), untold)
    assert len(cast("str", card["summary"])) <= 139
    assert "<script>" not in cast("str", card["detail"])
    assert "](http:/" not in cast("str", card["detail"])


# --- who is asked about


def test_a_patient_who_cannot_be_mapped_gets_a_card_that_says_so() -> None:
    desk = Desk(who=patient(identifiers=()))
    (card,) = desk.call()
    assert "cannot match this patient" in card["summary"]
    assert "does not mean that there is none" in card["detail"]
    assert "suggestions" not in card
    assert desk.shown[0].study_instance_uid is None


def test_a_mapped_patient_without_a_report_gets_no_card() -> None:
    desk = Desk(reports=())
    assert desk.call() == []
    assert desk.shown == [CardsShown("imaging-findings", None, 0, ("there is no report for this patient",))]
    stranger = Desk(who=patient(identifiers=(replace(MRN, value="4712"),)))
    assert stranger.call() == []
    assert stranger.shown[0].suppressed == ("no wire has ever named this patient",)


def test_identifiers_of_two_patients_show_no_result() -> None:
    other = report(of=study("1.2.3.4"), who=patient(id="patient-2"))
    (card,) = Desk(reports=(report(), other)).call()
    assert "more than one patient" in card["detail"]
    assert "emphysema" not in json.dumps(card).lower()


def test_a_contradicting_birth_date_shows_no_result() -> None:
    (card,) = Desk(who=patient(id=None, birth_date=date(1970, 1, 1))).call()
    assert "birth date contradicts" in card["detail"]
    assert "1970" not in json.dumps(card)


def test_two_identifiers_of_one_patient_give_each_study_once() -> None:
    desk = Desk(who=patient(id=None, identifiers=(MRN, MRN)))
    assert len(desk.call()) == 1


# --- what may be shown


def test_a_report_that_is_not_released_to_referral_makes_no_card_and_tells_the_timeline_why() -> None:
    withheld = Release(frozenset({Audience.RADIOLOGIST}), ("referral: waits for a radiologist's verification",))
    desk = Desk(reports=(report(withheld),))
    assert desk.call() == []
    assert desk.shown == [CardsShown("imaging-findings", STUDY_UID, 0, withheld.withheld)]


def test_a_model_that_was_switched_off_since_makes_no_card() -> None:
    desk = Desk(advisory=False)
    assert desk.call() == []
    assert desk.shown[0].suppressed == ("no model of this report is in advisory mode now",)


def test_a_study_that_no_model_could_evaluate_makes_no_card() -> None:
    desk = Desk(reports=(report(outcomes=(refusal(),)),))
    assert desk.call() == []
    assert desk.shown[0].suppressed == ("no model could evaluate this study",)


def test_a_negative_makes_no_card() -> None:
    desk = Desk(reports=(report(outcomes=(density(2.0),)),))
    assert desk.call() == []
    assert "does not exclude" in desk.shown[0].suppressed[0]


def test_what_could_not_be_evaluated_is_one_card_beside_the_advice() -> None:
    def some(case: Case) -> tuple[PathwayOutcome, ...]:
        untold = CouldNotTell("nodule", "Lung nodule", "it failed; this was reported to the administrator")
        return (*only_emphysema(case), untold, untold, NothingToSay("bone", "does not apply"))

    desk = Desk(evaluate=some)
    advice, untold = desk.call()
    assert "suggestions" in advice
    assert untold["summary"].startswith("Not evaluated (images of 2026-11-02): Lung nodule")
    assert "not a negative result" in untold["detail"]
    assert desk.shown[0].suppressed == ("bone: does not apply",)
    assert desk.shown[0].cards == 2


def test_images_without_a_study_date_are_not_evaluated() -> None:
    (card,) = Desk(reports=(report(of=study(study_date=None)),)).call()
    assert "the images carry no study date" in card["detail"]


# --- the record


def test_the_stored_record_and_the_prefetch_are_one_record() -> None:
    desk = Desk(held=record(said(SMOKING, DAILY)), prefetched=record(said(PACK_YEARS, Quantity(38, "{pack-years}"))))
    without = desk.call()
    with_prefetch = desk.call({"patient": PATIENT, "packYears": {"resourceType": "Bundle", "type": "searchset"}})
    labels = [[s["label"].split(";")[0] for s in cards[0]["suggestions"]] for cards in (without, with_prefetch)]
    assert "Lung cancer screening visit" not in labels[0]
    assert "Lung cancer screening visit" in labels[1]


def test_a_failed_search_of_the_client_is_not_taken_for_absence() -> None:
    desk = Desk(held=record(said(SMOKING, DAILY), searched=()))
    failed = {"patient": PATIENT, "spirometry": {"resourceType": "OperationOutcome"}}
    (card,) = desk.call(failed)
    assert "no source was asked for spirometry" in card["detail"]
    empty = {"patient": PATIENT, "spirometry": {"resourceType": "Bundle", "type": "searchset"}}
    (card,) = desk.call(empty)
    assert "no spirometry found in FHIR spirometry observations" in card["detail"]


def test_deceased_on_either_side_is_deceased() -> None:
    assert Desk(who=patient(id=None, deceased=True)).call() == []
    assert Desk(reports=(report(who=patient(deceased=True)),), who=patient(id=None, deceased=False)).call() == []


def test_demographics_that_the_client_lacks_come_from_the_store() -> None:
    (card,) = Desk(who=patient(id=None, birth_date=None)).call()
    assert "age: 63 years" in card["detail"]
