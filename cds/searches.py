"""How a FHIR server is asked for what pathways want to know of a patient (R4 search.html), told in one place.

Clients of CDS Hooks are asked for the same as the servers that we search ourselves. What has codes of its own is
searched by them; problem lists, allergies, drugs, vaccinations and relatives are taken whole: their codes are those of
many systems, and ICD-10 stands for all that is below.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from cds import codes
from cds.codes import CPT, LOINC, SNOMED, ValueSet
from cds.value_sets import ICD10, Kind

_OBSERVED, _DONE, _REPORTED = frozenset({LOINC, SNOMED}), frozenset({SNOMED, CPT}), frozenset({LOINC, SNOMED, CPT})
#: Kinds that are taken whole: the types of R4 that hold them, by the key and the words that they are asked under.
_WHOLE: tuple[tuple[str, str, str, tuple[Kind, ...]], ...] = (
    ("conditions", "Condition", "conditions", ("condition", "symptom")),
    ("allergies", "AllergyIntolerance", "allergies", ("allergy",)),
    ("prescriptions", "MedicationRequest", "prescriptions", ("medication",)),
    ("medications", "MedicationStatement", "medication statements", ("medication",)),
    ("immunizations", "Immunization", "immunizations", ("immunization",)),
    ("familyHistory", "FamilyMemberHistory", "family history", ("family-history",)),
)
#: Kinds that are searched by code, all of one type at once.
_BY_CODE: tuple[tuple[str, str, str, Kind, frozenset[str]], ...] = (
    ("procedures", "Procedure", "procedures", "procedure", _DONE),
    ("reports", "DiagnosticReport", "diagnostic reports", "procedure", _REPORTED),
    ("requests", "ServiceRequest", "requests", "request", _REPORTED),
)
#: Characters of codes in one query: addresses of 2,000 are understood everywhere.
_LONGEST = 1500
#: Names under which clients know a search.
_KEYS = {"smoking-status": "smoking"}


@dataclass(frozen=True, slots=True)
class Search:
    """One search for a patient's resources of a type, and the value sets that it answers, by name.

    `codes` are the tokens of the parameter `code`, all of the type where there are none; `panels` those of observations
    that hold it as a component, for servers that do not search components. `source` is how the search is called to a
    reader, `key` in the prefetch of CDS Hooks.
    """

    key: str
    type: str
    source: str
    covers: tuple[str, ...]
    codes: tuple[str, ...] = ()
    panels: tuple[str, ...] = ()

    @property
    def newest_first(self) -> bool:
        """True where it asks for the newest first."""
        return self.type == "Observation"

    @property
    def include(self) -> str:
        """What has to come along: a prescription may name its drug by a reference."""
        return f"{self.type}:medication" if self.type in ("MedicationRequest", "MedicationStatement") else ""


def searches(asked: Iterable[ValueSet]) -> tuple[Search, ...]:
    """The searches that answer these value sets, in a fixed order, each once."""
    sets = tuple(dict.fromkeys(map(_loaded, asked)))
    return (*_observations(sets), *_coded(sets), *_whole(sets))


def _loaded(value_set: ValueSet) -> ValueSet:
    """Without codes that are not verified; open requests have those of the site's own catalogue besides."""
    return value_set if value_set.kind == "request" else codes.loaded().get(value_set.name, value_set)


def covered(made: Iterable[Search], complete: Collection[Search]) -> tuple[str, ...]:
    """The value sets of which all searches that were wanted came back whole: what they lack is not there."""
    wanted = tuple(made)
    lacking = {name for search in wanted if search not in complete for name in search.covers}
    return tuple(dict.fromkeys(name for search in wanted for name in search.covers if name not in lacking))


def _observations(sets: Collection[ValueSet]) -> Iterable[Search]:
    """One for each value set, so that the newest value of one is not behind a thousand of another."""
    for value_set in sets:
        systems = {"answer": _OBSERVED, "measurement": _OBSERVED, "procedure": frozenset({LOINC})}.get(value_set.kind)
        if systems and (tokens := _tokens((value_set,), systems)):
            panels = tuple(f"{entry.coding.system}|{entry.coding.code}" for entry in value_set.panels)
            source = f"FHIR {value_set.title} observations"
            yield Search(_key(value_set.name), "Observation", source, (value_set.name,), tokens, panels)


def _coded(sets: Collection[ValueSet]) -> Iterable[Search]:
    for key, resource_type, words, kind, public in _BY_CODE:
        systems = public | _catalogues(sets) if kind == "request" else public
        of_kind = [value_set for value_set in sets if value_set.kind == kind and _tokens((value_set,), systems)]
        for number, part in enumerate(_parts(of_kind, systems), start=1):
            names = tuple(value_set.name for value_set in part)
            nth, told = ("", "") if number == 1 else (str(number), f", part {number}")
            yield Search(f"{key}{nth}", resource_type, f"FHIR {words}{told}", names, _tokens(part, systems))


def _parts(sets: Iterable[ValueSet], systems: Collection[str]) -> list[list[ValueSet]]:
    """The value sets in as many parts as their codes need, so that no query is longer than an address may be."""
    parts: list[list[ValueSet]] = []
    for value_set in sets:
        together = _tokens((*parts[-1], value_set), systems) if parts else ()
        if parts and sum(len(token) + 1 for token in together) <= _LONGEST:
            parts[-1].append(value_set)
        else:
            parts.append([value_set])
    return parts


def _catalogues(sets: Collection[ValueSet]) -> frozenset[str]:
    """The systems of the site's own orderables: our own codes go out as text, so that nobody has them."""
    found = {entry.coding.system for value_set in sets if value_set.kind == "request" for entry in value_set.entries}
    return frozenset(found - {codes.SIGHTLINE_ACTION})


def _whole(sets: Collection[ValueSet]) -> Iterable[Search]:
    """Whoever is asked for all conditions has answered for all that are known here. An answer may stand there too."""
    for key, resource_type, words, kinds in _WHOLE:
        also = [s for s in sets if s.kind == "answer" and _is_in_icd(s)] if resource_type == "Condition" else []
        if also or any(value_set.kind in kinds for value_set in sets):
            known = dict.fromkeys(s for s in (*codes.loaded().values(), *sets) if s.kind in kinds)
            yield Search(key, resource_type, f"FHIR {words}", tuple(s.name for s in (*known, *also)))


def _tokens(sets: Iterable[ValueSet], systems: Collection[str]) -> tuple[str, ...]:
    found = (entry.coding for value_set in sets for entry in value_set.entries if entry.coding.system in systems)
    return tuple(dict.fromkeys(f"{coding.system}|{coding.code}" for coding in found))


def _is_in_icd(value_set: ValueSet) -> bool:
    return any(entry.coding.system == ICD10 for entry in value_set.entries)


def _key(name: str) -> str:
    return _KEYS.get(name) or re.sub(r"-(.)", lambda match: match[1].upper(), name)
