"""Whom a call is about: the patient, what was brought and fetched of their record, and what is stored of them.

What is missing in the prefetch is fetched with the call's token, then asked of the configured EHRs; the store is always
read. A doubt about who it is keeps everything back (SAFETY section 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cds import record
from cds.codes import ValueSet
from cds.domain.ehr import EhrData
from cds.domain.identity import Patient, Sex
from cds.domain.message import RecordStatements
from cds.domain.report import Report
from cds.errors import PreconditionFailed
from cds.hooks import prefetch
from cds.hooks.again import UNKNOWN, Digest
from cds.hooks.lazily import Lazily
from cds.hooks.parts import Site
from cds.hooks.prefetch import Given
from cds.hooks.request import HookRequest
from cds.hooks.service import HookContext

#: The one doubt that the site's settings can end.
UNMAPPED = "None of the patient's identifiers comes from a system that this site has configured."
_CAN_BE = ": want one that CDS_FHIR_SOURCES names, a scope for Patient, and an answer within a second"
_SEVERAL = "The patient's identifiers belong to more than one patient here; a person must decide."
_OTHER_BIRTH_DATE = "The birth date contradicts the one that came with the images; a person must decide."
_OTHER_SEX = "The sex contradicts the one that came with the images; a person must decide."


@dataclass(frozen=True)
class Asked:
    """One call with its patient. What is fetched is fetched when it is first wanted, once."""

    request: HookRequest
    context: HookContext
    #: The Patient resource of the client.
    resource: Mapping[str, object]
    patient: Patient
    #: The newest report of each study under any of the patient's identifiers.
    reports: tuple[Report, ...]
    given: Given
    #: What the prefetch is known by.
    digest: Digest = UNKNOWN

    @property
    def is_brought(self) -> bool:
        """Whether the call itself brought all that it is answered by: nothing is fetched for it."""
        brought = self.request.prefetch.get(prefetch.PATIENT)
        return bool(self.digest.value) and not self.given.missing and brought is self.resource

    @Lazily
    def site(self) -> Site:
        """Who speaks."""
        launches = self.request.fhir_server in self.context.launches
        return Site(self.context.site_name, self.context.public_url, launches, self.context.pages_url)

    @Lazily
    def doubt(self) -> str:
        """Why no result may be shown for this patient; empty where nothing contradicts."""
        return _doubt(self)

    @Lazily
    def owners(self) -> frozenset[str]:
        """The stored patients who own any of the identifiers."""
        return self.context.reports.owners(self.patient.identifiers) if self.patient.identifiers else frozenset()

    @Lazily
    def whose(self) -> str:
        """The patient as cards are remembered: our random id, or where there is none the client's reference."""
        if len(self.owners) == 1:
            return next(iter(self.owners))
        return f"{self.request.fhir_server}/Patient/{self.request.patient_id}"

    @Lazily
    def stated(self) -> RecordStatements:
        """What the call brought, what was fetched for it, and what the Patient resource says."""
        own = RecordStatements(self.context.read_statements({prefetch.PATIENT: self.resource}))
        return record.merge(_completed(self), own)

    def held(self, stored: Patient | None = None) -> RecordStatements:
        """Our own record of `stored`, or of this patient."""
        whose = stored or self.patient
        return self._held.get(whose) or self._held.setdefault(whose, self.context.record.statements(whose))

    def ehr(self, stored: Patient | None = None) -> EhrData:
        """What is known of the patient, from the call and from our own record of `stored`, or of this patient."""
        return self._known.get(stored) or self._known.setdefault(stored, self._assembled(stored))

    def _assembled(self, stored: Patient | None) -> EhrData:
        context = self.context
        return record.assemble(
            combined(self.patient, stored),
            record.merge(self.held(stored), self.stated),
            now=context.clock.now(),
            today=context.clock.today(),
            value_sets=context.value_sets,
        )

    @Lazily
    def _held(self) -> dict[Patient, RecordStatements]:
        return {}

    @Lazily
    def _known(self) -> dict[Patient | None, EhrData]:
        """Several studies are of one patient."""
        return {}


