"""A FHIR R4 server as a destination of reports: a Bundle for a version, one that takes it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from adapters.fhir import payload as payloads
from adapters.fhir import systems, transaction
from adapters.fhir.client import FhirClient
from adapters.fhir.device import ModelCard
from adapters.fhir.report import Forms, no_forms, resources
from adapters.fhir.sending import Sending
from adapters.fhir.writing import BundleWriter
from cds.clock import SystemClock
from cds.destinations import FhirDestination
from cds.domain.imaging import OwnInstance
from cds.domain.report import Audience, Report
from cds.domain.resource import WITHDRAWABLE, NewResource
from cds.errors import ConfigurationError, InvalidInput
from cds.ports import Clock, ReportSink

_GONE = "a later version of the report does not say this any more"


class FhirSink:
    """Port ReportSink. `identifier_systems` maps identifier system to assigning authority, as in the settings.

    `forms` draws the documents that a report carries, `cards` are those of the models (see `report.resources`).
    `otherwise` sends by HL7 v2 what the server cannot take; ConfigurationError where it is for other eyes.
    """

    def __init__(
        self,
        name: str,
        destination: FhirDestination,
        *,
        client: FhirClient,
        identifier_systems: Mapping[str, str],
        site_name: str,
        forms: Forms = no_forms,
        cards: Mapping[str, ModelCard] = MappingProxyType({}),
        otherwise: ReportSink | None = None,
        clock: Clock | None = None,
    ) -> None:
        production = destination.processing == "P"
        if otherwise and (otherwise.audience, otherwise.production) != (destination.audience, production):
            raise ConfigurationError([f"{name}: hl7 wants the audience and processing of its FHIR destination"])
        self._name = name
        self._destination = destination
        self._identifier_systems = identifier_systems
        self._site_name = site_name
        self._forms = forms
        self._cards = cards
        self._otherwise = otherwise
        self._clock = clock or SystemClock("UTC")
        writer = BundleWriter(client, main="DiagnosticReport", own_ids=destination.own_ids)
        self._sending = Sending(writer, otherwise)

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
        """Nothing of the Bundle takes long; the other form may."""
        if self._otherwise:
            self._otherwise.prepare(report)

    def encode(self, report: Report, delivery_id: str, earlier: Report | None = None) -> bytes:
        """The transaction, and beside it the ORU^R01 where there is another way.

        `earlier` is what the destination has: what it said and this does not is withdrawn. Of the same episode alone:
        another patient's is retracted on its own.
        """
        said = self._resources(report, self._forms)
        gone: list[NewResource] = []
        if earlier is not None and earlier.episode == report.episode:
            renewed = {(resource.type, resource.id) for resource in said}
            before = [r for r in self._resources(earlier) if r.type in WITHDRAWABLE]
            gone = [transaction.void(r, _GONE, report.issued) for r in before if (r.type, r.id) not in renewed]
        bundle = self._bundle(report, [*said, *gone], delivery_id)
        other = self._otherwise
        return payloads.both(bundle, lambda: other.encode(report, delivery_id, earlier)) if other else bundle

    def retract(self, report: Report, delivery_id: str, reason: str) -> bytes:
        """The transaction that leaves nothing of a report standing: entered-in-error, without results."""
        at = self._clock.now()
        said = [resource for resource in self._resources(report) if resource.type in WITHDRAWABLE]
        voided = [transaction.void(resource, reason, at) for resource in said]
        why = transaction.withdrawal(voided, delivery_id=delivery_id, reason=reason, at=at, site_name=self._site_name)
        bundle = self._bundle(report, [*voided, why], delivery_id)
        other = self._otherwise
        return payloads.both(bundle, lambda: other.retract(report, delivery_id, reason)) if other else bundle

    def made(self, payload: bytes) -> Sequence[OwnInstance]:
        """No DICOM instance leaves this way."""
        return ()

    def send(self, payload: bytes) -> str:
        """Write what the server does not have yet, as it lets us; see `Sending.send`."""
        return self._sending.send(payload)

    def _resources(self, report: Report, forms: Forms = no_forms) -> list[NewResource]:
        known, site = self._identifier_systems, self._site_name
        return resources(report, identifier_systems=known, site_name=site, forms=forms, cards=self._cards)

    def _bundle(self, report: Report, sent: Sequence[NewResource], delivery_id: str) -> bytes:
        if report.test is self.production:
            raise InvalidInput("want test results at test destinations alone, and no others there")
        by_authority = systems.systems_by_authority(self._identifier_systems)
        subject = transaction.subject_of(report, by_authority)
        return transaction.transaction(sent, delivery_id=delivery_id, subject=subject, test=report.test)
