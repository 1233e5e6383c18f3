"""A FHIR server with a clock of its own that tells of its news: by searches, and by Subscriptions over HTTP.

It pages by offset, as many do, and notifies as the R5 Subscriptions backport and R4 say. Its faults are switches.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.contract.fhir_wire import Asked, FhirWire, Reply, capability_statement, outcome, searchset, serving

Json = dict[str, Any]

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
_TYPES = ("ImagingStudy", "DiagnosticReport", "Patient", "ServiceRequest", "Endpoint", "Observation")
_PARAMETERS = ("_lastUpdated", "_id", "status", "category")


@dataclass
class Sent:
    """One request to an endpoint, and the status that it was answered with; 0 where nobody answered."""

    kind: str
    body: Json | None
    status: int


@dataclass
class Ehr:
    """The server behind a wire. `now` is its clock; tests move it."""

    now: datetime = NOON
    #: Of each resource all versions, the newest last.
    resources: dict[tuple[str, str], list[Json]] = field(default_factory=dict)
    deleted: set[tuple[str, str]] = field(default_factory=set)
    #: By id, with the events that each was to tell: their numbers are their places, counted from 1.
    subscriptions: dict[str, Json] = field(default_factory=dict)
    events: dict[str, list[str]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    wire: FhirWire | None = None

    #: Switches.
    can_subscribe: bool = True
    finds_subscriptions: bool = True
    operations: bool = True
    handshakes: bool = True
    delivers: bool = True
    sorts: bool = True
    knows_last_updated: bool = True
    page_size: int = 50
    #: Without them it says how many there are, and shows the first.
    next_links: bool = True
    #: Answers in the place of the server, where it gives a Reply.
    fault: Callable[[Asked], Reply | None] = field(default=lambda asked: None)
    #: Is called after each page was made: what changes while somebody reads.
    meanwhile: Callable[[], None] = field(default=lambda: None)

    @property
    def url(self) -> str:
        """The FHIR base."""
        assert self.wire is not None
        return self.wire.url

    def asked(self, method: str, path: str) -> int:
        """How often something was asked for."""
        assert self.wire is not None
        return self.wire.paths.count(f"{method} /fhir/{path}")

    # --- what the hospital does

    def put(self, body: Json, *, at: datetime | None = None, tell: bool = True) -> Json:
        """A resource is made or changed, a second later than the last; those who subscribed are told."""
        self.now = at or self.now + timedelta(seconds=1)
        key = (body["resourceType"], body["id"])
        versions = self.resources.setdefault(key, [])
        meta = {**body.get("meta", {}), "versionId": str(len(versions) + 1), "lastUpdated": instant(self.now)}
        versions.append({**body, "meta": meta})
        self.deleted.discard(key)
        for one in list(self.subscriptions.values()):
            if _criteria(one).startswith(f"{body['resourceType']}?") and one["status"] == "active":
                self.events[one["id"]].append("/".join(key))
                if tell:
                    self.notify(one["id"], [len(self.events[one["id"]])])
        return versions[-1]

    def notify(self, subscription_id: str, numbers: list[int]) -> None:
        """Tell some events of a subscription; they are told again where they were told before."""
        one = self.subscriptions[subscription_id]
        if not _is_topic(one):
            references = [self.events[subscription_id][number - 1] for number in numbers]
            for reference in references:
                self._rest_hook(one, reference)
            return
        self._send(one, "event-notification", self.bundle(one, "event-notification", numbers))

    def heartbeat(self, subscription_id: str = "") -> None:
        """One that says how many events there were."""
        one = self.subscriptions[subscription_id or next(iter(self.subscriptions))]
        self._send(one, "heartbeat", self.bundle(one, "heartbeat", []))

    def ping(self, subscription_id: str = "") -> None:
        """R4's own, with an empty body."""
        self._send(self.subscriptions[subscription_id or next(iter(self.subscriptions))], "ping", None)

    @property
    def subscription(self) -> Json:
        """The only one."""
        (one,) = self.subscriptions.values()
        return one

    # --- notifications

    def bundle(self, one: Json, kind: str, numbers: list[int], *, url: str = "") -> Json:
        """A notification as the R4 backport writes it."""
        content = _payload(one)
        events, focuses = [], []
        for number in numbers:
            reference = self.events[one["id"]][number - 1]
            parts: list[Json] = [{"name": "event-number", "valueString": str(number)}]
            if content != "empty":
                focus = {"reference": f"{url or self.url}/{reference}"}
                parts.append({"name": "focus", "valueReference": focus})
                focuses.append(reference)
            events.append({"name": "notification-event", "part": parts})
        status = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "subscription", "valueReference": {"reference": f"{self.url}/Subscription/{one['id']}"}},
                {"name": "status", "valueCode": one["status"]},
                {"name": "type", "valueCode": kind},
                {"name": "events-since-subscription-start", "valueString": str(len(self.events[one["id"]]))},
                *events,
            ],
        }
        entries: list[Json] = [{"fullUrl": f"urn:uuid:{uuid.uuid4()}", "resource": status}]
        for reference in dict.fromkeys(focuses):
            entry: Json = {"fullUrl": f"{self.url}/{reference}", "request": {"method": "PUT", "url": reference}}
            if content == "full-resource":
                entry["resource"] = self._current(reference)
            entries.append(entry)
        return {"resourceType": "Bundle", "type": "history", "timestamp": instant(self.now), "entry": entries}

    def _rest_hook(self, one: Json, reference: str) -> None:
        if one["channel"].get("payload"):
            self._send(one, "resource", self._current(reference), put=reference)
        else:
            self._send(one, "ping", None)

    def _send(self, one: Json, kind: str, body: Json | None, *, put: str = "") -> None:
        if not self.delivers:
            return
        headers = dict(line.split(": ", 1) for line in one["channel"].get("header", ()))
        if body is not None:
            headers["Content-Type"] = "application/fhir+json"
        url = one["channel"]["endpoint"] + (f"/{put}" if put else "")
        method = "PUT" if put else "POST"
        try:
            status = httpx.request(method, url, json=body, headers=headers, timeout=10).status_code
        except httpx.HTTPError:
            status = 0
        self.sent.append(Sent(kind, body, status))
        if kind == "handshake" and httpx.codes.is_success(status):
            one["status"] = "active"
        elif not httpx.codes.is_success(status):
            one["status"] = "error"

    # --- the API

    def __call__(self, asked: Asked) -> Reply:
        reply = self.fault(asked)
        if reply is not None:
            return reply
        parts = asked.path.removeprefix("/fhir").strip("/").split("/")
        if parts == ["metadata"]:
            return Reply(body=self._metadata())
        if parts[0] == "Subscription":
            return self._subscription(asked, parts)
        if parts[-1] == "_search" or len(parts) == 1:
            return self._search(parts[0], dict([*asked.query, *(asked.form if asked.method == "POST" else [])]))
        return self._read(parts[0], parts[1])

    def _metadata(self) -> Json:
        parameters = [{"name": name, "type": "token"} for name in _PARAMETERS]
        interactions = [{"code": code} for code in ("read", "search-type")]
        types: list[Json] = [{"type": t, "interaction": interactions, "searchParam": parameters} for t in _TYPES]
        if self.can_subscribe:
            codes = ("read", "create", "update", "delete", "search-type")
            found = [{"name": "url", "type": "uri"}] if self.finds_subscriptions else []
            types.append({"type": "Subscription", "interaction": [{"code": c} for c in codes], "searchParam": found})
        return capability_statement(*types)

    def _read(self, resource_type: str, resource_id: str) -> Reply:
        if (resource_type, resource_id) in self.deleted:
            return Reply(410, outcome("deleted"))
        versions = self.resources.get((resource_type, resource_id))
        return Reply(body=versions[-1]) if versions else Reply(404, outcome("not-found"))

    def _current(self, reference: str) -> Json:
        resource_type, resource_id = reference.split("/")
        return self.resources[resource_type, resource_id][-1]

    def _search(self, resource_type: str, query: dict[str, str]) -> Reply:
        found = [
            v[-1]
            for (kind, at), v in self.resources.items()
            if kind == resource_type and v and (kind, at) not in self.deleted
        ]
        if self.knows_last_updated and "_lastUpdated" in query:
            since = datetime.fromisoformat(query["_lastUpdated"].removeprefix("ge"))
            found = [one for one in found if datetime.fromisoformat(one["meta"]["lastUpdated"]) >= since]
        if "status" in query:
            found = [one for one in found if one["status"] in query["status"].split(",")]
        if "category" in query:
            found = [one for one in found if _categories(one) & set(query["category"].split(","))]
        found.sort(key=lambda one: one["meta"]["lastUpdated"], reverse=not self.sorts)
        offset, size = int(query.get("offset", "0")), min(self.page_size, int(query.get("_count", "50")))
        more = offset + size < len(found)
        following = f"{self.url}/{resource_type}?{urlencode({**query, 'offset': str(offset + size)})}" if more else ""
        shown = {"next_url": following} if self.next_links else {"total": len(found)}
        reply = Reply(body=searchset(*found[offset : offset + size], **shown))
        self.meanwhile()
        return reply

    def _subscription(self, asked: Asked, parts: list[str]) -> Reply:
        if asked.method == "POST" and len(parts) == 1:
            return self._create(asked.json)
        if len(parts) == 1 or parts[1] == "_search":
            query = dict([*asked.query, *(asked.form if asked.method == "POST" else [])])
            there = [one for one in self.subscriptions.values() if one["channel"]["endpoint"] == query.get("url")]
            return Reply(body=searchset(*map(_shown, there)))
        if parts[1] not in self.subscriptions:
            return Reply(404, outcome("not-found"))
        if len(parts) > 2:
            return self._operation(parts[1], parts[2], dict(asked.query))
        if asked.method == "DELETE":
            del self.subscriptions[parts[1]]
            return Reply(204)
        if asked.method == "PUT":
            self.subscriptions[parts[1]] = {**asked.json, "status": "requested"}
            self._shake(self.subscriptions[parts[1]])
        return Reply(body=_shown(self.subscriptions[parts[1]]))

    def _create(self, body: Json) -> Reply:
        one = {**body, "id": uuid.uuid4().hex, "status": "requested"}
        self.subscriptions[one["id"]], self.events[one["id"]] = one, []
        self._shake(one)
        return Reply(201, _shown(one), {"Location": f"{self.url}/Subscription/{one['id']}/_history/1"})

    def _shake(self, one: Json) -> None:
        """R4 knows no handshake: its own become active without one."""
        if not _is_topic(one):
            one["status"] = "active"
        elif self.handshakes:
            self._send(one, "handshake", self.bundle(one, "handshake", []))

    def _operation(self, subscription_id: str, name: str, query: dict[str, str]) -> Reply:
        if not self.operations:
            return Reply(404, outcome("not-supported"))
        one = self.subscriptions[subscription_id]
        if name == "$status":
            return Reply(body=self.bundle(one, "query-status", []))
        first, last = int(query["eventsSinceNumber"]), int(query["eventsUntilNumber"])
        there = range(first, min(last, len(self.events[subscription_id])) + 1)
        return Reply(body=self.bundle(one, "query-event", list(there)))


def instant(moment: datetime) -> str:
    """As R4 writes one."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(one: Json) -> Json:
    """A Subscription as it is shown to others: without the secret in its header."""
    return {**one, "channel": {name: value for name, value in one["channel"].items() if name != "header"}}


def _is_topic(one: Json) -> bool:
    return "_criteria" in one


def _criteria(one: Json) -> str:
    """The query of a Subscription, which stands in the filter of one that has a topic."""
    if not _is_topic(one):
        return str(one["criteria"])
    return str(one["_criteria"]["extension"][0]["valueString"])


def _payload(one: Json) -> str:
    return str(one["channel"]["_payload"]["extension"][0]["valueCode"])


def _categories(resource: Json) -> set[str]:
    return {coding["code"] for category in resource.get("category", ()) for coding in category.get("coding", ())}


@contextmanager
def ehr() -> Iterator[Ehr]:
    """An empty one on a port of its own."""
    server = Ehr()
    with serving(server) as wire:
        server.wire = wire
        yield server