def ask(
    request: HookRequest, context: HookContext, asks: Sequence[ValueSet] | None, digest: Digest | None = None
) -> Asked:
    """Who a call is about; raise PreconditionFailed where nobody can tell. `asks` is what the service asks for.

    `digest` is what the prefetch is known by, where that is at hand.
    """
    resource = _resource(request, context)
    patient = context.read_patient(resource)
    wanted = prefetch.templates(asks)
    read = context.read_statements
    digest = digest or context.again.digest(request.prefetch)
    given = context.again.read(
        digest,
        (request.patient_id, context.clock.today(), tuple(wanted)),
        lambda: prefetch.statements(request.prefetch, request.patient_id, read, wanted),
    )
    return Asked(request, context, resource, patient, _reports(patient, context), given, digest)


def combined(client: Patient, stored: Patient | None) -> Patient:
    """What either side knows of one patient; deceased if either says so."""
    if stored is None:
        return client
    deceased = None if client.deceased is stored.deceased is None else bool(client.deceased or stored.deceased)
    return replace(
        client,
        id=stored.id,
        birth_date=client.birth_date or stored.birth_date,
        sex=stored.sex if client.sex is Sex.UNKNOWN else client.sex,
        deceased=deceased,
    )


def _resource(request: HookRequest, context: HookContext) -> Mapping[str, object]:
    """The Patient that was prefetched, or is fetched for this call; raise PreconditionFailed where neither is."""
    try:
        return prefetch.patient(request.prefetch, request.patient_id)
    except PreconditionFailed as error:
        if request.access is None:
            raise PreconditionFailed(f"{error}, and no fhirAuthorization came that it can be fetched with") from None
        fetched = context.fetch_patient(request.access, request.patient_id)
        if fetched is None:
            raise PreconditionFailed(f"{error}, and could not be fetched from the call's fhirServer{_CAN_BE}") from None
        return prefetch.patient({prefetch.PATIENT: fetched}, request.patient_id)


def _completed(asked: Asked) -> RecordStatements:
    """What was not prefetched is fetched from the client's server, and what is not there is asked of the EHRs."""
    request, context, given = asked.request, asked.context, asked.given
    if not given.missing:
        return given.record
    access = request.access
    fetched = context.fetch(access, request.patient_id, given.missing) if access else RecordStatements()
    whole = {one.source for one in fetched.searched}
    lacking = {name for search in given.missing if search.source not in whole for name in search.covers}
    told = context.ask(asked.patient, lacking) if lacking else RecordStatements()
    # What a configured EHR has answered for is not lacking because the call's own server did not.
    answered = {name for one in told.searched for name in one.covers or ()}
    unasked = tuple(one for one in fetched.unasked if not set(one.covers or ()) <= answered)
    return record.merge(given.record, replace(fetched, unasked=unasked), told)


def _reports(patient: Patient, context: HookContext) -> tuple[Report, ...]:
    found = [report for identifier in patient.identifiers for report in context.reports.latest_of_patient(identifier)]
    return tuple({report.study.study_instance_uid: report for report in found}.values())


def _doubt(asked: Asked) -> str:
    patient, owners = asked.patient, asked.owners
    if not patient.identifiers:
        return UNMAPPED
    stored = [report.patient for report in asked.reports if report.patient]
    others = {p.id for p in stored if p.id} - owners
    if len(owners | {asked.context.reports.survivor(one) for one in others}) > 1:
        return _SEVERAL
    if len({p.birth_date for p in (patient, *stored) if p.birth_date}) > 1:
        return _OTHER_BIRTH_DATE
    stated = {p.sex for p in (patient, *stored)}
    return _OTHER_SEX if {Sex.FEMALE, Sex.MALE} <= stated else ""
