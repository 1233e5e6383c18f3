"""What a server itself has under the numbers that we name: literal references beside our logical ones.

A logical reference names the patient (R4 references.html#logical), and most EHRs show only what refers to one of their
own Patients. Its Patient, ServiceRequest and ImagingStudy are looked up when a result is sent, and never written.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from cachetools import TTLCache

from adapters.fhir import systems
from adapters.fhir.client import FhirClient, FhirRefused, NotAllowed
from adapters.fhir.elements import Element
from adapters.fhir.entries import token
from adapters.fhir.tolerant import has_code, items, obj, text
from cds.errors import PeerRefused

_PATIENT, _ORDER, _IMAGES = _LOOKED_UP = ("Patient", "ServiceRequest", "ImagingStudy")
#: How long a look-up is believed, and how many are kept.
_BELIEVED_S, _MOST = 300.0, 10_000
_OURS = "urn:sightline:"
_ACCESSION = frozenset({systems.ACCESSION.code})
#: R4 Patient.link.type: whoever replaced it owns its results.
_REPLACED = "replaced-by"

#: Type, system and value of an identifier.
_Number = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Match:
    """One resource under a number. `exact`: under its system too; `others` are Patients that are the same person."""

    reference: str
    exact: bool = True
    stands: bool = True
    subject: str = ""
    others: tuple[str, ...] = ()


@dataclass(slots=True)
class _Found:
    """The look-ups of one Bundle."""

    matches: dict[_Number, tuple[_Match, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Directory:
    """One server's own Patients, ServiceRequests and ImagingStudies by identifier. Thread-safe."""

    def __init__(self, client: FhirClient, *, believed_s: float = _BELIEVED_S) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._known: TTLCache[_Number, tuple[_Match, ...]] = TTLCache(_MOST, believed_s)

    def literal(self, bodies: Sequence[Element], *, held_in_doubt: bool) -> tuple[list[Element], tuple[str, ...]]:
        """The bodies with literal references beside the logical ones that exactly one resource fits, and remarks.

        With `held_in_doubt` PeerRefused where several Patients have the number, or where the server has the images
        under another Patient: a person has to look. Otherwise such a reference stays as it is.
        """
        found = _Found()
        for number in dict.fromkeys(number for body in bodies for number in _numbers(body)):
            found.matches[number] = self._matches(number, found.notes)
        try:
            chosen = _chosen(found.matches, held_in_doubt)
        except PeerRefused:  # what a person mends meanwhile is looked up anew
            self._forget(found.matches)
            raise
        return [_with(body, chosen) for body in bodies], tuple(dict.fromkeys(found.notes))

    def _forget(self, numbers: Iterable[_Number]) -> None:
        with self._lock:
            for number in numbers:
                self._known.pop(number, None)

    def _matches(self, number: _Number, notes: list[str]) -> tuple[_Match, ...]:
        resource_type, system, _ = number
        unknown_to_it = system.startswith(_OURS)
        if not self._client.capability().searches(resource_type, "identifier"):
            return ()
        if unknown_to_it and resource_type != _ORDER:
            return ()
        with self._lock:
            known = self._known.get(number)
        if known is not None:
            return known
        try:
            found = tuple(self._search(number, any_system=unknown_to_it))
        except (FhirRefused, NotAllowed) as error:
            said = str(error.status) if isinstance(error, FhirRefused) else "it does not let us"
            notes.append(f"{resource_type} not looked up: {said}")
            return ()
        if len(found) == 1:
            with self._lock:
                self._known[number] = found
        return found

    def _search(self, number: _Number, *, any_system: bool) -> Iterator[_Match]:
        resource_type, system, value = number
        params = [("identifier", token("" if any_system else system, value))]
        for body in self._client.search(resource_type, params):
            held = [one for one in items(body.get("identifier")) if text(one.get("value")) == value]
            exact = [one for one in held if text(one.get("system")) == system]
            typed = [one for one in held if has_code(one.get("type"), _ACCESSION)]
            named = exact or (typed if any_system else [])
            if named and text(body.get("id")):
                yield self._match(resource_type, body, named, exact=bool(exact))

    def _match(
        self, resource_type: str, body: Mapping[str, object], named: Sequence[Mapping[str, object]], *, exact: bool
    ) -> _Match:
        links = items(body.get("link")) if resource_type == _PATIENT else []
        replaced = body.get("active") is False or any(link.get("type") == _REPLACED for link in links)
        old = all(one.get("use") == "old" for one in named)
        return _Match(
            reference=f"{resource_type}/{text(body.get('id'))}",
            exact=exact,
            stands=not replaced and not old and body.get("status") != "entered-in-error",
            subject=self._relative(obj(body.get("subject")).get("reference")),
            others=tuple(self._relative(obj(link.get("other")).get("reference")) for link in links),
        )

    def _relative(self, reference: object) -> str:
        return text(reference).removeprefix(f"{self._client.base_url}/").partition("/_history/")[0]


