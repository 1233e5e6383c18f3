"""Whether what is emitted or sent is R4: structure, required bindings, formats, references, check digits, invariants.

`check` reads JSON as it goes out. It knows the types that Sightline makes: any other is refused, never waved through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import cast

from adapters.fhir import check_digits
from adapters.fhir.primitives import PRIMITIVES, is_absolute, is_id, is_language, is_mime, is_uri
from adapters.fhir.rules import RULES
from adapters.fhir.structure import MIMETYPES, RESOURCE_TYPES, STRUCTURES, Member, Structure
from adapters.fhir.tolerant import items
from cds.codes import LOINC, SNOMED
from cds.errors import InvalidResource

Json = Mapping[str, object]

#: Code systems whose codes carry a check digit.
_CHECK_DIGITS = {SNOMED: check_digits.snomed, LOINC: check_digits.loinc}
#: What the store of a server writes, and a contained resource has not (dom-4, dom-5).
_NOT_CONTAINED = ("versionId", "lastUpdated", "security")


def check(body: Json) -> None:
    """Raise InvalidResource naming the element and the rule, never the value, where a resource or Bundle is not R4."""
    named = body.get("resourceType")
    try:
        _Reading(body).resource(body)
    except _BrokenError as broken:
        where = ".".join(reversed(broken.path)) or "resourceType"
        what = named if isinstance(named, str) and named in RESOURCE_TYPES else "Resource"
        raise InvalidResource(f"{what} does not conform to R4 at {where}: {broken.rule}") from None


class _BrokenError(Exception):
    """A rule that does not hold. The path grows while it rises: what is right does not pay for it."""

    def __init__(self, rule: str, *path: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.path = list(path)


class _Reading:
    """One check of a resource or Bundle, and what references inside it can mean."""

    def __init__(self, root: Json) -> None:
        self._entries = dict(_full_urls(root))
        self._contained: dict[str, str] = {}
        self._used: set[str] = set()

    def resource(self, body: object) -> None:
        """One resource with what it contains."""
        outer = self._contained, self._used
        self._contained, self._used = dict(_contained(body)), set()
        self._inner(body)
        if self._contained.keys() - self._used:
            raise _BrokenError("dom-3: want a reference to each contained resource", "contained")
        self._contained, self._used = outer

    def _inner(self, body: object) -> None:
        kind = body.get("resourceType") if isinstance(body, Mapping) else None
        if not isinstance(kind, str) or kind not in RESOURCE_TYPES:
            raise _BrokenError("want a type of resource that Sightline makes", "resourceType")
        self._element(body, kind)

    def _element(self, value: object, kind: str) -> None:
        structure = STRUCTURES[kind]
        if not isinstance(value, Mapping) or not value:
            raise _BrokenError("ele-1: want an object that is not empty")
        for name, member in value.items():
            found = structure.members.get(name)
            try:
                if found is None:
                    self._companion(name, member, value, structure)
                elif found.many:
                    self._list(member, found, value.get(f"_{name}"))
                else:
                    self._value(member, found)
            except _BrokenError as broken:
                broken.path.append(name)
                raise
        _cardinality(value, structure)
        for rule in RULES.get(kind, ()):
            if not rule.holds(value):
                raise _BrokenError(f"{rule.key}: {rule.text}", *rule.at)

    def _list(self, members: object, found: Member, companions: object) -> None:
        if not isinstance(members, list) or not members:
            raise _BrokenError("want an array that is not empty")
        for place, member in enumerate(members):
            if member is None and isinstance(companions, list) and any(companions[place : place + 1]):
                continue
            try:
                self._value(member, found)
            except _BrokenError as broken:
                broken.path.append(str(place))
                raise

    def _value(self, value: object, found: Member) -> None:
        right = PRIMITIVES.get(found.type)
        if right is not None:
            if not right(value):
                raise _BrokenError(f"want {found.type}")
            _bound(value, found)
        elif found.type == "Resource" and found.many:
            self._inside(value)
        elif found.type == "Resource" or found.type in RESOURCE_TYPES:
            self.resource(value)
        else:
            self._element(value, found.type)
            more = _MORE.get(found.type)
            if more is not None:
                more(self, cast("Json", value), found)

    def _inside(self, value: object) -> None:
        """A contained resource."""
        self._inner(value)
        body = cast("Json", value)
        if "contained" in body:
            raise _BrokenError("dom-2: a contained resource contains none", "contained")
        meta = body.get("meta")
        if isinstance(meta, Mapping) and any(name in meta for name in _NOT_CONTAINED):
            raise _BrokenError("dom-4, dom-5: a contained resource has no version and no security label", "meta")

    def _companion(self, name: str, value: object, beside: Json, structure: Structure) -> None:
        """`_name`, which says of a primitive what JSON has no room for: its id and extensions (R4 json.html)."""
        found = structure.members.get(name[1:]) if name.startswith("_") else None
        if found is None or found.type not in PRIMITIVES:
            raise _BrokenError("want an element of this type")
        listed = value if found.many else [value]
        values = beside.get(name[1:], listed) if found.many else listed
        if not isinstance(listed, list) or not isinstance(values, list) or len(values) != len(listed):
            raise _BrokenError("want as many members as there are values")
        for one in listed:
            if one is not None or not found.many:
                self._element(one, "Element")

    def reference(self, value: Json, found: Member) -> None:
        """Where a reference points, and whether R4 lets it point there."""
        literal, stated = value.get("reference"), value.get("type")
        kinds = {str(kind) for kind in (self._target(literal), stated) if kind}
        if len(kinds) > 1:
            raise _BrokenError("want the type that the reference has", "type")
        if found.targets and kinds - found.targets:
            raise _BrokenError(f"want a reference to {' or '.join(sorted(found.targets))}")

    def _target(self, literal: object) -> str:
        """The type that a literal reference names, "" where there is none."""
        if not isinstance(literal, str):
            return ""
        if literal.startswith("#"):
            if literal[1:] not in self._contained:
                raise _BrokenError("ref-1: want the id of a contained resource", "reference")
            self._used.add(literal[1:])
            return self._contained[literal[1:]]
        if literal.startswith("urn:"):
            if literal not in self._entries:
                raise _BrokenError("want the fullUrl of an entry of the same Bundle", "reference")
            return self._entries[literal]
        kind = _named(literal, conditional=bool(self._entries))
        if not kind:
            raise _BrokenError("want [base/]Type/id[/_history/version]", "reference")
        return kind


def _named(literal: str, *, conditional: bool) -> str:
    """The type in a literal reference (R4 references.html#literal), "" where it has another form.

    In a transaction it may be a search: `conditional`.
    """
    path, versioned, version = literal.partition("/_history/")
    path, asked, _ = path.partition("?")
    rest, _, last = path.rpartition("/")
    kind = last if asked else rest.rpartition("/")[2]
    right = conditional if asked else is_id(last) and (not versioned or is_id(version))
    return kind if right and kind.isalpha() and kind[:1].isupper() else ""


def _coding(reading: _Reading, value: Json, found: Member) -> None:
    """A system is a URI, and a code has the check digit that its system wants."""
    system, code = value.get("system"), value.get("code")
    _absolute(value)
    right = _CHECK_DIGITS.get(str(system))
    if right is not None and code is not None and not right(str(code)):
        raise _BrokenError("want a code whose check digit is right", "code")


def _identifier(reading: _Reading, value: Json, found: Member) -> None:
    _absolute(value)
    stated = str(value.get("value", ""))
    if stated.startswith("urn:") and not is_absolute(stated):
        raise _BrokenError("want the form of its urn:", "value")


def _attachment(reading: _Reading, value: Json, found: Member) -> None:
    if "language" in value and not is_language(value["language"]):
        raise _BrokenError("want a language tag (BCP 47)", "language")


def _extension(reading: _Reading, value: Json, found: Member) -> None:
    """The parts of an extension have names of its own; itself it has an absolute one (R4 extensibility.html)."""
    part = found is STRUCTURES["Extension"].members["extension"]
    if not (is_uri(value["url"]) if part else is_absolute(str(value["url"]))):
        raise _BrokenError("want an absolute URI", "url")


def _absolute(value: Json) -> None:
    if "system" in value and not is_absolute(str(value["system"])):
        raise _BrokenError("want an absolute URI", "system")


_MORE: Mapping[str, Callable[[_Reading, Json, Member], None]] = {
    "Attachment": _attachment,
    "Coding": _coding,
    "Extension": _extension,
    "Identifier": _identifier,
    "Quantity": lambda reading, value, found: _absolute(value),
    "Reference": _Reading.reference,
}


def _bound(value: object, found: Member) -> None:
    if not found.binding:
        return
    if found.binding == MIMETYPES:
        if not is_mime(value):
            raise _BrokenError("want a media type (BCP 13)")
    elif value not in found.codes:
        raise _BrokenError(f"want a code of {found.value_set}")


def _cardinality(value: Json, structure: Structure) -> None:
    for names in structure.required:
        if not any(name in value or f"_{name}" in value for name in names):
            raise _BrokenError("want this element", names[0])
    for names in structure.choices:
        if sum(name in value or f"_{name}" in value for name in names) > 1:
            raise _BrokenError("want one type of value alone", names[0])


def _full_urls(root: Json) -> Iterator[tuple[str, str]]:
    """The fullUrls of a Bundle with the types of their resources."""
    for entry in items(root.get("entry")):
        url, resource = entry.get("fullUrl"), entry.get("resource")
        if isinstance(url, str) and isinstance(resource, Mapping):
            yield url, str(resource.get("resourceType"))


def _contained(body: object) -> Iterator[tuple[str, str]]:
    for resource in items(body.get("contained") if isinstance(body, Mapping) else None):
        if isinstance(resource.get("id"), str):
            yield str(resource["id"]), str(resource.get("resourceType"))
