"""The discharge check: what is not arranged when a patient leaves, over handmade ports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from cds import hooks
from cds.bootstrap.ehr import asked_by
from cds.bootstrap.hook_discharge import with_outstanding
from cds.domain.coding import Coding
from cds.domain.critical import Category, CriticalResult, CriticalState
from cds.domain.follow_up import Acceptance, Answer, FollowUp, FollowUpState
from cds.domain.hook import HookCall
from cds.domain.message import RecordStatements
from cds.domain.outstanding import Outstanding, PendingStudy
from cds.domain.recommendation import Advice, CouldNotTell, Indicator, NothingToSay, Recommendation, Source
from cds.domain.report import Mode, Release, Report
from cds.domain.story import Withdrawn
from cds.errors import NothingEvaluated, Unavailable
from cds.hooks import HookContext, discharge_check
from cds.searches import searches
from cds.settings import Settings
from tests.databases import fresh
from tests.unit.clinical import NOW, STUDY_UID, TODAY, patient, report, study
from tests.unit.hook_desk import FAILED, PATIENT, Desk
from tests.unit.test_hooks_imaging_findings import empty_members, schema

Json = dict[str, Any]
SOURCE = Source("A guideline", "https://guideline.example")
STEP = Recommendation("refer", "Refer to the clinic", Coding("urn:x", "refer", "Refer"), "because", SOURCE, by=TODAY)
CALL = replace(STEP, key="call", action="Call the patient", code=Coding("urn:x", "call", "Call"))
WARD = replace(STEP, action="Keep on the ward", code=Coding("urn:x", "ward", "Ward"))
NODULE = Advice(
    "nodule", "Lung nodule", "A nodule was found", Indicator.WARNING, SOURCE, (STEP, CALL), (), ("laa_950",)
)
BLEED = replace(
    NODULE, pathway="bleed", title="Bleed", summary="Blood", indicator=Indicator.CRITICAL, recommendations=(WARD,)
)
SILENT = NothingToSay("nodule", "the clinic visit is in the record")
NEVER = Release(frozenset(), ("referral: the release matrix never lets it go there",))
RESULT = CriticalResult(
    "c1", "a-secret", STUDY_UID, "work-1", "ct_lung_density.laa_950", "Tension pneumothorax", Category.MINUTES,
    "duty", CriticalState.ESCALATED, NOW, NOW,
)  # fmt: skip


def follow_up(state: FollowUpState = FollowUpState.OPEN, due: date | None = TODAY, **changes: Any) -> FollowUp:
    """What became of the step of the nodule's guideline."""
    one = FollowUp("f1", STUDY_UID, "nodule", "refer", "Refer to the clinic", due, state, "", NOW, NOW)
    return replace(one, **changes)


def reported(*advices: Advice, answers: tuple[Acceptance, ...] = ()) -> Report:
    """A report whose follow-ups were made of these."""
    drawn = report()
    return replace(drawn, decision=replace(drawn.decision, outcomes=advices or (NODULE,)), acceptances=answers)


@dataclass
class Discharge:
    """One patient who leaves, and what the hook was told to remember."""

    open: Outstanding = field(default_factory=Outstanding)
    desk: Desk = field(default_factory=lambda: Desk(reports=(reported(),), evaluate=lambda _: (SILENT,)))
    change: Callable[[HookContext], HookContext] = lambda context: context

    def cards(self) -> list[Json]:
        """The cards of the call."""
        context = self.change(replace(self.desk.context(), outstanding=self._outstanding))
        body = {
            "hook": "encounter-discharge",
            "hookInstance": "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc",
            "context": {"userId": "Practitioner/123", "patientId": "1288992", "encounterId": "89284"},
            "prefetch": {"patient": PATIENT},
        }
        return cast("list[Json]", hooks.call(discharge_check.ID, body, context)["cards"])

    def only(self) -> Json:
        """The one card."""
        [card] = self.cards()
        return card

    @property
    def call(self) -> HookCall:
        """What is remembered of the last call."""
        return self.desk.calls[-1]

    def _outstanding(self, patient_id: str) -> Outstanding:
        return self.open if patient_id == "patient-1" else Outstanding()


def leaving(*advices: Any, **open_now: Any) -> Discharge:
    """A patient about whom guidelines say this now, and for whom this is open."""
    desk = Desk(reports=(reported(),), evaluate=lambda _: advices or (SILENT,))
    return Discharge(Outstanding(**open_now), desk)


def summaries(discharge: Discharge) -> list[str]:
    return [card["summary"] for card in discharge.cards()]


# --- what is told, and what is arranged


def test_where_nothing_is_open_there_is_no_card() -> None:
    assert leaving().cards() == []


