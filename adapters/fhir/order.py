"""ServiceRequest of FHIR R4 as an imaging order (v2-to-fhir: ORC and OBR[ServiceRequest], read backwards).

What decides whether something is ordered, of whom and under which number is read strictly, all else tolerantly: a
ServiceRequest that is no imaging order here is left out with the reason, and never refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from adapters.fhir import systems
from adapters.fhir.order_numbers import order_numbers
from adapters.fhir.references import Resource
from adapters.fhir.tolerant import codings, instant, items, local_moment, obj, text
from cds.codes import DCM, LOINC, SNOMED
from cds.domain.coding import Coding
from cds.domain.identity import Identifier, Patient
from cds.domain.modality import ACQUIRED
from cds.domain.order import OrderChange, OrderStatus, Priority, ServiceRequest

#: R4 request-status. An order that was entered in error is to be acted upon as little as one that was revoked.
_STATUSES = {
    "active": OrderStatus.ACTIVE,
    "on-hold": OrderStatus.ON_HOLD,
    "completed": OrderStatus.COMPLETED,
    "revoked": OrderStatus.REVOKED,
    "entered-in-error": OrderStatus.REVOKED,
}
#: R4 request-intent: what somebody is to act upon. Proposals, plans, directives and options are not.
_INTENTS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
_PRIORITIES = {priority.value: priority for priority in Priority}
#: There was no imaging before; a time like that, or one at the end of time, is a placeholder.
_YEARS = range(1896, 9999)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A ServiceRequest that is no imaging order here, and why, in words that name no patient."""

    reason: str


@dataclass(frozen=True, slots=True)
class Exam:
    """What an ImagingStudy says of its order where the order does not. `test`: it is labelled as test data (HTEST)."""

    accession: Identifier | None = None
    modality: str | None = None
    test: bool = False


@dataclass(frozen=True, slots=True)
class OrderReader:
    """How the ServiceRequests of one sender are read; the members are those of `StudyReader`."""

    source: str
    identifier_systems: Mapping[str, str]
    accession_issuer: str
    zone: ZoneInfo

    def read(self, request: Resource, patient: Patient | None, exam: Exam) -> OrderChange | LeftOut:
        """An order of a patient, filed under the first of her identifiers; else why it is none.

        Without an accession number no image could find it. An identifier that does not say which number it is, is
        none: it may be a group's, which several orders share.
        """
        if reason := _why_no_order(request):
            return LeftOut(reason)
        if patient is None or not patient.identifiers:
            return LeftOut("the ServiceRequest names no Patient with an identifier of a configured system")
        numbers = order_numbers(items(request.get("identifier")), self.identifier_systems, self.accession_issuer)
        accession = numbers.accession or exam.accession
        if accession is None:
            return LeftOut(
                "neither ServiceRequest nor ImagingStudy has an accession number of an issuer known here: an "
                "identifier of type ACSN, with a system of CDS_IDENTIFIER_SYSTEMS, or with none where "
                "CDS_ACCESSION_ISSUER is set"
            )
        status, requested_at = text(request.get("status")), self._moment(request.get("authoredOn"))
        order = ServiceRequest(
            placer_order_number=numbers.placer,
            filler_order_number=numbers.filler,
            accession=accession,
            patient=patient.identifiers[0],
            status=_STATUSES[status],
            priority=_PRIORITIES.get(text(request.get("priority"))),
            procedure=_preferred(request.get("code"), (LOINC, SNOMED)),
            modality=_modality(request) or exam.modality,
            reasons=tuple(_reasons(request)),
            reason_text="; ".join(_reasons_in_words(request)),
            requester=text(obj(request.get("requester")).get("display")),
            requested_at=requested_at,
            scheduled_at=self._scheduled(request),
            changed_at=instant(obj(request.get("meta")).get("lastUpdated")) or requested_at,
            test=exam.test or is_test(request),
            source=self.source,
        )
        return OrderChange(order, f"ServiceRequest {status}, {self.source}")

    def _scheduled(self, request: Resource) -> datetime | None:
        """occurrence[x]: the moment, or when the period or the first event begins."""
        events = obj(request.get("occurrenceTiming")).get("event")
        stated = [request.get("occurrenceDateTime"), obj(request.get("occurrencePeriod")).get("start")]
        stated += events[:1] if isinstance(events, list) else []
        return next((at for one in stated if (at := self._moment(one))), None)

    def _moment(self, value: object) -> datetime | None:
        at = local_moment(value, self.zone)
        return at if at and at.year in _YEARS else None


def is_test(resource: Resource) -> bool:
    """True for what is labelled as test health data: FHIR's way to say MSH-11 T or D."""
    labels = items(obj(resource.get("meta")).get("security"))
    return any(text(label.get("code")) == systems.TEST_DATA.code for label in labels)


def acquired(codes: Iterable[str]) -> str | None:
    """The one modality among these that acquires images; None where there are several, or none."""
    found = {code.upper() for code in codes} & ACQUIRED
    return found.pop() if len(found) == 1 else None


def _why_no_order(request: Resource) -> str:
    """Why a ServiceRequest orders nothing; empty where it does.

    A modifier extension may make the contrary of it (R4 extensibility.html#modifierExtension).
    """
    if text(request.get("intent")) not in _INTENTS:
        return "the ServiceRequest's intent is not that of an order"
    if text(request.get("status")) not in _STATUSES:
        return "the ServiceRequest is a draft, or its status is not known"
    if request.get("doNotPerform") is True:
        return "the ServiceRequest says that the exam is not to be done"
    if request.get("modifierExtension"):
        return "the ServiceRequest has a modifier extension, which is not understood here"
    return ""


def _preferred(concept: object, preferred: Sequence[str]) -> Coding | None:
    """The coding of the first system that is preferred, else the first; None where there is no code."""
    found = codings(concept)
    ranked = (code for system in preferred for code in found if code.system == system)
    return next(ranked, found[0] if found else None)


def _reasons(request: Resource) -> Iterator[Coding]:
    """One code of each concept: the others are its translations."""
    found = (_preferred(concept, (SNOMED,)) for concept in items(request.get("reasonCode")))
    yield from dict.fromkeys(code for code in found if code)


def _reasons_in_words(request: Resource) -> Iterator[str]:
    for concept in items(request.get("reasonCode")):
        if not codings(concept) and (words := text(concept.get("text"))):
            yield words


def _modality(request: Resource) -> str | None:
    """What orderDetail and category name by a code of DICOM."""
    concepts = [*items(request.get("orderDetail")), *items(request.get("category"))]
    return acquired(code.code for concept in concepts for code in codings(concept) if code.system == DCM)
