"""What the store promises of fetching studies, of what PACS state and promise, and of when a study is complete."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import select

from cds.domain.completeness import Rules
from cds.domain.event import StudyEvent, StudyEventKind
from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier
from cds.domain.imaging import RejectionNote, StoredInstance
from cds.domain.report import DeliveryKind
from cds.domain.retrieval import (
    NOT_KNOWN,
    Purpose,
    RemoteSeries,
    Retrieval,
    RetrievalState,
    StatedSeries,
)
from cds.errors import NotFound
from cds.render.why import as_json, as_text
from cds.store import deliveries, progress
from cds.store.commitments import CommitmentStore
from cds.store.completeness import Completeness
from cds.store.decisions import DecisionStore, Said
from cds.store.holds import HoldStore
from cds.store.retrieval_tables import AnnouncementRow
from cds.store.retrievals import RetrievalStore
from cds.store.revisions import stop
from cds.store.studies import StudyStore
from cds.store.study_events import StudyEventStore
from cds.store.tables import DeliveryRow, InstanceRow, ReportRow, StudyRow, TimelineRow
from cds.store.why import why
from cds.store.works import WorkStore
from tests.contract.identity_contract import Feed
from tests.contract.store_contract import NOW, instance
from tests.databases import Databases

STUDY, PRIOR = "1.2", "1.1"
DONE, FAILED, RUNNING, PENDING = (
    RetrievalState.DONE,
    RetrievalState.FAILED,
    RetrievalState.RUNNING,
    RetrievalState.PENDING,
)


@dataclass
class Site:
    """All stores over one database, and a clock in seconds after NOW. `pacs` says whether there is one to ask."""

    databases: Databases
    pacs: bool = True
    at: float = 0
    rules: Rules = field(default_factory=lambda: Rules(lambda modality: 60.0, 3600.0))

    def __post_init__(self) -> None:
        app = self.databases.app
        self.feed = Feed(self.databases)
        self.studies = StudyStore(app, assigning_authority="HOSP", accession_issuer="RIS")
        self.retrievals = RetrievalStore(app, count_interval_s=10, queryable=self.queryable)
        self.completeness = Completeness(app, self.rules, self.queryable)
        self.works, self.events = WorkStore(app), StudyEventStore(app)

    def queryable(self, issuers: tuple[str, ...]) -> bool:
        """The one PACS knows the hospital's patients and whatever has no issuer."""
        return self.pacs and (not issuers or not {"HOSP", "RIS"}.isdisjoint(issuers))

    @property
    def now(self) -> datetime:
        """The time."""
        return NOW + timedelta(seconds=self.at)

    # --- what comes

    def come(
        self,
        *numbers: int,
        study: str = STUDY,
        series: int = 1,
        source: str = "dicom",
        consumed: bool = True,
        **more: Any,
    ) -> None:
        """Slices of a series at z = number arrive."""
        batch = [(self.slice(number, study=study, series=series, **more), consumed) for number in numbers]
        self.studies.add_all(batch, received_at=self.now, source=source)

    def slice(self, number: int, *, study: str = STUDY, series: int = 1, **more: Any) -> StoredInstance:
        """One image of a series."""
        one = instance(f"{study}.{series}.{number}", study=study)
        values = {
            "series_instance_uid": f"{study}.{series}",
            "series_number": series,
            "image_position": (0.0, 0.0, float(number)),
            "image_orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        }
        return replace(one, header=replace(one.header, **{**values, **more}))

    def announce(self, *series: tuple[str, int], uid: str | None = STUDY, accession: str = "") -> bool:
        """A wire says that images are there."""
        number = Identifier(accession, "RIS") if accession else None
        kind, source = StudyEventKind.IMAGES_AVAILABLE, "DICOM PACS1"
        event = StudyEvent(kind, source, self.now, study_instance_uid=uid, accession=number, series=series)
        return self.events.announce(event, self.now)

    # --- what the worker does

    def sweep(self, *, after: float = 0) -> list[tuple[int, int]]:
        """Look at all open revisions a while later; answers the revisions of the works that were made."""
        self.at += after
        self.retrievals.announce(self.now)
        works = self.completeness.close_complete(self.now)
        return [(work.revision.image, work.revision.match) for work in works]

    def state(
        self, *counts: tuple[int, int | None], study: str = STUDY, wanted: bool = True, after: float = 0
    ) -> list[bool]:
        """The PACS is asked a while later, and states the counts of these series; answers which agree."""
        self.at += after
        said = [
            StatedSeries(
                RemoteSeries(study, f"{study}.{number}", "CT", number=number, instances=count), "main", self.now,
                wanted=wanted,
            )
            for number, count in counts
        ]  # fmt: skip
        return [one.agreed for one in self.retrievals.state(study, "main", said, self.now)]

    def end(self, state: RetrievalState, reason: str = "") -> str:
        """What is pending is run and ends so; answers its id."""
        [retrieval] = self.retrievals.pending()
        self.retrievals.mark(retrieval.id, RUNNING, self.now, source="main")
        if state is FAILED:
            self.retrievals.fail(retrieval.id, reason, self.now)
        elif state is DONE:
            self.retrievals.mark(retrieval.id, DONE, self.now, reason=reason)
        return retrieval.id

    def fetched(self, *counts: tuple[int, int | None], study: str = STUDY) -> None:
        """What is pending is fetched: the PACS states these counts twice, and all of it is here."""
        self.state(*counts, study=study)
        self.state(*counts, study=study, after=11)
        self.end(DONE)

    # --- what is there to see

    def row(self, uid: str = STUDY) -> StudyRow:
        """The study's row."""
        with self.databases.app.reading() as session:
            return session.get_one(StudyRow, uid)

    def known(self, uid: str = STUDY) -> Retrieval:
        """The retrieval of a study."""
        found = self.retrievals.of_study(uid)
        assert found is not None
        return found

    def want(self, uid: str = STUDY, *, purpose: Purpose = Purpose.STUDY, **more: Any) -> Retrieval | None:
        """Want a study."""
        return self.retrievals.want(uid, purpose=purpose, now=self.now, **more)

    def told(self, uid: str = STUDY) -> list[str]:
        """The timeline of a study, without times."""
        with self.databases.app.reading() as session:
            rows = session.exec(select(TimelineRow).where(TimelineRow.study_uid == uid)).all()
            return [f"{row.step}: {row.outcome}" for row in rows]

    def details(self, outcome: str) -> list[str]:
        """What the timeline says beside an outcome."""
        with self.databases.app.reading() as session:
            return list(session.exec(select(TimelineRow.detail).where(TimelineRow.outcome == outcome)))

    def slices(self, revision: int, uid: str = STUDY) -> int:
        """How many images a revision has."""
        return sum(len(one.paths) for one in self.studies.series(uid, revision))

    def held(self, *, all_: bool = False) -> list[tuple[HoldKind, str]]:
        """What waits for a person."""
        store = HoldStore(self.databases.app)
        return [(hold.kind, hold.reason) for hold in (store.all() if all_ else store.open())]

    def decide(self, action: str) -> None:
        """A person decides about the one thing that waits."""
        [hold] = HoldStore(self.databases.app).open()

        def reread(_: int) -> Any:
            raise NotFound("no message")

        DecisionStore(self.databases.app, reread, lambda path: None).resolve(hold.id, Said(action, "Ada", self.now))


class RetrievalContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def site(self, databases: Databases) -> Site:
        """A site with a PACS, where Anna has an order."""
        site = Site(databases)
        site.feed.register("P1")
        site.feed.order("P1", "A1")
        return site

    # --- complete

    def test_a_site_that_pushes_everything_waits_for_quiet_and_geometry_and_says_so(self, site: Site) -> None:
        site.pacs = False
        site.come(1, 2, 3)
        assert site.sweep(after=59) == []
        assert site.sweep(after=1) == [(1, 1)]
        assert site.details("study complete") == ['["no PACS was asked: quiet for 60 s, no slice missing, 3 images"]']
        assert site.row().incomplete == ""
        assert site.sweep(after=10) == []

    def test_a_missing_slice_is_waited_for_until_it_comes(self, site: Site) -> None:
        site.pacs = False
        site.come(1, 2, 3, 5, 6)
        assert site.sweep(after=600) == []
        site.come(4)
        assert site.sweep(after=59) == []
        assert site.sweep(after=1) == [(1, 1)]

    def test_at_the_deadline_a_study_runs_with_what_there_is_and_says_what_is_missing(self, site: Site) -> None:
        site.pacs = False
        site.come(1, 2, 3, 5, 6)
        assert site.sweep(after=3599) == []
        assert site.sweep(after=1) == [(1, 1)]
        missing = "slices are missing between 3.0 mm and 5.0 mm along the slice normal: 2.00 mm apart, usually 1.00 mm"
        assert site.row().incomplete == site.studies.study(STUDY).incomplete == f"series 1: {missing}"
        assert "event: study incomplete" in site.told()
        site.come(4)
        assert site.row().image_revision == 2
        assert site.sweep(after=60) == [(2, 1)]
        assert site.row().incomplete == ""

    def test_a_deadline_counts_from_the_opening_of_its_revision(self, site: Site) -> None:
        site.pacs = False
        site.come(1, 2, 3)
        site.sweep(after=60)
        site.at = 9000
        site.come(5)
        assert site.row().revision_opened_at == site.now
        assert site.sweep(after=3599) == []
        assert site.sweep(after=1) == [(2, 1)]

    def test_a_quiet_study_is_asked_for_and_runs_when_the_counts_agree_twice(self, site: Site) -> None:
        site.come(1, 2, 3)
        assert site.sweep(after=59) == []
        assert site.retrievals.pending() == []
        assert site.sweep(after=1) == []
        [retrieval] = site.retrievals.pending()
        assert (retrieval.study_instance_uid, retrieval.announced, retrieval.run) == (STUDY, "", 1)
        assert site.state((1, 3)) == [False]
        assert site.sweep(after=5) == []
        assert site.state((1, 3)) == [False]
        assert site.state((1, 3), after=6) == [True]
        assert site.sweep() == []
        site.end(DONE)
        assert site.sweep() == [(1, 1)]
        [said] = site.details("study complete")
        assert "the PACS stated twice that there are 3 images, no slice is missing" in said

    def test_what_the_pacs_has_and_is_not_here_is_waited_for(self, site: Site) -> None:
        site.come(1, 2, 3)
        site.sweep(after=60)
        site.fetched((1, 3), (2, 40))
        assert site.sweep() == []
        site.come(*range(40), series=2, source="pacs:main")
        assert site.sweep(after=60) == [(1, 1)]

    def test_a_series_that_no_model_wants_is_not_waited_for(self, site: Site) -> None:
        site.come(1, 2, 3)
        site.sweep(after=60)
        for _ in range(2):
            site.state((1, 3))
            site.state((1, 3), (2, 40), wanted=False, after=11)
        site.end(DONE)
        assert site.sweep() == [(1, 1)]

    def test_a_pacs_that_does_not_know_the_study_leaves_quiet_and_geometry(self, site: Site) -> None:
        site.come(1, 2, 3)
        site.sweep(after=60)
        site.end(FAILED, NOT_KNOWN)
        assert site.held() == []
        assert site.sweep() == [(1, 1)]
        assert site.details("study complete") == [f'["{NOT_KNOWN}: quiet for 60 s, no slice missing, 3 images"]']

    def test_a_pacs_that_did_not_know_a_study_is_asked_again_when_more_of_it_came(self, site: Site) -> None:
        site.come(1, consumed=False)
        assert site.sweep(after=60) == []
        site.end(FAILED, NOT_KNOWN)
        assert site.sweep(after=1) == [(1, 1)]
        site.at += 600
        site.come(*range(1, 11), series=2)
        assert site.sweep(after=60) == []  # half a series, and the modality pauses
        said = ((1, 1), (2, 20))
        site.state(*said)
        site.state(*said, after=11)
        site.end(DONE)
        assert site.sweep() == []
        site.come(*range(11, 21), series=2)
        assert site.sweep(after=60) == [(2, 1)]
        assert site.row().incomplete == ""

    def test_a_pacs_that_cannot_be_asked_is_said_at_the_deadline(self, site: Site) -> None:
        site.come(1, 2, 3)
        site.sweep(after=60)
        site.end(FAILED, "main does not answer")
        assert site.sweep(after=1000) == []
        assert site.sweep(after=2600) == [(1, 1)]
        assert "the PACS could not be asked for all images" in site.row().incomplete

    def test_patients_of_another_authority_are_not_asked_for(self, site: Site) -> None:
        site.come(1, 2, 3, issuer_of_patient_id="CLINIC", issuer_of_accession_number="CLINIC")
        assert site.sweep(after=60) == [(1, 1)]
        assert site.retrievals.pending() == []

    def test_counts_that_do_not_fit_are_asked_for_again_after_a_while(self, site: Site) -> None:
        site.come(1, 2, 3, 4)
        site.sweep(after=60)
        site.fetched((1, 3))
        assert site.sweep(after=119) == []
        assert site.retrievals.pending() == []
        site.sweep(after=1)
        [retrieval] = site.retrievals.pending()
        assert retrieval.run == 2
        site.fetched((1, 4))
        assert site.sweep() == [(1, 1)]

    def test_a_corrected_image_is_waited_for_like_a_new_one(self, site: Site) -> None:
        site.pacs = False
        site.come(1, 2, 3)
        site.sweep(after=60)
        site.at = 500
        again = site.slice(2, series=9)
        changed = replace(again, header=replace(again.header, sop_instance_uid="1.2.1.2"), sha256="new", path="new",
                          pixels_sha256="pixels of 1.2.1.2")  # fmt: skip
        assert site.studies.add(changed, received_at=site.now, consumed=True, source="dicom") == "header"
        assert site.sweep(after=59) == []
        assert site.sweep(after=1) == [(2, 1)]

    def test_an_idle_look_is_one_query_and_a_study_that_does_not_change_is_not_read_again(self, site: Site) -> None:
        site.pacs = False
        assert len(self.asked(site)) == 1
        site.come(*range(1, 31))
        assert any("FROM instance" in one for one in self.asked(site))
        quiet = self.asked(site)
        assert 1 < len(quiet) < 7
        assert not any("FROM instance" in one for one in quiet)
        site.at = 60
        assert any("instance.header" in one for one in self.asked(site))
        assert len(self.asked(site)) == 1

    def asked(self, site: Site) -> list[str]:
        """The statements with which the open revisions are looked at."""
        said: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("SELECT"):
                said.append(statement)

        reader = site.databases.app.reader
        sa.event.listen(reader, "before_cursor_execute", note)
        try:
            site.completeness.close_complete(site.now)
        finally:
            sa.event.remove(reader, "before_cursor_execute", note)
        return said

    def test_two_workers_that_look_at_once_make_one_work(self, site: Site) -> None:
        site.pacs = False
        site.come(1, 2, 3)
        site.at = 60
        others = [Completeness(site.databases.app, site.rules, site.queryable) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda one: one.close_complete(site.now), others))
        assert sum(len(works) for works in found) == 1
        assert site.told().count("event: study complete") == 1

    def test_what_came_in_between_is_waited_for(self, site: Site) -> None:
        site.pacs = False
        site.come(1, 2, 3)
        site.at = 60
        with site.databases.app.reading() as session:
            [one] = progress.read(session, site.completeness._known)
            verdict = site.completeness._judge(session, one, site.now)
        site.come(4)
        assert site.completeness._close(one, verdict, site.now) is None
        assert site.row().revision_open

    # --- announced

    def test_an_announcement_is_wanted_once(self, site: Site) -> None:
        assert site.announce()
        assert not site.announce()
        assert site.retrievals.announce(site.now) == 1
        assert site.retrievals.announce(site.now) == 0
        [retrieval] = site.retrievals.pending()
        assert (retrieval.announced, retrieval.purpose, retrieval.priority) == ("DICOM PACS1", Purpose.STUDY, 10)
        assert "fetch: wanted" in site.told()

    def test_an_announcement_by_accession_number_alone_is_wanted_by_it(self, site: Site) -> None:
        site.announce(uid=None, accession="A1")
        site.sweep()
        [retrieval] = site.retrievals.pending()
        assert (retrieval.study_instance_uid, retrieval.accession) == ("", Identifier("A1", "RIS"))
        expected = site.retrievals.patient_of(retrieval)
        assert expected.patients == (Identifier("P1", "HOSP"),)
        assert [order.accession for order in expected.orders] == [expected.accession]
        site.retrievals.mark(retrieval.id, RUNNING, site.now, source="main", study_uid=STUDY)
        found = site.retrievals.retrieval(retrieval.id)
        assert (found.id, found.study_instance_uid, found.source) == (retrieval.id, STUDY, "main")
        assert site.known() == found
        site.announce()
        site.sweep()
        assert site.retrievals.pending() == []

    def test_an_announcement_of_an_order_by_its_own_number_is_wanted_by_its_accession_number(self, site: Site) -> None:
        kind, placer = StudyEventKind.IMAGES_AVAILABLE, Identifier("PL-A1", "EHR")
        site.events.announce(StudyEvent(kind, "HL7 RIS", site.now, placer_order_number=placer), site.now)
        site.sweep()
        assert [one.accession for one in site.retrievals.pending()] == [Identifier("A1", "RIS")]

    def test_what_names_nothing_to_ask_by_is_not_wanted(self, site: Site) -> None:
        kind, placer = StudyEventKind.IMAGES_AVAILABLE, Identifier("PL-UNKNOWN", "EHR")
        site.events.announce(StudyEvent(kind, "HL7 RIS", site.now, placer_order_number=placer), site.now)
        assert site.retrievals.announce(site.now) == 1
        assert site.retrievals.pending() == []

    def test_a_test_message_wants_nothing(self, site: Site) -> None:
        obx = f"OBX|1|ST|110180^Study Instance UID^DCM||{STUDY}||||||F"
        site.feed.send("ORU^R01", "PID|1||P1^^^HOSP", f"OBR|1||77^PACS|CT^CT^L{'|' * 14}A1", obx, mode="T")
        with site.databases.app.reading() as session:
            assert session.exec(select(AnnouncementRow)).all() == []
        site.feed.send("ORU^R01", "PID|1||P1^^^HOSP", f"OBR|1||77^PACS|CT^CT^L{'|' * 14}A1", obx)
        assert site.retrievals.announce(site.now) == 1
        assert [one.study_instance_uid for one in site.retrievals.pending()] == [STUDY]

    def test_an_announced_study_is_complete_without_quiet_when_all_of_it_is_here(self, site: Site) -> None:
        site.announce()
        site.sweep()
        site.come(1, 2, 3, source="pacs:main")
        site.fetched((1, 3))
        assert site.sweep() == [(1, 1)]
        assert "an event said that the images are there" in site.details("study complete")[0]

    def test_an_old_announcement_says_nothing_of_a_late_image(self, site: Site) -> None:
        site.announce()
        site.sweep()
        site.come(1, 2, 3, source="pacs:main")
        site.fetched((1, 3))
        site.sweep()
        site.at = 5000
        site.come(4)
        site.sweep(after=1)
        assert site.retrievals.pending() == []
        site.sweep(after=59)
        [retrieval] = site.retrievals.pending()
        assert retrieval.run == 2

    def test_counts_of_an_availability_notification_are_one_statement(self, site: Site) -> None:
        site.announce((f"{STUDY}.1", 3))
        site.sweep()
        [said] = site.retrievals.stated(STUDY)
        assert (said.source, said.series.instances, said.agreed, said.wanted) == ("DICOM PACS1", 3, False, False)
        assert site.state((1, 3), after=11) == [True]

    def test_a_notification_after_the_pacs_was_asked_counts_and_describes_nothing(self, site: Site) -> None:
        site.state((1, 3))
        site.at = 11
        site.announce((f"{STUDY}.1", 3), (f"{STUDY}.2", 40))
        site.sweep()
        first, other = site.retrievals.stated(STUDY)
        assert (first.agreed, first.wanted, first.series.modality, first.series.number) == (True, True, "CT", 1)
        assert (other.agreed, other.wanted, other.series.instances) == (False, False, 40)

    def test_counts_of_a_notification_close_a_pushed_study_without_quiet(self, site: Site) -> None:
        site.pacs = False
        site.announce((f"{STUDY}.1", 3))
        site.come(1, 2)
        assert site.sweep(after=600) == []
        site.come(3)
        assert site.sweep(after=1) == [(1, 1)]
        assert site.retrievals.pending() == []

    def test_an_urgent_order_hurries_its_retrieval(self, site: Site) -> None:
        site.feed.send("ORM^O01", "PID|1||P1^^^HOSP", f"ORC|XO|PL-A1^EHR|||||||{'20261120080000'}",
                       f"OBR|1{'|' * 17}A1{'|' * 9}^^^^^S")  # fmt: skip
        site.announce(uid=None, accession="A1")
        site.announce(uid="1.2.9")
        site.sweep()
        assert [(one.priority, one.study_instance_uid) for one in site.retrievals.pending()] == [(1, ""), (10, "1.2.9")]

    # --- stat

    def stat(self, site: Site) -> None:
        """The order is urgent."""
        site.feed.send("ORM^O01", "PID|1||P1^^^HOSP", "ORC|XO|PL-A1^EHR|||||||20261120080000",
                       f"OBR|1{'|' * 17}A1{'|' * 9}^^^^^S")  # fmt: skip

    def test_a_stat_ct_begins_with_its_complete_series_and_the_others_make_the_next_revision(self, site: Site) -> None:
        self.stat(site)
        site.pacs = False
        site.come(1, 2, 3)
        site.at = 55
        site.come(1, 2, series=2)
        [work] = self.works_after(site, 5)
        row = site.row()
        assert (work.revision.image, row.image_revision, row.revision_open) == (1, 2, True)
        assert (site.slices(1), site.slices(2)) == (3, 5)
        assert "images of series 2 are still coming" in row.incomplete
        assert site.works.is_current(work)
        site.come(3, series=2)
        assert site.sweep(after=59) == []
        assert site.sweep(after=1) == [(2, 1)]
        assert site.row().incomplete == ""
        assert not site.works.is_current(work)
        assert site.slices(2) == 6

    def test_what_changes_about_an_order_reaches_what_a_stat_ct_began_with(self, site: Site) -> None:
        self.stat(site)
        site.pacs = False
        site.come(1, 2, 3)
        site.at = 55
        site.come(1, 2, series=2)
        [work] = self.works_after(site, 5)
        site.works.again(work, "the order changed", site.now)
        again = site.works.pending()[-1]
        assert (work.id[-6:], again.id[-6:]) == ("i1m1a1", "i1m2a1")
        assert site.row().revision_open
        assert not site.works.is_current(work)

    def test_a_rejection_ends_what_a_stat_ct_began_with(self, site: Site) -> None:
        self.stat(site)
        site.pacs = False
        site.come(1, 2, 3)
        site.at = 55
        site.come(1, 2, series=2)
        [work] = self.works_after(site, 5)
        assert site.works.is_current(work)
        note = RejectionNote("113037", STUDY, ("1.2.1.3",))
        assert site.studies.reject(note, received_at=site.now) == 1
        assert not site.works.is_current(work)

    def works_after(self, site: Site, seconds: float) -> Any:
        """The works that a look makes."""
        site.at += seconds
        return site.completeness.close_complete(site.now)

    def test_a_routine_ct_waits_for_all_its_series(self, site: Site) -> None:
        site.pacs = False
        site.come(1, 2, 3)
        site.at = 55
        site.come(1, 2, series=2)
        assert site.sweep(after=5) == []
        assert site.sweep(after=55) == [(1, 1)]

    # --- priors

    def test_a_prior_comes_closes_and_runs_nothing(self, site: Site) -> None:
        assert site.retrievals.link_prior(STUDY, PRIOR, "main", site.now)
        assert not site.retrievals.link_prior(STUDY, PRIOR, "main", site.now)
        assert site.retrievals.priors(STUDY) == [PRIOR]
        site.want(PRIOR, purpose=Purpose.PRIOR)
        site.come(1, 2, 3, study=PRIOR, source="dicom")  # by C-MOVE
        assert site.row(PRIOR).purpose == "prior"
        site.fetched((1, 3), study=PRIOR)
        assert site.sweep(after=60) == []
        assert not site.row(PRIOR).revision_open
        assert site.works.pending() == []
        assert "event: prior complete" in site.told(PRIOR)
        with site.databases.app.writing() as session:
            stop(session, PRIOR, "the visit was cancelled", site.now)
        assert site.works.pending() == []

    @pytest.mark.parametrize("by", ["push", "repeat", "announcement"])
    def test_a_prior_that_is_sent_or_announced_for_itself_is_a_study_of_its_own(self, site: Site, by: str) -> None:
        site.want(PRIOR, purpose=Purpose.PRIOR)
        site.come(1, 2, 3, study=PRIOR, source="pacs:main")
        site.fetched((1, 3), study=PRIOR)
        site.sweep(after=60)
        site.at = 1000
        if by == "push":
            site.come(4, study=PRIOR)
        elif by == "repeat":
            site.come(1, study=PRIOR)
        else:
            site.announce(uid=PRIOR)
        site.sweep()
        row = site.row(PRIOR)
        assert (row.purpose, row.image_revision, row.revision_open) == ("", 2, True)
        assert site.known(PRIOR).purpose is (Purpose.STUDY if by == "announcement" else Purpose.PRIOR)

    def test_an_own_study_that_is_wanted_as_a_prior_stays_one(self, site: Site) -> None:
        site.come(1, 2, 3)
        site.want(purpose=Purpose.STUDY)
        site.want(purpose=Purpose.PRIOR)
        assert site.row().purpose == ""
        assert site.known().purpose is Purpose.STUDY

    # --- runs

    def test_what_ended_begins_anew_as_the_next_run_and_what_runs_goes_on(self, site: Site) -> None:
        first = site.want(announced="HL7 RIS", event="e1")
        assert first is not None
        assert site.want(announced="HL7 RIS", event="e1") is None
        assert site.retrievals.pending() == [first]
        site.retrievals.mark(first.id, RUNNING, site.now)
        assert site.retrievals.unfinished() == [first.id]
        going = site.want()
        assert going is not None
        assert going.id == first.id
        site.retrievals.mark(first.id, DONE, site.now)
        again = site.want(announced="HL7 RIS", event="e2")
        assert again is not None
        assert (again.run, again.state) == (2, PENDING)
        with pytest.raises(NotFound):
            site.retrievals.retrieval(first.id)
        site.retrievals.mark(first.id, FAILED, site.now)
        assert site.retrievals.retrieval(again.id).state is PENDING

    def test_what_is_announced_again_while_it_is_fetched_is_fetched_again(self, site: Site) -> None:
        first = site.want(announced="HL7 RIS", event="e1")
        assert first is not None
        site.retrievals.mark(first.id, RUNNING, site.now)
        site.want(announced="HL7 RIS", event="e2")
        site.retrievals.mark(first.id, DONE, site.now)
        [again] = site.retrievals.pending()
        assert again.run == 2
        site.end(DONE)
        assert site.retrievals.pending() == []

    def test_a_failure_is_held_once_and_ends_with_a_success(self, site: Site) -> None:
        site.want(announced="HL7 RIS", event="e1")
        site.end(FAILED, "main does not answer")
        site.want(announced="HL7 RIS", event="e2")
        site.end(FAILED, NOT_KNOWN)
        assert site.held() == [(HoldKind.RETRIEVAL_FAILED, NOT_KNOWN)]
        site.want(announced="HL7 RIS", event="e3")
        site.end(DONE)
        assert site.held() == []
        assert len(site.held(all_=True)) == 1

    def test_a_prior_is_done_without(self, site: Site) -> None:
        site.want(PRIOR, purpose=Purpose.PRIOR)
        site.end(FAILED, "main does not answer")
        assert site.held() == []

    @pytest.mark.parametrize("by_number", [False, True])
    def test_a_person_may_fetch_again_or_give_up(self, site: Site, by_number: bool) -> None:
        number = Identifier("A1", "RIS") if by_number else None
        for action, runs in (("give-up", []), ("run-again", [3])):
            uid = "" if by_number else STUDY
            site.retrievals.want(uid, number, purpose=Purpose.STUDY, announced="HL7 RIS", event=action, now=site.now)
            site.end(FAILED, "main does not answer")
            site.decide(action)
            assert [one.run for one in site.retrievals.pending()] == runs
            assert site.held() == []

    def test_what_a_pacs_does_not_state_any_more_is_not_waited_for(self, site: Site) -> None:
        site.state((1, 3), (2, 40))
        site.state((1, 3), after=11)
        assert [one.series.number for one in site.retrievals.stated(STUDY)] == [1]

    def test_a_pacs_that_states_no_counts_says_the_same_twice(self, site: Site) -> None:
        assert [site.state((1, None), after=11) for _ in range(2)] == [[False], [True]]
        assert site.state((1, 3), after=11) == [False]

    def test_what_is_here_is_told_by_series_with_what_was_rejected(self, site: Site) -> None:
        site.come(1, 2)
        site.come(1, series=2)
        site.studies.reject(RejectionNote("113001", STUDY, ("1.2.1.2",)), received_at=site.now)
        here = {"1.2.1": {"1.2.1.1", "1.2.1.2"}, "1.2.2": {"1.2.2.1"}}
        assert site.retrievals.local(STUDY) == here
        assert site.studies.known(STUDY) == {"1.2.1.1", "1.2.1.2", "1.2.2.1"}

    def test_a_rejected_image_may_still_count_in_the_pacs(self, site: Site) -> None:
        site.come(1, 2, 3)
        site.studies.reject(RejectionNote("113001", STUDY, ("1.2.1.3",)), received_at=site.now)
        site.sweep(after=60)
        site.fetched((1, 3))
        assert site.sweep() == [(1, 1)]

    def test_a_study_that_is_here_is_expected_under_every_identifier_of_its_patient(self, site: Site) -> None:
        site.feed.register("P2")
        site.feed.merge("P2", "P1")
        site.come(1)
        site.want()
        expected = site.retrievals.patient_of(site.known())
        assert expected.patients == (Identifier("P1", "HOSP"), Identifier("P2", "HOSP"))
        assert expected.accession == Identifier("A1", "RIS")

    def test_a_reused_accession_number_means_the_order_whose_images_were_announced(self, site: Site) -> None:
        site.feed.register("P2")
        site.feed.order("P2", "A1")
        site.announce(uid=None, accession="A1")  # nobody says whose
        site.retrievals.announce(site.now)
        [retrieval] = site.retrievals.pending()
        assert {one.value for one in site.retrievals.patient_of(retrieval).patients} == {"P1", "P2"}
        site.at += 60
        site.feed.send("ORM^O01", "PID|1||P2^^^HOSP", "ORC|SC|PL-A1^EHR|||CM||||20261120090000",
                       f"OBR|1{'|' * 17}A1")  # fmt: skip
        assert {one.value for one in site.retrievals.patient_of(retrieval).patients} == {"P2"}

    def test_many_workers_that_want_one_study_want_it_once(self, site: Site) -> None:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda n: site.want(announced="HL7 RIS", event=f"e{n}"), range(8)))
        assert {one.id for one in found if one} == {site.known().id}
        assert site.known().run == 1

    # --- what was told too early

    def test_what_had_to_be_taken_back_before_all_images_came_says_so(self, site: Site) -> None:
        site.pacs = False
        site.come(1, 2, 3)
        site.sweep(after=60)
        with site.databases.app.writing() as session:
            session.add(ReportRow(work_id="w", study_uid=STUDY, version=1, body="{}", issued=NOW))
        site.come(4)
        with site.databases.app.writing() as session:
            stop(session, STUDY, "the visit was cancelled", site.now)
        assert "before all images had come" in site.row().incomplete

    # --- why

    def test_the_story_of_a_study_tells_how_its_images_came(self, site: Site) -> None:
        site.announce()
        site.sweep()
        site.state((1, 3))
        site.come(1, 2, source="pacs:main")
        site.retrievals.link_prior(STUDY, PRIOR, "main", site.now)
        site.end(FAILED, "main does not answer")
        site.sweep(after=3600)
        text = as_text(why(site.databases.app, STUDY), "UTC")
        for line in (
            "made from incomplete images: 2 of 3 images of series 1; the PACS could not be asked for all images",
            "retrieval from main, run 1, announced by DICOM PACS1: failed: main does not answer",
            "main states of series 1 (CT): 3 images, wanted",
            f"compared with study {PRIOR}",
            "fetch: failed",
            "event: study incomplete",
        ):
            assert line in text
        site.want(PRIOR, purpose=Purpose.PRIOR)
        site.come(1, study=PRIOR, source="pacs:main")
        text = as_text(why(site.databases.app, PRIOR), "UTC")
        assert "here only to be compared with: nothing runs on it" in text
        assert "images may still come" in text
        assert f"a prior of study {STUDY}" in text
        assert '"incomplete": "2 of 3' in as_json(why(site.databases.app, STUDY))

    # --- storage commitment

    def delivered(self, site: Site) -> CommitmentStore:
        """A report was sent, and its PACS is asked to keep it."""
        self.enqueued(site)
        deliveries.DeliveryStore(site.databases.app).sent("d1", "stored 2 of 2", site.now)
        store = CommitmentStore(site.databases.app)
        for _ in range(2):
            store.asked("1.9", "d1", ["1.8.1", "1.8.2"], site.now)
        return store

    def enqueued(self, site: Site) -> None:
        """A report is to be sent."""
        site.come(1)
        with site.databases.app.writing() as session:
            deliveries.enqueue(
                session, delivery_id="d1", destination="pacs", kind=DeliveryKind.ALERT, payload=b"sr", now=site.now,
                study_uid=STUDY,
            )  # fmt: skip

    def delivery(self, site: Site, delivery_id: str) -> DeliveryRow:
        with site.databases.app.reading() as session:
            return session.get_one(DeliveryRow, delivery_id)

    def test_a_promise_stands_in_the_acknowledgment(self, site: Site) -> None:
        store = self.delivered(site)
        assert store.overdue(site.now, timedelta(hours=1)) == []
        assert [one.transaction_uid for one in store.overdue(site.now, timedelta(0))] == ["1.9"]
        assert not store.answered("1.7", ["1.8.1"], [], site.now)
        for _ in range(2):
            assert store.answered("1.9", ["1.8.1", "1.8.2"], [], site.now)
        assert self.delivery(site, "d1").acknowledgment == "stored 2 of 2; stored for good"
        assert site.told().count("storage commitment: committed") == 1
        assert store.overdue(site.now, timedelta(0)) == []
        assert site.held() == []

    @pytest.mark.parametrize("failed", [[], [("1.8.1", "no such object instance")]])
    def test_an_answer_that_comes_before_the_delivery_is_noted_as_sent_is_told_with_it(
        self, site: Site, failed: list[tuple[str, str]]
    ) -> None:
        self.enqueued(site)
        store, sending = CommitmentStore(site.databases.app), deliveries.DeliveryStore(site.databases.app)
        store.asked("1.9", "d1", ["1.8.1", "1.8.2"], site.now)
        assert store.answered("1.9", ["1.8.2"] if failed else ["1.8.1", "1.8.2"], failed, site.now)
        for _ in range(2):
            sending.sent("d1", "stored 2 of 2", site.now)
        said = "the PACS does not keep 1 of 2 instances: 1 x no such object instance" if failed else "stored for good"
        assert self.delivery(site, "d1").acknowledgment == f"stored 2 of 2; {said}"

    @pytest.mark.parametrize(
        ("committed", "failed", "why_not"),
        [
            (["1.8.1"], [("1.8.2", "no such object instance")], "1 of 2 instances: 1 x no such object instance"),
            (["1.8.1"], [], "1 of 2 instances: 1 x the answer does not name it"),
            ([], [("1.8.1", "x"), ("1.8.2", "x")], "2 of 2 instances: 2 x x"),
            (["1.8.1", "1.8.2"], [("1.8.2", "x")], "1 of 2 instances: 1 x x"),
        ],
    )
    def test_what_is_not_promised_waits_for_a_person_who_may_send_it_again(
        self, site: Site, committed: list[str], failed: list[tuple[str, str]], why_not: str
    ) -> None:
        store = self.delivered(site)
        assert store.answered("1.9", committed, failed, site.now)
        assert site.held() == [(HoldKind.COMMITMENT_FAILED, f"the PACS does not keep {why_not}")]
        assert "1.8" not in self.delivery(site, "d1").acknowledgment
        site.decide("send-again")
        assert self.delivery(site, "d1~1").payload == b"sr"
        assert site.held() == []

    def test_what_is_never_answered_is_held_and_may_be_given_up(self, site: Site) -> None:
        store = self.delivered(site)
        store.unanswered("1.9", site.now)
        store.unanswered("1.9", site.now)
        assert [kind for kind, _ in site.held()] == [HoldKind.COMMITMENT_FAILED]
        site.decide("give-up")
        assert site.held() == []

    def test_an_answer_after_long_silence_counts(self, site: Site) -> None:
        store = self.delivered(site)
        store.unanswered("1.9", site.now)
        assert store.answered("1.9", ["1.8.1", "1.8.2"], [], site.now)
        assert site.held() == []
        assert self.delivery(site, "d1").acknowledgment.endswith("; stored for good")

    def test_a_refusal_after_long_silence_waits_for_a_person(self, site: Site) -> None:
        store = self.delivered(site)
        store.unanswered("1.9", site.now)
        assert store.answered("1.9", ["1.8.1"], [("1.8.2", "x")], site.now)
        assert [reason for _, reason in site.held()][-1] == "the PACS does not keep 1 of 2 instances: 1 x x"

    # --- many

    def test_batches_that_come_twice_at_once_are_there_once(self, site: Site) -> None:
        batch = [(site.slice(number, series=number % 3), True) for number in range(30)]

        def add(turn: int) -> list[str]:
            some = batch if turn % 2 else batch[::-1]
            return site.studies.add_all(some, received_at=site.now, source="dicom")

        with ThreadPoolExecutor(4) as pool:
            said = list(pool.map(add, range(4)))
        assert sorted(one for some in said for one in some) == ["duplicate"] * 90 + ["new"] * 30
        assert (site.row().instances, site.row().consumed_instances) == (30, 30)

    def test_images_of_a_prior_that_come_after_we_gave_up_run_nothing(self, site: Site) -> None:
        site.pacs = False
        site.want(PRIOR, purpose=Purpose.PRIOR)
        site.come(1, study=PRIOR)
        site.end(FAILED, "slow")
        site.at += 30
        site.come(2, study=PRIOR)
        assert (site.row(PRIOR).purpose, site.sweep(after=61)) == ("prior", [])

    def test_the_images_of_a_rejected_series_are_no_reason_to_read_them(self, site: Site) -> None:
        site.pacs = False
        site.come(1, 2, 3)
        site.come(1, 9, series=2)
        site.studies.reject(RejectionNote("113001", STUDY, ("1.2.2.1", "1.2.2.9")), received_at=site.now)
        assert site.sweep(after=60) == [(1, 1)]
        with site.databases.app.reading() as session:
            assert len(session.exec(select(InstanceRow)).all()) == 5
