"""A FHIR R4 server as a destination of reports: one transaction for a version, one that takes it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from adapters.fhir import systems, transaction
from adapters.fhir.exchange import Answer, judge, post
from adapters.fhir.report import resources
from cds.clock import SystemClock
from cds.destinations import FhirDestination
from cds.domain.imaging import OwnInstance
from cds.domain.report import Audience, Report
from cds.domain.resource import WITHDRAWABLE, NewResource
from cds.errors import InvalidInput, PeerFailed
from cds.ports import Clock

_GONE = "a later version of the report does not say this any more"


class FhirSink:
    """Port ReportSink. `identifier_systems` maps identifier system to assigning authority, as in the settings.

    `own_ids` for a server that lets clients choose ids (CapabilityStatement rest.resource.updateCreate).
    """

    def __init__(
        self,
        name: str,
        destination: FhirDestination,
        *,
        identifier_systems: Mapping[str, str],
        site_name: str,
        own_ids: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._name = name
        self._destination = destination
        self._identifier_systems = identifier_systems
        self._site_name = site_name
        self._own_ids = own_ids
        self._clock = clock or SystemClock("UTC")

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
        """Nothing of it takes long."""

    def encode(self, report: Report, delivery_id: str, earlier: Report | None = None) -> bytes:
        """The transaction; what `earlier` said there and this does not is withdrawn in it.

        `earlier` is what the destination has, of the same episode: another patient's is retracted on its own.
        """
        said = self._resources(report)
        gone: list[NewResource] = []
        if earlier is not None and earlier.episode == report.episode:
            renewed = {(resource.type, resource.id) for resource in said}
            before = [r for r in self._resources(earlier) if r.type in WITHDRAWABLE]
            gone = [transaction.void(r, _GONE, report.issued) for r in before if (r.type, r.id) not in renewed]
        return self._bundle(report, [*said, *gone], delivery_id)

    def retract(self, report: Report, delivery_id: str, reason: str) -> bytes:
        """The transaction that leaves nothing of a report standing: entered-in-error, without results."""
        at = self._clock.now()
        said = [resource for resource in self._resources(report) if resource.type in WITHDRAWABLE]
        voided = [transaction.void(resource, reason, at) for resource in said]
        why = transaction.withdrawal(voided, delivery_id=delivery_id, reason=reason, at=at, site_name=self._site_name)
        return self._bundle(report, [*voided, why], delivery_id)

    def made(self, payload: bytes) -> Sequence[OwnInstance]:
        """No DICOM instance leaves this way."""
        return ()

    def send(self, payload: bytes) -> str:
        """POST the transaction; every entry must have succeeded. See `exchange.post` for the errors."""
        answer = post(self._destination, payload)
        count = _judge_entries(answer, len(orjson.loads(payload)["entry"]))
        return f"{answer.status} for {count} entries"

    def _resources(self, report: Report) -> list[NewResource]:
        return resources(report, identifier_systems=self._identifier_systems, site_name=self._site_name)

    def _bundle(self, report: Report, sent: Sequence[NewResource], delivery_id: str) -> bytes:
        if report.test is self.production:
            raise InvalidInput("want test results at test destinations alone, and no others there")
        by_authority = systems.systems_by_authority(self._identifier_systems)
        subject = transaction.subject_of(report, by_authority)
        return transaction.transaction(
            sent, delivery_id=delivery_id, subject=subject, own_ids=self._own_ids, test=report.test
        )


def _judge_entries(answer: Answer, wanted: int) -> int:
    """A transaction is all or nothing; a server that takes parts of it is not believed (R4 http.html#transaction)."""
    entries = answer.body.get("entry")
    found = entries if isinstance(entries, list) else []
    if answer.body.get("type") != "transaction-response" or len(found) != wanted:
        raise PeerFailed("the FHIR destination answers with something that is no transaction-response to what was sent")
    for entry in found:
        response = entry.get("response") if isinstance(entry, dict) else None
        status = str(response.get("status", "")) if isinstance(response, dict) else ""
        if not status[:3].isdecimal():
            raise PeerFailed("the FHIR destination answers without a status for an entry")
        judge(int(status[:3]), response.get("outcome") if isinstance(response, dict) else None)
    return wanted
