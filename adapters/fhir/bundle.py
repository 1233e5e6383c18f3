"""Bundles of stored resources: a page of a search, and of the history of one resource (R4 Bundle)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import orjson

from adapters.fhir.outcome import informational
from adapters.fhir.subset import WHOLE, Shape, subset
from cds.domain.resource import ResourcePage, StoredResource

Json = dict[str, object]


def searchset(
    base_url: str,
    path: str,
    page: ResourcePage,
    self_query: str,
    next_query: str | None,
    *,
    shape: Shape = WHOLE,
    hints: Sequence[str] = (),
) -> Json:
    """A page of the search or operation at `path` below the base. Queries come without "?"; None: there is no more.

    `shape` is for the matches; what came along is whole. `hints` become outcome entries.
    """
    entries = [_found(base_url, resource, "match", shape) for resource in page.resources]
    entries += [_found(base_url, resource, "include", WHOLE) for resource in page.included]
    entries += [{"resource": informational(text), "search": {"mode": "outcome"}} for text in hints]
    return _bundle("searchset", page.total, _links(f"{base_url}/{path}", self_query, next_query), entries)


def history(base_url: str, path: str, page: ResourcePage, self_query: str, next_query: str | None) -> Json:
    """Versions of one resource, newest first (R4 http.html#history)."""
    entries = [_version(base_url, resource) for resource in page.resources]
    return _bundle("history", page.total, _links(f"{base_url}/{path}", self_query, next_query), entries)


def etag(resource: StoredResource) -> str:
    """The weak ETag of a version (R4 http.html#versioning)."""
    return f'W/"{resource.version}"'


def read(resource: StoredResource, shape: Shape) -> bytes | Json:
    """One resource as a read answers it: its bytes as stored, or the part that is wanted."""
    return resource.body if shape.whole else subset(_body(resource), shape)


def _bundle(kind: str, total: int | None, links: list[Json], entries: Sequence[Json]) -> Json:
    """FHIR forbids empty lists; `total` stands only where it is known."""
    counted: Json = {} if total is None else {"total": total}
    listed: Json = {"entry": entries} if entries else {}
    return {"resourceType": "Bundle", "type": kind, **counted, "link": links, **listed}


def _links(url: str, self_query: str, next_query: str | None) -> list[Json]:
    said: list[Json] = [{"relation": "self", "url": f"{url}?{self_query}" if self_query else url}]
    return said if next_query is None else [*said, {"relation": "next", "url": f"{url}?{next_query}"}]


def _found(base_url: str, resource: StoredResource, mode: str, shape: Shape) -> Json:
    body = subset(_body(resource), shape)
    return {"fullUrl": _full_url(base_url, resource), "resource": body, "search": {"mode": mode}}


def _version(base_url: str, resource: StoredResource) -> Json:
    return {
        "fullUrl": _full_url(base_url, resource),
        "resource": _body(resource),
        "request": {"method": "PUT", "url": f"{resource.type}/{resource.id}"},
        "response": {
            "status": "201" if resource.version == 1 else "200",
            "etag": etag(resource),
            "lastModified": resource.last_updated.isoformat(),
        },
    }


def _full_url(base_url: str, resource: StoredResource) -> str:
    return f"{base_url}/{resource.type}/{resource.id}"


def _body(resource: StoredResource) -> Json:
    return cast("Json", orjson.loads(resource.body))