def test_what_guidelines_say_is_told_with_the_same_key_as_when_the_patient_is_viewed() -> None:
    there = leaving(NODULE)
    card = there.only()
    assert (card["summary"], card["indicator"]) == ("A nodule was found", "warning")
    [said] = there.call.shown
    there.desk.call()
    [viewed] = there.call.shown
    assert (said.about.key, said.about.digest) == (viewed.about.key, viewed.about.digest)


def test_the_most_urgent_comes_first() -> None:
    assert summaries(leaving(replace(NODULE, indicator=Indicator.INFO), replace(BLEED, pathway="z"))) == [
        "Blood",
        "A nodule was found",
    ]


def test_what_tells_of_a_failure_comes_after_all_advice_of_every_study() -> None:
    there = leaving()
    elsewhere = report(of=study("1.2.9"))
    there.desk.reports = (reported(), elsewhere)
    info = replace(NODULE, indicator=Indicator.INFO)
    there.desk.evaluate = lambda case: (FAILED, SILENT) if case.study_instance_uid == STUDY_UID else (info,)
    assert summaries(there) == ["A nodule was found", "Not evaluated (images of 2026-11-02): Lung nodule"]


def test_a_step_that_a_person_has_decided_on_is_not_offered_again_and_the_card_says_so() -> None:
    declined = follow_up(FollowUpState.DECLINED)
    card = leaving(NODULE, follow_ups=(declined,)).only()
    assert [one["label"] for one in card["suggestions"]] == ["Call the patient"]
    assert "Refer to the clinic: declined, as of 2026-11-22" in card["detail"]


@pytest.mark.parametrize("state", [FollowUpState.DECLINED, FollowUpState.COMPLETED])
def test_once_every_step_is_decided_on_the_discharge_is_silent_and_the_timeline_says_why(state: FollowUpState) -> None:
    done = (follow_up(state), follow_up(state, recommendation="call"))
    there = leaving(NODULE, follow_ups=done)
    assert there.cards() == []
    [note] = there.call.studies
    assert (note.cards, note.quiet) == (0, ("nodule: everything is arranged",))


@pytest.mark.parametrize("state", [FollowUpState.ACCEPTED, FollowUpState.COMPLETED, FollowUpState.DECLINED])
def test_a_critical_card_is_silent_only_where_its_steps_are_accepted_or_done(state: FollowUpState) -> None:
    decided = follow_up(state, None, pathway="bleed")
    cards = leaving(BLEED, follow_ups=(decided,)).cards()
    assert [card["summary"] for card in cards] == (["Blood"] if state is FollowUpState.DECLINED else [])
    assert all("declined, as of 2026-11-22" in card["detail"] for card in cards)


def test_who_was_told_of_a_follow_up_or_a_critical_result_is_noted_at_its_study() -> None:
    for there in (leaving(follow_ups=(follow_up(),)), leaving(critical=(RESULT,))):
        there.cards()
        [note] = there.call.studies
        assert (note.study_instance_uid, note.patient_id, note.cards) == (STUDY_UID, "patient-1", 1)


def test_advice_without_a_step_leaves_nothing_to_arrange_unless_it_is_critical() -> None:
    assert leaving(replace(NODULE, recommendations=())).cards() == []
    assert summaries(leaving(replace(BLEED, recommendations=()))) == ["Blood"]


def test_the_answer_for_another_study_arranges_nothing_here() -> None:
    elsewhere = follow_up(FollowUpState.COMPLETED, study_instance_uid="1.2.3")
    assert len(leaving(NODULE, follow_ups=(elsewhere,)).only()["suggestions"]) == 2


# --- follow-ups


def test_an_open_follow_up_that_a_card_offers_is_not_told_twice() -> None:
    assert summaries(leaving(NODULE, follow_ups=(follow_up(),))) == ["A nodule was found"]


def test_an_open_follow_up_that_no_card_offers_is_listed_with_what_the_guideline_says_now() -> None:
    card = leaving(follow_ups=(follow_up(due=TODAY + timedelta(days=400)),)).only()
    assert card["summary"] == "Imaging follow-up not done: Refer to the clinic (due 2027-12-27)"
    assert card["indicator"] == "info"
    assert "after the images of 2026-11-02, nobody has decided on it" in card["detail"]
    assert "the guideline now: the clinic visit is in the record" in card["detail"]


def test_what_two_guidelines_ask_for_is_one_step_and_told_once() -> None:
    other = replace(NODULE, pathway="other", title="Another guideline", recommendations=(STEP,))
    both = (follow_up(), follow_up(recommendation="call"), follow_up(pathway="other"))
    there = leaving(NODULE, other, follow_ups=both)
    there.desk.reports = (reported(NODULE, other),)
    assert summaries(there) == ["A nodule was found"]


