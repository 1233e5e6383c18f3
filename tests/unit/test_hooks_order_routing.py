"""The imaging-order-routing service: what a performer is told, of which order, and what nobody may be told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator

from cds import hooks
from cds.codes import LOINC
from cds.domain.coding import Coding
from cds.domain.critical import Category, CriticalResult, CriticalState
from cds.domain.finding import Presence
from cds.domain.identity import Identifier
from cds.domain.order import OrderStatus, ServiceRequest
from cds.domain.outstanding import Outstanding
from cds.domain.recommendation import Indicator
from cds.domain.report import Audience, Release, Report
from cds.domain.verification import FindingRef, Verdict, Verification
from cds.errors import InvalidResource, NothingEvaluated, PreconditionFailed
from tests.unit.clinical import MRN, NOW, STUDY_UID, TODAY, density, patient, reference, refusal, report, study
from tests.unit.hook_desk import PATIENT
from tests.unit.order_desk import (
    CHEST_CT,
    FAILED,
    HEAD_CT,
    ROUTING,
    Json,
    OrderDesk,
    advice,
    kidneys,
    order,
    saying,
    step,
)

REFERENCE = "ServiceRequest/9"
IMAGING = [{"coding": [{"system": "http://snomed.info/sct", "code": "363679005"}]}]
NIGHT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def dispatched(name: str = "9", exam: tuple[str, str] = CHEST_CT, **members: object) -> Json:
    """A signed order."""
    return order(name, exam, **{"status": "active", **members})


def desk(signed: Json | None = None, **changes: Any) -> OrderDesk:
    """A desk whose client's server has one signed order, and nothing that a check says."""
    stated = signed or dispatched()
    own = {"judge": saying(), "elsewhere": {f"ServiceRequest/{stated['id']}": stated}, "reports": ()}
    return OrderDesk(**{**own, **changes})


def of_region(exam: tuple[str, str], uid: str = STUDY_UID, day: date = TODAY, **changes: Any) -> Report:
    """A report on an exam that was ordered by a code."""
    code, display = exam
    asked = ServiceRequest(None, None, Identifier("A1", "RIS"), MRN, OrderStatus.COMPLETED)
    asked = replace(asked, procedure=Coding(LOINC, code, display))
    return replace(report(of=study(uid, day)), order=asked, **changes)


def critical(finding: str = "ct_lung_density.laa_950", state: CriticalState = CriticalState.OPEN) -> CriticalResult:
    """A critical result that waits."""
    return CriticalResult(
        "c1", "secret", STUDY_UID, "w", finding, "Bleeding", Category.MINUTES, "route", state, NOW, NOW, images_at=NIGHT
    )


# --- the wire


def test_the_schema_accepts_every_answer_to_a_dispatch(reference_dir: Path) -> None:
    path = reference(reference_dir) / "cds-hooks" / "schema" / "response.schema.json"
    schema = Draft202012Validator(json.loads(path.read_text()))
    full = OrderDesk(
        held=kidneys(22), elsewhere={REFERENCE: dispatched()}, open_now=Outstanding(critical=(critical(),))
    )
    for one in (full, desk(), desk(judge=saying(FAILED, advice(step()))), desk(who=patient(identifiers=()))):
        assert one.dispatch(REFERENCE, "ServiceRequest/away")
        schema.validate(one.answered)


def test_the_service_is_discovered_under_order_dispatch_with_the_one_order_of_1_0_and_no_token_for_an_array() -> None:
    (found,) = (one for one in cast("list[Json]", hooks.discovery()["services"]) if one["id"] == ROUTING)
    assert found["hook"] == "order-dispatch"
    assert found["prefetch"]["order"] == "{{context.order}}"
    assert not any("Orders" in template for template in found["prefetch"].values())


def test_the_standards_example_of_a_dispatch_names_an_order_that_cannot_be_read(reference_dir: Path) -> None:
    path = reference(reference_dir) / "cds-hooks" / "examples" / "request_order-dispatch.json"
    (card,) = cast("list[Json]", hooks.call(ROUTING, json.loads(path.read_text()), desk().context())["cards"])
    assert card["summary"] == "1 dispatched order could not be read: nothing was checked"
    assert "ServiceRequest/proc002" in card["detail"]


