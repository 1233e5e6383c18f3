"""Data types of R4 as plain dicts: Coding, CodeableConcept, Quantity, Reference, Identifier."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Mapping
from datetime import datetime

from adapters.fhir import systems
from cds import __version__
from cds.codes import UCUM
from cds.domain.coding import Coding, Quantity
from cds.domain.conclusion import unit_name
from cds.domain.identity import Identifier
from cds.domain.imaging import Study
from cds.domain.resource import PresentedForm
from cds.errors import InvalidResource

Element = dict[str, object]

#: XML, the other form of the same resource, cannot carry these.
_CONTROL = re.compile(r"[\x00-\x08\x0B\x0C\x0E-\x1F]")
_NOTHING: tuple[object, ...] = (None, "", [], {})
#: What Sightline writes in.
_LANGUAGE = "en"


def coding(value: Coding) -> Element:
    """R4 Coding."""
    element: Element = {"system": value.system, "code": value.code}
    return element | ({"display": value.display} if value.display else {})


def concept(*codings: Coding, text: str = "") -> Element:
    """R4 CodeableConcept; the text is the first display where none is given."""
    words = text or next((c.display for c in codings if c.display), "")
    element: Element = {"coding": [coding(c) for c in codings]} if codings else {}
    return element | ({"text": words} if words else {})


def quantity(value: Quantity) -> Element:
    """R4 Quantity with a UCUM code; raise InvalidResource for a number that JSON cannot carry."""
    if not math.isfinite(value.value):
        raise InvalidResource("a Quantity wants a finite number")
    return {"value": value.value, "unit": unit_name(value.unit), "system": UCUM, "code": value.unit}


def reference(resource_type: str, resource_id: str, display: str = "", *, version: int | None = None) -> Element:
    """A relative reference, which stays right whatever base URL the server is reached by; to one version if given."""
    history = "" if version is None else f"/_history/{version}"
    element: Element = {"reference": f"{resource_type}/{resource_id}{history}"}
    return element | ({"display": display} if display else {})


def absent(reason: str = "unknown") -> Element:
    """An element that has no value, and says so (R4 extension data-absent-reason)."""
    return {"extension": [{"url": systems.DATA_ABSENT_EXTENSION, "valueCode": reason}]}


def identifier(value: Identifier, by_authority: Mapping[str, str], kind: Coding | None = None) -> Element:
    """R4 Identifier of a value and its assigning authority, as its sender writes it whatever its realm."""
    sent = value.as_sent()
    element: Element = {
        "system": systems.system_of(sent.assigner, by_authority),
        "value": sent.value,
        "assigner": {"display": sent.assigner},
    }
    return {"type": concept(kind), **element} if kind else element


def imaging_study(study: Study) -> Element:
    """A logical reference to the study by its Study Instance UID (R4 ImagingStudy, "urn:oid:" form)."""
    uid: Element = {"system": systems.DICOM_UID, "value": f"urn:oid:{study.study_instance_uid}"}
    return {"type": "ImagingStudy", "identifier": uid}


def note(text: str, *, author: str = "", at: datetime | None = None) -> Element:
    """R4 Annotation; `author` and `at` where a person said it."""
    return without_empty({"authorString": author, "time": at.isoformat() if at else None, "text": text})


def software() -> Element:
    """Sightline itself, where R4 wants a Device that did something."""
    return {"type": "Device", "display": f"Sightline {__version__}"}


def attachment(form: PresentedForm, created: datetime) -> Element:
    """R4 Attachment with its content inside; size and hash (SHA-1, in base64) are of the bytes before base64."""
    digest = hashlib.sha1(form.data, usedforsecurity=False).digest()
    return {
        "contentType": form.content_type,
        "language": _LANGUAGE,
        "data": base64.b64encode(form.data).decode(),
        "size": len(form.data),
        "hash": base64.b64encode(digest).decode(),
        "title": form.title,
        "creation": created.isoformat(),
    }


def without_empty(element: Mapping[str, object]) -> Element:
    """FHIR forbids empty members: leave out None, "", [] and {}."""
    return {name: value for name, value in element.items() if value not in _NOTHING}


def tidied(value: object) -> object:
    """The same at every depth, without what FHIR has no place for: empty members, blank text, control characters.

    Records of others hold all of these, and a report must not wait for them to be put right.
    """
    if isinstance(value, str):
        kept = _CONTROL.sub("", value)
        return kept if kept.strip() else ""
    if isinstance(value, Mapping):
        return {name: left for name, member in value.items() if (left := tidied(member)) not in _NOTHING}
    if isinstance(value, list | tuple):
        return [left for member in value if (left := tidied(member)) not in _NOTHING]
    return value
