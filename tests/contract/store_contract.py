"""What the store promises, on every database that it runs on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cds.domain.coding import Coding, Quantity
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.imaging import InstanceHeader, StoredInstance
from cds.domain.matching import MatchState, match
from cds.domain.message import LoggedMessage, MessageContent, RawMessage, RecordValue
from cds.domain.order import OrderChange, OrderStatus, Priority, ServiceRequest
from cds.errors import InvalidMessage
from cds.store.message_log import SqlMessageLog
from cds.store.record import RecordStore
from cds.store.works import WorkStore
from tests.contract.closing import ClosingStudies
from tests.databases import Databases

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
PATIENT = Patient((Identifier("P1", "HOSP"),), HumanName("Test", "Tina"), birth_date=date(1960, 3, 2), sex=Sex.FEMALE)
ORDER = ServiceRequest(
    placer_order_number=Identifier("PL1", "EHR"),
    filler_order_number=None,
    accession=Identifier("A1", "RIS"),
    patient=Identifier("P1", "HOSP"),
    status=OrderStatus.ACTIVE,
    priority=Priority.STAT,
    changed_at=NOW,
)


def raw(control_id: str, body: bytes = b"MSH|...") -> RawMessage:
    """A message as the bounded check leaves it."""
    return RawMessage(
        raw=body,
        sha256=body.hex()[:64],
        sending_application="LAB",
        sending_facility="HOSP",
        control_id=control_id,
        message_type="ORU",
        trigger_event="R01",
        version="2.5.1",
        processing_id="P",
        character_set="",
        peer="127.0.0.1",
        received_at=NOW,
    )


def instance(
    sop: str, *, study: str = "1.2", accession: str = "A1", sha256: str = "", pixels: str = ""
) -> StoredInstance:
    """A stored CT instance of the patient above."""
    header = InstanceHeader(
        sop_instance_uid=sop,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=f"{study}.1",
        study_instance_uid=study,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        patient_id="P1",
        accession_number=accession,
        study_date=date(2026, 11, 20),
    )
    return StoredInstance(header, f"instances/{sop}", sha256 or sop, 100, pixels or f"pixels of {sop}")


class StoreContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def log(self, databases: Databases) -> SqlMessageLog:
        """A message log."""
        return SqlMessageLog(databases.messages)

    @pytest.fixture
    def studies(self, databases: Databases) -> ClosingStudies:
        """The studies of a site that names its authorities."""
        return ClosingStudies(databases.app, assigning_authority="HOSP", accession_issuer="RIS")

    @pytest.fixture
    def works(self, databases: Databases) -> WorkStore:
        """The works."""
        return WorkStore(databases.app)

    @pytest.fixture
    def record(self, databases: Databases) -> RecordStore:
        """The record."""
        return RecordStore(databases.app)

    # --- the message log

    def test_appended_messages_come_back_in_order_with_their_bytes(self, log: SqlMessageLog) -> None:
        ids = [one.id for one in log.append([raw(str(n), b"body %d" % n) for n in range(600)])]
        assert ids == sorted(ids)
        assert [m.message.raw for m in log.after(0, 600)] == [b"body %d" % n for n in range(600)]
        assert [m.id for m in log.after(ids[9], 5)] == ids[10:15]

    def test_the_same_bytes_under_the_same_control_id_are_one_message(self, log: SqlMessageLog) -> None:
        (first,), (again,) = log.append([raw("1")]), log.append([raw("1")])
        assert (first.duplicate, again.duplicate) == (False, True)
        assert first.id == again.id
        assert len(log.after(0, 10)) == 1

    def test_other_bytes_under_the_same_control_id_are_a_message_of_their_own(self, log: SqlMessageLog) -> None:
        log.append([raw("1")])
        (other,) = log.append([raw("1", b"MSH|other")])
        assert not other.duplicate
        assert other.doubt
        assert len(log.after(0, 10)) == 2

    # --- instances and the three numbers

    def test_instances_join_the_open_revision_and_become_one_work(
        self, studies: ClosingStudies, works: WorkStore
    ) -> None:
        for n in range(3):
            assert studies.add(instance(f"1.2.{n}"), received_at=NOW, consumed=True, source="dicom") == "new"
        assert studies.close_quiet(NOW + timedelta(seconds=59), timedelta(seconds=60)) == []
        [work] = studies.close_quiet(NOW + timedelta(seconds=60), timedelta(seconds=60))
        assert work.revision.image == 1
        assert studies.close_quiet(NOW + timedelta(hours=1), timedelta(seconds=60)) == []
        assert [w.id for w in works.pending()] == [work.id]
        [series] = studies.series("1.2", 1)
        assert len(series.paths) == 3

    def test_the_same_instance_again_changes_nothing(self, studies: ClosingStudies) -> None:
        studies.add(instance("1.2.1"), received_at=NOW, consumed=True, source="dicom")
        studies.close_quiet(NOW + timedelta(hours=1))
        assert studies.add(instance("1.2.1"), received_at=NOW, consumed=True, source="dicom") == "duplicate"
        assert studies.study("1.2").image_revision == 1
        assert studies.close_quiet(NOW + timedelta(hours=2)) == []

    def test_a_late_consumed_instance_opens_the_next_revision(self, studies: ClosingStudies) -> None:
        studies.add(instance("1.2.1"), received_at=NOW, consumed=True, source="dicom")
        studies.close_quiet(NOW + timedelta(hours=1))
        studies.add(instance("1.2.2"), received_at=NOW, consumed=True, source="dicom")
        [work] = studies.close_quiet(NOW + timedelta(hours=2))
        assert work.revision.image == 2
        assert len(studies.series("1.2", 1)[0].paths) == 1
        assert len(studies.series("1.2", 2)[0].paths) == 2

    def test_a_late_instance_that_no_model_consumes_makes_no_revision(self, studies: ClosingStudies) -> None:
        studies.add(instance("1.2.1"), received_at=NOW, consumed=True, source="dicom")
        studies.close_quiet(NOW + timedelta(hours=1))
        studies.add(instance("1.2.2"), received_at=NOW, consumed=False, source="dicom")
        assert studies.study("1.2").image_revision == 1
        assert studies.close_quiet(NOW + timedelta(hours=2)) == []

    def test_other_pixels_under_a_known_uid_are_a_conflict_and_the_first_stays(self, studies: ClosingStudies) -> None:
        studies.add(instance("1.2.1"), received_at=NOW, consumed=True, source="dicom")
        again = instance("1.2.1", sha256="other", pixels="others")
        assert studies.add(again, received_at=NOW, consumed=True, source="dicom") == "conflict"
        assert studies.add(again, received_at=NOW, consumed=True, source="dicom") == "duplicate"

    @pytest.mark.parametrize(
        "change",
        [
            {"patient_id": "P2"},
            {"issuer_of_patient_id": "ELSEWHERE"},
            {"accession_number": "A2"},
            {"patient_birth_date": date(1950, 1, 1)},
            {"patient_sex": Sex.MALE},
        ],
        ids=str,
    )
    def test_instances_of_one_study_that_name_two_patients_are_held(
        self, change: dict[str, Any], studies: ClosingStudies, works: WorkStore
    ) -> None:
        one, two = instance("1.2.1"), instance("1.2.2")
        born = replace(one.header, patient_birth_date=date(1960, 3, 2), patient_sex=Sex.FEMALE)
        studies.add(replace(one, header=born), received_at=NOW, consumed=True, source="dicom")
        studies.close_quiet(NOW + timedelta(hours=1))
        assert studies.study("1.2").contradiction == ""
        other = replace(two, header=replace(born, sop_instance_uid="1.2.2", **change))
        studies.add(other, received_at=NOW, consumed=False, source="dicom")
        assert studies.study("1.2").contradiction
        assert match(studies.study("1.2"), ()).state is MatchState.HELD
        assert {works.work(w.id).revision.match for w in works.pending()} == {1, 2}

    def test_no_instance_is_left_behind_where_closing_races_with_arriving(
        self, studies: ClosingStudies, works: WorkStore
    ) -> None:
        def arrive(start: int) -> None:
            for number in range(start, start + 25):
                studies.add(instance(f"1.2.{number}"), received_at=NOW, consumed=True, source="dicom")

        with ThreadPoolExecutor(4) as pool:
            arriving = [pool.submit(arrive, start) for start in (100, 200, 300)]
            while not all(future.done() for future in arriving):
                studies.close_quiet(NOW)
            for future in arriving:
                future.result()
        studies.close_quiet(NOW)
        newest = studies.study("1.2").image_revision
        assert {works.work(w.id).revision.image for w in works.pending()} == set(range(1, newest + 1))
        assert sum(len(s.paths) for s in studies.series("1.2", newest)) == 75

    # --- applying messages

    def _apply(self, record: RecordStore, n: int, content: MessageContent | InvalidMessage) -> None:
        record.apply([(LoggedMessage(n, raw(str(n))), content)], NOW)

    def test_a_message_is_applied_once(self, record: RecordStore) -> None:
        value = RecordValue("observation", "k", Coding("s", "c"), Quantity(1.0, "mg/dL"), date(2026, 1, 1))
        content = MessageContent(PATIENT, values=(value,))
        self._apply(record, 1, content)
        self._apply(record, 1, content)
        assert record.applied_up_to() == 1
        patient = record.patient(Identifier("P1", "HOSP"))
        assert patient is not None
        said = record.statements(patient)
        assert [s.value for s in said.statements] == [value]
        assert said.searched[0].since == NOW.date()

    def test_a_correction_replaces_the_statement(self, record: RecordStore) -> None:
        value = RecordValue("observation", "k", Coding("s", "c"), Quantity(1.0, "mg/dL"), date(2026, 1, 1))
        self._apply(record, 1, MessageContent(PATIENT, values=(value,)))
        wrong = replace(value, status="entered-in-error")
        self._apply(record, 2, MessageContent(PATIENT, values=(wrong,)))
        patient = record.patient(Identifier("P1", "HOSP"))
        assert patient is not None
        assert [s.value for s in record.statements(patient).statements] == [wrong]

    def test_identifiers_of_two_patients_in_one_message_are_held_not_merged(self, record: RecordStore) -> None:
        other = replace(PATIENT, identifiers=(Identifier("P2", "HOSP"),))
        both = replace(PATIENT, identifiers=(Identifier("P1", "HOSP"), Identifier("P2", "HOSP")))
        self._apply(record, 1, MessageContent(PATIENT))
        self._apply(record, 2, MessageContent(other))
        self._apply(record, 3, MessageContent(both))
        first, second = (record.patient(Identifier(v, "HOSP")) for v in ("P1", "P2"))
        assert first is not None
        assert second is not None
        assert first.id != second.id

    @pytest.mark.parametrize(
        ("message_type", "change", "kept"),
        [
            ("ADT", {"birth_date": date(1950, 1, 1)}, False),
            ("ADT", {"sex": Sex.MALE}, False),
            ("ORM", {"birth_date": date(1950, 1, 1)}, True),
            ("ORU", {"sex": Sex.MALE}, True),
            ("ADT", {"sex": Sex.MALE, "identifiers": (Identifier("P1", "HOSP"), Identifier("9", "OTHER"))}, True),
            ("ORU", {"birth_date": None, "sex": Sex.UNKNOWN}, True),
        ],
        ids=str,
    )
    def test_a_message_that_contradicts_its_patient_changes_her_only_where_it_registers(
        self, message_type: str, change: dict[str, Any], *, kept: bool, record: RecordStore
    ) -> None:
        self._apply(record, 1, MessageContent(PATIENT))
        said = replace(PATIENT, **change)
        record.apply([(LoggedMessage(2, replace(raw("2"), message_type=message_type)), MessageContent(said))], NOW)
        patient = record.patient(Identifier("P1", "HOSP"))
        assert patient is not None
        unchanged = (patient.birth_date, patient.sex) == (PATIENT.birth_date, PATIENT.sex)
        assert unchanged is kept
        assert record.patient(Identifier("9", "OTHER")) is None

    def test_a_feed_answers_only_for_what_it_can_tell(self, record: RecordStore) -> None:
        self._apply(record, 1, MessageContent(PATIENT, test=True))
        self._apply(record, 2, InvalidMessage("want a patient"))
        patient = replace(PATIENT, id="nobody")
        assert record.statements(patient).searched == ()
        record.apply([(LoggedMessage(3, replace(raw("3"), message_type="ADT")), MessageContent(PATIENT))], NOW)
        [feed] = record.statements(patient).searched
        assert feed.covers is not None
        assert "copd" in feed.covers
        assert "spirometry" not in feed.covers

    def test_a_cancel_by_filler_number_finds_the_order(self, record: RecordStore) -> None:
        filled = replace(ORDER, placer_order_number=None, filler_order_number=Identifier("F1", "RIS"))
        self._order(record, 1, filled, "NW")
        self._order(
            record, 2, replace(ORDER, filler_order_number=Identifier("F1", "RIS"), status=OrderStatus.REVOKED), "CA"
        )
        [(order, _)] = record.order_candidates("A1")
        assert order.status is OrderStatus.REVOKED

    def test_a_message_that_cannot_be_read_does_not_stop_the_next(self, record: RecordStore) -> None:
        self._apply(record, 1, InvalidMessage("want a patient in PID-3"))
        self._apply(record, 2, MessageContent(PATIENT))
        assert record.applied_up_to() == 2
        assert record.patient(Identifier("P1", "HOSP")) is not None

    def test_a_test_message_changes_no_record(self, record: RecordStore) -> None:
        self._apply(record, 1, MessageContent(PATIENT, test=True))
        assert record.patient(Identifier("P1", "HOSP")) is None

    # --- orders

    def _order(self, record: RecordStore, n: int, order: ServiceRequest, control: str) -> None:
        self._apply(record, n, MessageContent(PATIENT, orders=(OrderChange(order, control),)))

    def test_an_order_that_comes_after_the_images_makes_a_new_match_revision(
        self, record: RecordStore, studies: ClosingStudies, works: WorkStore
    ) -> None:
        studies.add(instance("1.2.1"), received_at=NOW, consumed=True, source="dicom")
        studies.close_quiet(NOW + timedelta(hours=1))
        self._order(record, 1, ORDER, "NW")
        pending = works.pending()
        assert [w.priority for w in pending] == [1, 10]
        assert works.work(pending[0].id).revision.match == 2

    def test_a_late_new_order_does_not_revive_a_cancelled_one(self, record: RecordStore) -> None:
        self._order(record, 1, replace(ORDER, status=OrderStatus.REVOKED), "CA")
        self._order(record, 2, ORDER, "NW")
        [(order, _)] = record.order_candidates("A1")
        assert order.status is OrderStatus.REVOKED

    def test_a_cancel_without_accession_number_finds_the_order_by_its_placer_number(self, record: RecordStore) -> None:
        self._order(record, 1, ORDER, "NW")
        self._order(record, 2, replace(ORDER, accession=None, status=OrderStatus.REVOKED), "CA")
        [(order, _)] = record.order_candidates("A1")
        assert order.status is OrderStatus.REVOKED
        assert order.accession == ORDER.accession

    def test_two_procedures_under_one_placer_number_are_two_orders(self, record: RecordStore) -> None:
        self._order(record, 1, ORDER, "NW")
        self._order(record, 2, replace(ORDER, accession=Identifier("A2", "RIS")), "NW")
        assert len(record.order_candidates("A1")) == len(record.order_candidates("A2")) == 1
