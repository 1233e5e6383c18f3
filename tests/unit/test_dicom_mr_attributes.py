"""What the gates of MR models read of a series, from single slices and from functional groups."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from models import mr_gates
from tests.peers.dicom_peers import build, edited, write_series

STATED = {
    "SeriesDescription": ("description", "t1_mprage_sag"),
    "ProtocolName": ("protocol", "brain"),
    "MRAcquisitionType": ("acquisition_dimension", "3D"),
    "ScanningSequence": ("scanning_sequence", "GR\\IR"),
    "RepetitionTime": ("repetition_time_ms", "2300"),
    "EchoTime": ("echo_time_ms", "2.98"),
    "InversionTime": ("inversion_time_ms", "900"),
    "MagneticFieldStrength": ("magnetic_field_t", "3"),
}


def test_an_mr_series_says_its_weighting_its_times_and_its_field(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    for path in paths:
        with edited(path) as dataset:
            dataset.Modality = "MR"
            for keyword, (_, value) in STATED.items():
                setattr(dataset, keyword, value.split("\\"))
    volume = build(paths, tmp_path, modality="MR")
    assert {name: volume.attributes[name] for name, _ in STATED.values()} == dict(STATED.values())
    assert mr_gates.weighting(volume) == "T1"


def test_a_time_that_differs_between_slices_is_not_known(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s")
    for place, path in enumerate(paths):
        with edited(path) as dataset:
            dataset.RepetitionTime = str(1000 + place)
    volume = build(paths, tmp_path, modality="MR")
    assert volume.attributes["repetition_time_ms"] == ""
    assert "repetition_time_ms differs between slices" in volume.warnings


def group(**macros: dict[str, object]) -> Dataset:
    """Functional groups by name, each with one item."""
    made = Dataset()
    for sequence, elements in macros.items():
        item = Dataset()
        for keyword, value in elements.items():
            setattr(item, keyword, value)
        setattr(made, sequence, [item])
    return made


@pytest.fixture
def enhanced(tmp_path: Path) -> Path:
    """An Enhanced MR instance: acquisition contrast and times in the functional groups."""
    slices = [pydicom.dcmread(path) for path in write_series(tmp_path / "single")]
    whole = slices[0]
    whole.SharedFunctionalGroupsSequence = [
        group(
            PlaneOrientationSequence={"ImageOrientationPatient": whole.ImageOrientationPatient},
            PixelMeasuresSequence={"PixelSpacing": whole.PixelSpacing, "SliceThickness": whole.SliceThickness},
            MRTimingAndRelatedParametersSequence={"RepetitionTime": 2300.0},
            MREchoSequence={"EffectiveEchoTime": 2.98},
            MRImageFrameTypeSequence={"FrameType": ["ORIGINAL", "PRIMARY", "T1", "NONE"], "AcquisitionContrast": "T1"},
        )
    ]
    whole.PerFrameFunctionalGroupsSequence = [
        group(PlanePositionSequence={"ImagePositionPatient": one.ImagePositionPatient}) for one in slices
    ]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        del whole[keyword]
    whole.Modality, whole.MagneticFieldStrength, whole.MRAcquisitionType = "MR", "1.5", "3D"
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    whole.NumberOfFrames = len(slices)
    whole.PixelData = b"".join(one.PixelData for one in slices)
    whole.save_as(tmp_path / "enhanced.dcm")
    return tmp_path / "enhanced.dcm"


def test_an_enhanced_mr_image_says_them_in_its_functional_groups(enhanced: Path, tmp_path: Path) -> None:
    volume = build([enhanced], tmp_path, modality="MR")
    said = volume.attributes
    assert (said["acquisition_contrast"], said["acquisition_dimension"]) == ("T1", "3D")
    assert (float(said["repetition_time_ms"]), float(said["effective_echo_time_ms"])) == (2300.0, 2.98)
    assert float(said["magnetic_field_t"]) == 1.5
    assert mr_gates.weighting(volume) == "T1"
