"""What a client prefetched: absent, null, empty, failed and found are five things (CDS Hooks 2.0, prefetch).

Only an answer that is complete lets Sightline say "not found": a failed search, or a first page of several, does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from cds import codes
from cds.codes import CPT, LOINC, SNOMED, ValueSet
from cds.domain.message import RecordStatements, Searched, Statement
from cds.errors import InvalidResource, PreconditionFailed

PATIENT = "patient"
_OF_PATIENT = "patient={{context.patientId}}"
_NEWEST = "&_sort=-date"


@dataclass(frozen=True, slots=True)
class Template:
    """A search that the client is asked to make, the value sets that it answers, and how the source is called."""

    query: str
    source: str
    covers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    resource: Mapping[str, object] = field(default_factory=dict)
    complete: bool = True


def _search(resource_type: str, source: str, *value_sets: ValueSet, systems: Iterable[str], tail: str = "") -> Template:
    verified = (e.coding for s in value_sets for e in codes.loaded()[s.name].entries)
    tokens = ",".join(f"{c.system}|{c.code}" for c in verified if c.system in systems)
    query = f"{resource_type}?{_OF_PATIENT}&code={tokens}{tail}"
    return Template(query, source, tuple(s.name for s in value_sets))


def templates() -> dict[str, Template]:
    """The searches of the imaging services by prefetch key, in the query subset that clients support."""
    sets = codes.loaded().values()
    problems = tuple(s.name for s in sets if s.kind in {"condition", "symptom"})
    observed, done = {LOINC, SNOMED}, {SNOMED, CPT}
    return {
        "smoking": _search(
            "Observation", "FHIR smoking observations", codes.SMOKING_STATUS, systems=observed, tail=_NEWEST
        ),
        "packYears": _search(
            "Observation", "FHIR pack-year observations", codes.PACK_YEARS, systems=observed, tail=_NEWEST
        ),
        "quitDate": _search(
            "Observation", "FHIR quit-date observations", codes.QUIT_DATE, systems=observed, tail=_NEWEST
        ),
        "spirometry": _search(
            "Observation", "FHIR spirometry observations", codes.SPIROMETRY, systems={LOINC}, tail=_NEWEST
        ),
        "procedures": _search("Procedure", "FHIR procedures", codes.SPIROMETRY, codes.LOW_DOSE_CT, systems=done),
        "conditions": Template(f"Condition?{_OF_PATIENT}", "FHIR conditions", problems),
    }


def patient(prefetch: Mapping[str, object], patient_id: str) -> Mapping[str, object]:
    """The prefetched Patient; raise PreconditionFailed without one, InvalidResource for another's."""
    resource = prefetch.get(PATIENT)
    if resource is None or _type(resource) == "OperationOutcome":
        found = "absent" if PATIENT not in prefetch else "null" if resource is None else "an OperationOutcome"
        raise PreconditionFailed(f"prefetch key {PATIENT!r} is needed to identify the patient; it was {found}")
    if not isinstance(resource, Mapping) or _type(resource) != "Patient":
        raise InvalidResource(f"prefetch.{PATIENT}: want a Patient")
    if resource.get("id", patient_id) != patient_id:
        raise InvalidResource(f"prefetch.{PATIENT}.id: want the patient of context.patientId")
    return resource


def statements(
    prefetch: Mapping[str, object], patient_id: str, read: Callable[[Mapping[str, object]], tuple[Statement, ...]]
) -> RecordStatements:
    """What the prefetched searches state, and what each of them allows to be called not found.

    Resources that name another patient are left out; such an answer proves no absence.
    """
    found: list[RecordStatements] = []
    for key, template in templates().items():
        if key not in prefetch:
            continue
        answer = _answer(key, prefetch[key], patient_id)
        stated = read({key: answer.resource}) if answer.resource else ()
        searched = (Searched(template.source, None, template.covers),) if answer.complete else ()
        found.append(RecordStatements(stated, searched))
    return RecordStatements(tuple(s for f in found for s in f.statements), tuple(s for f in found for s in f.searched))


def _answer(key: str, value: object, patient_id: str) -> _Answer:
    if value is None:
        return _Answer()
    if not isinstance(value, Mapping):
        raise InvalidResource(f"prefetch.{key}: want a searchset Bundle, an OperationOutcome or null")
    if _type(value) == "OperationOutcome":
        return _Answer(complete=False)
    entries = value.get("entry", [])
    if _type(value) != "Bundle" or not isinstance(entries, list):
        raise InvalidResource(f"prefetch.{key}: want a searchset Bundle, an OperationOutcome or null")
    own = [entry for entry in entries if _is_about(_member(entry, "resource"), patient_id)]
    return _Answer({**value, "entry": own}, len(own) == len(entries) and _is_complete(value))


def _is_about(resource: object, patient_id: str) -> bool:
    """False only where the resource names another Patient of the client's server."""
    reference = _member(_member(resource, "subject"), "reference")
    kind, _, named = reference.split("/_history/")[0].rpartition("/") if isinstance(reference, str) else ("", "", "")
    return not kind.endswith("Patient") or named == patient_id


def _is_complete(bundle: Mapping[str, object]) -> bool:
    links, entries, total = bundle.get("link"), bundle.get("entry"), bundle.get("total")
    entries = entries if isinstance(entries, list) else []
    further = any(_member(link, "relation") == "next" for link in links) if isinstance(links, list) else False
    failed = any(_type(_member(entry, "resource")) == "OperationOutcome" for entry in entries)
    cut_off = isinstance(total, int) and total > len(entries)
    return not (further or failed or cut_off)


def _type(resource: object) -> object:
    return _member(resource, "resourceType")


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else None