def test_an_open_follow_up_of_an_older_study_is_not_told_beside_the_same_step_of_a_newer_one() -> None:
    there = leaving(NODULE, follow_ups=(follow_up(study_instance_uid="1.2.9"), follow_up()))
    older = reported()
    there.desk.reports = (reported(), replace(older, study=study("1.2.9", TODAY - timedelta(days=900))))
    [card] = there.cards()
    assert card["summary"] == "A nodule was found"
    assert "Earlier images that ask for the same" in card["detail"]


def test_what_was_accepted_is_told_once_it_is_due_within_thirty_days() -> None:
    accepted = follow_up(FollowUpState.ACCEPTED, TODAY + timedelta(days=31))
    assert leaving(NODULE, follow_ups=(accepted, replace(accepted, recommendation="call"))).cards() == []
    card = leaving(follow_ups=(replace(accepted, due=TODAY + timedelta(days=30)),)).only()
    assert (card["indicator"], card["summary"]) == (
        "info",
        "Imaging follow-up not done: Refer to the clinic (due 2026-12-22)",
    )
    assert "accepted, as of 2026-11-22" in card["detail"]


def test_what_is_overdue_is_a_warning() -> None:
    late = follow_up(FollowUpState.ACCEPTED, TODAY - timedelta(days=1))
    card = leaving(follow_ups=(late, follow_up(recommendation="call", action="Call"))).only()
    assert card["indicator"] == "warning"
    assert card["summary"] == "Imaging follow-up not done: Refer to the clinic (due 2026-11-21, overdue), and 1 more"


def test_what_is_due_today_is_a_warning() -> None:
    card = leaving(follow_ups=(follow_up(FollowUpState.ACCEPTED),)).only()
    assert card["indicator"] == "warning"
    assert card["summary"] == "Imaging follow-up not done: Refer to the clinic (due 2026-11-22)"


def test_what_was_accepted_without_a_date_or_is_done_is_not_told() -> None:
    undated, done = follow_up(FollowUpState.ACCEPTED, None), follow_up(FollowUpState.COMPLETED)
    assert leaving(follow_ups=(undated, done)).cards() == []


def test_a_follow_up_of_what_may_not_be_shown_now_is_not_told() -> None:
    there = leaving(follow_ups=(follow_up(),))
    there.desk.release = lambda _: NEVER
    assert there.cards() == []
    switched_off = leaving(follow_ups=(follow_up(pathway="switched-off"),))
    assert switched_off.cards() == []


def test_an_accepted_step_that_no_guideline_recommends_any_more_is_still_told() -> None:
    said = Acceptance(STUDY_UID, 1, "old", "scan", Answer.ACCEPTED, "Dr Roe", "physician", NOW)
    there = leaving(follow_ups=(follow_up(FollowUpState.ACCEPTED, pathway="old", recommendation="scan"),))
    there.desk.reports = (reported(answers=(said,)),)
    assert summaries(there) == ["Imaging follow-up not done: Refer to the clinic (due 2026-11-22)"]


def test_nobody_is_reminded_of_a_follow_up_of_a_patient_who_has_died() -> None:
    there = leaving(follow_ups=(follow_up(),))
    there.desk.who = patient(id=None, deceased=True)
    assert there.cards() == []


# --- critical results


def test_a_critical_result_that_nobody_has_acknowledged_is_a_critical_card_without_the_secret_of_its_link() -> None:
    card = leaving(critical=(RESULT,)).only()
    assert card["indicator"] == "critical"
    assert card["summary"] == "Critical AI result not acknowledged (images of 2026-11-02): Tension pneumothorax"
    assert "sent to duty and is not acknowledged (state: escalated, since 2026-11-22)" in card["detail"]
    assert "a-secret" not in repr(card)


def test_what_is_not_released_to_referral_cards_is_not_named_and_the_radiologist_is() -> None:
    there = leaving(critical=(RESULT,))
    there.desk.release = lambda _: NEVER
    card = there.only()
    assert card["indicator"] == "critical"
    assert "pneumothorax" not in repr(card)
    assert "not released to referral cards yet: ask the radiologist" in card["detail"]


def test_a_critical_result_of_a_finding_that_is_not_shown_is_not_named() -> None:
    assert "pneumothorax" not in repr(leaving(critical=(replace(RESULT, finding="ct_lung_density.other"),)).only())


# --- what is pending


