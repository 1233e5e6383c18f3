"""Segmentations built ahead: a commit that encodes a report must not hold its locks for the seconds that one takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from pydicom.dataset import Dataset

from adapters.dicom.segmentation import build, read_slices
from cds.domain.finding import Findings
from cds.domain.report import Report
from cds.errors import NotEvaluable

#: (Study Instance UID, Series Instance UID or "" for any) → the stored files of that series.
Sources = Callable[[str, str], Sequence[Path]]
#: So many wait at most: a worker runs two studies at a time.
_KEPT = 8


class _Key(NamedTuple):
    """What a segmentation is built from; a mask written anew is another one."""

    model: str
    version: str
    number: int
    mask: str
    written_ns: int
    images: tuple[Path, ...]


class Segmentations:
    """Builds the segmentations of reports, ahead where asked to; each is given away once."""

    def __init__(self, sources: Sources, max_bytes: int) -> None:
        self._sources = sources
        self._max_bytes = max_bytes
        self._ahead: dict[_Key, Dataset] = {}
        self._lock = Lock()

    def prepare(self, report: Report) -> None:
        """Build what `take` will be asked for; what cannot be built is left to `take`, which says why."""
        for outcome, number in masks_of(report):
            key = self._key(report.study.study_instance_uid, outcome, number)
            with suppress(NotEvaluable):
                built = self._build(key, outcome)
                with self._lock:
                    self._ahead[key] = built
                    for oldest in list(self._ahead)[:-_KEPT]:
                        del self._ahead[oldest]

    def take(self, study_uid: str, outcome: Findings, number: int) -> Dataset:
        """A segmentation of no edition yet, the caller's own; raise NotEvaluable with the reason where there is none.

        Mask and images must be there now, whatever was built before.
        """
        key = self._key(study_uid, outcome, number)
        with self._lock:
            built = self._ahead.pop(key, None)
        return built if built is not None else self._build(key, outcome)

    def _key(self, study_uid: str, outcome: Findings, number: int) -> _Key:
        mask = outcome.masks[number]
        images = tuple(self._sources(study_uid, mask.series_instance_uid))
        return _Key(outcome.model, outcome.version, number, mask.path, _written_ns(mask.path), images)

    def _build(self, key: _Key, outcome: Findings) -> Dataset:
        return build(outcome, key.number, read_slices(key.images, max_bytes=self._max_bytes))


def masks_of(report: Report) -> Iterator[tuple[Findings, int]]:
    """Each mask that the models of a report left, as its outcome and its number there."""
    for outcome in report.outcomes:
        if isinstance(outcome, Findings):
            yield from ((outcome, number) for number in range(len(outcome.masks)))


def _written_ns(path: str) -> int:
    """When a mask was written; 0 where there is none."""
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0
