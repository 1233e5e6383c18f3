"""The studies of the one patient whose chart an EHR opened the pages from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cds.domain.imaging import Study
from cds.ui.people import Person


@dataclass(frozen=True, slots=True)
class ChartServices:
    """What the list of a patient's studies is made of."""

    #: The studies of the person's patient that may be shown now, newest first, once the audit log has it; NotFound.
    studies: Callable[[Person], tuple[Study, ...]]
