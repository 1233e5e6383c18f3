"""What is not arranged yet for one patient, on every database that the store runs on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from cds.alerting import alert
from cds.domain.coding import Coding
from cds.domain.follow_up import Answer
from cds.domain.identity import Identifier
from cds.domain.matching import Match, MatchState
from cds.domain.message import LoggedMessage, MessageContent
from cds.domain.order import OrderChange, OrderStatus
from cds.domain.outstanding import Outstanding, PendingStudy
from cds.domain.verification import FinalReport
from cds.store.outstanding import outstanding
from cds.store.record import RecordStore
from cds.store.revisions import stop
from cds.store.tables import OrderRow, StudyRow
from cds.store.works import WorkStore
from tests.contract.acceptances_contract import CALL, REFER, Site, said
from tests.contract.closing import close_quiet
from tests.contract.critical_site import CriticalSite
from tests.contract.store_contract import NOW, ORDER, PATIENT, instance, raw
from tests.databases import Databases

SOON = NOW + timedelta(hours=3)
NOBODY = "7c3b1c8e-0000-4000-8000-000000000000"
EXAM = replace(
    ORDER, modality="CT", procedure=Coding("http://loinc.org", "24725-4", "CT Head"), requester="Dr Roe",
    requested_at=NOW, scheduled_at=NOW,
)  # fmt: skip
SIGNED = FinalReport(Identifier("A1", "RIS"), Identifier("P1", "HOSP"), "final", SOON, "HL7 RIS|SITE", SOON)


class Chart:
    """One patient, P1, and what the wires say of her."""

    def __init__(self, databases: Databases) -> None:
        self.databases = databases
        self.site = Site(databases)
        self.record = RecordStore(databases.app)
        self._messages = 100
        assert self.site.anna is not None
        assert self.site.anna.id is not None
        self.patient_id: str = self.site.anna.id

    def hears(self, *orders: OrderChange, final: FinalReport | None = None) -> None:
        """A message about P1."""
        self._messages += 1
        content = MessageContent(PATIENT, orders=orders, final_reports=(final,) if final else ())
        self.record.apply([(LoggedMessage(self._messages, raw(str(self._messages))), content)], NOW)

    def scanned(self, sop: str = "1.2.77", **header: object) -> None:
        """An instance of study 1.2 arrives, with P1's number and accession number A1 where the header is not other."""
        image = instance(sop)
        arrived = replace(image, header=replace(image.header, **header))
        self.site.studies.add(arrived, received_at=NOW, consumed=True, source="dicom")

    def set(self, **columns: object) -> None:
        """The row of study 1.2 says this."""
        with self.databases.app.writing() as session:
            row = session.get_one(StudyRow, "1.2")
            for name, value in columns.items():
                setattr(row, name, value)
            session.add(row)

    def open(self, patient_id: str = "", after: timedelta = timedelta(hours=3)) -> Outstanding:
        """What is not arranged."""
        return outstanding(self.databases.app, patient_id or self.patient_id, NOW + after)

    def why(self, after: timedelta = timedelta(hours=3)) -> list[str]:
        """Why something has no result yet."""
        return [one.why for one in self.open(after=after).pending]


class OutstandingContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def chart(self, databases: Databases) -> Chart:
        """A patient of whom nothing is known but who she is."""
        return Chart(databases)

    # --- follow-ups

    def test_of_somebody_unknown_nothing_is_open(self, chart: Chart) -> None:
        assert chart.open() == Outstanding()
        assert chart.open(NOBODY) == Outstanding()

    def test_follow_ups_are_told_with_what_became_of_them_and_the_first_that_is_due_first(self, chart: Chart) -> None:
        chart.site.report(chart.site.anna, CALL, REFER)
        assert [(one.recommendation, one.state.value) for one in chart.open().follow_ups] == [
            ("refer", "open"),
            ("call", "open"),
        ]
        chart.site.accept(said(), said(Answer.COMPLETED, "call"))
        [refer, call] = chart.open().follow_ups
        assert (refer.state.value, refer.action, refer.due) == ("accepted", "Refer", date(2026, 12, 1))
        assert call.state.value == "completed"

    def test_a_follow_up_that_does_not_hold_any_more_is_not_told(self, chart: Chart) -> None:
        chart.site.report(chart.site.anna, REFER)
        chart.site.report(chart.site.anna)
        assert chart.open().follow_ups == ()

    def test_whoever_is_merged_has_the_follow_ups_of_both_and_after_an_undo_their_own(self, chart: Chart) -> None:
        berta = chart.site.berta
        assert berta is not None
        assert berta.id is not None
        chart.site.report(chart.site.anna, REFER)
        assert chart.open(berta.id).follow_ups == ()
        chart.site.merge()
        assert len(chart.open(berta.id).follow_ups) == 1
        assert chart.open(berta.id).follow_ups == chart.open().follow_ups
        chart.site.merge(undo=True)
        assert chart.open(berta.id).follow_ups == ()

    # --- critical results

    def test_a_critical_result_is_told_to_its_patient_until_somebody_acknowledges(self, databases: Databases) -> None:
        site = CriticalSite(databases)
        match = site.matched()
        [critical_id] = alert(site, site.work(match=match).id)
        assert match.patient_id is not None
        now = site.clock.now()
        [told] = outstanding(databases.app, match.patient_id, now).critical
        assert (told.id, told.waiting, told.study_instance_uid) == (critical_id, True, "1.2")
        assert outstanding(databases.app, NOBODY, now).critical == ()
        site.criticals.acknowledge(critical_id, "Dr. Duty", now)
        assert outstanding(databases.app, match.patient_id, now).critical == ()

    def test_a_critical_result_of_images_that_nobody_owns_is_in_no_chart(self, databases: Databases) -> None:
        site = CriticalSite(databases)
        match = site.matched()
        unmatched = Match(MatchState.UNMATCHED, ("no order has this accession number and issuer",))
        alert(site, site.work(match=unmatched).id)
        assert match.patient_id is not None
        assert outstanding(databases.app, match.patient_id, site.clock.now()).critical == ()

    # --- results that are pending

    def test_an_order_without_images_is_told_with_who_asked_for_it(self, chart: Chart) -> None:
        chart.hears(OrderChange(EXAM, "NW"))
        [pending] = chart.open().pending
        assert pending == PendingStudy(
            "ordered: no images have come here yet", date(2026, 11, 20), "CT", "CT Head", None, told="Dr Roe"
        )

    @pytest.mark.parametrize(
        "order",
        [
            replace(EXAM, status=OrderStatus.REVOKED),
            replace(EXAM, status=OrderStatus.COMPLETED),
            replace(EXAM, test=True),
            replace(EXAM, scheduled_at=NOW - timedelta(days=31)),
        ],
        ids=["cancelled", "completed", "test", "long ago"],
    )
    def test_an_order_that_nobody_waits_for_is_not_told(self, chart: Chart, order: object) -> None:
        assert isinstance(order, type(EXAM))
        chart.hears(OrderChange(order, "NW"))
        assert chart.why() == []

    def test_a_study_is_one_line_whether_its_images_come_or_are_analysed_until_it_is_reported(
        self, chart: Chart
    ) -> None:
        chart.hears(OrderChange(EXAM, "NW"))
        chart.scanned()
        [coming] = chart.open().pending
        assert coming == PendingStudy(
            "its images are still coming", date(2026, 11, 20), "CT", "CT Head", "1.2", "Dr Roe"
        )
        close_quiet(chart.databases.app, NOW + timedelta(hours=1))
        assert chart.why() == ["it is being analysed"]
        chart.site.report(chart.site.anna)
        assert chart.why() == []

    def test_more_images_after_the_result_are_told(self, chart: Chart) -> None:
        chart.site.report(chart.site.anna)
        chart.scanned("1.2.78")
        close_quiet(chart.databases.app, NOW + timedelta(hours=2))
        assert chart.why() == ["more images came after its result: it is being analysed again"]

    def test_where_radiology_reports_are_heard_a_study_waits_for_its_own(self, chart: Chart) -> None:
        chart.site.report(chart.site.anna)
        chart.hears(final=replace(SIGNED, accession=Identifier("A9", "RIS")))
        assert chart.why() == ["no signed radiology report has come here yet"]
        chart.hears(final=SIGNED)
        assert chart.why() == []

    def test_an_exam_that_was_read_without_images_here_is_not_pending(self, chart: Chart) -> None:
        chart.hears(OrderChange(EXAM, "NW"), final=SIGNED)
        assert chart.why() == []

    def test_images_in_doubt_and_images_without_an_order_are_told_as_such(self, chart: Chart) -> None:
        chart.site.report(None, state=MatchState.UNMATCHED)
        assert chart.why() == ["no order is known for the images: the result is with the radiologist alone"]
        chart.site.report(None, state=MatchState.HELD)
        assert chart.why() == ["it is in doubt whose images these are: a person decides"]

    def test_a_stopped_study_is_in_doubt(self, chart: Chart) -> None:
        chart.site.report(chart.site.anna)
        with chart.databases.app.writing() as session:
            stop(session, "1.2", "for a test", NOW)
        assert chart.why() == ["it is in doubt whose images these are: a person decides"]

    def test_what_waits_for_more_than_thirty_days_is_no_result_of_this_stay(self, chart: Chart) -> None:
        chart.scanned()
        assert chart.why(timedelta(days=30)) == ["its images are still coming"]
        assert chart.why(timedelta(days=30, seconds=1)) == []

    def test_images_of_somebody_else_are_not_told(self, chart: Chart) -> None:
        chart.scanned()
        assert chart.site.berta is not None
        assert chart.open(str(chart.site.berta.id)).pending == ()

    def test_the_same_number_of_another_authority_is_somebody_else(self, chart: Chart) -> None:
        chart.scanned(issuer_of_patient_id="ELSEWHERE")
        assert chart.why() == []

    def test_images_that_a_person_attached_to_an_order_are_its_patients_whatever_they_name(self, chart: Chart) -> None:
        chart.hears(OrderChange(EXAM, "NW"))
        chart.scanned(patient_id="UNREADABLE", accession_number="")
        assert chart.why() == ["ordered: no images have come here yet"]
        with chart.databases.app.reading() as session:
            order_id = session.exec(select(OrderRow.id)).one()
        chart.set(decided="attached", decided_order_id=order_id, decided_by="Dr Grey")
        assert chart.why() == ["its images are still coming"]

    def test_what_is_reported_for_somebody_else_by_now_is_not_told(self, chart: Chart) -> None:
        chart.site.report(chart.site.berta)
        chart.hears(final=replace(SIGNED, accession=Identifier("A9", "RIS")))
        assert chart.why() == []

    def test_images_without_an_accession_number_wait_for_no_signature(self, chart: Chart) -> None:
        chart.site.report(chart.site.anna)
        chart.set(accession_number="", accession_issuer="")
        chart.hears(final=replace(SIGNED, accession=Identifier("A9", "RIS")))
        assert chart.why() == []

    def test_images_that_were_fetched_as_priors_wait_for_nothing(self, chart: Chart) -> None:
        chart.scanned()
        chart.set(purpose="prior")
        assert chart.why() == []

    def test_an_accession_number_that_is_used_again_is_another_exam(self, chart: Chart) -> None:
        chart.hears(OrderChange(EXAM, "NW"))
        chart.scanned(study_date=date(2025, 11, 20))
        assert chart.why() == ["its images are still coming", "ordered: no images have come here yet"]

    def test_an_analysis_that_failed_is_told_as_such(self, chart: Chart) -> None:
        chart.scanned()
        [work] = close_quiet(chart.databases.app, NOW + timedelta(hours=1))
        WorkStore(chart.databases.app).fail(work.id, "for a test", NOW)
        assert chart.why() == ["its analysis failed: a person looks at it"]