def test_the_dispatch_of_version_1_0_of_the_crd_fixtures_is_answered(reference_dir: Path) -> None:
    path = reference(reference_dir) / "crd-fixtures" / "order_dispatch_hook_request.json"
    signed = dispatched("example", subject={"reference": "Patient/example"})
    body = json.loads(path.read_text()) | {"prefetch": {"patient": PATIENT | {"id": "example"}}}
    (card,) = cast("list[Json]", hooks.call(ROUTING, body, desk(signed).context())["cards"])
    assert card["summary"].startswith("CT Chest W contrast: ")


# --- which order


def test_an_order_is_fetched_with_the_token_of_the_call() -> None:
    found = desk()
    (card,) = found.dispatch(REFERENCE)
    assert found.fetched == [REFERENCE]
    assert card["summary"] == "CT Chest W contrast: no priority stated"
    assert found.dispatch("https://ehr.example/fhir/ServiceRequest/9/_history/2") != []
    assert found.fetched == [REFERENCE, REFERENCE]


@pytest.mark.parametrize("name", ["fulfillmentTasks", "fulfillment-tasks"])
def test_an_order_that_a_task_contains_is_not_fetched(name: str) -> None:
    found = desk(elsewhere={})
    task = {"resourceType": "Task", "status": "draft", "intent": "order", "contained": [dispatched()]}
    (card,) = found.dispatch(REFERENCE, **{name: [task]})
    assert card["summary"].startswith("CT Chest")
    assert found.fetched == []


def test_version_1_0_names_one_order_and_its_task() -> None:
    found = desk(elsewhere={})
    context = {"order": REFERENCE, "performer": "Organization/1", "task": {"contained": [dispatched()]}}
    (card,) = found.sent(ROUTING, "order-dispatch", context)
    assert card["summary"].startswith("CT Chest")


def test_an_order_that_came_in_the_prefetch_is_not_fetched() -> None:
    found = desk(elsewhere={})
    bundle = {"resourceType": "Bundle", "entry": [{"resource": dispatched()}]}
    for brought in (dispatched(), bundle):
        (card,) = found.dispatch(REFERENCE, prefetch={"patient": PATIENT, "any": brought})
        assert card["summary"].startswith("CT Chest")
    assert found.fetched == []


def test_an_order_that_cannot_be_read_is_told_and_the_server_is_not_waited_for_again() -> None:
    found = desk()
    cards = found.dispatch("ServiceRequest/away", "ServiceRequest/gone")
    assert [one["summary"] for one in cards] == ["2 dispatched orders could not be read: nothing was checked"]
    assert found.fetched == ["ServiceRequest/away"]


def test_another_order_than_was_asked_for_is_none() -> None:
    (card,) = desk(elsewhere={REFERENCE: dispatched("8")}).dispatch(REFERENCE)
    assert "could not be read" in card["summary"]


@pytest.mark.parametrize("orders", [[], [1], [""], "ServiceRequest/9", None])
def test_a_dispatch_that_names_no_order_is_refused(orders: object) -> None:
    context = {"performer": "Organization/1", "dispatchedOrders": orders}
    if isinstance(orders, str):
        assert desk().sent(ROUTING, "order-dispatch", context)
        return
    with pytest.raises(InvalidResource, match=r"context\.dispatchedOrders"):
        desk().sent(ROUTING, "order-dispatch", context)


@pytest.mark.parametrize("status", ["completed", "revoked", "entered-in-error"])
def test_an_order_that_does_not_stand_any_more_gets_no_card(status: str) -> None:
    assert desk(dispatched(status=status)).dispatch(REFERENCE) == []


def test_orders_that_are_not_imaging_get_no_card() -> None:
    found = desk(dispatched(exam=("2160-0", "Creatinine")))
    assert found.dispatch(REFERENCE) == []
    assert found.dispatch("MedicationRequest/1", "DeviceRequest/2") == []


def test_an_order_of_another_patient_is_told_as_that_alone() -> None:
    (card,) = desk(dispatched(subject={"reference": "Patient/2"})).dispatch(REFERENCE)
    assert "another patient" in card["summary"]


def test_a_dispatched_imaging_order_wants_the_patient() -> None:
    with pytest.raises(PreconditionFailed):
        desk().dispatch(REFERENCE, prefetch={})


def test_each_of_two_orders_has_one_card() -> None:
    both = {REFERENCE: dispatched(), "ServiceRequest/h": dispatched("h", HEAD_CT)}
    cards = desk(elsewhere=both).dispatch(*both)
    assert [one["summary"].partition(":")[0] for one in cards] == ["CT Chest W contrast", "CT Head"]


# --- what the performer is told


