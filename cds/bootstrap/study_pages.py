"""What the study page shows, wired: the studies that are the patient's now, as a referral card may show them."""

from __future__ import annotations

from dataclasses import dataclass

from cds.bootstrap import Stores
from cds.bootstrap.ehr import Patients, sources, with_ehr
from cds.bootstrap.failures import failures, with_failures_told
from cds.bootstrap.hooks import hook_context
from cds.domain.audit import PAGE_VIEWED, AuditEvent
from cds.domain.identity import Patient
from cds.domain.imaging import Study
from cds.domain.report import Report
from cds.errors import NotFound
from cds.hooks import HookContext, imaging_findings, prefetch, studies
from cds.hooks.asked import Asked
from cds.hooks.request import HookRequest
from cds.ports import AuditLog, Clock
from cds.settings import Settings
from cds.study_pages import StudyPage, Visitor

_NOTHING = "Sightline has no result that may be shown here now. That is not a negative result."
#: A list is one view of all that it names; its studies are told apart when one of them is opened.
_LISTED = "list of studies viewed"


@dataclass(frozen=True, slots=True)
class Shelf:
    """The pages of one installation; every look at one is in the audit log before it is answered."""

    context: HookContext
    patients: Patients
    audit: AuditLog

    def studies(self, visitor: Visitor) -> tuple[Study, ...]:
        """The studies of the visitor's patient that may be shown now, newest first."""
        patient = self._patient(visitor)
        found = tuple(seen.study for seen in self._reports(patient))
        self.audit.write(AuditEvent(self.context.clock.now(), visitor.user, _LISTED, None, patient.id))
        return found

    def page(self, visitor: Visitor, public_id: str) -> StudyPage:
        """What may be shown of one study; raise NotFound, in the same words whatever the reason."""
        patient = self._patient(visitor)
        seen = next((one for one in self._reports(patient) if one.study.public_id == public_id), None)
        if seen is None:
            raise NotFound(_NOTHING)
        said = studies.judged(self._asked(visitor, patient), seen)
        uid, version = seen.study.study_instance_uid, f"version {seen.version}"
        self.audit.write(AuditEvent(self.context.clock.now(), visitor.user, PAGE_VIEWED, uid, patient.id, (version,)))
        return StudyPage(seen, said, visitor)

    def _patient(self, visitor: Visitor) -> Patient:
        """Whoever owns now what was filed under the patient of the launch: merges and their undoing count at once."""
        try:
            return self.patients.patient_by_id(visitor.patient_id)
        except KeyError:
            raise NotFound(_NOTHING) from None

    def _reports(self, patient: Patient) -> list[Report]:
        found = [one for i in patient.identifiers for one in self.context.reports.latest_of_patient(i)]
        own = {one.study.study_instance_uid: one for one in found}.values()
        return [seen for one in own if (seen := self.context.view(one)) is not None]

    def _asked(self, visitor: Visitor, patient: Patient) -> Asked:
        """As a hook would be asked whose client brings nothing: our own record counts, and what EHRs say in time."""
        context = self.context
        call = HookRequest("patient-view", "", visitor.user, "")
        wanted = prefetch.templates(context.asks.get(imaging_findings.ID))
        given = prefetch.statements({}, "", context.read_statements, wanted)
        return Asked(call, context, {"resourceType": "Patient"}, patient, (), given)


def shelf(settings: Settings, held: Stores, audit: AuditLog, clock: Clock) -> Shelf:
    """The shelf over the same context as that of CDS Hooks, so that page and card agree."""
    context = with_ehr(hook_context(settings, held, clock), settings, clock, sources(settings, clock))
    return Shelf(with_failures_told(context, failures(settings, held.database, clock)), held.record, audit)
