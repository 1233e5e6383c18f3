"""The scopes that we ask a FHIR server for: what is needed, and no more (SMART App Launch 2.2, "Scopes")."""

from __future__ import annotations

from cds.destinations import FhirServer
from cds.fhir_peers import FhirSource

#: What pathways may need of a patient.
_RECORD = (
    "AllergyIntolerance", "Condition", "DiagnosticReport", "FamilyMemberHistory", "Immunization",
    "Medication", "MedicationRequest", "MedicationStatement", "Observation", "Patient", "Procedure", "ServiceRequest",
)  # fmt: skip
#: What news of studies and reports refer to: whose they are, for which order, where the images and results are.
_NEWS = ("Endpoint", "ImagingStudy", "Observation", "Patient", "ServiceRequest")
#: What a report is made of, and what follows it.
_RESULT = (
    "Communication", "Device", "DiagnosticReport", "Flag", "Observation", "Provenance", "RiskAssessment",
    "ServiceRequest", "Task",
)  # fmt: skip
#: What a report refers to.
_REFERRED = ("ImagingStudy", "Patient")


def needed(server: FhirServer, *, version_1: bool = False) -> str:
    """The scopes for what a server is to us; the configured ones where there are any.

    `version_1` for servers that know those of SMART 1 alone (permission-v1).
    """
    if server.scope:
        return server.scope
    read, write = ("read", "*") if version_1 else ("rs", "crus")
    wanted = dict.fromkeys(_read_types(server), read) | dict.fromkeys(_written_types(server), write)
    if isinstance(server, FhirSource) and server.events in ("subscription", "topic"):
        wanted["Subscription"] = "*" if version_1 else "cruds"
    return " ".join(f"system/{name}.{how}" for name, how in sorted(wanted.items()))


def _read_types(server: FhirServer) -> tuple[str, ...]:
    if not isinstance(server, FhirSource):
        return _REFERRED
    news = (*server.resources, *_NEWS) if server.events != "none" else ()
    return (*(_RECORD if server.ehr_data else ("Patient",)), *news)


def _written_types(server: FhirServer) -> tuple[str, ...]:
    return () if isinstance(server, FhirSource) else _RESULT
