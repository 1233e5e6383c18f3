"""What the services about imaging orders share: whose orders these are, and what the checks of an order say to them.

An order of another patient is never judged. Where it is in doubt who the patient is here, our own record stays closed:
the order is judged by what its own call brought and by its own server, and the reader is told (SAFETY section 1).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cds import exam_codes, ordering, pathways
from cds.codes import SNOMED, ValueSet
from cds.domain.ehr import EhrData
from cds.domain.identity import Patient
from cds.domain.imaging_order import ImagingOrder
from cds.domain.message import RecordStatements, RecordValue, Statement, Unasked
from cds.domain.recommendation import Advice, Case, CouldNotTell, PathwayOutcome
from cds.errors import InvalidResource, NothingEvaluated
from cds.hooks.asked import Asked, ask
from cds.hooks.request import HookRequest
from cds.hooks.service import HookContext, nothing_asked
from cds.ports import PatientRecord
from cds.record import merge

#: A relative reference that an action may name (CDS Hooks 2.0, `resourceId`).
REFERENCE = re.compile(r"ServiceRequest/[A-Za-z0-9.-]{1,64}")
#: ServiceRequest.category of imaging, however the code of the exam is known: SNOMED CT, and v2-0074.
_IMAGING = {
    SNOMED: frozenset({"363679005"}),
    "http://terminology.hl7.org/CodeSystem/v2-0074": frozenset({"RAD", "IMG", "CT", "NMR", "NMS", "RUS", "RX"}),
}
_OWN_RECORD = "Sightline's own record"
_IMAGES = "Sightline's own images"
_CLOSED = "was not read: it is not sure who this patient is there"


@dataclass(frozen=True, slots=True)
class Ordered:
    """An imaging order as it was read, with the resource that says it.

    `reference` is the one by which it can be named in an action; empty where it has no id of its own.
    """

    order: ImagingOrder
    resource: Mapping[str, object]
    reference: str = ""

    @property
    def is_imaging(self) -> bool:
        """Whether it asks for imaging, by a code that is known here or by its category."""
        return self.order.exam is not None or any(map(_is_imaging, _objects(self.resource.get("category"))))

    @property
    def name(self) -> str:
        """What it asks for, in the words of who ordered."""
        coded = next((f"code {one.code}" for one in self.order.codes), "")
        return self.order.text or coded or "an exam without a code"

    @property
    def code(self) -> str:
        """What its exam is called in keys: the same for as long as the same is ordered."""
        return min((f"{one.system}|{one.code}" for one in self.order.codes), default=self.order.text)


@dataclass(frozen=True, slots=True)
class _WithImages:
    """The record with the exams of which the images are here: whoever orders one again may not know of them."""

    own: PatientRecord
    done: tuple[Statement, ...]

    def statements(self, patient: Patient) -> RecordStatements:
        """See `cds.ports.PatientRecord`."""
        return merge(self.own.statements(patient), RecordStatements(self.done))


class _Closed:
    """Our own record of a patient of whom it is in doubt who it is: it may hold what nobody may be shown."""

    def statements(self, patient: Patient) -> RecordStatements:
        """See `cds.ports.PatientRecord`."""
        return RecordStatements(unasked=(Unasked(_OWN_RECORD, _CLOSED),))


def drafts(request: HookRequest, context: HookContext) -> tuple[Ordered, ...]:
    """The draft imaging orders of a call, of those that are selected; raise InvalidResource without any Bundle."""
    bundle = request.context.get("draftOrders")
    entries = bundle.get("entry", []) if isinstance(bundle, Mapping) else None
    if not isinstance(entries, list):
        raise InvalidResource("context.draftOrders: want a Bundle")
    return tuple(one for one in _drafts(request, context, entries) if one.is_imaging)


def _drafts(request: HookRequest, context: HookContext, entries: Sequence[object]) -> Iterator[Ordered]:
    """Each entry is read alone, so that an order never stands beside the resource of another one."""
    resources = [_member(entry, "resource") for entry in entries]
    times = Counter(reference(one) for one in resources)
    for entry, resource in zip(entries, resources, strict=True):
        alone = {**request.context, "draftOrders": {"resourceType": "Bundle", "entry": [entry]}}
        if not isinstance(resource, Mapping):
            continue
        for order in context.read_orders(alone):
            own = reference(resource)
            yield Ordered(order, resource, own if times[own] == 1 else "")


def reference(resource: object) -> str:
    """`ServiceRequest/<id>`; empty where it has no id that R4 allows."""
    named = f"{_member(resource, 'resourceType')}/{_member(resource, 'id')}"
    return named if REFERENCE.fullmatch(named) and isinstance(_member(resource, "id"), str) else ""


def names_another(resource: Mapping[str, object], patient_id: str) -> bool:
    """Whether a resource names another Patient than that of the call."""
    said = _member(resource.get("subject"), "reference")
    kind, _, named = said.split("/_history/")[0].rpartition("/") if isinstance(said, str) else ("", "", "")
    return kind.endswith("Patient") and named != patient_id


def checks_ask(asks: Sequence[ValueSet] | None) -> Sequence[ValueSet]:
    """What clients are asked for; unsaid: what all checks of an order ask."""
    return pathways.asked(package=ordering) if asks is None else asks


def asked_for(request: HookRequest, context: HookContext, service: str) -> Asked:
    """Whom a call is about; in doubt with our own record and the other EHRs closed. Raise PreconditionFailed."""
    asked = ask(request, context, checks_ask(context.asks.get(service)))
    if asked.doubt:
        return replace(asked, context=replace(context, record=_Closed(), ask=nothing_asked))
    done = tuple(_done(asked))
    return replace(asked, context=replace(context, record=_WithImages(context.record, done))) if done else asked


def _done(asked: Asked) -> Iterator[Statement]:
    """The exams of the stored images whose order says what they are, as procedures that were done."""
    for report in asked.reports:
        procedure = report.order.procedure if report.order else None
        exam = asked.context.exam_of((procedure,)) if procedure else None
        for code in exam_codes.public_codes(exam) if exam else ():
            key = f"images {report.study.study_instance_uid} {code.system} {code.code}"
            value = RecordValue("procedure", key, code, None, report.study.study_date)
            yield Statement(value, _IMAGES, report.issued)


def judged(asked: Asked, ehr: EhrData, order: ImagingOrder) -> tuple[PathwayOutcome, ...]:
    """What the checks say to one order of this patient: there are no images yet."""
    today = asked.context.clock.today()
    case = Case(
        study_date=today,
        study_instance_uid="",
        modality=order.exam.modality if order.exam else "",
        outcomes=(),
        ehr=ehr,
        today=today,
        procedures=order.codes,
        order=order,
    )
    return asked.context.judge(case, asked.patient)


def advices(outcomes: Sequence[PathwayOutcome]) -> tuple[Advice, ...]:
    """Those that have something to say."""
    return tuple(one for one in outcomes if isinstance(one, Advice))


def failed(outcomes: Sequence[PathwayOutcome]) -> tuple[CouldNotTell, ...]:
    """Those that broke."""
    return tuple(one for one in outcomes if isinstance(one, CouldNotTell) and one.failed)


def undecided(outcomes: Sequence[PathwayOutcome]) -> tuple[CouldNotTell, ...]:
    """Those that lack something."""
    return tuple(one for one in outcomes if isinstance(one, CouldNotTell) and not one.failed)


def not_all_failed(outcomes: Sequence[PathwayOutcome]) -> None:
    """Raise NothingEvaluated where every check broke: no card would read as nothing to say (SAFETY section 6)."""
    if outcomes and len(failed(outcomes)) == len(outcomes):
        raise NothingEvaluated("no check of an order could be evaluated; this was reported to the administrator")


def whose(request: HookRequest) -> str:
    """The patient of a call that says nothing of imaging, as cards are remembered."""
    return f"{request.fhir_server}/Patient/{request.patient_id}"


def _is_imaging(category: Mapping[str, object]) -> bool:
    return any(
        _member(one, "code") in _IMAGING.get(str(_member(one, "system")), frozenset())
        for one in _objects(category.get("coding"))
    )


def _objects(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else None
