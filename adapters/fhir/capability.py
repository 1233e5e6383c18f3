"""CapabilityStatement: what this FHIR server can do, for a client to read first (R4 http.html#capabilities)."""

from __future__ import annotations

from adapters.fhir.search import PARAMETERS
from cds import __version__

Json = dict[str, object]

#: The day on which the abilities below last changed.
_CHANGED_ON = "2026-11-21"
_INTERACTIONS = ("read", "vread", "history-instance", "search-type")
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
    return {
        "type": resource_type,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": False,
        "searchParam": [
            {"name": name, "type": _SEARCH_PARAMETERS[name][0], "documentation": _SEARCH_PARAMETERS[name][1]}
            for name in PARAMETERS[resource_type]
        ],
    }
