"""C-MOVE as SCU (PS3.4 section C.4.2): the PACS sends what is asked for to our own listener, in another process."""

from __future__ import annotations

import time
from collections.abc import Sequence

from adapters.dicom import dimse
from adapters.dicom.archive import Asker
from adapters.dicom.association import Association, Proposal, associated
from adapters.dicom.dimse import Message
from adapters.dicom.query_retrieve import (
    IDENTIFIER_SYNTAXES,
    STUDY_ROOT_MOVE,
    encoded_identifier,
    offered,
    require_done,
    stated_failed,
    wanted,
)
from cds.domain.retrieval import Fetched, RemoteInstance, RemoteSeries
from cds.errors import PeerFailed, PeerRefused
from cds.imaging_peers import DicomNode
from cds.ports import InstanceIndex

_UNKNOWN_DESTINATION = 0xA801
#: A PACS may be done before the last instance is committed here.
_SETTLE_S = 10.0
_POLL_S = 0.1
#: So many timeouts without anything new here are too many, whatever the PACS says meanwhile.
_PATIENCE = 10


class MoveFetcher:
    """Has one PACS send to `destination_ae_title`, and looks into the index for what came.

    `asker` is asked which instances a series has where nobody said.
    """

    def __init__(
        self,
        node: DicomNode,
        destination_ae_title: str,
        index: InstanceIndex,
        *,
        timeout_s: float,
        asker: Asker | None = None,
    ) -> None:
        self._node = node
        self._destination = destination_ae_title
        self._index = index
        self._timeout_s = timeout_s
        self._asker = asker

    def fetch(self, series: RemoteSeries, missing: Sequence[RemoteInstance] = ()) -> Fetched:
        """Bring these instances of a series, the whole series where `missing` is empty.

        `arrived` counts what is in the index; where nobody can say which instances a series has, what the PACS says
        that it sent. Raise Unavailable where the PACS cannot be reached, breaks off, fails or is silent while nothing
        arrives; PeerRefused where it offers no C-MOVE, does not know our AE title, or refuses for good.
        """
        identifiers = list(wanted(series, missing))
        expected = self._expected(series, missing)
        watch = _Watch(self._index, series.study_instance_uid, self._timeout_s)
        completed = failed = 0
        proposals = [Proposal(STUDY_ROOT_MOVE, IDENTIFIER_SYNTAXES)]
        with associated(self._node, proposals, timeout_s=self._timeout_s) as association:
            context = offered(association, STUDY_ROOT_MOVE, "C-MOVE (Study Root)")
            for identifier in identifiers:
                request = dimse.request(dimse.C_MOVE, STUDY_ROOT_MOVE, association.next_message_id(), data=True)
                request[dimse.MOVE_DESTINATION] = self._destination
                association.send(context.id, request, encoded_identifier(identifier, context))
                answer = self._final(association, watch)
                completed += (answer.number(dimse.COMPLETED) or 0) + (answer.number(dimse.WARNING) or 0)
                failed += stated_failed(answer)
        return _unverified(completed, failed) if expected is None else watch.verified(expected)

    def _expected(self, series: RemoteSeries, missing: Sequence[RemoteInstance]) -> frozenset[str] | None:
        """The SOP Instance UIDs that shall be here afterwards; None where nobody can say."""
        known = missing
        if not known and self._asker is not None:
            known = self._asker.instances(series.study_instance_uid, series.series_instance_uid)
        return frozenset(one.sop_instance_uid for one in known) or None

    def _final(self, association: Association, watch: _Watch) -> Message:
        """The final response. A PACS may be silent as long as its instances arrive."""
        while True:
            while not association.is_readable(self._timeout_s):
                watch.require_more()
            answer = association.receive()
            if answer.number(dimse.COMMAND_FIELD) != dimse.C_MOVE | dimse.RESPONSE:
                raise PeerFailed("want C-MOVE answered with C-MOVE responses")
            status = answer.number(dimse.STATUS)
            if status == _UNKNOWN_DESTINATION:
                raise PeerRefused(
                    f"the PACS does not know the move destination {self._destination}: "
                    "it wants this AE title with the host and port of our DICOM listener"
                )
            if status not in dimse.PENDING:
                require_done(status, "C-MOVE")
                return answer
            watch.require_progress()


class _Watch:
    """What the index has of a study, and since when nothing is new."""

    def __init__(self, index: InstanceIndex, study_instance_uid: str, timeout_s: float) -> None:
        self._index = index
        self._study = study_instance_uid
        self._patience_s = _PATIENCE * timeout_s
        self._settle_s = min(_SETTLE_S, timeout_s)
        self._count = len(index.known(study_instance_uid))
        self._since = time.monotonic()

    def require_more(self) -> None:
        """Raise PeerFailed where nothing came since this was last asked."""
        if not self._has_more():
            raise PeerFailed("want a C-MOVE that is answered or brings instances within its timeout")

    def require_progress(self) -> None:
        """Raise PeerFailed where nothing came for long, though the PACS says that it is at it."""
        if time.monotonic() - self._since > self._patience_s and not self._has_more():
            raise PeerFailed("want a C-MOVE that brings instances within its time")

    def verified(self, expected: frozenset[str]) -> Fetched:
        """What of it is here, after a moment for what is just being committed."""
        deadline = time.monotonic() + self._settle_s
        here = expected & self._index.known(self._study)
        while len(here) < len(expected) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            here = expected & self._index.known(self._study)
        absent = len(expected) - len(here)
        reasons = ("the PACS was asked to send all, and not all of them arrived",) if absent else ()
        return Fetched(len(here), absent, reasons)

    def _has_more(self) -> bool:
        count = len(self._index.known(self._study))
        more, self._count = count > self._count, count
        if more:
            self._since = time.monotonic()
        return more


def _unverified(completed: int, failed: int) -> Fetched:
    return Fetched(completed, failed, ("the PACS could not send all of the instances",) if failed else ())
