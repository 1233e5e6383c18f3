"""What a CDS Hooks service is, and what it is given; dict in, dict out, no web framework."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.hook import CardHistory, HookCall, Reader
from cds.domain.identity import Patient
from cds.domain.imaging_order import Exam, ImagingOrder
from cds.domain.message import RecordStatements, Statement
from cds.domain.outstanding import Outstanding
from cds.domain.recommendation import Case, PathwayOutcome
from cds.domain.report import Report
from cds.hook_peers import Fatigue
from cds.hooks.again import Again
from cds.hooks.answer import Answer
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


class CallLog(Protocol):
    """What is remembered of calls; `cds.ports.CardLog` is where it is kept."""

    def history(self, reader: Reader, whose: str) -> CardHistory:
        """What this reader was shown and everybody answered of a patient, as far back as it matters now."""
        ...

    def keep(self, call: HookCall) -> None:
        """Remember a call before it is answered: feedback must find its cards. A call that cannot be is answered."""
        ...


class Forgetful:
    """Remembers nothing: for a replay, and for tests of what is said."""

    def history(self, reader: Reader, whose: str) -> CardHistory:
        """Nothing was ever shown."""
        return CardHistory()

    def keep(self, call: HookCall) -> None:
        """Nobody sees the cards of a replay."""


def no_orders(context: Mapping[str, object]) -> tuple[ImagingOrder, ...]:
    """Where no imaging order can be read."""
    return ()


def none_dispatched(resources: Sequence[Mapping[str, object]]) -> tuple[ImagingOrder, ...]:
    """Where no imaging order can be read."""
    return ()


def no_judgement(case: Case, whose: Patient) -> tuple[PathwayOutcome, ...]:
    """Where no check of an order may speak."""
    return ()


def no_exam(codes: Iterable[Coding]) -> None:
    """Where nobody knows what a code asks for."""


def no_resource(access: FhirAccess, reference: str) -> None:
    """Where the client's server is never asked."""


def nothing_outstanding(patient_id: str) -> Outstanding:
    """Where nothing is kept."""
    return Outstanding()


def no_site(report: Report) -> str:
    """Where an installation has one site."""
    return ""


def no_home(patient: Patient) -> str:
    """Where an installation has one site."""
    return ""


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
    #: Where the pages are.
    pages_url: str = ""
    log: CallLog = field(default_factory=Forgetful)
    #: How often a person is told the same.
    fatigue: Fatigue = field(default_factory=Fatigue)
    #: The `iss` of EHRs that can launch the study page (SMART App Launch).
    launches: frozenset[str] = frozenset()
    #: Services that may act without asking (systemActions), by id.
    acts: frozenset[str] = frozenset()
    #: `context` of a call → the draft imaging orders in it, those that are selected alone where it says which.
    read_orders: Callable[[Mapping[str, object]], tuple[ImagingOrder, ...]] = no_orders
    #: ServiceRequests that were dispatched → the orders among them that still stand.
    read_dispatched: Callable[[Sequence[Mapping[str, object]]], tuple[ImagingOrder, ...]] = none_dispatched
    #: What the codes of an exam ask for; None where nobody here knows them.
    exam_of: Callable[[Iterable[Coding]], Exam | None] = no_exam
    #: What the checks of an order that may speak now at the patient's site say to a case that has one.
    judge: Callable[[Case, Patient], tuple[PathwayOutcome, ...]] = no_judgement
    #: A resource at the client's own server by relative reference, with the call's token; None where there is none.
    fetch_resource: Callable[[FhirAccess, str], Mapping[str, object] | None] = no_resource
    #: What is not arranged yet for a patient, by our random id.
    outstanding: Callable[[str], Outstanding] = nothing_outstanding
    #: The site that a report belongs to, by its name in the settings.
    where: Callable[[Report], str] = no_site
    #: The site that a patient belongs to, likewise.
    home: Callable[[Patient], str] = no_home
    #: The patient's resource at the client's own server, with the call's token; None where it cannot be had in time.
    fetch_patient: Callable[[FhirAccess, str], Mapping[str, object] | None] = no_patient
    #: What searches at the client's own server state in time, with the call's token: (access, patient id, searches).
    fetch: Callable[[FhirAccess, str, Sequence[Search]], RecordStatements] = nothing_fetched
    #: What the configured EHRs say in time of a patient to some value sets, by name.
    ask: Callable[[Patient, Collection[str]], RecordStatements] = nothing_asked
    #: What clients and EHRs are asked for, by service; unsaid: what all that the service may say asks.
    asks: Mapping[str, Sequence[ValueSet]] = field(default_factory=dict)
    #: The questions by name; None: those of `cds.codes`.
    value_sets: Mapping[str, ValueSet] | None = None
    #: What is not worked out anew for the same; unsaid: everything is.
    again: Again = field(default_factory=Again)
    #: How many steps of one study are shown at once; critical ones are not counted.
    most_steps: int = 5


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the discovery document and the function that answers its calls.

    One id may stand for several hooks: then each answer takes the place of the one before it (CDS Hooks 2.0, "Update
    stale guidance").
    """

    id: str
    hook: str
    title: str
    description: str
    usage_requirements: str
    version: str
    prefetch: Mapping[str, str]
    respond: Callable[[HookRequest, HookContext], Answer]

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
