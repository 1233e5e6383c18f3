"""The radiologist's report as a DiagnosticReport of FHIR R4: what the RIS signed under an accession number.

Read tolerantly; but without an accession number, or a patient whom the site's identifier systems name, it is nobody's.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime

from adapters.fhir import systems
from adapters.fhir.order_numbers import accession
from adapters.fhir.read import read_patient
from adapters.fhir.tolerant import codings, items, obj, stated_moment, text
from cds.codes import SNOMED
from cds.domain.finding import Presence
from cds.domain.identity import Identifier
from cds.domain.verification import FinalReport, Stated
from cds.errors import InsufficientData, InvalidResource

SOURCE = "FHIR DiagnosticReport"

Resource = Mapping[str, object]

#: R4 diagnostic-report-status.
_STATUSES = frozenset(
    {"registered", "partial", "preliminary", "final", "amended", "corrected", "appended", "cancelled", "unknown"}
    | {"entered-in-error"}
)
#: HL7 table 0074, the sections that make images.
_IMAGING = frozenset({"CT", "CUS", "NMR", "NMS", "OUS", "RAD", "RUS", "RX", "VUS", "XRC"})
_SIGNED = frozenset({"final", "amended", "corrected"})
_PRESENCES = {
    (systems.DETECTED.system, systems.DETECTED.code): Presence.PRESENT,
    (systems.NOT_DETECTED.system, systems.NOT_DETECTED.code): Presence.NOT_DETECTED,
    (SNOMED, "52101004"): Presence.PRESENT,
    (SNOMED, "2667000"): Presence.NOT_DETECTED,
    (systems.INTERPRETATION, "DET"): Presence.PRESENT,
    (systems.INTERPRETATION, "ND"): Presence.NOT_DETECTED,
}


class MadeByAi(InvalidResource):
    """A report that no radiologist signed: Sightline's own, or another AI's."""


class AnotherService(InvalidResource):
    """A report of another diagnostic service than radiology."""


def read_final_report(
    resource: Resource, identifier_systems: Mapping[str, str], *, accession_issuer: str, received_at: datetime
) -> FinalReport:
    """A DiagnosticReport, alone or with its Patient in a Bundle, as a radiology report.

    `accession_issuer` is the issuer of accession numbers that come without a system. InvalidResource for what is no
    radiology report, or was made by an AI; InsufficientData where accession number or patient cannot be had.
    """
    report, others = _unpacked(resource)
    refuse_what_is_none(report)
    return FinalReport(
        accession=_accession(report, identifier_systems, accession_issuer),
        patient=_whose(report, others, identifier_systems)[0],
        status=text(report.get("status")),
        issued=stated_moment(report.get("issued")),
        source=SOURCE,
        received_at=received_at,
        stated=tuple(dict.fromkeys(_stated(report, others))),
        text=_text(report),
        identifier=_own_number(report),
    )


def read_whose(resource: Resource, identifier_systems: Mapping[str, str]) -> tuple[Identifier, ...]:
    """All identifiers of the report's patient that the site knows; InsufficientData where there is none."""
    return _whose(*_unpacked(resource), identifier_systems)


def _unpacked(resource: Resource) -> tuple[Resource, dict[str, Resource]]:
    """The DiagnosticReport, and what its references may mean."""
    entries = items(resource.get("entry")) if resource.get("resourceType") == "Bundle" else []
    listed = [obj(entry.get("resource")) for entry in entries] or [resource]
    reports = [one for one in listed if one.get("resourceType") == "DiagnosticReport"]
    if len(reports) != 1:
        raise InvalidResource("want one DiagnosticReport")
    others = {f"{text(one.get('resourceType'))}/{text(one.get('id'))}": one for one in listed if text(one.get("id"))}
    others |= {text(e.get("fullUrl")): obj(e.get("resource")) for e in entries if text(e.get("fullUrl"))}
    others |= {f"#{text(one.get('id'))}": one for one in items(reports[0].get("contained"))}
    return reports[0], others


