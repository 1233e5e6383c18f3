"""Coded values (CE, CWE, CNE) to codings with the system's URI."""

from __future__ import annotations

from adapters.hl7.context import Context
from adapters.hl7.message import Value
from cds.domain.coding import Coding

#: HL7 table 0396 to the URIs of http://terminology.hl7.org/NamingSystem.
SYSTEMS = {
    "LN": "http://loinc.org",
    "LOINC": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
    "SNM3": "http://snomed.info/sct",
    "SNOMED-CT": "http://snomed.info/sct",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "I10C": "http://hl7.org/fhir/sid/icd-10-cm",
    "I9": "http://hl7.org/fhir/sid/icd-9-cm",
    "I9C": "http://hl7.org/fhir/sid/icd-9-cm",
    "C4": "http://www.ama-assn.org/go/cpt",
    "CPT": "http://www.ama-assn.org/go/cpt",
    "ATC": "http://www.whocc.no/atc",
    "WC": "http://www.whocc.no/atc",
    "RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "NDC": "http://hl7.org/fhir/sid/ndc",
    "CVX": "http://hl7.org/fhir/sid/cvx",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "RADLEX": "http://www.radlex.org",
    "UCUM": "http://unitsofmeasure.org",
}
ICD_10 = frozenset({SYSTEMS["I10"], SYSTEMS["I10C"]})
#: Names that say "a code of ours" without saying whose.
_OWN = frozenset({"", "L", "LOCAL"})
#: Where the triplets of a CE stand: code, text, system; a CWE of 2.7 has a third.
_TRIPLETS = ((1, 2, 3), (4, 5, 6), (10, 11, 12))


def codings(value: Value, context: Context) -> list[Coding]:
    """All triplets that have a code."""
    if not value.raw:
        return []
    separator = value.syntax.delimiters.component
    last = value.raw.count(separator) + 1 if separator else 1
    return [
        Coding(_system(value.text(system), context), said, value.text(text) or _any_text(value))
        for code, text, system in _TRIPLETS
        if code <= last and (said := value.text(code))
    ]


def coding(value: Value, context: Context) -> Coding | None:
    """The triplet of a standard system where there is one, else the first; None where there is no code."""
    found = codings(value, context)
    standard = (item for item in found if not item.system.startswith("urn:hl7v2:"))
    return next(standard, found[0] if found else None)


def described(value: Value) -> str:
    """What a coded value says to a person: its text, the alternate one, the original text (CWE.9), else its code."""
    return value.text(2) or value.text(5) or value.text(9) or value.text(1) or value.text(4)


def is_symptom(code: Coding) -> bool:
    """ICD-10 chapter XVIII, R00 to R99: symptoms, signs and abnormal findings."""
    return code.system in ICD_10 and code.code[:1].upper() == "R"


def _any_text(value: Value) -> str:
    return next(filter(None, (value.text(text) for _, text, _ in _TRIPLETS)), "")


def _system(name: str, context: Context) -> str:
    """The URI of a name of table 0396; a URI passes through as it is."""
    known = SYSTEMS.get(name.upper())
    if known:
        return known
    if "://" in name or name.startswith("urn:"):
        return name
    return context.local_system("" if name.upper() in _OWN else name)
