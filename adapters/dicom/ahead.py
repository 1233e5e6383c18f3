"""Segmentations and key images built ahead: a commit that encodes a report must not hold its locks for seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

from pydicom.dataset import Dataset

from adapters.dicom.key_slice import MOST, KeySlice, ReadFrame, Stored, key_slices, wants_key_image
from adapters.dicom.segmentation import build, read_slices
from cds.domain.finding import Finding, Findings
from cds.domain.report import Report
from cds.errors import NotEvaluable

#: (Study Instance UID, Series Instance UID or "" for any) → the stored files of that series.
Sources = Callable[[str, str], Sequence[Path]]
K = TypeVar("K")
V = TypeVar("V")
#: So many wait at most: a worker runs two studies at a time.
_KEPT = 8


class _Places(NamedTuple):
    """What the key images of an outcome are made from."""

    model: str
    version: str
    findings: tuple[Finding, ...]
    written_ns: tuple[int, ...]
    images: tuple[Path, ...]


class _Key(NamedTuple):
    """What a segmentation is built from; a mask written anew is another one."""

    model: str
    version: str
    number: int
    mask: str
    written_ns: int
    images: tuple[Path, ...]


class _Kept(Generic[K, V]):
    """What was built ahead, the newest few of it; each is given away once."""

    def __init__(self) -> None:
        self._built: dict[K, V] = {}
        self._lock = Lock()

    def put(self, key: K, built: V) -> None:
        with self._lock:
            self._built[key] = built
            for oldest in list(self._built)[:-_KEPT]:
                del self._built[oldest]

    def take(self, key: K) -> V | None:
        with self._lock:
            return self._built.pop(key, None)


class Segmentations:
    """Builds the segmentations of reports, ahead where asked to."""

    def __init__(self, sources: Sources, max_bytes: int) -> None:
        self._sources = sources
        self._max_bytes = max_bytes
        self._ahead = _Kept[_Key, Dataset]()

    def prepare(self, report: Report) -> None:
        """Build what `take` will be asked for; what cannot be built is left to `take`, which says why."""
        for outcome, number in masks_of(report):
            key = self._key(report.study.study_instance_uid, outcome, number)
            with suppress(NotEvaluable):
                self._ahead.put(key, self._build(key, outcome))

    def take(self, study_uid: str, outcome: Findings, number: int) -> Dataset:
        """A segmentation of no edition yet, the caller's own; raise NotEvaluable with the reason where there is none.

        Mask and images must be there now, whatever was built before.
        """
        key = self._key(study_uid, outcome, number)
        built = self._ahead.take(key)
        return built if built is not None else self._build(key, outcome)

    def _key(self, study_uid: str, outcome: Findings, number: int) -> _Key:
        mask = outcome.masks[number]
        images = tuple(self._sources(study_uid, mask.series_instance_uid))
        return _Key(outcome.model, outcome.version, number, mask.path, _written_ns(mask.path), images)

    def _build(self, key: _Key, outcome: Findings) -> Dataset:
        stack = outcome.masks[key.number].stack
        return build(outcome, key.number, read_slices(key.images, stack, max_bytes=self._max_bytes))


class KeyImages:
    """Finds and reads the images that show findings, ahead where asked to. `read` is as `frame_values`."""

    def __init__(self, sources: Sources, max_bytes: int, read: ReadFrame) -> None:
        self._sources = sources
        self._max_bytes = max_bytes
        self._read = read
        self._ahead = _Kept[_Places, tuple[list[KeySlice], list[str]]]()

    def prepare(self, report: Report) -> None:
        """Read what `take` will be asked for."""
        for outcome in _with_places(report):
            study_uid = report.study.study_instance_uid
            self._ahead.put(self._key(study_uid, outcome), self._build(study_uid, outcome))

    def take(self, report: Report) -> tuple[list[KeySlice], list[str]]:
        """The first few places of a report, and in words which there are no images of."""
        found: list[KeySlice] = []
        notes: list[str] = []
        study_uid = report.study.study_instance_uid
        for outcome in _with_places(report):
            places, missing = self._ahead.take(self._key(study_uid, outcome)) or self._build(study_uid, outcome)
            found += places
            notes += missing
        return found[:MOST], notes

    def _key(self, study_uid: str, outcome: Findings) -> _Places:
        written = tuple(_written_ns(mask.path) for mask in outcome.masks)
        return _Places(
            outcome.model, outcome.version, outcome.findings, written, tuple(self._series(study_uid, outcome))
        )

    def _series(self, study_uid: str, outcome: Findings) -> Iterator[Path]:
        names = [outcome.series_instance_uid, *(finding.series_instance_uid for finding in outcome.findings)]
        for series in dict.fromkeys(filter(None, names)):
            yield from self._sources(study_uid, series)

    def _build(self, study_uid: str, outcome: Findings) -> tuple[list[KeySlice], list[str]]:
        stored = Stored(lambda series: self._sources(study_uid, series), self._max_bytes)
        return key_slices(outcome, stored, self._read)


def _with_places(report: Report) -> Iterator[Findings]:
    yield from (one for one in report.outcomes if isinstance(one, Findings) and wants_key_image(one))


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
