"""What is promised of answers to recommendations and of follow-ups, on every database; a subclass gives `databases`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from cds.domain.coding import Coding
from cds.domain.follow_up import Acceptance, Answer, FollowUp, FollowUpState
from cds.domain.identity import Identifier, Patient
from cds.domain.matching import Match, MatchState
from cds.domain.message import LoggedMessage, MessageContent
from cds.domain.recommendation import Advice, Indicator, Recommendation, Source
from cds.domain.report import Audience, Decision, Release, Report
from cds.domain.resource import Encode
from cds.errors import Conflict, InvalidInput, NotFound
from cds.render.why import as_text
from cds.store.acceptances import AcceptanceStore
from cds.store.opinions import OpinionStore
from cds.store.record import RecordStore
from cds.store.reports import SqlReportStore
from cds.store.revisions import stop
from cds.store.safety_tables import AuditRow
from cds.store.studies import StudyStore
from cds.store.tables import PatientRow, StudyRow, TimelineRow
from cds.store.why import why
from cds.store.works import WorkStore
from tests.contract.closing import close_quiet
from tests.contract.store_contract import NOW, PATIENT, instance, raw
from tests.databases import Databases

LATER = NOW + timedelta(hours=2)
DUE = date(2026, 12, 1)
SOURCE = Source("s", "https://s.example")
REFER = Recommendation("refer", "Refer", Coding("urn:x", "refer", "Refer"), "because", SOURCE, by=DUE)
CALL = replace(REFER, key="call", action="Call", by=None)
EVERYBODY = Release(frozenset(Audience))
RADIOLOGIST = Release(frozenset({Audience.RADIOLOGIST}), ("referral: waits",))
_NOTHING = Encode(
    lambda report: [],
    lambda report, held: [],
    lambda body, patient_id: pytest.fail("nothing is emitted here"),
    lambda report, destination, reason: None,
    lambda destination, payload: (),
)


def said(answer: Answer = Answer.ACCEPTED, key: str = "refer", by: str = "Dr Roe", **more: object) -> Acceptance:
    """An answer to a recommendation of study 1.2 under its first patient."""
    return replace(Acceptance("1.2", 1, "p", key, answer, by, "physician", LATER), **more)


class Site:
    """Study 1.2, which is reported again and again, and two people."""

    def __init__(self, databases: Databases) -> None:
        self.databases = databases
        self.acceptances = AcceptanceStore(databases.app)
        self.studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
        record = RecordStore(databases.app)
        for number in (1, 2):
            who = replace(PATIENT, identifiers=(Identifier(f"P{number}", "HOSP"),))
            record.apply([(LoggedMessage(number, raw(str(number))), MessageContent(who))], NOW)
        self.anna, self.berta = (record.patient(Identifier(f"P{number}", "HOSP")) for number in (1, 2))
        self._images = 0

    def report(
        self,
        who: Patient | None,
        *steps: Recommendation,
        state: MatchState = MatchState.MATCHED,
        release: Release = EVERYBODY,
    ) -> None:
        """New images come, and the study's next version recommends these steps."""
        self._images += 1
        self.studies.add(instance(f"1.2.{self._images}"), received_at=NOW, consumed=True, source="dicom")
        [work] = close_quiet(self.databases.app, NOW + timedelta(hours=1))
        advice = Advice("p", "P", "s", Indicator.INFO, SOURCE, steps, (), ("k",))
        report = Report(
            work=work,
            version=0,
            study=self.studies.study("1.2"),
            match=Match(state, ("tested",), None, who.id if who else None),
            patient=who,
            order=None,
            outcomes=(),
            ehr=None,
            decision=Decision((advice,) if steps else (), release, NOW.date()),
            issued=NOW,
        )
        SqlReportStore(self.databases.app).commit(report, _NOTHING, NOW)

    def merge(self, *, undo: bool = False) -> None:
        """Anna is Berta, or is not any more."""
        assert self.anna is not None
        assert self.berta is not None
        with self.databases.app.writing() as session:
            row = session.get_one(PatientRow, self.anna.id)
            row.merged_into = None if undo else self.berta.id
            session.add(row)

    def accept(self, *answers: Acceptance) -> list[bool]:
        """People answer, one after the other."""
        return [self.acceptances.accept(one, LATER) for one in answers]

    def states(self) -> list[tuple[str, str]]:
        """Each follow-up of the study by its recommendation, with its state."""
        return [(one.recommendation, one.state.value) for one in self.all()]

    def all(self) -> list[FollowUp]:
        """All follow-ups of the study."""
        return list(self.acceptances.follow_ups(study_uid="1.2"))

    def match_revision(self) -> int:
        """How often the study was matched."""
        with self.databases.app.reading() as session:
            return session.get_one(StudyRow, "1.2").match_revision

    def timeline(self) -> list[TimelineRow]:
        """What is told of follow-ups."""
        with self.databases.app.reading() as session:
            return list(session.exec(select(TimelineRow).where(TimelineRow.step == "follow-up")).all())


class AcceptancesContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def site(self, databases: Databases) -> Site:
        """A study that recommends two things to whoever cares for Anna."""
        site = Site(databases)
        site.report(site.anna, REFER, CALL)
        return site

    # --- an answer

    def test_an_answer_is_recorded_told_and_decided_upon(self, site: Site) -> None:
        assert site.accept(said(reason="known to us")) == [True]
        assert site.states() == [("refer", "accepted"), ("call", "open")]
        assert site.match_revision() == 2
        [again] = WorkStore(site.databases.app).pending()
        assert WorkStore(site.databases.app).work(again.id).revision.match == 2
        line = site.timeline()[-1]
        assert (line.outcome, "p.refer" in line.detail) == ("accepted", True)
        assert not any("Roe" in one.detail or "known to us" in one.detail for one in site.timeline())
        with site.databases.app.reading() as session:
            [audited] = session.exec(select(AuditRow)).all()
        assert (audited.actor, audited.action, audited.study_uid) == ("Dr Roe", "follow-up accepted", "1.2")
        assert site.anna is not None
        assert audited.patient_id == site.anna.id

    def test_what_was_accepted_is_kept_as_it_was_recommended_then(self, site: Site) -> None:
        site.accept(said())
        [kept] = site.acceptances.of_study("1.2", 1)
        assert kept == said(about=REFER)
        site.report(site.anna, replace(REFER, action="Refer at once"), CALL)
        assert site.acceptances.of_study("1.2", 1) == (kept,)

    # --- what a card recommended, and the report does not

    def test_a_step_that_only_a_card_recommended_begins_a_follow_up_when_it_is_accepted(self, site: Site) -> None:
        scan = replace(REFER, key="scan", action="Another scan", by=NOW.date())
        with pytest.raises(NotFound, match="want a follow-up"):
            site.accept(said(key="scan"))
        assert site.accept(said(key="scan", about=scan), said(key="scan", about=scan)) == [True, False]
        [begun] = [one for one in site.all() if one.recommendation == "scan"]
        assert (begun.state, begun.action, begun.due) == (FollowUpState.ACCEPTED, "Another scan", NOW.date())
        assert [kept.about for kept in site.acceptances.of_study("1.2", 1)] == [scan]
        assert "as a card recommended it" in site.timeline()[-2].detail
        site.report(site.anna, REFER, CALL)
        assert ("scan", "accepted") in site.states()

    def test_a_follow_up_that_a_version_closed_begins_again_where_a_card_still_recommended_it(self, site: Site) -> None:
        site.report(site.anna, CALL)
        assert ("refer", "closed") in site.states()
        assert site.accept(said(about=REFER)) == [True]
        assert ("refer", "accepted") in site.states()

    def test_what_may_not_be_told_any_more_begins_nothing(self, site: Site) -> None:
        site.report(site.anna, CALL, release=RADIOLOGIST)
        with pytest.raises(Conflict, match="may not be told"):
            site.accept(said(key="scan", about=replace(REFER, key="scan")))

    def test_the_same_answer_again_changes_nothing_whoever_gives_it(self, site: Site) -> None:
        assert site.accept(said(), said(at=LATER + timedelta(days=1)), said(by="Dr Poe")) == [True, False, False]
        assert site.match_revision() == 2
        assert [one.by for one in site.acceptances.of_study("1.2", 1)] == ["Dr Roe"]

    def test_of_two_who_answer_at_once_one_is_told(self, site: Site) -> None:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda n: site.acceptances.accept(said(by=f"Dr {n}"), LATER), range(4)))
        assert sorted(answers) == [False, False, False, True]
        assert site.match_revision() == 2

    def test_whoever_accepted_may_decline_and_accept_again(self, site: Site) -> None:
        assert site.accept(said(), said(Answer.DECLINED), said()) == [True, True, True]
        assert site.states()[0] == ("refer", "accepted")
        [newest] = site.acceptances.of_study("1.2", 1)
        assert newest.accepted is None
        assert len(why(site.databases.app, "1.2").studies[0].acceptances) == 3

    def test_an_answer_that_ends_an_acceptance_names_it(self, site: Site) -> None:
        site.accept(said(), said(Answer.COMPLETED, by="Dr Poe"))
        [newest] = site.acceptances.of_study("1.2", 1)
        assert (newest.answer, newest.by) == (Answer.COMPLETED, "Dr Poe")
        assert newest.accepted == said(about=REFER)
        site.accept(said(Answer.DECLINED, by="Dr Poe"))
        [newest] = site.acceptances.of_study("1.2", 1)
        assert newest.accepted == said(about=REFER)

    def test_what_nobody_accepted_before_names_no_acceptance(self, site: Site) -> None:
        site.accept(said(Answer.COMPLETED))
        [newest] = site.acceptances.of_study("1.2", 1)
        assert newest.accepted is None

    @pytest.mark.parametrize(
        ("first", "then"),
        [
            (Answer.ACCEPTED, Answer.DECLINED),
            (Answer.DECLINED, Answer.ACCEPTED),
            (Answer.DECLINED, Answer.COMPLETED),
            (Answer.COMPLETED, Answer.ACCEPTED),
            (Answer.COMPLETED, Answer.DECLINED),
        ],
    )
    def test_another_person_says_otherwise_only_knowingly(self, site: Site, first: Answer, then: Answer) -> None:
        site.accept(said(first))
        other = said(then, by="Dr Poe")
        with pytest.raises(Conflict, match=rf"another person has {first.value} it .*cds follow-ups list") as refused:
            site.accept(other)
        assert "Roe" not in str(refused.value)
        assert site.states()[0] == ("refer", first.value)
        assert site.acceptances.accept(other, LATER, overrule=True)
        assert site.states()[0] == ("refer", then.value)

    def test_what_cannot_be_an_answer_is_refused(self, site: Site) -> None:
        for wrong, wanted in ((said(by=" "), "want the name"), (said(role=""), "want the role")):
            with pytest.raises(InvalidInput, match=wanted):
                site.accept(wrong)
        for nothing in (said(key="other"), said(pathway="q"), said(study_instance_uid="9.9")):
            with pytest.raises(NotFound):
                site.accept(nothing)
        with pytest.raises(Conflict, match="look at it again"):
            site.accept(said(episode=2))
        assert site.match_revision() == 1
        assert site.acceptances.of_study("1.2", 1) == ()

    def test_of_a_study_without_a_report_nothing_is_recommended(self, databases: Databases) -> None:
        site = Site(databases)
        site.studies.add(instance("1.2.1"), received_at=NOW, consumed=True, source="dicom")
        with pytest.raises(NotFound, match="not reported yet"):
            site.acceptances.episode("1.2")
        with pytest.raises(NotFound, match="not reported yet"):
            site.accept(said())

    def test_what_is_closed_is_not_answered(self, site: Site) -> None:
        site.report(site.anna, CALL)
        with pytest.raises(Conflict, match=r"closed \(version 2: it is not recommended any more\)"):
            site.accept(said())

    def test_what_is_in_doubt_is_not_answered(self, site: Site) -> None:
        with site.databases.app.writing() as session:
            stop(session, "1.2", "a person found the wrong patient", NOW)
        with pytest.raises(Conflict, match="in doubt"):
            site.accept(said())

    # --- what becomes of it

    def test_what_is_not_recommended_any_more_closes_unless_a_person_answered(self, site: Site) -> None:
        site.accept(said())
        site.report(site.anna)
        refer, call = site.all()
        assert (refer.state.value, refer.reason) == ("accepted", "version 2: it is not recommended any more")
        assert (call.state.value, call.reason) == ("closed", "version 2: it is not recommended any more")
        site.report(site.anna, REFER, CALL)
        assert [(one.state.value, one.reason) for one in site.all()] == [("accepted", ""), ("open", "")]

    def test_that_it_is_not_recommended_any_more_is_told_once(self, site: Site) -> None:
        site.accept(said())
        for _ in range(2):
            site.report(site.anna, CALL)
        assert site.all()[0].reason.startswith("version 2: ")
        assert len([one for one in site.timeline() if "not recommended any more" in one.detail]) == 1

    @pytest.mark.parametrize("answer", [Answer.DECLINED, Answer.COMPLETED])
    def test_what_is_done_or_declined_stays_so(self, site: Site, answer: Answer) -> None:
        site.accept(said(answer))
        for steps in ((), (REFER, CALL)):
            site.report(site.anna, *steps)
            assert (site.all()[0].state.value, site.all()[0].reason) == (answer.value, "")

    def test_an_acceptance_of_what_may_not_be_told_any_more_stays_and_says_so(self, site: Site) -> None:
        site.accept(said())
        site.report(site.anna, REFER, CALL, release=RADIOLOGIST)
        assert [(one.state.value, one.reason) for one in site.all()] == [
            ("accepted", "version 2: referral: waits"),
            ("closed", "version 2: referral: waits"),
        ]

    @pytest.mark.parametrize("answer", list(Answer))
    def test_a_doubt_about_the_patient_closes_everything_and_ends_the_answers(self, site: Site, answer: Answer) -> None:
        site.accept(said(answer))
        site.report(None, state=MatchState.HELD, release=RADIOLOGIST)
        assert {(one.state.value, one.reason) for one in site.all()} == {("closed", "version 2: tested")}
        site.report(site.anna, REFER)
        assert sorted(site.states()) == [("call", "closed"), ("refer", "closed"), ("refer", "open")]
        assert site.acceptances.episode("1.2") == 2
        assert site.acceptances.of_study("1.2", 2) == ()
        assert site.accept(said(answer, episode=2)) == [True]

    def test_another_patient_has_answers_of_her_own(self, site: Site) -> None:
        site.accept(said())
        site.report(site.berta, REFER)
        closed = [one for one in site.all() if one.state.value == "closed"]
        assert {one.reason.partition(": ")[2] for one in closed} == {
            "it was recommended for another patient, or under a patient identifier that is not used any more"
        }
        assert sorted(site.states()) == [("call", "closed"), ("refer", "closed"), ("refer", "open")]

    def test_a_merge_takes_answers_along_and_its_undo_brings_them_back(self, site: Site) -> None:
        site.accept(said())
        site.merge()
        site.report(site.berta, REFER, CALL)
        assert sorted(site.states()) == [
            ("call", "closed"),
            ("call", "open"),
            ("refer", "accepted"),
            ("refer", "closed"),
        ]
        assert [one.by for one in site.acceptances.of_study("1.2", 2)] == ["Dr Roe"]
        with pytest.raises(Conflict, match="another person"):
            site.accept(said(Answer.DECLINED, by="Dr Poe", episode=2))
        site.merge(undo=True)
        site.report(site.anna, REFER, CALL)
        standing = [(one.recommendation, one.state.value) for one in site.acceptances.follow_ups()]
        assert standing == [("refer", "accepted"), ("call", "open")]

    def test_an_answer_for_the_survivor_is_not_one_for_the_patient_once_they_are_two(self, site: Site) -> None:
        site.merge()
        site.report(site.berta, REFER)
        site.accept(said(episode=2))
        site.merge(undo=True)
        site.report(site.anna, REFER)
        assert site.acceptances.of_study("1.2", 3) == ()
        assert [one.state.value for one in site.acceptances.follow_ups()] == ["open"]

    def test_images_that_lost_their_order_for_a_while_have_the_answers_again(self, site: Site) -> None:
        site.accept(said())
        site.report(None, REFER, state=MatchState.UNMATCHED, release=RADIOLOGIST)
        assert {state for _, state in site.states()} == {"closed"}
        site.report(site.anna, REFER)
        assert sorted(site.states()) == [("call", "closed"), ("refer", "accepted")]

    def test_a_cancelled_order_ends_nothing_that_was_told_and_begins_nothing(self, site: Site) -> None:
        site.accept(said())
        other = replace(CALL, key="scan", action="Scan")
        site.report(site.anna, REFER, CALL, other, state=MatchState.DETACHED, release=RADIOLOGIST)
        assert site.states() == [("refer", "accepted"), ("call", "open")]
        site.report(site.anna, REFER, state=MatchState.DETACHED, release=RADIOLOGIST)
        assert site.states() == [("refer", "accepted"), ("call", "closed")]
        site.report(site.anna, REFER, CALL, state=MatchState.DETACHED, release=RADIOLOGIST)
        assert site.states() == [("refer", "accepted"), ("call", "closed")]

    # --- what people ask

    def test_what_waits_is_listed_with_the_first_that_is_due_first(self, site: Site) -> None:
        assert [one.recommendation for one in site.acceptances.follow_ups()] == ["refer", "call"]
        site.accept(said(Answer.DECLINED), said(key="call"))
        [left] = site.acceptances.follow_ups()
        assert (left.recommendation, left.state.value, left.by, left.due) == ("call", "accepted", "Dr Roe", None)
        assert site.states() == [("refer", "declined"), ("call", "accepted")]

    def test_overdue_is_what_was_due_before_the_day_and_is_not_done(self, site: Site) -> None:
        day = DUE + timedelta(days=1)
        assert site.acceptances.follow_ups(overdue_on=DUE) == ()
        assert [one.recommendation for one in site.acceptances.follow_ups(overdue_on=day)] == ["refer"]
        site.accept(said())
        assert len(site.acceptances.follow_ups(study_uid="1.2", overdue_on=day)) == 1
        assert site.acceptances.follow_ups(study_uid="9.9", overdue_on=day) == ()
        site.accept(said(Answer.COMPLETED))
        assert site.acceptances.follow_ups(overdue_on=day) == ()

    def test_the_story_of_a_study_tells_who_answered(self, site: Site) -> None:
        site.accept(said(), said(Answer.DECLINED, reason="moved away"))
        story = as_text(why(site.databases.app, "1.2"), "UTC")
        assert "recommendation p.refer accepted by Dr Roe (physician), 2026-11-20 12:00" in story
        assert "recommendation p.refer declined by Dr Roe (physician), 2026-11-20 12:00: moved away" in story
        assert "follow-up Refer (p), due 2026-12-01: declined" in story

    def test_a_report_is_drafted_with_the_answers_that_count_for_its_patient(self, site: Site) -> None:
        opinions = OpinionStore(site.databases.app)
        site.accept(said())
        assert site.anna is not None
        assert site.berta is not None
        assert opinions.acceptances("1.2", site.anna.id or "") == (said(about=REFER),)
        assert opinions.acceptances("1.2", site.berta.id or "") == ()
        assert opinions.acceptances("9.9", site.anna.id or "") == ()
