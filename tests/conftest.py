"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """The folder of reference data that the repository does not hold; skips where it is not given."""
    folder = os.environ.get("CDS_REFERENCE_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CDS_REFERENCE_DIR names no folder: the reference messages, images and vectors are not here")
    return Path(folder)
