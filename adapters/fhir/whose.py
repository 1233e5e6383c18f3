"""Which Patient of a FHIR server is ours: by the identifiers that the site maps, exactly one, and nothing contradicts.

Never by name. A server that ignores the parameter finds others too: who does not carry the identifier is none of ours
(SAFETY section 1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from adapters.fhir.client import FhirClient
from adapters.fhir.entries import token
from adapters.fhir.race import read_race
from adapters.fhir.read import read_patient
from adapters.fhir.tolerant import items, obj, text
from cds.domain.identity import Patient, Sex
from cds.domain.message import RecordValue
from cds.errors import NotFound

#: R4 Patient.link.type: the other one has taken this one's place.
_REPLACED = "replaced-by"
#: Merges of merges; a longer chain is a mistake.
_MOST_MERGES = 5

Resource = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Whose:
    """A Patient by id with what it says of itself; or why there is none. `blind`: it may be there all the same."""

    patient_id: str = ""
    patient: Patient | None = None
    reason: str = ""
    blind: bool = False
    race: RecordValue | None = None


def tokens(patient: Patient, identifier_systems: Mapping[str, str], issuers: Collection[str]) -> tuple[str, ...]:
    """What the patient is searched by: the identifiers of the authorities whose patients the server knows."""
    return tuple(
        token(system, identifier.value)
        for identifier in sorted(patient.known_as, key=lambda one: (one.assigner, one.value))
        for system, authority in identifier_systems.items()
        if authority == identifier.assigner and (not issuers or authority in issuers)
    )


def find(client: FhirClient, patient: Patient, wanted: tuple[str, ...], identifier_systems: Mapping[str, str]) -> Whose:
    """Ask for the patient; the errors are those of the client. Whom another Patient replaced is followed there."""
    known = {identifier for identifier in patient.known_as}
    found = [
        resource
        for resource in client.search("Patient", [("identifier", ",".join(wanted))])
        if known & set(read_patient(resource, identifier_systems).identifiers)
    ]
    if not found:
        return Whose(reason="does not know this patient")
    survivors = {text(one.get("id")): one for resource in found if (one := _survivor(client, resource)) is not None}
    survivors.pop("", None)
    if not survivors:
        return Whose(reason="has this patient only as one who was replaced or is inactive", blind=True)
    if len(survivors) > 1:
        return Whose(reason="has several patients under these identifiers", blind=True)
    ((patient_id, resource),) = survivors.items()
    read = read_patient(resource, identifier_systems)
    differs = " and ".join(_contradictions(patient, read))
    if differs:
        return Whose(reason=f"has a patient of another {differs} under these identifiers", blind=True)
    return Whose(patient_id, read, race=read_race(resource))


def _survivor(client: FhirClient, resource: Resource) -> Resource | None:
    """Whoever stands for a Patient now; None where nobody does."""
    seen: set[str] = set()
    while replacements := list(_replacements(client, resource)):
        reference = replacements[0]
        if len(replacements) > 1 or reference in seen or len(seen) >= _MOST_MERGES:
            return None
        seen.add(reference)
        try:
            resource = client.read(reference)
        except NotFound:
            return None
        if resource.get("resourceType") != "Patient":
            return None
    return None if resource.get("active") is False else resource


def _replacements(client: FhirClient, resource: Resource) -> Iterator[str]:
    for link in items(resource.get("link")):
        if text(link.get("type")) == _REPLACED:
            reference = text(obj(link.get("other")).get("reference"))
            yield reference.removeprefix(f"{client.base_url}/").partition("/_history/")[0]


def _contradictions(ours: Patient, theirs: Patient) -> Iterator[str]:
    if ours.birth_date and theirs.birth_date and ours.birth_date != theirs.birth_date:
        yield "birth date"
    if {ours.sex, theirs.sex} == {Sex.FEMALE, Sex.MALE}:
        yield "sex"
