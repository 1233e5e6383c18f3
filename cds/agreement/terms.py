"""What radiologists call a finding: the codes that mean the same, and the English phrases, each with its evidence.

A code or phrase that could be checked only from memory is `verified=False` and does not load (SAFETY section 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from cds.codes import SNOMED
from cds.domain.coding import Coding

RADLEX = "http://www.radlex.org"
#: Other ways of naming the same code system.
_ALIASES = {"http://radlex.org": RADLEX, "http://radlex.org/": RADLEX, "urn:oid:2.16.840.1.113883.6.256": RADLEX}

_CID = "check digit; DICOM PS3.16 "
_CHEXPERT = "CheXpert labeler, phrases of mentions (stanfordmlgroup/chexpert-labeler)"
_DISPLAY = "display of the SNOMED CT concept"
_RADLEX_NAME = "RadLex preferred name, verified at BioPortal"
_SPELLING = "British or American spelling of the display"
_PLURAL = "plural of the display"
_RSNA = "subtypes of the RSNA 2019 intracranial haemorrhage challenge; RadElement RDES194, attribute location"


@dataclass(frozen=True, slots=True)
class Code:
    """A code that means exactly the finding."""

    coding: Coding
    evidence: str
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that name the finding. `narrower` ones name a kind of it: there, it is there; denied, nothing is known."""

    words: tuple[str, ...]
    evidence: str
    narrower: bool = False
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Term:
    """One finding as reports state it."""

    title: str
    codes: tuple[Code, ...]
    phrases: tuple[Phrase, ...]

    def means(self, coding: Coding) -> bool:
        """True where the code means exactly this finding."""
        return any(same(code.coding, coding) for code in self.codes)


def same(one: Coding, other: Coding) -> bool:
    """True where two codes are one, however their systems were named."""
    return one.code == other.code and _system(one) == _system(other)


def _system(coding: Coding) -> str:
    return _ALIASES.get(coding.system, coding.system)


def _snomed(code: str, display: str, evidence: str, *, verified: bool = True) -> Code:
    return Code(Coding(SNOMED, code, display), evidence, verified)


def _radlex(code: str, display: str, evidence: str = "verified at BioPortal", *, verified: bool = True) -> Code:
    return Code(Coding(RADLEX, code, display), evidence, verified)


def _phrases(evidence: str, *texts: str, narrower: bool = False) -> tuple[Phrase, ...]:
    return tuple(Phrase(tuple(text.split()), evidence, narrower) for text in texts)


