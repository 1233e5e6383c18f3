"""What an EHR sends, read tolerantly: Patient, and statements from the prefetch of CDS Hooks.

Nothing here validates: an odd resource says less, it does not fail the call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import Literal
from urllib.parse import unquote

from adapters.fhir.systems import AUTHORITY_PREFIX
from adapters.fhir.tolerant import Value, codings, earliest_day, full_day, has_code, items, obj, text, value_of
from cds import codes
from cds.domain.coding import Coding
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.message import RecordValue, Statement
from cds.errors import InvalidResource

SOURCE = "FHIR prefetch"

Resource = Mapping[str, object]
Category = Literal["observation", "condition", "procedure", "symptom"]

_ABSENT = Coding(codes.SNOMED, "2667000", "Absent")
_IN_ERROR = "entered-in-error"
#: R4 observation-status and diagnostic-report-status, and event-status, as the record's own; others say nothing.
_RESULT_STATUS = {
    "preliminary": "preliminary",
    "partial": "preliminary",
    "unknown": "preliminary",
    "final": "final",
    "amended": "corrected",
    "corrected": "corrected",
    "appended": "corrected",
    _IN_ERROR: _IN_ERROR,
}
_PROCEDURE_STATUS = {
    "completed": "final",
    "in-progress": "preliminary",
    "unknown": "preliminary",
    _IN_ERROR: _IN_ERROR,
}
_DOUBTED = frozenset({"unconfirmed", "provisional", "differential"})
_OVER = frozenset({"inactive", "remission", "resolved"})


def read_patient(resource: Resource, identifier_systems: Mapping[str, str]) -> Patient:
    """A Patient with the identifiers whose system the site knows; raise InvalidResource for another resource.

    `id` stays None: the EHR's logical id is not ours. Identifiers of use "old" identify nobody any more.
    """
    if resource.get("resourceType") != "Patient":
        raise InvalidResource("want a Patient resource")
    gender = text(resource.get("gender"))
    return Patient(
        identifiers=tuple(dict.fromkeys(_identifiers(resource, identifier_systems))),
        name=_name(resource),
        birth_date=full_day(resource.get("birthDate")),
        sex=Sex(gender) if gender in set(Sex) else Sex.UNKNOWN,
        deceased=_deceased(resource),
    )


def read_statements(prefetch: Mapping[str, object], today: date) -> tuple[Statement, ...]:
    """All that Observations, Conditions, Procedures and DiagnosticReports of a prefetch state.

    Whose they are, and what an answer without them proves, is for the caller, who knows what was asked.
    """
    received_at = datetime.combine(today, time.min, UTC)
    values = [
        value
        for key, answer in prefetch.items()
        for index, resource in enumerate(_resources(answer))
        for value in _values(resource, f"{key}/{index}")
    ]
    return tuple({value.key: Statement(value, SOURCE, received_at) for value in values}.values())


def _identifiers(resource: Resource, identifier_systems: Mapping[str, str]) -> Iterator[Identifier]:
    for item in items(resource.get("identifier")):
        system, value = text(item.get("system")), text(item.get("value"))
        authority = identifier_systems.get(system, "")
        if system.startswith(AUTHORITY_PREFIX):
            authority = unquote(system.removeprefix(AUTHORITY_PREFIX))
        if authority and value and item.get("use") != "old":
            yield Identifier(value, authority)


def _name(resource: Resource) -> HumanName:
    names = sorted(items(resource.get("name")), key=lambda name: name.get("use") not in ("official", "usual"))
    if not names:
        return HumanName()
    given = names[0].get("given")
    parts = [text(part) for part in given] if isinstance(given, list) else []
    return HumanName(text(names[0].get("family")), " ".join(part for part in parts if part))


def _deceased(resource: Resource) -> bool | None:
    if text(resource.get("deceasedDateTime")):
        return True
    stated = resource.get("deceasedBoolean")
    return stated if isinstance(stated, bool) else None


def _resources(answer: object) -> list[Resource]:
    resource = obj(answer)
    if resource.get("resourceType") == "Bundle":
        return [obj(entry.get("resource")) for entry in items(resource.get("entry"))]
    return [resource]


def _values(resource: Resource, place: str) -> Iterator[RecordValue]:
    resource_type = text(resource.get("resourceType"))
    key = f"{resource_type}/{text(resource.get('id'))}" if text(resource.get("id")) else place
    if resource_type in ("Observation", "DiagnosticReport"):
        yield from _of_result(resource, key)
    elif resource_type == "Condition":
        yield from _of_condition(resource, key)
    elif resource_type == "Procedure":
        status = _PROCEDURE_STATUS.get(text(resource.get("status")), "")
        yield from _coded(
            "procedure", key, resource.get("code"), value=None, effective=_when(resource, "performed"), status=status
        )


def _of_result(resource: Resource, key: str) -> Iterator[RecordValue]:
    """An Observation and its components; a DiagnosticReport says that the examination was done."""
    status = _RESULT_STATUS.get(text(resource.get("status")), "")
    when = _when(resource, "effective") or earliest_day(resource.get("issued"))
    for suffix, part in [("", resource), *((f"#{i}", c) for i, c in enumerate(items(resource.get("component"))))]:
        if "dataAbsentReason" not in part or status == _IN_ERROR:
            yield from _coded(
                "observation", key + suffix, part.get("code"), value=value_of(part), effective=when, status=status
            )


def _of_condition(resource: Resource, key: str) -> Iterator[RecordValue]:
    """A refuted condition, and a symptom that is over, are known to be absent; a past disease stays a disease."""
    verification, clinical = resource.get("verificationStatus"), resource.get("clinicalStatus")
    onset = _when(resource, "onset") or earliest_day(resource.get("recordedDate"))
    said = earliest_day(resource.get("recordedDate")) or onset
    status = _IN_ERROR if has_code(verification, frozenset({_IN_ERROR})) else "final"
    status = "preliminary" if has_code(verification, _DOUBTED) else status
    refuted, over = has_code(verification, frozenset({"refuted"})), has_code(clinical, _OVER)
    for value in _coded("condition", key, resource.get("code"), value=None, effective=onset, status=status):
        if refuted or (over and _is_symptom(value.code)):
            ended = None if refuted else _when(resource, "abatement")
            yield RecordValue("condition", value.key, value.code, _ABSENT, ended or said, value.status)
        else:
            yield value


def _is_symptom(code: Coding) -> bool:
    return any(value_set.kind == "symptom" and value_set.contains(code) for value_set in codes.loaded().values())


def _coded(
    category: Category, key: str, concept: object, *, value: Value, effective: date | None, status: str
) -> Iterator[RecordValue]:
    """One statement per coding, so that whichever system a value set knows finds it; none without a usable status."""
    for index, code in enumerate(codings(concept) if status else ()):
        yield RecordValue(category, f"{key}|{index}" if index else key, code, value, effective, status)


def _when(resource: Resource, name: str) -> date | None:
    """The day of name[x]: DateTime, Instant, or the end (else the start) of a Period."""
    period = obj(resource.get(f"{name}Period"))
    candidates = (resource.get(f"{name}DateTime"), resource.get(f"{name}Instant"))
    ends = (period.get("start"), period.get("end")) if name == "onset" else (period.get("end"), period.get("start"))
    return next((day for day in map(earliest_day, (*candidates, *ends)) if day), None)
