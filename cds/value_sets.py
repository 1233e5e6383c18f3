"""Code systems by their URIs, and what a value set is: codes that mean one question, each with its evidence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from cds import units
from cds.domain.coding import Coding, Quantity
from cds.errors import InvalidInput

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
ICD10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
CPT = "http://www.ama-assn.org/go/cpt"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
ATC = "http://www.whocc.no/atc"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
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
    "ATC": ATC,
    "WC": ATC,
    "urn:oid:2.16.840.1.113883.6.73": ATC,
    "http://fhir.de/CodeSystem/bfarm/atc": ATC,
    "http://fhir.de/CodeSystem/dimdi/atc": ATC,
    "RXNORM": RXNORM,
    "RXN": RXNORM,
    "urn:oid:2.16.840.1.113883.6.88": RXNORM,
}
#: Editions of one classification: a code means the same in each as far as it goes.
_SAME = {ICD10_CM: ICD10}
#: Systems whose codes begin with the code that they are below.
_NESTED = frozenset({ICD10, ATC})
#: Products of RxNorm for the skin, the eye and the like: too little of them gets further to answer what is asked of a
#: drug.
_LOCAL = frozenset({"topical", "ophthalmic", "otic", "vaginal", "nasal"})
_WORD = re.compile(r"[a-z]+")

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
    """One code of a value set and where it was seen. `prefix` matches the code and everything below it (ICD-10, ATC).

    `ingredient` is the word by which names of products of RxNorm tell that it is in them: an EHR prescribes one of
    thousands of products, and their names state each ingredient (NLM, RxNorm Technical Documentation, section 5).
    """

    coding: Coding
    evidence: str
    verified: bool = True
    prefix: bool = False
    ingredient: str = ""

    def matches(self, coding: Coding) -> bool:
        """True where a code of a record means this entry, however its system was named."""
        (named, code), (ours, own) = _place(coding), _place(self.coding)
        if named != ours:
            return False
        if code == own or (self.prefix and ours in _NESTED and code.startswith(own)):
            return True
        return bool(self.ingredient) and self.ingredient in _ingredients(named, coding.display)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a value becomes one of its value set where that is more than another unit for the same.

    It is turned into `unit`, multiplied by `slope`, and `intercept` is added. With `codes` it is how values of these
    codes are read, and they are read no other way; without, it is tried first for the values of all others.
    """

    unit: str
    slope: float = 1.0
    intercept: float = 0.0
    codes: tuple[str, ...] = ()
    grams_per_mole: float = 0.0

    def of(self, sent: Quantity, unit: str) -> Quantity:
        """The value in the unit of the value set; raise InvalidInput where it is none of this kind."""
        first = units.convert(sent, self.unit, grams_per_mole=self.grams_per_mole)
        return Quantity(self.slope * first.value + self.intercept, unit)


@dataclass(frozen=True, slots=True)
class ValueSet:
    """Codes that mean the same question. `title` is read by people, `unit` is the unit that values are turned into.

    `grams_per_mole` is the molar mass of what is measured, where it comes as a mass and as an amount of substance;
    `readings` are for what another unit alone does not turn into it.
    `panels` are observations that hold it as a component: they are searched for too, and do not answer themselves.
    """

    name: str
    title: str
    kind: Kind
    entries: tuple[Entry, ...]
    unit: str = ""
    grams_per_mole: float = 0.0
    panels: tuple[Entry, ...] = ()
    readings: tuple[Reading, ...] = ()

    def contains(self, coding: Coding) -> bool:
        """True where one of its codes matches."""
        return any(entry.matches(coding) for entry in self.entries)

    def value(self, code: Coding, sent: Quantity) -> Quantity:
        """What was sent under one of its codes, in its unit; raise InvalidInput where that cannot be told."""
        own = tuple(reading for reading in self.readings if code.code in reading.codes)
        for reading in own or (reading for reading in self.readings if not reading.codes):
            try:
                return reading.of(sent, self.unit)
            except InvalidInput:
                continue
        if own:
            raise InvalidInput("want a value in " + " or ".join(reading.unit for reading in own))
        return units.convert(sent, self.unit, grams_per_mole=self.grams_per_mole)


class Index:
    """Finds the value sets of a code among many: records hold thousands of codes that nobody asks for."""

    def __init__(self, value_sets: Iterable[ValueSet]) -> None:
        self._exact: dict[tuple[str, str], dict[str, ValueSet]] = {}
        self._below: dict[tuple[str, str], dict[str, ValueSet]] = {}
        self._within: dict[tuple[str, str], dict[str, ValueSet]] = {}
        for value_set in value_sets:
            for entry in value_set.entries:
                named, code = _place(entry.coding)
                placed = self._below if entry.prefix and named in _NESTED else self._exact
                placed.setdefault((named, code), {})[value_set.name] = value_set
                if entry.ingredient:
                    self._within.setdefault((named, entry.ingredient), {})[value_set.name] = value_set

    def find(self, coding: Coding) -> tuple[ValueSet, ...]:
        """Those that contain it, each once: what `ValueSet.contains` says of each of them."""
        named, code = _place(coding)
        found = dict(self._exact.get((named, code), {}))
        for end in range(1, len(code) + 1) if named in _NESTED else ():
            found |= self._below.get((named, code[:end]), {})
        for word in _ingredients(named, coding.display):
            found |= self._within.get((named, word), {})
        return tuple(found.values())


class Questions(dict[str, ValueSet]):
    """Value sets by name, with their index made once: a record is read for each call of a hook."""

    @cached_property
    def index(self) -> Index:
        """The value sets of a code among these."""
        return Index(self.values())


@lru_cache(maxsize=4096)
def _place(coding: Coding) -> tuple[str, str]:
    """The system and code by which codings of one meaning are the same, dots and blanks of classifications aside."""
    named = system(coding.system)
    named = _SAME.get(named, named)
    plain = coding.code.replace(".", "").strip().upper() if named in _NESTED else coding.code
    return named, plain


def _ingredients(named: str, display: str) -> frozenset[str]:
    """The words of a product's name, its ingredients among them; none for other systems, whose names are free."""
    words = frozenset(_WORD.findall(display.casefold())) if named == RXNORM else frozenset()
    return frozenset() if words & _LOCAL else words


def snomed(code: str, display: str, evidence: str) -> Entry:
    """An entry of SNOMED CT."""
    return Entry(Coding(SNOMED, code, display), evidence)


def loinc(code: str, display: str, evidence: str) -> Entry:
    """An entry of LOINC."""
    return Entry(Coding(LOINC, code, display), evidence)


def icd(code: str, display: str, evidence: str, *, prefix: bool = True) -> Entry:
    """An entry of ICD-10 with everything below it, unless `prefix` is False."""
    return Entry(Coding(ICD10, code, display), evidence, prefix=prefix)


def atc(code: str, display: str, evidence: str, *, prefix: bool = True) -> Entry:
    """An entry of the WHO's ATC with everything below it, unless `prefix` is False."""
    return Entry(Coding(ATC, code, display), evidence, prefix=prefix)


def rxnorm(code: str, ingredient: str, evidence: str, *, word: str = "") -> Entry:
    """An ingredient of RxNorm, and the products whose names have `word`: the ingredient's name where it is unsaid."""
    return Entry(Coding(RXNORM, code, ingredient), evidence, ingredient=word or ingredient)
