"""The structured report: read back with highdicom and pydicom, value for value; what it may and may not say."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import highdicom as hd
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from adapters.dicom.own import part_10
from cds.domain.coding import Quantity
from cds.domain.finding import Findings
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.matching import Match, MatchState
from cds.domain.report import Audience, Report
from cds.domain.verification import Agreement, Comparison, Verdict
from cds.errors import InvalidInput
from tests.peers.dicom_peers import edited
from tests.unit.pacs_reports import Images, findings, images, refusal, report, sink, verified


@pytest.fixture
def of(tmp_path: Path) -> Images:
    return images(tmp_path)


def instances(payload: bytes) -> list[Dataset]:
    with ZipFile(BytesIO(payload)) as archive:
        return [pydicom.dcmread(BytesIO(archive.read(name))) for name in archive.namelist()]


def document(of: Images, said: Report | None = None, **options: Any) -> Dataset:
    return instances(sink(of, **options).encode(said or report(of), "d1"))[0]


def read(dataset: Dataset) -> Any:
    return hd.sr.ComprehensiveSR.from_dataset(dataset).content


def texts(dataset: Dataset) -> list[str]:
    items = hd.sr.utils.find_content_items(
        dataset, value_type=hd.sr.ValueTypeValues.TEXT, relationship_type="CONTAINS", recursive=True
    )
    return [str(item.TextValue) for item in items]


def groups(dataset: Dataset) -> tuple[Any, Any]:
    """The measured finding and the negative one; the latter has no segment."""
    content = read(dataset)
    measured = content.get_volumetric_roi_measurement_groups()
    plain = content.get_image_measurement_groups()
    return (measured or plain)[0], plain[-1]


def test_a_measurement_is_read_back_with_code_value_unit_and_who_measured_it(of: Images) -> None:
    group, _ = groups(document(of))
    [measured] = group.get_measurements()
    assert (measured.value, measured.unit.value, measured.unit.scheme_designator) == (4793.2, "mL", "UCUM")
    assert (measured.name.value, measured.name.scheme_designator) == ("lung-volume", "99SIGHTLINE")
    assert group.tracking_identifier == "ct_lung.lung_volume"
    assert group.finding_sites[0].value == codes.SCT.Lung
    told = {str(i.ConceptNameCodeSequence[0].CodeMeaning): str(i.get("TextValue")) for i in group[0].ContentSequence}
    assert (told["Algorithm Name"], told["Algorithm Version"]) == ("ct_lung", "1.2.0")
    assert told["Algorithm Parameters"] == "kvp: 120"


def test_the_key_image_is_the_source_of_the_measurement_and_evidence(of: Images) -> None:
    dataset = document(of)
    key = of.volume.sop_instance_uids[3]
    [measured] = groups(dataset)[0].get_measurements()
    assert [image.referenced_sop_instance_uid for image in measured.referenced_images] == [key]
    evidence = hd.sr.ComprehensiveSR.from_dataset(dataset).get_evidence()
    assert (of.study_uid, of.volume.series_instance_uid, key) in {one[:3] for one in evidence}
    assert all(study == of.study_uid for study, *_ in evidence)


def test_a_negative_says_model_and_threshold_and_excludes_nothing(of: Images) -> None:
    _, group = groups(document(of))
    [said] = group.get_qualitative_evaluations()
    assert (said.name.value, said.value.value) == ("427359005", "260415000")
    assert group.tracking_identifier == "ct_lung.nodule"
    assert "not detected by ct_lung 1.2.0 at threshold 0.5; does not exclude" in texts(document(of))


def test_what_was_not_evaluated_stands_there_with_the_reason_and_no_value(of: Images) -> None:
    dataset = document(of)
    assert "Calcium score: not evaluated by ct_lung 1.2.0: contrast medium was given" in texts(dataset)
    assert "not evaluated by ct_bone 0.1.0: the kernel is too sharp" in texts(dataset)
    assert "ct_lung 1.2.0: Expiration is not known." in texts(dataset)
    assert "30526-8" not in dataset.to_json()


def test_a_report_of_refusals_alone_is_a_document_without_measurements(of: Images) -> None:
    dataset = document(of, report(of, outcomes=(refusal(),)))
    assert "not evaluated by ct_bone 0.1.0: the kernel is too sharp" in texts(dataset)
    assert not hd.sr.utils.find_content_items(dataset, name=codes.DCM.ImagingMeasurements)


@pytest.mark.parametrize("verdict", [None, *Verdict])
def test_it_is_always_partial_unverified_and_preliminary(of: Images, verdict: Verdict | None) -> None:
    said = report(of, verifications=(verified(of, verdict),) if verdict else ())
    dataset = document(of, said)
    assert (dataset.CompletionFlag, dataset.VerificationFlag, dataset.PreliminaryFlag) == (
        "PARTIAL",
        "UNVERIFIED",
        "PRELIMINARY",
    )
    assert "VerifyingObserverSequence" not in dataset


def test_what_a_radiologist_said_is_told_in_words(of: Images) -> None:
    told = report(of, verifications=(verified(of, Verdict.CORRECTED, corrected=Quantity(5000, "mL"), reason="bulla"),))
    assert "corrected by a radiologist on 2026-03-02 to 5000 mL: bulla" in texts(document(of, told))
    compared = (Comparison("ct_lung.nodule", Agreement.DISCORDANT, "it states a nodule"),)
    contradicted = replace(report(of), decision=replace(report(of).decision, comparisons=compared))
    assert "contradicts the radiologist's final report: it states a nodule" in texts(document(of, contradicted))


def test_a_header_that_names_another_patient_than_the_report_is_said_to(of: Images) -> None:
    said = "of another patient than the one whom their header, as here, names"
    assert not any(said in text for text in texts(document(of)))
    theirs = Patient((Identifier("P-2", "HOSPITAL"),), HumanName("Other", "Olga"), None, Sex.FEMALE)
    attached = document(of, report(of, patient=theirs))
    assert any(said in text for text in texts(attached))
    assert attached.PatientID == "P-1"
    assert "Olga" not in str(attached)
    merged = replace(theirs, former=(Identifier("P-1", "HOSPITAL"),))
    assert not any(said in text for text in texts(document(of, report(of, patient=merged))))


def test_it_is_filed_by_the_header_of_the_images(of: Images) -> None:
    with edited(of.paths[0]) as first:
        first.SpecificCharacterSet, first.StudyID = "ISO_IR 100", "77"
        first.PatientName = "Größer^Zoë"
        first.TimezoneOffsetFromUTC = "-0500"
    dataset = document(of)
    assert str(dataset.PatientName) == "Größer^Zoë"
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    filed = [dataset.PatientID, dataset.IssuerOfPatientID, dataset.PatientBirthDate, dataset.PatientSex]
    assert filed == ["P-1", "HOSPITAL", "19580304", "F"]
    assert [dataset.StudyID, dataset.AccessionNumber, dataset.StudyInstanceUID] == ["77", "ACC-7", of.study_uid]
    assert dataset.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "RIS"
    assert dataset.SeriesInstanceUID != of.volume.series_instance_uid
    assert "ReferencedRequestSequence" not in dataset
    assert (dataset.ContentDate, dataset.ContentTime) == ("20260302", "073005")


def test_odd_headers_are_filed_as_they_are(of: Images) -> None:
    with edited(of.paths[0]) as first:
        first.PatientSex, first.PatientBirthDate, first.PatientName = "X", "1958.03.04", "no caret"
        del first.StudyID
    dataset = document(of)
    assert [dataset.PatientSex, dataset.PatientBirthDate, str(dataset.PatientName)] == ["X", "1958.03.04", "no caret"]
    assert dataset.StudyID == ""


def test_it_says_who_made_it_and_that_it_is_advice(of: Images) -> None:
    dataset = document(of)
    assert [dataset.Manufacturer, dataset.ManufacturerModelName] == ["Sightline", "Sightline"]
    assert dataset.SoftwareVersions
    assert dataset.SeriesDescription == "Sightline AI results (preliminary)"
    [device] = read(dataset).get_observer_contexts()
    assert device.observer_identifying_attributes.name == "Sightline"
    assert any(text.startswith("AI output, preliminary: advice") for text in texts(dataset))
    assert dataset.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99SIGHTLINE"


def test_the_same_report_is_the_same_bytes_and_another_version_has_other_uids(of: Images) -> None:
    one, again, third = (sink(of).encode(report(of), delivery) for delivery in ("d1", "d1", "d2"))
    assert one == again
    assert [part_10(two) for two in instances(one)] == [part_10(two) for two in instances(third)]
    other = [document(of, report(of, **change)).SOPInstanceUID for change in ({"version": 2}, {"episode": 2})]
    assert len({document(of).SOPInstanceUID, *other}) == 3
    assert document(of).SOPInstanceUID.startswith("2.25.")


def test_destinations_that_see_something_else_get_other_instances(of: Images) -> None:
    uids = {document(of, **o).SOPInstanceUID for o in ({}, {"audience": Audience.EHR}, {"segmentations": False})}
    assert len(uids) == 3
    series = {document(of, report(of, version=v)).SeriesInstanceUID for v in (1, 2)}
    assert len(series) == 1


def test_a_version_names_the_one_that_left_before_it(of: Images) -> None:
    first = sink(of).encode(report(of), "d1")
    of.own = list(sink(of).made(first))
    dataset = document(of, report(of, version=3, replaces=2))
    [study] = dataset.PredecessorDocumentsSequence
    [item] = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert item.ReferencedSOPInstanceUID == instances(first)[0].SOPInstanceUID
    assert "Version 3; it replaces version 1 and its segmentations." in texts(dataset)
    assert "PredecessorDocumentsSequence" not in document(of, report(of, version=3, replaces=2, episode=2))


def test_a_study_without_an_order_and_a_test_say_so(of: Images) -> None:
    unmatched = report(of, match=Match(MatchState.UNMATCHED, ("no order has this number",)), test=True)
    said = texts(document(of, unmatched))
    assert "Not attached to an order: no order has this number." in said
    assert "Test data: not for patient care." in said


def test_a_report_whose_images_are_gone_or_whose_value_is_no_number_is_not_encoded(of: Images) -> None:
    infinite = findings(of, masks=False)
    broken = replace(infinite.findings[0], value=Quantity(float("inf"), "mL"))
    said: Findings = replace(infinite, findings=(broken,))
    with pytest.raises(InvalidInput, match="finite"):
        sink(of).encode(report(of, outcomes=(said,)), "d1")
    for path in of.paths:
        path.write_bytes(b"gone")
    with pytest.raises(InvalidInput, match="stored image"):
        sink(of).encode(report(of), "d1")


def test_every_finding_is_tracked_and_names_its_algorithm_and_how_certain_it_is(of: Images) -> None:
    said = findings(of, masks=False)
    sure = replace(said, findings=(replace(said.findings[0], confidence=0.873), *said.findings[1:]))
    found = read(document(of, report(of, outcomes=(sure,)))).get_image_measurement_groups()
    assert len(found) == 2
    for group in found:
        assert group.tracking_uid.startswith("2.25.")
        assert group.tracking_identifier.startswith("ct_lung.")
        names = {str(item.ConceptNameCodeSequence[0].CodeMeaning) for item in group[0].ContentSequence}
        assert {"Algorithm Name", "Algorithm Version"} <= names
    certain = found[0].get_measurements()[1]
    assert (certain.name, certain.value, certain.unit.value) == (codes.DCM.CertaintyOfFinding, 87.3, "%")
    assert found[1].get_measurements() == []
    assert "confidence 0.91 of 1" in texts(document(of))


def test_a_confidence_that_is_no_number_is_not_written(of: Images) -> None:
    said = findings(of, masks=False)
    broken = replace(said, findings=(replace(said.findings[0], confidence=float("nan")),))
    with pytest.raises(InvalidInput, match="finite"):
        document(of, report(of, outcomes=(broken,)))


def test_images_that_may_not_be_all_are_told_in_the_heading(of: Images) -> None:
    some = report(of, study=replace(report(of).study, incomplete="184 of 200 images of series 3"))
    assert texts(document(of, some))[-9:].count("Made from incomplete images: 184 of 200 images of series 3.") == 1
    assert not any("incomplete" in text for text in texts(document(of)))
