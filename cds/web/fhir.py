"""FHIR R4 over HTTP: what Sightline emitted, to read, version by version, and to search.

No link repeats an identifier: `patient` in links is Sightline's own random id, and a search by identifier has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, abort, request
from werkzeug.http import http_date

from adapters.fhir import bundle
from adapters.fhir.search import LARGEST_PAGE, PARAMETERS, parse
from cds.domain.resource import ResourcePage, StoredResource
from cds.errors import NotFound
from cds.services import Json, Services
from cds.web.answers import FHIR_JSON, answer

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_VERSION = "<int(min=1, max=2147483647):version>"
_FORM = "application/x-www-form-urlencoded"
#: Parameters that links may repeat: none of them identifies a patient outside Sightline.
_LINKED = ("patient", "_lastUpdated", "_count")
_MORE = (
    "There are more matches than shown. A search by identifier has no further pages, because links do not repeat "
    "identifiers: narrow it by patient or _lastUpdated."
)

Pairs = list[tuple[str, str]]


def blueprint(services: Services) -> Blueprint:
    """The FHIR API below /fhir."""
    found = Blueprint("fhir", __name__, url_prefix="/fhir")
    views = _Views(services, f"{services.settings.public_url}/fhir", ZoneInfo(services.settings.time_zone))
    found.add_url_rule("/metadata", view_func=views.metadata)
    found.add_url_rule("/<resource_type>", view_func=views.search)
    found.add_url_rule("/<resource_type>/_search", view_func=views.search_by_post, methods=["POST"])
    found.add_url_rule("/<resource_type>/<resource_id>", view_func=views.read)
    found.add_url_rule("/<resource_type>/<resource_id>/_history", view_func=views.history)
    found.add_url_rule(f"/<resource_type>/<resource_id>/_history/{_VERSION}", view_func=views.vread)
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    services: Services
    base_url: str
    zone: ZoneInfo

    def metadata(self) -> Response:
        return _fhir(self.services.capability(self.base_url))

    def read(self, resource_type: str, resource_id: str) -> Response:
        _check(resource_type, resource_id)
        return _versioned(self.services.resources.read(resource_type, resource_id))

    def vread(self, resource_type: str, resource_id: str, version: int) -> Response:
        _check(resource_type, resource_id)
        return _versioned(self.services.resources.vread(resource_type, resource_id, version))

    def history(self, resource_type: str, resource_id: str) -> Response:
        _check(resource_type, resource_id)
        return _fhir(bundle.history(self.base_url, self.services.resources.history(resource_type, resource_id)))

    def search(self, resource_type: str) -> Response:
        return self._searched(resource_type, list(request.args.items(multi=True)))

    def search_by_post(self, resource_type: str) -> Response:
        """R4 http.html#search: parameters of the form and of the URL count alike."""
        if request.mimetype != _FORM:
            abort(415)
        return self._searched(resource_type, [*request.args.items(multi=True), *request.form.items(multi=True)])

    def _searched(self, resource_type: str, pairs: Pairs) -> Response:
        _check(resource_type)
        query = parse(resource_type, pairs, self.zone)
        if query.identifier is None:
            page = self.services.resources.search(query)
            links = _self_query(pairs, page), _next_query(pairs, page)
            return _fhir(self.services.searchset(self.base_url, resource_type, page, *links))
        if "_count" not in dict(pairs):
            query = replace(query, count=LARGEST_PAGE)
        page = self.services.resources.search(query)
        hints = (_MORE,) if page.next else ()
        return _fhir(self.services.searchset(self.base_url, resource_type, page, None, None, hints=hints))


def _check(resource_type: str, resource_id: str | None = None) -> None:
    if resource_type not in PARAMETERS:
        raise NotFound(f"this server has {', '.join(PARAMETERS)}, and no other resource type")
    if resource_id is not None and not _ID.fullmatch(resource_id):
        raise NotFound("no such resource")


def _self_query(pairs: Pairs, page: ResourcePage) -> str | None:
    """None where a patient was asked for whom nothing is known: that id may be anybody's."""
    names = {name for name, _ in pairs}
    return None if "patient" in names and not page.total else urlencode(_linked(pairs, (*_LINKED, "_after")))


def _next_query(pairs: Pairs, page: ResourcePage) -> str | None:
    return None if page.next is None else urlencode([*_linked(pairs, _LINKED), ("_after", page.next)])


def _linked(pairs: Pairs, names: Iterable[str]) -> Pairs:
    return [(name, value) for name, value in pairs if name in names]


def _versioned(resource: StoredResource) -> Response:
    response = answer(resource.body, content_type=FHIR_JSON)
    response.headers["ETag"] = bundle.etag(resource)
    response.headers["Last-Modified"] = http_date(resource.last_updated)
    return response


def _fhir(body: Json) -> Response:
    return answer(body, content_type=FHIR_JSON)
