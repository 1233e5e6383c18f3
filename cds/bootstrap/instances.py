"""The disk behind the index of instances: comparing two files and removing one, for `cds.store.studies.StudyStore`."""

from __future__ import annotations

from collections.abc import Callable

from cds.settings import Settings


def compare(settings: Settings) -> Callable[[str, str], bool]:
    """Whether two files below the data folder hold the same pixels, however they are compressed."""

    def same(one: str, other: str) -> bool:
        from adapters.dicom.pixels import same_pixels

        folder, limit = settings.data_dir, settings.dicom_limits.max_instance_bytes
        return same_pixels(folder / one, folder / other, max_bytes=limit)

    return same


def discard(settings: Settings) -> Callable[[str], None]:
    """Removes a file below the data folder that no row names any more."""

    def remove(path: str) -> None:
        from adapters.dicom.files import InstanceFiles

        InstanceFiles(settings.data_dir, settings.minimum_free_bytes).remove(path)

    return remove
