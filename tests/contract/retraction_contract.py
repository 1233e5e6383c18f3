"""What is taken back, where, and what it becomes instead (SAFETY sections 1 and 3); a subclass gives `databases`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cds.domain.coding import Coding
from cds.domain.identity import Identifier, Patient
from cds.domain.matching import Match, MatchState
from cds.domain.message import LoggedMessage, MessageContent
from cds.domain.recommendation import Advice, Indicator, Recommendation, Source
from cds.domain.report import Audience, Decision, Release, Report
from cds.domain.resource import Encode
from cds.domain.revision import Work
from cds.store.deliveries import DeliveryStore
from cds.store.record import RecordStore
from cds.store.reports import Committed, SqlReportStore
from cds.store.studies import StudyStore
from cds.store.why import why
from tests.contract.closing import close_quiet
from tests.contract.store_contract import NOW, PATIENT, instance, raw
from tests.databases import Databases

EVERYBODY, NOBODY = Release(frozenset(Audience)), Release(frozenset(), ("nothing may be told",))
OTHER = replace(PATIENT, identifiers=(Identifier("P2", "HOSP"),))
STEP = Recommendation("refer", "Refer", Coding("urn:x", "refer", "Refer"), "because", Source("s", "https://s.example"))
ADVICE = Advice("p", "P", "s", Indicator.INFO, STEP.source, (STEP,), (), ("k",))


def _encode(*destinations: str, configured: Sequence[str] = ("ehr", "pacs")) -> Encode:
    return Encode(
        resources=lambda report: [],
        deliveries=lambda report, held: [
            (f"{name}-{report.work.id}", name, f"v{report.version}".encode()) for name in destinations
        ],
        withdraw=lambda body, patient_id: pytest.fail("nothing is emitted here"),
        retract=lambda report, destination, reason: (
            (f"{destination}-{report.work.id}-back-{report.version}", f"take back v{report.version}".encode())
            if destination in configured
            else None
        ),
        made=lambda destination, payload: (),
    )


class RetractionContract:
    """A study whose patient, match or release changes after it was sent."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def people(self, databases: Databases) -> tuple[Patient, Patient]:
        """Two patients, as the record knows them."""
        record = RecordStore(databases.app)
        for number, who in enumerate((PATIENT, OTHER), 1):
            record.apply([(LoggedMessage(number, raw(str(number))), MessageContent(who))], NOW)
        found = [record.patient(Identifier(value, "HOSP")) for value in ("P1", "P2")]
        assert found[0] is not None
        assert found[1] is not None
        return found[0], found[1]

    @pytest.fixture
    def commit(self, databases: Databases) -> Callable[..., Committed]:
        """Commit the study's next version as it stands for a patient, a match, a release; sent, unless told not to."""
        studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
        reports, deliveries = SqlReportStore(databases.app), DeliveryStore(databases.app)
        numbers = itertools.count(1)

        def next_version(
            who: Patient | None,
            encode: Encode,
            *,
            state: MatchState = MatchState.MATCHED,
            release: Release = EVERYBODY,
            sent: bool = True,
        ) -> Committed:
            number = next(numbers)
            studies.add(instance(f"1.2.{number}"), received_at=NOW, consumed=True, source="dicom")
            [work] = close_quiet(databases.app, NOW + timedelta(hours=number))
            done = reports.commit(_report(studies, work, who, state, release), encode, NOW)
            if sent:
                for delivery_id in done.deliveries:
                    deliveries.sent(delivery_id, "AA", NOW)
            return done

        return next_version

    def _sent(self, databases: Databases) -> list[tuple[str, str, str]]:
        [study] = why(databases.app, "1.2").studies
        return [(d.kind, d.destination, d.state) for d in study.deliveries]

    def _payloads(self, databases: Databases, done: Committed) -> list[bytes]:
        return [DeliveryStore(databases.app).delivery(one).payload for one in done.deliveries]

    def test_another_patient_gets_an_episode_of_her_own_after_the_first_was_taken_back(
        self, databases: Databases, people: tuple[Patient, Patient], commit: Callable[..., Committed]
    ) -> None:
        anna, berta = people
        commit(anna, _encode("ehr"))
        done = commit(berta, _encode("ehr"))
        assert done.retracted == 1
        assert self._payloads(databases, done) == [b"take back v1", b"v2"]
        [latest] = SqlReportStore(databases.app).latest_of_patient(Identifier("P2", "HOSP"))
        assert (latest.episode, latest.version) == (2, 2)

    def test_a_second_version_for_the_same_patient_takes_nothing_back(
        self, databases: Databases, people: tuple[Patient, Patient], commit: Callable[..., Committed]
    ) -> None:
        commit(people[0], _encode("ehr"))
        done = commit(people[0], _encode("ehr"))
        assert done.retracted == 0
        assert self._payloads(databases, done) == [b"v2"]

    def test_what_never_left_is_not_taken_back(
        self, databases: Databases, people: tuple[Patient, Patient], commit: Callable[..., Committed]
    ) -> None:
        commit(people[0], _encode("ehr"), sent=False)
        done = commit(people[1], _encode("ehr"))
        assert done.retracted == 0
        assert self._sent(databases) == [("report", "ehr", "superseded"), ("report", "ehr", "sent")]

    def test_what_may_have_arrived_is_taken_back(
        self, databases: Databases, people: tuple[Patient, Patient], commit: Callable[..., Committed]
    ) -> None:
        first = commit(people[0], _encode("ehr"), sent=False)
        DeliveryStore(databases.app).attempted(first.deliveries[0], "no answer came", NOW)
        assert commit(people[1], _encode("ehr")).retracted == 1

    def test_a_study_in_doubt_is_taken_back_once_and_is_a_new_report_when_the_doubt_is_gone(
        self, databases: Databases, people: tuple[Patient, Patient], commit: Callable[..., Committed]
    ) -> None:
        commit(people[0], _encode("ehr", "pacs"))
        doubtful = commit(None, _encode(), state=MatchState.HELD, release=NOBODY)
        assert self._payloads(databases, doubtful) == [b"take back v1", b"take back v1"]
        assert commit(None, _encode(), state=MatchState.HELD, release=NOBODY).retracted == 0
        again = commit(people[0], _encode("ehr", "pacs"))
        assert self._payloads(databases, again) == [b"v4", b"v4"]
        [latest] = SqlReportStore(databases.app).latest_of_patient(Identifier("P1", "HOSP"))
        assert latest.episode == 2

    def test_a_retraction_that_waits_is_not_overtaken_by_the_next_version(
        self, databases: Databases, people: tuple[Patient, Patient], commit: Callable[..., Committed]
    ) -> None:
        anna, berta = people
        commit(anna, _encode("ehr"))
        commit(berta, _encode("ehr"), sent=False)
        commit(berta, _encode("ehr"), sent=False)
        due = DeliveryStore(databases.app).pending()
        payloads = [DeliveryStore(databases.app).delivery(one.id).payload for one in due]
        assert payloads == [b"take back v1", b"v3"]

    def test_after_a_cancelled_order_a_merge_still_moves_what_was_told(
        self, databases: Databases, people: tuple[Patient, Patient], commit: Callable[..., Committed]
    ) -> None:
        anna, berta = people
        commit(anna, _encode("ehr"))
        kept = commit(anna, _encode("ehr"), state=MatchState.DETACHED)
        assert kept.retracted == 0
        moved = commit(berta, _encode("ehr"), state=MatchState.DETACHED)
        assert self._payloads(databases, moved) == [b"take back v2", b"v3"]

    def test_one_destination_that_cannot_be_told_keeps_nobody_else_from_it(
        self, databases: Databases, people: tuple[Patient, Patient], commit: Callable[..., Committed]
    ) -> None:
        commit(people[0], _encode("ehr", "pacs"))
        broken = replace(
            _encode(), deliveries=lambda report, held: [("e", "ehr", b"v2"), ("p", "pacs", "it has no number")]
        )
        done = commit(people[0], broken)
        assert self._payloads(databases, done) == [b"v2"]
        [study] = why(databases.app, "1.2").studies
        assert [(hold.kind, hold.reason) for hold in study.holds] == [("delivery-not-encoded", "it has no number")]

    def test_what_is_under_way_when_the_patient_changes_is_taken_back(
        self, databases: Databases, people: tuple[Patient, Patient], commit: Callable[..., Committed]
    ) -> None:
        first = commit(people[0], _encode("ehr"), sent=False)
        deliveries = DeliveryStore(databases.app)
        assert deliveries.begin(first.deliveries[0], NOW)
        assert commit(people[1], _encode("ehr")).retracted == 1
        deliveries.sent(first.deliveries[0], "AA", NOW)
        assert "it had arrived: AA" in deliveries.delivery(first.deliveries[0]).acknowledgment
        assert not deliveries.begin(first.deliveries[0], NOW)

    def test_what_may_not_be_told_any_more_is_taken_back_where_it_was_told(
        self, databases: Databases, people: tuple[Patient, Patient], commit: Callable[..., Committed]
    ) -> None:
        commit(people[0], _encode("ehr", "pacs"))
        done = commit(people[0], _encode("pacs"))
        assert self._payloads(databases, done) == [b"take back v1", b"v2"]

    def test_a_destination_that_is_not_configured_any_more_is_given_to_a_person(
        self, databases: Databases, people: tuple[Patient, Patient], commit: Callable[..., Committed]
    ) -> None:
        commit(people[0], _encode("ehr"))
        commit(people[1], _encode(configured=()))
        [study] = why(databases.app, "1.2").studies
        assert [hold.kind for hold in study.holds] == ["delivery-not-encoded"]
        assert "not configured any more" in study.holds[0].reason

    def test_follow_ups_are_closed_with_the_reason_and_open_under_the_other_patient(
        self, databases: Databases, people: tuple[Patient, Patient], commit: Callable[..., Committed]
    ) -> None:
        anna, berta = people
        for who in (anna, anna, berta):
            commit(who, _encode("ehr"))
        [study] = why(databases.app, "1.2").studies
        told = sorted((f.state, f.reason) for f in study.follow_ups)
        assert [state for state, _ in told] == ["closed", "open"]
        assert told[0][1].startswith("version 3: ")


def _report(studies: StudyStore, work: Work, who: Patient | None, state: MatchState, release: Release) -> Report:
    return Report(
        work=work,
        version=0,
        study=studies.study("1.2"),
        match=Match(state, ("test",), None, who.id if who else None),
        patient=who,
        order=None,
        outcomes=(),
        ehr=None,
        decision=Decision((ADVICE,), release, NOW.date()),
        issued=NOW,
    )
