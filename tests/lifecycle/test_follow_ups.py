"""What a person did with a recommendation, as the EHR's FHIR server has it: drafts of orders, Tasks, and their end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cds.domain.follow_up import Acceptance, Answer, FollowUp
from cds.domain.verification import Verdict
from cds.errors import Conflict
from cds.store.acceptances import AcceptanceStore
from cds.store.holds import open_holds
from cds.store.why import why
from tests.lifecycle import arrivals
from tests.lifecycle.stage import ANNA, BERTA, Person, Stage, opened

Json = dict[str, Any]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What a test opened is closed."""
    with ExitStack() as opened_by_test:
        yield opened_by_test


def reported(tmp_path: Path, stack: ExitStack, **changes: Any) -> Stage:
    """A bleed of Anna's that primary care was told of."""
    stage = opened(tmp_path, stack, **changes)
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    return stage


def answer(stage: Stage, how: Answer, who: Person = ANNA, by: str = "Dr Roe", reason: str = "") -> bool:
    """A physician says what is to become of the referral."""
    store = AcceptanceStore(stage.held.database)
    uid, now = stage.study(who).study_instance_uid, stage.clock.at
    said = Acceptance(uid, store.episode(uid), "bleed", "refer", how, by, "physician", now, reason)
    done = store.accept(said, now)
    stage.settle()
    return done


def cancel(stage: Stage) -> None:
    """The order of the images is cancelled, a minute later."""
    stage.clock.move(minutes=1)
    stage.order(ANNA, "CA")


def statuses(stage: Stage, kind: str) -> list[str]:
    """The status of every resource of a type at the EHR, in the order in which they came."""
    return [body["status"] for body in stage.fhir.of_type(kind)]


def subject(resource: Json) -> str:
    """The patient's number in it."""
    return str((resource.get("subject") or resource["for"])["identifier"]["value"])


def waiting(stage: Stage) -> list[FollowUp]:
    """What somebody still has to do."""
    return list(AcceptanceStore(stage.held.database).follow_ups())


def test_a_referral_is_drafted_once_a_person_accepted_it_and_not_before(tmp_path: Path, stack: ExitStack) -> None:
    stage = reported(tmp_path, stack)
    assert stage.fhir.of_type("ServiceRequest") == []
    assert statuses(stage, "Task") == ["requested"]
    assert answer(stage, Answer.ACCEPTED)
    [request] = stage.fhir.of_type("ServiceRequest")
    assert (request["status"], request["intent"], request["priority"]) == ("draft", "proposal", "stat")
    assert request["code"] == {"text": "Refer to neurosurgery"}
    assert (request["requester"]["display"], subject(request)) == ("Dr Roe", "A")
    [task] = stage.fhir.of_type("Task")
    assert task["status"] == "accepted"
    assert task["focus"]["reference"] == f"ServiceRequest/{request['id']}"
    assert not answer(stage, Answer.ACCEPTED), "the same word again changes nothing"
    assert stage.held.studies.study(stage.study(ANNA).study_instance_uid).match_revision == 2


def test_what_was_declined_is_a_rejected_task_with_the_reason_and_no_order(tmp_path: Path, stack: ExitStack) -> None:
    stage = reported(tmp_path, stack)
    answer(stage, Answer.DECLINED, reason="known for years")
    [task] = stage.fhir.of_type("Task")
    assert (task["status"], task["statusReason"]["text"]) == ("rejected", "known for years")
    assert stage.fhir.of_type("ServiceRequest") == []


def test_whoever_accepted_may_decline_after_all_and_the_draft_is_revoked(tmp_path: Path, stack: ExitStack) -> None:
    stage = reported(tmp_path, stack)
    answer(stage, Answer.ACCEPTED)
    answer(stage, Answer.DECLINED)
    assert (statuses(stage, "ServiceRequest"), statuses(stage, "Task")) == (["revoked"], ["rejected"])
    answer(stage, Answer.ACCEPTED)
    assert (statuses(stage, "ServiceRequest"), statuses(stage, "Task")) == (["draft"], ["accepted"])


def test_what_is_done_is_completed_and_nobody_is_waited_for(tmp_path: Path, stack: ExitStack) -> None:
    stage = reported(tmp_path, stack)
    answer(stage, Answer.ACCEPTED)
    assert [one.by for one in waiting(stage)] == ["Dr Roe"]
    answer(stage, Answer.COMPLETED, by="Dr Poe")
    assert (statuses(stage, "ServiceRequest"), statuses(stage, "Task")) == (["completed"], ["completed"])
    assert stage.fhir.of_type("ServiceRequest")[0]["requester"]["display"] == "Dr Roe", "who accepted it asked for it"
    assert waiting(stage) == []


def test_of_a_wrong_patient_everything_is_entered_in_error(tmp_path: Path, stack: ExitStack) -> None:
    stage = reported(tmp_path, stack)
    answer(stage, Answer.ACCEPTED)
    arrivals.wrong_patient(stage, ANNA)
    with pytest.raises(Conflict, match="in doubt"):
        answer(stage, Answer.DECLINED)
    stage.settle()
    for kind in ("ServiceRequest", "Task", "Flag", "DiagnosticReport", "Observation"):
        assert statuses(stage, kind) == ["entered-in-error"], kind
    [told] = why(stage.held.database, ANNA.accession).studies
    assert [one.state for one in told.follow_ups] == ["closed"]
    assert waiting(stage) == []


def test_of_a_wrong_patient_what_was_done_is_taken_back_too(tmp_path: Path, stack: ExitStack) -> None:
    stage = reported(tmp_path, stack)
    answer(stage, Answer.ACCEPTED)
    answer(stage, Answer.COMPLETED)
    arrivals.wrong_patient(stage, ANNA)
    stage.settle()
    assert (statuses(stage, "ServiceRequest"), statuses(stage, "Task")) == (["entered-in-error"], ["entered-in-error"])


