"""What an EHR sends, read tolerantly: Patient, and what resources state of her (`adapters.fhir.clinical`).

Nothing here validates: an odd resource says less, it does not fail the call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from urllib.parse import unquote

import orjson

from adapters.fhir.clinical import Others, Resource, values
from adapters.fhir.race import read_race
from adapters.fhir.systems import AUTHORITY_PREFIX
from adapters.fhir.tolerant import full_day, instant, items, known_by, obj, text
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.message import Statement
from cds.errors import InvalidResource
from cds.value_sets import Index

SOURCE = "FHIR prefetch"


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
    """All that the resources of a prefetch state, by its keys; a Patient only where it is all of an answer.

    Whose they are, and what an answer without them proves, is for the caller, who knows what was asked.
    """
    found: dict[str, Statement] = {}
    for key, answer in prefetch.items():
        resources = list(_resources(answer))
        latest = datetime.combine(today, time.max, UTC)
        others = by_reference(resources) if any(["medicationReference" in one for one in resources]) else {}
        for one in statements(resources, SOURCE, latest=latest, others=others, place=key):
            found[one.value.key] = one
        patient = obj(answer)
        if patient.get("resourceType") == "Patient" and (race := read_race(patient)):
            found[race.key] = Statement(race, SOURCE, _received(patient, latest))
    return tuple(found.values())


def digest(prefetch: Mapping[str, object]) -> tuple[bytes, int]:
    """What tells a prefetch from every other one, and its size in bytes; b"" where it is no JSON."""
    try:
        written = orjson.dumps(prefetch)
    except TypeError:
        return b"", 0
    return hashlib.sha256(written).digest(), len(written)


def statements(
    resources: Iterable[Resource],
    source: str,
    *,
    latest: datetime,
    others: Others,
    place: str = "",
    index: Index | None = None,
) -> Iterator[Statement]:
    """What resources state, as of their `meta.lastUpdated`, no later than `latest`; `others` are what they refer to.

    One without an id is named by its `place`. With an `index` only what one of its value sets asks for.
    """
    for number, resource in enumerate(resources):
        name = text(resource.get("id"))
        key = f"{text(resource.get('resourceType'))}/{name}" if name else f"{place}/{number}"
        received_at: datetime | None = None
        for value in values(resource, key, others, index):
            received_at = received_at or _received(resource, latest)
            yield Statement(value, source, received_at)


def by_reference(resources: Iterable[Resource], base_url: str = "") -> dict[str, Resource]:
    """Resources by what others refer to them with: relative, or below the base URL of their server."""
    named = {f"{text(one.get('resourceType'))}/{text(one.get('id'))}": one for one in resources if text(one.get("id"))}
    return named | ({f"{base_url}/{name}": one for name, one in named.items()} if base_url else {})


def _received(resource: Resource, latest: datetime) -> datetime:
    """When it was last changed; where nothing says so, at the beginning of the day on which it was read."""
    changed = instant(obj(resource.get("meta")).get("lastUpdated"))
    return min(changed, latest) if changed else datetime.combine(latest.date(), time.min, UTC)


def _identifiers(resource: Resource, identifier_systems: Mapping[str, str]) -> Iterator[Identifier]:
    for item in items(resource.get("identifier")):
        system, value = text(item.get("system")), known_by(item.get("value"))
        authority = identifier_systems.get(system, "")
        if system.startswith(AUTHORITY_PREFIX):
            authority = known_by(unquote(system.removeprefix(AUTHORITY_PREFIX)))
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
