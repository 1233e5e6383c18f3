"""Key images as presentation states: what is marked, on which image, and how the report names both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from tests.peers.dicom_peers import noise
from tests.unit.pacs_reports import Images, findings, images, multi_frame, report, sink
from tests.unit.test_dicom_sr import document, instances

PR = "presentation-state"


@pytest.fixture
def of(tmp_path: Path) -> Images:
    made = images(tmp_path)
    made.mask[:] = 0
    made.mask[3, 2:5, 3:7] = 1
    np.save(made.mask_ref.path, made.mask)
    return made


def states(of: Images, **changes: Any) -> list[Dataset]:
    made = instances(sink(of, key_images=PR).encode(report(of, **changes), "d1"))
    return [one for one in made if one.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage]


def test_it_marks_the_place_on_the_original_image_to_the_pixel(of: Images) -> None:
    [state] = states(of)
    [annotation] = state.GraphicAnnotationSequence
    [image] = annotation.ReferencedImageSequence
    assert image.ReferencedSOPInstanceUID == of.volume.sop_instance_uids[3]
    [drawn] = annotation.GraphicObjectSequence
    assert (drawn.GraphicType, drawn.GraphicAnnotationUnits) == ("POLYLINE", "PIXEL")
    points = np.array(drawn.GraphicData).reshape(-1, 2)
    assert points.tolist() == [[3, 2], [7, 2], [7, 5], [3, 5], [3, 2]]


def test_its_words_say_that_it_is_ai_and_what_was_found(of: Images) -> None:
    [annotation] = states(of)[0].GraphicAnnotationSequence
    [text] = annotation.TextObjectSequence
    assert text.UnformattedTextValue.splitlines()[:3] == [
        "AI - preliminary, not for diagnosis",
        "Lung volume on CT: 4793.2 mL",
        "by ct_lung 1.2.0",
    ]
    assert text.UnformattedTextValue.endswith("outlined: lung")


def test_it_shows_the_window_of_the_body_site_and_is_read_back(of: Images) -> None:
    [state] = states(of)
    [shown] = state.SoftcopyVOILUTSequence
    assert (float(shown.WindowCenter), float(shown.WindowWidth)) == (-600, 1500)
    assert (state.ContentLabel, state.Modality) == ("SIGHTLINE", "PR")
    assert state.SeriesDescription == "Sightline AI key images v1 (preliminary)"
    assert (state.PresentationCreationDate, state.PresentationCreationTime) == ("20260302", "133005")
    assert (state.PatientID, state.StudyInstanceUID) == ("P-1", of.study_uid)


def test_without_a_mask_the_words_alone_stand_on_the_named_image(of: Images) -> None:
    [state] = states(of, outcomes=(findings(of, masks=False),))
    [annotation] = state.GraphicAnnotationSequence
    assert "GraphicObjectSequence" not in annotation
    assert len(annotation.TextObjectSequence) == 1


def test_on_a_multi_frame_image_it_names_the_frame(tmp_path: Path) -> None:
    of = images(tmp_path, hu=noise(6, 9, 7))
    slices = sorted(of.paths, key=lambda path: pydicom.dcmread(path, stop_before_pixels=True).InstanceNumber)
    of.paths[:] = [multi_frame(list(reversed(slices)), tmp_path / "enhanced.dcm")]
    of.mask[:] = 0
    of.mask[1, 2:4, 2:4] = 1
    np.save(of.mask_ref.path, of.mask)
    said = findings(of)
    unnamed = replace(said, findings=tuple(replace(f, key_sop_instance_uid="") for f in said.findings))
    [state] = states(of, outcomes=(unnamed,))
    [image] = state.GraphicAnnotationSequence[0].ReferencedImageSequence
    assert image.ReferencedFrameNumber == 5
    told = document(of, report(of, outcomes=(unnamed,)), key_images=PR)
    [container] = [item for item in told.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121180"]
    assert container.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == 5


def test_the_report_shows_the_image_together_with_the_state(of: Images) -> None:
    [state] = states(of)
    told = document(of, key_images=PR)
    [container] = [item for item in told.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121180"]
    [image] = container.ContentSequence[0].ReferencedSOPSequence
    assert image.ReferencedSOPInstanceUID == of.volume.sop_instance_uids[3]
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == state.SOPInstanceUID
    assert {one[2] for one in hd.sr.ComprehensiveSR.from_dataset(told).get_evidence()} >= {state.SOPInstanceUID}


def test_the_same_version_is_the_same_bytes(of: Images) -> None:
    one, other = (sink(of, key_images=PR).encode(report(of), "d1") for _ in range(2))
    assert one == other


def test_a_retraction_rejects_it_too(of: Images) -> None:
    one = sink(of, key_images=PR)
    of.own = list(one.made(one.encode(report(of), "d1")))
    assert [own.kind for own in of.own] == ["sr", "seg", "pr"]
    note = instances(one.retract(report(of), "r1", "wrong patient"))[1]
    assert states(of)[0].SOPInstanceUID in note.to_json()