def test_after_a_doubt_about_the_patient_the_recommendation_is_answered_anew(tmp_path: Path, stack: ExitStack) -> None:
    stage = reported(tmp_path, stack)
    answer(stage, Answer.ACCEPTED)
    arrivals.wrong_patient(stage, ANNA)
    stage.settle()
    [hold] = open_holds(stage.held.database)
    arrivals.resolve(stage, hold, "attach", to=ANNA.accession)
    stage.settle()
    assert sorted(statuses(stage, "Task")) == ["entered-in-error", "requested"]
    assert statuses(stage, "ServiceRequest") == ["entered-in-error"]


def test_a_merge_takes_an_accepted_recommendation_along_and_its_undo_brings_it_back(
    tmp_path: Path, stack: ExitStack
) -> None:
    stage = reported(tmp_path, stack)
    answer(stage, Answer.ACCEPTED)
    stage.hl7("ADT^A40^ADT_A39", BERTA, "EVN|A40", "MRG|A^^^HOSPITAL^MR")
    stage.settle()
    standing = {subject(one): one["status"] for one in stage.fhir.of_type("ServiceRequest")}
    assert standing == {"A": "entered-in-error", "B": "draft"}
    assert [(one.state.value, one.by) for one in waiting(stage)] == [("accepted", "Dr Roe")]
    arrivals.undo_last_identity_change(stage)
    stage.settle()
    drafts = [subject(one) for one in stage.fhir.of_type("ServiceRequest") if one["status"] == "draft"]
    assert drafts == ["A"]
    assert [one.state.value for one in waiting(stage)] == ["accepted"]


def test_what_was_accepted_for_the_survivor_is_not_accepted_once_the_merge_was_wrong(
    tmp_path: Path, stack: ExitStack
) -> None:
    stage = reported(tmp_path, stack)
    stage.hl7("ADT^A40^ADT_A39", BERTA, "EVN|A40", "MRG|A^^^HOSPITAL^MR")
    stage.settle()
    answer(stage, Answer.ACCEPTED)
    arrivals.undo_last_identity_change(stage)
    stage.settle()
    assert [one.state.value for one in waiting(stage)] == ["open"]
    assert statuses(stage, "ServiceRequest") == ["entered-in-error"]


def test_an_accepted_recommendation_that_does_not_hold_any_more_stays_and_says_so(
    tmp_path: Path, stack: ExitStack
) -> None:
    stage = reported(tmp_path, stack)
    answer(stage, Answer.ACCEPTED)
    arrivals.verify(stage, ANNA, Verdict.REJECTED)
    stage.settle()
    [left] = waiting(stage)
    assert (left.state.value, left.by) == ("accepted", "Dr Roe")
    assert left.reason.startswith("version 3: ")
    assert statuses(stage, "ServiceRequest") == ["entered-in-error"], "a radiologist rejected what it rests on"
    arrivals.verify(stage, ANNA, Verdict.CONFIRMED)
    stage.settle()
    assert [one.reason for one in waiting(stage)] == [""]
    assert (statuses(stage, "ServiceRequest"), statuses(stage, "Task")) == (["draft"], ["accepted"])


def test_a_cancelled_order_leaves_what_was_told_and_what_was_accepted(tmp_path: Path, stack: ExitStack) -> None:
    stage = reported(tmp_path, stack)
    answer(stage, Answer.ACCEPTED)
    cancel(stage)
    stage.settle()
    assert (statuses(stage, "ServiceRequest"), statuses(stage, "Task")) == (["draft"], ["accepted"])
    assert [one.state.value for one in waiting(stage)] == ["accepted"]


def test_after_a_cancelled_order_of_the_wrong_patient_nothing_stands(tmp_path: Path, stack: ExitStack) -> None:
    stage = reported(tmp_path, stack)
    answer(stage, Answer.ACCEPTED)
    cancel(stage)
    stage.settle()
    arrivals.wrong_patient(stage, ANNA)
    stage.settle()
    for kind in ("ServiceRequest", "Task", "Flag", "DiagnosticReport", "Observation"):
        assert statuses(stage, kind) == ["entered-in-error"], kind


def test_after_a_cancelled_order_what_referral_never_saw_is_delivered_without_it(
    tmp_path: Path, stack: ExitStack
) -> None:
    stage = reported(tmp_path, stack, release={"ehr": "immediate", "referral": "verified"})
    cancel(stage)
    stage.settle()
    assert statuses(stage, "DiagnosticReport") == ["preliminary"]
    assert stage.fhir.of_type("Task") == []
    assert waiting(stage) == []


def test_a_critical_finding_is_a_flag_that_a_new_version_leaves_as_it_is(tmp_path: Path, stack: ExitStack) -> None:
    stage = reported(tmp_path, stack)
    [flag] = stage.fhir.of_type("Flag")
    assert (flag["status"], subject(flag)) == ("active", "A")
    answer(stage, Answer.ACCEPTED)
    [again] = stage.fhir.of_type("Flag")
    assert {**again, "meta": None} == {**flag, "meta": None}


def test_what_is_due_and_not_done_is_overdue_the_next_day(tmp_path: Path, stack: ExitStack) -> None:
    stage = reported(tmp_path, stack)
    store = AcceptanceStore(stage.held.database)
    [due] = [one.due for one in waiting(stage)]
    assert due is not None
    assert store.follow_ups(overdue_on=due) == ()
    assert len(store.follow_ups(overdue_on=date.fromordinal(due.toordinal() + 1))) == 1
