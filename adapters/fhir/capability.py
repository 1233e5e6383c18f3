"""CapabilityStatement: what this FHIR server can do, for a client to read first (R4 http.html#capabilities)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.fhir.controls import LARGEST_PAGE
from adapters.fhir.criteria import MODIFIERS
from adapters.fhir.parameters import PARAMETERS, Parameter, canonical
from cds import __version__

Json = dict[str, object]

#: The day on which the abilities below last changed.
_CHANGED_ON = "2026-11-22"
INTERACTIONS = ("read", "vread", "history-instance", "search-type")
EVERYTHING = "http://hl7.org/fhir/OperationDefinition/Patient-everything"

_SMART = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_READ = "What is read here was made by Sightline: preliminary, or entered-in-error, never final."


@dataclass(frozen=True, slots=True)
class Taken:
    """What others may send of a type: interactions, and what becomes of it."""

    interactions: tuple[str, ...]
    documentation: str


#: What others may send. None of it is served back.
TAKEN: Mapping[str, Taken] = {
    "DiagnosticReport": Taken(
        ("create", "update"),
        "A radiologist's signed report with accession number and patient identifier; it is compared with the findings.",
    ),
    "ImagingStudy": Taken(("create", "update"), "A study whose images are there or changed: they are fetched."),
    "Communication": Taken(
        ("create",), "A person's answer to a critical result, completed: inResponseTo names it, sender is who has it."
    ),
}
#: What may be sent to the base.
TAKEN_TOGETHER: Mapping[str, str] = {
    "transaction": "ImagingStudy and DiagnosticReport, all of them or none.",
    "batch": "The same, each by itself.",
}


def capability(base_url: str, *, oauth_uris: Mapping[str, str] | None = None) -> Json:
    """The statement of the server whose FHIR base is `base_url` (R4, FHIR 4.0.1).

    `oauth_uris` where SMART access tokens are taken: the authorization server's URIs as far as they are known, by
    their names in the SMART extension oauth-uris (token, authorize, …). None: they are not.
    """
    rest: Json = {
        "mode": "server",
        "documentation": f"Unknown parameters are refused, unless Prefer: handling=lenient. {LARGEST_PAGE} matches are "
        "on a page at most. Links to further pages are opaque and last an hour.",
        "security": _security(oauth_uris),
        "resource": [_resource(name) for name in dict.fromkeys((*PARAMETERS, *TAKEN))],
        "interaction": [{"code": code, "documentation": said} for code, said in TAKEN_TOGETHER.items()],
    }
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _CHANGED_ON,
        "kind": "instance",
        "software": {"name": "Sightline", "version": __version__},
        "implementation": {"description": "AI analyses of imaging studies, preliminary and advisory", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["json", "application/fhir+json"],
        "rest": [rest],
    }


def included(resource_type: str) -> list[str]:
    """What _include takes of a type."""
    return [f"{resource_type}:{one.name}" for one in PARAMETERS[resource_type].values() if one.targets and _leads(one)]


def reverse_included(resource_type: str) -> list[str]:
    """What _revinclude brings along to a type."""
    return [
        f"{source}:{one.name}"
        for source, table in PARAMETERS.items()
        for one in table.values()
        if resource_type in one.targets and _leads(one)
    ]


def said_of(parameter: Parameter) -> str:
    """What a parameter is for, and how it may be modified."""
    if parameter.name in ("_id", "_lastUpdated") or parameter.of_patient:
        return f"{parameter.documentation}. No modifiers"
    return f"{parameter.documentation}. Modifiers: {', '.join((*MODIFIERS[parameter.type], *parameter.targets))}"


def _leads(parameter: Parameter) -> bool:
    return parameter.type == "reference" and not parameter.of_patient


def _security(oauth_uris: Mapping[str, str] | None) -> Json:
    if oauth_uris is None:
        return {"description": "A bearer token; without one the server answers on loopback alone."}
    smart: Json = {
        "service": [{"coding": [{"system": _SMART, "code": "SMART-on-FHIR"}], "text": "SMART App Launch 2.2"}],
        "description": "Access tokens of the site's authorization server, with SMART scopes.",
    }
    uris = [{"url": name, "valueUri": uri} for name, uri in oauth_uris.items()]
    return {"extension": [{"url": _OAUTH_URIS, "extension": uris}], **smart} if uris else smart


def _resource(resource_type: str) -> Json:
    taken = TAKEN.get(resource_type)
    sent = taken.interactions if taken else ()
    said = [_READ] if resource_type in PARAMETERS else []
    said += [f"{' and '.join(taken.interactions)}: {taken.documentation} It is not served back."] if taken else []
    read = INTERACTIONS if resource_type in PARAMETERS else ()
    resource: Json = {
        "type": resource_type,
        "documentation": " ".join(said),
        "interaction": [{"code": code} for code in (*read, *sent)],
        "versioning": "versioned" if read else "no-version",
        "readHistory": bool(read),
        "updateCreate": "update" in sent,
        "conditionalCreate": False,
        "conditionalRead": "full-support" if read else "not-supported",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
    }
    return resource | (_searched(resource_type) if read else {})


def _searched(resource_type: str) -> Json:
    listed = [
        {
            "name": one.name,
            "definition": canonical(resource_type, one),
            "type": one.type,
            "documentation": said_of(one),
        }
        for one in PARAMETERS[resource_type].values()
    ]
    comes = {"searchInclude": included(resource_type), "searchRevInclude": reverse_included(resource_type)}
    operation = {"operation": [{"name": "everything", "definition": EVERYTHING}]} if resource_type == "Patient" else {}
    return {**{name: names for name, names in comes.items() if names}, "searchParam": listed, **operation}
