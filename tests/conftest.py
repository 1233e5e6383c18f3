"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from cds import logs

# The same examples at every run; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command that ran in the test's own process may have left it logging errors alone."""
    yield
    if not logs.is_logged("info"):
        logs.configure("", "info")


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """The folder of reference data that the repository does not hold; skips where it is not given."""
    folder = os.environ.get("CDS_REFERENCE_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CDS_REFERENCE_DIR names no folder: the reference messages, images and vectors are not here")
    return Path(folder)
