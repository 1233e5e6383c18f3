"""Messages of files read as the HL7 v2 edge reads them, with or without an installation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cds.bootstrap import hl7
from cds.clock import SystemClock
from cds.domain.inspection import InspectedFile
from cds.settings import Settings

if TYPE_CHECKING:
    from adapters.hl7.read import Reader


def inspect_files(files: Sequence[tuple[str, bytes]], settings: Settings | None = None) -> list[InspectedFile]:
    """What is understood of each file, given its name and bytes; without settings, by their plain defaults."""
    from adapters.hl7.inspect import inspect_file

    used = settings or Settings.model_construct()
    read, now = cast("Reader", hl7.reader(used)), SystemClock(used.time_zone).now()
    return [inspect_file(name, data, read, now) for name, data in files]
