"""FHIR R4 over HTTP: what Sightline emitted, to read, version by version; searches are `cds.web.fhir_search`.

No link repeats what may tell who somebody is (SAFETY section 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Blueprint, Response

from adapters.fhir import bundle
from adapters.fhir.search import ID, instant, page_size, shape_of
from cds.domain.resource import ResourcePage
from cds.errors import NotFound
from cds.web import fhir_access, fhir_search
from cds.web.fhir_access import Access
from cds.web.fhir_answers import Api, FhirServices, fhir, given, given_once, refuse_other_formats, versioned

_VERSION = "<int(min=1, max=2147483647):version>"


def blueprint(services: FhirServices) -> Blueprint:
    """The FHIR API below /fhir."""
    found = Blueprint("fhir", __name__, url_prefix="/fhir")
    api = Api(services, f"{services.settings.public_url}/fhir", ZoneInfo(services.settings.time_zone))
    views, searches = _Views(api), fhir_search.Searches(api)
    found.before_request(refuse_other_formats)
    found.add_url_rule("/metadata", view_func=views.metadata)
    found.add_url_rule("/<resource_type>", view_func=searches.search)
    found.add_url_rule("/<resource_type>/_search", view_func=searches.search_by_post, methods=["POST"])
    found.add_url_rule("/Patient/<resource_id>/$everything", view_func=searches.everything)
    found.add_url_rule("/<resource_type>/<resource_id>", view_func=views.read)
    found.add_url_rule("/<resource_type>/<resource_id>/_history", view_func=views.history)
    found.add_url_rule(f"/<resource_type>/<resource_id>/_history/{_VERSION}", view_func=views.vread)
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    api: Api

    def metadata(self) -> Response:
        return fhir(self.api.services.capability(self.api.base_url))

    def read(self, resource_type: str, resource_id: str) -> Response:
        access, shape = _asked(resource_type, resource_id), shape_of(given())
        found = self.api.services.resources.read(resource_type, resource_id, compartment=access.patient)
        return versioned(found, shape)

    def vread(self, resource_type: str, resource_id: str, version: int) -> Response:
        access, shape = _asked(resource_type, resource_id), shape_of(given())
        found = self.api.services.resources.vread(resource_type, resource_id, version, compartment=access.patient)
        return versioned(found, shape)

    def history(self, resource_type: str, resource_id: str) -> Response:
        """R4 http.html#history of one resource: newest first, _count and _since."""
        access = _asked(resource_type, resource_id)
        path = f"{resource_type}/{resource_id}/_history"
        begun = self.api.begun(path, given())
        context = self.api.context(begun)
        asked = given_once(begun.pairs if begun else given(), ("_count", "_since"), "a history")
        since = instant("_since", asked["_since"], context) if "_since" in asked else None
        page = self.api.services.resources.history(
            resource_type,
            resource_id,
            count=page_size(asked.get("_count")),
            before=int(begun.after) if begun else None,
            compartment=access.patient,
        )
        found = _since(page, since)
        following = self.api.next_query(path, tuple(asked.items()), found.next, context.now)
        return fhir(bundle.history(self.api.base_url, path, found, urlencode(asked), following))


def _asked(resource_type: str, resource_id: str) -> Access:
    """What may be read here; raise NotFound for no type or id of ours, Forbidden for what no scope grants."""
    fhir_search.check_type(resource_type)
    if not ID.fullmatch(resource_id):
        raise NotFound("no such resource")
    return fhir_access.required(resource_type, "r")


def _since(page: ResourcePage, since: datetime | None) -> ResourcePage:
    """The versions of a page since a moment. Versions come newest first: the first that is older ends them all."""
    if since is None:
        return page
    kept = tuple(resource for resource in page.resources if resource.last_updated >= since)
    return ResourcePage(kept, None, page.next if len(kept) == len(page.resources) else None)
