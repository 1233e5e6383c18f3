"""A PACS as a destination of reports, port ReportSink: structured report and segmentations by C-STORE.

A payload is a ZIP of DICOM files with fixed time stamps, the report first: the same bytes, and the same UIDs, on every
attempt. What a PACS stores twice under one UID is one instance there.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    KeyObjectSelectionDocumentStorage,
    SegmentationStorage,
)

from adapters.dicom import sender
from adapters.dicom.ahead import Segmentations, Sources, masks_of
from adapters.dicom.own import Edition, Source, as_reported, part_10, read_source, reference
from adapters.dicom.quiet import quiet
from adapters.dicom.rejection import rejection_note, sent_before, withdrawal
from adapters.dicom.segmentation import of_edition
from adapters.dicom.structured_report import structured_report
from cds.destinations import PacsDestination
from cds.domain.imaging import OwnInstance
from cds.domain.report import Audience, Report
from cds.errors import InvalidInput, NotEvaluable, PeerFailed, PeerRefused, Unavailable
from cds.ports import Clock
from cds.settings import DicomLimits

#: Study Instance UID → what Sightline made of this study before.
Own = Callable[[str], Sequence[OwnInstance]]

_KINDS = {SegmentationStorage: "seg", KeyObjectSelectionDocumentStorage: "ko", ComprehensiveSRStorage: "sr"}
_WORDS = {"seg": "segmentation", "ko": "rejection note", "sr": "structured report"}
#: PS3.4 table B.2-1 and PS3.7 annex C.
_NO_SUCH_CLASS, _DUPLICATE, _NOT_AUTHORIZED = 0x0122, 0x0111, 0x0124
_OUT_OF_RESOURCES = range(0xA700, 0xA800)
_REFUSED = (range(0xA900, 0xAA00), range(0xC000, 0xD000))
#: So many images of a series are named as evidence: the first, one in the middle, the last.
_EVIDENCE = 3
_EPOCH = (1980, 1, 1, 0, 0, 0)


class PacsSink:
    """A PACS. `sources` finds the images that a report is about, `own` what was made of a study before."""

    def __init__(
        self,
        name: str,
        destination: PacsDestination,
        *,
        sources: Sources,
        own: Own,
        clock: Clock,
        time_zone: str,
        limits: DicomLimits | None = None,
    ) -> None:
        self._name = name
        self._destination = destination
        self._sources = sources
        self._own = own
        self._clock = clock
        self._zone = ZoneInfo(time_zone)
        self._max_bytes = (limits or DicomLimits()).max_instance_bytes
        self._segmentations = Segmentations(sources, self._max_bytes)

    @property
    def name(self) -> str:
        """The destination's name in the settings."""
        return self._name

    @property
    def audience(self) -> Audience:
        """Whose eyes it has."""
        return self._destination.audience

    @property
    def production(self) -> bool:
        """True where it takes production results alone."""
        return self._destination.processing == "P"

    def prepare(self, report: Report) -> None:
        """Do the slow part of `encode` before the transaction that encodes; may be left out, and may be repeated."""
        if self._destination.segmentations:
            self._segmentations.prepare(report)

    def encode(self, report: Report, delivery_id: str, earlier: Report | None = None) -> bytes:
        """The structured report and the segmentations that there are; the report says which are missing, and why.

        Raise InvalidInput where no image of the study is left: nobody could say whose report it is.
        """
        edition = self._edition(report)
        source = self._source(report)
        if source is None:
            raise InvalidInput("want a stored image of the study that a structured report is about")
        masks, notes = self._masks(edition, source)
        predecessor = self._predecessor(edition)
        document = structured_report(edition, source, masks=masks, notes=notes, predecessor=predecessor)
        return _packed([document, *masks])

    def retract(self, report: Report, delivery_id: str, reason: str) -> bytes:
        """A withdrawal and a rejection note for everything of this episode that left, filed as the report was."""
        edition, study = self._edition(report), report.study.study_instance_uid
        header = as_reported(self._source(report), report)
        rejected = sent_before(edition, self._own(study)) or [
            reference(ComprehensiveSRStorage, edition.report_uid(report.version), edition.report_series, study)
        ]
        at = self._clock.now()
        return _packed(
            [
                withdrawal(edition, rejected, header, at, key=delivery_id, reason=reason),
                rejection_note(edition, rejected, header, at, key=delivery_id),
            ]
        )

    def made(self, payload: bytes) -> Sequence[OwnInstance]:
        """The instances of a payload, in the order in which they are sent."""
        return tuple(
            OwnInstance(str(one.SOPInstanceUID), str(one.SeriesInstanceUID), _kind(one)) for one in _unpacked(payload)
        )

    def send(self, payload: bytes) -> str:
        """C-STORE everything over one association. What a PACS takes no segmentations or notes of is said.

        Unavailable where it cannot be reached or is full, PeerFailed where it fails, PeerRefused where it refuses the
        report for good.
        """
        to, instances = self._destination, list(_unpacked(payload))
        answers = sender.store(
            instances,
            to.host,
            to.port,
            calling_ae=to.calling_ae_title,
            called_ae=to.ae_title,
            timeout_s=to.timeout_s,
        )
        return _judge([_kind(one) for one in instances], answers)

    def _edition(self, report: Report) -> Edition:
        return Edition(report, self._zone, self._destination.audience, self._destination.segmentations)

    def _source(self, report: Report) -> Source | None:
        """A few images of each series that a model looked at, or of any where none did."""
        study = report.study.study_instance_uid
        series = dict.fromkeys(outcome.series_instance_uid for outcome in report.outcomes)
        paths = [path for uid in series for path in _few(self._sources(study, uid)) if uid]
        return read_source(paths or _few(self._sources(study, "")), max_bytes=self._max_bytes)

    def _predecessor(self, edition: Edition) -> int | None:
        """The newest earlier version of the same episode that left the house; a destination may have skipped some."""
        report = edition.report
        known = {one.sop_instance_uid for one in self._own(report.study.study_instance_uid)}
        earlier = range(report.version - 1, 0, -1)
        return next((version for version in earlier if edition.report_uid(version) in known), None)

    def _masks(self, edition: Edition, source: Source) -> tuple[list[Dataset], list[str]]:
        """The segmentations, and in words which of them there cannot be."""
        made: list[Dataset] = []
        notes: list[str] = []
        for outcome, number in masks_of(edition.report) if self._destination.segmentations else ():
            try:
                built = self._segmentations.take(edition.report.study.study_instance_uid, outcome, number)
            except NotEvaluable as error:
                labels = outcome.masks[number].labels
                what = ", ".join(labels[value] for value in sorted(labels))
                model = f"{outcome.model} {outcome.version}"
                notes.append(f"No segmentation ({what}) by {model} goes with this version: {error}.")
            else:
                made.append(of_edition(built, edition, outcome, number, source.header))
        return made, notes


