"""What C-FIND, C-GET and C-MOVE share of the Study Root Query/Retrieve Information Model (PS3.4 annex C)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from adapters.dicom import dimse
from adapters.dicom.association import Association, Context
from adapters.dicom.dimse import Message
from adapters.dicom.header import check_uid
from cds.domain.retrieval import RemoteInstance, RemoteSeries
from cds.errors import InvalidInput, InvalidInstance, PeerFailed, PeerRefused

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
#: Identifiers have no pixels: explicit VR where the peer can, because it leaves nothing to guess.
IDENTIFIER_SYNTAXES = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))

#: SOP class not supported, not authorized, identifier does not match SOP class: asking again gets the same answer.
_REFUSALS = frozenset({0x0122, 0x0124, 0xA900})
#: Sub-operations complete, some with failures or warnings (PS3.4 tables C.4-2 and C.4-3).
_SOME_FAILED = 0xB000
#: UIDs in one request: a list of UIDs in explicit VR holds a thousand, and PACS take fewer than that.
_UIDS_PER_REQUEST = 64


def offered(association: Association, sop_class: str, name: str) -> Context:
    """The context of a service; raise PeerRefused where the peer does not have it."""
    context = association.context(sop_class)
    if context is None:
        raise PeerRefused(f"want a peer that offers {name}")
    return context


def encoded_identifier(identifier: Dataset, context: Context) -> bytes:
    """A data set of ours in the accepted syntax; raise InvalidInput where a value does not fit."""
    syntax = UID(context.syntax)
    encoded = encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian)
    if encoded is None:
        raise InvalidInput("want values that fit their VR (PS3.5 section 6.2)")
    return encoded


def checked_uid(uid: str) -> str:
    """A UID that may be asked for; raise InvalidInput for what is none: it could match more than itself."""
    try:
        check_uid(uid)
    except InvalidInstance as error:
        raise InvalidInput("want UIDs of 1 to 64 digits and single dots (PS3.5 section 9.1)") from error
    return uid


def require_done(status: int | None, service: str) -> None:
    """Return where an operation was done, in part at least; raise PeerRefused or PeerFailed with its status.

    See PS3.4 tables C.4-1 to C.4-3.
    """
    if status in (dimse.SUCCESS, _SOME_FAILED):
        return
    said = "no status" if status is None else f"0x{status:04X}"
    if status in _REFUSALS:
        raise PeerRefused(f"the PACS refuses {service}: {said}")
    raise PeerFailed(f"the PACS could not do {service}: {said}")


def wanted(series: RemoteSeries, missing: Sequence[RemoteInstance]) -> Iterator[Dataset]:
    """The identifiers of the requests: the series where most of it is missing, else its missing instances by UID."""
    uids = [checked_uid(one.sop_instance_uid) for one in missing]
    if not uids or (series.instances is not None and 2 * len(uids) >= series.instances):
        yield _identifier(series, "SERIES")
        return
    for start in range(0, len(uids), _UIDS_PER_REQUEST):
        identifier = _identifier(series, "IMAGE")
        identifier.SOPInstanceUID = uids[start : start + _UIDS_PER_REQUEST]
        yield identifier


def stated_failed(answer: Message) -> int:
    """Number of Failed Sub-operations of a final response; 0 where the peer does not say."""
    return answer.number(dimse.FAILED) or 0


def _identifier(series: RemoteSeries, level: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.StudyInstanceUID = checked_uid(series.study_instance_uid)
    identifier.SeriesInstanceUID = checked_uid(series.series_instance_uid)
    return identifier
