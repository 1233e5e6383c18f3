"""Subscriptions at another FHIR server: making, renewing, finding and asking them (R4, and the R5 backport in R4).

R4 subscription.html; http://hl7.org/fhir/uv/subscriptions-backport, components.html. The secret stands in
channel.header, which servers keep to themselves; nothing here logs it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

from adapters.fhir.client import Answer, FhirClient, FhirRefused, Resource
from adapters.fhir.exchange import FHIR_JSON
from adapters.fhir.notification import moment, read_bundle
from adapters.fhir.tolerant import items, obj, text
from cds.domain.fhir_news import Remote, Wish
from cds.domain.notification import Notification
from cds.domain.subscription import SubscriptionState
from cds.errors import InvalidResource, NotFound, PeerFailed
from cds.fhir_peers import FhirSource

_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
_PROFILE = f"{_BACKPORT}backport-subscription"
_FILTER = f"{_BACKPORT}backport-filter-criteria"
_CONTENT = f"{_BACKPORT}backport-payload-content"
#: What is news: of images whether they are there, or were withdrawn; of reports what was signed, or taken back.
CRITERIA = {
    "ImagingStudy": "ImagingStudy?status=available,cancelled,entered-in-error",
    "DiagnosticReport": "DiagnosticReport?status=final,amended,corrected,appended,cancelled,entered-in-error",
}
_STATES = {
    "requested": SubscriptionState.REQUESTED,
    "active": SubscriptionState.ACTIVE,
    "error": SubscriptionState.ERROR,
    "off": SubscriptionState.OFF,
}
#: Notifications at most in one request, and how long the server may wait for our answer.
_MOST_AT_ONCE, _ANSWER_S = 20, 60
_GONE = frozenset({404, 410})
_ID = re.compile(r"[A-Za-z0-9\-.]{1,128}")


def build(wish: Wish, source: FhirSource, remote_id: str = "") -> dict[str, object]:
    """The Subscription of a wish, with `remote_id` as an update of that one."""
    resource: dict[str, object] = {
        "resourceType": "Subscription",
        **({"id": remote_id} if remote_id else {}),
        "status": "requested",
        "reason": f"{wish.resource_type} for imaging decision support",
        "end": wish.ends_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "criteria": CRITERIA[wish.resource_type],
        "channel": {
            "type": "rest-hook",
            "endpoint": wish.endpoint,
            "header": [f"Authorization: Bearer {wish.secret}"],
            **({"payload": FHIR_JSON} if _has_payload(wish, source) else {}),
        },
    }
    return _as_topic(resource, wish, source) if wish.kind == "topic" else resource


def _has_payload(wish: Wish, source: FhirSource) -> bool:
    """R4 knows an empty body or the whole resource; the backport says apart what is in the Bundle."""
    return wish.kind == "topic" or source.payload == "full-resource"


def _as_topic(resource: dict[str, object], wish: Wish, source: FhirSource) -> dict[str, object]:
    channel = obj(resource["channel"])
    return {
        **resource,
        "meta": {"profile": [_PROFILE]},
        "criteria": {str(name): topic for name, topic in source.topics.items()}[wish.resource_type],
        "_criteria": {"extension": [{"url": _FILTER, "valueString": CRITERIA[wish.resource_type]}]},
        "channel": {
            **channel,
            "extension": [
                {"url": f"{_BACKPORT}backport-heartbeat-period", "valueUnsignedInt": source.heartbeat_s},
                {"url": f"{_BACKPORT}backport-timeout", "valueUnsignedInt": _ANSWER_S},
                {"url": f"{_BACKPORT}backport-max-count", "valuePositiveInt": _MOST_AT_ONCE},
            ],
            "_payload": {"extension": [{"url": _CONTENT, "valueCode": source.payload}]},
        },
    }


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """The Subscriptions of one server. Errors as of `FhirClient`; NotFound where the server lost one."""

    client: FhirClient
    source: FhirSource

    def possible(self) -> bool:
        """Whether its CapabilityStatement lets us create them; raise Unavailable where it cannot be had."""
        return self.client.capability().can("Subscription", "create")

    def create(self, wish: Wish) -> Remote:
        """Make one. A failure does not say whether it was made: `at` finds it by its endpoint."""
        answer = self.client.send("POST", "Subscription", build(wish, self.source), prefer="return=representation")
        remote_id = text(answer.body.get("id")) or _id_in(answer.location)
        if not _ID.fullmatch(remote_id):
            raise PeerFailed(f"the FHIR server {self.client.name} does not say which id the Subscription has")
        return self._remote(remote_id, answer, wish)

    def renew(self, remote_id: str, wish: Wish) -> Remote:
        """Give it a new end and a new secret; NotFound where it is not there any more."""
        body = build(wish, self.source, remote_id)
        try:
            answer = self.client.send("PUT", f"Subscription/{remote_id}", body, prefer="return=representation")
        except FhirRefused as error:
            raise _gone(error) from None
        return self._remote(remote_id, answer, wish)

    def remove(self, remote_id: str) -> None:
        """Delete it; nothing happens where it is not there any more."""
        try:
            self.client.send("DELETE", f"Subscription/{remote_id}", None)
        except FhirRefused as error:
            if error.status not in _GONE:
                raise

    def at(self, endpoint: str) -> Sequence[str]:
        """The ids of those that notify this endpoint; () where the server does not search them by it."""
        if not self.client.capability().searches("Subscription", "url"):
            return ()
        try:
            found = list(self.client.search("Subscription", [("url", endpoint)], most=100))
        except FhirRefused:  # it lets us make them, and not look for them
            return ()
        ids = [text(one.get("id")) for one in found if obj(one.get("channel")).get("endpoint") == endpoint]
        return [one for one in ids if _ID.fullmatch(one)]

    def read(self, remote_id: str, wish: Wish) -> Remote:
        """As it is there now; `fits` says whether it is what is wished, its end and secret aside."""
        return self._told(remote_id, self.client.read(f"Subscription/{remote_id}"), wish)

    def status(self, remote_id: str) -> Notification:
        """$status; NotFound where the server has no such operation, or no such Subscription."""
        return self._asked(f"Subscription/{remote_id}/$status", ())

    def events(self, remote_id: str, first: int, last: int) -> Notification:
        """$events of these numbers; NotFound likewise."""
        return self._asked(
            f"Subscription/{remote_id}/$events", (("eventsSinceNumber", str(first)), ("eventsUntilNumber", str(last)))
        )

    def _asked(self, path: str, params: Sequence[tuple[str, str]]) -> Notification:
        try:
            body = self.client.get(path, params).body
        except FhirRefused as error:
            raise NotFound(
                f"the FHIR server {self.client.name} does not answer this operation: {error.status}"
            ) from None
        try:
            return read_bundle(_bundled(body), self.client.base_url)
        except InvalidResource as error:
            raise NotFound(f"the FHIR server {self.client.name} answers the operation otherwise: {error}") from None

    def _remote(self, remote_id: str, answer: Answer, wish: Wish) -> Remote:
        """What a create or update answers; a server that answers nothing is asked by and by."""
        if answer.body.get("resourceType") != "Subscription":
            return Remote(remote_id, SubscriptionState.REQUESTED, wish.ends_at)
        return self._told(remote_id, answer.body, wish)

    def _told(self, remote_id: str, resource: Resource, wish: Wish) -> Remote:
        return Remote(
            remote_id,
            _STATES.get(text(resource.get("status")), SubscriptionState.ERROR),
            moment(text(resource.get("end"))),
            "the server says that notifying failed" if text(resource.get("error")) else "",
            fits=_fits(resource, build(wish, self.source)),
        )


def _fits(resource: Resource, wanted: Resource) -> bool:
    """Whether it tells us what we want, where we want it. What a server leaves out of the extensions it cannot do."""
    channel, wished = obj(resource.get("channel")), obj(wanted.get("channel"))
    topic, own = (text(one.get("criteria")).partition("|")[0] for one in (resource, wanted))
    if topic != own or any(channel.get(name) != wished.get(name) for name in ("type", "endpoint", "payload")):
        return False
    there, asked = _extensions(resource), _extensions(wanted)
    return all(there[url] == asked[url] for url in there.keys() & asked.keys())


def _extensions(resource: Resource) -> dict[str, str]:
    channel = obj(resource.get("channel"))
    listed = [
        *items(obj(resource.get("_criteria")).get("extension")),
        *items(channel.get("extension")),
        *items(obj(channel.get("_payload")).get("extension")),
    ]
    return {text(one.get("url")): str(next((v for k, v in one.items() if k != "url"), "")) for one in listed}


def _bundled(body: Resource) -> Resource:
    """Some servers answer $status with the status alone."""
    if body.get("resourceType") in ("Parameters", "SubscriptionStatus"):
        return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": body}]}
    return body


def _id_in(location: str) -> str:
    """The id in the Location of a create: [base]/Subscription/[id]/_history/[vid]."""
    parts = location.split("/")
    return parts[parts.index("Subscription") + 1] if "Subscription" in parts[:-1] else ""


def _gone(error: FhirRefused) -> Exception:
    return NotFound("the server does not have this Subscription any more") if error.status in _GONE else error
