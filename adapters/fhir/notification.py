"""Reading what FHIR servers notify: Bundles of the R5 Subscriptions backport, as R4, R4B and R5 write them, and pings.

The backport in R4: http://hl7.org/fhir/uv/subscriptions-backport, notifications.html. R4's own rest-hook (R4
subscription.html#2.46.7.1) sends an empty body, or the resource itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import orjson

from adapters.fhir.tolerant import items, obj, text
from cds.domain.fhir_news import Found
from cds.domain.notification import Notification, NotificationType, Told
from cds.domain.subscription import SubscriptionState
from cds.errors import InvalidResource

Resource = Mapping[str, object]

#: R4: history; R4B and R5: subscription-notification; what $status and $events answer may be a searchset.
_BUNDLES = frozenset({"history", "subscription-notification", "searchset", "collection"})
_TYPES = frozenset(kind.value for kind in NotificationType if kind is not NotificationType.PING)
#: http://hl7.org/fhir/R4/valueset-subscription-status.html, and entered-in-error of R5.
_STATES = {
    "requested": SubscriptionState.REQUESTED,
    "active": SubscriptionState.ACTIVE,
    "error": SubscriptionState.ERROR,
    "off": SubscriptionState.OFF,
    "entered-in-error": SubscriptionState.OFF,
}
_REFERENCE = re.compile(
    r"([A-Z][A-Za-z]{1,63})/((?!\.+(?:/|$))[A-Za-z0-9\-.]{1,128})(?:/_history/[A-Za-z0-9\-.]{1,128})?"
)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,128}")
_HIGHEST = 2**31 - 1
_FIRST_YEAR, _LAST_YEAR = 1970, 2999
_CODE = re.compile(r"[a-z\-]{1,40}")


def read_notification(body: bytes, base_url: str, *, resource_type: str = "", resource_id: str = "") -> Notification:
    """What a request to our endpoint says; `base_url` is the server's, what it names elsewhere is not asked for.

    `resource_type` and `resource_id` stand in the address where R4's own rest-hook sends the resource by PUT. Raise
    InvalidResource for anything that is no notification.
    """
    if not body.strip():
        return Notification(NotificationType.PING)
    resource = _object(body)
    if resource.get("resourceType") == "Bundle":
        return read_bundle(resource, base_url)
    if (resource_type, resource_id) not in (("", ""), (resource.get("resourceType"), resource.get("id"))):
        raise InvalidResource("want the type and the id of the address in the resource (R4 http.html#update)")
    found = found_in(resource)
    return Notification(NotificationType.PING, events=(_told(found),))


def read_bundle(bundle: Resource, base_url: str) -> Notification:
    """A notification Bundle, or what $status and $events answer; raise InvalidResource."""
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") not in _BUNDLES:
        raise InvalidResource("want a Bundle of type history or subscription-notification")
    entries = items(bundle.get("entry"))
    said = next(filter(None, (_status(obj(entry.get("resource"))) for entry in entries)), None)
    if said is None:
        raise InvalidResource("want the SubscriptionStatus, in R4 a Parameters resource, in Bundle.entry")
    here = [one for entry in entries if (one := _whole(obj(entry.get("resource"))))]
    return _notification(said, {f"{one.type}/{one.id}": one for one in here}, base_url)


def found_in(resource: Resource) -> Found:
    """A version of a resource; raise InvalidResource where it has no type or id.

    Without meta.versionId the moment of its last change stands for the version, else its content. What is nested too
    deeply has no body here.
    """
    resource_type, resource_id = text(resource.get("resourceType")), text(resource.get("id"))
    if not _REFERENCE.fullmatch(f"{resource_type}/{resource_id}"):
        raise InvalidResource("want a resource with its resourceType and id")
    meta, stated = obj(resource.get("meta")), text(obj(resource.get("meta")).get("versionId"))
    changed = moment(text(meta.get("lastUpdated")))
    version = stated if _ID.fullmatch(stated) else changed.isoformat() if changed else _digest(resource)
    return Found(resource_type, resource_id, version, changed, _encoded(resource))


def local_reference(reference: object, base_url: str) -> str:
    """ "Type/id" of a literal reference that the server itself has; "" for every other."""
    at = text(reference)
    path = at.removeprefix(f"{base_url}/")
    match = _REFERENCE.fullmatch(path)
    return f"{match[1]}/{match[2]}" if match else ""


def moment(value: str) -> datetime | None:
    """An instant in UTC; None where it has no offset, is none, or lies where no server was ever changed."""
    try:
        at = datetime.fromisoformat(value)
        return at.astimezone(UTC) if at.tzinfo and _FIRST_YEAR <= at.year <= _LAST_YEAR else None
    except (ValueError, OverflowError):
        return None


def _object(body: bytes) -> Resource:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidResource("want a body that is empty or a FHIR resource as JSON") from None
    if not isinstance(found, dict):
        raise InvalidResource("want a body that is empty or a FHIR resource as JSON")
    return found


def _status(resource: Resource) -> Resource | None:
    """The status as R4B and R5 have it; R4 writes the same as Parameters."""
    if resource.get("resourceType") == "SubscriptionStatus":
        return resource
    if resource.get("resourceType") != "Parameters":
        return None
    named = {text(one.get("name")): one for one in items(resource.get("parameter"))}
    if "type" not in named and "status" not in named:
        return None
    said = {_MEMBERS[name]: _value(one) for name, one in named.items() if name in _MEMBERS}
    events = [one for one in items(resource.get("parameter")) if one.get("name") == "notification-event"]
    errors = [{"coding": [_value(one)]} for one in (named.get("error"),) if one]
    return {**said, "notificationEvent": [_parts(one) for one in events], "error": errors}


_MEMBERS = {
    "subscription": "subscription",
    "status": "status",
    "type": "type",
    "events-since-subscription-start": "eventsSinceSubscriptionStart",
}


def _parts(event: Resource) -> Resource:
    parts = {text(part.get("name")): _value(part) for part in items(event.get("part"))}
    return {"eventNumber": parts.get("event-number"), "focus": parts.get("focus")}


def _value(parameter: Resource) -> object:
    return next((value for name, value in parameter.items() if name.startswith("value")), None)


def _notification(said: Resource, there: Mapping[str, Found], base_url: str) -> Notification:
    kind = text(said.get("type"))
    if kind not in _TYPES:
        raise InvalidResource("SubscriptionStatus.type wants a code of subscription-notification-type")
    subscription = text(obj(said.get("subscription")).get("reference")).rstrip("/").rpartition("/")[2]
    errors = [text(code.get("code")) for error in items(said.get("error")) for code in items(error.get("coding"))]
    return Notification(
        NotificationType(kind),
        subscription=subscription if _ID.fullmatch(subscription) else "",
        state=_STATES.get(text(said.get("status"))),
        count=_number(said.get("eventsSinceSubscriptionStart")),
        events=tuple(_events(said, there, base_url)),
        error=", ".join(code for code in errors if _CODE.fullmatch(code)),
    )


def _events(said: Resource, there: Mapping[str, Found], base_url: str) -> Iterator[Told]:
    for event in items(said.get("notificationEvent")):
        named = local_reference(obj(event.get("focus")).get("reference"), base_url)
        came, number = there.get(named), _number(event.get("eventNumber"))
        yield Told(number, came.reference, came.body) if came else Told(number, named)


def _number(value: object) -> int | None:
    """An integer64, which JSON of R5 writes as a string, as the backport does in R4."""
    if value is None:
        return None
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value):
        number = int(value)
    if number is None or not 0 <= number <= _HIGHEST:
        raise InvalidResource("want the numbers of a notification as whole numbers, none negative")
    return number


def _whole(resource: Resource) -> Found | None:
    """A resource that came along; None where it does not say which version it is: then it is read."""
    if not _ID.fullmatch(text(obj(resource.get("meta")).get("versionId"))) or not text(resource.get("id")):
        return None
    return found_in(resource)


def _told(found: Found) -> Told:
    """The resource of a rest-hook of R4's own; without its version it is read."""
    whole = _whole(_object(found.body))
    return Told(None, found.reference, found.body) if whole else Told(None, f"{found.type}/{found.id}")


def _digest(resource: Resource) -> str:
    canonical = _encoded(resource, orjson.OPT_SORT_KEYS)
    return f"sha256-{hashlib.sha256(canonical).hexdigest()[:40]}"


def _encoded(resource: Resource, option: int = 0) -> bytes:
    """The JSON of a resource; b"" where it cannot be written, though it could be read: it is nested too deeply."""
    try:
        return orjson.dumps(resource, option=option)
    except orjson.JSONEncodeError:
        return b""
