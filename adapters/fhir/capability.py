"""CapabilityStatement: what this FHIR server can do, for a client to read first (R4 http.html#capabilities)."""

from __future__ import annotations

from adapters.fhir.search import PARAMETERS
from cds import __version__

Json = dict[str, object]

#: The day on which the abilities below last changed.
_CHANGED_ON = "2026-11-21"
_INTERACTIONS = ("read", "vread", "history-instance", "search-type")
#: What others may send: the radiologist's final report. It is filed, and never served.
_TAKEN, _TAKES = "DiagnosticReport", ("create", "update")
_TAKEN_HOW = (
    "create and update take a radiologist's signed report with accession number and patient identifier; "
    "it is compared with the findings and not served back. What is read here was made by Sightline."
)
_SEARCH_PARAMETERS = {
    "patient": ("reference", "The logical id of a Patient of this server"),
    "identifier": ("token", "value, system|value or |value"),
    "_lastUpdated": ("date", "eq, lt, gt, ge, le; may repeat"),
}


def capability(base_url: str) -> Json:
    """The statement of the server whose FHIR base is `base_url` (R4, FHIR 4.0.1)."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _CHANGED_ON,
        "kind": "instance",
        "software": {"name": "Sightline", "version": __version__},
        "implementation": {"description": "AI analyses of imaging studies, preliminary and advisory", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["json", "application/fhir+json"],
        "rest": [{"mode": "server", "resource": [_resource(name) for name in PARAMETERS]}],
    }


def _resource(resource_type: str) -> Json:
    taken = resource_type == _TAKEN
    return {
        "type": resource_type,
        **({"documentation": _TAKEN_HOW} if taken else {}),
        "interaction": [{"code": code} for code in (*_INTERACTIONS, *(_TAKES if taken else ()))],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": taken,
        "searchParam": [
            {"name": name, "type": _SEARCH_PARAMETERS[name][0], "documentation": _SEARCH_PARAMETERS[name][1]}
            for name in PARAMETERS[resource_type]
        ],
    }
