"""Code systems by their URIs, and what a value set is: codes that mean one question, each with its evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from cds.domain.coding import Coding

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
ICD10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
CPT = "http://www.ama-assn.org/go/cpt"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
#: HL7 v2 table 0396, OIDs and national URIs → the URI that value sets use.
_SYSTEM_NAMES = {
    "SCT": SNOMED,
    "SNOMED": SNOMED,
    "SNOMED-CT": SNOMED,
    "SNM": SNOMED,
    "urn:oid:2.16.840.1.113883.6.96": SNOMED,
    "LN": LOINC,
    "LOINC": LOINC,
    "urn:oid:2.16.840.1.113883.6.1": LOINC,
    "I10": ICD10,
    "ICD10": ICD10,
    "ICD-10": ICD10,
    "urn:oid:2.16.840.1.113883.6.3": ICD10,
    "I10C": ICD10_CM,
    "ICD10CM": ICD10_CM,
    "ICD-10-CM": ICD10_CM,
    "urn:oid:2.16.840.1.113883.6.90": ICD10_CM,
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm": ICD10,
    "C4": CPT,
    "CPT": CPT,
    "urn:oid:2.16.840.1.113883.6.12": CPT,
}
_ICD = frozenset({ICD10, ICD10_CM})

#: What a value set is asked for: an answer, a measured value, a thing that was done, that the patient has, takes, was
#: given or cannot bear, that runs in the family, or that somebody ordered.
Kind = Literal[
    "answer",
    "condition",
    "procedure",
    "symptom",
    "measurement",
    "allergy",
    "medication",
    "immunization",
    "family-history",
    "request",
]


@lru_cache(maxsize=1024)
def system(name: str) -> str:
    """The URI of a code system named by HL7 v2 table 0396, an OID or a URI; unknown names come back as they are."""
    return _SYSTEM_NAMES.get(name, _SYSTEM_NAMES.get(name.upper(), name))


@dataclass(frozen=True, slots=True)
class Entry:
    """One code of a value set and where it was seen. `prefix` matches the code and everything below it (ICD-10)."""

    coding: Coding
    evidence: str
    verified: bool = True
    prefix: bool = False

    def matches(self, coding: Coding) -> bool:
        """True where a code of a record means this entry, however its system was named."""
        theirs, ours = system(coding.system), self.coding.system
        if ours in _ICD:
            return theirs in _ICD and self._matches_icd(coding.code)
        return theirs == ours and coding.code == self.coding.code

    def _matches_icd(self, code: str) -> bool:
        theirs, ours = _plain_icd(code), _plain_icd(self.coding.code)
        return theirs.startswith(ours) if self.prefix else theirs == ours


@dataclass(frozen=True, slots=True)
class ValueSet:
    """Codes that mean the same question. `title` is read by people, `unit` is the unit that values are turned into.

    `grams_per_mole` is the molar mass of what is measured, where it comes as a mass and as an amount of substance.
    `panels` are observations that hold it as a component: they are searched for too, and do not answer themselves.
    """

    name: str
    title: str
    kind: Kind
    entries: tuple[Entry, ...]
    unit: str = ""
    grams_per_mole: float = 0.0
    panels: tuple[Entry, ...] = ()

    def contains(self, coding: Coding) -> bool:
        """True where one of its codes matches."""
        return any(entry.matches(coding) for entry in self.entries)


class Index:
    """Finds the value sets of a code among many: records hold thousands of codes that nobody asks for."""

    def __init__(self, value_sets: Iterable[ValueSet]) -> None:
        self._exact: dict[tuple[str, str], dict[str, ValueSet]] = {}
        self._below: dict[str, dict[str, ValueSet]] = {}
        for value_set in value_sets:
            for entry in value_set.entries:
                named, code = entry.coding.system, entry.coding.code
                if named not in _ICD:
                    self._exact.setdefault((named, code), {})[value_set.name] = value_set
                elif entry.prefix:
                    self._below.setdefault(_plain_icd(code), {})[value_set.name] = value_set
                else:
                    self._exact.setdefault((ICD10, _plain_icd(code)), {})[value_set.name] = value_set

    def find(self, coding: Coding) -> tuple[ValueSet, ...]:
        """Those that contain it, each once: what `ValueSet.contains` says of each of them."""
        named = system(coding.system)
        if named not in _ICD:
            return tuple(self._exact.get((named, coding.code), {}).values())
        plain = _plain_icd(coding.code)
        found = dict(self._exact.get((ICD10, plain), {}))
        for end in range(1, len(plain) + 1):
            found |= self._below.get(plain[:end], {})
        return tuple(found.values())


def _plain_icd(code: str) -> str:
    return code.replace(".", "").strip().upper()


def snomed(code: str, display: str, evidence: str) -> Entry:
    """An entry of SNOMED CT."""
    return Entry(Coding(SNOMED, code, display), evidence)


def loinc(code: str, display: str, evidence: str) -> Entry:
    """An entry of LOINC."""
    return Entry(Coding(LOINC, code, display), evidence)


def icd(code: str, display: str, evidence: str, *, prefix: bool = True) -> Entry:
    """An entry of ICD-10 with everything below it, unless `prefix` is False."""
    return Entry(Coding(ICD10, code, display), evidence, prefix=prefix)
