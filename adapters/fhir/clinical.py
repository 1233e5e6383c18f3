"""What each type of resource states of a patient, as values of the record. Odd resources say less; nothing raises.

Only what holds is stated: what was cancelled, refused, not done, stopped or only planned says nothing, what was
entered in error takes back what was said before, and what was looked for and found not to be is known to be absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date

from adapters.fhir.systems import AI_ASSERTED
from adapters.fhir.tolerant import Value, codings, earliest_day, has_code, items, obj, text, value_of, words
from cds import codes
from cds.domain.coding import Coding
from cds.domain.message import Category, RecordValue
from cds.value_sets import Index

Resource = Mapping[str, object]
#: Resources that others refer to, by what they refer to them with: "Type/id", or its URL.
Others = Mapping[str, Resource]

_ABSENT = Coding(codes.SNOMED, "2667000", "Absent")
_IN_ERROR = "entered-in-error"
#: Our own identifiers: what carries one came from here.
_OWN = "urn:sightline:"
#: R4 observation-status and diagnostic-report-status as the record's own; what is not here states nothing.
_RESULT = {
    "preliminary": "preliminary",
    "partial": "preliminary",
    "unknown": "preliminary",
    "final": "final",
    "amended": "corrected",
    "corrected": "corrected",
    "appended": "corrected",
    _IN_ERROR: _IN_ERROR,
}
#: event-status, immunization-status, medicationrequest-status, medication-statement-status, history-status,
#: request-status, likewise. A drug that is paused is still prescribed; a draft order waits for a signature.
_PROCEDURE = {"completed": "final", "in-progress": "preliminary", "unknown": "preliminary", _IN_ERROR: _IN_ERROR}
_GIVEN = {"completed": "final", _IN_ERROR: _IN_ERROR}
_DRUG = {"active": "final", "on-hold": "final", "not-taken": "final", _IN_ERROR: _IN_ERROR}
_FAMILY = {"completed": "final", "partial": "final", _IN_ERROR: _IN_ERROR}
_REQUEST = {"active": "final", "on-hold": "final", "draft": "preliminary", _IN_ERROR: _IN_ERROR}
#: request-intent of what nobody has decided on: an alternative, for drugs a proposal too.
_UNDECIDED, _NOT_PRESCRIBED = frozenset({"option"}), frozenset({"option", "proposal", "plan"})
#: Elements whose codes count beside, or instead of, `code`.
_CODED_ELSEWHERE = frozenset(
    {"component", "reaction", "condition", "vaccineCode", "medicationCodeableConcept", "medicationReference"}
)
_DOUBTED = frozenset({"unconfirmed", "provisional", "differential"})
_OVER = frozenset({"inactive", "remission", "resolved"})


def is_own(resource: Resource) -> bool:
    """True for what Sightline made, whoever passes it on, and for what another AI asserted: no facts of the record."""
    labels = items(obj(resource.get("meta")).get("security"))
    if labels and any([text(label.get("code")) == AI_ASSERTED.code for label in labels]):
        return True
    named = items(resource.get("identifier"))
    return bool(named) and any([text(identifier.get("system")).startswith(_OWN) for identifier in named])


def values(resource: Resource, key: str, others: Others, index: Index | None = None) -> Iterable[RecordValue]:
    """What a resource states, under `key` and keys below it; nothing for types that state nothing here.

    With an `index` only what one of its value sets asks for: most of a chart is none of a pathway's business.
    """
    reader = _READERS.get(text(resource.get("resourceType")))
    if reader is None or (index is not None and _is_beside_the_point(resource, index)) or is_own(resource):
        return ()
    said = reader(resource, key, others)
    return said if index is None else [value for value in said if _is_asked(value.code, index)]


def _is_beside_the_point(resource: Resource, index: Index) -> bool:
    """True where a look at its code alone tells that nobody asks for it."""
    if resource.keys() & _CODED_ELSEWHERE:
        return False
    return not any(_is_asked(code, index) for code in codings(resource.get("code")))


def _is_asked(code: Coding, index: Index) -> bool:
    return bool(index.find(code)) or codes.is_no_known_allergy(code)


def lacks_drug(resource: Resource, others: Others) -> str:
    """The reference of a drug that stands and cannot be told, for it is a resource that is not here; else ""."""
    if "medicationReference" not in resource or is_own(resource):
        return ""
    if text(resource.get("status")) not in ("active", "on-hold", "not-taken"):
        return ""
    reference = text(obj(resource.get("medicationReference")).get("reference"))
    return reference if reference and not _found(reference, resource, others) else ""


def _of_result(resource: Resource, key: str, _: Others) -> Sequence[RecordValue]:
    """An Observation and its components; a DiagnosticReport says that the examination was done.

    When a report was issued does not say when its images were made: an old examination can be reported on today.
    """
    status = _RESULT.get(text(resource.get("status")))
    if status is None:
        return []
    when = _when(resource, "effective")
    if when is None and resource.get("resourceType") == "Observation":
        when = earliest_day(resource.get("issued"))
    found = _of_part(resource, key, when, status)
    for index, part in enumerate(items(resource.get("component"))):
        found += _of_part(part, f"{key}#{index}", when, status)
    return found


def _of_part(part: Resource, key: str, when: date | None, status: str) -> list[RecordValue]:
    if "dataAbsentReason" in part and status != _IN_ERROR:
        return []
    return _coded("observation", key, part.get("code"), value_of(part), when=when, status=status)


def _of_condition(resource: Resource, key: str, _: Others) -> Iterator[RecordValue]:
    """A refuted condition, and a symptom that is over, are known to be absent; a past disease stays a disease."""
    clinical = resource.get("clinicalStatus")
    onset = _when(resource, "onset") or earliest_day(resource.get("recordedDate"))
    said = earliest_day(resource.get("recordedDate")) or onset
    status, refuted = _verified(resource)
    over = has_code(clinical, _OVER)
    for value in _coded("condition", key, resource.get("code"), None, when=onset, status=status):
        if refuted or (over and _is_symptom(value.code)):
            ended = None if refuted else _when(resource, "abatement")
            yield RecordValue("condition", value.key, value.code, _ABSENT, ended or said, value.status)
        else:
            yield value


def _of_procedure(resource: Resource, key: str, _: Others) -> Iterator[RecordValue]:
    status, when = _PROCEDURE.get(text(resource.get("status")), ""), _when(resource, "performed")
    yield from _coded("procedure", key, resource.get("code"), None, when=when, status=status)


def _of_allergy(resource: Resource, key: str, _: Others) -> Iterator[RecordValue]:
    """The substance, and those that reactions name. Resolved or refuted it is none; "no known allergy" is none too."""
    status, refuted = _verified(resource)
    absent = refuted or has_code(resource.get("clinicalStatus"), _OVER)
    when = earliest_day(resource.get("recordedDate")) or _when(resource, "onset")
    reactions = items(resource.get("reaction"))
    concepts = [resource.get("code"), *(reaction.get("substance") for reaction in reactions)]
    risk = text(resource.get("criticality"))
    said = [text(resource.get("type")), f"{risk} risk" if risk in ("low", "high") else ""]
    said += [words(shown) for reaction in reactions for shown in items(reaction.get("manifestation"))]
    value: Value = _ABSENT if absent else "; ".join(filter(None, said)) or None
    for index, concept in enumerate(concepts):
        for one in _coded("allergy", f"{key}#{index}" if index else key, concept, value, when=when, status=status):
            if not (absent and codes.is_no_known_allergy(one.code)):  # that there is none was refuted: it says nothing
                yield one


def _of_drug(resource: Resource, key: str, others: Others) -> Iterator[RecordValue]:
    """MedicationRequest and MedicationStatement: what is prescribed or taken now; what was is not told."""
    status = _DRUG.get(text(resource.get("status")), "")
    prescribed = resource.get("doNotPerform") is not True and text(resource.get("intent")) not in _NOT_PRESCRIBED
    period = obj(resource.get("effectivePeriod"))
    days = (resource.get("authoredOn"), resource.get("dateAsserted"), resource.get("effectiveDateTime"))
    when = next(filter(None, map(earliest_day, (*days, period.get("start")))), None)
    dosage = items(resource.get("dosageInstruction")) + items(resource.get("dosage"))
    value: Value = _ABSENT if text(resource.get("status")) == "not-taken" else None
    value = value or next(filter(None, (text(one.get("text")) for one in dosage)), None)
    drug = resource.get("medicationCodeableConcept")
    if not drug:
        reference = text(obj(resource.get("medicationReference")).get("reference"))
        drug = _found(reference, resource, others).get("code")
    status = status if prescribed or status == _IN_ERROR else ""
    yield from _coded("medication", key, drug, value, when=when, status=status)


def _of_immunization(resource: Resource, key: str, _: Others) -> Iterator[RecordValue]:
    status, when = _GIVEN.get(text(resource.get("status")), ""), _when(resource, "occurrence")
    yield from _coded("immunization", key, resource.get("vaccineCode"), None, when=when, status=status)


def _of_family(resource: Resource, key: str, _: Others) -> Iterator[RecordValue]:
    """Each disease of the relative; the relationship in words is the value."""
    status, when = _FAMILY.get(text(resource.get("status")), ""), earliest_day(resource.get("date"))
    who = words(resource.get("relationship")) or None
    for index, condition in enumerate(items(resource.get("condition"))):
        yield from _coded("family-history", f"{key}#{index}", condition.get("code"), who, when=when, status=status)


def _of_request(resource: Resource, key: str, _: Others) -> Iterator[RecordValue]:
    """An order that is open, or a draft of one; "do not perform" orders nothing."""
    status = _REQUEST.get(text(resource.get("status")), "")
    ordered = resource.get("doNotPerform") is not True and text(resource.get("intent")) not in _UNDECIDED
    when = earliest_day(resource.get("authoredOn"))
    yield from _coded("request", key, resource.get("code"), None, when=when, status=status if ordered else "")


_READERS: dict[str, Callable[[Resource, str, Others], Iterable[RecordValue]]] = {
    "Observation": _of_result,
    "DiagnosticReport": _of_result,
    "Condition": _of_condition,
    "Procedure": _of_procedure,
    "AllergyIntolerance": _of_allergy,
    "MedicationRequest": _of_drug,
    "MedicationStatement": _of_drug,
    "Immunization": _of_immunization,
    "FamilyMemberHistory": _of_family,
    "ServiceRequest": _of_request,
}


def _verified(resource: Resource) -> tuple[str, bool]:
    """The record's status of condition-ver-status or allergyintolerance-verification, and whether it was refuted."""
    verification = resource.get("verificationStatus")
    if has_code(verification, frozenset({_IN_ERROR})):
        return _IN_ERROR, False
    doubted = has_code(verification, _DOUBTED)
    return "preliminary" if doubted else "final", has_code(verification, frozenset({"refuted"}))


