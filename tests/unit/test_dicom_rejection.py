"""What takes a report back at a PACS: a rejection note, and a withdrawal that any viewer shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import pytest
from pydicom.dataset import Dataset

from adapters.dicom.rejection_note import rejection_notes
from cds.domain.imaging import OwnInstance
from cds.domain.report import Report
from tests.peers.dicom_peers import edited
from tests.unit.pacs_reports import Images, images, report, sink
from tests.unit.test_dicom_sr import instances, texts

REASON = "it was reported for another patient"


@pytest.fixture
def of(tmp_path: Path) -> Images:
    """Version 1 left as report and segmentation, version 2 as a report alone."""
    found = images(tmp_path)
    for version in (1, 2):
        found.own += sink(found).made(sink(found).encode(report(found, version=version), "d"))
        Path(found.mask_ref.path).unlink(missing_ok=True)
    return found


def taken_back(of: Images, said: Report | None = None, delivery_id: str = "r1") -> tuple[Dataset, Dataset]:
    withdrawn, note = instances(sink(of).retract(said or report(of, version=2), delivery_id, REASON))
    return withdrawn, note


def test_everything_of_the_episode_that_left_is_rejected(of: Images) -> None:
    assert [one.kind for one in of.own] == ["sr", "seg", "sr"]
    _, note = taken_back(of)
    [read] = rejection_notes(note)
    assert (read.code, read.study_instance_uid) == ("113037", of.study_uid)
    assert set(read.sop_instance_uids) == {one.sop_instance_uid for one in of.own}
    reader = hd.ko.KeyObjectSelectionDocument.from_dataset(note)
    for one in of.own:
        assert reader.resolve_reference(one.sop_instance_uid)[1] == one.series_instance_uid


def test_what_belongs_to_another_episode_or_was_a_withdrawal_is_not_rejected(of: Images) -> None:
    other = report(of, version=3, episode=2)
    mine = list(of.own)
    of.own += sink(of).made(sink(of).encode(other, "d"))
    of.own += sink(of).made(sink(of).retract(report(of, version=2), "r0", REASON))
    of.own.append(OwnInstance("1.2.9", "1.2.8", "sr"))
    [read] = rejection_notes(taken_back(of)[1])
    assert set(read.sop_instance_uids) == {one.sop_instance_uid for one in mine}


def test_the_withdrawal_says_so_in_one_sentence_and_succeeds_the_reports(of: Images) -> None:
    withdrawn, _ = taken_back(of)
    [said] = texts(withdrawn)
    assert said == f"This AI result was withdrawn: {REASON}. Do not use it for this patient."
    assert "WITHDRAWN" in withdrawn.SeriesDescription
    [study] = withdrawn.PredecessorDocumentsSequence
    [series] = study.ReferencedSeriesSequence
    named = {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence}
    assert named == {one.sop_instance_uid for one in of.own if one.kind == "sr"}
    assert (withdrawn.CompletionFlag, withdrawn.VerificationFlag) == ("PARTIAL", "UNVERIFIED")


def test_it_is_dated_when_it_was_taken_back(of: Images) -> None:
    assert [(one.ContentDate, one.ContentTime) for one in taken_back(of)] == [("20260304", "090000")] * 2


def test_it_is_filed_under_the_images_header_where_that_still_holds(of: Images) -> None:
    for one in taken_back(of):
        assert [str(one.PatientName), one.PatientID, one.StudyID] == ["Musterfrau^Änne", "P-1", "1"]


def test_it_is_filed_under_the_patient_whom_the_report_named_although_the_images_were_corrected(of: Images) -> None:
    for path in of.paths:
        with edited(path) as image:
            image.PatientID, image.PatientName, image.AccessionNumber = "P-2", "Anders^Otto", "ACC-8"
            image.PatientSex, image.PatientBirthDate = "M", "19700101"
    for one in taken_back(of):
        assert [one.PatientID, one.IssuerOfPatientID, one.AccessionNumber] == ["P-1", "HOSPITAL", "ACC-7"]
        assert [str(one.PatientName), one.PatientBirthDate, one.PatientSex] == ["Musterfrau^Änne", "19580304", "F"]
        assert one.StudyInstanceUID == of.study_uid


def test_no_name_is_put_to_an_identifier_that_it_does_not_belong_to(of: Images) -> None:
    of.paths.clear()
    said = report(of, version=2)
    other = replace(said, study=replace(said.study, patient=None))
    withdrawn, _ = taken_back(of, other)
    assert (str(withdrawn.PatientName), withdrawn.PatientID) == ("", "")


def test_it_is_taken_back_although_the_images_and_what_was_made_are_forgotten(of: Images) -> None:
    sent = {one.sop_instance_uid for one in of.own if one.kind == "sr"}
    of.paths.clear()
    of.own.clear()
    withdrawn, note = taken_back(of)
    [read] = rejection_notes(note)
    assert set(read.sop_instance_uids) <= sent
    assert withdrawn.PatientID == "P-1"


def test_the_same_retraction_is_the_same_bytes_and_its_instances_are_known_as_ours(of: Images) -> None:
    payload = sink(of).retract(report(of, version=2), "r1", REASON)
    assert payload == sink(of).retract(report(of, version=2), "r1", REASON)
    made = sink(of).made(payload)
    assert [one.kind for one in made] == ["sr", "ko"]
    assert not {one.sop_instance_uid for one in made} & {one.sop_instance_uid for one in of.own}
    again = sink(of).made(sink(of).retract(report(of, version=2), "r2", REASON))
    assert not {one.sop_instance_uid for one in made} & {one.sop_instance_uid for one in again}
