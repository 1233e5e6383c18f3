"""What instances that arrive do to their study (SAFETY section 3), on every database that the store runs on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier, Sex
from cds.domain.imaging import RejectionNote, StoredInstance
from cds.domain.matching import MatchState, match
from cds.errors import NotFound
from cds.store.holds import open_holds
from cds.store.studies import StudyStore, decide_match, resolve_conflict, stop
from cds.store.tables import HoldRow, InstanceRow, OwnInstanceRow, ReportRow, StudyRow, TimelineRow, WorkRow
from cds.store.works import WorkStore
from tests.contract.closing import close_quiet
from tests.contract.store_contract import NOW, instance
from tests.databases import Databases, fresh

LATER = NOW + timedelta(hours=1)
QUIET = timedelta(seconds=60)
CORRECTIONS = ("113001", "113037", "113038")


def header(one: StoredInstance, **change: Any) -> StoredInstance:
    """The same pixels under another header, in another file."""
    again = f"{one.sha256} {sorted(change.items())}"
    return replace(one, header=replace(one.header, **change), sha256=again, path=f"instances/{hash(again)}")


@dataclass
class Disk:
    """Two files are the same image where they are listed so; removed files are remembered."""

    alike: set[frozenset[str]] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def same(self, one: str, other: str) -> bool:
        """The judgement of the decoder."""
        self.asked.append((one, other))
        return frozenset((one, other)) in self.alike


@dataclass
class House:
    """A store with its disk, and what its tables say."""

    databases: Databases
    disk: Disk = field(default_factory=Disk)

    def __post_init__(self) -> None:
        self.works = WorkStore(self.databases.app)
        self.studies = StudyStore(
            self.databases.app,
            assigning_authority="HOSP",
            accession_issuer="RIS",
            same_pixels=self.disk.same,
            discard=self.disk.removed.append,
        )

    def add(self, one: StoredInstance, *, consumed: bool = True, at: datetime = NOW) -> str:
        """One arrives."""
        return self.studies.add(one, received_at=at, consumed=consumed, source="dicom")

    def add_all(self, *came: StoredInstance, consumed: bool = True, at: datetime = NOW) -> list[str]:
        """Several arrive at once."""
        return self.studies.add_all([(one, consumed) for one in came], received_at=at, source="dicom")

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that the tables say, but random ids, as text that is the same in every run."""
        kept = {}
        with self.databases.app.reading() as session:
            for table in (StudyRow, InstanceRow, TimelineRow, HoldRow, WorkRow):
                names = [name for name in table.model_fields if name not in ("public_id", "id")]
                rows = [tuple(str(getattr(row, name)) for name in names) for row in session.exec(select(table))]
                kept[table.__name__] = rows if table is TimelineRow else sorted(rows)
        return kept

    def reject(self, code: str, *uids: str, study: str = "1.2") -> int:
        """A note arrives."""
        return self.studies.reject(RejectionNote(code, study, uids), received_at=LATER)

    def close(self) -> None:
        """The quiet period is over."""
        close_quiet(self.databases.app, LATER + QUIET, QUIET)

    def report(self, uid: str = "1.2") -> None:
        """A report of the study stands; whose words it has matters to nobody here."""
        with self.databases.app.writing() as session:
            session.add(ReportRow(work_id=f"work {uid}", study_uid=uid, version=1, body="{}", issued=NOW))

    def arrived(self, *uids: str, study: str = "1.2", **change: Any) -> list[StoredInstance]:
        """A study that is complete and reported."""
        came = [header(instance(uid, study=study), **change) for uid in uids]
        for one in came:
            assert self.add(one) == "new"
        self.close()
        self.report(study)
        return came

    def runs(self, study: str = "1.2") -> list[tuple[int, int]]:
        """(image revision, match revision) of the works of a study, in their order."""
        works = [self.works.work(work.id) for work in self.works.pending()]
        mine = [w.revision for w in works if w.study_instance_uid == study]
        return sorted((r.image, r.match) for r in mine)

    def paths(self, revision: int, study: str = "1.2") -> set[str]:
        """The files of an image revision."""
        return {path for series in self.studies.series(study, revision) for path in series.paths}

    def row(self, uid: str = "1.2") -> StudyRow:
        """The study's row."""
        with self.databases.app.reading() as session:
            return session.exec(select(StudyRow).where(StudyRow.uid == uid)).one()

    def told(self, outcome: str) -> int:
        """How often the timeline says it."""
        with self.databases.app.reading() as session:
            return len(session.exec(select(TimelineRow.id).where(col(TimelineRow.outcome) == outcome)).all())

    def held(self, kind: HoldKind) -> list[str]:
        """The studies that wait for a person for this reason."""
        return [h.study_instance_uid or "" for h in open_holds(self.databases.app) if h.kind is kind]

    def conflict_key(self) -> str:
        """The key of the one conflict."""
        with self.databases.app.reading() as session:
            return session.exec(select(HoldRow.key).where(HoldRow.kind == HoldKind.INSTANCE_CONFLICT.value)).one()


class InstanceContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def house(self, databases: Databases) -> House:
        """The store under test."""
        return House(databases)

    @pytest.fixture
    def another(self, tmp_path: Path) -> Iterator[Callable[[], House]]:
        """Makes another one beside it, on files of its own."""
        with ExitStack() as stack:
            yield lambda: House(stack.enter_context(fresh(tmp_path / "another")))

    # --- the same instance under another header

    def test_another_header_replaces_the_file_and_makes_no_revision_where_identity_stays(self, house: House) -> None:
        one, two = house.arrived("1.2.1", "1.2.2")
        described = header(one, series_description="Thorax", institution="Other")
        assert house.add(described) == "header"
        assert house.disk.removed == [one.path]
        assert house.paths(1) == {described.path, two.path}
        assert house.studies.series("1.2", 1)[0].series_description == "Thorax"
        assert house.runs() == [(1, 1)]
        assert house.add(described) == "duplicate"

    def test_a_report_is_withheld_at_the_first_image_that_names_another_patient(self, house: House) -> None:
        first, *_ = house.arrived("1.2.1", "1.2.2", "1.2.3")
        assert house.add(header(first, patient_id="P2")) == "header"
        assert match(house.studies.study("1.2"), ()).state is MatchState.HELD
        assert house.runs() == [(1, 1), (1, 2)]
        assert house.held(HoldKind.STUDY_IDENTITY) == ["1.2"]

    def test_a_series_that_is_sent_again_under_its_right_patient_is_matched_once_more(self, house: House) -> None:
        came = house.arrived(*(f"1.2.{n}" for n in range(1, 9)))
        for one in came:
            house.add(header(one, patient_id="P2", accession_number="A2"))
        study = house.studies.study("1.2")
        assert (study.patient, study.accession) == (Identifier("P2", "HOSP"), Identifier("A2", "RIS"))
        assert study.contradiction == ""
        assert house.runs() == [(1, 1), (1, 2), (1, 3)]
        assert house.held(HoldKind.STUDY_IDENTITY) == []

    def test_a_study_date_before_the_calendar_of_utc_is_a_study_without_a_time(self, databases: Databases) -> None:
        studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS", time_zone="Asia/Tokyo")
        for uid, day in (("9.1", date.min), ("9.2", date.max)):
            one = header(instance(uid, study=uid), study_date=day, study_time="000000")
            assert studies.add(one, received_at=NOW, consumed=True, source="dicom") == "new"
            assert studies.study(uid).study_date == day
        assert studies.study("9.1").started_at is None
        assert studies.study("9.2").started_at is not None

    def test_a_second_doubt_is_held_again(self, house: House) -> None:
        one, two = house.arrived("1.2.1", "1.2.2")
        for value in ("P2", "P3"):
            house.add(header(one, patient_id=value))
            assert house.held(HoldKind.STUDY_IDENTITY) == ["1.2"]
            house.add(header(two, patient_id=value))
            assert house.held(HoldKind.STUDY_IDENTITY) == []

    def test_two_patients_who_were_swapped_at_the_scanner_end_under_their_own_names(self, house: House) -> None:
        mine = house.arrived("1.1.1", "1.1.2", study="1.1", patient_id="P1", accession_number="A1")
        hers = house.arrived("1.2.1", "1.2.2", study="1.2", patient_id="P2", accession_number="A2")
        for one, other in zip(mine, hers, strict=True):
            house.add(header(one, patient_id="P2", accession_number="A2"))
            house.add(header(other, patient_id="P1", accession_number="A1"))
        found = {uid: house.studies.study(uid) for uid in ("1.1", "1.2")}
        assert {uid: s.patient and s.patient.value for uid, s in found.items()} == {"1.1": "P2", "1.2": "P1"}
        assert {uid: s.accession and s.accession.value for uid, s in found.items()} == {"1.1": "A2", "1.2": "A1"}
        assert {s.contradiction for s in found.values()} == {""}
        for uid in found:
            assert house.runs(uid) == [(1, 1), (1, 2), (1, 3)]

    def test_a_single_image_under_another_patient_is_matched_at_once(self, house: House) -> None:
        [one] = house.arrived("1.2.1")
        house.add(header(one, patient_id="P2"))
        assert house.studies.study("1.2").patient == Identifier("P2", "HOSP")
        assert house.runs() == [(1, 1), (1, 2)]

    def test_images_that_still_come_hold_up_no_retraction(self, house: House) -> None:
        house.arrived("1.2.1")
        house.add(instance("1.2.2"), at=LATER)
        assert house.runs() == [(1, 1)]
        house.add(header(instance("1.2.3"), patient_id="P2"), at=LATER)
        assert house.runs() == [(1, 1), (2, 2)]
        house.add(instance("1.2.4"), at=LATER)
        assert house.studies.study("1.2").image_revision == 3

    def test_nothing_is_hurried_where_nothing_was_reported(self, house: House) -> None:
        house.add(instance("1.2.1"))
        house.add(header(instance("1.2.2"), patient_id="P2"))
        assert house.runs() == []
        house.close()
        assert house.runs() == [(1, 2)]

    def test_what_a_later_image_adds_is_matched_without_doubt(self, house: House) -> None:
        house.arrived("1.2.1", accession_number="")
        house.add(instance("1.2.2"), consumed=False)
        study = house.studies.study("1.2")
        assert (study.accession, study.contradiction) == (Identifier("A1", "RIS"), "")
        assert house.runs() == [(1, 1), (1, 2)]

    def test_birth_date_and_sex_are_those_that_the_images_state_now(self, house: House) -> None:
        came = house.arrived("1.2.1", "1.2.2", patient_birth_date=date(1950, 1, 1), patient_sex=Sex.MALE)
        for one in came:
            house.add(header(one, patient_birth_date=date(1960, 1, 1), patient_sex=Sex.FEMALE))
        study = house.studies.study("1.2")
        assert (study.patient_birth_date, study.patient_sex) == (date(1960, 1, 1), Sex.FEMALE)
        assert study.contradiction == ""

    # --- the same instance under another study or series

    def test_an_image_under_another_study_leaves_the_old_one_which_runs_again(self, house: House) -> None:
        one, two = house.arrived("1.2.1", "1.2.2")
        assert house.add(header(one, study_instance_uid="1.3", series_instance_uid="1.3.1"), at=LATER) == "header"
        house.close()
        assert house.paths(2) == {two.path}
        assert house.runs() == [(1, 1), (2, 1)]
        assert house.runs("1.3") == [(1, 1)]
        assert len(house.paths(1, "1.3")) == 1
        assert (house.row("1.2").instances, house.row("1.3").instances) == (1, 1)

    def test_a_study_that_all_images_left_is_taken_back_at_once_and_begins_anew_when_one_comes(
        self, house: House
    ) -> None:
        came = house.arrived("1.2.1", "1.2.2")
        for one in came:
            house.add(header(one, study_instance_uid="1.3"), at=LATER)
        assert match(house.studies.study("1.2"), ()).state is MatchState.HELD
        assert house.runs() == [(1, 1), (2, 1)]
        house.add(header(instance("1.2.9"), patient_id="P9"), at=LATER)
        study = house.studies.study("1.2")
        assert (study.patient, study.contradiction) == (Identifier("P9", "HOSP"), "")

    def test_an_image_that_changes_its_series_makes_an_image_revision(self, house: House) -> None:
        one, _ = house.arrived("1.2.1", "1.2.2")
        house.add(header(one, series_instance_uid="1.2.77"), at=LATER)
        house.close()
        assert house.runs() == [(1, 1), (2, 1)]
        assert len(house.studies.series("1.2", 2)) == 2

    def test_an_image_that_a_model_wants_only_under_its_new_header_is_a_late_one(self, house: House) -> None:
        house.arrived("1.2.1")
        unread = instance("1.2.2")
        house.add(unread, consumed=False)
        house.add(header(unread, image_type=("ORIGINAL",)), consumed=True, at=LATER)
        house.close()
        assert house.runs() == [(1, 1), (2, 1)]
        assert house.row().consumed_instances == 2

    # --- other pixels

    def test_other_pixels_wait_for_a_person_with_their_file(self, house: House) -> None:
        [one] = house.arrived("1.2.1")
        other = replace(header(one, patient_id="P2"), pixels_sha256="others")
        assert house.add(other) == "conflict"
        assert house.disk.asked == [(one.path, other.path)]
        assert [h.path for h in open_holds(house.databases.app)] == [other.path]
        assert house.paths(1) == {one.path}
        assert house.studies.study("1.2").patient == Identifier("P1", "HOSP")
        assert house.runs() == [(1, 1)]
        assert house.add(other) == "duplicate"

    def test_keeping_the_first_leaves_all_as_it_is(self, house: House) -> None:
        [one] = house.arrived("1.2.1")
        other = replace(header(one), pixels_sha256="others")
        house.add(other)
        with house.databases.app.writing() as session:
            gone = resolve_conflict(session, house.conflict_key(), use_new=False, by="dr", now=LATER)
        assert (gone, house.paths(1), house.runs()) == (other.path, {one.path}, [(1, 1)])
        with house.databases.app.writing() as session, pytest.raises(NotFound):
            resolve_conflict(session, house.conflict_key(), use_new=True, by="dr", now=LATER)

    def test_using_the_new_one_runs_again_with_its_file_and_its_header(self, house: House) -> None:
        [one] = house.arrived("1.2.1")
        other = replace(header(one, patient_id="P2"), pixels_sha256="others")
        house.add(other)
        with house.databases.app.writing() as session:
            gone = resolve_conflict(session, house.conflict_key(), use_new=True, by="dr", now=LATER)
        house.close()
        assert (gone, house.paths(2)) == (one.path, {other.path})
        assert house.studies.study("1.2").patient == Identifier("P2", "HOSP")
        assert house.runs()[-1] == (2, 2)
        assert house.add(one) == "conflict"

    def test_the_same_image_compressed_anew_is_a_header_that_changed(self, house: House) -> None:
        [one] = house.arrived("1.2.1")
        squeezed = replace(header(one, transfer_syntax_uid="1.2.840.10008.1.2.5"), pixels_sha256="squeezed")
        house.disk.alike.add(frozenset((one.path, squeezed.path)))
        assert house.add(squeezed) == "header"
        assert house.disk.removed == [one.path]
        assert house.paths(1) == {squeezed.path}

    # --- what Sightline itself made

    @pytest.mark.parametrize("by", ["instance", "series", "manufacturer"])
    def test_an_own_instance_that_comes_back_is_ignored_and_told_once(self, by: str, house: House) -> None:
        house.arrived("1.2.1")
        back = header(instance("7.1"), series_instance_uid="7", sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33")
        if by == "manufacturer":
            back = header(back, manufacturer="Sightline")
        else:
            uid = "7.1" if by == "instance" else "7.2"
            with house.databases.app.writing() as session:
                series = "7" if by == "series" else "8"
                session.add(
                    OwnInstanceRow(
                        sop_instance_uid=uid, series_uid=series, study_uid="1.2", work_id="w", kind="sr", at=NOW
                    )
                )
        assert [house.add(back, consumed=True) for _ in range(3)] == ["own"] * 3
        assert house.told("own series came back, ignored") == 1
        assert house.runs() == [(1, 1)]
        assert len(house.paths(9)) == 1
        assert house.row().instances == 1

    def test_images_of_a_scanner_that_is_called_like_us_are_images(self, house: House) -> None:
        assert house.add(header(instance("1.2.1"), manufacturer="Sightline")) == "new"

    def test_a_reformat_that_no_model_reads_makes_no_revision(self, house: House) -> None:
        house.arrived("1.2.1")
        assert house.add(instance("1.2.2"), consumed=False, at=LATER) == "new"
        house.close()
        assert house.runs() == [(1, 1)]

    # --- rejection notes

    @pytest.mark.parametrize("code", CORRECTIONS)
    def test_rejected_images_leave_and_the_rest_runs_again_at_once(self, code: str, house: House) -> None:
        _, two = house.arrived("1.2.1", "1.2.2")
        assert house.reject(code, "1.2.1") == 1
        assert house.runs() == [(1, 1), (2, 1)]
        assert len(house.paths(1)) == 2
        assert house.paths(2) == {two.path}
        assert house.row().instances == 1
        assert house.reject(code, "1.2.1") == 1
        assert house.runs() == [(1, 1), (2, 1)]

    def test_a_study_without_images_left_is_taken_back(self, house: House) -> None:
        house.arrived("1.2.1", "1.2.2")
        house.reject("113037", "1.2.1", "1.2.2")
        study = house.studies.study("1.2")
        assert match(study, ()).reasons == ("all images were rejected (DCM 113037)",)
        assert house.runs() == [(1, 1), (2, 1)]
        assert house.paths(2) == set()

    def test_images_that_come_after_all_were_rejected_begin_the_study_anew(self, house: House) -> None:
        house.arrived("1.2.1")
        house.reject("113038", "1.2.1")
        house.add(header(instance("1.2.2"), patient_id="P2"), at=LATER)
        study = house.studies.study("1.2")
        assert (study.patient, study.contradiction) == (Identifier("P2", "HOSP"), "")
        house.close()
        assert house.runs()[-1][0] == 3
        assert len(house.paths(3)) == 1

    def test_a_note_ends_the_doubt_that_its_images_raised(self, house: House) -> None:
        house.arrived("1.2.1", "1.2.2")
        house.add(header(instance("1.2.3"), patient_id="P2"), at=LATER)
        assert house.studies.study("1.2").contradiction
        house.reject("113038", "1.2.3")
        assert house.studies.study("1.2").contradiction == ""
        assert house.held(HoldKind.STUDY_IDENTITY) == []

    @pytest.mark.parametrize("code", ["113001", "113037", "113038", "113039"])
    def test_every_title_takes_the_report_back_where_no_image_is_left(self, house: House, code: str) -> None:
        house.arrived("1.2.1")
        house.reject(code, "1.2.1")
        assert match(house.studies.study("1.2"), ()).state is MatchState.HELD
        assert house.runs() == [(1, 1), (2, 1)]

    def test_a_rejected_reformat_that_no_model_reads_makes_no_revision(self, house: House) -> None:
        house.arrived("1.2.1")
        house.add(instance("1.2.2"), consumed=False)
        house.reject("113001", "1.2.2")
        assert house.runs() == [(1, 1)]
        assert len(house.paths(1)) == 1

    def test_a_note_about_images_that_still_come_waits_for_the_others(self, house: House) -> None:
        house.add(instance("1.2.1"))
        house.add(instance("1.2.2"))
        house.reject("113001", "1.2.1")
        assert house.runs() == []
        house.close()
        assert house.runs() == [(1, 1)]
        assert house.paths(1) == {"instances/1.2.2"}

    def test_a_note_that_comes_before_its_images_rejects_them_when_they_come(self, house: House) -> None:
        assert house.reject("113037", "1.2.1", "1.2.2") == 0
        assert house.add(instance("1.2.1"), at=LATER) == "new"
        house.close()
        assert house.runs() == []
        assert match(house.studies.study("1.2"), ()).state is MatchState.HELD
        assert house.add(header(instance("1.2.3"), patient_id="P3"), at=LATER) == "new"
        house.close()
        assert house.studies.study("1.2").patient == Identifier("P3", "HOSP")
        assert len(house.paths(house.studies.study("1.2").image_revision)) == 1

    def test_a_rejected_image_that_is_sent_again_stays_rejected(self, house: House) -> None:
        one, _ = house.arrived("1.2.1", "1.2.2")
        house.reject("113001", "1.2.1")
        assert house.add(one) == "duplicate"
        assert house.add(header(one, patient_id="P2")) == "header"
        study = house.studies.study("1.2")
        assert (study.contradiction, study.patient) == ("", Identifier("P1", "HOSP"))
        house.add(header(one, series_instance_uid="1.2.77"), at=LATER)
        house.close()
        assert house.runs() == [(1, 1), (2, 1)]

    def test_a_note_about_what_sightline_made_says_nothing_of_the_images(self, house: House) -> None:
        house.arrived("1.2.1")
        with house.databases.app.writing() as session:
            session.add(
                OwnInstanceRow(sop_instance_uid="7.1", series_uid="7", study_uid="1.2", work_id="w", kind="sr", at=NOW)
            )
        assert house.reject("113037", "7.1") == 0
        assert house.told("rejection note") == 0
        assert house.runs() == [(1, 1)]

    def test_a_note_rejects_an_image_as_part_of_its_study_alone(self, house: House) -> None:
        house.arrived("1.3.1", study="1.3")
        assert house.reject("113037", "1.3.1", study="1.2") == 0
        assert house.runs("1.3") == [(1, 1)]

    # --- many at once

    def test_many_at_once_join_their_study_in_one_revision(self, house: House) -> None:
        assert house.add_all(*(instance(f"1.2.{n}") for n in range(9))) == ["new"] * 9
        row = house.row()
        assert (row.instances, row.consumed_instances, row.image_revision, row.revision_opened_at) == (9, 9, 1, NOW)
        assert house.studies.known("1.2") == {f"1.2.{n}" for n in range(9)}
        assert house.add_all(*(instance(f"1.2.{n}") for n in range(9))) == ["duplicate"] * 9
        assert house.add_all() == []

    def test_of_many_at_once_the_undecided_are_compared_and_the_superseded_removed(self, house: House) -> None:
        one, two = house.arrived("1.2.1", "1.2.2")
        squeezed = replace(header(one), pixels_sha256="squeezed")
        other = replace(header(two), pixels_sha256="others")
        house.disk.alike.add(frozenset((one.path, squeezed.path)))
        described = header(squeezed, series_description="Thorax")
        house.disk.alike.add(frozenset((squeezed.path, described.path)))
        said = house.add_all(squeezed, instance("1.2.3"), other, described, instance("1.2.3"), at=LATER)
        assert said == ["header", "new", "conflict", "header", "duplicate"]
        assert house.disk.removed == [one.path, squeezed.path]
        house.close()
        assert house.paths(2) == {described.path, two.path, "instances/1.2.3"}

    @pytest.mark.parametrize("seed", range(12))
    def test_many_at_once_leave_what_they_leave_one_by_one(
        self, seed: int, house: House, another: Callable[[], House]
    ) -> None:
        draw = random.Random(seed)
        pool = [self.drawn(draw) for _ in range(14)]
        came = [draw.choice(pool) for _ in range(40)]
        cuts = sorted(draw.sample(range(1, 40), 3))
        prepared, told = {}, {}
        for name, each in (("one by one", True), ("at once", False)):
            mine = house if each else another()
            self.prepare(mine, seed)
            said: list[str] = []
            for begin, end in zip([0, *cuts], [*cuts, 40], strict=True):
                some = came[begin:end]
                if each:
                    said += [mine.add(one, consumed=one.size > 50, at=LATER) for one in some]
                else:
                    batch = [(one, one.size > 50) for one in some]
                    said += mine.studies.add_all(batch, received_at=LATER, source="dicom")
            prepared[name], told[name] = said, mine.tables()
        assert prepared["at once"] == prepared["one by one"]
        assert told["at once"] == told["one by one"]

    def prepare(self, house: House, seed: int) -> None:
        """What was there before: a reported study, a rejection, something of our own."""
        if seed % 2:
            house.arrived("1.2.1", "1.2.2")
        if seed % 3 == 0:
            house.reject("113037", "1.2.4", "1.2.1")
        with house.databases.app.writing() as session:
            session.add(
                OwnInstanceRow(
                    sop_instance_uid="1.2.5", series_uid="7", study_uid="1.2", work_id="w", kind="sr", at=NOW
                )
            )

    def drawn(self, draw: random.Random) -> StoredInstance:
        """One of a few instances of two studies, under one of a few headers."""
        study = draw.choice(["1.2", "1.2", "1.2", "1.3"])
        one = instance(f"1.2.{draw.randrange(1, 9)}", study=study)
        change = draw.choice(
            [{}, {}, {}, {"series_description": "Thorax"}, {"patient_id": "P2"}, {"patient_sex": Sex.MALE}]
        )
        made = header(one, **change) if change else one
        digest = f"{study} {made.header.patient_id} {made.header.series_description} {made.header.patient_sex}"
        path = f"instances/{one.header.sop_instance_uid}/{digest}"
        return replace(made, sha256=digest, path=path, size=draw.choice([10, 100]))

    # --- what a person decides

    def test_a_stopped_study_is_seen_by_nobody_until_a_person_decided(self, house: House) -> None:
        house.arrived("1.2.1")
        house.add(instance("1.2.2"), at=LATER)
        with house.databases.app.writing() as session:
            stop(session, "1.2", "the visit was cancelled", LATER)
            stop(session, "1.2", "the visit was cancelled", LATER)
        assert match(house.studies.study("1.2"), ()).reasons == ("the visit was cancelled",)
        assert house.runs() == [(1, 1), (2, 2)]
        with house.databases.app.writing() as session:
            decide_match(session, "1.2", "attach", "order", "dr", LATER)
        study = house.studies.study("1.2")
        assert (study.contradiction, study.decided, study.decided_order_id) == ("", "attach", "order")
        assert house.runs() == [(1, 1), (2, 2), (2, 3)]

    def test_a_decision_stands_against_the_doubt_that_it_is_about_and_no_other(self, house: House) -> None:
        house.arrived("1.2.1")
        house.add(header(instance("1.2.2"), patient_id="P2"))
        with house.databases.app.writing() as session:
            decide_match(session, "1.2", "attach", "order", "dr", LATER)
        house.add(header(instance("1.2.3"), patient_id="P2"))
        assert house.studies.study("1.2").contradiction == ""
        house.add(header(instance("1.2.4"), patient_id="P3"))
        study = house.studies.study("1.2")
        assert (study.decided, study.decided_order_id) == ("", None)
        assert match(study, ()).state is MatchState.HELD

    def test_a_decision_about_other_headers_does_not_outlive_them(self, house: House) -> None:
        [one] = house.arrived("1.2.1")
        with house.databases.app.writing() as session:
            decide_match(session, "1.2", "leave", None, "dr", LATER)
        house.add(header(one, patient_id="P2"))
        assert house.studies.study("1.2").decided == ""

    def test_a_word_that_is_no_decision_is_refused(self, house: House) -> None:
        house.arrived("1.2.1")
        with pytest.raises(ValueError, match="want attach with an order"), house.databases.app.writing() as session:
            decide_match(session, "1.2", "attach", None, "dr", LATER)

    def test_every_row_has_its_file(self, house: House) -> None:
        came = house.arrived("1.2.1", "1.2.2")
        house.add(header(came[0], patient_id="P2"))
        house.add(header(came[1], study_instance_uid="1.3"))
        with house.databases.app.reading() as session:
            rows = session.exec(select(InstanceRow)).all()
        assert len({row.path for row in rows}) == 2
        assert not {row.path for row in rows} & set(house.disk.removed)
