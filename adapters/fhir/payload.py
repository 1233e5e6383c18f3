"""What waits to be sent to a FHIR server: a Bundle, and beside it an HL7 v2 message in case it cannot take that."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from adapters.fhir.tolerant import obj, text
from cds.errors import InvalidInput, SightlineError


@dataclass(frozen=True, slots=True)
class Payload:
    """`bundle` is the FHIR form, `hl7` the other, b"" where there is none; `why_not` says why it could not be made."""

    bundle: Mapping[str, object]
    hl7: bytes = b""
    why_not: str = ""


def both(bundle: bytes, hl7: Callable[[], bytes]) -> bytes:
    """Both forms in one; a message that cannot be made does not keep the Bundle from being sent."""
    try:
        said: dict[str, object] = {"hl7": base64.b64encode(hl7()).decode("ascii")}
    except SightlineError as error:
        said = {"why_not": str(error)}
    return orjson.dumps({"fhir": orjson.Fragment(bundle), **said})


def read(payload: bytes) -> Payload:
    """A payload with both forms, or a plain Bundle; raise InvalidInput where it is neither."""
    try:
        found = obj(orjson.loads(payload))
        if found.get("resourceType") == "Bundle":
            return Payload(found)
        hl7 = base64.b64decode(text(found.get("hl7")), validate=True)
    except (orjson.JSONDecodeError, binascii.Error):
        raise InvalidInput("want a Bundle, or a Bundle and an HL7 v2 message, to send") from None
    return Payload(obj(found.get("fhir")), hl7, text(found.get("why_not")))
