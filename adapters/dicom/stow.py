"""Instances to a DICOMweb server: STOW-RS (PS3.18 section 10.5), and its answer for each of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from io import BytesIO

import pydicom
from pydicom.errors import InvalidDicomError

from adapters.dicom.dicom_json import Item, items, number, text
from adapters.dicom.dicomweb import DICOM_JSON, Dicomweb, data_sets, judge
from adapters.dicom.header import UNREADABLE
from adapters.dicom.quiet import quiet
from adapters.dicom.sender import Answer
from cds.errors import InvalidInstance, PeerFailed
from cds.imaging_peers import DicomwebServer

_OK, _ACCEPTED, _CONFLICT = 200, 202, 409
_SUCCESS, _PROCESSING_FAILURE = 0x0000, 0x0110
_REFERENCED, _FAILED = "00081199", "00081198"
_INSTANCE, _WARNING_REASON, _FAILURE_REASON = "00081155", "00081196", "00081197"


class StowClient:
    """Stores at one server, with one connection for each request; thread-safe."""

    def __init__(self, server: DicomwebServer, timeout_s: float) -> None:
        self._server = server
        self._timeout_s = timeout_s

    def store(self, instances: Sequence[bytes]) -> list[Answer]:
        """Send DICOM files (PS3.10) in one request; one Answer each, in their order.

        Its status is the Failure or Warning Reason (PS3.18 annex I.2, the codes of C-STORE), None where the server says
        nothing of an instance. Raise InvalidInstance where a file is none, Unavailable or PeerRefused for the request.
        """
        uids = [_uid(instance) for instance in instances]
        boundary = secrets.token_hex(24)
        pieces = list(_pieces(instances, boundary.encode()))
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(sum(map(len, pieces))),
            "Accept": DICOM_JSON,
        }
        with Dicomweb(self._server, self._timeout_s) as web, web.send("POST", "/studies", headers, pieces) as answer:
            if answer.status not in (_OK, _ACCEPTED, _CONFLICT):
                judge(answer)
                raise PeerFailed(f"want 200, 202 or 409 as answer to STOW-RS, got {answer.status}")
            said = _statuses(data_sets(answer.body()))
            silent = {_OK: _SUCCESS, _CONFLICT: _PROCESSING_FAILURE}.get(answer.status)
            return [Answer(said.get(uid, silent)) for uid in uids]


def _pieces(instances: Sequence[bytes], boundary: bytes) -> Iterator[bytes]:
    for instance in instances:
        yield b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n"
        yield instance
        yield b"\r\n"
    yield b"--" + boundary + b"--\r\n"


def _statuses(answer: Sequence[Item]) -> dict[str, int]:
    """By SOP Instance UID; a failure outweighs whatever else is said of the same instance."""
    found: dict[str, int] = {}
    for data_set in answer:
        for one in items(data_set, _REFERENCED):
            found.setdefault(text(one, _INSTANCE), number(one, _WARNING_REASON) or _SUCCESS)
        for one in items(data_set, _FAILED):
            found[text(one, _INSTANCE)] = number(one, _FAILURE_REASON) or _PROCESSING_FAILURE
    return found


def _uid(instance: bytes) -> str:
    quiet()
    try:
        return str(pydicom.dcmread(BytesIO(instance), specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
    except (*UNREADABLE, OSError, InvalidDicomError):
        raise InvalidInstance("want DICOM files (PS3.10) to store") from None
