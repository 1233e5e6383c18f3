"""A PACS as a destination of reports, port ReportSink: by C-STORE or STOW-RS, with storage commitment where offered.

A payload has the structured report first, then the segmentations and the key images that the destination wants: the
same bytes, and the same UIDs, on every attempt. What a PACS stores twice under one UID is one instance there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage

from adapters.dicom import commitment, payload, sender
from adapters.dicom.ahead import KeyImages, Segmentations, Sources, masks_of
from adapters.dicom.key_image import secondary_capture
from adapters.dicom.key_slice import ReadFrame
from adapters.dicom.one_frame import frame_values
from adapters.dicom.own import Edition, Source, as_reported, read_source, reference
from adapters.dicom.presentation_state import presentation_state
from adapters.dicom.rejection import rejection_note, sent_before, withdrawal
from adapters.dicom.segmentation import of_edition
from adapters.dicom.stored import has, judge
from adapters.dicom.stow import StowClient
from adapters.dicom.structured_report import structured_report
from cds.domain.imaging import OwnInstance
from cds.domain.report import Audience, Report
from cds.errors import InvalidInput, NotEvaluable, PeerRefused, Unavailable
from cds.imaging_peers import PacsDestination
from cds.limits import DicomLimits
from cds.ports import Clock, Commitments

#: Study Instance UID → what Sightline made of this study before.
Own = Callable[[str], Sequence[OwnInstance]]

#: So many images of a series are named as evidence: the first, one in the middle, the last.
_EVIDENCE = 3


class PacsSink:
    """A PACS. `sources` finds the images that a report is about, `own` what was made of a study before.

    `read_frame` decodes one for a picture: a site's own processes do that in the decoding pool.
    """

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
        read_frame: ReadFrame = frame_values,
        commitments: Commitments | None = None,
    ) -> None:
        self._name = name
        self._destination = destination
        self._sources = sources
        self._own = own
        self._clock = clock
        self._zone = ZoneInfo(time_zone)
        self._max_bytes = (limits or DicomLimits()).max_instance_bytes
        self._segmentations = Segmentations(sources, self._max_bytes)
        self._key_images = KeyImages(sources, self._max_bytes, read_frame)
        self._commitments = commitments if destination.commitment else None
        self._stow = StowClient(destination.dicomweb, destination.timeout_s) if destination.dicomweb else None

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
        if self._destination.key_images != "none":
            self._key_images.prepare(report)

    def encode(self, report: Report, delivery_id: str, earlier: Report | None = None) -> bytes:
        """The structured report and what goes along with it; the report says what is missing, and why.

        Raise InvalidInput where no image of the study is left: nobody could say whose report it is.
        """
        edition = self._edition(report)
        source = self._source(report)
        if source is None:
            raise InvalidInput("want a stored image of the study that a structured report is about")
        masks, notes = self._masks(edition, source)
        shown, missing = self._shown(edition, source)
        document = structured_report(
            edition,
            source,
            masks=masks,
            key_images=shown,
            notes=[*notes, *missing],
            predecessor=self._predecessor(edition),
        )
        return payload.packed([document, *masks, *shown], delivery_id)

    def retract(self, report: Report, delivery_id: str, reason: str) -> bytes:
        """A withdrawal and a rejection note for everything of this episode that left, filed as the report was."""
        edition, study = self._edition(report), report.study.study_instance_uid
        header = as_reported(self._source(report), report)
        rejected = sent_before(edition, self._own(study)) or [
            reference(ComprehensiveSRStorage, edition.report_uid(report.version), edition.report_series, study)
        ]
        at = self._clock.now()
        both = [
            withdrawal(edition, rejected, header, at, key=delivery_id, reason=reason),
            rejection_note(edition, rejected, header, at, key=delivery_id),
        ]
        return payload.packed(both, delivery_id)

    def made(self, content: bytes) -> Sequence[OwnInstance]:
        """The instances of a payload, in the order in which they are sent."""
        return tuple(
            OwnInstance(str(one.SOPInstanceUID), str(one.SeriesInstanceUID), payload.kind_of(one))
            for one in payload.instances(content)
        )

    def send(self, content: bytes) -> str:
        """Store everything, and ask that it is kept. What a PACS takes no segmentations or notes of is said.

        Unavailable where it cannot be reached or is full, PeerFailed where it fails, PeerRefused where it refuses the
        report for good.
        """
        instances = list(payload.instances(content))
        answers = self._store(content, instances)
        said = judge([payload.kind_of(one) for one in instances], answers)
        kept = [one for one, answer in zip(instances, answers, strict=True) if has(answer)]
        return f"{said}{self._committed(payload.delivery_of(content), kept)}"

    def _store(self, content: bytes, instances: Sequence[Dataset]) -> Sequence[sender.Answer]:
        if self._stow is not None:
            return self._stow.store(payload.files(content))
        to = self._destination.node
        if to is None:
            raise PeerRefused("want host, port and ae_title of this PACS, or dicomweb")
        return sender.store(instances, to, timeout_s=self._destination.timeout_s)

    def _committed(self, delivery_id: str, kept: Sequence[Dataset]) -> str:
        """Ask for storage commitment, in words; what was stored is sent, whatever becomes of the question.

        What was asked is kept before it is asked, so that a question that failed stands there without an answer. The
        port does not tell the attempt, so the moment makes the Transaction UID another one (PS3.4 section J.3.2.1.1).
        """
        node, now = self._destination.node, self._clock.now()
        if self._commitments is None or node is None or not delivery_id or not kept:
            return ""
        commitments = self._commitments
        transaction = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'commitment/{delivery_id}/{now.isoformat()}').int}"
        commitments.asked(transaction, delivery_id, [str(one.SOPInstanceUID) for one in kept], now)
        try:
            promised = commitment.ask(
                node,
                [(str(one.SOPClassUID), str(one.SOPInstanceUID)) for one in kept],
                transaction,
                timeout_s=self._destination.timeout_s,
                answered=lambda uid, committed, failed: commitments.answered(uid, committed, failed, self._clock.now()),
            )
        except (Unavailable, PeerRefused) as error:
            return f"; storage commitment could not be asked for: {error}"
        return "; storage commitment answered" if promised else "; storage commitment asked for"

    def _edition(self, report: Report) -> Edition:
        to = self._destination
        return Edition(report, self._zone, to.audience, to.segmentations, to.key_images)

    def _source(self, report: Report) -> Source | None:
        """A few images of each series that a model looked at, or of any where none did."""
        study = report.study.study_instance_uid
        series = dict.fromkeys(outcome.series_instance_uid for outcome in report.outcomes)
        paths = [path for uid in series for path in _few(self._sources(study, uid)) if uid]
        return read_source(paths or list(_few(self._sources(study, ""))), max_bytes=self._max_bytes)

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

    def _shown(self, edition: Edition, source: Source) -> tuple[list[Dataset], list[str]]:
        """The key images, and in words which of them there cannot be."""
        if self._destination.key_images == "none":
            return [], []
        make = secondary_capture if self._destination.key_images == "secondary-capture" else presentation_state
        made: list[Dataset] = []
        places, notes = self._key_images.take(edition.report)
        for number, place in enumerate(places, 1):
            try:
                made.append(make(edition, place, number, source.header))
            except NotEvaluable as error:
                notes.append(f"A key image by {place.outcome.model} {place.outcome.version} is missing: {error}.")
        return made, notes


def _few(paths: Sequence[Path]) -> Iterator[Path]:
    """The first, one in the middle, the last."""
    yield from paths if len(paths) <= _EVIDENCE else (paths[0], paths[len(paths) // 2], paths[-1])
