"""What a CDS Hooks service is, and what it is given; dict in, dict out, no web framework."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from cds.codes import ValueSet
from cds.domain.identity import Patient
from cds.domain.message import RecordStatements, Statement
from cds.domain.recommendation import Case, PathwayOutcome
from cds.domain.report import Report
from cds.hooks.request import FhirAccess, HookRequest
from cds.ports import Clock, PatientRecord, ReportStore
from cds.searches import Search

Json = dict[str, object]


def no_patient(access: FhirAccess, patient_id: str) -> None:
    """Where the client's server is never asked."""


def nothing_fetched(access: FhirAccess, patient_id: str, searches: Sequence[Search]) -> RecordStatements:
    """Where the client's server is never asked."""
    return RecordStatements()


def nothing_asked(patient: Patient, value_sets: Collection[str]) -> RecordStatements:
    """Where no EHR is configured."""
    return RecordStatements()


@dataclass(frozen=True, slots=True)
class CardsShown:
    """What one call showed of one study, for the timeline: no value of the record. None where no study was reached."""

    service: str
    study_instance_uid: str | None
    cards: int
    suppressed: tuple[str, ...] = ()
    #: Who looked (context.userId), and at which patient, by random id.
    by: str = ""
    patient_id: str | None = None


@dataclass(frozen=True, slots=True)
class HookContext:
    """Everything that a service may use. Reading FHIR is the edge's; `evaluate` is bound to the enabled pathways."""

    reports: ReportStore
    record: PatientRecord
    #: FHIR Patient → Patient with the identifiers whose system the site has configured.
    read_patient: Callable[[Mapping[str, object]], Patient]
    #: {prefetch key: Bundle} → what it states.
    read_statements: Callable[[Mapping[str, object]], tuple[Statement, ...]]
    #: What the pathways that may speak now at the report's site say to a case, with the options and in the language of
    #: that site.
    evaluate: Callable[[Case, Report], tuple[PathwayOutcome, ...]]
    #: A stored report as a referral card may show it now, under the settings, switches and verifications of now; None
    #: where it may show nothing of it.
    view: Callable[[Report], Report | None]
    #: Why a report, or a part of it, may not be shown.
    withheld: Callable[[Report], tuple[str, ...]]
    clock: Clock
    public_url: str
    site_name: str
    on_shown: Callable[[CardsShown], None]
    #: The patient's resource at the client's own server, with the call's token; None where it cannot be had in time.
    fetch_patient: Callable[[FhirAccess, str], Mapping[str, object] | None] = no_patient
    #: What searches at the client's own server state in time, with the call's token: (access, patient id, searches).
    fetch: Callable[[FhirAccess, str, Sequence[Search]], RecordStatements] = nothing_fetched
    #: What the configured EHRs say in time of a patient to some value sets, by name.
    ask: Callable[[Patient, Collection[str]], RecordStatements] = nothing_asked
    #: What clients and EHRs are asked for; None: what all installed pathways ask.
    asks: Sequence[ValueSet] | None = None
    #: The questions by name; None: those of `cds.codes`.
    value_sets: Mapping[str, ValueSet] | None = None
    #: How many steps of one study are shown at once; critical ones are not counted.
    most_steps: int = 5


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the discovery document and the function that answers its calls."""

    id: str
    hook: str
    title: str
    description: str
    usage_requirements: str
    version: str
    prefetch: Mapping[str, str]
    respond: Callable[[HookRequest, HookContext], list[Json]]

    def discovery(self) -> Json:
        """The service as CDS Hooks 2.0 discovery describes it."""
        return {
            "hook": self.hook,
            "id": self.id,
            "title": self.title,
            "description": self.description,
            "usageRequirements": self.usage_requirements,
            "version": self.version,
            "prefetch": dict(self.prefetch),
        }
