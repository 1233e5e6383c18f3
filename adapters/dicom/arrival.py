"""How an instance gets in, whichever door it comes by: checked, on disk, in the index, in this order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from adapters.dicom.files import InstanceFiles, Partial, file_head
from adapters.dicom.header import HEADER_TAGS, UNREADABLE, HeaderReader, check_uid
from adapters.dicom.instance import file_meta, read_instance
from adapters.dicom.quiet import quiet
from adapters.dicom.rejection_note import NOTE_CLASS, NOTE_TAGS, rejection_notes
from adapters.dicom.scan import PIXEL_DATA, parse, scan
from adapters.dicom.syntaxes import ACCEPTED_SYNTAXES, UNCOMPRESSED
from cds import metrics
from cds.domain.imaging import InstanceHeader, RejectionNote, StoredInstance
from cds.errors import InvalidInstance, OutOfResources, SightlineError, Unavailable
from cds.limits import DicomLimits
from cds.logs import get_logger, study_ref
from cds.ports import Clock, InstanceIndex

log = get_logger(__name__)

#: Samples per Pixel, Number of Frames, Rows, Columns, Bits Allocated.
_SIZE_TAGS = (0x00280002, 0x00280008, 0x00280010, 0x00280011, 0x00280100)
_WANTED = frozenset({*HEADER_TAGS, *_SIZE_TAGS, PIXEL_DATA})
#: What the index has already, or does not want: the file is not needed.
_NOT_NEEDED = ("duplicate", "own")
#: What a volume is built of from now on.
_COUNTS_NOW = ("new", "header")
_REJECTION = "rejection"
_STATED = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID")
_SYNTAXES = frozenset(ACCEPTED_SYNTAXES)
#: Preamble, prefix and file meta information are no part of the instance, and are not counted against its limit.
_LARGEST_HEAD = 64 * 1024
#: Smaller pieces are gathered before they are written.
_PIECE = 64 * 1024


class MismatchedInstance(InvalidInstance):
    """Who it is said to be is another instance than its data set (PS3.4 table B.2-1: it does not match SOP class)."""

    dimse_status = 0xA900


class UnsupportedSyntax(InvalidInstance):
    """A transfer syntax that is not taken (PS3.18 table I.2-2: Referenced Transfer Syntax not supported)."""

    dimse_status = 0xC122


class TooBig(OutOfResources):
    """An instance above the size limit of this installation; it is too big tomorrow as well."""

    http_status = 413


class Pending(NamedTuple):
    """An instance that is checked and written, but not promised to anybody yet: `commit` does that.

    One that is forgotten leaves no file. A rejection note has none at all: it would name the wrong patient on.
    """

    stored: StoredInstance
    consumed: bool
    notes: tuple[RejectionNote, ...] = ()
    file: Partial | None = None


class Outcome(NamedTuple):
    """What became of an instance: a word of `InstanceIndex.add`, "rejection" for a note; else the error refused it."""

    sop_instance_uid: str
    sop_class_uid: str
    what: str
    error: SightlineError | None = None


class Arriving:
    """A file (PS3.10) that is being received piece by piece into the data folder, under a name that nobody chose.

    One that is discarded, or forgotten, leaves nothing. Not thread-safe. `stated` are SOP Class and SOP Instance UID by
    the file meta information of one that `prepare_file` refused, empty where that cannot be read.
    """

    def __init__(self, file: Partial, max_bytes: int) -> None:
        self.file = file
        self.size = 0
        self.stated = ("", "")
        self._max_bytes = max_bytes
        self._gathered = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        """Append; raise OutOfResources above the size limit of an instance or where the disk is full."""
        self.size += len(data)
        if self.size > self._max_bytes + _LARGEST_HEAD:
            self._gathered += data[:_LARGEST_HEAD]  # what it calls itself can be told
            raise _too_big()
        if not self._gathered and len(data) >= _PIECE:
            self.file.write(data)
            return
        self._gathered += data
        if len(self._gathered) >= _PIECE:
            self.flush()

    def flush(self) -> None:
        """All that came is in the file."""
        if self._gathered:
            gathered, self._gathered = self._gathered, bytearray()
            self.file.write(gathered)

    def discard(self) -> None:
        """Remove what came; nothing happens once it is committed."""
        self._gathered.clear()
        self.file.discard()

    def refuse(self) -> None:
        """Remove what came, and remember what it calls itself."""
        try:
            self.stated = _stated(self.file.head(_LARGEST_HEAD) or bytes(self._gathered))
        except Unavailable:
            self.stated = ("", "")
        self.discard()


class _Read(NamedTuple):
    """What an instance says, read once and bounded."""

    header: InstanceHeader
    sha256: str
    pixels_sha256: str
    notes: tuple[RejectionNote, ...]


class Arrivals:
    """Thread-safe. `source` names the wire for the timeline: "dicom", "stow", "pacs:NAME".

    `ahead` is told of instances that a model may consume once they are committed; it may neither wait nor fail.
    """

    def __init__(
        self,
        *,
        files: InstanceFiles,
        index: InstanceIndex,
        clock: Clock,
        consumes: Callable[[InstanceHeader], bool],
        limits: DicomLimits,
        ahead: Callable[[Sequence[StoredInstance]], None] | None = None,
    ) -> None:
        quiet()
        self._files = files
        self._index = index
        self._clock = clock
        self._consumes = consumes
        self._max_bytes = limits.max_instance_bytes
        self._header = HeaderReader()
        self._ahead = ahead

    def prepare(self, encoded: bytes, syntax: str, *, sop_class_uid: str, sop_instance_uid: str) -> Pending:
        """Check and write a data set as DIMSE brings it; raise InvalidInstance or Unavailable, and nothing is left."""
        if len(encoded) > self._max_bytes:
            raise _too_big()
        check_uid(sop_instance_uid)
        check_uid(sop_class_uid)
        file = self._files.create()
        try:
            head = file_head(sop_class_uid, sop_instance_uid, syntax)
            file.expect(len(head) + len(encoded))
            self._files.save(file, head, encoded, named=True)  # the disk works while the digests are made
            read = self._read_encoded(encoded, syntax, sop_class_uid, sop_instance_uid)
            if not read.notes:
                return self._pending(read, file, len(head) + len(encoded))
        except SightlineError:
            file.discard()
            raise
        file.discard()
        return self._pending(read)

    def discard_partial(self) -> int:
        """Remove what a crash of this role left half written, and count it."""
        return self._files.discard_partial()

    def begin(self) -> Arriving:
        """A new file to receive into."""
        return Arriving(self._files.create(), self._max_bytes)

    def received(self, arriving: Arriving) -> None:
        """All of it came: its preamble is zeroed, and the disk begins to make it durable, before anybody checks it.

        Raise OutOfResources or Unavailable where it cannot be written.
        """
        arriving.flush()
        if not arriving.file.is_saved:
            arriving.file.zero_preamble()
            self._files.save(arriving.file)

    def prepare_file(self, arriving: Arriving) -> Pending:
        """Check a received file; raises as `prepare` does."""
        file = arriving.file
        try:
            self.received(arriving)
            read = self._read_file(file)
            if not read.notes:
                return self._pending(read, file, arriving.size)
        except SightlineError:
            arriving.refuse()
            raise
        arriving.discard()
        return self._pending(read)

    def commit(self, pending: Sequence[Pending], *, source: str, peer: str = "") -> Sequence[Outcome]:
        """fsync all files and their folders, then commit all to the index at once; one Outcome each, in their order.

        Files that the index does not need are removed. Raise Unavailable or OutOfResources where nothing was promised.
        """
        started = time.monotonic()
        files = [one.file for one in pending if one.file is not None]
        if files:
            self._files.publish(files)
        images = [one for one in pending if one.file is not None]
        words = iter(self._add(images, source) if images else ())
        outcomes = [
            Outcome(
                one.stored.header.sop_instance_uid,
                one.stored.header.sop_class_uid,
                self._reject(one, peer or source) if one.file is None else next(words),
            )
            for one in pending
        ]
        for one, outcome in zip(pending, outcomes, strict=True):
            if outcome.what in _NOT_NEEDED:
                self._files.remove(one.stored.path)
        if self._ahead is not None:
            both = zip(pending, outcomes, strict=True)
            self._ahead([one.stored for one, outcome in both if one.consumed and outcome.what in _COUNTS_NOW])
        metrics.DICOM_INSTANCES.inc(len(outcomes), outcome="stored")
        _tell(pending, outcomes, peer or source, time.monotonic() - started)
        return outcomes

    def _read_encoded(self, encoded: bytes, syntax: str, sop_class: str, sop_instance: str) -> _Read:
        note_tags = NOTE_TAGS if sop_class == NOTE_CLASS else frozenset()
        found = scan(encoded, syntax, _WANTED | note_tags)
        dataset = parse(encoded, syntax, found)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        header = self._header(dataset)
        if (header.sop_instance_uid, header.sop_class_uid) != (sop_instance, sop_class):
            raise MismatchedInstance("want a data set with the request's SOP UIDs")
        pixels = found.spans.get(PIXEL_DATA)
        _require_pixels(dataset, syntax, None if pixels is None else pixels.end - pixels.value)
        return _Read(header, found.sha256, found.pixels_sha256, _notes(header, dataset))

    def _read_file(self, file: Partial) -> _Read:
        instance = read_instance(file.file, _WANTED | NOTE_TAGS, max_bytes=self._max_bytes, digest=True)
        if instance.syntax not in _SYNTAXES:
            raise UnsupportedSyntax("want a transfer syntax of PS3.5 that is neither deflated nor a reference")
        dataset, meta = instance.dataset, instance.dataset.file_meta
        header = self._header(dataset)
        stated = (str(meta.MediaStorageSOPInstanceUID).strip(" \0"), str(meta.MediaStorageSOPClassUID).strip(" \0"))
        if any(a not in ("", b) for a, b in zip(stated, (header.sop_instance_uid, header.sop_class_uid), strict=True)):
            raise MismatchedInstance("want file meta information that names the SOP UIDs of the data set")
        _require_pixels(dataset, instance.syntax, None if instance.pixels is None else len(instance.pixels))
        return _Read(header, instance.sha256, instance.pixels_sha256, _notes(header, dataset))

    def _pending(self, read: _Read, file: Partial | None = None, size: int = 0) -> Pending:
        stored = StoredInstance(read.header, file.path if file else "", read.sha256, size, read.pixels_sha256)
        return Pending(stored, file is not None and self._consumes(read.header), read.notes, file)

    def _add(self, images: Sequence[Pending], source: str) -> Sequence[str]:
        """Only where surely nothing was committed may a file go: a lost answer could leave a row that needs it."""
        now = self._clock.now()
        try:
            if len(images) == 1:
                stored, consumed = images[0].stored, images[0].consumed
                return [self._index.add(stored, received_at=now, consumed=consumed, source=source)]
            instances = [(one.stored, one.consumed) for one in images]
            return self._index.add_all(instances, received_at=now, source=source)
        except OutOfResources:
            self._forget_unknown([one.stored for one in images])
            raise

    def _forget_unknown(self, stored: Sequence[StoredInstance]) -> None:
        """Of a group that ended half-way, some may be committed: the index knows them."""
        known: dict[str, frozenset[str]] = {}
        for one in stored:
            study = one.header.study_instance_uid
            if study not in known:
                known[study] = self._index.known(study)
            if one.header.sop_instance_uid not in known[study]:
                self._files.remove(one.path)

    def _reject(self, pending: Pending, peer: str) -> str:
        for note in pending.notes:
            count = self._index.reject(note, received_at=self._clock.now())
            uid = study_ref(note.study_instance_uid)
            log.info("rejection note applied", outcome=note.code, study_ref=uid, count=count, peer=peer)
        return _REJECTION


def _stated(head: bytes) -> tuple[str, str]:
    try:
        meta, _ = file_meta(memoryview(head))
        sop_class, instance = (str(meta.get(name, "")).strip(" \0") for name in _STATED)
        check_uid(sop_class)
        check_uid(instance)
    except (SightlineError, *UNREADABLE):
        return "", ""
    return sop_class, instance


def _notes(header: InstanceHeader, dataset: Dataset) -> tuple[RejectionNote, ...]:
    return rejection_notes(dataset) if header.sop_class_uid == NOTE_CLASS else ()


def _require_pixels(dataset: Dataset, syntax: str, size: int | None) -> None:
    if size is not None and syntax in UNCOMPRESSED and size < _stated_size(dataset):
        raise InvalidInstance("want as much pixel data as rows, columns and bits state")


def _stated_size(dataset: Dataset) -> int:
    """Bytes of uncompressed pixel data by its own header (PS3.3 C.7.6.3.1); 0 where the header does not say."""
    try:
        rows, columns, bits = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
        samples, frames = int(dataset.get("SamplesPerPixel") or 1), int(dataset.get("NumberOfFrames") or 1)
    except (*UNREADABLE, TypeError):
        return 0
    return rows * columns * samples * frames * bits // 8


def _tell(pending: Sequence[Pending], outcomes: Sequence[Outcome], peer: str, seconds: float) -> None:
    """One line for all instances of a study that had the same fate."""
    groups: Counter[tuple[str, str, bool]] = Counter()
    for one, outcome in zip(pending, outcomes, strict=True):
        if outcome.what != _REJECTION:
            header = one.stored.header
            groups[header.study_instance_uid, outcome.what, bool(header.flags)] += 1
    for (study, what, flagged), count in groups.items():
        tell = log.warning if what == "conflict" or flagged else log.info
        tell(
            "instances stored",
            outcome=what,
            study_ref=study_ref(study),
            count=count,
            peer=peer,
            duration_ms=round(seconds * 1000, 1),
        )


def _too_big() -> TooBig:
    return TooBig("want an instance below this receiver's size limit")