TABLE: tuple[Term, ...] = (
    Term(
        "intracranial haemorrhage",
        (_snomed("1386000", "Intracranial hemorrhage", "check digit; ValueSets of public FHIR packages"),),
        (
            *_phrases(_DISPLAY, "intracranial hemorrhage"),
            *_phrases(_SPELLING, "intracranial haemorrhage"),
            *_phrases(
                _RSNA, "subdural hemorrhage", "subdural hematoma", "subarachnoid hemorrhage", "epidural hemorrhage",
                "epidural hematoma", "intraparenchymal hemorrhage", "intraventricular hemorrhage",
                "subdural haemorrhage", "subdural haematoma", "subarachnoid haemorrhage", "epidural haematoma",
                "intraparenchymal haemorrhage", "intraventricular haemorrhage", narrower=True,
            ),
        ),
    ),
    Term(
        "pneumothorax",
        (_snomed("36118008", "Pneumothorax", _CID + "CID 6105"), _radlex("RID5352", "pneumothorax")),
        (*_phrases(_DISPLAY, "pneumothorax"), *_phrases(_CHEXPERT, "pneumothoraces")),
    ),
    Term(
        "pleural effusion",
        (_snomed("60046008", "Pleural effusion", _CID + "CID 645"), _radlex("RID34539", "pleural effusion")),
        (*_phrases(_DISPLAY, "pleural effusion"), *_phrases(_PLURAL, "pleural effusions")),
    ),
    Term(
        "cardiomegaly",
        (
            _snomed("8186001", "Cardiomegaly", "check digit; several public tables"),
            _snomed("287272002", "Cardiomegaly", _CID + "CID 12248"),
        ),
        (*_phrases(_DISPLAY, "cardiomegaly"), *_phrases(_CHEXPERT, "enlarged heart")),
    ),
    Term(
        "pneumonia",
        (
            _snomed("233604007", "Pneumonia", "check digit; CDE binding table"),
            _radlex("RID5350", "pneumonia", "seen in tests only", verified=False),
        ),
        _phrases(_DISPLAY, "pneumonia"),
    ),
    Term(
        "lung consolidation",
        (
            _snomed("95436008", "Lung consolidation", "check digit; CDE binding table, exact match"),
            _radlex("RID43255", "consolidation"),
        ),
        (*_phrases(_DISPLAY, "lung consolidation"), *_phrases(_RADLEX_NAME, "consolidation")),
    ),
    Term(
        "lung nodule",
        (_snomed("427359005", "Solitary nodule of lung", "check digit; CDE binding table, narrower match"),),
        (*_phrases(_RADLEX_NAME, "pulmonary nodule"), *_phrases(_PLURAL, "pulmonary nodules"),
         *_phrases(_DISPLAY, "lung nodule", "lung nodules")),
    ),
    Term(
        "fracture",
        (
            _snomed("125605004", "Fracture of bone", "check digit; public tables"),
            _radlex("RID4650", "fracture", "change log of a template repository", verified=False),
        ),
        (*_phrases(_DISPLAY, "fracture"), *_phrases(_PLURAL, "fractures")),
    ),
    Term(
        "vertebral compression fracture",
        (_snomed("443165006", "Vertebral compression fracture", "display not confirmed", verified=False),),
        _phrases(_DISPLAY, "vertebral compression fracture", "vertebral compression fractures"),
    ),
    Term(
        "emphysema",
        (_snomed("87433001", "Pulmonary emphysema", "check digit; imaging examples of a FHIR IG"),
         _radlex("RID4799", "emphysema")),
        (*_phrases(_DISPLAY, "pulmonary emphysema"), *_phrases(_RADLEX_NAME, "emphysema")),
    ),
    Term(
        "coronary artery calcification",
        (_snomed("445512009", "Calcification of coronary artery", "check digit; FHIR lung screening examples"),),
        (*_phrases("OIDM name", "coronary artery calcification"), *_phrases(_PLURAL, "coronary artery calcifications")),
    ),
    Term(
        "abdominal aortic aneurysm",
        (_snomed("233985008", "Abdominal aortic aneurysm", "check digit; many public tables"),),
        _phrases(_DISPLAY, "abdominal aortic aneurysm"),
    ),
    Term(
        "pulmonary embolism",
        (_snomed("59282003", "Pulmonary embolism", "check digit; CDE binding table"),
         _radlex("RID4834", "pulmonary embolism")),
        _phrases(_DISPLAY, "pulmonary embolism"),
    ),
    Term(
        "atelectasis",
        (_snomed("46621007", "Atelectasis", "check digit; CDE binding table"),),
        _phrases(_DISPLAY, "atelectasis"),
    ),
    Term(
        "pulmonary oedema",
        (_snomed("19242006", "Pulmonary edema", "check digit; CDE binding table"),),
        (*_phrases(_DISPLAY, "pulmonary edema"), *_phrases(_SPELLING, "pulmonary oedema")),
    ),
)  # fmt: skip

#: Phrases that hold the words of a finding and are another thing: air in soft tissue is no emphysema of the lung.
OTHER_THINGS: tuple[tuple[str, ...], ...] = tuple(
    tuple(text.split())
    for text in (
        "subcutaneous emphysema", "surgical emphysema", "mediastinal emphysema", "soft tissue emphysema",
        "interstitial emphysema", "pulmonary interstitial emphysema", "orbital emphysema", "interstitial pneumonia",
        "organizing pneumonia", "eosinophilic pneumonia", "pericardial effusion", "joint effusion", "aortic aneurysm",
        "chronic pulmonary embolism",
    )
)  # fmt: skip


@cache
def loaded() -> tuple[Term, ...]:
    """The table without what is not verified; a finding without a verified code is not in it."""
    terms = (
        Term(term.title, tuple(c for c in term.codes if c.verified), tuple(p for p in term.phrases if p.verified))
        for term in TABLE
    )
    return tuple(term for term in terms if term.codes)


@cache
def phrases() -> tuple[Phrase, ...]:
    """Every phrase of the table, also of findings without a verified code: a longer name hides a shorter one in it."""
    return tuple(phrase for term in TABLE for phrase in term.phrases if phrase.verified)
