"""What people can do and see, on every database: holds and their owners, kill switches, the audit log."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import Session, select

from cds.domain.audit import CARD_SHOWN, AuditEvent
from cds.domain.coding import Coding
from cds.domain.finding import Finding, Findings, ModelOutcome, Presence
from cds.domain.hold import HoldKind
from cds.domain.matching import Match, MatchState
from cds.domain.recommendation import NothingToSay, PathwayOutcome
from cds.domain.report import Audience, Decision, DeliveryKind, Release, Report
from cds.domain.resource import Encode, NewResource
from cds.domain.search import ResourceQuery
from cds.domain.switch import SwitchKind
from cds.errors import Conflict, NotFound, Unavailable
from cds.store import deliveries, holds
from cds.store.audit import AuditStore
from cds.store.deliveries import DeliveryStore
from cds.store.engine import Database
from cds.store.holds import HoldStore
from cds.store.publishing import put
from cds.store.reports import SqlReportStore
from cds.store.resources import SqlResourceStore
from cds.store.studies import StudyStore
from cds.store.switches import FRESH_S, SwitchStore
from cds.store.tables import TimelineRow, WorkRow
from tests.contract.closing import close_quiet
from tests.contract.store_contract import NOW, instance
from tests.databases import Databases

MODEL, PATHWAY = SwitchKind.MODEL, SwitchKind.PATHWAY
LATER = NOW + timedelta(hours=3)

WATCHER = """
import sys, time
from pathlib import Path
from cds.domain.switch import SwitchKind
from cds.store.engine import open_app
from cds.store.switches import SwitchStore

switches = SwitchStore(open_app(Path(sys.argv[1]), sys.argv[2]))
assert not switches.off(SwitchKind.MODEL, "m")
print("watching", flush=True)
while not switches.off(SwitchKind.MODEL, "m"):
    time.sleep(0.01)
print(time.time(), flush=True)
"""


def published(databases: Databases, study: str, outcomes: Sequence[ModelOutcome] = ()) -> Report:
    """A study of the site that was reported with these answers of models, to nobody."""
    studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
    studies.add(instance(f"{study}.1", study=study), received_at=NOW, consumed=True, source="dicom")
    [work] = close_quiet(databases.app, NOW + timedelta(hours=1))
    said: tuple[PathwayOutcome, ...] = (NothingToSay("emphysema", "no emphysema"),)
    report = Report(
        work=work,
        version=0,
        study=studies.study(study),
        match=Match(MatchState.UNMATCHED, ("test",)),
        patient=None,
        order=None,
        outcomes=tuple(outcomes),
        ehr=None,
        decision=Decision(said if outcomes else (), Release(frozenset(Audience)), NOW.date()),
        issued=NOW,
    )
    SqlReportStore(databases.app).commit(report, nothing_to_send(), NOW)
    return report


def nothing_to_send() -> Encode:
    """A site without destinations."""
    return Encode(
        resources=lambda report: (),
        deliveries=lambda report, held: (),
        withdraw=lambda body, patient_id: NewResource(str(body["resourceType"]), str(body["id"]), {}, patient_id),
        retract=lambda report, destination, reason: None,
        made=lambda destination, payload: (),
    )


def findings(model: str) -> Findings:
    """A model's answer with one finding."""
    return Findings(model, "1", "1.2.1", (Finding("volume", Coding("s", "c", "Volume"), Presence.PRESENT),))


def rows(databases: Databases, table: type) -> int:
    """How many rows a table has."""
    with databases.app.reading() as session:
        return session.exec(select(sa.func.count()).select_from(table)).one()


class PeopleContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    # --- holds

    def hold(self, databases: Databases, key: str, kind: HoldKind = HoldKind.DISCORDANT) -> str:
        with databases.app.writing() as session:
            holds.put(session, key, kind, "a reason", NOW, study_uid="1.2")
        return holds.short_id(key)

    def test_a_hold_is_found_by_how_its_id_begins(self, databases: Databases) -> None:
        first, second = self.hold(databases, "one"), self.hold(databases, "two")
        store = HoldStore(databases.app)
        assert [hold.id for hold in store.open()] == [first, second]
        assert store.find(first[:4].upper()).id == first
        assert store.find(second).about == "study 1.2"

    def test_an_id_that_begins_several_holds_is_refused_with_them(self, databases: Databases) -> None:
        ids = [self.hold(databases, str(n)) for n in range(40)]
        shared = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)
        alike = [one for one in ids if one[0] == shared]
        with pytest.raises(Conflict) as told:
            HoldStore(databases.app).find(shared)
        assert all(one in str(told.value) for one in alike)

    def test_what_no_hold_begins_with_is_not_found(self, databases: Databases) -> None:
        self.hold(databases, "one")
        for asked in ("", " ", "%", "_", "zzz", "x' OR 1=1"):
            with pytest.raises(NotFound):
                HoldStore(databases.app).find(asked)

    def test_a_hold_has_an_owner_once_somebody_takes_it(self, databases: Databases) -> None:
        short = self.hold(databases, "one")
        assert HoldStore(databases.app).take(short, "Ada", LATER).owner == "Ada"
        assert HoldStore(databases.app).find(short).owner == "Ada"
        [line] = AuditStore(databases.app).search(study_uid="1.2")
        assert (line.at, line.actor, line.action) == (LATER, "Ada", "hold taken")
        assert rows(databases, TimelineRow) == 1

    def test_what_is_resolved_has_no_owner_any_more(self, databases: Databases) -> None:
        short = self.hold(databases, "one")
        with databases.app.writing() as session:
            holds.end(session, HoldKind.DISCORDANT, "1.2", LATER, "acknowledge", by="Ben")
        with pytest.raises(Conflict, match="resolved already: acknowledge, by Ben"):
            HoldStore(databases.app).take(short, "Ada", LATER)
        assert HoldStore(databases.app).open() == []
        [resolved] = HoldStore(databases.app).all()
        assert (resolved.resolved_at, resolved.resolution) == (LATER, "acknowledge, by Ben")

    # --- kill switches

    def test_what_is_switched_off_is_off_until_it_is_switched_on(self, databases: Databases) -> None:
        switches = SwitchStore(databases.app)
        assert not switches.off(MODEL, "m")
        switches.disable(MODEL, "m", by="Ada", reason="it sees ghosts", now=NOW)
        assert switches.off(MODEL, "m")
        assert not switches.off(PATHWAY, "m")
        [off] = switches.all()
        assert (off.kind, off.name, off.by, off.reason, off.at) == (MODEL, "m", "Ada", "it sees ghosts", NOW)
        switches.enable(MODEL, "m", by="Ben", reason="", now=LATER)
        assert not switches.off(MODEL, "m")
        told = AuditStore(databases.app).search()
        assert [(e.actor, e.action, e.detail[0]) for e in told] == [
            ("Ada", "switch off", "model m"),
            ("Ben", "switch on", "model m"),
        ]

    def test_a_switch_is_not_turned_twice(self, databases: Databases) -> None:
        switches = SwitchStore(databases.app)
        with pytest.raises(Conflict, match="is not switched off"):
            switches.enable(MODEL, "m", by="Ben", reason="", now=NOW)
        switches.disable(MODEL, "m", by="Ada", reason="ghosts", now=NOW)
        with pytest.raises(Conflict, match="already, by Ada"):
            switches.disable(MODEL, "m", by="Ben", reason="ghosts", now=NOW)

    def test_another_process_knows_within_a_second(self, databases: Databases) -> None:
        with watching(databases) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "watching\n"
            before = time.time()
            SwitchStore(databases.app).disable(MODEL, "m", by="Ada", reason="ghosts", now=NOW)
            known = float(other.stdout.readline())
        assert 0 < known - before < 1.0

    def test_the_database_is_asked_at_most_every_so_often(self, databases: Databases) -> None:
        moment = [0.0]
        switches, others = SwitchStore(databases.app, seconds=lambda: moment[0]), SwitchStore(databases.app)
        assert not switches.off(MODEL, "m")
        others.disable(MODEL, "m", by="Ada", reason="ghosts", now=NOW)
        moment[0] = FRESH_S - 0.01
        assert not switches.off(MODEL, "m")
        moment[0] = FRESH_S
        assert switches.off(MODEL, "m")

    def test_without_the_database_the_last_known_holds_and_nothing_is_guessed(self, databases: Databases) -> None:
        away = _Away(databases.app.reader, databases.app.writer)
        moment = [0.0]
        switches = SwitchStore(away, seconds=lambda: moment[0])
        switches.disable(MODEL, "m", by="Ada", reason="ghosts", now=NOW)
        assert switches.off(MODEL, "m")
        moment[0] = 60.0
        _Away.away = True
        try:
            assert switches.off(MODEL, "m")
            with pytest.raises(Unavailable):
                SwitchStore(away).off(MODEL, "m")
        finally:
            _Away.away = False

    @pytest.mark.parametrize(
        ("kind", "name", "again"),
        [
            (MODEL, "lung_density", {"1.2", "1.3"}),
            (PATHWAY, "emphysema", {"1.2", "1.3", "1.4"}),
            (MODEL, "other", {"1.4"}),
        ],
    )
    def test_reports_that_rest_on_it_are_decided_again(
        self, databases: Databases, kind: SwitchKind, name: str, again: set[str]
    ) -> None:
        for study in ("1.2", "1.3"):
            published(databases, study, (findings("lung_density"),))
        published(databases, "1.4", (findings("other"), findings("lungxdensity")))
        published(databases, "1.5")
        switches = SwitchStore(databases.app)
        switches.disable(kind, name, by="Ada", reason="ghosts", now=LATER)
        assert switches.decide_again(kind, name, "switched off", LATER) == len(again)
        with databases.app.reading() as session:
            pending = session.exec(select(WorkRow).where(WorkRow.state == "pending")).all()
        assert {row.study_uid for row in pending} == again
        assert {(row.image_revision, row.match_revision, row.analysis_run) for row in pending} == {(1, 2, 1)}
        assert switches.decide_again(SwitchKind.DESTINATION, "ehr", "switched off", LATER) == 0

    def test_a_study_that_was_reported_since_is_left_alone(self, databases: Databases) -> None:
        published(databases, "1.2", (findings("m"),))
        assert SwitchStore(databases.app).decide_again(MODEL, "m", "switched off", NOW) == 0

    def test_all_of_many_reports_are_decided_again(self, databases: Databases) -> None:
        studies = [f"1.2.{n}" for n in range(51)]
        for study in studies:
            published(databases, study, (findings("m"),))
        assert SwitchStore(databases.app).decide_again(MODEL, "m", "switched off", LATER) == 51

    # --- what is hidden from FHIR

    def emitted(self, databases: Databases) -> None:
        made = {"a": ("model:m_1", "pathway:p"), "b": ("model:mx1",), "c": ()}
        with databases.app.writing() as session:
            for key, by in made.items():
                put(session, NewResource("Observation", key, {"status": "preliminary"}, None, made_by=by), "1.2", NOW)

    @pytest.mark.parametrize(
        ("hidden", "left"),
        [((), "abc"), (("model:m_1",), "bc"), (("pathway:p", "model:mx1"), "c"), (("model:m",), "abc")],
    )
    def test_what_rests_on_a_switched_off_model_or_pathway_is_not_served(
        self, databases: Databases, hidden: tuple[str, ...], left: str
    ) -> None:
        self.emitted(databases)
        store = SqlResourceStore(databases.app, lambda: hidden)
        page = store.search(ResourceQuery("Observation"))
        assert ([r.id for r in page.resources], page.total) == (list(left), len(left))
        for key in "abc":
            for ask in (
                lambda k=key: store.read("Observation", k),
                lambda k=key: store.vread("Observation", k, 1),
                lambda k=key: store.history("Observation", k),
            ):
                if key in left:
                    ask()
                else:
                    with pytest.raises(NotFound):
                        ask()

    def test_the_withdrawal_of_what_is_hidden_is_served_and_what_was_said_is_not(self, databases: Databases) -> None:
        self.emitted(databases)
        with databases.app.writing() as session:
            put(session, NewResource("Observation", "a", {"status": "entered-in-error"}, None), "1.2", LATER)
        store = SqlResourceStore(databases.app, lambda: {"model:m_1"})
        assert store.read("Observation", "a").version == 2
        assert [stored.version for stored in store.history("Observation", "a").resources] == [2]
        with pytest.raises(NotFound):
            store.vread("Observation", "a", 1)

    # --- the audit log

    def test_the_audit_log_tells_by_study_and_since_when(self, databases: Databases) -> None:
        store = AuditStore(databases.app)
        events = [
            AuditEvent(NOW, "Ada", "hold taken", "1.2", detail=("x",)),
            AuditEvent(NOW + timedelta(hours=1), "Ben", "switch off"),
            AuditEvent(LATER, "Ada", "hold resolved", "1.3", "random-id"),
        ]
        for event in events:
            store.write(event)
        assert store.search() == events
        assert store.search(study_uid="1.2") == events[:1]
        assert store.search(since=NOW + timedelta(minutes=1)) == events[1:]
        assert store.search(limit=1) == events[-1:]

    def test_it_tells_who_saw_a_study_people_and_destinations(self, databases: Databases) -> None:
        store, sent = AuditStore(databases.app), DeliveryStore(databases.app)
        store.write(AuditEvent(NOW, "Practitioner/7", CARD_SHOWN, "1.2", "random-id"))
        store.write(AuditEvent(NOW, "Practitioner/8", CARD_SHOWN, "1.9", "random-id"))
        with databases.app.writing() as session:
            for name, kind in (
                ("ehr", DeliveryKind.REPORT),
                ("pacs", DeliveryKind.REPORT),
                ("alarm:mail", DeliveryKind.ALERT),
            ):
                deliver(session, name, kind)
        sent.sent("ehr-1", "AA", LATER)
        sent.sent("alarm:mail-1", "ok", LATER)
        seen = AuditStore(databases.app).seen_by("1.2")
        assert [(e.actor, e.action) for e in seen] == [("Practitioner/7", CARD_SHOWN), ("ehr", "report delivered")]
        sent.attempted("pacs-1", "no answer", LATER)
        assert "report may have been delivered" in [e.action for e in AuditStore(databases.app).seen_by("1.2")]


def deliver(session: Session, name: str, kind: DeliveryKind) -> None:
    deliveries.enqueue(
        session, delivery_id=f"{name}-1", destination=name, kind=kind, payload=b"x", now=NOW, study_uid="1.2"
    )


@contextmanager
def watching(databases: Databases) -> Iterator[subprocess.Popen[str]]:
    """Another process that asks for a switch until it is off."""
    environment: Mapping[str, str] = {**os.environ, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-c", WATCHER, str(databases.data_dir), databases.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


class _Away(Database):
    """A database that can be away."""

    away = False

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """See Database."""
        if _Away.away:
            raise Unavailable("the database cannot be used now")
        with super().reading() as session:
            yield session
