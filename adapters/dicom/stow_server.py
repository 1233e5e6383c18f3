"""STOW-RS, the server's side (PS3.18 section 10.5): parts go to disk as they come, and are committed in groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from email.message import Message
from functools import partial
from typing import IO, Any, NamedTuple

from adapters.dicom.arrival import Arrivals, Arriving, MismatchedInstance, Outcome, Pending
from adapters.dicom.header import check_uid
from adapters.dicom.multipart import TruncatedBody, boundary_of, parts
from cds import metrics
from cds.errors import InvalidInput, SightlineError, Unavailable
from cds.logs import get_logger

log = get_logger(__name__)

SOURCE = "stow"
#: PS3.18 table 10.5.3-1: all are stored, some are, none is.
_ALL, _SOME, _NONE = 200, 202, 409
_CHUNK = 256 * 1024
MOST_PARTS = 20_000
#: What is committed at once: each commit costs the disk's latency, each instance in it an open file.
_GROUP = 32
_GROUP_BYTES = 64 * 1024 * 1024
_DICOM = "application/dicom"
_REFERENCED, _FAILED, _OTHER = "00081199", "00081198", "0008119A"
_CLASS, _INSTANCE, _REASON = "00081150", "00081155", "00081197"


class UnsupportedMediaType(InvalidInput):
    """HTTP 415: only multipart/related of application/dicom is taken."""

    http_status = 415


class TooManyParts(InvalidInput):
    """HTTP 413: more instances in one request than are answered for."""

    http_status = 413


class CutOff(InvalidInput):
    """The body ended before its closing boundary. What is whole may be stored; sending it all again is harmless."""


class StowAnswer(NamedTuple):
    """The HTTP status, and the Store Instances Response Module (PS3.18 annex I) in the DICOM JSON model."""

    status: int
    dataset: dict[str, Any]


def store(
    stream: IO[bytes],
    content_type: str,
    study_instance_uid: str,
    arrivals: Arrivals,
    *,
    most_parts: int = MOST_PARTS,
) -> StowAnswer:
    """Store the parts of a request; `study_instance_uid` is that of its URL, "" without one.

    An instance that is refused does not stop the others. Raise InvalidInput, whose `http_status` says it, where the
    request cannot be read, and Unavailable or OutOfResources where nothing could be kept.
    """
    if study_instance_uid:
        check_uid(study_instance_uid)
    boundary = _boundary(content_type)
    upload = _Upload(arrivals, study_instance_uid, most_parts)
    try:
        for part in parts(_chunks(stream), boundary, open_part=upload.open):
            upload.take(part)
    except TruncatedBody as error:
        raise CutOff(str(error)) from error
    finally:
        upload.discard()
    upload.commit()
    return upload.answer()


class _Part:
    """Receives one part; where that fails, the rest of it is let pass."""

    def __init__(self, arrivals: Arrivals) -> None:
        self.error: SightlineError | None = None
        self.arriving: Arriving | None = None
        self._begin(arrivals)

    def _begin(self, arrivals: Arrivals) -> None:
        try:
            self.arriving = arrivals.begin()
        except Unavailable as error:
            self.error = error

    def write(self, data: bytes | memoryview) -> None:
        if self.arriving is None or self.error is not None:
            return
        try:
            self.arriving.write(data)
        except Unavailable as error:
            self.error = error
            self.arriving.refuse()

    def close(self) -> None:
        """The part is whole."""

    @property
    def stated(self) -> tuple[str, str]:
        return self.arriving.stated if self.arriving else ("", "")

    def discard(self) -> None:
        if self.arriving is not None:
            self.arriving.discard()


class _Upload:
    """The parts of one request, and what became of them."""

    def __init__(self, arrivals: Arrivals, study: str, most_parts: int) -> None:
        self._arrivals = arrivals
        self._most_parts = most_parts
        self._study = study
        self._open: _Part | None = None
        self._pending: list[Pending] = []
        self._outcomes: list[Outcome] = []

    def open(self, headers: Mapping[str, str]) -> _Part:
        _require_dicom(headers.get("content-type", _DICOM))
        if len(self._outcomes) + len(self._pending) >= self._most_parts:
            raise TooManyParts(f"want at most {self._most_parts} instances in a request")
        self._open = _Part(self._arrivals)
        return self._open

    def take(self, part: _Part) -> None:
        """Check the instance that came, and commit where a group is full."""
        self._open = None
        try:
            self._pending.append(self._prepared(part))
        except SightlineError as error:
            self._refuse(*part.stated, error)
        bytes_waiting = sum(one.stored.size for one in self._pending)
        if len(self._pending) >= _GROUP or bytes_waiting >= _GROUP_BYTES:
            self.commit()

    def commit(self) -> None:
        """What was prepared is promised; where that fails, each of the group failed for this reason."""
        group, self._pending = self._pending, []
        if not group:
            return
        try:
            self._outcomes += self._arrivals.commit(group, source=SOURCE)
        except Unavailable as error:
            for one in group:
                self._refuse(one.stored.header.sop_class_uid, one.stored.header.sop_instance_uid, error)

    def discard(self) -> None:
        """Remove the part that did not end."""
        if self._open is not None:
            self._open.discard()

    def answer(self) -> StowAnswer:
        """Raise what was in the way of all, where that may pass: the sender tries again, or sends elsewhere."""
        errors = [one.error for one in self._outcomes if one.error is not None]
        if errors:
            metrics.DICOM_INSTANCES.inc(len(errors), outcome="refused")
            log.warning("instances refused", count=len(errors), peer=SOURCE, exc_info=errors[0])
        if not self._outcomes:
            raise InvalidInput("want a request with an instance in it")
        passing = [error for error in errors if isinstance(error, Unavailable)]
        if len(passing) == len(self._outcomes):
            raise passing[0]
        status = _ALL if not errors else _SOME if len(errors) < len(self._outcomes) else _NONE
        return StowAnswer(status, _dataset(self._outcomes))

    def _prepared(self, part: _Part) -> Pending:
        if part.error is not None or part.arriving is None:
            raise part.error or Unavailable("want a disk for images that can be written")
        pending = self._arrivals.prepare_file(part.arriving)
        header = pending.stored.header
        if self._study and header.study_instance_uid != self._study:
            part.arriving.refuse()
            raise MismatchedInstance("want instances of the study that the URL names")
        return pending

    def _refuse(self, sop_class: str, sop_instance: str, error: SightlineError) -> None:
        self._outcomes.append(Outcome(sop_instance, sop_class, "refused", error))


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(stream.read, _CHUNK), b"")


def _boundary(content_type: str) -> bytes:
    kind, of = _media_type(content_type)
    if kind != "multipart/related":
        raise UnsupportedMediaType("want multipart/related with parts of application/dicom (PS3.18 section 10.5.1)")
    if of:
        _require_dicom(of)
    return boundary_of(content_type)


def _require_dicom(content_type: str) -> None:
    kind, _ = _media_type(content_type)
    if kind != _DICOM:
        raise UnsupportedMediaType("want application/dicom: metadata with bulk data in parts of their own is not taken")


def _media_type(content_type: str) -> tuple[str, str]:
    """The media type, and the parameter `type`."""
    header = Message()
    header["Content-Type"] = content_type if content_type.isprintable() else ""
    of = header.get_param("type")
    return header.get_content_type(), of if isinstance(of, str) else ""


def _dataset(outcomes: list[Outcome]) -> dict[str, Any]:
    """PS3.18 table I.1-1. Who a failed instance is may be unknown: it is among the other failures then."""
    stored = [_reference(one) for one in outcomes if one.error is None]
    failed = [_reference(one) | _reason(one.error) for one in outcomes if one.error and one.sop_instance_uid]
    other = [_reason(one.error) for one in outcomes if one.error and not one.sop_instance_uid]
    sequences = {_FAILED: failed, _REFERENCED: stored, _OTHER: other}
    return {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}


def _reference(outcome: Outcome) -> dict[str, Any]:
    return {_CLASS: _value("UI", outcome.sop_class_uid), _INSTANCE: _value("UI", outcome.sop_instance_uid)}


def _reason(error: SightlineError) -> dict[str, Any]:
    return {_REASON: _value("US", error.dimse_status)}


def _value(vr: str, value: str | int) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}
