"""What a resource of another FHIR server says that concerns us: images that are there, or a radiologist's report.

What a report refers to by literal references is read along, so that `read_final_report` finds it in one Bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from adapters.fhir import systems
from adapters.fhir.final_report import AnotherService, MadeByAi, read_final_report, read_whose, refuse_what_is_none
from adapters.fhir.imaging_study import StudyReader
from adapters.fhir.order_numbers import accession
from adapters.fhir.plain import refuse_what_cannot_be_kept
from adapters.fhir.references import Follow
from adapters.fhir.tolerant import codings, items, obj, text
from cds.domain.fhir_news import News, Nothing, Reason, Reported
from cds.errors import InsufficientData, InvalidResource

Resource = Mapping[str, object]

#: R4 diagnostic-report-status: not signed, and nothing that was signed is taken back.
_NOT_SIGNED = frozenset({"registered", "partial", "preliminary", "unknown"})
#: More observations than these are not read for the codes that they state.
_MOST_RESULTS, _MOST_REFERENCES = 50, 20
#: https://loinc.org/LP29684-5, the category Radiology of US Core.
_LOINC_RADIOLOGY = "LP29684-5"


@dataclass(frozen=True, slots=True)
class NewsReader:
    """How the resources of one sender are read."""

    studies: StudyReader

    def read(self, resource: Resource, follow: Follow, received_at: datetime) -> News:
        """What it says. InvalidResource where it is malformed, InsufficientData where it names no exam or patient.

        `follow` is asked for what it refers to by literal references, and raises what asking raises.
        """
        resource_type = resource.get("resourceType")
        if resource_type == "ImagingStudy":
            return self.studies.read(resource, follow)
        if resource_type == "DiagnosticReport":
            return self._report(resource, follow, received_at)
        raise InvalidResource("want an ImagingStudy or a DiagnosticReport")

    def _report(self, resource: Resource, follow: Follow, received_at: datetime) -> Reported | Nothing:
        refuse_what_cannot_be_kept(resource)
        if text(resource.get("status")) in _NOT_SIGNED:
            return Nothing(Reason.NOT_SIGNED)
        try:
            refuse_what_is_none(resource)
        except MadeByAi:
            return Nothing(Reason.MADE_BY_AI)
        except AnotherService:
            return Nothing(Reason.ANOTHER_SERVICE)
        known, issuer = self.studies.identifier_systems, self.studies.accession_issuer
        bundle = self._gathered(resource, follow)
        try:
            report = read_final_report(bundle, known, accession_issuer=issuer, received_at=received_at)
            return Reported(report, read_whose(bundle, known))
        except InsufficientData:
            if _is_imaging(resource):
                raise
            return Nothing(Reason.ANOTHER_SERVICE)  # nothing says that it is of radiology

    def _gathered(self, resource: Resource, follow: Follow) -> Resource:
        """The report with its order's accession number, its patient and its observations, as one Bundle."""
        report = self._numbered(resource, follow)
        wanted = [report.get("subject"), *items(report.get("result"))[:_MOST_RESULTS]]
        references = dict.fromkeys(_literal(one) for one in wanted)
        found = [(reference, follow(reference)) for reference in references if reference]
        others = [{"fullUrl": reference, "resource": one} for reference, one in found if one]
        return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": report}, *others]}

    def _numbered(self, resource: Resource, follow: Follow) -> Resource:
        """The report, with the accession number of its order or of its study where it has none itself."""
        known, issuer = self.studies.identifier_systems, self.studies.accession_issuer
        orders = items(resource.get("basedOn"))
        stated = [*items(resource.get("identifier")), *(obj(order.get("identifier")) for order in orders)]
        if accession(stated, known, issuer):
            return resource
        for one in _exams(resource):
            for identifier in items(follow(one).get("identifier")):
                if accession([identifier], known, issuer):
                    return {**resource, "basedOn": [*orders, {"identifier": identifier}]}
        return resource


def _exams(report: Resource) -> Iterator[str]:
    """The orders and studies that a report refers to, which know the accession number as well."""
    inside = {f"#{text(one.get('id'))}" for one in items(report.get("contained"))}
    named = [*items(report.get("basedOn")), *items(report.get("imagingStudy"))][:_MOST_REFERENCES]
    for reference in map(_literal, named):
        if reference and reference not in inside:
            yield reference


def _literal(reference: object) -> str:
    at = text(obj(reference).get("reference"))
    return "" if at.startswith("#") else at


def _is_imaging(report: Resource) -> bool:
    """True where its category says so: read_final_report has let none of another service through."""
    stated = {code for category in items(report.get("category")) for code in codings(category)}
    return any(code.system == systems.RADIOLOGY.system or code.code == _LOINC_RADIOLOGY for code in stated)
