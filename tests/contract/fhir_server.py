"""A word to any FHIR server that runs for a test, over HTTP: what it has, and what a hospital keeps on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

Json = dict[str, Any]

#: What Sightline may write.
KINDS = (
    "DiagnosticReport", "Observation", "RiskAssessment", "Device", "Provenance", "ServiceRequest", "Task", "Flag",
    "Communication",
)  # fmt: skip
HOSPITAL_KINDS = ("Patient", "ImagingStudy", *KINDS)
#: No connection outlives its request, so that nothing is left to close.
HTTP = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=30)


@dataclass(frozen=True)
class FhirServer:
    """A running server."""

    url: str

    def all(self, kind: str) -> list[Json]:
        """Every resource of one type; none of a type that it does not know."""
        answer = HTTP.get(f"{self.url}/{kind}", params={"_count": 1000})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        bundle = answer.raise_for_status().json()
        return [entry["resource"] for entry in bundle.get("entry", ())]

    def ours(self, kind: str) -> list[Json]:
        """What Sightline made of one type."""
        return [body for body in self.all(kind) if "AIAST" in json.dumps(body.get("meta", {}))]

    def versions(self, body: Json) -> int:
        """How many versions a resource has."""
        history = HTTP.get(f"{self.url}/{body['resourceType']}/{body['id']}/_history").raise_for_status().json()
        return len(history["entry"])

    def every_version(self) -> dict[str, int]:
        """How many versions each resource has of what Sightline may write."""
        return {f"{kind}/{body['id']}": self.versions(body) for kind in KINDS for body in self.all(kind)}

    def create(self, body: Json) -> Json:
        """A resource that somebody else made."""
        made: Json = HTTP.post(f"{self.url}/{body['resourceType']}", json=body).raise_for_status().json()
        return made

    def change(self, body: Json, **members: object) -> Json:
        """What somebody there made of a resource."""
        changed = {**body, **members}
        url = f"{self.url}/{body['resourceType']}/{body['id']}"
        match = {"If-Match": f'W/"{body["meta"]["versionId"]}"'}
        now: Json = HTTP.put(url, json=changed, headers=match).raise_for_status().json()
        return now

    def unchanged(self, bodies: list[Json]) -> bool:
        """True where these are as they were, in their first version."""
        now = [HTTP.get(f"{self.url}/{b['resourceType']}/{b['id']}").raise_for_status().json() for b in bodies]
        return now == bodies and [self.versions(body) for body in bodies] == [1] * len(bodies)

    def dangling(self) -> set[str]:
        """References of any resource to one that is not there."""
        every = [body for kind in HOSPITAL_KINDS for body in self.all(kind)]
        there = {f"{body['resourceType']}/{body['id']}" for body in every}
        return {target for body in every for target in references(body)} - there


def references(value: object) -> Iterator[str]:
    """Every literal reference."""
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for member in value:
            yield from references(member)


def patient_of_the_hospital(server: FhirServer, **members: object) -> Json:
    """The EHR's patient of `fhir_samples`."""
    return server.create(
        {
            "resourceType": "Patient",
            "identifier": [{"system": "https://hospital.example/mrn", "value": "12345"}],
            "name": [{"family": "As The Hospital Writes It"}],
            **members,
        }
    )


def of_the_hospital(server: FhirServer) -> list[Json]:
    """The EHR's patient and the report that a radiologist signed, under the accession number of `fhir_samples`."""
    patient = patient_of_the_hospital(server)
    accession = {"system": "urn:sightline:accession:RIS", "value": "ACC1"}
    signed = server.create(
        {
            "resourceType": "DiagnosticReport",
            "identifier": [accession],
            "basedOn": [{"type": "ServiceRequest", "identifier": accession}],
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "24627-2", "display": "CT Chest"}]},
            "subject": {"reference": f"Patient/{patient['id']}"},
            "conclusion": "No emphysema.",
        }
    )
    return [patient, signed]