def test_the_card_says_how_urgent_it_is_and_why() -> None:
    reasons = [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "R07.4", "display": "Chest pain"}]}]
    signed = dispatched(priority="stat", reasonCode=reasons, occurrenceDateTime="2026-11-22")
    (card,) = desk(signed).dispatch(REFERENCE)
    assert card["summary"] == "CT Chest W contrast: priority stat"
    assert "- Priority as ordered: stat\n- Planned for 2026-11-22\n- Reason: Chest pain" in card["detail"]
    (other,) = desk().dispatch(REFERENCE)
    assert "- Priority as ordered: none is stated\n- Reason: none is stated" in other["detail"]


def test_the_checks_of_an_order_judge_a_signed_one_too() -> None:
    (card,) = desk(held=kidneys(22), judge=OrderDesk().judge).dispatch(REFERENCE)
    assert card["indicator"] == "warning"
    assert "1 thing to mind" in card["summary"]
    assert "saline" in card["detail"]
    assert "22 mL/min/1.73 m² (2026-11-19" in card["detail"]
    assert "suggestions" not in card
    assert "overrideReasons" not in card


def test_advice_that_is_no_more_than_good_to_know_does_not_warn() -> None:
    (card,) = desk(judge=saying(advice(step(), indicator=Indicator.INFO))).dispatch(REFERENCE)
    assert card["indicator"] == "info"


def test_a_check_that_broke_is_told_and_all_that_broke_fail_the_call() -> None:
    (card,) = desk(judge=saying(FAILED, advice(step()))).dispatch(REFERENCE)
    assert "1 check failed" in card["summary"]
    assert "it failed" in card["detail"]
    with pytest.raises(NothingEvaluated):
        desk(judge=saying(FAILED)).dispatch(REFERENCE)


def test_what_could_not_be_checked_is_told_once_with_its_reason() -> None:
    (card,) = desk(dispatched(exam=("24627-2", "CT Chest")), judge=OrderDesk().judge).dispatch(REFERENCE)
    (line,) = (one for one in card["detail"].splitlines() if "not known whether contrast medium is given" in one)
    assert "kidneys" in line
    strange = dispatched(exam=("99999-9", "Special exam"), category=IMAGING)
    (card,) = desk(strange, judge=OrderDesk().judge).dispatch(REFERENCE)
    assert "it is not known what is ordered" in card["detail"]


def test_earlier_imaging_of_the_region_is_told_with_what_ai_found_and_no_other() -> None:
    chest, head = of_region(CHEST_CT), of_region(HEAD_CT, f"{STUDY_UID}.7", date(2026, 10, 1))
    (card,) = desk(reports=(head, chest)).dispatch(REFERENCE)
    assert "1 earlier exam" in card["summary"]
    assert "2026-11-22: CT SR CT Chest W contrast\n" in card["detail"]
    assert "18.2 %" in card["detail"]
    assert "unverified" in card["detail"]
    assert "2026-10-01" not in card["detail"]
    assert len(card["links"]) == 1


def test_an_exam_of_a_region_that_nobody_knows_is_told_as_that_after_the_others() -> None:
    unknown = report(of=study(f"{STUDY_UID}.7", TODAY))
    older = of_region(CHEST_CT, day=date(2020, 1, 1))
    (card,) = desk(reports=(unknown, older)).dispatch(REFERENCE)
    assert card["detail"].index("2020-01-01") < card["detail"].index("region not known")


def test_where_sightline_has_no_earlier_exam_the_card_does_not_say_that_there_is_none() -> None:
    (card,) = desk().dispatch(REFERENCE)
    assert "None that Sightline has: there may be others" in card["detail"]


def test_no_more_than_five_earlier_exams_are_told_the_newest_first() -> None:
    all_ = [of_region(CHEST_CT, f"{STUDY_UID}.{n}", TODAY - timedelta(days=n)) for n in range(7)]
    (card,) = desk(reports=tuple(all_[::-1])).dispatch(REFERENCE)
    assert "2026-11-22" in card["detail"]
    assert "2026-11-18" in card["detail"]
    assert "2026-11-17" not in card["detail"]
    assert "and 2 older ones" in card["detail"]


def test_of_a_report_that_is_not_released_no_finding_is_told() -> None:
    unreleased = of_region(CHEST_CT)
    found = desk(reports=(unreleased,), release=lambda _: Release(frozenset({Audience.RADIOLOGIST})))
    (card,) = found.dispatch(REFERENCE)
    assert "an AI result is not released" in card["detail"]
    assert "18.2" not in card["detail"]
    assert "links" not in card


