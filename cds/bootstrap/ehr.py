"""What EHRs know of patients, wired: as a part of the record, for hooks, and for studies that an EHR missed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from cds import codes, ordering, pathways
from cds.action_codes import with_orderables
from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.identity import Patient
from cds.domain.message import RecordStatements, Unasked
from cds.domain.report import Mode
from cds.hooks import HookContext, discharge_check, imaging_findings, order_advice, order_routing
from cds.hooks.request import FhirAccess
from cds.ports import Clock, PatientRecord
from cds.record import merge
from cds.searches import Search
from cds.settings import Settings
from cds.store.enriching import EnrichingStore
from cds.value_sets import Questions

if TYPE_CHECKING:
    from adapters.fhir.ehr import EhrSources

#: A hook answers within seconds or is not waited for: the server of the call, and then the configured ones.
_HOOK_S = 1.0
#: Studies that are decided again in one sweep.
_AT_ONCE = 50
#: What was away for an hour is asked every six minutes.
_PATIENCE = 10


#: The modes of what a card may say.
SPEAKING = (Mode.ADVISORY,)


class Patients(Protocol):
    """Where patients are found by their random ids."""

    def patient_by_id(self, patient_id: str) -> Patient:
        """One patient."""
        ...


@dataclass(frozen=True, slots=True)
class MergedRecord:
    """Our own record and what EHRs say now, as one port."""

    own: PatientRecord
    sources: PatientRecord

    def statements(self, patient: Patient) -> RecordStatements:
        """See the port."""
        return merge(self.own.statements(patient), self.sources.statements(patient))


def asks(
    settings: Settings,
    modes: Collection[Mode] = (Mode.ADVISORY, Mode.SHADOW),
    package: ModuleType | None = None,
) -> tuple[ValueSet, ...]:
    """What the pathways ask that are in one of these modes at some site: nothing else is asked of an EHR.

    A client of CDS Hooks is asked for what advisory ones want: no other speaks in a card. `package` is `cds.ordering`
    for the checks of an order.
    """
    sites = ("", *settings.sites)
    used = [one for one in pathways.load(package) if any(settings.pathway_mode(one, site) in modes for site in sites)]
    wanted, known = pathways.asked(used, package), value_sets(settings)
    return wanted if known is None else tuple(known.get(one.name, one) for one in wanted)


def asked_by(settings: Settings) -> dict[str, tuple[ValueSet, ...]]:
    """What clients of CDS Hooks are asked for, by service: what speaks in its cards."""
    orders, findings = asks(settings, SPEAKING, ordering), asks(settings, SPEAKING)
    return {
        imaging_findings.ID: findings,
        discharge_check.ID: findings,
        order_advice.ID: orders,
        order_routing.ID: orders,
    }


def value_sets(settings: Settings) -> Questions | None:
    """The questions by name, open requests with the site's own codes; None where it has none of its own."""
    if not settings.orderables:
        return None
    own = {name: Coding(one.system, one.code, one.display) for name, one in settings.orderables.items()}
    return Questions(with_orderables(codes.loaded().values(), own))


def sources(settings: Settings, clock: Clock, *, orders: bool = False) -> EhrSources | None:
    """The FHIR servers that are asked for patients' data; None where there is none, and their libraries stay unloaded.

    With `orders` they are asked for what checks of orders want as well, which no study needs. They have threads of
    their own: make them where they are used, after a fork.
    """
    named = {name: server for name, server in settings.fhir_sources.items() if server.ehr_data}
    if not named:
        return None
    from adapters.fhir.client import open_client
    from adapters.fhir.ehr import EhrSource, EhrSources
    from adapters.fhir.keys import SmartKeys

    wanted = tuple(dict.fromkeys((*asks(settings), *(asks(settings, package=ordering) if orders else ()))))
    keys = SmartKeys(settings.smart_key_files)
    return EhrSources(
        [
            EhrSource(
                open_client(name, server, keys),
                server,
                identifier_systems=settings.identifier_systems,
                asks=wanted,
                clock=clock,
            )
            for name, server in named.items()
        ]
    )


def with_ehr(context: HookContext, settings: Settings, clock: Clock, found: EhrSources | None) -> HookContext:
    """A hook context that also reads the server of each call, if it is a configured one, and the EHRs."""
    from adapters.fhir.caller import CALLER, Call, Caller

    servers = [*settings.fhir_sources.values(), *settings.fhir_destinations.values()]
    caller = Caller({server.url: server.tls for server in servers}, clock, within_s=_HOOK_S)

    def fetch_patient(access: FhirAccess, patient_id: str) -> Mapping[str, object] | None:
        allowed = access.allows("Patient")
        return caller.patient(Call(access.server, access.token, patient_id)) if allowed else None

    def fetch(access: FhirAccess, patient_id: str, searches: Sequence[Search]) -> RecordStatements:
        allowed = [search for search in searches if access.allows(search.type)]
        denied = [search for search in searches if search not in allowed]
        unasked = (Unasked(CALLER, f"gives a token that allows no {s.type}", s.covers, blind=False) for s in denied)
        said = caller.statements(Call(access.server, access.token, patient_id), allowed)
        return merge(said, RecordStatements(unasked=tuple(unasked)))

    def ask(patient: Patient, value_sets: Collection[str]) -> RecordStatements:
        return found.ask(patient, value_sets, within_s=_HOOK_S) if found else RecordStatements()

    return replace(
        context,
        fetch_patient=fetch_patient,
        fetch=fetch,
        ask=ask,
        asks=asked_by(settings),
        value_sets=value_sets(settings),
    )


def decide_again(waiting: EnrichingStore, patients: Patients, sources: PatientRecord) -> Callable[[datetime], None]:
    """A timer: studies that an EHR missed are decided again once it tells what it knows of their patients.

    The answer is kept for minutes, so that the study that is decided again finds it. An EHR that does not answer at all
    is asked once in a sweep, and about one patient the less often the longer it lasts.
    """
    asked: dict[tuple[str, str], datetime] = {}

    def look(now: datetime) -> None:
        silent: set[str] = set()
        found = list(waiting.waiting(now))
        for gone in asked.keys() - {(missed.source, missed.work_id) for missed in found}:
            del asked[gone]
        for missed in found[:_AT_ONCE]:
            key = missed.source, missed.work_id
            if missed.source in silent or now < asked.get(key, missed.since) + (now - missed.since) / _PATIENCE:
                continue
            told = sources.statements(patients.patient_by_id(missed.patient_id))
            if missed.source not in told.away:
                waiting.again(missed, now)
            elif all(searched.source != missed.source for searched in told.searched):
                silent.add(missed.source)
            asked[key] = now

    return look
