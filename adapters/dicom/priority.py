"""An urgent finding to a worklist by UPS-RS (PS3.18 section 11): its scheduled workitems of the study become HIGH."""

from __future__ import annotations

import json

from adapters.dicom.ups import UpsClient, read_before
from cds.domain.order import Priority
from cds.domain.priority import Move, PriorityNotice
from cds.errors import ConfigurationError, InvalidInput
from cds.imaging_peers import PriorityDestination


class UpsPriority:
    """A worklist that takes UPS-RS, ports Channel and Raiser."""

    def __init__(self, name: str, destination: PriorityDestination) -> None:
        if destination.dicomweb is None:
            raise ConfigurationError([f"{name} wants dicomweb"])
        self._name = name
        self._processing = destination.processing
        self._client = UpsClient(destination.dicomweb, destination.timeout_s)

    @property
    def name(self) -> str:
        """The destination's name in the settings."""
        return self._name

    @property
    def level(self) -> Priority:
        """HIGH: Scheduled Procedure Step Priority (0074,1200) knows nothing above it."""
        return Priority.STAT

    @property
    def production(self) -> bool:
        """True where it takes production messages alone."""
        return self._processing == "P"

    def encode(self, notice: PriorityNotice, delivery_id: str) -> bytes:
        """Which study it is, as JSON: the workitems are looked for when it is sent.

        At the end of a raise, also what its answer says that they had before; InvalidInput where it says nothing.
        """
        accession = notice.order.accession or notice.study.accession
        number = accession.as_sent().value if accession else ""
        about: dict[str, object] = {"study": notice.study.study_instance_uid, "accession": number}
        if notice.move is Move.END:
            about["before"] = read_before(notice.answer)
            if not about["before"]:
                raise InvalidInput("nothing says which workitems were raised: they keep it until the exam is read")
        return json.dumps(about).encode()

    def send(self, payload: bytes) -> str:
        """See ReportSink.send."""
        about = json.loads(payload)
        named = {"study_instance_uid": about["study"], "accession_number": about["accession"]}
        if "before" in about:
            return self._client.end_raise("HIGH", about["before"], **named)
        return self._client.raise_priority("HIGH", **named)
