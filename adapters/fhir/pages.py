"""Pages of a search: what matches, what came along, what the server says of it, and where the next page is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urljoin

import httpx

from adapters.fhir.discovery import origin
from adapters.fhir.exchange import Issue, issues
from adapters.fhir.tolerant import items, obj, text
from cds.errors import PeerFailed

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a searchset, each resource as it came; `total` is None where the server does not say it."""

    matches: tuple[Json, ...]
    included: tuple[Json, ...] = ()
    total: int | None = None
    #: What the server says of the search: warnings, such as a parameter that it does not know.
    outcomes: tuple[Issue, ...] = ()


def read(bundle: Mapping[str, object], resource_type: str, who: str) -> Page:
    """A page of a search for a type (R4 search.html#3.1.1.3); PeerFailed where it is none, or not a whole one."""
    if bundle.get("resourceType") != "Bundle":
        raise PeerFailed(f"{who} answers a search with something that is no Bundle")
    entries = bundle.get("entry", [])
    resources = [_resource(entry, who) for entry in cast("list[object]", entries)] if isinstance(entries, list) else []
    if not isinstance(entries, list):
        raise PeerFailed(f"{who} answers a search with something that is no list of entries")
    modes = [_mode(entry, resource_type) for entry in items(entries)]
    by_mode = {
        wanted: tuple(resource for resource, mode in zip(resources, modes, strict=True) if mode == wanted)
        for wanted in ("match", "include", "outcome")
    }
    said = tuple(issue for outcome in by_mode["outcome"] for issue in issues(outcome))
    if any(issue.severity in ("error", "fatal") for issue in said):
        # R4 search.html#3.1.1.3 forbids it; some say so of a part that they could not search.
        raise PeerFailed(f"{who} answers a search with an error among what it found")
    total = bundle.get("total")
    count = total if isinstance(total, int) and not isinstance(total, bool) else None
    return Page(by_mode["match"], by_mode["include"], count, said)


def next_url(bundle: Mapping[str, object], base_url: str, resource_type: str, who: str) -> str:
    """The address of the next page, "" for none; PeerFailed where it is not on the server's own origin.

    The token goes with the request: SMART Backend Services forbids to follow it elsewhere.
    """
    links = [text(one.get("url")) for one in items(bundle.get("link")) if text(one.get("relation")) == "next"]
    if not links or not links[0]:
        return ""
    below = f"{base_url}/{resource_type}" if links[0].startswith("?") else f"{base_url}/"
    try:
        found, own = httpx.URL(urljoin(below, links[0])), httpx.URL(base_url)
    except (httpx.InvalidURL, ValueError):
        raise PeerFailed(f"{who} gives an address of the next page that is none") from None
    if origin(found) != origin(own) or found.userinfo:
        raise PeerFailed(f"{who} gives a next page on another server or port than its url, where no token is sent")
    return str(found.copy_with(fragment=None))


def incomplete(outcomes: Sequence[Issue]) -> bool:
    """True where the server says that it did not search everything (issue-type `incomplete`, `timeout`)."""
    return any(issue.code in ("incomplete", "timeout") for issue in outcomes)


def _resource(entry: object, who: str) -> Json:
    resource = obj(obj(entry).get("resource"))
    if not text(resource.get("resourceType")):
        raise PeerFailed(f"{who} answers a search with an entry that has no resource")
    return cast("Json", resource)


def _mode(entry: Mapping[str, object], resource_type: str) -> str:
    """search.mode; by the type where it is not said."""
    kind, said = text(obj(entry.get("resource")).get("resourceType")), text(obj(entry.get("search")).get("mode"))
    if kind == "OperationOutcome":
        return "outcome"
    if kind != resource_type:
        return "include"
    return said if said in ("match", "include") else "match"
