"""A patient's chart out of a FHIR R4 Bundle, read and searched as a small FHIR server would.

What it does not know it refuses in words: a search that ignored a parameter would answer more than was asked.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from cds.errors import InvalidInput, InvalidResource, NotFound

Json = dict[str, object]

_TYPE = re.compile(r"[A-Z][A-Za-z]{0,63}")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_PREFIX = re.compile(r"(eq|ge|le|gt|lt)?(\d{4}(?:-\d\d(?:-\d\d.*)?)?)")
_DATES = ("effectiveDateTime", "issued", "performedDateTime", "occurrenceDateTime", "authoredOn", "date",
          "onsetDateTime", "recordedDate", "started")  # fmt: skip
_CODES = ("code", "medicationCodeableConcept", "vaccineCode")
_FILTERS = frozenset({"patient", "subject", "code", "combo-code", "category", "status", "date", "_id"})
_OTHERS = frozenset({"_sort", "_count", "_maxresults", "_include", "_format"})
_COUNT = re.compile(r"\d{1,6}")
_LONGEST_NAME = 40


class Chart:
    """One patient: the resources of a Bundle by type and id. Resources without an id get one."""

    def __init__(self, bundle: Mapping[str, object], name: str = "") -> None:
        self._held: dict[tuple[str, str], Json] = {}
        for entry in objects(bundle.get("entry")):
            resource = entry.get("resource")
            if isinstance(resource, dict):
                self.add(resource)
        patients = [one for (kind, _), one in self._held.items() if kind == "Patient"]
        if len(patients) != 1:
            raise InvalidInput(
                f"{name or 'the Bundle'}: want a FHIR R4 Bundle with one Patient, it has {len(patients)}"
            )
        self.patient = patients[0]
        self.patient_id = str(self.patient["id"])

    @property
    def title(self) -> str:
        """The patient as a banner names them."""
        name = next(iter(objects(self.patient.get("name"))), {})
        given = name.get("given")
        words = [str(name.get("text") or name.get("family") or ""), *(given if isinstance(given, list) else [])]
        told = ", ".join(str(word) for word in words if word) or f"Patient/{self.patient_id}"
        about = (self.patient.get("gender"), self.patient.get("birthDate"))
        return " · ".join([told, *(str(one) for one in about if one)])

    def __len__(self) -> int:
        return len(self._held)

    def first(self, resource_type: str) -> str:
        """The id of the first resource of a type; empty where there is none."""
        return next((name for kind, name in self._held if kind == resource_type), "")

    def add(self, resource: Mapping[str, object]) -> str:
        """Keep a resource, in place of one with the same id; answer Type/id."""
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
            raise InvalidResource("resourceType: want the type of a FHIR resource")
        given = resource.get("id")
        name = given if isinstance(given, str) and _ID.fullmatch(given) else str(uuid.uuid4())
        self._held[kind, name] = {**resource, "id": name}
        return f"{kind}/{name}"

    def remove(self, reference: str) -> bool:
        """Forget a resource by Type/id; False where it is not there."""
        kind, _, name = reference.partition("/")
        return self._held.pop((kind, name), None) is not None

    def read(self, resource_type: str, resource_id: str) -> Json:
        """The resource; raise NotFound."""
        found = self._held.get((resource_type, resource_id))
        if found is None:
            raise NotFound("the chart has no such resource")
        return found

    def search(self, query: str, base_url: str) -> Json:
        """A searchset of "Type?parameters"; raise InvalidResource for what this chart cannot search by."""
        kind, _, asked = query.partition("?")
        if not _TYPE.fullmatch(kind):
            raise InvalidResource("want the type of a FHIR resource before the '?'")
        params = parse_qsl(asked, keep_blank_values=True)
        _check(params)
        matches = [one for (of, _), one in self._held.items() if of == kind]
        for name, value in params:
            if name in _FILTERS:
                matches = [one for one in matches if _fits(one, name, value)]
        matches = _ordered(matches, params)
        whole, included = len(matches), self._included(matches, params)
        matches = _counted(matches, params)
        entries = [_entry(base_url, one, "match") for one in matches]
        entries += [_entry(base_url, one, "include") for one in included]
        link = {"relation": "self", "url": f"{base_url}/{query}"}
        told: Json = {"resourceType": "Bundle", "type": "searchset", "total": whole, "link": [link]}
        return told | ({"entry": entries} if entries else {})

    def _included(self, matches: Sequence[Json], params: Sequence[tuple[str, str]]) -> list[Json]:
        """What `_include=Type:parameter` brings along, each once."""
        found: dict[str, Json] = {}
        for name in (value.rpartition(":")[2] for key, value in params if key == "_include"):
            for one in matches:
                reference = str(the_object(one.get(f"{name}Reference") or one.get(name)).get("reference", ""))
                kind, _, own = reference.partition("/")
                if (kind, own) in self._held:
                    found[reference] = self._held[kind, own]
        return list(found.values())


def load(file: Path) -> Chart:
    """The chart of a file; raise InvalidInput where it is none."""
    try:
        bundle = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{file.name} cannot be read as JSON: {type(error).__name__}") from None
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise InvalidInput(f"{file.name}: want a FHIR R4 Bundle")
    return Chart(bundle, file.name)


def _entry(base_url: str, resource: Json, mode: str) -> Json:
    url = f"{base_url}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": url, "resource": resource, "search": {"mode": mode}}


def _check(params: Sequence[tuple[str, str]]) -> None:
    for name, value in params:
        if name not in _FILTERS | _OTHERS:
            raise InvalidResource(f"this chart does not search by {name[:_LONGEST_NAME]!r}")
        if name == "_sort" and value.lstrip("-") not in ("date", "_lastUpdated"):
            raise InvalidResource("_sort: this chart sorts by date alone")
        if name in ("_count", "_maxresults") and not _COUNT.fullmatch(value):
            raise InvalidResource(f"{name}: want a number")


def _fits(resource: Json, name: str, value: str) -> bool:
    if name in ("patient", "subject"):
        return any(_refers(resource, value, member) for member in ("subject", "patient", "beneficiary"))
    if name == "date":
        return _is_dated(resource, value)
    if name in ("status", "_id"):
        return resource.get(name.lstrip("_")) in value.split(",")
    return any(_is_coded(resource, name, token) for token in value.split(","))


def _ordered(matches: list[Json], params: Sequence[tuple[str, str]]) -> list[Json]:
    for name, value in params:
        if name == "_sort":
            return sorted(matches, key=_date, reverse=value.startswith("-"))
    return matches


def _counted(matches: list[Json], params: Sequence[tuple[str, str]]) -> list[Json]:
    """The first page; `total` says that there is more."""
    most = (int(value) for name, value in params if name in ("_count", "_maxresults"))
    return matches[: next(most, None)]


def _refers(resource: Json, value: str, member: str) -> bool:
    reference = str(the_object(resource.get(member)).get("reference", ""))
    return reference.rpartition("/")[2] == value.rpartition("/")[2] and reference.startswith(("Patient/", "http"))


def _is_coded(resource: Json, name: str, token: str) -> bool:
    system, bar, code = token.rpartition("|")
    members = ("category",) if name == "category" else _CODES
    concepts = [one for member in members for one in objects(resource.get(member))]
    if name == "combo-code":
        concepts += [the_object(part.get("code")) for part in objects(resource.get("component"))]
    codings = [one for concept in concepts for one in objects(concept.get("coding"))]
    return any(
        one.get("code") == code and (not bar or one.get("system", "") == system)
        if code
        else one.get("system") == system
        for one in codings
    )


def _is_dated(resource: Json, value: str) -> bool:
    """R4 search prefixes; a date is as precise as it is written."""
    found = _PREFIX.fullmatch(value)
    if found is None:
        raise InvalidResource("date: want eq, ge, le, gt or lt and a date")
    prefix, operand = found[1] or "eq", found[2]
    own = _date(resource)[: len(operand)]
    compared = {"eq": own == operand, "ge": own >= operand, "le": own <= operand, "gt": own > operand}
    return bool(own) and compared.get(prefix, own < operand)


def _date(resource: Json) -> str:
    """The date that a resource is known by; empty where it has none."""
    stated = next((resource[name] for name in _DATES if isinstance(resource.get(name), str)), "")
    return str(stated)


def objects(value: object) -> list[Json]:
    """The objects of what should be a list of them: others' JSON is not always what it should be."""
    found = value if isinstance(value, list) else [value]
    return [one for one in found if isinstance(one, dict)]


def the_object(value: object) -> Json:
    """What should be an object, empty where it is none."""
    return next(iter(objects(value)), {})