def _few(paths: Sequence[Path]) -> list[Path]:
    if len(paths) <= _EVIDENCE:
        return list(paths)
    return [paths[0], paths[len(paths) // 2], paths[-1]]


def _packed(instances: Sequence[Dataset]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, dataset in enumerate(instances, 1):
            entry = zipfile.ZipInfo(f"{number}-{_kind(dataset)}.dcm", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, part_10(dataset))
    return buffer.getvalue()


def _unpacked(payload: bytes) -> Iterator[Dataset]:
    """Only what `_packed` made is ever read here."""
    quiet()
    with zipfile.ZipFile(BytesIO(payload)) as archive:
        for name in archive.namelist():
            yield pydicom.dcmread(BytesIO(archive.read(name)))


def _kind(dataset: Dataset) -> str:
    return _KINDS[dataset.SOPClassUID]


def _judge(kinds: Sequence[str], answers: Sequence[sender.Answer]) -> str:
    """The acknowledgment in words. What only goes along with a report does not hold the report up."""
    said = [f"0x0000 for {sum(map(_has, answers))} instances"]
    for kind, answer in zip(kinds, answers, strict=True):
        if _has(answer):
            if answer.status:
                said.append(f"{_WORDS[kind]} with 0x{answer.status:04X}")
            continue
        if not _is_final(answer):
            _again(answer)
        if kind == "sr":
            raise PeerRefused(f"the PACS refuses the structured report: {_why(answer)}")
        said.append(f"{_WORDS[kind]} not accepted by the PACS ({_why(answer)})")
    return ", ".join(said)


def _has(answer: sender.Answer) -> bool:
    """True where the PACS holds the instance now; one that says it has it already does."""
    return answer.stored or answer.status == _DUPLICATE


def _is_final(answer: sender.Answer) -> bool:
    """True where asking again would get the same answer."""
    status = answer.status
    if status is None:
        return not answer.accepted
    return status in (_NO_SUCH_CLASS, _NOT_AUTHORIZED) or any(status in refused for refused in _REFUSED)


def _again(answer: sender.Answer) -> None:
    if answer.status is None:
        raise Unavailable("the PACS ended the association without an answer")
    if answer.status in _OUT_OF_RESOURCES:
        raise Unavailable(f"the PACS is out of resources: 0x{answer.status:04X}")
    raise PeerFailed(f"the PACS could not store an instance: 0x{answer.status:04X}")


def _why(answer: sender.Answer) -> str:
    return "no presentation context" if answer.status is None else f"0x{answer.status:04X}"
