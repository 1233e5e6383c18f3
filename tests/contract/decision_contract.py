"""What every action of every kind of hold does, and that it is done once, wholly and by name; on every database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel, select

from cds.domain.audit import CARD_SHOWN, AuditEvent
from cds.domain.coding import Coding, Quantity
from cds.domain.critical import CriticalState, delivery_id
from cds.domain.hold import ACTIONS, NEEDS, Action, Hold, HoldKind
from cds.domain.identity import Identifier
from cds.domain.message import LoggedMessage, MessageContent, RecordValue
from cds.domain.order import OrderChange, OrderStatus, ServiceRequest
from cds.domain.report import DeliveryKind
from cds.errors import Conflict, InvalidInput, InvalidMessage, NotFound, SightlineError
from cds.store import deliveries, holds
from cds.store.audit import AuditStore
from cds.store.decisions import DecisionStore, Said
from cds.store.deliveries import DeliveryStore
from cds.store.holds import HoldStore
from cds.store.record import RecordStore
from cds.store.revisions import stop
from cds.store.safety_tables import CriticalResultRow
from cds.store.studies import StudyStore
from cds.store.tables import MessageOutcomeRow, ReportRow, StudyRow, TimelineRow
from cds.store.works import WorkStore
from tests.contract.closing import close_quiet
from tests.contract.store_contract import NOW, ORDER, PATIENT, instance, raw
from tests.databases import Databases

LATER = NOW + timedelta(hours=3)
STUDY = "1.2"
OTHER = replace(PATIENT, identifiers=(Identifier("P2", "HOSP"),))
BOTH = replace(PATIENT, identifiers=(Identifier("P1", "HOSP"), Identifier("P2", "HOSP")))
BORN_LATER = replace(PATIENT, birth_date=date(1970, 1, 1))
DOUBTS = (
    HoldKind.MATCH_IN_DOUBT, HoldKind.MATCH_PROPOSED, HoldKind.STUDY_IDENTITY, HoldKind.ORDER_CANCELLED,
    HoldKind.VISIT_CANCELLED, HoldKind.WRONG_PATIENT,
)  # fmt: skip


def said(action: str, to: str = "", reason: str = "", by: str = "Ada") -> Said:
    return Said(action, by, LATER, to, reason)


def value(key: str, number: float) -> RecordValue:
    return RecordValue("observation", key, Coding("s", key), Quantity(number, "mL"), date(2026, 1, 1))


class DecisionContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def inbox(self) -> dict[int, MessageContent | InvalidMessage]:
        """What the messages of the inbox say when they are read now."""
        return {}

    @pytest.fixture
    def removed(self) -> list[str]:
        """The files that were taken away."""
        return []

    @pytest.fixture
    def decisions(
        self, databases: Databases, inbox: dict[int, MessageContent | InvalidMessage], removed: list[str]
    ) -> DecisionStore:
        """What is asked."""

        def reread(message_id: int) -> tuple[LoggedMessage, MessageContent]:
            content = inbox[message_id]
            if isinstance(content, InvalidMessage):
                raise content
            return LoggedMessage(message_id, raw(str(message_id))), content

        return DecisionStore(databases.app, reread, removed.append)

    @pytest.fixture
    def record(self, databases: Databases) -> RecordStore:
        """The record."""
        return RecordStore(databases.app)

    @pytest.fixture
    def studies(self, databases: Databases) -> StudyStore:
        """The image index, with one complete study."""
        studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
        studies.add(instance("1.2.1"), received_at=NOW, consumed=True, source="dicom")
        close_quiet(databases.app, NOW + timedelta(hours=1))
        return studies

    @pytest.fixture
    def order_id(self, record: RecordStore) -> str:
        """An open order."""
        record.apply([(LoggedMessage(1, raw("1")), MessageContent(PATIENT, orders=(OrderChange(ORDER, "NW"),)))], NOW)
        [(order, _)] = record.order_candidates("A1")
        assert order.id is not None
        return order.id

    def hold(self, databases: Databases, kind: HoldKind, key: str = "", **more: Any) -> str:
        key = key or kind.value
        with databases.app.writing() as session:
            holds.put(session, key, kind, "a reason", NOW, **{"study_uid": STUDY, **more})
        return holds.short_id(key)

    def row(self, databases: Databases, table: type[SQLModel], key: object) -> Any:
        with databases.app.reading() as session:
            return session.get(table, key)

    def pending(self, databases: Databases) -> set[tuple[int, int, int]]:
        works = WorkStore(databases.app)
        found = [works.work(queued.id).revision for queued in works.pending()]
        return {(r.image, r.match, r.analysis) for r in found}

    def refused(self, databases: Databases, error: type[SightlineError], words: str, ask: Callable[[], Hold]) -> None:
        """Nothing happens, and the hold waits as before."""
        before = HoldStore(databases.app).open()
        with pytest.raises(error, match=words):
            ask()
        assert HoldStore(databases.app).open() == before
        assert AuditStore(databases.app).search() == []

    # --- what holds for all

    def test_an_action_that_a_kind_does_not_have_is_refused_with_those_that_it_has(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore
    ) -> None:
        for kind in HoldKind:
            short, possible = self.hold(databases, kind), ", ".join(ACTIONS[kind])
            for action in ("", "burn", *(set(Action) - set(ACTIONS[kind]))):
                self.refused(databases, InvalidInput, possible, partial(decisions.resolve, short, said(action, "A1")))

    def test_an_action_wants_its_argument_and_no_other(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore
    ) -> None:
        short = self.hold(databases, HoldKind.MATCH_IN_DOUBT)
        wanted = NEEDS[Action.ATTACH]
        self.refused(databases, InvalidInput, wanted, lambda: decisions.resolve(short, said("attach")))
        self.refused(databases, InvalidInput, "takes no --to", lambda: decisions.resolve(short, said("leave", "A1")))

    def test_what_is_resolved_tells_by_whom_and_is_not_resolved_again(
        self, databases: Databases, decisions: DecisionStore
    ) -> None:
        short = self.hold(databases, HoldKind.DISCORDANT)
        done = decisions.resolve(short, said("acknowledge", reason="read it"))
        assert (done.resolved_at, done.resolution) == (LATER, "acknowledge: read it, by Ada")
        with pytest.raises(Conflict, match="already: acknowledge: read it, by Ada"):
            decisions.resolve(short, said("acknowledge", by="Ben"))
        [line] = AuditStore(databases.app).search()
        assert (line.actor, line.action, line.study_instance_uid) == ("Ada", "hold resolved", STUDY)
        with databases.app.reading() as session:
            [told] = session.exec(select(TimelineRow).where(TimelineRow.step == "hold")).all()
        assert (told.outcome, told.study_uid) == ("acknowledge", STUDY)

    def test_of_several_people_at_once_one_decides(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore
    ) -> None:
        doubts = [self.hold(databases, HoldKind.MATCH_IN_DOUBT), self.hold(databases, HoldKind.WRONG_PATIENT)]

        def decide(number: int) -> bool:
            try:
                decisions.resolve(doubts[number % 2], said("leave", by=str(number)))
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(decide, range(8))) == 1
        assert [e.action for e in AuditStore(databases.app).search()].count("hold resolved") == 1

    # --- whose the images are

    @pytest.mark.parametrize(("kind", "number"), list(zip(DOUBTS, ["accession", "id"] * 3, strict=True)))
    def test_images_are_attached_to_an_open_order(
        self,
        databases: Databases, decisions: DecisionStore, *, studies: StudyStore, order_id: str, kind: HoldKind,
        number: str,
    ) -> None:  # fmt: skip
        with databases.app.writing() as session:
            stop(session, STUDY, "in doubt", NOW)
        before = studies.study(STUDY).match_revision
        short, other = self.hold(databases, kind), self.hold(databases, HoldKind.MATCH_IN_DOUBT, "another")
        unrelated = self.hold(databases, HoldKind.DISCORDANT)
        decisions.resolve(short, said("attach", "A1" if number == "accession" else order_id))
        row = self.row(databases, StudyRow, STUDY)
        assert (row.decided, row.decided_order_id, row.decided_by, row.stopped) == ("attach", order_id, "Ada", "")
        assert (1, before + 1, 1) in self.pending(databases)
        assert HoldStore(databases.app).find(other).resolved_at == LATER
        assert [hold.id for hold in HoldStore(databases.app).open()] == [unrelated]

    def test_images_are_attached_to_no_order_that_is_not_open_or_not_one(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore, record: RecordStore
    ) -> None:
        def order(number: int, **change: Any) -> None:
            changed: ServiceRequest = replace(ORDER, **change)
            content = MessageContent(PATIENT, orders=(OrderChange(changed, "NW"),))
            record.apply([(LoggedMessage(number, raw(str(number))), content)], NOW)

        order(1, accession=Identifier("A2", "RIS"), status=OrderStatus.REVOKED)
        order(2, accession=Identifier("A3", "RIS"), placer_order_number=Identifier("PL2", "EHR"))
        order(3, accession=Identifier("A3", "RIS"), placer_order_number=Identifier("PL3", "EHR"))
        short = self.hold(databases, HoldKind.MATCH_IN_DOUBT)
        self.refused(databases, NotFound, "no open order", lambda: decisions.resolve(short, said("attach", "A9")))
        self.refused(databases, NotFound, "cancelled", lambda: decisions.resolve(short, said("attach", "A2")))
        several = [one.id or "" for one, _ in record.order_candidates("A3")]
        for one in several:
            self.refused(databases, Conflict, one, lambda: decisions.resolve(short, said("attach", "A3")))

    def test_images_are_left_without_an_order_and_what_stopped_them_is_lifted(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore
    ) -> None:
        for number, kind in enumerate(DOUBTS, 1):
            with databases.app.writing() as session:
                stop(session, STUDY, "in doubt", NOW)
            decisions.resolve(self.hold(databases, kind), said("leave"))
            row = self.row(databases, StudyRow, STUDY)
            assert (row.decided, row.decided_order_id, row.stopped) == ("leave", None, "")
            assert row.match_revision == 1 + 2 * number

    def test_a_result_is_taken_back_and_nobody_sees_it(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore
    ) -> None:
        kinds = [kind for kind in DOUBTS if Action.RETRACT in ACTIONS[kind]]
        assert len(kinds) == 4
        for revision, kind in enumerate(kinds, 2):
            decisions.resolve(self.hold(databases, kind), said("retract", reason=f"mixed up {revision}"))
            row = self.row(databases, StudyRow, STUDY)
            assert (row.stopped, row.match_revision) == (f"mixed up {revision}", revision)
            assert (1, revision, 1) in self.pending(databases)

    # --- conflicting instances

    @pytest.mark.parametrize(
        ("action", "kept", "gone", "image_revision"),
        [("keep-first", "instances/1.2.1", "instances/new", 1), ("use-new", "instances/new", "instances/1.2.1", 2)],
    )
    def test_of_two_instances_one_is_kept_and_the_others_file_is_removed(
        self,
        databases: Databases, decisions: DecisionStore, *, studies: StudyStore, removed: list[str],
        action: str, kept: str, gone: str, image_revision: int,
    ) -> None:  # fmt: skip
        again = replace(instance("1.2.1", sha256="other"), path="instances/new", pixels_sha256="other")
        assert studies.add(again, received_at=NOW, consumed=True, source="dicom") == "conflict"
        [hold] = HoldStore(databases.app).open()
        decisions.resolve(hold.id, said(action))
        assert studies.study(STUDY).image_revision == image_revision
        [series] = studies.series(STUDY, image_revision)
        assert (series.paths, removed) == ((kept,), [gone])

    # --- quarantined messages

    def quarantine(self, record: RecordStore, number: int, content: MessageContent | InvalidMessage) -> str:
        record.apply([(LoggedMessage(number, raw(str(number))), content)], NOW)
        return holds.short_id(f"message:{number}")

    def test_a_discarded_message_changes_nothing(
        self, databases: Databases, decisions: DecisionStore, record: RecordStore
    ) -> None:
        short = self.quarantine(record, 1, InvalidMessage("want a patient in PID-3"))
        decisions.resolve(short, said("discard"))
        outcome = self.row(databases, MessageOutcomeRow, 1)
        assert (outcome.state, outcome.applied_at) == ("discarded", LATER)
        assert record.applied_up_to() == 1

    def test_a_message_in_doubt_is_applied_where_a_person_says_so(
        self,
        databases: Databases, decisions: DecisionStore, record: RecordStore,
        inbox: dict[int, MessageContent | InvalidMessage],
    ) -> None:  # fmt: skip
        record.apply([(LoggedMessage(1, raw("1")), MessageContent(PATIENT))], NOW)
        inbox[2] = MessageContent(BORN_LATER, values=(value("fev1", 2.0),))
        short = self.quarantine(record, 2, inbox[2])
        decisions.resolve(short, said("apply"))
        patient = record.patient(Identifier("P1", "HOSP"))
        assert patient is not None
        assert patient.birth_date == BORN_LATER.birth_date
        assert [s.value.key for s in record.statements(patient).statements] == ["fev1"]
        assert self.row(databases, MessageOutcomeRow, 2).state == "applied"

    def test_a_message_that_is_applied_late_does_not_undo_what_its_sender_said_since(
        self,
        decisions: DecisionStore, record: RecordStore, inbox: dict[int, MessageContent | InvalidMessage],
    ) -> None:  # fmt: skip
        record.apply([(LoggedMessage(1, raw("1")), MessageContent(PATIENT))], NOW)
        inbox[2] = MessageContent(BORN_LATER, values=(value("fev1", 2.0), value("fvc", 3.0)))
        short = self.quarantine(record, 2, inbox[2])
        record.apply([(LoggedMessage(3, raw("3")), MessageContent(PATIENT, values=(value("fev1", 2.5),)))], NOW)
        decisions.resolve(short, said("apply"))
        patient = record.patient(Identifier("P1", "HOSP"))
        assert patient is not None
        stated = {s.value.key: s.value.value for s in record.statements(patient).statements}
        assert stated == {"fev1": Quantity(2.5, "mL"), "fvc": Quantity(3.0, "mL")}

    @pytest.mark.parametrize(
        ("content", "error", "words"),
        [
            (MessageContent(BOTH), Conflict, "more than one patient"),
            (InvalidMessage("want a date in PID-7"), InvalidMessage, "want a date in PID-7"),
            (MessageContent(None, ignored="no order in it"), InvalidInput, "no order in it"),
        ],
        ids=["two-patients", "unreadable", "nothing-in-it"],
    )
    def test_a_message_that_cannot_be_applied_waits_on_with_the_reason(
        self,
        databases: Databases, decisions: DecisionStore, *, record: RecordStore,
        inbox: dict[int, MessageContent | InvalidMessage],
        content: MessageContent | InvalidMessage, error: type[SightlineError], words: str,
    ) -> None:  # fmt: skip
        for number, patient in ((1, PATIENT), (2, OTHER)):
            record.apply([(LoggedMessage(number, raw(str(number))), MessageContent(patient))], NOW)
        inbox[3] = content
        short = self.quarantine(record, 3, InvalidMessage("cannot be read"))
        self.refused(databases, error, words, lambda: decisions.resolve(short, said("apply")))
        assert self.row(databases, MessageOutcomeRow, 3).state == "quarantined"

    # --- works and deliveries

    def test_a_failed_study_runs_again_as_another_analysis(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore
    ) -> None:
        works = WorkStore(databases.app)
        [queued] = works.pending()
        works.fail(queued.id, "the disk was full", NOW)
        decisions.resolve(holds.short_id(f"work:{queued.id}"), said("run-again"))
        assert self.pending(databases) == {(1, 1, 2)}

    def test_what_could_not_be_encoded_is_decided_again_with_the_same_findings(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore
    ) -> None:
        decisions.resolve(self.hold(databases, HoldKind.DELIVERY_NOT_ENCODED), said("run-again"))
        assert (1, 2, 1) in self.pending(databases)

    def sent(self, databases: Databases, name: str, kind: DeliveryKind = DeliveryKind.REPORT) -> DeliveryStore:
        with databases.app.writing() as session:
            if session.get(ReportRow, "w") is None:
                session.add(ReportRow(work_id="w", study_uid=STUDY, version=1, body="{}", issued=NOW))
            deliveries.enqueue(
                session, delivery_id=name, destination="ehr", kind=kind, payload=name.encode(), now=NOW, work_id="w",
                study_uid=STUDY, patient_id="random-id",
            )  # fmt: skip
        return DeliveryStore(databases.app)

    def test_a_refused_delivery_is_sent_again_with_the_same_bytes_behind_the_others(
        self, databases: Databases, decisions: DecisionStore
    ) -> None:
        store = self.sent(databases, "d")
        store.refused("d", "AR", NOW)
        decisions.resolve(holds.short_id("delivery:d:1"), said("send-again"))
        store.refused("d~1", "AR", NOW)
        decisions.resolve(holds.short_id("delivery:d~1:1"), said("send-again"))
        assert [due.id for due in store.pending()] == ["d~2"]
        again, first = store.delivery("d~2"), store.delivery("d")
        same = ("destination", "work_id", "payload", "kind", "study_instance_uid", "subject")
        assert [getattr(again, name) for name in same] == [getattr(first, name) for name in same]
        assert again.sequence > first.sequence
        assert first.state.value == "refused"

    @pytest.mark.parametrize(
        ("kind", "later", "overtaken"),
        [
            (DeliveryKind.REPORT, DeliveryKind.REPORT, True),
            (DeliveryKind.REPORT, DeliveryKind.RETRACTION, True),
            (DeliveryKind.RETRACTION, DeliveryKind.REPORT, True),
            (DeliveryKind.RETRACTION, DeliveryKind.RETRACTION, False),
        ],
    )
    def test_the_past_is_not_sent_over_the_present(
        self,
        databases: Databases, decisions: DecisionStore, kind: DeliveryKind, later: DeliveryKind, *, overtaken: bool,
    ) -> None:  # fmt: skip
        self.sent(databases, "d", kind).refused("d", "AR", NOW)
        self.sent(databases, "later", later).sent("later", "AA", NOW)
        short = holds.short_id("delivery:d:1")
        if overtaken:
            self.refused(databases, Conflict, "newer", lambda: decisions.resolve(short, said("send-again")))
            if kind is DeliveryKind.RETRACTION or later is DeliveryKind.RETRACTION:
                decisions.resolve(short, said("give-up"))  # else the newer report settled it when it arrived
        else:
            decisions.resolve(short, said("send-again"))
        assert [due.id for due in DeliveryStore(databases.app).pending()] == ([] if overtaken else ["d~1"])

    def test_a_report_that_a_newer_version_replaced_is_not_sent_again(
        self, databases: Databases, decisions: DecisionStore
    ) -> None:
        self.sent(databases, "d").refused("d", "AR", NOW)
        with databases.app.writing() as session:
            session.add(ReportRow(work_id="w2", study_uid=STUDY, version=2, body="{}", issued=NOW))
        again = partial(decisions.resolve, holds.short_id("delivery:d:1"), said("send-again"))
        self.refused(databases, Conflict, "newer", again)

    @pytest.mark.parametrize("kind", [DeliveryKind.REPORT, DeliveryKind.CRITICAL])
    def test_what_names_a_patient_is_not_sent_again_while_the_study_is_stopped(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore, kind: DeliveryKind
    ) -> None:
        name = self.critical_delivery(databases) if kind is DeliveryKind.CRITICAL else "d"
        if kind is DeliveryKind.REPORT:
            self.sent(databases, name).refused(name, "AR", NOW)
        with databases.app.writing() as session:
            stop(session, STUDY, "another patient", NOW)
        again = partial(decisions.resolve, holds.short_id(f"delivery:{name}:1"), said("send-again"))
        self.refused(databases, Conflict, "waits for a person", again)

    def critical_delivery(self, databases: Databases, purpose: str = "") -> str:
        """A refused delivery of a critical result that waits."""
        name = delivery_id("c1", "ward", purpose)
        with databases.app.writing() as session:
            session.add(
                CriticalResultRow(
                    id="c1", token="t", study_uid=STUDY, episode=1, work_id="w", finding="m.bleed", title="bleed",
                    category=1, route="ward", state=CriticalState.OPEN.value, created_at=NOW, due_at=NOW,
                )
            )  # fmt: skip
            deliveries.enqueue(
                session, delivery_id=name, destination="critical:ward", kind=DeliveryKind.CRITICAL, payload=b"it",
                now=NOW, work_id="w", study_uid=STUDY, patient_id="random-id", subject="c1",
            )  # fmt: skip
        DeliveryStore(databases.app).refused(name, "AR", NOW)
        return name

    @pytest.mark.parametrize(
        ("purpose", "state", "again"),
        [
            ("", CriticalState.OPEN, True),
            ("", CriticalState.CLOSED, False),
            ("", CriticalState.ACKNOWLEDGED, False),
            ("withdrawal", CriticalState.CLOSED, True),
        ],
    )
    def test_a_critical_result_is_sent_again_while_it_waits_and_its_withdrawal_always(
        self, databases: Databases, decisions: DecisionStore, purpose: str, state: CriticalState, *, again: bool
    ) -> None:
        name = self.critical_delivery(databases, purpose)
        with databases.app.writing() as session:
            session.get_one(CriticalResultRow, "c1").state = state.value
        short = holds.short_id(f"delivery:{name}:1")
        if again:
            decisions.resolve(short, said("send-again"))
        else:
            self.refused(databases, Conflict, "waits for nobody", lambda: decisions.resolve(short, said("send-again")))
        assert [due.id for due in DeliveryStore(databases.app).pending()] == ([f"{name}~1"] if again else [])

    def test_a_study_whose_stop_was_lifted_is_stopped_again_by_the_same_words(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore
    ) -> None:
        for turn in ("one", "two"):
            short = self.hold(databases, HoldKind.MATCH_IN_DOUBT, turn)
            decisions.resolve(short, said("retract", reason="not hers"))
            assert self.row(databases, StudyRow, STUDY).stopped == "not hers"
            decisions.wrong_patient(STUDY, said("wrong-patient", reason="not hers"))
            [hold] = HoldStore(databases.app).open()
            decisions.resolve(hold.id, said("leave"))
            assert self.row(databases, StudyRow, STUDY).stopped == ""

    def test_images_are_not_attached_to_an_order_of_a_test_message(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore, record: RecordStore, order_id: str
    ) -> None:
        test = MessageContent(PATIENT, orders=(OrderChange(replace(ORDER, accession=Identifier("A9", "RIS")), "NW"),))
        record.apply([(LoggedMessage(2, raw("2")), replace(test, test=True))], NOW)
        [(order, _)] = record.order_candidates("A9")
        for number in ("A9", order.id or ""):
            with pytest.raises(Conflict, match="test message"):
                decisions.attach(STUDY, number, said("attach"))
        assert self.row(databases, StudyRow, STUDY).decided == ""

    def test_a_critical_result_is_acknowledged_with_its_hold(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore
    ) -> None:
        row = CriticalResultRow(
            id="c1", token="t", study_uid=STUDY, episode=1, work_id="w", finding="m.bleed", title="bleed", category=1,
            route="ward", state=CriticalState.ALARMED.value, created_at=NOW, due_at=NOW,
        )  # fmt: skip
        with databases.app.writing() as session:
            session.add(row)
        decisions.resolve(self.hold(databases, HoldKind.CRITICAL_UNACKNOWLEDGED, "critical:c1"), said("acknowledge"))
        told = self.row(databases, CriticalResultRow, "c1")
        assert (told.state, told.acknowledged_by, told.acknowledged_at) == ("acknowledged", "Ada", LATER)
        assert HoldStore(databases.app).open() == []

    # --- without a hold

    def test_a_person_attaches_a_study_by_its_number(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore, order_id: str
    ) -> None:
        self.hold(databases, HoldKind.MATCH_IN_DOUBT)
        assert decisions.attach("A1", "A1", said("attach", reason="seen on the ward")) == STUDY
        assert self.row(databases, StudyRow, STUDY).decided_order_id == order_id
        assert HoldStore(databases.app).open() == []
        [line] = AuditStore(databases.app).search()
        assert (line.action, line.detail) == ("match decided: attach", ("attach: seen on the ward",))
        with pytest.raises(NotFound, match="no study"):
            decisions.attach("A9", "A1", said("attach"))

    def test_an_accession_number_of_several_studies_names_none(
        self, decisions: DecisionStore, studies: StudyStore
    ) -> None:
        studies.add(instance("1.3.1", study="1.3"), received_at=NOW, consumed=True, source="dicom")
        with pytest.raises(Conflict, match="several studies"):
            decisions.wrong_patient("A1", said("wrong-patient"))

    def test_a_wrong_patient_stops_the_study_and_tells_who_saw_it(
        self, databases: Databases, decisions: DecisionStore, studies: StudyStore, order_id: str
    ) -> None:
        for who in ("Practitioner/7", "Practitioner/7", "Patient/8"):
            AuditStore(databases.app).write(AuditEvent(NOW, who, CARD_SHOWN, STUDY, "random-id"))
        self.sent(databases, "d").sent("d", "AA", NOW)
        before = studies.study(STUDY).match_revision
        seen = decisions.wrong_patient("A1", said("wrong-patient", reason="swapped at the scanner"))
        assert [event.actor for event in seen] == ["Practitioner/7", "Practitioner/7", "Patient/8", "ehr"]
        row = self.row(databases, StudyRow, STUDY)
        assert (row.stopped, row.match_revision) == ("swapped at the scanner", before + 1)
        [hold] = HoldStore(databases.app).open()
        assert hold.kind is HoldKind.WRONG_PATIENT
        assert hold.reason == "swapped at the scanner; seen by: Practitioner/7 (2), Patient (1), ehr (1)"
        [line] = [e for e in AuditStore(databases.app).search() if e.action == "wrong patient found"]
        assert (line.actor, line.study_instance_uid) == ("Ada", STUDY)
        with databases.app.reading() as session:
            [told] = session.exec(select(TimelineRow).where(TimelineRow.step == "wrong patient")).all()
        assert told.study_uid == STUDY
        with pytest.raises(Conflict, match=f"cds holds show {hold.id}"):
            decisions.wrong_patient(STUDY, said("wrong-patient"))
        decisions.resolve(hold.id, said("attach", "A1"))
        assert self.row(databases, StudyRow, STUDY).stopped == ""
        decisions.wrong_patient(STUDY, said("wrong-patient"))
        assert len(HoldStore(databases.app).open()) == 1