def test_exams_without_a_result_are_one_card_with_who_is_told() -> None:
    waiting = (
        PendingStudy("it is being analysed", date(2026, 11, 20), "CT", "CT chest", "1.2.3", told="Dr <b>Roe</b>"),
        PendingStudy("ordered: no images have come here yet", modality="MR"),
    )
    card = leaving(pending=waiting).only()
    assert card["indicator"] == "info"
    assert card["summary"] == "2 imaging exams have no final result yet: CT chest of 2026-11-20, ..."
    assert "it is being analysed; its result goes to Dr" in card["detail"]
    assert "<b>" not in card["detail"]
    assert "**MR exam**" in card["detail"]
    assert "who is told of its result is not known here" in card["detail"]


# --- who it is, and what could not be looked at


def test_a_patient_whom_nobody_can_map_gets_a_card_that_says_so_and_nothing_of_theirs() -> None:
    there = leaving(NODULE, critical=(RESULT,))
    there.desk.who = patient(identifiers=())
    assert summaries(there) == ["Sightline cannot match this patient to imaging; no results are shown"]


def test_what_was_taken_back_is_told_first() -> None:
    there = leaving(critical=(RESULT,))
    there.desk.withdrawn = (Withdrawn("1.2.9", date(2026, 10, 1), NOW),)
    first, second = there.cards()
    assert first["summary"].startswith("Withdrawn")
    assert second["indicator"] == "critical"


def test_open_items_that_could_not_be_read_are_said_and_findings_are_told_all_the_same() -> None:
    def away(patient_id: str) -> Outstanding:
        raise Unavailable("the database is away")

    there = replace(leaving(NODULE), change=lambda context: replace(context, outstanding=away))
    advised, unseen = there.cards()
    assert advised["summary"] == "A nodule was found"
    assert "does not mean that nothing is open" in unseen["detail"]
    assert "could not be read in time" in unseen["detail"]


def test_a_record_that_does_not_answer_is_named_where_guidelines_are_silent() -> None:
    there = replace(
        leaving(),
        change=lambda context: replace(context, ask=lambda *_: RecordStatements(away=("FHIR *main*",))),
    )
    assert r"FHIR \*main\*: it did not answer" in there.only()["detail"]


def test_one_guideline_that_fails_is_a_card_and_the_others_answer() -> None:
    assert summaries(leaving(NODULE, FAILED)) == [
        "A nodule was found",
        "Not evaluated (images of 2026-11-02): Lung nodule",
    ]


def test_where_every_guideline_fails_and_nothing_else_is_open_it_is_an_error_and_never_an_empty_list() -> None:
    with pytest.raises(NothingEvaluated):
        leaving(FAILED).cards()


def test_where_every_guideline_fails_an_unacknowledged_result_is_told_all_the_same() -> None:
    critical, unseen = leaving(FAILED, critical=(RESULT,)).cards()
    assert critical["indicator"] == "critical"
    assert "none could be evaluated" in unseen["detail"]


def test_what_lacks_a_value_is_silent_as_it_is_when_the_patient_is_viewed() -> None:
    assert leaving(CouldNotTell("nodule", "Lung nodule", "a value that it needs is missing")).cards() == []


# --- the wire


@pytest.mark.parametrize(
    "there",
    [
        leaving(NODULE, BLEED, FAILED, follow_ups=(follow_up(FollowUpState.COMPLETED),)),
        leaving(follow_ups=(follow_up(),), critical=(RESULT,), pending=(PendingStudy("it is being analysed"),)),
        replace(leaving(), change=lambda context: replace(context, ask=lambda *_: RecordStatements(away=("EHR",)))),
    ],
    ids=["advice", "open", "unseen"],
)
def test_the_schema_accepts_every_kind_of_answer(reference_dir: Path, there: Discharge) -> None:
    answer = {"cards": there.cards()}
    schema(reference_dir, "response").validate(answer)
    assert empty_members(answer) == []
    assert all(len(card["summary"]) < 140 for card in answer["cards"])


def test_it_is_discovered_with_all_that_the_standard_recommends(reference_dir: Path) -> None:
    document = hooks.discovery()
    schema(reference_dir, "discovery").validate(document)
    [service] = [one for one in cast("list[Json]", document["services"]) if one["id"] == discharge_check.ID]
    assert (service["hook"], service["version"]) == ("encounter-discharge", "1.0.0")
    assert service["title"]
    assert service["description"]
    assert service["prefetch"]["patient"] == "Patient/{{context.patientId}}"


def test_a_client_is_asked_for_the_same_as_when_the_patient_is_viewed() -> None:
    asked = asked_by(Settings(pathway_modes={"emphysema": Mode.ADVISORY}))
    assert asked[discharge_check.ID] == asked["imaging-findings"]
    assert "packYears" in {search.key for search in searches(asked[discharge_check.ID])}


def test_nothing_is_outstanding_for_a_patient_whom_nobody_knows(tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        assert with_outstanding(Desk().context(), databases.app).outstanding("nobody") == Outstanding()
