"""pydicom and pynetdicom warn and log with the values of elements in their texts: here they learn to keep silent."""

from __future__ import annotations

import logging
import warnings

import pydicom.config

_TALKATIVE = ("pydicom", "pynetdicom")
_NEVER = logging.CRITICAL + 1
_MODULES = r"(pydicom|pynetdicom|pylibjpeg|openjpeg|rle|libjpeg|jpeg_ls)(\.|$)"


def quiet() -> None:
    """Silence the DICOM libraries for this process: no PHI in logs, and a bad value is ours to judge, not a warning.

    May be called again and again, from any thread; everything in this package that reads or sends calls it first.
    """
    for logger in map(logging.getLogger, _TALKATIVE):
        if logger.level != _NEVER:  # setting it again empties a cache of every logger
            logger.setLevel(_NEVER)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    warnings.filterwarnings("ignore", module=_MODULES)