def test_what_a_radiologist_said_of_a_finding_is_told_and_what_was_rejected_is_not_a_finding() -> None:
    def verified(verdict: Verdict) -> str:
        named = FindingRef(STUDY_UID, 1, "ct_lung_density", "0.1.0", "laa_950")
        said = Verification(named, verdict, "Dr. R", "radiologist", NOW)
        (card,) = desk(reports=(of_region(CHEST_CT, verifications=(said,)),)).dispatch(REFERENCE)
        return str(card["detail"])

    assert "confirmed by a radiologist" in verified(Verdict.CONFIRMED)
    assert "18.2" not in verified(Verdict.REJECTED)


def test_a_study_without_a_finding_is_no_negative() -> None:
    (card,) = desk(reports=(of_region(CHEST_CT, outcomes=(refusal(),)),)).dispatch(REFERENCE)
    assert "which is no negative result" in card["detail"]


def test_what_was_not_detected_is_told_as_no_finding() -> None:
    seen = density()
    absent = replace(seen, findings=(replace(seen.findings[0], presence=Presence.NOT_DETECTED),))
    (card,) = desk(reports=(of_region(CHEST_CT, outcomes=(absent,)),)).dispatch(REFERENCE)
    assert "18.2" not in card["detail"]
    assert "which is no negative result" in card["detail"]


def test_a_critical_result_that_waits_warns_and_is_named_where_it_is_released() -> None:
    waits = Outstanding(critical=(critical(),))
    (card,) = desk(reports=(of_region(HEAD_CT, outcomes=(density(),)),), open_now=waits).dispatch(REFERENCE)
    assert card["indicator"] == "warning"
    assert "1 unacknowledged critical result" in card["summary"]
    assert "Bleeding (ACR category 1, images of 2026-11-22)" in card["detail"]


@pytest.mark.parametrize("released", [frozenset(), frozenset({Audience.RADIOLOGIST})])
def test_a_critical_result_that_is_not_released_is_told_without_its_name(released: frozenset[Audience]) -> None:
    waits = Outstanding(critical=(critical(),))
    reports = (of_region(CHEST_CT),)
    (card,) = desk(reports=reports, open_now=waits, release=lambda _: Release(released)).dispatch(REFERENCE)
    assert "a finding that is with the radiologist (ACR category 1" in card["detail"]
    assert "Bleeding" not in card["detail"]


def test_a_critical_result_that_was_acknowledged_is_not_open() -> None:
    done = Outstanding(critical=(critical(state=CriticalState.ACKNOWLEDGED),))
    (card,) = desk(open_now=done).dispatch(REFERENCE)
    assert card["indicator"] == "info"
    assert "critical" not in card["summary"].lower()


@pytest.mark.parametrize("who", [patient(identifiers=()), patient(birth_date=TODAY)], ids=["unmapped", "contradiction"])
def test_where_it_is_in_doubt_who_the_patient_is_nothing_that_is_stored_is_told(who: object) -> None:
    waits = Outstanding(critical=(critical(),))
    found = desk(reports=(of_region(CHEST_CT),), open_now=waits, who=who)
    (card,) = found.dispatch(REFERENCE)
    assert card["summary"].endswith("earlier imaging not looked up")
    assert "18.2" not in card["detail"]
    assert "Bleeding" not in card["detail"]
    assert "None that Sightline has" not in card["detail"]
    assert "without Sightline's own record" in card["detail"]


def test_who_was_told_of_a_result_is_noted_at_its_study_and_who_was_told_of_none_is_not() -> None:
    elsewhere = replace(critical(), study_instance_uid="1.2.3")
    head = of_region(HEAD_CT, f"{STUDY_UID}.7")
    found = desk(reports=(of_region(CHEST_CT), head), open_now=Outstanding(critical=(elsewhere,)))
    found.dispatch(REFERENCE)
    told = {(one.study_instance_uid, one.patient_id, one.cards) for one in found.noted}
    assert told == {(STUDY_UID, "patient-1", 1), ("1.2.3", "patient-1", 1)}
    unreleased = desk(reports=(of_region(CHEST_CT),), release=lambda _: Release(frozenset()))
    unreleased.dispatch(REFERENCE)
    assert unreleased.noted == ()


def test_the_card_of_an_order_is_never_held_back() -> None:
    found = desk(judge=saying(advice(step())))
    found.dispatch(REFERENCE)
    (shown,) = found.calls[-1].shown
    assert shown.about.pathway == ""
    assert shown.suggestions == {}
