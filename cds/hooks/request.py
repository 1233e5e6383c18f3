"""A CDS Hooks service request, checked once: 2.0, and the 3.0 ballot; unknown members are ignored, as they ask."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cds.errors import InvalidResource

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_USER = re.compile(r"(Practitioner|PractitionerRole|Patient|RelatedPerson)/[A-Za-z0-9.-]{1,64}")
_UUID = re.compile(r"(urn:uuid:)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_USER_REFERENCE = "a reference such as Practitioner/123"
#: order-dispatch 1.1 (CDS Hooks library): the one hook whose context has no userId.
_WITHOUT_USER = frozenset({"order-dispatch"})
_FHIR_ID = "a FHIR id: 1 to 64 letters, digits, '-' and '.'"
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
#: RFC 6750 section 2.1, what a bearer token may be made of.
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
#: SMART App Launch: who/Type.rights, the rights as "read", "*" or letters of cruds.
_SCOPE = re.compile(r"(?:patient|user|system)/(\*|[A-Za-z]+)\.(read|write|\*|c?r?u?d?s?)(\?.*)?")


@dataclass(frozen=True, slots=True)
class FhirAccess:
    """The client's own FHIR server, and a token for it that ends with this call. The token is never shown or kept."""

    server: str
    token: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    expires_in_s: float = 0.0

    def allows(self, resource_type: str) -> bool:
        """Whether its scopes let all of a type be read and searched; scopes that are none of SMART's say nothing.

        One that is limited by a query hides the rest of the type: what it does not find may be there.
        """
        said = [found for scope in self.scopes if (found := _SCOPE.fullmatch(scope)) is not None]
        return not said or any(
            found[1] in ("*", resource_type)
            and not found[3]
            and (found[2] in ("read", "*") or {"r", "s"} <= set(found[2]))
            for found in said
        )


@dataclass(frozen=True, slots=True)
class HookRequest:
    """One call: which hook, for whom, and what the client fetched. `prefetch` keeps null and absent apart."""

    hook: str
    hook_instance: str
    #: Empty for order-dispatch 1.1, whose context names no user.
    user_id: str
    patient_id: str
    context: Mapping[str, object] = field(default_factory=dict)
    prefetch: Mapping[str, object] = field(default_factory=dict)
    #: None where the client gives no token, or one that has expired.
    access: FhirAccess | None = None
    #: The base URL of the client's FHIR server, with a token or without; empty where it is not named.
    fhir_server: str = ""


def read(body: Mapping[str, object], *, hooks: Collection[str]) -> HookRequest:
    """Check the members that every service needs; raise InvalidResource with the member and what was wanted.

    `hooks` are those of the service.
    """
    hook = _text(body, "hook", re.compile(".+"), "the name of a hook")
    if hook not in hooks:
        wanted = " or ".join(sorted(map(repr, hooks)))
        raise InvalidResource(f"hook: want {wanted}, the hook of this service")
    instance = _text(body, "hookInstance", _UUID, "a UUID").removeprefix("urn:uuid:").lower()
    if "fhirAuthorization" in body and "fhirServer" not in body:
        raise InvalidResource("fhirServer: want the server that fhirAuthorization is for")
    context = _object(body.get("context"), "context")
    patient_id = _text(context, "patientId", _ID, _FHIR_ID, within="context.")
    nobody = hook in _WITHOUT_USER and "userId" not in context
    return HookRequest(
        hook=hook,
        hook_instance=instance,
        user_id="" if nobody else _text(context, "userId", _USER, _USER_REFERENCE, within="context."),
        patient_id=patient_id,
        context=context,
        prefetch=_object(body.get("prefetch") or {}, "prefetch"),
        access=_access(body, patient_id),
        fhir_server=str(body.get("fhirServer", "")).rstrip("/"),
    )


def _access(body: Mapping[str, object], patient_id: str) -> FhirAccess | None:
    """fhirServer and fhirAuthorization; an expired token is as good as none."""
    if "fhirServer" not in body:
        return None
    server = _server(body)
    if body.get("fhirAuthorization") is None:
        return None
    given, within = _object(body["fhirAuthorization"], "fhirAuthorization"), "fhirAuthorization."
    token = _text(given, "access_token", _TOKEN, "a bearer token", within=within)
    _text(given, "token_type", re.compile("Bearer", re.IGNORECASE), "Bearer", within=within)
    expires_in = given.get("expires_in")
    if not isinstance(expires_in, int | float) or isinstance(expires_in, bool):
        raise InvalidResource("fhirAuthorization.expires_in: want seconds")
    if given.get("patient", patient_id) != patient_id:
        raise InvalidResource("fhirAuthorization.patient: want the patient of context.patientId")
    scope = given.get("scope", "")
    if not isinstance(scope, str):
        raise InvalidResource("fhirAuthorization.scope: want scopes with spaces between them")
    return FhirAccess(server, token, tuple(scope.split()), float(expires_in)) if expires_in > 0 else None


def _server(body: Mapping[str, object]) -> str:
    """A base URL that can be taken apart: its port and the brackets of its host are those of an address."""
    wanted = "the base URL of a FHIR server"
    server = _text(body, "fhirServer", _URL, wanted).rstrip("/")
    try:
        _ = urlsplit(server).port
    except ValueError:
        raise InvalidResource(f"fhirServer: want {wanted}") from None
    return server


def _text(body: Mapping[str, object], name: str, pattern: re.Pattern[str], wanted: str, *, within: str = "") -> str:
    value = body.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidResource(f"{within}{name}: want {wanted}")
    return value


def _object(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InvalidResource(f"{name}: want an object")
    return value
