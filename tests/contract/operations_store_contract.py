"""How the installation stands, and the audit log searched, on every database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cds.domain.audit import AuditEvent
from cds.domain.finding import Findings, ModelOutcome, NotEvaluated
from cds.domain.hold import HoldKind
from cds.domain.hook import Reader, StudyNote
from cds.domain.report import DeliveryKind
from cds.store import holds
from cds.store import operations as store
from cds.store.audit import AuditStore
from cds.store.audit_search import search
from cds.store.deliveries import enqueue
from cds.store.message_log import SqlMessageLog
from cds.store.safety_tables import AlarmRow
from cds.store.tables import HeartbeatRow, MessageOutcomeRow, ModelOutcomeRow, WorkRow
from cds.store.values import dump
from cds.ui.operations_values import AuditAsked, ModelDevice, PeerAnswer, Queue
from tests.contract.card_log_contract import ABOUT, call, card, log_over
from tests.contract.message_log_contract import message
from tests.databases import Databases

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=3)


def queues(databases: Databases) -> set[Queue]:
    return set(store.standing(databases.app).queues)


def outcome(model: str, revision: int, at: datetime, said: ModelOutcome) -> ModelOutcomeRow:
    return ModelOutcomeRow(
        study_uid="1.2", image_revision=revision, analysis_run=1, model=model, version="1",
        body=dump(ModelOutcome, said), at=at,
    )  # fmt: skip


def logged(databases: Databases) -> None:
    log = AuditStore(databases.app)
    log.write(AuditEvent(EARLIER, "Ada", "hold taken", "1.2", detail=("a",)))
    log.write(AuditEvent(NOW, "ben", "switch off", detail=("model x", "100 % wrong")))
    log.write(AuditEvent(NOW + timedelta(hours=1), "ada_2", "hold resolved", "1.3", "p-1"))


def actions(databases: Databases, **asked: object) -> list[str]:
    return [event.action for event in search(databases.app, AuditAsked(**asked), 50).items]


class OperationsStoreContract:
    """Every promise; subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    # --- how things stand

    def test_an_empty_installation_has_nothing_that_waits(self, databases: Databases) -> None:
        seen = store.standing(databases.app)
        assert (seen.alarms, seen.beats, seen.queues, seen.devices) == ((), (), (), ())
        assert store.inbox_queue(databases.messages, databases.app) == Queue("HL7 inbox", "not applied", 0, None)

    def test_works_are_counted_by_state_while_they_live(self, databases: Databases) -> None:
        with databases.app.writing() as session:
            for number, state in enumerate(("pending", "running", "pending", "done", "failed")):
                session.add(
                    WorkRow(
                        id=f"w{number}", source="dicom", study_uid="1.2", image_revision=1, match_revision=1,
                        analysis_run=1, priority=1, state=state, created_at=NOW - timedelta(minutes=number),
                        updated_at=NOW,
                    )
                )  # fmt: skip
        assert queues(databases) == {
            Queue("analysis", "pending", 2, NOW - timedelta(minutes=2)),
            Queue("analysis", "running", 1, NOW - timedelta(minutes=1)),
        }

    def test_deliveries_are_counted_by_destination_until_they_are_taken(self, databases: Databases) -> None:
        with databases.app.writing() as session:
            for key, at in (("a", NOW), ("b", EARLIER)):
                enqueue(session, delivery_id=key, destination="ehr", kind=DeliveryKind.ALERT, payload=b"", now=at)
        assert queues(databases) == {Queue("deliveries to ehr", "pending", 2, EARLIER)}
        assert store.waiting_deliveries(databases.app) == {"ehr": 2}

    def test_held_items_are_counted_by_kind_until_they_are_resolved(self, databases: Databases) -> None:
        with databases.app.writing() as session:
            holds.put(session, "a", HoldKind.WORK_FAILED, "x", NOW, study_uid="1.2")
            holds.put(session, "b", HoldKind.WORK_FAILED, "x", EARLIER, study_uid="1.3")
            holds.end(session, HoldKind.WORK_FAILED, "1.3", NOW, "it is gone by itself")
        assert queues(databases) == {Queue("held: work-failed", "waits for a person", 1, NOW)}
        (resolved,) = store.resolved_holds(databases.app, 0, 10)
        assert resolved.resolution == "it is gone by itself"
        assert store.resolved_holds(databases.app, 1, 10) == []

    def test_messages_wait_until_they_are_applied(self, databases: Databases) -> None:
        log = SqlMessageLog(databases.messages)
        first, *_ = log.append([message("1", b"a", received_at=EARLIER), message("2", b"b", received_at=NOW)])
        assert store.inbox_queue(databases.messages, databases.app).oldest == EARLIER
        with databases.app.writing() as session:
            session.add(MessageOutcomeRow(message_id=first.id, state="applied", applied_at=NOW))
        assert store.inbox_queue(databases.messages, databases.app) == Queue("HL7 inbox", "not applied", 1, NOW)

    def test_alarms_that_hold_are_told_with_their_beginning(self, databases: Databases) -> None:
        with databases.app.writing() as session:
            session.add(AlarmRow(key="a", kind="role-missing", text="the role hl7 is not heard", raised_at=EARLIER))
            session.add(AlarmRow(key="b", kind="notice", text="over", raised_at=EARLIER, cleared_at=NOW))
            session.add(HeartbeatRow(name="h/worker-0", role="worker", at=NOW))
        seen = store.standing(databases.app)
        assert [(one.text, one.since) for one in seen.alarms] == [("the role hl7 is not heard", EARLIER)]
        assert [(one.name, one.at) for one in seen.beats] == [("h/worker-0", NOW)]

    def test_a_model_ran_where_its_newest_findings_say(self, databases: Databases) -> None:
        found = Findings(model="heart", version="1", series_instance_uid="1.2.1", findings=(), device="cuda:0")
        refused = NotEvaluated(model="heart", version="1", reasons=("no contrast",))
        with databases.app.writing() as session:
            session.add(outcome("heart", 1, EARLIER - timedelta(hours=1), replace(found, device="cpu")))
            session.add(outcome("heart", 2, EARLIER, found))
            session.add(outcome("heart", 3, NOW, refused))
            session.add(outcome("liver", 1, NOW, replace(refused, model="liver")))
        assert store.standing(databases.app).devices == (
            ModelDevice("heart", "1", "cuda:0", EARLIER),
            ModelDevice("liver", "1", "", NOW),
        )

    # --- peers

    def test_a_peer_that_is_being_asked_is_not_asked_twice(self, databases: Databases) -> None:
        assert store.ask_peer(databases.app, "PACS main", "ada", NOW)
        assert not store.ask_peer(databases.app, "PACS main", "ben", NOW + timedelta(seconds=29))
        assert store.ask_peer(databases.app, "PACS main", "ben", NOW + timedelta(seconds=30))
        assert store.peer_answers(databases.app)["PACS main"].asked_by == "ben"

    def test_an_answer_counts_for_the_question_that_it_answers(self, databases: Databases) -> None:
        store.ask_peer(databases.app, "p", "ada", NOW)
        late = PeerAnswer(
            "p", asked_at=NOW, asked_by="ada", answered_at=NOW + timedelta(seconds=40), ok=True, detail="old"
        )
        store.ask_peer(databases.app, "p", "ben", NOW + timedelta(seconds=31))
        store.keep_answer(databases.app, late)
        assert store.peer_answers(databases.app)["p"].answered_at is None
        newer = replace(late, asked_at=NOW + timedelta(seconds=31), detail="new")
        store.keep_answer(databases.app, newer)
        assert store.peer_answers(databases.app)["p"].detail == "new"

    def test_asking_again_forgets_the_answer_before(self, databases: Databases) -> None:
        store.ask_peer(databases.app, "p", "ada", NOW)
        store.keep_answer(databases.app, PeerAnswer("p", asked_at=NOW, answered_at=NOW, ok=True, detail="fine"))
        assert store.ask_peer(databases.app, "p", "ada", NOW + timedelta(seconds=1))
        known = store.peer_answers(databases.app)["p"]
        assert (known.answered_at, known.ok, known.detail) == (None, False, "")

    # --- the audit log

    def test_the_audit_log_is_searched_by_who_what_study_and_time(self, databases: Databases) -> None:
        logged(databases)
        assert actions(databases) == ["hold resolved", "switch off", "hold taken"]
        assert actions(databases, who="ADA") == ["hold resolved", "hold taken"]
        assert actions(databases, action="hold") == ["hold resolved", "hold taken"]
        assert actions(databases, study="1.2") == ["hold taken"]
        assert actions(databases, since=NOW) == ["hold resolved", "switch off"]
        assert actions(databases, until=NOW) == ["hold taken"]
        assert actions(databases, who="ada", action="resolved", since=NOW) == ["hold resolved"]

    def test_signs_that_a_database_gives_a_meaning_are_only_signs(self, databases: Databases) -> None:
        logged(databases)
        assert actions(databases, who="_") == ["hold resolved"]
        assert actions(databases, who="%") == []

    def test_the_audit_log_is_turned_by_pages_and_knows_the_last(self, databases: Databases) -> None:
        logged(databases)
        first = search(databases.app, AuditAsked(), 2)
        assert ([one.action for one in first.items], first.more) == (["hold resolved", "switch off"], True)
        last = search(databases.app, AuditAsked(page=2), 2)
        assert ([one.action for one in last.items], last.more) == (["hold taken"], False)

    def test_cards_that_were_shown_are_lines_of_the_log(self, databases: Databases) -> None:
        logged(databases)
        log = log_over(databases.app)
        for hours, (study, reader) in enumerate((("1.2", Reader("epic", "Practitioner/ann")), ("1.4", Reader("epic")))):
            about = replace(ABOUT, study_instance_uid=study)
            note, quiet = StudyNote(study, "p-1", 1), StudyNote("1.9", "p-1", 0)
            log.keep(call(card(about), reader=reader, at=NOW + timedelta(minutes=hours), studies=(note, quiet)))

        def told(**asked: object) -> list[tuple[str, str | None]]:
            found = search(databases.app, AuditAsked(**asked), 50).items
            return [(one.actor, one.study_instance_uid) for one in found if one.action == "card shown"]

        assert told() == [("epic", "1.4"), ("Practitioner/ann", "1.2")]
        assert told(who="ANN") == told(study="1.2") == [("Practitioner/ann", "1.2")]
        assert told(action="card", until=NOW + timedelta(minutes=1)) == [("Practitioner/ann", "1.2")]
        assert told(since=NOW + timedelta(minutes=1)) == [("epic", "1.4")]
        assert told(action="switch") == told(study="1.9") == []
        newest = search(databases.app, AuditAsked(), 2)
        assert [one.action for one in newest.items] == ["hold resolved", "card shown"]
