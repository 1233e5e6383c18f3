"""Code systems by their URIs, and what a value set is: codes that mean one question, each with its evidence."""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    name: str
    title: str
    kind: Literal["answer", "condition", "procedure", "symptom", "measurement", "allergy"]
    entries: tuple[Entry, ...]
    unit: str = ""
    grams_per_mole: float = 0.0

    def contains(self, coding: Coding) -> bool:
        """True where one of its codes matches."""
        return any(entry.matches(coding) for entry in self.entries)


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
