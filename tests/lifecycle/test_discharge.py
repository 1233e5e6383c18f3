"""A patient who leaves: what the EHR is told at discharge as a follow-up is accepted, falls due and is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cds import hooks
from cds.bootstrap.hook_discharge import with_outstanding
from cds.bootstrap.hooks import hook_context
from cds.domain.follow_up import Acceptance, Answer
from cds.hooks import discharge_check
from cds.store.acceptances import AcceptanceStore
from tests.lifecycle import arrivals
from tests.lifecycle.stage import ANNA, BERTA, SYSTEM, Person, Stage, opened

Json = dict[str, Any]
SPOKEN = "Possible intracranial haemorrhage on CT"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test opens."""
    with ExitStack() as one:
        yield one


def leaves(stage: Stage, who: Person = ANNA) -> list[Json]:
    """The cards of a discharge."""
    patient = {
        "resourceType": "Patient",
        "id": "ehr-1",
        "identifier": [{"system": SYSTEM, "value": who.mrn}],
        "birthDate": f"{who.born[:4]}-{who.born[4:6]}-{who.born[6:]}",
    }
    body = {
        "hook": "encounter-discharge",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/1", "patientId": "ehr-1", "encounterId": "visit-1"},
        "prefetch": {"patient": patient},
    }
    context = replace(hook_context(stage.settings, stage.held, stage.clock), evaluate=stage._evaluate)
    wired = with_outstanding(context, stage.held.database)
    cards: list[Json] = hooks.call(discharge_check.ID, body, wired)["cards"]
    return cards


def summaries(stage: Stage, who: Person = ANNA) -> list[str]:
    return [card["summary"] for card in leaves(stage, who)]


def answer(stage: Stage, how: Answer) -> None:
    """A physician says what is to become of the referral."""
    store, uid, now = AcceptanceStore(stage.held.database), stage.study(ANNA).study_instance_uid, stage.clock.at
    store.accept(Acceptance(uid, store.episode(uid), "bleed", "refer", how, "Dr Roe", "physician", now), now)
    stage.settle()


def acknowledge(stage: Stage) -> None:
    """The radiologist has heard of the bleed."""
    [critical] = stage.held.criticals.all(waiting=True)
    stage.held.criticals.acknowledge(critical.id, "Dr Duty", stage.clock.at)


def reported(tmp_path: Path, stack: ExitStack) -> Stage:
    """A bleed of Anna's that primary care was told of."""
    stage = opened(tmp_path, stack)
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    return stage


def test_from_the_order_to_the_follow_up_that_is_done(tmp_path: Path, stack: ExitStack) -> None:
    stage = opened(tmp_path, stack)
    assert leaves(stage) == []
    stage.order(ANNA)
    assert summaries(stage) == ["1 imaging exam has no final result yet: CT Head"]
    stage.scan(ANNA)
    assert len(leaves(stage)) == 1, "the images of an order are no second line"
    stage.settle()
    critical, advised = summaries(stage)
    assert critical.startswith("Critical AI result not acknowledged")
    assert advised == SPOKEN
    acknowledge(stage)
    assert summaries(stage) == [SPOKEN]
    answer(stage, Answer.ACCEPTED)
    [due] = leaves(stage)
    assert due["summary"].startswith("Imaging follow-up not done: Refer to neurosurgery (due 2026-11-")
    assert due["indicator"] == "warning"
    answer(stage, Answer.COMPLETED)
    assert leaves(stage) == []


def test_a_critical_finding_whose_step_was_declined_is_told_with_that_and_without_the_step(
    tmp_path: Path, stack: ExitStack
) -> None:
    stage = reported(tmp_path, stack)
    acknowledge(stage)
    answer(stage, Answer.DECLINED)
    [card] = leaves(stage)
    assert (card["summary"], card["indicator"]) == (SPOKEN, "critical")
    assert "declined, as of" in card["detail"]
    assert "suggestions" not in card


def test_of_a_wrong_patient_the_discharge_tells_that_it_was_taken_back_and_no_finding(
    tmp_path: Path, stack: ExitStack
) -> None:
    stage = reported(tmp_path, stack)
    stage.cards(ANNA)
    arrivals.wrong_patient(stage, ANNA)
    stage.settle()
    told = leaves(stage)
    assert [card["summary"] for card in told] == [
        "Withdrawn: the AI result of images of 2026-11-21 that was shown here does not hold",
        "1 imaging exam has no final result yet: CT Chest of 2026-11-21",
    ]
    assert "it is in doubt whose images these are: a person decides" in told[1]["detail"]
    assert "haemorrhage" not in repr(told)
    assert leaves(stage, BERTA) == []


def test_before_its_release_a_finding_is_not_named_at_discharge(tmp_path: Path, stack: ExitStack) -> None:
    stage = opened(tmp_path, stack, release={})
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    [critical] = leaves(stage)
    assert critical["indicator"] == "critical"
    assert "haemorrhage" not in repr(critical).lower()
    assert "ask the radiologist" in critical["detail"]
