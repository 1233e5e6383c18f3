"""What committing reports promises, on every database; a subclass gives `databases`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from cds.domain.identity import Identifier, Patient
from cds.domain.matching import Match, MatchState
from cds.domain.message import LoggedMessage, MessageContent
from cds.domain.order import OrderChange
from cds.domain.report import Audience, Decision, DeliveryState, Release, Report
from cds.domain.resource import Encode, NewResource
from cds.domain.revision import Work
from cds.domain.search import ResourceQuery
from cds.store.deliveries import DeliveryStore
from cds.store.record import RecordStore
from cds.store.reports import SqlReportStore
from cds.store.resources import SqlResourceStore
from cds.store.studies import StudyStore
from cds.store.why import why
from cds.store.works import WorkStore
from tests.contract.closing import close_quiet
from tests.contract.store_contract import NOW, ORDER, PATIENT, instance, raw
from tests.databases import Databases

EVERYBODY = Release(frozenset(Audience))


def _resource(kind: str, report: Report, key: str = "") -> NewResource:
    body: dict[str, object] = {"status": "preliminary", "note": [{"text": f"version {report.version}"}]}
    return NewResource(
        kind, f"{kind}-{report.study.public_id}{key}", body, report.patient.id if report.patient else None
    )


def _withdraw(body: Mapping[str, object], patient_id: str | None) -> NewResource:
    kept = {k: v for k, v in body.items() if k != "meta"}
    return NewResource(str(body["resourceType"]), str(body["id"]), {**kept, "status": "entered-in-error"}, patient_id)


def _encode(*kinds: str, destinations: Sequence[str] = ("ehr",)) -> Encode:
    return Encode(
        resources=lambda report: [_resource(kind, report) for kind in kinds],
        deliveries=lambda report, held: [
            (f"{name}-{report.work.id}", name, f"v{report.version}".encode()) for name in destinations
        ],
        withdraw=_withdraw,
        retract=lambda report, destination, reason: (
            f"{destination}-back-{report.work.id}",
            f"back v{report.version}: {reason}".encode(),
        ),
        made=lambda destination, payload: (),
    )


BOTH = _encode("DiagnosticReport", "RiskAssessment")


class ReportStoreContract:
    """Versions, repeats, order, withdrawal."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def next_work(self, databases: Databases) -> Callable[[], Work]:
        """Each call: another instance arrives, and the study is complete again."""
        studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
        numbers = itertools.count(1)

        def arrive() -> Work:
            number = next(numbers)
            studies.add(instance(f"1.2.{number}"), received_at=NOW, consumed=True, source="dicom")
            [work] = close_quiet(databases.app, NOW + timedelta(hours=number))
            return work

        return arrive

    @pytest.fixture
    def patient(self, databases: Databases) -> Patient:
        """The patient, as the record knows her."""
        record = RecordStore(databases.app)
        record.apply([(LoggedMessage(1, raw("1")), MessageContent(PATIENT))], NOW)
        patient = record.patient(Identifier("P1", "HOSP"))
        assert patient is not None
        return patient

    def _report(self, databases: Databases, work: Work, patient: Patient | None) -> Report:
        studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
        state = MatchState.MATCHED if patient else MatchState.UNMATCHED
        return Report(
            work=work,
            version=0,
            study=studies.study("1.2"),
            match=Match(state, ("test",), None, patient.id if patient else None),
            patient=patient,
            order=None,
            outcomes=(),
            ehr=None,
            decision=Decision((), EVERYBODY, NOW.date()),
            issued=NOW,
        )

    def test_a_work_commits_once(self, databases: Databases, next_work: Callable[[], Work], patient: Patient) -> None:
        reports = SqlReportStore(databases.app)
        draft = self._report(databases, next_work(), patient)
        first, again = (reports.commit(draft, BOTH, NOW) for _ in range(2))
        assert (first.version, again.version) == (1, 1)
        assert first.deliveries == again.deliveries
        assert len(DeliveryStore(databases.app).pending()) == 1

    def test_the_next_work_is_the_next_version_and_replaces(
        self, databases: Databases, next_work: Callable[[], Work], patient: Patient
    ) -> None:
        reports = SqlReportStore(databases.app)
        for _ in range(3):
            reports.commit(self._report(databases, next_work(), patient), BOTH, NOW)
        [latest] = reports.latest_of_patient(Identifier("P1", "HOSP"))
        assert (latest.version, latest.replaces) == (3, 2)
        history = SqlResourceStore(databases.app).history(
            "DiagnosticReport", f"DiagnosticReport-{latest.study.public_id}"
        )
        assert [resource.version for resource in history.resources] == [3, 2, 1]

    def test_a_work_that_was_overtaken_is_not_reported(
        self, databases: Databases, next_work: Callable[[], Work], patient: Patient
    ) -> None:
        reports = SqlReportStore(databases.app)
        overtaken, current = next_work(), next_work()
        late = reports.commit(self._report(databases, overtaken, patient), BOTH, NOW)
        assert late.superseded
        assert DeliveryStore(databases.app).pending() == []
        reports.commit(self._report(databases, current, patient), BOTH, NOW)
        [latest] = reports.latest_of_patient(Identifier("P1", "HOSP"))
        assert (latest.work, latest.version) == (current, 1)

    def test_what_a_new_version_does_not_renew_is_withdrawn(
        self, databases: Databases, next_work: Callable[[], Work], patient: Patient
    ) -> None:
        reports, resources = SqlReportStore(databases.app), SqlResourceStore(databases.app)
        reports.commit(self._report(databases, next_work(), patient), BOTH, NOW)
        reports.commit(self._report(databases, next_work(), patient), _encode("DiagnosticReport"), NOW)
        [risk] = resources.search(ResourceQuery("RiskAssessment")).resources
        assert (orjson.loads(risk.body)["status"], risk.version) == ("entered-in-error", 2)
        reports.commit(self._report(databases, next_work(), patient), _encode(), NOW)
        statuses = [
            orjson.loads(r.body)["status"]
            for kind in ("DiagnosticReport", "RiskAssessment")
            for r in resources.search(ResourceQuery(kind)).resources
        ]
        assert statuses == ["entered-in-error", "entered-in-error"]
        assert [r.version for r in resources.search(ResourceQuery("RiskAssessment")).resources] == [2]

    def test_a_study_that_left_its_patient_is_not_shown_for_her(
        self, databases: Databases, next_work: Callable[[], Work], patient: Patient
    ) -> None:
        reports = SqlReportStore(databases.app)
        reports.commit(self._report(databases, next_work(), patient), BOTH, NOW)
        reports.commit(self._report(databases, next_work(), None), BOTH, NOW)
        assert reports.latest_of_patient(Identifier("P1", "HOSP")) == []

    def test_the_same_number_of_another_authority_is_another_patient(
        self, databases: Databases, next_work: Callable[[], Work], patient: Patient
    ) -> None:
        reports = SqlReportStore(databases.app)
        reports.commit(self._report(databases, next_work(), patient), BOTH, NOW)
        assert reports.latest_of_patient(Identifier("P1", "OTHER")) == []
        assert not reports.knows_patient(Identifier("P1", "OTHER"))

    def test_what_an_earlier_version_still_had_to_send_is_not_sent_any_more(
        self, databases: Databases, next_work: Callable[[], Work], patient: Patient
    ) -> None:
        reports, deliveries = SqlReportStore(databases.app), DeliveryStore(databases.app)
        for _ in range(3):
            reports.commit(self._report(databases, next_work(), patient), _encode(destinations=("a", "b")), NOW)
        due = deliveries.pending()
        assert [(d.destination, d.sequence) for d in due] == [("a", 3), ("b", 3)]
        assert [deliveries.delivery(d.id).payload for d in due] == [b"v3", b"v3"]
        [told] = why(databases.app, "1.2").studies
        assert [d.state for d in told.deliveries].count("superseded") == 4

    def test_a_refused_delivery_is_held_and_told(
        self, databases: Databases, next_work: Callable[[], Work], patient: Patient
    ) -> None:
        deliveries = DeliveryStore(databases.app)
        done = SqlReportStore(databases.app).commit(self._report(databases, next_work(), patient), BOTH, NOW)
        assert deliveries.attempted(done.deliveries[0], "connection refused", NOW) == 1
        deliveries.refused(done.deliveries[0], "AR", NOW)
        deliveries.sent(done.deliveries[0], "AA", NOW)
        assert deliveries.delivery(done.deliveries[0]).state is DeliveryState.REFUSED
        [study] = why(databases.app, "1.2").studies
        assert [hold.kind for hold in study.holds] == ["delivery-refused"]

    def test_a_failed_work_waits_for_a_person_once(self, databases: Databases, next_work: Callable[[], Work]) -> None:
        store, work = WorkStore(databases.app), next_work()
        store.fail(work.id, "broken", NOW)
        store.fail(work.id, "broken again", NOW)
        [study] = why(databases.app, "1.2").studies
        assert [(hold.kind, hold.reason) for hold in study.holds] == [("work-failed", "broken")]

    def test_a_patient_whose_birth_date_changes_is_matched_again(
        self, databases: Databases, next_work: Callable[[], Work], patient: Patient
    ) -> None:
        record = RecordStore(databases.app)
        next_work()
        ordered = MessageContent(
            PATIENT, orders=(OrderChange(replace(ORDER, accession=Identifier("A1", "RIS")), "NW"),)
        )
        record.apply([(LoggedMessage(2, raw("2")), ordered)], NOW)
        before = why(databases.app, "1.2").studies[0].match_revision
        born = replace(PATIENT, birth_date=PATIENT.birth_date and PATIENT.birth_date.replace(year=1950))
        registration = replace(raw("3"), message_type="ADT")
        record.apply([(LoggedMessage(3, registration), MessageContent(born))], NOW)
        assert why(databases.app, "1.2").studies[0].match_revision == before + 1
        record.apply([(LoggedMessage(4, replace(registration, control_id="4")), MessageContent(born))], NOW)
        assert why(databases.app, "1.2").studies[0].match_revision == before + 1
