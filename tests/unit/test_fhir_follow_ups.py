"""Recommendations as Task, and as ServiceRequest once a person accepted; critical findings as Flag."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from adapters.fhir import systems
from adapters.fhir.emission import Emission
from adapters.fhir.flag import flags
from adapters.fhir.observation import observations
from adapters.fhir.report import withdrawn
from adapters.fhir.service_request import service_requests
from adapters.fhir.task import tasks
from cds.codes import SIGHTLINE_ACTION
from cds.domain.coding import Coding
from cds.domain.follow_up import Acceptance, Answer
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, NothingToSay
from cds.domain.report import Audience, Release, Report
from cds.domain.verification import Verdict
from tests.unit import opinions
from tests.unit.fhir_samples import (
    ADVICE,
    DENSITY,
    MATCHED,
    PATIENT_ID,
    REFUSAL,
    STUDY,
    STUDY_UID,
    SYSTEMS,
    UNMATCHED,
    bodies,
    emitted,
    report,
)

AT = datetime(2026, 3, 6, 8, 30, tzinfo=UTC)
STEP = replace(ADVICE.recommendations[0], not_before=date(2026, 4, 1), priority=Priority.URGENT)
ADVISED = replace(ADVICE, recommendations=(STEP,))
CRITICAL = "ct_lung_density.laa-950"
Json = dict[str, Any]


def said(answer: Answer = Answer.ACCEPTED, **more: object) -> Acceptance:
    """What a physician did with the spirometry."""
    given = Acceptance(STUDY_UID, 1, "emphysema", "spirometry", answer, "dr.roe", "physician", AT, "", STEP)
    return replace(given, **more)


def answered(*answers: Acceptance, advice: tuple[Advice | NothingToSay, ...] = (ADVISED,), **more: Any) -> Report:
    """The sample report, which recommends a spirometry, with its answers."""
    return replace(report(advice=advice, **more), acceptances=answers)


def requests(of: Report) -> list[Json]:
    """The ServiceRequests of a report."""
    return bodies(of, "ServiceRequest")


def task(of: Report) -> Json:
    """The one Task of a report."""
    [body] = bodies(of, "Task")
    return body


def flagged(of: Report) -> list[Json]:
    """The Flags of a report whose density is critical."""
    return bodies(replace(of, critical=(CRITICAL,)), "Flag")


# --- ServiceRequest


def test_nothing_is_requested_before_a_person_accepted() -> None:
    assert requests(answered()) == []
    for answer in (Answer.DECLINED, Answer.COMPLETED):
        assert requests(answered(said(answer))) == []


def test_what_a_person_accepted_is_a_draft_proposal_of_theirs() -> None:
    [body] = requests(answered(said(reason="agreed")))
    assert (body["status"], body["intent"], body["priority"]) == ("draft", "proposal", "urgent")
    assert body["code"] == {
        "coding": [{"system": "http://loinc.org", "code": "81459-0", "display": "Spirometry panel"}],
        "text": "Spirometry",
    }
    assert body["subject"] == {"reference": f"Patient/{PATIENT_ID}"}
    assert body["occurrencePeriod"] == {"start": "2026-04-01", "end": "2026-06-04"}
    assert body["authoredOn"] == "2026-03-06T08:30:00Z"
    assert body["requester"] == {
        "type": "Practitioner",
        "identifier": {"system": "urn:sightline:person", "value": "dr.roe"},
        "display": "dr.roe",
    }
    assert body["instantiatesUri"] == [STEP.source.url]
    assert body["reasonCode"] == [{"text": STEP.reason}]
    notes = [note["text"] for note in body["note"]]
    assert notes[0].startswith("A draft on the advice of an AI")
    assert notes[1:] == ["agreed"]
    assert [label["code"] for label in body["meta"]["security"]] == ["AIAST"]


def test_it_rests_on_findings_scores_and_the_report_that_are_emitted_with_it() -> None:
    of = answered(said())
    there = {f"{resource.type}/{resource.id}" for resource in emitted(of)}
    [body] = requests(of)
    named = [one["reference"] for one in (*body["reasonReference"], *body["supportingInfo"]) if "reference" in one]
    assert [name.partition("/")[0] for name in named] == ["Observation", "DiagnosticReport", "RiskAssessment"]
    assert set(named) <= there
    everything = json.dumps([resource.body for resource in emitted(of)])
    focus = task(of)["focus"]["reference"]
    assert focus in there
    assert f'"{focus}"' in everything


def test_a_code_of_our_own_is_told_in_words() -> None:
    own = replace(STEP, code=Coding(SIGHTLINE_ACTION, "spirometry", "Spirometry"))
    [body] = requests(answered(said(about=own)))
    assert body["code"] == {"text": "Spirometry"}


def test_what_was_accepted_stays_what_it_was_whatever_a_newer_report_recommends() -> None:
    newer = replace(STEP, action="Spirometry and DLCO", priority=Priority.STAT)
    [body] = requests(answered(said(), advice=(replace(ADVISED, recommendations=(newer,)),)))
    assert (body["code"]["text"], body["priority"]) == ("Spirometry", "urgent")
    assert body["note"][-1]["text"] == "The newest report recommends otherwise: Spirometry and DLCO."


@pytest.mark.parametrize(
    ("answer", "advice", "status"),
    [
        (said(Answer.COMPLETED, accepted=said()), (ADVISED,), "completed"),
        (said(Answer.COMPLETED, accepted=said()), (), "completed"),
        (said(Answer.DECLINED, accepted=said()), (ADVISED,), "revoked"),
        (said(), (NothingToSay("emphysema", "spirometry was done"),), "revoked"),
    ],
)
def test_a_draft_whose_acceptance_ended_says_so(
    answer: Acceptance, advice: tuple[Advice | NothingToSay, ...], status: str
) -> None:
    [body] = requests(answered(answer, advice=advice))
    assert (body["status"], body["requester"]["display"]) == (status, "dr.roe")
    [before] = requests(answered(said()))
    assert body["id"] == before["id"]


def test_whoever_ends_it_does_not_become_the_one_who_asked() -> None:
    [body] = requests(answered(said(Answer.COMPLETED, by="dr.poe", reason="normal", accepted=said(reason="agreed"))))
    assert body["requester"]["display"] == "dr.roe"
    assert [(note["authorString"], note["text"]) for note in body["note"][1:]] == [
        ("dr.roe", "agreed"),
        ("dr.poe", "normal"),
    ]


def test_what_is_not_recommended_any_more_says_so_where_its_words_are_known() -> None:
    gone = answered(said(), advice=())
    assert requests(gone)[0]["note"][-1]["text"] == "The newest report does not recommend this any more."
    assert task(gone)["businessStatus"] == {"text": "The newest report does not recommend this any more"}
    assert bodies(answered(said(about=None), advice=()), "Task") == []


# --- Task


def test_an_open_follow_up_is_a_requested_task_with_the_day_it_is_due() -> None:
    of = answered()
    body = task(of)
    assert (body["status"], body["intent"], body["priority"]) == ("requested", "proposal", "urgent")
    assert body["for"] == {"reference": f"Patient/{PATIENT_ID}"}
    assert body["restriction"] == {"period": {"start": "2026-04-01", "end": "2026-06-04"}}
    assert body["description"] == "Spirometry"
    assert body["input"][0]["valueCodeableConcept"]["coding"][0]["code"] == "81459-0"
    assert body["reasonReference"]["reference"] in {f"{one.type}/{one.id}" for one in emitted(of)}
    assert [one["code"] for one in body["code"]["coding"]] == ["follow-up"]
    for name in ("focus", "basedOn", "owner", "statusReason", "lastModified", "businessStatus"):
        assert name not in body


def test_an_accepted_one_is_about_the_draft_order() -> None:
    of = answered(said())
    body = task(of)
    [request] = requests(of)
    assert body["status"] == "accepted"
    assert body["focus"]["reference"] == body["basedOn"][0]["reference"] == f"ServiceRequest/{request['id']}"
    assert [one["code"] for one in body["code"]["coding"]] == ["follow-up", "fulfill"]
    assert (body["owner"]["display"], body["lastModified"]) == ("dr.roe", "2026-03-06T08:30:00Z")


@pytest.mark.parametrize(("reason", "told"), [("known", "known"), ("", "Declined (physician)")])
def test_a_declined_one_is_rejected_with_the_reason(reason: str, told: str) -> None:
    body = task(answered(said(Answer.DECLINED, reason=reason)))
    assert (body["status"], body["statusReason"]["text"]) == ("rejected", told)
    assert "owner" not in body
    assert "focus" not in body


def test_a_completed_one_says_when_and_by_whom() -> None:
    body = task(answered(said(Answer.COMPLETED, by="dr.poe", accepted=said())))
    assert (body["status"], body["owner"]["display"]) == ("completed", "dr.poe")
    assert body["executionPeriod"] == {"end": "2026-03-06T08:30:00Z"}
    assert body["focus"]["reference"].startswith("ServiceRequest/")


def test_a_recommendation_without_a_day_has_no_restriction() -> None:
    undated = replace(STEP, not_before=None, by=None)
    assert "restriction" not in task(answered(advice=(replace(ADVISED, recommendations=(undated,)),)))


def test_a_new_version_leaves_tasks_requests_and_flags_as_they_are() -> None:
    one = replace(answered(said()), critical=(CRITICAL,))
    two = replace(one, version=2, replaces=1, issued=datetime(2026, 3, 9, tzinfo=UTC))
    kinds = ("ServiceRequest", "Task", "Flag")
    assert [bodies(one, kind) for kind in kinds] == [bodies(two, kind) for kind in kinds]
    assert all(bodies(one, kind) for kind in kinds)


def test_another_patient_has_ids_of_their_own() -> None:
    one = replace(answered(said()), critical=(CRITICAL,))
    other = replace(one, episode=2)
    for kind in ("ServiceRequest", "Task", "Flag"):
        assert bodies(one, kind)[0]["id"] != bodies(other, kind)[0]["id"]


# --- Flag


def test_a_critical_finding_is_an_active_flag_that_leads_to_its_observation() -> None:
    of = answered()
    [body] = flagged(of)
    [observation] = [one for one in bodies(of, "Observation") if one["code"]["coding"][0]["code"] == "laa-950"]
    assert (body["status"], body["code"]) == ("active", observation["code"])
    assert body["extension"] == [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/flag-detail",
            "valueReference": {"reference": f"Observation/{observation['id']}"},
        }
    ]
    assert body["category"][0]["coding"][0]["code"] == "clinical"
    assert body["period"] == {"start": "2026-03-04"}
    assert body["author"] == observation["device"]
    assert body["subject"] == {"reference": f"Patient/{PATIENT_ID}"}


def test_what_is_not_critical_has_no_flag() -> None:
    assert bodies(answered(), "Flag") == []


def test_a_finding_that_a_radiologist_rejected_is_an_inactive_flag() -> None:
    [body] = flagged(opinions.verified(answered(), Verdict.REJECTED))
    assert body["status"] == "inactive"
    assert body["period"] == {"start": "2026-03-04", "end": "2026-03-06T07:45:00Z"}
    [confirmed] = flagged(opinions.verified(answered(), Verdict.CONFIRMED))
    assert confirmed["status"] == "active"


def test_images_without_a_day_make_a_flag_without_a_period() -> None:
    [body] = flagged(answered(study=replace(STUDY, study_date=None)))
    assert "period" not in body


# --- all of them


def test_of_an_unknown_patient_nothing_is_asked_and_nobody_is_flagged() -> None:
    unknown = replace(answered(said(), match=UNMATCHED), critical=(CRITICAL,))
    assert {resource.type for resource in emitted(unknown)}.isdisjoint({"ServiceRequest", "Task", "Flag"})
    emission = Emission(unknown, systems.systems_by_authority(SYSTEMS), "Sample Hospital")
    assert service_requests(emission) == tasks(emission, ()) == flags(emission, observations(emission)) == ()


def test_what_is_not_released_to_referral_is_in_no_task() -> None:
    closed = Release(frozenset({Audience.RADIOLOGIST, Audience.EHR}))
    assert {one.type for one in emitted(answered(release=closed))}.isdisjoint({"ServiceRequest", "Task"})


def test_a_kill_switch_finds_what_rests_on_a_pathway_or_a_model() -> None:
    of = replace(answered(said()), critical=(CRITICAL,))
    made_by = {resource.type: resource.made_by for resource in emitted(of)}
    assert made_by["Task"] == made_by["ServiceRequest"] == ("pathway:emphysema", "model:ct_lung_density")
    assert made_by["Flag"] == ("model:ct_lung_density",)


def test_a_finding_that_was_not_evaluated_is_no_reason_and_no_flag() -> None:
    of = replace(report(DENSITY, REFUSAL, advice=(ADVISED,), match=MATCHED), acceptances=(said(),))
    [body] = requests(of)
    assert sum("Observation/" in json.dumps(one) for one in body["reasonReference"]) == 1
    assert len(flagged(of)) == 1


def test_each_can_be_taken_back() -> None:
    for kind in ("ServiceRequest", "Task", "Flag"):
        [body] = bodies(replace(answered(said()), critical=(CRITICAL,)), kind)
        assert withdrawn(body, patient_id=PATIENT_ID).body["status"] == "entered-in-error"
