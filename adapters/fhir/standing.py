"""What of ours stands at a server already: found by our identifiers, and compared with what we would write."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from adapters.fhir.client import FhirClient, NotAllowed
from adapters.fhir.elements import Element
from adapters.fhir.entries import Entry
from adapters.fhir.tolerant import items, obj, text
from adapters.fhir.ways import Way
from cds.errors import NotFound, PeerFailed, PeerRefused

#: So many are asked for in one search: a query by GET stays below the 8 KB that servers take.
_AT_ONCE = 20
#: What a server writes itself.
_SERVERS_OWN = frozenset({"resourceType", "id", "meta", "text", "implicitRules"})
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d.*")


@dataclass(frozen=True, slots=True)
class Standing:
    """A server's copy of a resource of ours."""

    type: str
    id: str
    body: Mapping[str, object]

    @property
    def etag(self) -> str:
        """What If-Match wants of an update of just this version (R4 http.html#concurrency); "" where it has none."""
        version = text(obj(self.body.get("meta")).get("versionId"))
        return f'W/"{version}"' if version else ""


def find(client: FhirClient, ways: Mapping[str, Way], entries: Sequence[Entry]) -> dict[str, Standing]:
    """The copies that stand there, by fullUrl. Raise PeerRefused where a number of ours is on several resources."""
    found: dict[str, Standing] = {}
    for resource_type, way in ways.items():
        mine = [entry for entry in entries if entry.type == resource_type]
        try:
            for full_url, standing in _of_type(client, way, mine):
                if found.setdefault(full_url, standing).id != standing.id:
                    raise PeerRefused(f"several {resource_type} there have one number of ours: nothing is written")
        except NotAllowed:
            # It may let us write without letting us look: a condition or our own id still keeps a repeat from a second.
            if not (way.conditional_update or way.own):
                raise
    return found


def same(ours: Element, theirs: Mapping[str, object], base_url: str) -> bool:
    """True where an update would change nothing; what the server adds by itself does not count."""
    names = (set(ours) | set(theirs)) - _SERVERS_OWN | (set(ours) & {"text"})
    if any(not _alike(ours.get(name), theirs.get(name), base_url) for name in names):
        return False
    mine, other = obj(ours.get("meta")), obj(theirs.get("meta"))
    return all(_labels(mine.get(name)) <= _labels(other.get(name)) for name in ("security", "tag", "profile"))


def _of_type(client: FhirClient, way: Way, entries: Sequence[Entry]) -> Iterator[tuple[str, Standing]]:
    if not way.finds:
        yield from _by_own_id(client, entries) if way.reads else ()
        return
    for start in range(0, len(entries), _AT_ONCE):
        some = entries[start : start + _AT_ONCE]
        params = [(some[0].key.param, ",".join(entry.key.token for entry in some))]
        for body in client.search(some[0].type, params):
            for entry in some:
                if entry.key.names(body):
                    yield entry.full_url, _standing(entry.type, body)


def _by_own_id(client: FhirClient, entries: Sequence[Entry]) -> Iterator[tuple[str, Standing]]:
    for entry in entries:
        try:
            yield entry.full_url, _standing(entry.type, client.read(f"{entry.type}/{entry.own_id}"))
        except NotFound:
            continue


def _standing(resource_type: str, body: Mapping[str, object]) -> Standing:
    number = text(body.get("id"))
    if not number:
        raise PeerFailed(f"the FHIR server finds a {resource_type} without an id")
    return Standing(resource_type, number, body)


def _labels(listed: object) -> set[str]:
    plain = {one for one in listed if isinstance(one, str)} if isinstance(listed, list) else set()
    return plain | {f"{text(one.get('system'))}|{text(one.get('code'))}" for one in items(listed)}


def _alike(ours: object, theirs: object, base_url: str) -> bool:
    if isinstance(ours, list) and isinstance(theirs, list):
        pairs = zip(ours, theirs, strict=False)
        return len(ours) == len(theirs) and all(_alike(one, other, base_url) for one, other in pairs)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return _alike_elements(ours, theirs, base_url)
    if isinstance(ours, str) and isinstance(theirs, str):
        return ours == theirs or _moment(ours) == _moment(theirs) != ""
    return ours == theirs


def _alike_elements(ours: Element, theirs: Element, base_url: str) -> bool:
    """Of two literal references the target alone counts: servers add a type or a display."""
    target, other = ours.get("reference"), theirs.get("reference")
    if isinstance(target, str) and isinstance(other, str):
        return other.removeprefix(f"{base_url}/").partition("/_history/")[0] == target
    return set(ours) == set(theirs) and all(_alike(ours[name], theirs[name], base_url) for name in ours)


def _moment(written: str) -> str:
    """An instant or dateTime in UTC, so that two ways of writing it compare; "" for any other string."""
    if not _MOMENT.fullmatch(written):
        return ""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return ""
    return at.astimezone(UTC).isoformat() if at.tzinfo else ""
