"""Data types of R4 as plain dicts: Coding, CodeableConcept, Quantity, Reference, Identifier."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

from adapters.fhir import systems
from cds.codes import UCUM
from cds.domain.coding import Coding, Quantity
from cds.domain.conclusion import unit_name
from cds.domain.identity import Identifier
from cds.domain.imaging import Study
from cds.errors import InvalidResource

Element = dict[str, object]


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


def without_empty(element: Mapping[str, object]) -> Element:
    """FHIR forbids empty members: leave out None, "", [] and {}."""
    return {name: value for name, value in element.items() if value not in (None, "", [], {})}
