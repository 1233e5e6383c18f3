"""Cards of several studies of one patient, and what neither a role nor an answer may take away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from cds import hooks
from cds.domain.coding import Coding
from cds.domain.follow_up import Acceptance, Answer
from cds.domain.hook import HeldBack
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.domain.story import Withdrawn
from cds.errors import NothingEvaluated
from cds.hook_peers import Fatigue
from tests.unit.clinical import NOW, STUDY_DATE, STUDY_UID, TODAY, report, study
from tests.unit.hook_desk import FAILED, PATIENT, Desk

SOURCE = Source("A guideline", "https://guideline.example")
CT = Recommendation("ct", "CT of the chest", Coding("urn:x", "ct"), "It may grow.", SOURCE)
VISIT = replace(CT, key="visit", action="Visit", code=Coding("urn:x", "visit"))
NODULE = Advice("nodule", "Lung nodule", "A nodule *here*", Indicator.INFO, SOURCE, (CT,), (), ("laa_950",))
OLDER_UID, OLDER_DAY = "1.2.3", date(2019, 3, 4)
OLDER = report(of=replace(study(OLDER_UID, OLDER_DAY), public_id="0b0e9f3c-6d7e-4c58-9a53-3f0c2a1d7e56"))
SPECIALIST = "http://nucc.org/provider-taxonomy|207RP1001X"


def two_studies(newer: Advice, older: Advice) -> Desk:
    """A patient to whose studies one guideline says these."""

    def said(case: Case) -> tuple[PathwayOutcome, ...]:
        return (newer if case.study_date == STUDY_DATE else older,)

    return Desk(reports=(report(), OLDER), evaluate=said)


def saying(*outcomes: PathwayOutcome) -> Callable[[Case], tuple[PathwayOutcome, ...]]:
    return lambda case: outcomes


# --- several studies


def test_what_a_newer_study_asks_for_is_not_asked_for_again_and_its_card_names_the_older_images() -> None:
    desk = two_studies(NODULE, replace(NODULE, summary="An <older> nodule"))
    [card] = desk.call()
    assert card["summary"] == "A nodule *here*"
    assert "**Earlier images that ask for the same**\n\n- 2019-03-04: An &lt;older&gt; nodule" in card["detail"]
    quiet = {note.study_instance_uid: (note.cards, note.quiet) for note in desk.noted}
    assert quiet[OLDER_UID] == (0, ("nodule: a newer study asks for the same",))
    assert quiet[STUDY_UID] == (1, ())


def test_of_three_studies_the_newest_names_both_others() -> None:
    desk = two_studies(NODULE, NODULE)
    oldest = replace(OLDER, study=replace(OLDER.study, study_instance_uid="1.2.4", study_date=date(2018, 1, 1)))
    desk.reports = (oldest, OLDER, report())
    [card] = desk.call()
    assert card["detail"].index("2019-03-04") < card["detail"].index("2018-01-01")


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        (NODULE, replace(NODULE, recommendations=(CT, VISIT))),
        (NODULE, replace(NODULE, recommendations=(replace(CT, priority=Priority.URGENT),))),
        (NODULE, replace(NODULE, recommendations=(replace(CT, by=TODAY),))),
        (
            replace(NODULE, recommendations=(replace(CT, by=TODAY + timedelta(days=1)),)),
            replace(NODULE, recommendations=(replace(CT, by=TODAY),)),
        ),
        (NODULE, replace(NODULE, indicator=Indicator.WARNING)),
        (NODULE, replace(NODULE, indicator=Indicator.CRITICAL)),
        (replace(NODULE, indicator=Indicator.CRITICAL), replace(NODULE, indicator=Indicator.CRITICAL)),
        (NODULE, replace(NODULE, pathway="another")),
        (NODULE, replace(NODULE, recommendations=())),
    ],
    ids=["another step", "sooner", "due", "due before", "louder", "critical", "both critical", "pathway", "no step"],
)
def test_what_the_newer_study_does_not_ask_for_as_urgently_and_as_soon_is_told(newer: Advice, older: Advice) -> None:
    cards = two_studies(newer, older).call()
    assert len(cards) == 2
    assert not any("Earlier images" in card["detail"] for card in cards)


# --- roles


def seen_by_a_specialist(desk: Desk, **listed: frozenset[str]) -> list[dict[str, Any]]:
    """The cards of a user whose role is told of some pathways alone."""
    role = {
        "resourceType": "PractitionerRole",
        "specialty": [{"coding": [dict(zip(("system", "code"), SPECIALIST.split("|"), strict=True))]}],
    }
    body = {
        "hook": "patient-view",
        "hookInstance": "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc",
        "context": {"userId": "PractitionerRole/9", "patientId": "1288992"},
        "prefetch": {"patient": PATIENT, "role": role},
    }
    fatigue = Fatigue(roles={SPECIALIST: listed["told"]})
    found: Any = hooks.call("imaging-findings", body, replace(desk.context(), fatigue=fatigue))["cards"]
    return list(found)


def test_a_step_that_two_guidelines_ask_for_is_not_lost_with_the_one_that_a_role_is_not_told() -> None:
    other = replace(NODULE, pathway="other", title="Other", recommendations=(replace(CT, priority=Priority.STAT),))
    desk = Desk(evaluate=saying(NODULE, other))
    [card] = seen_by_a_specialist(desk, told=frozenset({"nodule"}))
    assert [one["label"] for one in card["suggestions"]] == ["CT of the chest"]
    assert [(one.about.pathway, one.why) for one in desk.calls[-1].suppressed] == [("other", HeldBack.ROLE)]


def test_what_a_role_is_not_told_takes_no_place_of_what_it_is() -> None:
    steps = tuple(replace(CT, key=f"s{n}", code=Coding("urn:x", f"s{n}"), priority=Priority.URGENT) for n in range(6))
    desk = Desk(evaluate=saying(NODULE, replace(NODULE, pathway="loud", recommendations=steps)))
    assert [card["summary"] for card in seen_by_a_specialist(desk, told=frozenset({"nodule"}))] == ["A nodule *here*"]


def test_a_critical_guideline_keeps_its_place_whatever_the_role() -> None:
    desk = Desk(evaluate=saying(NODULE, replace(NODULE, pathway="bleed", indicator=Indicator.CRITICAL)))
    assert [card["indicator"] for card in seen_by_a_specialist(desk, told=frozenset())] == ["critical"]


# --- what a person said is done


def answered(
    how: Answer, *steps: str, said: Advice = NODULE, days_ago: int = 3, about: Recommendation | None = None
) -> Desk:
    """A report to which a person gave answers."""
    at = NOW - timedelta(days=days_ago)
    answers = tuple(
        Acceptance(STUDY_UID, 1, "nodule", step, how, "Dr Roe", "physician", at, about=about) for step in steps
    )
    return Desk(reports=(replace(report(), acceptances=answers),), evaluate=saying(said))


def test_a_step_that_a_person_said_is_done_is_not_offered_again() -> None:
    desk = answered(Answer.COMPLETED, "ct", said=replace(NODULE, recommendations=(CT, VISIT)))
    [card] = desk.call()
    assert [one["label"] for one in card["suggestions"]] == ["Visit"]
    assert "**Done already**\n\n- CT of the chest: as of 2026-11-19" in card["detail"]
    done = answered(Answer.COMPLETED, "ct")
    assert done.call() == []
    [note] = done.noted
    assert note.quiet == ("nodule: all its steps are done or accepted",)


def test_a_step_that_was_accepted_on_a_page_or_by_fhir_is_not_offered_again_for_the_site_s_hours() -> None:
    desk = answered(Answer.ACCEPTED, "ct", said=replace(NODULE, recommendations=(CT, VISIT)), days_ago=2)
    [card] = desk.call()
    assert [one["label"] for one in card["suggestions"]] == ["Visit"]
    assert "**Accepted already, and not offered again**\n\n- CT of the chest: as of 2026-11-20" in card["detail"]
    assert answered(Answer.ACCEPTED, "ct", days_ago=2).call() == []


def test_a_step_that_says_otherwise_than_what_was_accepted_is_offered_again() -> None:
    [card] = answered(Answer.ACCEPTED, "ct", days_ago=2, about=replace(CT, priority=Priority.STAT)).call()
    assert [one["label"] for one in card["suggestions"]] == ["CT of the chest"]


@pytest.mark.parametrize("how", [Answer.ACCEPTED, Answer.DECLINED])
def test_a_step_that_somebody_else_accepted_or_declined_is_for_the_rules_of_answers(how: Answer) -> None:
    [card] = answered(how, "ct").call()
    assert [one["label"] for one in card["suggestions"]] == ["CT of the chest"]


def test_a_critical_card_stays_whole_whatever_is_done() -> None:
    [card] = answered(Answer.COMPLETED, "ct", said=replace(NODULE, indicator=Indicator.CRITICAL)).call()
    assert len(card["suggestions"]) == 1


# --- the order, and what is told beside a failure


def test_a_critical_card_of_an_older_study_stands_before_the_others() -> None:
    desk = two_studies(NODULE, replace(NODULE, pathway="bleed", indicator=Indicator.CRITICAL))
    assert [card["indicator"] for card in desk.call()] == ["critical", "info"]


def test_what_was_taken_back_is_told_even_where_no_guideline_can_be_evaluated() -> None:
    taken_back = Withdrawn("1.2.9", date(2026, 10, 1), NOW)
    desk = Desk(evaluate=saying(FAILED), withdrawn=(taken_back,))
    withdrawn, untold = desk.call()
    assert withdrawn["summary"].startswith("Withdrawn")
    assert untold["summary"] == "Not evaluated (images of 2026-11-02): Lung nodule"
    with pytest.raises(NothingEvaluated):
        Desk(evaluate=saying(FAILED)).call()
