"""What critical results promise (SAFETY section 5), on every database that the store runs on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlmodel import col, select

from cds.alerting import alert, escalate
from cds.domain.critical import CriticalNotice, CriticalResult, CriticalState, message_number
from cds.domain.finding import Presence
from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier
from cds.domain.matching import Match, MatchState
from cds.domain.message import LoggedMessage, MessageContent
from cds.domain.report import Mode
from cds.domain.switch import SwitchKind
from cds.domain.verification import FindingRef, Verdict, Verification
from cds.errors import Conflict, InvalidInput, NotFound
from cds.store import criticals, timeline
from cds.store import holds as hold_store
from cds.store.deliveries import DeliveryStore
from cds.store.holds import open_holds
from cds.store.tables import AppBase, DeliveryRow, WorkStepRow
from tests.contract.critical_site import BLEED, FINDING, MODEL, NOW, PATIENT, ROUTES, CriticalSite, plainly, settings
from tests.contract.store_contract import raw
from tests.databases import Databases

HELD = Match(MatchState.HELD, ("the images' birth date contradicts the order's patient",))
OTHER = replace(PATIENT, identifiers=(Identifier("P2", "HOSP"),), name=replace(PATIENT.name, family="Somebody"))


def only(site: CriticalSite) -> CriticalResult:
    [result] = site.criticals.all(waiting=False)
    return result


def deliveries(site: CriticalSite) -> list[DeliveryRow]:
    with site.databases.app.reading() as session:
        return list(session.exec(select(DeliveryRow).order_by(col(DeliveryRow.created_at), col(DeliveryRow.id))).all())


def sent(site: CriticalSite) -> list[str]:
    return [row.destination for row in deliveries(site)]


def holds(site: CriticalSite) -> list[HoldKind]:
    return [hold.kind for hold in open_holds(site.databases.app)]


def told(site: CriticalSite) -> list[str]:
    """The timeline of critical results, in words."""
    with site.databases.app.reading() as session:
        lines = timeline.read(session, studies=["1.2"], orders=[])
    return [" ".join((one.step, one.outcome, *one.detail)) for one in lines if one.step in ("critical", "alert")]


def acknowledge_late(site: CriticalSite) -> None:
    """A person has seen what is held as late."""
    with site.databases.app.writing() as session:
        hold_store.end(session, HoldKind.CRITICAL_LATE, "1.2", site.clock.now(), "acknowledge", by="Dr. Duty")


def emptied(databases: Databases) -> Databases:
    """The same tables without a row: migrations take longer than all of these tests."""
    with databases.app.writing() as session:
        for table in AppBase.metadata.tables.values():
            session.execute(table.delete())
    return databases


class CriticalsContract:
    """Alert, escalate, acknowledge, withdraw."""

    @pytest.fixture
    def site(self, databases: Databases) -> CriticalSite:
        return CriticalSite(databases)

    def test_a_critical_finding_is_open_with_its_delivery_once(self, site: CriticalSite) -> None:
        work = site.work(match=site.matched())
        [critical_id] = alert(site, work.id)
        assert alert(site, work.id) == [critical_id]
        result = only(site)
        assert (result.id, result.finding, result.state) == (critical_id, FINDING, CriticalState.OPEN)
        assert (result.route, result.due_at) == ("first", NOW + timedelta(minutes=15))
        [delivery] = deliveries(site)
        assert (delivery.destination, delivery.kind, delivery.subject) == ("critical:first", "critical", critical_id)
        text = delivery.payload.decode()
        assert "patient Unmistakable" in text
        assert f"https://sightline.example/critical/{result.token}" in text
        assert "Images made at 2026-11-20 10:00" in text

    def test_nobody_acknowledges_and_it_escalates_then_alarms_then_somebody_does(self, site: CriticalSite) -> None:
        [critical_id] = alert(site, site.work().id)
        site.clock.forward(minutes=14)
        assert escalate(site, site.clock.now()) == 0
        site.clock.forward(minutes=1)
        assert escalate(site, site.clock.now()) == 1
        assert escalate(site, site.clock.now()) == 0
        assert (only(site).state, only(site).route) == (CriticalState.ESCALATED, "second")
        assert only(site).due_at == site.clock.now() + timedelta(minutes=5)
        assert sent(site) == ["critical:first", "critical:second"]
        site.clock.forward(minutes=5)
        assert escalate(site, site.clock.now()) == 1
        assert only(site).state is CriticalState.ALARMED
        assert holds(site) == [HoldKind.CRITICAL_UNACKNOWLEDGED]
        site.clock.forward(days=1)
        assert escalate(site, site.clock.now()) == 0
        done = site.criticals.acknowledge(critical_id[:8], "Dr. Duty", site.clock.now())
        assert (done.state, done.acknowledged_by) == (CriticalState.ACKNOWLEDGED, "Dr. Duty")
        assert [event.what for event in done.log] == ["opened", "escalated", "alarmed", "acknowledged"]
        assert holds(site) == []
        assert escalate(site, site.clock.now() + timedelta(days=9)) == 0
        assert {row.state for row in deliveries(site)} == {"superseded"}
        assert [line.split()[1] for line in told(site) if line.startswith("critical")] == [
            "opened", "escalated", "alarmed", "acknowledged",
        ]  # fmt: skip
        assert "Dr. Duty" not in "".join(told(site))

    def test_the_minutes_are_those_of_the_category(self, databases: Databases) -> None:
        site = CriticalSite(databases, critical_findings={FINDING: 3})
        alert(site, site.work().id)
        assert only(site).due_at == NOW + timedelta(minutes=2880)

    def test_two_workers_escalate_once(self, site: CriticalSite) -> None:
        alert(site, site.work().id)
        later = NOW + timedelta(minutes=15)
        with ThreadPoolExecutor(4) as pool:
            moved = list(pool.map(lambda _: escalate(site, later), range(8)))
        assert sum(moved) == 1
        assert sent(site) == ["critical:first", "critical:second"]

    def test_a_refused_delivery_escalates_at_once(self, site: CriticalSite) -> None:
        alert(site, site.work().id)
        DeliveryStore(site.databases.app).refused(deliveries(site)[0].id, "the mail server refuses it", NOW)
        assert escalate(site, NOW) == 1
        assert only(site).route == "second"
        assert "route first refused it" in only(site).log[-1].detail

    def test_a_message_that_cannot_be_made_goes_to_the_next_at_once(self, site: CriticalSite) -> None:
        def fails(*_: object) -> bytes:
            raise InvalidInput("want a mail address")

        site.tell = {"first": fails, "second": site.tell["second"]}
        alert(site, site.work().id)
        assert sent(site) == []
        assert escalate(site, NOW) == 1
        assert sent(site) == ["critical:second"]

    def test_a_result_whose_message_breaks_goes_to_the_next_and_then_alarms_and_the_others_go_on(
        self, site: CriticalSite, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def breaks(notice: CriticalNotice, delivery_id: str) -> bytes:
            if notice.result.finding == FINDING:
                raise ValueError("Unmistakable")
            return plainly(notice, delivery_id)

        site.settings = settings(critical_findings={FINDING: 1, "ct_head.other": 1})
        site.tell = {"first": plainly, "second": breaks}
        alert(site, site.work(BLEED, replace(BLEED, key="other")).id)
        site.clock.forward(minutes=15)
        assert escalate(site, site.clock.now()) == 2
        assert sent(site).count("critical:second") == 1
        assert escalate(site, site.clock.now()) == 1
        states = {one.finding: one.state for one in site.criticals.all()}
        assert states == {FINDING: CriticalState.ALARMED, "ct_head.other": CriticalState.ESCALATED}
        assert holds(site) == [HoldKind.CRITICAL_UNACKNOWLEDGED]
        assert "not sent" in [event.what for one in site.criticals.all() for event in one.log]
        said = capsys.readouterr().err
        assert "ValueError" in said
        assert "Unmistakable" not in said + "".join(told(site))

    def test_a_first_message_that_breaks_opens_the_result_all_the_same(self, site: CriticalSite) -> None:
        def breaks(*_: object) -> bytes:
            raise KeyError("x")

        site.tell = {"first": breaks, "second": plainly}
        alert(site, site.work().id)
        assert (only(site).state, sent(site)) == (CriticalState.OPEN, [])
        escalate(site, NOW)
        assert sent(site) == ["critical:second"]

    def test_a_result_of_which_nothing_can_be_read_is_an_alarm_and_its_withdrawal_is_held(
        self, site: CriticalSite
    ) -> None:
        work = site.work()
        alert(site, work.id)
        with site.databases.app.writing() as session:
            session.get_one(WorkStepRow, (work.id, "match")).body = "{"
        assert escalate(site, NOW + timedelta(minutes=15)) == 1
        assert (only(site).state, holds(site)) == (CriticalState.ALARMED, [HoldKind.CRITICAL_UNACKNOWLEDGED])
        with site.databases.app.writing() as session:
            criticals.close(session, "1.2", "void", NOW)
        assert escalate(site, NOW + timedelta(minutes=16)) == 1
        assert holds(site) == [HoldKind.DELIVERY_NOT_ENCODED]
        assert escalate(site, NOW + timedelta(minutes=17)) == 0

    def test_without_a_route_it_is_an_alarm_at_once(self, databases: Databases) -> None:
        site = CriticalSite(databases, critical_routes={}, critical_route="")
        alert(site, site.work().id)
        assert only(site).state is CriticalState.ALARMED
        [hold] = open_holds(databases.app)
        assert hold.kind is HoldKind.CRITICAL_UNACKNOWLEDGED
        assert "no route is configured" in hold.reason

    def test_a_route_that_is_switched_off_is_passed_over(self, site: CriticalSite) -> None:
        site.switches.names.add((SwitchKind.DESTINATION, "critical:first"))
        alert(site, site.work().id)
        assert sent(site) == ["critical:second"]

    @pytest.mark.parametrize("state", [MatchState.UNMATCHED, MatchState.DETACHED, MatchState.HELD])
    def test_no_match_suppresses_it_and_only_a_sure_one_names_the_patient(
        self, site: CriticalSite, state: MatchState
    ) -> None:
        known = site.matched()
        match = replace(known, state=state) if state is MatchState.DETACHED else Match(state, ("a reason",))
        alert(site, site.work(match=match).id)
        text = deliveries(site)[0].payload.decode()
        assert ("Unmistakable" in text) is (state is MatchState.DETACHED)
        assert ("in doubt" in text) is (state is MatchState.HELD)
        assert "The images state accession number A1." in text
        assert text.splitlines()[2] == "order "

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"model_modes": {MODEL: Mode.SHADOW}}, "the model is in shadow mode"),
            ({"model_modes": {MODEL: Mode.OFF}}, "the model is in off mode"),
        ],
    )
    def test_a_model_that_is_not_advisory_would_have_alerted(
        self, databases: Databases, change: dict[str, object], reason: str
    ) -> None:
        site = CriticalSite(databases, **change)
        work = site.work()
        assert alert(site, work.id) == alert(site, work.id) == []
        assert (site.criticals.all(waiting=False), deliveries(site)) == ([], [])
        [line] = told(site)
        assert f"would have alerted: {FINDING}, ACR category 1: {reason}" in line

    def test_a_model_that_is_switched_off_does_not_alert(self, site: CriticalSite) -> None:
        site.switches.names.add((SwitchKind.MODEL, MODEL))
        assert alert(site, site.work().id) == []
        assert "switched off" in told(site)[0]

    def test_only_what_is_present_is_critical(self, site: CriticalSite) -> None:
        assert alert(site, site.work(replace(BLEED, presence=Presence.NOT_DETECTED)).id) == []
        assert told(site) == []

    def test_a_test_message_alerts_nobody_in_production(self, site: CriticalSite) -> None:
        assert alert(site, site.work(match=site.matched(test=True)).id) == []
        assert "no route takes tests" in told(site)[0]

    def test_a_test_message_alerts_the_test_system_alone(self, databases: Databases) -> None:
        system = {"host": "127.0.0.1", "port": 9, "processing": "T"}
        routes = {**ROUTES, "test": {"recipient": "Test", "channel": "hl7", "hl7": system}}
        routes["second"] = {**ROUTES["second"], "escalate_to": "test"}
        site = CriticalSite(databases, critical_routes=routes)
        alert(site, site.work(match=site.matched(test=True)).id)
        assert sent(site) == ["critical:test"]
        site.clock.forward(days=3)
        escalate(site, site.clock.now())
        assert only(site).state is CriticalState.ALARMED

    def test_old_images_are_not_told_as_new(self, site: CriticalSite) -> None:
        work = site.work(made=NOW - timedelta(hours=5))
        assert alert(site, work.id) == alert(site, work.id) == []
        assert deliveries(site) == []
        [hold] = open_holds(site.databases.app)
        assert hold.kind is HoldKind.CRITICAL_LATE
        assert "images made at 2026-11-20 05:00" in hold.reason
        assert any("critical late" in line for line in told(site))

    def test_old_images_of_another_patient_are_withdrawn_and_not_told_as_new(self, site: CriticalSite) -> None:
        [wrong] = alert(site, site.work(match=site.matched()).id)
        site.criticals.acknowledge(wrong, "Dr. Duty", NOW)
        site.clock.forward(days=30)
        assert alert(site, site.again(match=site.matched(OTHER)).id) == []
        assert escalate(site, site.clock.now()) == 1
        assert only(site).state is CriticalState.CLOSED
        assert [b"Withdrawn" in row.payload for row in deliveries(site)] == [False, True]
        assert holds(site) == [HoldKind.CRITICAL_LATE]

    def test_late_findings_are_held_again_only_for_another_patient(self, site: CriticalSite) -> None:
        made, mine = NOW - timedelta(hours=5), site.matched()
        alert(site, site.work(match=mine, made=made).id)
        newest = site.again(match=mine)
        alert(site, newest.id)
        [hold] = open_holds(site.databases.app)
        assert hold.work_id == newest.id
        acknowledge_late(site)
        alert(site, site.again(match=mine).id)
        assert holds(site) == []
        alert(site, site.again(match=site.matched(OTHER)).id)
        assert holds(site) == [HoldKind.CRITICAL_LATE]
        assert deliveries(site) == []

    def test_images_of_an_unknown_time_are_treated_as_new_and_say_so(self, site: CriticalSite) -> None:
        alert(site, site.work(made=None).id)
        assert "not known; they are treated as new" in deliveries(site)[0].payload.decode()

    def test_a_new_version_does_not_alert_again_but_names_the_patient_from_then_on(self, site: CriticalSite) -> None:
        alert(site, site.work().id)
        alert(site, site.again(match=site.matched()).id)
        assert sent(site) == ["critical:first"]
        escalate(site, NOW + timedelta(minutes=15))
        first, second = (row.payload.decode() for row in deliveries(site))
        assert "Unmistakable" not in first
        assert "Unmistakable" in second

    def test_new_images_with_the_same_finding_do_not_alert_again(self, site: CriticalSite) -> None:
        alert(site, site.work().id)
        alert(site, site.work().id)
        assert sent(site) == ["critical:first"]

    def test_the_wrong_patient_is_withdrawn_where_it_was_told_and_the_right_one_is_told(
        self, site: CriticalSite
    ) -> None:
        [wrong] = alert(site, site.work(match=site.matched()).id)
        site.criticals.acknowledge(wrong, "Dr. Duty", NOW)
        [right] = alert(site, site.again(match=site.matched(OTHER)).id)
        assert right != wrong
        assert escalate(site, NOW) == 1
        assert escalate(site, NOW) == 0
        payloads = [row.payload.decode() for row in deliveries(site) if row.subject == wrong]
        [withdrawal] = [text for text in payloads if "Withdrawn" in text]
        assert "patient Unmistakable" in withdrawal
        [new] = [row.payload.decode() for row in deliveries(site) if row.subject == right]
        assert "patient Somebody" in new
        states = {result.id: result.state for result in site.criticals.all(waiting=False)}
        assert states == {wrong: CriticalState.CLOSED, right: CriticalState.OPEN}

    def test_a_study_that_becomes_doubtful_is_withdrawn_and_told_without_a_name(self, site: CriticalSite) -> None:
        [named] = alert(site, site.work(match=site.matched()).id)
        held = site.again(match=HELD)
        [unnamed] = alert(site, held.id)
        with site.databases.app.writing() as session:  # what committing its version does afterwards
            criticals.close(session, "1.2", "the study was taken back", NOW, keep=held.id)
        escalate(site, NOW)
        assert [r.id for r in site.criticals.all()] == [unnamed]
        [row] = [row for row in deliveries(site) if row.subject == unnamed]
        assert "patient nobody" in row.payload.decode()
        assert sum(row.subject == named for row in deliveries(site)) == 2

    def test_a_late_step_of_an_older_work_changes_nothing(self, site: CriticalSite) -> None:
        older = site.work(match=site.matched())
        [current] = alert(site, site.again(match=site.matched(OTHER)).id)
        assert alert(site, older.id) == [current]
        assert only(site).state is CriticalState.OPEN

    def test_a_rejected_finding_is_closed_and_stays_so(self, site: CriticalSite) -> None:
        work = site.work()
        alert(site, work.id)
        finding = FindingRef("1.2", work.revision.image, MODEL, "1.0", "bleed")
        site.opinions.given = (Verification(finding, Verdict.REJECTED, "R1", "radiologist", NOW),)
        with site.databases.app.writing() as session:
            criticals.close(session, "1.2", "another finding", NOW, "ct_head.other")
            criticals.close(session, "1.2", "a radiologist rejected the finding", NOW, FINDING)
        assert escalate(site, NOW + timedelta(hours=1)) == 1
        assert [row.destination for row in deliveries(site)] == ["critical:first", "critical:first"]
        assert [row.state for row in deliveries(site) if b"Withdrawn" not in row.payload] == ["superseded"]
        [withdrawal] = [row.payload.decode() for row in deliveries(site) if b"Withdrawn" in row.payload]
        assert "This does not hold any more: a radiologist rejected the finding." in withdrawal
        assert alert(site, site.again(match=Match(MatchState.UNMATCHED, ("none",))).id) == []

    def test_a_withdrawal_over_a_route_that_is_gone_waits_for_a_person(self, site: CriticalSite) -> None:
        alert(site, site.work().id)
        with site.databases.app.writing() as session:
            criticals.close(session, "1.2", "void", NOW)
        site.tell = {}
        assert escalate(site, NOW) == 1
        assert holds(site) == [HoldKind.DELIVERY_NOT_ENCODED]

    def test_who_acknowledges_first_counts(self, site: CriticalSite) -> None:
        alert(site, site.work().id)
        token = only(site).token
        first = site.criticals.acknowledge_by_token(token, "Dr. First", NOW)
        again = site.criticals.acknowledge_by_token(token, "Dr. Second", NOW + timedelta(minutes=1))
        assert first == again
        assert first.acknowledged_by == "Dr. First"
        assert len(token) >= 43
        with pytest.raises(NotFound):
            site.criticals.acknowledge_by_token(token[:-1], "Dr. Third", NOW)

    def test_a_message_acknowledges_by_the_number_that_it_was_sent_under(self, site: CriticalSite) -> None:
        alert(site, site.work().id)
        number = message_number(deliveries(site)[0].id)
        assert len(number) == 20
        assert not site.criticals.acknowledge_message("ANOTHER", "Dr. Duty", NOW)
        assert site.criticals.acknowledge_message(number, "Dr. Duty", NOW)
        assert only(site).state is CriticalState.ACKNOWLEDGED

    def test_a_message_of_the_inbox_acknowledges(self, site: CriticalSite) -> None:
        alert(site, site.work().id)
        number = message_number(deliveries(site)[0].id)
        content = MessageContent(None, acknowledges=number, acknowledged_by="Doris Duty (4711)")
        site.record.apply([(LoggedMessage(1, raw("1")), content)], NOW)
        assert only(site).acknowledged_by == "Doris Duty (4711)"

    def test_resolving_its_hold_acknowledges_it(self, databases: Databases) -> None:
        site = CriticalSite(databases, critical_routes={}, critical_route="")
        alert(site, site.work().id)
        with databases.app.writing() as session:
            assert criticals.acknowledge_hold(session, f"critical:{only(site).id}", "Dr. Duty", NOW)
            assert not criticals.acknowledge_hold(session, "critical-late:1.2:x", "Dr. Duty", NOW)
        assert (only(site).state, holds(site)) == (CriticalState.ACKNOWLEDGED, [])

    def test_what_was_withdrawn_needs_no_acknowledgment(self, site: CriticalSite) -> None:
        alert(site, site.work().id)
        with site.databases.app.writing() as session:
            criticals.close(session, "1.2", "void", NOW)
        with pytest.raises(Conflict, match="withdrawn"):
            site.criticals.acknowledge(only(site).id, "Dr. Duty", NOW)
        assert site.criticals.acknowledge_by_token(only(site).token, "Dr. Duty", NOW).state is CriticalState.CLOSED