def _chosen(matches: Mapping[_Number, tuple[_Match, ...]], held_in_doubt: bool) -> dict[_Number, str]:
    """The literal reference of each number, "" where none or several fit."""
    patients = {number: of for number, of in matches.items() if number[0] == _PATIENT}
    chosen = {number: _patient(of, held_in_doubt) for number, of in patients.items()}
    literal, same = set(chosen.values()) - {""}, _same_persons(patients.values())
    for number, of in matches.items():
        if number[0] == _ORDER:
            chosen[number] = _order(of, literal)
        elif number[0] == _IMAGES:
            chosen[number] = _images(of, same if literal else set(), held_in_doubt)
    return chosen


def _patient(matches: Sequence[_Match], held_in_doubt: bool) -> str:
    standing = [match for match in matches if match.stands]
    if len(standing) > 1 and held_in_doubt:
        raise PeerRefused("several Patients there have the identifier of this patient: nothing is written")
    return standing[0].reference if len(standing) == 1 else ""


def _same_persons(patients: Iterable[tuple[_Match, ...]]) -> set[str]:
    """Every Patient that has the number, replaced ones too, and those that are linked to one."""
    matches = [match for of in patients for match in of]
    return {reference for match in matches for reference in (match.reference, *match.others)}


def _order(matches: Sequence[_Match], patients: set[str]) -> str:
    """The one order under the accession number; accession numbers are reused, so its patient must be ours."""
    fitting = [m for m in matches if m.stands and (m.subject in patients or (m.exact and not m.subject))]
    return fitting[0].reference if len(fitting) == 1 else ""


def _images(matches: Sequence[_Match], same: set[str], held_in_doubt: bool) -> str:
    standing = [match for match in matches if match.stands]
    elsewhere = [m for m in standing if same and m.subject.startswith(f"{_PATIENT}/") and m.subject not in same]
    if elsewhere and held_in_doubt:
        raise PeerRefused("the ImagingStudy of these images is another Patient's there: nothing is written")
    return standing[0].reference if len(standing) == 1 and not elsewhere else ""


def _numbers(value: object) -> Iterator[_Number]:
    """What is referred to by identifier alone, of the types that are looked up."""
    if isinstance(value, list):
        for member in value:
            yield from _numbers(member)
    elif isinstance(value, dict):
        number = _number(value)
        if number is not None:
            yield number
        for member in value.values():
            yield from _numbers(member)


def _number(element: Element) -> _Number | None:
    named, kind = obj(element.get("identifier")), text(element.get("type"))
    value = text(named.get("value"))
    if kind not in _LOOKED_UP or "reference" in element or not value:
        return None
    return kind, text(named.get("system")), value


def _with(value: Element, chosen: Mapping[_Number, str]) -> Element:
    return cast("Element", _replaced(value, chosen))


def _replaced(value: object, chosen: Mapping[_Number, str]) -> object:
    if isinstance(value, list):
        return [_replaced(member, chosen) for member in value]
    if not isinstance(value, dict):
        return value
    number = _number(value)
    literal = chosen.get(number, "") if number else ""
    rest = {name: _replaced(member, chosen) for name, member in value.items()}
    return {"reference": literal, **rest} if literal else rest