def refuse_what_is_none(report: Resource) -> None:
    """Raise MadeByAi, AnotherService, or InvalidResource where the status is none of R4."""
    if text(report.get("status")) not in _STATUSES:
        raise InvalidResource("DiagnosticReport.status wants a code of diagnostic-report-status")
    labels = [label.get("code") for label in items(obj(report.get("meta")).get("security"))]
    own = [identifier.get("system") for identifier in items(report.get("identifier"))]
    made_by_ai = any(code.same(systems.AI_ANALYSIS) for code in codings(report.get("code")))
    if made_by_ai or systems.AI_ASSERTED.code in labels or systems.REPORT_IDENTIFIER in own:
        raise MadeByAi("want a report that a radiologist signed: this one is labelled as made by an AI")
    sections = {
        code.code
        for category in items(report.get("category"))
        for code in codings(category)
        if code.system == systems.RADIOLOGY.system
    }
    if sections and not sections & _IMAGING:
        raise AnotherService("want a radiology report: the category says another diagnostic service")


def _accession(report: Resource, identifier_systems: Mapping[str, str], accession_issuer: str) -> Identifier:
    """The identifier of type ACSN, of the report or of an order that it is based on."""
    listed = [*items(report.get("identifier")), *(obj(o.get("identifier")) for o in items(report.get("basedOn")))]
    if found := accession(listed, identifier_systems, accession_issuer):
        return found
    raise InsufficientData(
        "want the accession number: an identifier of type ACSN, in identifier or basedOn.identifier, "
        "without a system or with one that this site knows"
    )


def _whose(
    report: Resource, others: Mapping[str, Resource], identifier_systems: Mapping[str, str]
) -> tuple[Identifier, ...]:
    """subject.identifier and the identifiers of the Patient that comes with the report; they may not contradict."""
    subject = obj(report.get("subject"))
    patient = {"resourceType": "Patient", "identifier": [subject.get("identifier")]}
    found = list(read_patient(patient, identifier_systems).identifiers)
    sent = others.get(text(subject.get("reference")), {})
    if sent.get("resourceType") == "Patient":
        found += read_patient(sent, identifier_systems).identifiers
    unique = tuple(dict.fromkeys(found))
    if not unique:
        raise InsufficientData(
            "want the patient: subject.identifier, or a contained Patient, with an identifier of a configured system"
        )
    stated = text(obj(subject.get("identifier")).get("value"))
    same_authority = [i for i in unique if i.assigner == unique[0].assigner]
    if stated and unique[0].value == stated and len(same_authority) > 1:
        raise InsufficientData("want one patient: subject.identifier and the Patient sent with it differ")
    return unique


def _stated(report: Resource, others: Mapping[str, Resource]) -> Iterator[Stated]:
    """conclusionCode states what is there; Observations that come with the report, whether it is."""
    for concept in items(report.get("conclusionCode")):
        yield from (Stated(code, Presence.PRESENT) for code in codings(concept))
    for result in items(report.get("result")):
        observation = others.get(text(result.get("reference")), {})
        if observation.get("resourceType") != "Observation" or text(observation.get("status")) not in _SIGNED:
            continue
        for part in (observation, *items(observation.get("component"))):
            presence = _presence(part)
            if presence is not None:
                yield from (Stated(code, presence) for code in codings(part.get("code")))


def _presence(observation: Resource) -> Presence | None:
    """Detected or not, by value or interpretation; None where neither says so, or both differ."""
    concepts = [observation.get("valueCodeableConcept"), *items(observation.get("interpretation"))]
    stated = [(code.system, code.code) for concept in concepts for code in codings(concept)]
    said = {_PRESENCES[code] for code in stated if code in _PRESENCES}
    return said.pop() if len(said) == 1 else None


def _text(report: Resource) -> str:
    """Attachments of plain text, then the conclusion, each under the heading that says what it is."""
    attached = [said for form in items(report.get("presentedForm")) if (said := _attached(form))]
    concluded = text(report.get("conclusion"))
    parts = [f"FINDINGS:\n{said}" for said in attached] + ([f"IMPRESSION:\n{concluded}"] if concluded else [])
    return "\n".join(parts)


def _attached(form: Resource) -> str:
    if not text(form.get("contentType")).lower().startswith("text/plain"):
        return ""
    try:
        return base64.b64decode(text(form.get("data")), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidResource("DiagnosticReport.presentedForm of text/plain wants UTF-8 in base64") from None


def _own_number(report: Resource) -> str:
    """The report's own identifier, else its id: what a later version repeats."""
    for identifier in items(report.get("identifier")):
        accession = any(code.same(systems.ACCESSION) for code in codings(identifier.get("type")))
        if not accession and (value := text(identifier.get("value"))):
            return f"{text(identifier.get('system'))}|{value}"
    return text(report.get("id"))
