"""What is promised of studies that an EHR missed, on every database; a subclass gives `databases`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from cds.bootstrap.ehr import decide_again
from cds.domain.identity import Patient
from cds.domain.matching import Match, MatchState
from cds.domain.message import RecordStatements, Searched
from cds.domain.revision import Work
from cds.store.enriching import WAITED, EnrichingStore, Missed
from cds.store.fhir_tables import EnrichAgainRow
from cds.store.studies import StudyStore
from cds.store.tables import StudyRow, TimelineRow
from cds.store.works import WorkStore
from tests.contract.closing import close_quiet
from tests.contract.store_contract import NOW, instance
from tests.databases import Databases

EHR, CLINIC = "FHIR ehr", "FHIR clinic"
LATER = NOW + timedelta(hours=2)


@dataclass
class Answering:
    """Sources that answer or do not, and whom they were asked for."""

    away: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()
    asked: list[str | None] = field(default_factory=list)

    def statements(self, patient: Patient) -> RecordStatements:
        """The port."""
        self.asked.append(patient.id)
        return RecordStatements((), tuple(Searched(one, None) for one in self.partly), (*self.away, *self.partly))

    def patient_by_id(self, patient_id: str) -> Patient:
        """One patient."""
        return Patient((), id=patient_id)


class EnrichingContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def work(self, databases: Databases) -> Work:
        """The work of study 1.2, matched to a patient."""
        return self.studied(databases, "1.2.9")

    @pytest.fixture
    def waiting(self, databases: Databases) -> EnrichingStore:
        """The store."""
        return EnrichingStore(databases.app)

    def studied(self, databases: Databases, sop: str, study: str = "1.2") -> Work:
        """A complete study whose work was matched."""
        studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
        studies.add(instance(sop, study=study), received_at=NOW, consumed=True, source="dicom")
        [work] = close_quiet(databases.app, NOW + timedelta(hours=1))
        self.matched(databases, work)
        return work

    def matched(self, databases: Databases, work: Work) -> None:
        """Keep whose it is."""
        found = Match(MatchState.MATCHED, ("agrees",), "order-1", f"patient of {work.study_instance_uid}")
        WorkStore(databases.app).save_step(work, "match", Match, found, NOW, outcome="matched")

    def test_a_study_that_missed_a_source_waits_for_it_with_its_patient(
        self, work: Work, waiting: EnrichingStore
    ) -> None:
        waiting.missed(work, (EHR,), NOW)
        waiting.missed(work, (EHR,), LATER)
        assert waiting.waiting(LATER) == [Missed("1.2", EHR, work.id, "patient of 1.2", NOW)]

    def test_a_study_that_missed_nothing_waits_for_nothing(self, work: Work, waiting: EnrichingStore) -> None:
        waiting.missed(work, (), NOW)
        assert waiting.waiting(NOW) == []

    def test_only_the_sources_that_were_away_the_last_time_are_waited_for(
        self, work: Work, waiting: EnrichingStore
    ) -> None:
        waiting.missed(work, (EHR, CLINIC), NOW)
        waiting.missed(work, (CLINIC,), LATER)
        assert [one.source for one in waiting.waiting(LATER)] == [CLINIC]
        waiting.missed(work, (), LATER)
        assert waiting.waiting(LATER) == []

    def test_a_source_that_answers_makes_one_match_revision_and_no_new_images(
        self, databases: Databases, work: Work, waiting: EnrichingStore
    ) -> None:
        waiting.missed(work, (EHR, CLINIC), NOW)
        missed, other = waiting.waiting(LATER)
        assert waiting.again(missed, LATER)
        assert not waiting.again(missed, LATER)
        assert not waiting.again(other, LATER), "the study is decided again with whatever answers then"
        with databases.app.reading() as session:
            study = session.get_one(StudyRow, "1.2")
            told = session.exec(select(TimelineRow).where(TimelineRow.outcome == "match revision 2")).one()
        assert (study.image_revision, study.match_revision, study.analysis_run) == (1, 2, 1)
        assert "answers again, which was away" in told.detail
        assert len(WorkStore(databases.app).pending()) == 2

    def test_a_study_that_was_overtaken_is_not_decided_again(
        self, databases: Databases, work: Work, waiting: EnrichingStore
    ) -> None:
        waiting.missed(work, (EHR,), NOW)
        [missed] = waiting.waiting(NOW)
        WorkStore(databases.app).again(work, "the order changed", NOW)
        assert not waiting.again(missed, LATER)
        assert waiting.waiting(LATER) == []
        with databases.app.reading() as session:
            assert session.get_one(StudyRow, "1.2").match_revision == 2

    def test_what_was_overtaken_is_dropped_and_what_it_missed_itself_is_kept(
        self, databases: Databases, work: Work, waiting: EnrichingStore
    ) -> None:
        waiting.missed(work, (EHR,), NOW)
        WorkStore(databases.app).again(work, "the order changed", NOW)
        works = WorkStore(databases.app)
        [newer] = [works.work(queued.id) for queued in works.pending() if queued.id != work.id]
        self.matched(databases, newer)
        waiting.missed(newer, (EHR,), LATER)
        [missed] = waiting.waiting(LATER)
        assert (missed.work_id, missed.since) == (newer.id, NOW), "it has been waited for since the first time"

    def test_a_source_that_stays_away_for_days_is_not_waited_for_any_longer_and_that_is_told(
        self, databases: Databases, work: Work, waiting: EnrichingStore
    ) -> None:
        waiting.missed(work, (EHR,), NOW)
        assert len(waiting.waiting(NOW + WAITED)) == 1
        assert waiting.waiting(NOW + WAITED + timedelta(seconds=1)) == []
        with databases.app.reading() as session:
            assert session.exec(select(EnrichAgainRow)).all() == []
            told = session.exec(select(TimelineRow).where(TimelineRow.outcome == "given up")).one()
        assert "FHIR ehr was away for 3 days" in told.detail

    def test_two_workers_that_see_it_at_once_decide_it_again_once(
        self, databases: Databases, work: Work, waiting: EnrichingStore
    ) -> None:
        waiting.missed(work, (EHR,), NOW)
        [missed] = waiting.waiting(NOW)
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _: EnrichingStore(databases.app).again(missed, LATER), range(4)))
        assert sorted(done) == [False, False, False, True]
        with databases.app.reading() as session:
            assert session.get_one(StudyRow, "1.2").match_revision == 2

    # --- the timer

    def test_the_timer_decides_again_once_the_source_answers(
        self, databases: Databases, work: Work, waiting: EnrichingStore
    ) -> None:
        sources = Answering(away=(EHR,))
        look = decide_again(waiting, sources, sources)
        waiting.missed(work, (EHR,), NOW)
        look(NOW)
        assert len(waiting.waiting(NOW)) == 1
        sources.away = ()
        look(NOW + timedelta(minutes=1))
        assert waiting.waiting(LATER) == []
        assert sources.asked == ["patient of 1.2", "patient of 1.2"]
        look(NOW + timedelta(minutes=2))
        assert len(sources.asked) == 2

    def test_a_source_that_is_silent_is_asked_once_in_a_sweep_and_the_less_often_the_longer_it_lasts(
        self, databases: Databases, work: Work, waiting: EnrichingStore
    ) -> None:
        sources = Answering(away=(EHR,))
        look = decide_again(waiting, sources, sources)
        for one in (work, self.studied(databases, "1.3.9", "1.3")):
            waiting.missed(one, (EHR,), NOW)
        look(NOW)
        assert len(sources.asked) == 1
        look(NOW + timedelta(hours=10))
        look(NOW + timedelta(hours=10, minutes=5))
        assert len(sources.asked) <= 3

    def test_one_patient_who_cannot_be_told_does_not_hold_up_the_others(
        self, databases: Databases, work: Work, waiting: EnrichingStore
    ) -> None:
        sources = Answering(partly=(EHR,))
        for one in (work, self.studied(databases, "1.3.9", "1.3")):
            waiting.missed(one, (EHR,), NOW)
        decide_again(waiting, sources, sources)(NOW)
        assert sources.asked == ["patient of 1.2", "patient of 1.3"]
        assert len(waiting.waiting(NOW)) == 2
