"""What is promised of the care for follow-ups, on every database; a subclass gives `databases`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from cds.domain.coding import Coding
from cds.domain.follow_up import Answer, FollowUpState
from cds.domain.follow_up_match import Certainty, MatchState
from cds.domain.matching import MatchState as Matched
from cds.domain.switch import SwitchKind
from cds.errors import Conflict, InvalidInput, NotFound
from cds.following_up import Looking, match, remind
from cds.store.sending_again import send_again
from cds.store.tables import PatientRow
from cds.ui.follow_ups import Asked, Ending, Show
from tests.contract.acceptances_contract import RADIOLOGIST, said
from tests.contract.follow_up_site import CT_CHEST, CT_HEAD, DUE, EXAM_DAY, SCAN, VISIT, CareSite
from tests.databases import Databases

BNP = Coding("http://loinc.org", "33762-6", "NT-proBNP")
WHY = "the patient was seen elsewhere"


class FollowUpCareContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def site(self, databases: Databases) -> CareSite:
        """A scan and a visit are recommended to Anna."""
        return CareSite(databases)

    # --- results that close

    def test_a_signed_report_of_the_exam_closes_the_follow_up_and_says_what_closed_it(self, site: CareSite) -> None:
        assert site.look() == 0
        site.order("A2", CT_CHEST)
        assert site.look() == 0
        site.sign("A2")
        assert site.look() == 1
        one = site.one()
        assert (one.state, one.by) == (FollowUpState.COMPLETED, "Sightline")
        [kept] = site.acceptances.of_study("1.2", 1)
        assert kept.reason.startswith("Signed radiology report: CT Chest WO contrast of 2027-04-01 (HL7 RIS|HOSP)")
        assert site.one("visit").state is FollowUpState.OPEN
        assert site.look() == 0

    def test_what_a_person_accepted_is_closed_by_its_result_too(self, site: CareSite) -> None:
        site.accept(said(key="scan"))
        site.order("A2", CT_CHEST)
        site.sign("A2")
        assert site.look() == 1
        [kept] = site.acceptances.of_study("1.2", 1)
        assert kept.accepted is not None
        assert kept.accepted.by == "Dr Roe"

    def test_the_report_of_the_very_exam_that_recommends_it_closes_nothing(self, site: CareSite) -> None:
        site.order("A1", CT_CHEST, date(2026, 11, 20))
        site.sign("A1", day=date(2026, 11, 21))
        assert site.look() == 0
        assert site.one().state is FollowUpState.OPEN

    @pytest.mark.parametrize("patient", ["P1", "P2"])
    def test_another_exam_and_another_patient_close_nothing(self, site: CareSite, patient: str) -> None:
        site.order("A2", CT_HEAD if patient == "P1" else CT_CHEST, patient=patient)
        site.sign("A2", patient)
        assert site.look() == 0
        assert site.one().state is FollowUpState.OPEN
        assert not site.line.cares.matches(site.one().id, MatchState.PROPOSED)

    def test_images_of_an_exam_that_was_ordered_close_it(self, site: CareSite) -> None:
        site.order("A2", CT_CHEST)
        site.images("A2", "1.3")
        assert site.look() == 1
        assert site.one().state is FollowUpState.COMPLETED

    def test_images_without_an_order_are_proposed_and_close_nothing(self, site: CareSite) -> None:
        site.images("A7", "1.3")
        assert site.look() == 0
        [proposal] = site.line.cares.matches(site.one().id, MatchState.PROPOSED)
        assert proposal.certainty is Certainty.DOUBTFUL
        assert "headers alone" in proposal.said
        assert site.one().state is FollowUpState.OPEN

    def test_a_laboratory_value_closes_what_asked_for_it(self, site: CareSite) -> None:
        site.report(site.anna, SCAN, replace(SCAN, key="bnp", code=BNP, not_before=None))
        site.value(BNP, date(2026, 12, 1), status="preliminary")
        assert site.look() == 0
        site.value(BNP, date(2026, 12, 1))
        assert site.look() == 1
        assert site.one("bnp").state is FollowUpState.COMPLETED

    def test_a_value_that_is_taken_back_opens_it_again(self, site: CareSite) -> None:
        site.report(site.anna, SCAN, replace(SCAN, key="bnp", code=BNP, not_before=None))
        site.value(BNP, date(2026, 12, 1))
        site.look()
        site.value(BNP, date(2026, 12, 1), status="entered-in-error")
        assert site.look() == 1
        assert site.one("bnp").state is FollowUpState.OPEN

    def test_a_report_that_is_withdrawn_opens_it_again_as_it_was(self, site: CareSite) -> None:
        site.accept(said(key="scan"))
        site.order("A2", CT_CHEST)
        site.sign("A2")
        site.look()
        site.sign("A2", status="cancelled")
        assert site.look() == 1
        assert site.one().state is FollowUpState.ACCEPTED
        site.sign("A2", status="corrected")
        assert site.look() == 1
        assert site.one().state is FollowUpState.COMPLETED

    def test_a_result_of_whoever_was_merged_into_her_counts_and_its_undoing_takes_it_away(self, site: CareSite) -> None:
        site.order("B2", CT_CHEST, patient="P2")
        site.sign("B2", "P2")
        site.look()
        assert site.one().state is FollowUpState.OPEN
        site.merge()
        assert match(site.line, None, site.clock.now()) == 1
        assert site.one().state is FollowUpState.COMPLETED
        site.merge(undo=True)
        assert sum(match(site.line, site.clock.now() - timedelta(days=1), site.clock.now()) for _ in range(2)) == 1
        assert site.one().state is FollowUpState.OPEN

    def test_what_came_before_the_worker_started_is_found_by_its_first_look(self, site: CareSite) -> None:
        site.order("A2", CT_CHEST)
        site.sign("A2")
        site.clock.at += timedelta(days=3)
        assert Looking(site.line).run(site.clock.now()) == 1

    def test_several_workers_close_it_once(self, site: CareSite) -> None:
        site.order("A2", CT_CHEST)
        site.sign("A2")
        with ThreadPoolExecutor(3) as pool:
            moved = list(pool.map(lambda _: match(site.line, None, site.clock.now()), range(3)))
        assert sum(moved) >= 1
        assert len([one for one in site.timeline() if one.outcome == "completed"]) == 1

    # --- proposals

    def test_a_person_says_that_a_proposal_is_it_and_that_closes_the_follow_up(self, site: CareSite) -> None:
        site.images("A7", "1.3")
        site.look()
        [proposal] = site.line.cares.matches(site.one().id, MatchState.PROPOSED)
        assert site.coordinator.decide(proposal.id, True, "Cora", "coordinator") == site.one().id
        assert (site.one().state, site.one().by) == (FollowUpState.COMPLETED, "Cora")
        with pytest.raises(Conflict, match="decided already"):
            site.coordinator.decide(proposal.id, False, "Cora", "coordinator")

    def test_what_a_person_refused_is_not_proposed_again(self, site: CareSite) -> None:
        site.images("A7", "1.3")
        site.look()
        [proposal] = site.line.cares.matches(site.one().id, MatchState.PROPOSED)
        site.coordinator.decide(proposal.id, False, "Cora", "coordinator")
        match(site.line, None, site.clock.now())
        assert not site.line.cares.matches(site.one().id, MatchState.PROPOSED)
        assert site.one().state is FollowUpState.OPEN

    def test_there_is_no_proposal_under_another_number(self, site: CareSite) -> None:
        with pytest.raises(NotFound):
            site.coordinator.decide(4711, True, "Cora", "coordinator")

    # --- by hand

    @pytest.mark.parametrize(("is_done", "state"), [(True, "completed"), (False, "declined")])
    def test_a_person_ends_it_with_a_reason_and_opens_it_again(self, site: CareSite, is_done: bool, state: str) -> None:
        with pytest.raises(InvalidInput, match="want a reason"):
            site.coordinator.end(Ending(site.one().id, is_done, "Cora", "coordinator", " "))
        site.coordinator.end(Ending(site.one().id[:8], is_done, "Cora", "coordinator", WHY))
        assert site.one().state.value == state
        site.coordinator.reopen(site.one().id, "Cora", "coordinator", "that was a mistake")
        assert site.one().state is FollowUpState.OPEN
        assert site.acceptances.of_study("1.2", 1) == ()
        assert not any(WHY in one.detail for one in site.timeline())

    def test_what_had_been_accepted_is_accepted_again_when_it_is_reopened(self, site: CareSite) -> None:
        site.accept(said(key="scan"), said(Answer.COMPLETED, key="scan"))
        site.coordinator.reopen(site.one().id, "Cora", "coordinator", "it was another exam")
        assert (site.one().state, site.one().by) == (FollowUpState.ACCEPTED, "Cora")
        site.report(site.anna, SCAN, VISIT)
        assert site.one().state is FollowUpState.ACCEPTED

    def test_what_waits_cannot_be_reopened_and_changes_nothing(self, site: CareSite) -> None:
        before = site.match_revision()
        site.coordinator.reopen(site.one().id, "Cora", "coordinator", "again")
        assert site.match_revision() == before

    def test_a_result_that_a_person_did_not_believe_does_not_close_it_once_more(self, site: CareSite) -> None:
        site.order("A2", CT_CHEST)
        site.sign("A2")
        site.look()
        site.coordinator.reopen(site.one().id, "Cora", "coordinator", "the exam was broken off")
        assert match(site.line, None, site.clock.now()) == 0
        assert site.one().state is FollowUpState.OPEN

    def test_a_follow_up_of_a_study_that_became_another_patient_s_is_nobody_s_to_end(self, site: CareSite) -> None:
        old = site.one().id
        site.report(None, state=Matched.HELD)
        site.report(site.berta, SCAN)
        with pytest.raises(Conflict):
            site.coordinator.end(Ending(old, True, "Cora", "coordinator", WHY))

    def test_an_owner_is_assigned_and_the_default_owner_comes_back(self, site: CareSite) -> None:
        one = site.one().id
        assert _listed(site, "scan") == ("Nodule clinic", True)
        site.coordinator.assign(one, "Dr Poe", "Cora", "")
        assert _listed(site, "scan") == ("Dr Poe", False)
        site.coordinator.assign(one, "", "Cora", "")
        assert _listed(site, "scan") == ("Nodule clinic", True)

    def test_another_day_wants_a_reason_and_is_told(self, site: CareSite) -> None:
        with pytest.raises(InvalidInput, match="want a reason"):
            site.coordinator.reschedule(site.one().id, date(2027, 6, 1), "Cora", "")
        site.coordinator.reschedule(site.one().id, date(2027, 6, 1), "Cora", "on holiday")
        detail = site.listing.detail(site.one().id, site.clock.today())
        assert (detail.listed.due, detail.listed.is_moved) == (date(2027, 6, 1), True)
        line = next(one for one in detail.log if one.what == "rescheduled")
        assert (line.by, line.detail, line.reason) == ("Cora", "from 2027-05-20 to 2027-06-01", "on holiday")

    def test_what_has_ended_is_neither_moved_nor_assigned(self, site: CareSite) -> None:
        site.coordinator.end(Ending(site.one().id, True, "Cora", "coordinator", WHY))
        with pytest.raises(Conflict, match="reopen it first"):
            site.coordinator.assign(site.one().id, "Dr Poe", "Cora", "")
        with pytest.raises(Conflict, match="reopen it first"):
            site.coordinator.reschedule(site.one().id, date(2027, 6, 1), "Cora", "later")

    @pytest.mark.parametrize("given", ["", "nobody", "%", "00000000-0000"])
    def test_an_id_that_is_none_finds_nothing(self, site: CareSite, given: str) -> None:
        with pytest.raises(NotFound):
            site.coordinator.assign(given, "Dr Poe", "Cora", "")

    # --- reminders

    def test_each_step_is_given_once_to_its_recipient_and_is_recorded(self, site: CareSite) -> None:
        site.coordinator.end(Ending(site.one("visit").id, False, "Cora", "coordinator", WHY))
        given = []
        for day in (DUE - timedelta(days=20), DUE - timedelta(days=14), DUE, DUE + timedelta(days=1)):
            site.clock.on(day)
            given += [remind(site.line, site.clock.now(), day) for _ in range(2)]
        assert given == [0, 0, 1, 0, 0, 0, 1, 0]
        site.clock.on(DUE + timedelta(days=14))
        assert remind(site.line, site.clock.now(), site.clock.today()) == 1
        told = site.waiting(site.one().id)
        assert told == [("follow-up:desk", "pending"), ("follow-up:desk", "pending"), ("follow-up:head", "pending")]
        reminders = site.listing.detail(site.one().id, site.clock.today()).reminders
        assert [(one.step.value, one.recipient) for one in reminders] == [
            ("due-soon", "Coordination desk"), ("overdue", "Coordination desk"), ("escalated", "Head of the clinic"),
        ]  # fmt: skip

    def test_a_backlog_is_reminded_of_once_with_the_step_of_today(self, site: CareSite) -> None:
        site.clock.on(DUE + timedelta(days=200))
        assert remind(site.line, site.clock.now(), site.clock.today()) == 2
        assert site.waiting(site.one().id) == [("follow-up:head", "pending")]

    def test_the_reminder_names_owner_and_page_and_no_patient(self, site: CareSite) -> None:
        site.clock.on(DUE)
        remind(site.line, site.clock.now(), site.clock.today())
        body = site.payload(site.one().id)
        assert "Its owner is Nodule clinic." in body
        assert f"/follow-ups/{site.one().id}" in body
        assert not [word for word in ("Tina", "P1", "1960") if word in body]

    def test_another_day_begins_the_reminders_anew(self, site: CareSite) -> None:
        site.clock.on(DUE)
        remind(site.line, site.clock.now(), site.clock.today())
        site.coordinator.reschedule(site.one().id, DUE + timedelta(days=60), "Cora", "on holiday")
        assert remind(site.line, site.clock.now(), site.clock.today()) == 0
        site.clock.on(DUE + timedelta(days=60))
        assert remind(site.line, site.clock.now(), site.clock.today()) == 1

    def test_what_is_done_is_not_reminded_of_and_what_was_not_sent_is_not_sent(self, site: CareSite) -> None:
        site.clock.on(DUE)
        remind(site.line, site.clock.now(), site.clock.today())
        site.coordinator.end(Ending(site.one().id, True, "Cora", "coordinator", WHY))
        assert site.waiting(site.one().id) == [("follow-up:desk", "superseded")]
        site.clock.on(DUE + timedelta(days=30))
        assert remind(site.line, site.clock.now(), site.clock.today()) == 0
        assert len(site.waiting(site.one().id)) == 1

    def test_what_a_newer_report_does_not_recommend_is_not_sent_either(self, site: CareSite) -> None:
        site.clock.on(DUE)
        remind(site.line, site.clock.now(), site.clock.today())
        site.report(site.anna, VISIT)
        assert site.one().state is FollowUpState.CLOSED
        assert site.waiting(site.one().id) == [("follow-up:desk", "superseded")]

    def test_whoever_was_reminded_learns_once_that_it_does_not_hold_any_more(self, site: CareSite) -> None:
        site.clock.on(DUE)
        remind(site.line, site.clock.now(), site.clock.today())
        site.deliver(site.one().id)
        site.report(site.anna, VISIT)
        assert [remind(site.line, site.clock.now(), site.clock.today()) for _ in range(2)] == [1, 0]
        assert site.waiting(site.one().id) == [("follow-up:desk", "pending"), ("follow-up:desk", "sent")]
        body = site.payload(site.one().id)
        assert "It does not hold any more: version 2: it is not recommended any more." in body

    def test_a_reminder_that_was_refused_is_sent_again_only_while_the_follow_up_waits(self, site: CareSite) -> None:
        site.clock.on(DUE)
        remind(site.line, site.clock.now(), site.clock.today())
        refused = site.refuse(site.one().id)
        with site.databases.app.writing() as session:
            send_again(session, refused, site.clock.now())
        site.coordinator.end(Ending(site.one().id, True, "Cora", "coordinator", WHY))
        with pytest.raises(Conflict, match="has moved on since"), site.databases.app.writing() as session:
            send_again(session, refused, site.clock.now())

    def test_whoever_was_reminded_has_seen_a_result(self, site: CareSite) -> None:
        site.clock.on(DUE)
        remind(site.line, site.clock.now(), site.clock.today())
        site.deliver(site.one().id)
        assert ("follow-up:desk", "reminder delivered") in [(e.actor, e.action) for e in site.held.audit.seen_by("1.2")]

    def test_what_nobody_received_is_not_taken_back(self, site: CareSite) -> None:
        site.clock.on(DUE)
        remind(site.line, site.clock.now(), site.clock.today())
        site.report(site.anna, VISIT)
        assert remind(site.line, site.clock.now(), site.clock.today()) == 0

    def test_what_may_not_be_told_any_more_is_not_reminded_of(self, site: CareSite) -> None:
        site.report(site.anna, SCAN, VISIT, release=RADIOLOGIST)
        site.clock.on(DUE)
        assert remind(site.line, site.clock.now(), site.clock.today()) == 0

    def test_nobody_is_reminded_for_somebody_who_has_died(self, site: CareSite) -> None:
        assert site.anna is not None
        with site.databases.app.writing() as session:
            row = session.get_one(PatientRow, site.anna.id)
            row.deceased = True
            session.add(row)
        site.clock.on(DUE)
        assert remind(site.line, site.clock.now(), site.clock.today()) == 0

    def test_a_pathway_that_is_switched_off_reminds_nobody(self, site: CareSite) -> None:
        site.held.switches.disable(SwitchKind.PATHWAY, "p", by="Ada", reason="wrong", now=site.clock.now())
        site.clock.on(DUE)
        assert remind(site.line, site.clock.now(), site.clock.today()) == 0

    def test_a_test_system_gets_nothing_of_production(self, databases: Databases) -> None:
        hl7 = {"host": "127.0.0.1", "port": 9, "processing": "T"}
        site = CareSite(databases, routes={"desk": {"recipient": "T", "channel": "hl7", "hl7": hl7}}, escalate_to="")
        site.clock.on(DUE)
        assert remind(site.line, site.clock.now(), site.clock.today()) == 0

    def test_without_a_route_nobody_is_reminded(self, databases: Databases) -> None:
        site = CareSite(databases, routes={}, remind="", escalate_to="")
        site.clock.on(DUE)
        assert remind(site.line, site.clock.now(), site.clock.today()) == 0

    # --- the list and the figures

    def test_the_first_that_is_due_comes_first_and_what_is_late_says_so(self, site: CareSite) -> None:
        site.clock.on(date(2027, 1, 3))
        sheet = site.listing.sheet(Asked(), site.clock.today())
        assert [(one.follow_up.recommendation, one.days_late) for one in sheet.rows] == [("visit", 2), ("scan", 0)]
        first = sheet.rows[0]
        assert (first.title, first.source, first.waits) == ("P", SCAN.source, True)
        assert first.patient is not None
        assert first.patient.name.family == "Test"

    @pytest.mark.parametrize(
        ("asked", "listed"),
        [
            (Asked(), {"scan", "visit"}),
            (Asked(show=Show.OVERDUE), {"visit"}),
            (Asked(show=Show.UNOWNED), set()),
            (Asked(show=Show.PROPOSED), {"scan"}),
            (Asked(show=Show.COMPLETED), set()),
            (Asked(show=Show.ALL), {"scan", "visit"}),
            (Asked(pathway="p"), {"scan", "visit"}),
            (Asked(pathway="q"), set()),
            (Asked(owner="Nodule clinic"), {"scan", "visit"}),
            (Asked(owner="Dr Poe"), set()),
            (Asked(site="north"), set()),
            (Asked(page=9), {"scan", "visit"}),
        ],
    )
    def test_the_list_is_narrowed(self, site: CareSite, asked: Asked, listed: set[str]) -> None:
        site.images("A7", "1.3")
        site.look()
        sheet = site.listing.sheet(asked, date(2027, 1, 3))
        assert {one.follow_up.recommendation for one in sheet.rows} == listed
        assert (sheet.total, sheet.page) == (len(listed), 1)

    def test_the_figures_count_what_waits_is_late_and_was_done_by_its_day(self, site: CareSite) -> None:
        site.coordinator.end(Ending(site.one("visit").id, True, "Cora", "coordinator", WHY))
        figures, unowned = site.listing.figures(date(2027, 5, 21))
        assert (figures.open, figures.overdue, figures.unowned) == (1, 1, 0)
        assert (figures.fell_due, figures.on_time) == (2, 1)
        assert unowned == ()
        assert site.listing.figures(date(2026, 11, 21))[0].fell_due == 0

    def test_what_was_done_in_time_counts_though_its_report_came_late(self, site: CareSite) -> None:
        site.order("A2", CT_CHEST)
        site.clock.on(DUE + timedelta(days=10))
        site.sign("A2")
        site.look()
        figures, _ = site.listing.figures(DUE + timedelta(days=11))
        assert EXAM_DAY < DUE
        assert (figures.fell_due, figures.on_time) == (2, 1)

    def test_without_a_default_owner_each_is_an_alarm_until_somebody_owns_it(self, databases: Databases) -> None:
        site = CareSite(databases, owners={})
        figures, unowned = site.listing.figures(site.clock.today())
        assert (figures.unowned, unowned) == (2, ("/p",))
        for key in ("scan", "visit"):
            site.coordinator.assign(site.one(key).id, "Dr Poe", "Cora", "")
        assert site.listing.figures(site.clock.today())[0].unowned == 0

    def test_nothing_is_shown_of_an_id_that_is_none(self, site: CareSite) -> None:
        with pytest.raises(NotFound):
            site.listing.detail("none", site.clock.today())


def _listed(site: CareSite, key: str) -> tuple[str, bool]:
    rows = site.listing.sheet(Asked(), site.clock.today()).rows
    return next((one.owner, one.is_default) for one in rows if one.follow_up.recommendation == key)
