"""Another FHIR server as a source of news: what changed there since a moment, and what it means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson
from cachetools import TTLCache

from adapters.fhir import pages
from adapters.fhir.client import FhirClient, FhirRefused, Params, Resource
from adapters.fhir.intake import NewsReader
from adapters.fhir.notification import found_in, local_reference
from adapters.fhir.plain import refuse_what_cannot_be_kept
from cds.domain.fhir_news import Found, News, Page
from cds.errors import InvalidResource, NotFound, PeerFailed

_PAGE = 100
#: HL7 table 0074, the sections that make images, and the category of US Core (LOINC): any system.
_CATEGORIES = "RAD,CT,CUS,NMR,NMS,OUS,RUS,RX,VUS,XRC,LP29684-5"
_NARROWED = {
    "ImagingStudy": (),
    "DiagnosticReport": (
        ("status", "final,amended,corrected,appended,cancelled,entered-in-error"),
        ("category", _CATEGORIES),
    ),
}
#: Endpoints are referred to by all studies; patients and orders are asked for anew, for they change.
_KEPT, _KEPT_S = 256, 600.0
_LASTING = ("Endpoint/",)
_BAD_REQUEST = 400


@dataclass(frozen=True, slots=True)
class EventServer:
    """One server. Errors as of `FhirClient`; implements `cds.listening.parts.Server`."""

    client: FhirClient
    reader: NewsReader
    _lasting: TTLCache[str, Resource] = field(default_factory=lambda: TTLCache(_KEPT, _KEPT_S))

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self.client.name

    def changed(self, resource_type: str, since: datetime) -> Iterator[Page]:
        """What changed since a moment of the server's clock, oldest change first as far as it sorts, page by page.

        An error in the middle leaves the pages before it as they are. A resource without type or id is left out.
        """
        first = True
        for params in self._asked(resource_type, since):
            try:
                for page in self._pages(resource_type, params):
                    first = False
                    yield page
                return
            except FhirRefused as error:  # perhaps it knows fewer parameters than it says: those narrow and sort
                if not first or error.status != _BAD_REQUEST:
                    raise
                refused = error
        raise refused

    def _pages(self, resource_type: str, params: Params) -> Iterator[Page]:
        """The pages; an empty one at their end where the server found more than it showed, and names no next page."""
        shown, total, last = 0, None, 0
        for page in self.client.pages(resource_type, params):
            if pages.incomplete(page.outcomes):
                raise PeerFailed(f"the FHIR server {self.name} did not search everything: incomplete")
            last = len(page.matches)
            shown, total = shown + last, page.total if page.total is not None else total
            yield Page(tuple(found for one in page.matches if (found := _found(one))))
        if (shown < total) if total is not None else (shown == last >= _PAGE):
            yield Page(cut=True)

    def _asked(self, resource_type: str, since: datetime) -> Iterator[Params]:
        """The search, and without what a server may refuse. _lastUpdated is never left out: it is the whole archive."""
        abilities = self.client.capability()
        narrowed = [
            (name, value) for name, value in _NARROWED[resource_type] if abilities.searches(resource_type, name)
        ]
        moment = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        least = [("_lastUpdated", f"ge{moment}"), ("_count", str(_PAGE))]
        yield [*least, ("_sort", "_lastUpdated"), *narrowed]
        yield [*least, ("_sort", "_lastUpdated")]
        yield least

    def current(self, reference: str) -> Found:
        """The current version of "Type/id"; raise NotFound where it is not there any more."""
        return found_in(self.client.read(reference))

    def came(self, body: bytes) -> Found:
        """The version in a body that was kept; raise InvalidResource."""
        return found_in(orjson.loads(body))

    def news(self, found: Found, received_at: datetime) -> News:
        """What a version says; what it refers to is asked for. Raise InvalidResource and InsufficientData too."""
        if not found.body:
            raise InvalidResource("want a resource that is not nested so deeply")
        resource = orjson.loads(found.body)
        return self.reader.read(resource, self._follow, received_at)

    def _follow(self, reference: str) -> Resource:
        """A resource of this server; {} where it is not there, is elsewhere, or is not for us."""
        local = local_reference(reference, self.client.base_url)
        if not local:
            return {}
        if local in self._lasting:
            return self._lasting[local]
        try:
            resource = self.client.read(local)
        except (NotFound, FhirRefused):
            return {}
        refuse_what_cannot_be_kept(resource)
        if local.startswith(_LASTING):
            self._lasting[local] = resource
        return resource


def _found(resource: Resource) -> Found | None:
    """None for what nobody could ask for again: it has no type or id."""
    try:
        return found_in(resource)
    except InvalidResource:
        return None