def _found(reference: str, resource: Resource, others: Others) -> Resource:
    """What a reference means: contained, or one of the others, whichever of its versions."""
    if reference.startswith("#"):
        contained = items(resource.get("contained"))
        return next((one for one in contained if text(one.get("id")) == reference[1:]), {})
    return others.get(reference.partition("/_history/")[0], {})


def _is_symptom(code: Coding) -> bool:
    return any(value_set.kind == "symptom" for value_set in codes.index().find(code))


def _coded(
    category: Category, key: str, concept: object, value: Value, *, when: date | None, status: str
) -> list[RecordValue]:
    """One statement per coding, so that whichever system a value set knows finds it; none without a usable status."""
    found: list[RecordValue] = []
    for code in codings(concept) if status else ():
        found.append(RecordValue(category, f"{key}|{len(found)}" if found else key, code, value, when, status))
    return found


def _when(resource: Resource, name: str) -> date | None:
    """The day of name[x]: DateTime, Instant, or the end (else the start) of a Period."""
    day = earliest_day(resource.get(f"{name}DateTime")) or earliest_day(resource.get(f"{name}Instant"))
    period = {} if day else obj(resource.get(f"{name}Period"))
    if not period:
        return day
    start, end = earliest_day(period.get("start")), earliest_day(period.get("end"))
    return (start or end) if name == "onset" else (end or start)
