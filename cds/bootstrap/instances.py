"""The disk behind the index of instances: comparing two files and removing one, for `cds.store.studies.StudyStore`."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from cds.settings import Settings

if TYPE_CHECKING:
    from adapters.dicom.pixels import SamePixels


class Comparison:
    """Whether two files below the data folder hold the same pixels, however they are compressed.

    They are decoded in another process, which starts with the first question; nothing is loaded before. `close` ends
    it, and so does the end of this process.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._made: SamePixels | None = None

    def __call__(self, one: str, other: str) -> bool:
        """Raise Unavailable where a file cannot be read or no process can be had."""
        return self._comparing()(one, other)

    def close(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    def _comparing(self) -> SamePixels:
        from adapters.dicom.pixels import SamePixels

        with self._lock:
            if self._made is None:
                self._made = SamePixels(self._settings.data_dir, self._settings.dicom_limits)
            return self._made


def compare(settings: Settings) -> Comparison:
    """What compares the files of this installation."""
    return Comparison(settings)


def discard(settings: Settings) -> Callable[[str], None]:
    """Removes a file below the data folder that no row names any more."""

    def remove(path: str) -> None:
        from adapters.dicom.files import InstanceFiles

        InstanceFiles(settings.data_dir, settings.minimum_free_bytes).remove(path)

    return remove
