"""What a model is given, as small numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.dicom.input_numbers import input_numbers
from cds.domain.imaging import ImageRef, Projections
from tests.contract.quality_contract import volume


def test_a_volume_is_told_as_small_numbers(tmp_path: Path) -> None:
    found = input_numbers(volume(tmp_path / "volume.npy"))
    assert found.scanner == "ACME One"
    # 32 times each of -1000 to 999: hundredths of them are twenty apart.
    levels = {"intensity_p05": -900.0, "intensity_p50": -0.5, "intensity_p95": 899.0}
    spacing = {"spacing_slice_mm": 2.5, "spacing_row_mm": 0.7, "spacing_column_mm": 0.8}
    whole = {"slices": 10, "rows": 80, "columns": 80, "kvp": 120.0}
    assert found.numbers == pytest.approx({**whole, **spacing, **levels}, abs=0.1)


def test_projections_are_told_together(tmp_path: Path) -> None:
    images = []
    for number, value in enumerate((1.0, 3.0)):
        path = tmp_path / f"{number}.npy"
        np.save(path, np.full((1, 4, 6), value, dtype=np.float32))
        images.append(ImageRef(str(path), "float32", (1, 4, 6), "MONOCHROME2", None, "", "1", "1.2", "DX"))
    found = input_numbers(Projections(tuple(images)))
    assert (found.numbers["images"], found.numbers["rows"], found.numbers["intensity_p50"]) == (2, 4, 2.0)
    assert "spacing_row_mm" not in found.numbers
    assert found.scanner == ""
