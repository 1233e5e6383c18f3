"""C-GET as SCU (PS3.4 section C.4.3): the PACS sends what is asked for over the association that asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pynetdicom.presentation import StoragePresentationContexts

from adapters.dicom import dimse
from adapters.dicom.archive import Asker
from adapters.dicom.arrival import Arrivals, Pending
from adapters.dicom.association import MOST_CONTEXTS, Association, Proposal, associated
from adapters.dicom.dimse import Message
from adapters.dicom.query_retrieve import (
    IDENTIFIER_SYNTAXES,
    STUDY_ROOT_GET,
    checked_uid,
    encoded_identifier,
    offered,
    require_done,
    stated_failed,
    wanted,
)
from adapters.dicom.syntaxes import ACCEPTED_SYNTAXES, UNCOMPRESSED
from cds.domain.retrieval import Fetched, RemoteInstance, RemoteSeries
from cds.errors import InvalidInput, OutOfResources, PeerFailed, PeerRefused
from cds.imaging_peers import DicomNode
from cds.limits import DicomLimits

#: A PACS may fetch from tape and say "pending" meanwhile: so many timeouts without an instance are too many.
_PATIENCE = 10
_GROUP = 32
_MOST_INSTANCES = 50_000
_SOP_CLASS_NOT_SUPPORTED = 0x0122
#: Out of resources: unable to perform sub-operations (PS3.4 table C.4-3); some say so where all of them failed.
_UNABLE_TO_PERFORM = 0xA702


class GetFetcher:
    """Fetches from one PACS. What came is in the index when `fetch` ends, however it ends.

    `source` names the PACS in the timeline; `asker` is asked which SOP classes a series has where nobody said.
    """

    def __init__(
        self,
        node: DicomNode,
        arrivals: Arrivals,
        *,
        source: str,
        timeout_s: float,
        limits: DicomLimits,
        asker: Asker | None = None,
    ) -> None:
        self._node = node
        self._arrivals = arrivals
        self._source = source
        self._timeout_s = timeout_s
        self._limits = limits
        self._asker = asker

    def fetch(self, series: RemoteSeries, missing: Sequence[RemoteInstance] = ()) -> Fetched:
        """Bring these instances of a series, the whole series where `missing` is empty.

        What arrived stays where this raises: Unavailable where the PACS cannot be reached, breaks off, fails or is
        silent, or our own disk or index has no room; PeerRefused where it offers no C-GET or refuses for good.
        """
        identifiers = list(wanted(series, missing))
        proposals = [Proposal(STUDY_ROOT_GET, IDENTIFIER_SYNTAXES), *_storage(self._classes(series, missing))]
        bound = self._limits.max_instance_bytes
        with associated(self._node, proposals, timeout_s=self._timeout_s, max_message_bytes=bound) as association:
            context = offered(association, STUDY_ROOT_GET, "C-GET (Study Root)")
            if len(association.contexts) == 1:
                raise PeerRefused("want a PACS that sends these SOP classes by C-GET: it accepts no context for them")
            tally = _Tally()
            try:
                for identifier in identifiers:
                    request = dimse.request(dimse.C_GET, STUDY_ROOT_GET, association.next_message_id(), data=True)
                    association.send(context.id, request, encoded_identifier(identifier, context))
                    self._receive(association, tally)
            finally:
                self._commit(tally)
            return tally.fetched()

    def _classes(self, series: RemoteSeries, missing: Sequence[RemoteInstance]) -> list[str]:
        """The SOP classes that may come; where nobody can say, the common ones."""
        known: Sequence[RemoteInstance] = missing
        if self._asker is not None and not (known and all(one.sop_class_uid for one in known)):
            known = self._asker.instances(series.study_instance_uid, series.series_instance_uid)
        if known and all(one.sop_class_uid for one in known):
            return sorted({checked_uid(one.sop_class_uid) for one in known})[: MOST_CONTEXTS - 1]
        return [str(context.abstract_syntax) for context in StoragePresentationContexts][: MOST_CONTEXTS - 1]

    def _receive(self, association: Association, tally: _Tally) -> None:
        """The sub-operations of one C-GET, until its final response."""
        deadline = time.monotonic() + _PATIENCE * self._timeout_s
        while time.monotonic() < deadline:
            message = association.receive()
            kind = message.number(dimse.COMMAND_FIELD)
            if kind == dimse.C_STORE:
                association.send(message.context_id, self._stored(association, message, tally))
                deadline = time.monotonic() + _PATIENCE * self._timeout_s
            elif kind != dimse.C_GET | dimse.RESPONSE:
                raise PeerFailed("want C-GET answered with instances and C-GET responses")
            elif message.number(dimse.STATUS) not in dimse.PENDING:
                self._finish(message, tally)
                return
        raise PeerFailed("want a C-GET that brings instances within its time")

    def _finish(self, message: Message, tally: _Tally) -> None:
        """Where we refused all there was to fetch, the PACS ends with a failure that is none of its own."""
        status = message.number(dimse.STATUS)
        if status != _UNABLE_TO_PERFORM or not tally.refused:
            require_done(status, "C-GET")
        tally.not_sent += stated_failed(message)

    def _stored(self, association: Association, message: Message, tally: _Tally) -> dict[int, int | str]:
        """Take one instance, and answer what became of it; what our disk or index has no room for ends all."""
        if tally.arrived + len(tally.pending) + len(tally.refused) >= _MOST_INSTANCES:
            raise PeerFailed(f"want at most {_MOST_INSTANCES} instances of a series")
        context = association.contexts.get(message.context_id)
        sop_class = message.text(dimse.AFFECTED_SOP_CLASS_UID)
        if context is None or context.sop_class != sop_class:
            tally.refused.append("want instances of the SOP classes that were asked for")
            return dimse.response(message, _SOP_CLASS_NOT_SUPPORTED)
        if message.is_too_long:
            tally.refused.append("want an instance below the size limit")
            return dimse.response(message, OutOfResources.dimse_status, "above the size limit")
        try:
            pending = self._arrivals.prepare(
                bytes(message.data),
                context.syntax,
                sop_class_uid=sop_class,
                sop_instance_uid=message.text(dimse.AFFECTED_SOP_INSTANCE_UID),
            )
        except InvalidInput as error:
            tally.refused.append(str(error))
            return dimse.response(message, error.dimse_status, str(error))
        tally.pending.append(pending)
        if len(tally.pending) >= _GROUP:
            self._commit(tally)
        return dimse.response(message, dimse.SUCCESS)

    def _commit(self, tally: _Tally) -> None:
        """A commit costs the disk's latency, so instances are answered for before it: we asked for them, and what is
        lost with a crash is missing and asked for again. The PACS gives nothing away by our success.
        """
        pending, tally.pending = tally.pending, []
        if pending:
            tally.arrived += len(self._arrivals.commit(pending, source=self._source))


@dataclass(slots=True)
class _Tally:
    """What came so far: our own refusals count among those that the PACS states as failed."""

    arrived: int = 0
    not_sent: int = 0
    refused: list[str] = field(default_factory=list)
    #: On disk, and not in the index yet.
    pending: list[Pending] = field(default_factory=list)

    def fetched(self) -> Fetched:
        """The counts, and each reason once."""
        reasons = list(dict.fromkeys(self.refused))
        by_peer = self.not_sent - len(self.refused)
        if by_peer > 0:
            reasons.append("the PACS could not send all of the instances")
        return Fetched(self.arrived, len(self.refused) + max(by_peer, 0), tuple(reasons))


def _storage(classes: Sequence[str]) -> list[Proposal]:
    """Contexts of each class with us as its SCP: one for the uncompressed syntaxes, then one per compressed syntax.

    A context carries one syntax, so a PACS need not decode what it stores compressed. Where the contexts do not
    suffice, the last one of a class offers all that are left.
    """
    most = (MOST_CONTEXTS - 1) // max(len(classes), 1)
    plain = tuple(syntax for syntax in ACCEPTED_SYNTAXES if syntax in UNCOMPRESSED)
    compressed = [syntax for syntax in ACCEPTED_SYNTAXES if syntax not in UNCOMPRESSED]
    single = compressed if 1 + len(compressed) <= most else compressed[: max(most - 2, 0)]
    rest = tuple(compressed[len(single) :])
    groups = [plain, *((syntax,) for syntax in single), *([rest] if rest else [])]
    if most == 1:
        groups = [plain + rest]
    return [Proposal(sop_class, group, as_scp=True) for sop_class in classes for group in groups]
