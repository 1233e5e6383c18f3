"""The entries of a Bundle of ours: how a server's copy is found, what refers to what, and what may be written when."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import quote

from adapters.fhir import systems
from adapters.fhir.elements import Element
from adapters.fhir.tolerant import items, obj, text
from cds.errors import InvalidInput

IN_ERROR = "entered-in-error"
_MAIN, _LAST = "DiagnosticReport", "Provenance"
_URN = "urn:uuid:"


@dataclass(frozen=True, slots=True)
class Key:
    """What finds a server's copy of a resource: its identifier, or its tag where R4 gives it none (Provenance)."""

    param: str
    system: str
    value: str

    @property
    def token(self) -> str:
        """As a value of a search (R4 search.html#token, search.html#escaping)."""
        return token(self.system, self.value)

    @property
    def condition(self) -> str:
        """As the query of a conditional request, percent-encoded."""
        return f"{self.param}={quote(self.token, safe=':')}"

    def names(self, body: Mapping[str, object]) -> bool:
        """True where a resource has it: a server that ignores a parameter finds others too."""
        listed, name = (obj(body.get("meta")).get("tag"), "code") if self.param == "_tag" else (_numbers(body), "value")
        return any((text(one.get("system")), text(one.get(name))) == (self.system, self.value) for one in items(listed))


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource of a Bundle, without an id. `once`: it is made where it is not there, and never changed."""

    full_url: str
    body: Element
    key: Key
    once: bool = False

    @property
    def type(self) -> str:
        """Its resource type."""
        return cast("str", self.body["resourceType"])

    @property
    def own_id(self) -> str:
        """Our own id of it, a UUID."""
        return self.full_url.removeprefix(_URN)

    @property
    def withdrawn(self) -> bool:
        """True where it says that it does not hold any more."""
        return self.body.get("status") == IN_ERROR

    @property
    def logical(self) -> Element:
        """A reference to it that needs no id; {} where it has no identifier."""
        if self.key.param != "identifier":
            return {}
        return {"type": self.type, "identifier": {"system": self.key.system, "value": self.key.value}}


def read(bundle: Mapping[str, object]) -> tuple[Entry, ...]:
    """The entries of a Bundle as `transaction.transaction` makes it; raise InvalidInput for any other."""
    found = tuple(_entry(entry) for entry in items(bundle.get("entry")))
    if bundle.get("type") != "transaction" or not found:
        raise InvalidInput("want a transaction Bundle of ours to send")
    return found


def token(system: str, value: str) -> str:
    """The value of a token parameter, its special characters escaped."""
    escaped = value.replace("\\", "\\\\").replace("|", "\\|").replace(",", "\\,").replace("$", "\\$")
    return f"{system}|{escaped}" if system else escaped


def key_of(body: Mapping[str, object]) -> Key:
    """The tag that we gave a Provenance, else the first identifier; raise InvalidInput where it has neither."""
    for tag in items(obj(body.get("meta")).get("tag")):
        if tag.get("system") == systems.PROVENANCE_TAG:
            return Key("_tag", systems.PROVENANCE_TAG, text(tag.get("code")))
    for number in items(_numbers(body)):
        if number.get("system") and number.get("value"):
            return Key("identifier", text(number["system"]), text(number["value"]))
    raise InvalidInput("want an identifier in a resource that is sent to a FHIR server")


def references(value: object) -> Iterator[str]:
    """The fullUrls that a resource names."""
    if isinstance(value, list):
        for member in value:
            yield from references(member)
    elif isinstance(value, dict):
        target = value.get("reference")
        if isinstance(target, str) and target.startswith(_URN):
            yield target
        for member in value.values():
            yield from references(member)


def rewritten(body: Element, instead: Mapping[str, Element]) -> Element:
    """A resource with other elements in place of its references to fullUrls; {} drops one, and what it leaves empty."""
    return cast("Element", _rewritten(body, instead) or {})


def in_order(entries: Sequence[Entry], standing: Collection[str]) -> list[Entry]:
    """One by one so that a reader never meets a reference to nothing, nor a report before all that it refers to.

    First a report that is withdrawn, as soon as what it names is there (`standing` has the fullUrls); what a new
    version of a report leaves out after it, so that no report stands on it; Provenance at the end. In a circle the
    DiagnosticReport and the Provenance are the last.
    """
    left, placed = list(entries), []
    while left:
        names = {entry.full_url for entry in left}
        ready = [entry for entry in left if not _waits_for(entry, names, standing)]
        following = min(ready or left, key=_rank)
        placed.append(following)
        left.remove(following)
    return placed


def _waits_for(entry: Entry, names: set[str], standing: Collection[str]) -> set[str]:
    wanted = (set(references(entry.body)) & names) - {entry.full_url}
    return wanted - set(standing) if _rank(entry) == 0 else wanted


def _rank(entry: Entry) -> int:
    if entry.type == _MAIN:
        return 0 if entry.withdrawn else 2
    if entry.type == _LAST:
        return 4
    return 3 if entry.withdrawn else 1


def _entry(entry: Mapping[str, object]) -> Entry:
    resource, request = dict(obj(entry.get("resource"))), obj(entry.get("request"))
    full_url = text(entry.get("fullUrl"))
    if not full_url.startswith(_URN) or not isinstance(resource.get("resourceType"), str):
        raise InvalidInput("want a resource under urn:uuid in every entry of a Bundle to send")
    resource.pop("id", None)
    return Entry(full_url, resource, key_of(resource), once=request.get("method") == "POST")


def _numbers(body: Mapping[str, object]) -> object:
    """R4 has one identifier in some types and many in others."""
    found = body.get("identifier")
    return [found] if isinstance(found, dict) else found


def _rewritten(value: object, instead: Mapping[str, Element]) -> object:
    if isinstance(value, list):
        return [kept for member in value if (kept := _rewritten(member, instead)) not in ({}, []) or kept == member]
    if not isinstance(value, dict):
        return value
    named = value.get("reference")
    if isinstance(named, str) and named in instead:
        rest = {name: member for name, member in value.items() if name != "reference"}
        value = {**rest, **instead[named]}
        return value if set(value) - {"type"} else {}
    whole = {name: _rewritten(member, instead) for name, member in value.items()}
    kept = {name: member for name, member in whole.items() if member not in ({}, []) or member == value[name]}
    return {} if set(value) > set(kept) == {"url"} else kept
