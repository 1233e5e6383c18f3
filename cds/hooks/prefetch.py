"""What a client prefetched: absent, null, empty, failed and found are five things (CDS Hooks 2.0, prefetch).

Only an answer that is complete lets Sightline say "not found": a failed search, or a first page of several, does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TypeGuard

from cds import pathways
from cds.codes import ValueSet
from cds.domain.message import RecordStatements, Searched, Statement
from cds.errors import InvalidResource, PreconditionFailed
from cds.remembered import Remembered
from cds.searches import Search, searches

PATIENT = "patient"
#: The user's PractitionerRole, where userId is one: what a role is not told is kept back.
ROLE = "role"
#: What every service that reads the record says of its prefetch.
USAGE = (
    "The prefetch key 'patient' is needed, with an identifier of a system that the site has configured; the others "
    "make the advice more complete. What is not prefetched is fetched with fhirAuthorization, if the site has "
    "configured fhirServer."
)
_OF_PATIENT = "patient={{context.patientId}}"
#: Where R4 resources name their patient: allergies, vaccinations and family histories under the second.
_WHOSE = ("subject", "patient")


@dataclass(frozen=True, slots=True)
class _Answer:
    resource: Mapping[str, object] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What clients are asked for, worked out once; it keeps the tuple of value sets, whose place it is known by."""

    asks: tuple[ValueSet, ...]
    templates: Mapping[str, Search]
    queries: Mapping[str, str]


_PREPARED: Remembered[int, _Prepared] = Remembered(16)


def templates(asks: Iterable[ValueSet] | None = None) -> Mapping[str, Search]:
    """The searches of the imaging services by prefetch key; `asks` unsaid: what all installed pathways ask."""
    return _prepared(asks).templates


def queries(asks: Iterable[ValueSet] | None = None) -> Mapping[str, str]:
    """The templates of a service that reads the record, as they are discovered."""
    return _prepared(asks).queries


def _prepared(asks: Iterable[ValueSet] | None) -> _Prepared:
    wanted = _everything() if asks is None else tuple(asks)
    return _PREPARED.get(id(wanted), lambda: _prepare(wanted))


def _prepare(asks: tuple[ValueSet, ...]) -> _Prepared:
    made = {search.key: search for search in searches(asks)}
    role = "PractitionerRole/{{userPractitionerRoleId}}"
    own = {PATIENT: "Patient/{{context.patientId}}", ROLE: role}
    return _Prepared(asks, made, own | {key: query(search) for key, search in made.items()})


@cache
def _everything() -> tuple[ValueSet, ...]:
    return pathways.asked()


def roles(prefetched: Mapping[str, object]) -> tuple[str, ...]:
    """The codes and specialties of the user's PractitionerRole, as "<system>|<code>"; () where it is not there."""
    resource = prefetched.get(ROLE)
    if not isinstance(resource, Mapping) or _type(resource) != "PractitionerRole":
        return ()
    concepts = [one for name in ("code", "specialty") for one in _list(resource.get(name))]
    codings = [one for concept in concepts for one in _list(_member(concept, "coding"))]
    return tuple(f"{_member(one, 'system') or ''}|{_member(one, 'code')}" for one in codings if _member(one, "code"))


def query(search: Search) -> str:
    """A search as a template, in the query subset that clients support."""
    tokens = f"&code={','.join((*search.codes, *search.panels))}" if search.codes else ""
    newest = "&_sort=-date" if search.newest_first else ""
    return f"{search.type}?{_OF_PATIENT}{tokens}{newest}"


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


@dataclass(frozen=True, slots=True)
class Given:
    """What the prefetched searches state, and the searches that were not prefetched, or not whole."""

    record: RecordStatements
    missing: tuple[Search, ...]


def statements(
    prefetch: Mapping[str, object],
    patient_id: str,
    read: Callable[[Mapping[str, object]], tuple[Statement, ...]],
    wanted: Mapping[str, Search] | None = None,
) -> Given:
    """What the prefetched searches state, and what each of them allows to be called not found.

    Resources that name another patient are left out; such an answer proves no absence. `wanted` are the templates.
    """
    found: list[Statement] = []
    searched: list[Searched] = []
    missing: list[Search] = []
    for key, search in (templates() if wanted is None else wanted).items():
        answer = _answer(key, prefetch[key], patient_id) if key in prefetch else _Answer(complete=False)
        found += read({key: answer.resource}) if answer.resource else ()
        if answer.complete:
            searched.append(Searched(search.source, None, search.covers))
        else:
            missing.append(search)
    return Given(RecordStatements(tuple(found), tuple(searched)), tuple(missing))


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
    if not _is_mapping(resource):
        return True
    for name in _WHOSE:
        whose = resource.get(name)
        if whose is not None and not _may_be_hers(_member(whose, "reference"), patient_id):
            return False
    return True


def _may_be_hers(reference: object, patient_id: str) -> bool:
    if reference == f"Patient/{patient_id}":
        return True
    kind, _, named = reference.split("/_history/")[0].rpartition("/") if isinstance(reference, str) else ("", "", "")
    return not kind.endswith("Patient") or named == patient_id


def _is_complete(bundle: Mapping[str, object]) -> bool:
    links, entries, total = bundle.get("link"), bundle.get("entry"), bundle.get("total")
    entries = entries if isinstance(entries, list) else []
    further = any(_member(link, "relation") == "next" for link in links) if isinstance(links, list) else False
    failed = any([_type(_member(entry, "resource")) == "OperationOutcome" for entry in entries])
    cut_off = isinstance(total, int) and total > len(entries)
    return not (further or failed or cut_off)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _type(resource: object) -> object:
    return _member(resource, "resourceType")


def _member(value: object, name: str) -> object:
    return value.get(name) if _is_mapping(value) else None


def _is_mapping(value: object) -> TypeGuard[Mapping[str, object]]:
    """What parsers make is a dict; asking an abstract class takes ten times as long."""
    return isinstance(value, (dict, Mapping))
