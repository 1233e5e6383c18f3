"""Every file of the reference folder: a verdict, no crash, and the pixels that pydicom and SimpleITK see."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import SimpleITK
from pydicom.errors import InvalidDicomError

from adapters.dicom.container import open_file
from adapters.dicom.inspect import TAGS, arrays, inspect
from adapters.dicom.pool import DecodePool
from adapters.dicom.projection import presented
from adapters.dicom.quiet import quiet
from cds.domain.instance_inspection import InspectedInstance, Verdict
from cds.limits import DicomLimits

Pixels = npt.NDArray[Any]

#: Files of which pydicom has other pixels, or pixels where we have none, and why.
UNLIKE_PYDICOM: dict[str, str] = {}
#: The same for SimpleITK.
UNLIKE_SIMPLEITK = {
    "SC_rgb_rle_16bit.dcm": "its bytes are swapped there: pydicom and we agree on primary colours",
    "SC_rgb_rle_16bit_2frame.dcm": "as above",
    "SC_rgb_rle_32bit.dcm": "as above",
    "SC_rgb_rle_32bit_2frame.dcm": "as above",
    "no-pixel-spacing.dcm": "a palette is applied there; the indices are the stored values",
    "examples_palette.dcm": "as above",
    "liver_1frame.dcm": "its bits become 0 and 255 there",
    "liver_expb_1frame.dcm": "as above",
    "rtdose_expb.dcm": "its bytes are not swapped there",
    "badVR.dcm": "its Number of Frames is no number, which is taken for 1 there",
}

REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm", "MR_truncated.dcm", "badVR.dcm", "meta_missing_tsyntax.dcm",
    "nested_priv_SQ.dcm", "rtplan_truncated.dcm",
}  # fmt: skip
UNREADABLE = {"FileInfo.txt", "LICENSE", "LICENSE.README.txt", "NOTE.txt", "README.md", "no_meta.dcm"}


@pytest.fixture(scope="module")
def verdicts(reference_dir: Path) -> Iterator[dict[Path, InspectedInstance]]:
    """Each file of the folder, looked at in a process with limits."""
    files = sorted(path for path in (reference_dir / "reference" / "dicom").rglob("*") if path.is_file())
    limits = DicomLimits()
    with DecodePool(limits, processes=1) as pool:
        yield {path: inspect(path, path.name, limits, pool) for path in files}


@cache
def by_pydicom(path: Path) -> Pixels | None:
    quiet()
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.asarray(pydicom.dcmread(path).pixel_array)
        except (InvalidDicomError, AttributeError, ValueError, RuntimeError, NotImplementedError, KeyError, OSError):
            return None


def by_simpleitk(path: Path) -> Pixels | None:
    """Rescaled, see `shown`."""
    SimpleITK.ProcessObject_SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("GDCMImageIO")
    try:
        values: Pixels = SimpleITK.GetArrayFromImage(reader.Execute())
    except RuntimeError:
        return None
    return values[0] if len(values) == 1 else values


def sha256(values: Pixels) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()).hexdigest()


def test_every_file_has_a_verdict(verdicts: dict[Path, InspectedInstance]) -> None:
    assert len(verdicts) >= 200
    assert {path.name for path, one in verdicts.items() if one.verdict is Verdict.REFUSED} == REFUSED
    assert {path.name for path, one in verdicts.items() if one.verdict is Verdict.UNREADABLE} == UNREADABLE
    for one in verdicts.values():
        assert bool(one.reason) == (one.verdict is not Verdict.IMAGE)
        assert (one.decoded is True) == (one.verdict is Verdict.IMAGE)
        assert one.reason not in ("an image of the series cannot be decoded: the decoder crashed on it",)


def test_pixels_are_those_of_pydicom(verdicts: dict[Path, InspectedInstance]) -> None:
    unlike = {}
    compared = 0
    for path, one in verdicts.items():
        theirs = by_pydicom(path)
        if theirs is None:
            continue
        compared += 1
        same = (one.pixel_sha256, one.dtype) == (sha256(theirs), theirs.dtype.newbyteorder("=").name)
        if not same:
            unlike[path.name] = f"{one.verdict.value} {one.dtype}"
        else:
            assert (one.minimum, one.maximum) == (theirs.min(), theirs.max())
            assert one.mean == pytest.approx(theirs.mean(dtype=np.float64))
    assert set(unlike) == set(UNLIKE_PYDICOM)
    assert compared > 90


def shown(path: Path, one: InspectedInstance) -> Pixels:
    """All frames as SimpleITK has them: rescaled, MONOCHROME1 inverted."""
    instance = open_file(path, TAGS, 1 << 28).instance
    assert instance is not None
    if one.photometric == "MONOCHROME1":
        return presented(instance, 0)
    values = np.stack(list(arrays(instance)))
    values = values[0] if len(values) == 1 else values
    return values if one.slope is None else values * one.slope + (one.intercept or 0.0)


def test_pixels_are_those_of_simpleitk(verdicts: dict[Path, InspectedInstance]) -> None:
    unlike = set()
    compared = 0
    for path, one in verdicts.items():
        theirs = by_simpleitk(path)
        if theirs is None:
            continue
        compared += 1
        ours = shown(path, one) if one.decoded else np.empty(0)
        if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=1e-6, atol=1e-6):
            unlike.add(path.name)
    assert unlike == set(UNLIKE_SIMPLEITK)
    assert compared > 90


def test_headers_are_those_of_pydicom(verdicts: dict[Path, InspectedInstance]) -> None:
    quiet()
    for path, one in verdicts.items():
        if one.verdict is not Verdict.IMAGE:
            continue
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        assert one.rows == dataset.Rows
        assert one.columns == dataset.Columns
        assert one.frames == int(dataset.get("NumberOfFrames") or 1)
        assert one.bits_stored == dataset.BitsStored
        assert one.signed == (dataset.PixelRepresentation == 1)
        assert one.photometric == dataset.PhotometricInterpretation
        assert one.sop_class_uid == dataset.SOPClassUID
        assert one.modality == (dataset.get("Modality") or "")
        assert one.patient_id == (dataset.get("PatientID") or "").strip()
        assert one.transfer_syntax_uid == dataset.file_meta.TransferSyntaxUID
