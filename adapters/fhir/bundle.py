"""Bundles of stored resources: a page of a search, and the history of one resource (R4 Bundle)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import orjson

from adapters.fhir.outcome import informational
from cds.domain.resource import ResourcePage, StoredResource

Json = dict[str, object]


def searchset(
    base_url: str,
    resource_type: str,
    page: ResourcePage,
    self_query: str | None,
    next_query: str | None,
    *,
    hints: Sequence[str] = (),
) -> Json:
    """A page of a search. Queries come without "?"; None leaves the link out. `hints` become an outcome entry."""
    url = f"{base_url}/{resource_type}"
    links = [_link(relation, url, query) for relation, query in (("self", self_query), ("next", next_query))]
    entries = [_match(base_url, resource) for resource in page.resources]
    entries += [{"resource": informational(text), "search": {"mode": "outcome"}} for text in hints]
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": page.total}
    present = [link for link in links if link is not None]
    return bundle | ({"link": present} if present else {}) | ({"entry": entries} if entries else {})


def history(base_url: str, versions: Sequence[StoredResource]) -> Json:
    """All versions of one resource, newest first (R4 http.html#history)."""
    entries = [_version(base_url, resource) for resource in versions]
    return {"resourceType": "Bundle", "type": "history", "total": len(entries), "entry": entries}


def etag(resource: StoredResource) -> str:
    """The weak ETag of a version (R4 http.html#versioning)."""
    return f'W/"{resource.version}"'


def _link(relation: str, url: str, query: str | None) -> Json | None:
    if query is None:
        return None
    return {"relation": relation, "url": f"{url}?{query}" if query else url}


def _match(base_url: str, resource: StoredResource) -> Json:
    return {**_entry(base_url, resource), "search": {"mode": "match"}}


def _version(base_url: str, resource: StoredResource) -> Json:
    created = resource.version == 1
    return {
        **_entry(base_url, resource),
        "request": {"method": "PUT", "url": f"{resource.type}/{resource.id}"},
        "response": {
            "status": "201" if created else "200",
            "etag": etag(resource),
            "lastModified": resource.last_updated.isoformat(),
        },
    }


def _entry(base_url: str, resource: StoredResource) -> Json:
    return {
        "fullUrl": f"{base_url}/{resource.type}/{resource.id}",
        "resource": cast("Json", orjson.loads(resource.body)),
    }
