"""A CDS Hooks 2.0 service request, checked once; unknown members are ignored, as the specification asks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cds.errors import InvalidResource

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_USER = re.compile(r"(Practitioner|PractitionerRole|Patient|RelatedPerson)/[A-Za-z0-9.-]{1,64}")
_UUID = re.compile(r"(urn:uuid:)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FHIR_ID = "a FHIR id: 1 to 64 letters, digits, '-' and '.'"


@dataclass(frozen=True, slots=True)
class HookRequest:
    """One call: which hook, for whom, and what the client fetched. `prefetch` keeps null and absent apart."""

    hook: str
    hook_instance: str
    user_id: str
    patient_id: str
    prefetch: Mapping[str, object] = field(default_factory=dict)


def read(body: Mapping[str, object], *, hook: str) -> HookRequest:
    """Check the members that every service needs; raise InvalidResource with the member and what was wanted."""
    said = _text(body, "hook", re.compile(".+"), "the name of a hook")
    if said != hook:
        raise InvalidResource(f"hook: want {hook!r}, the hook of this service")
    instance = _text(body, "hookInstance", _UUID, "a UUID").removeprefix("urn:uuid:").lower()
    if "fhirAuthorization" in body and "fhirServer" not in body:
        raise InvalidResource("fhirServer: want the server that fhirAuthorization is for")
    context = _object(body.get("context"), "context")
    return HookRequest(
        hook=said,
        hook_instance=instance,
        user_id=_text(context, "userId", _USER, "a reference such as Practitioner/123", within="context."),
        patient_id=_text(context, "patientId", _ID, _FHIR_ID, within="context."),
        prefetch=_object(body.get("prefetch") or {}, "prefetch"),
    )


def _text(body: Mapping[str, object], name: str, pattern: re.Pattern[str], wanted: str, *, within: str = "") -> str:
    value = body.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidResource(f"{within}{name}: want {wanted}")
    return value


def _object(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InvalidResource(f"{name}: want an object")
    return value
