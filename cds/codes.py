"""Code systems and value sets: every code that Sightline reads or writes clinically, each with its evidence.

A code that could be checked only from memory is `verified=False` and does not load (SAFETY section 6). Check digits
(Verhoeff for SNOMED CT, mod 10 for LOINC) are tested over the whole table.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import MappingProxyType

from cds import action_codes, condition_codes, finding_codes, measurement_codes, medication_codes, procedure_codes
from cds.domain.coding import Coding
from cds.domain.ehr import SmokingStatus
from cds.value_sets import (
    CPT,
    DCM,
    ICD10,
    ICD10_CM,
    LOINC,
    SNOMED,
    UCUM,
    Entry,
    Index,
    ValueSet,
    icd,
    loinc,
    snomed,
    system,
)

#: THO, CodeSystem non-adherence-reason-codes: why a suggestion was not followed.
OVERRIDE_REASONS = "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"

SIGHTLINE_OBSERVATION = finding_codes.SIGHTLINE_OBSERVATION
SIGHTLINE_ACTION = action_codes.SIGHTLINE_ACTION
#: Why a card was not followed, where THO has no code for it.
SIGHTLINE_OVERRIDE = "urn:sightline:override-reason"
#: What a card is about (CDS Hooks source.topic).
SIGHTLINE_TOPIC = "urn:sightline:card-topic"

LUNG_VOLUME = finding_codes.LUNG_VOLUME
LAA_950 = finding_codes.LAA_950
PERC_15 = finding_codes.PERC_15

SPIROMETRY_REQUEST = Coding(SNOMED, "127783003", "Spirometry")
CESSATION_REQUEST = Coding(SNOMED, "225323000", "Smoking cessation education")
#: HCPCS G0296 exists but bills one payer in one country; no SNOMED CT code for the visit could be verified.
SCREENING_VISIT_REQUEST = Coding(SIGHTLINE_ACTION, "lung-cancer-screening-visit", "Lung cancer screening visit")

_US_CORE_PACK_YEARS = "US Core 7.0.0 to 9.0.0, Observation pack-years-example"
_US_CORE_SMOKING = "US Core smoking status observation codes"
_MII = "MII Kerndatensatz-Modul Lungenfunktion 2027.0.0-ballot, LOINC value set for FEV"
_LUFU = "public FSH of spirometry profiles; a university hospital's map of lung function to MII profiles"
_MII_PROCEDURE = "MII Kerndatensatz-Modul Lungenfunktion, Procedure profile and example"
_CPT_SEEN = "public coding guides (AARC, AAPC, CMS A57225, as quoted); descriptors are the AMA's: not reproduced"
_LT_LUNG = "HL7 Lithuania, Lung Cancer IG"
_COPD_LISTS = "public code lists for COPD (NHS cohort notebooks, Da Vinci DTR home oxygen questionnaire)"
_PRESENTING = "public FHIR value sets of presenting symptoms"
_ICD_CHAPTER = "ICD-10, WHO tabular list; seen in public ICD-10-CM tables"
_ABSENT_UNKNOWN = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
_IPS_ABSENT = "HL7 IPS code system absent-unknown-uv-ips, as the Italian, Czech and French guides repeat it"
_IPS_PREGNANCY = "HL7 IPS 1.0.0 value set pregnancy-status-uv-ips; IPS on art-decor 2024 for SNOMED CT"

SMOKING_STATUS = ValueSet(
    "smoking-status",
    "smoking status",
    "answer",
    (loinc("72166-2", "Tobacco smoking status", _US_CORE_SMOKING),),
)
PACK_YEARS = ValueSet(
    "pack-years",
    "pack-years",
    "answer",
    (
        snomed("401201003", "Cigarette pack-years", _US_CORE_PACK_YEARS),
        snomed("782516008", "Number of calculated smoking pack years", "TW Core invariants and value set"),
        Entry(
            Coding(LOINC, "8664-5", "Cigarettes smoked total (pack per year)"),
            "named in public FSH, not found in a LOINC release: the unit in its name contradicts its use",
            verified=False,
        ),
    ),
    unit="{pack-years}",
)
QUIT_DATE = ValueSet(
    "quit-date",
    "date of quitting smoking",
    "answer",
    (
        loinc("74010-0", "Date quit tobacco smoking", "public FSH guides (component quitDate; AU primary care IG)"),
        snomed("160625004", "Date ceased smoking", "AU primary care practice-to-practice transfer IG"),
    ),
)
SPIROMETRY = ValueSet(
    "spirometry",
    "spirometry",
    "procedure",
    (
        snomed("127783003", "Spirometry", _MII_PROCEDURE),
        loinc("19926-5", "FEV1/FVC", _LUFU),
        loinc("20150-9", "FEV1", _MII),
        loinc("20157-4", "FEV1 before bronchodilation", _MII),
        loinc("20155-8", "FEV1 after bronchodilation", _MII),
        loinc("19868-9", "Forced vital capacity by spirometry", _LUFU),
        loinc("19876-2", "Forced vital capacity before bronchodilation", _LUFU),
        loinc("19874-7", "Forced vital capacity after bronchodilation", _LUFU),
        Entry(Coding(CPT, "94010", "Spirometry"), _CPT_SEEN),
        Entry(Coding(CPT, "94060", "Spirometry before and after bronchodilation"), _CPT_SEEN),
    ),
)
LOW_DOSE_CT = ValueSet(
    "low-dose-chest-ct",
    "low-dose CT of the chest",
    "procedure",
    (
        snomed("16334891000119106", "Low dose CT of chest without contrast", _LT_LUNG),
        Entry(
            Coding(CPT, "71271", "Low-dose CT for lung cancer screening"),
            "ACR and Noridian (CMS) lung cancer screening pages",
        ),
    ),
)
COPD = ValueSet(
    "copd",
    "COPD",
    "condition",
    (
        snomed("13645005", "Chronic obstructive lung disease", _COPD_LISTS),
        snomed("185086009", "Chronic obstructive bronchitis", _COPD_LISTS),
        snomed("195951007", "Acute exacerbation of chronic obstructive airways disease", _COPD_LISTS),
        snomed("313296004", "Mild chronic obstructive pulmonary disease", _COPD_LISTS),
        snomed("313297008", "Moderate chronic obstructive pulmonary disease", _COPD_LISTS),
        snomed("313299006", "Severe chronic obstructive pulmonary disease", _COPD_LISTS),
        icd("J44", "Other chronic obstructive pulmonary disease", _ICD_CHAPTER),
    ),
)
EMPHYSEMA = ValueSet(
    "emphysema",
    "emphysema",
    "condition",
    (snomed("87433001", "Pulmonary emphysema", _LT_LUNG), icd("J43", "Emphysema", _ICD_CHAPTER)),
)
LUNG_CANCER = ValueSet(
    "lung-cancer",
    "lung cancer",
    "condition",
    (
        snomed("363358000", "Malignant tumor of lung", "public value sets; tests of terminology servers"),
        snomed("254637007", "Non-small cell lung cancer", "examples of HL7 mCODE's primary cancer condition"),
        snomed("254632001", "Small cell carcinoma of lung", "public oncology value sets (UZ Leuven, PheKB)"),
        snomed("93880001", "Primary malignant neoplasm of lung", "public primary-cancer value set"),
        icd("C34", "Malignant neoplasm of bronchus and lung", _ICD_CHAPTER),
        icd("Z85.11", "Personal history of malignant neoplasm of bronchus and lung", "VA and public ICD-10-CM tables"),
    ),
)
HAEMOPTYSIS = ValueSet(
    "haemoptysis",
    "coughing up blood",
    "symptom",
    (snomed("66857006", "Hemoptysis", _PRESENTING), icd("R04.2", "Haemoptysis", _ICD_CHAPTER)),
)
WEIGHT_LOSS = ValueSet(
    "weight-loss",
    "unexplained weight loss",
    "symptom",
    (
        snomed("448765001", "Unintentional weight loss", _PRESENTING),
        snomed("422868009", "Unexplained weight loss", "public SNOMED CT modelling guidance; resolver tables"),
        icd("R63.4", "Abnormal weight loss", _ICD_CHAPTER),
    ),
)

PREGNANCY = ValueSet(
    "pregnancy",
    "pregnancy",
    "answer",
    (
        loinc("82810-3", "Pregnancy status", _IPS_PREGNANCY),
        loinc("11449-6", "Pregnancy status - Reported", "French national laboratory model; AKTIN; ELGA e-medication"),
        snomed("77386006", "Pregnancy", _IPS_PREGNANCY),
        icd("Z33", "Pregnant state, incidental", _ICD_CHAPTER, prefix=False),
        icd("Z33.1", "Pregnant state, incidental", _ICD_CHAPTER, prefix=False),
        icd("Z34", "Supervision of normal pregnancy", _ICD_CHAPTER),
        icd("O09", "Supervision of high risk pregnancy; in ICD-10-GM duration of pregnancy", _ICD_CHAPTER),
    ),
)
#: What was ordered and is not done: the same step is not suggested twice.
SPIROMETRY_ORDERED = ValueSet("spirometry-request", "open request for spirometry", "request", SPIROMETRY.entries)
LOW_DOSE_CT_ORDERED = ValueSet(
    "low-dose-chest-ct-request", "open request for low-dose CT of the chest", "request", LOW_DOSE_CT.entries
)
CESSATION_ORDERED = ValueSet(
    "cessation-request",
    "open request for help to stop smoking",
    "request",
    (Entry(CESSATION_REQUEST, "the code of the drafts that Sightline's own cards suggest"),),
)
ALL = (
    SMOKING_STATUS,
    PACK_YEARS,
    QUIT_DATE,
    SPIROMETRY,
    LOW_DOSE_CT,
    COPD,
    EMPHYSEMA,
    LUNG_CANCER,
    HAEMOPTYSIS,
    WEIGHT_LOSS,
    PREGNANCY,
    SPIROMETRY_ORDERED,
    LOW_DOSE_CT_ORDERED,
    CESSATION_ORDERED,
    *measurement_codes.ALL,
    *condition_codes.ALL,
    *procedure_codes.ALL,
    *medication_codes.ALL,
)

_IPS_MAP = "HL7 IPS ConceptMap loinc-to-snomed smoking status 1.1.0"


def _status(
    loinc_code: str, snomed_code: str, display: str, status: SmokingStatus
) -> tuple[tuple[Entry, SmokingStatus], ...]:
    return (loinc(loinc_code, display, _IPS_MAP), status), (snomed(snomed_code, display, _IPS_MAP), status)


#: Answers of LOINC 72166-2. "Smoker, current status unknown" says that somebody smoked, not whether they do now,
#: and is folded into UNKNOWN: a card asks rather than assumes.
SMOKING_ANSWERS = (
    *_status("LA18976-3", "449868002", "Smokes tobacco daily", SmokingStatus.CURRENT),
    *_status("LA18977-1", "428041000124106", "Occasional tobacco smoker", SmokingStatus.CURRENT),
    *_status("LA18981-3", "428071000124103", "Heavy tobacco smoker", SmokingStatus.CURRENT),
    *_status("LA18982-1", "428061000124105", "Light tobacco smoker", SmokingStatus.CURRENT),
    *_status("LA15920-4", "8517006", "Ex-smoker", SmokingStatus.FORMER),
    *_status("LA18978-9", "266919005", "Never smoked tobacco", SmokingStatus.NEVER),
    *_status("LA18979-7", "77176002", "Smoker, current status unknown", SmokingStatus.UNKNOWN),
    *_status("LA18980-5", "266927001", "Tobacco smoking consumption unknown", SmokingStatus.UNKNOWN),
)

#: Answers of LOINC 82810-3: pregnant, not pregnant; None where it is not known.
PREGNANCY_ANSWERS = (
    (loinc("LA15173-0", "Pregnant", _IPS_PREGNANCY), True),
    (snomed("77386006", "Pregnancy", _IPS_PREGNANCY), True),
    (loinc("LA26683-5", "Not pregnant", _IPS_PREGNANCY), False),
    (snomed("60001007", "Not pregnant", _IPS_PREGNANCY), False),
    (loinc("LA4489-6", "Unknown", _IPS_PREGNANCY), None),
    (snomed("152231000119106", "Pregnancy not yet confirmed", _IPS_PREGNANCY), None),
)

#: Values that say "no" to a question such as a symptom.
NEGATIVE_ANSWERS = (
    snomed("373067005", "No", "MII and GECCO FHIR examples"),
    snomed("2667000", "Absent", "public FHIR examples of symptom absence"),
)

#: Entries of an allergy list that say that there is none, of any kind or to drugs: contrast media are drugs.
NO_KNOWN_ALLERGIES = (
    snomed("716186003", "No known allergy", "Belgian value set be-noallergy; AU PS and NHS guides; US Core example"),
    snomed("409137002", "No known drug allergy", "public map of IPS absent-unknown to SNOMED CT; Swiss CDA conditions"),
    Entry(Coding(_ABSENT_UNKNOWN, "no-known-allergies", "No known allergies"), _IPS_ABSENT),
    Entry(Coding(_ABSENT_UNKNOWN, "no-known-medication-allergies", "No known medication allergies"), _IPS_ABSENT),
)
_NO_KNOWN = frozenset((entry.coding.system, entry.coding.code) for entry in NO_KNOWN_ALLERGIES)


@cache
def loaded() -> MappingProxyType[str, ValueSet]:
    """Every value set by name, without the codes that are not verified."""
    return MappingProxyType(
        {s.name: replace(s, entries=tuple(entry for entry in s.entries if entry.verified)) for s in ALL}
    )


@cache
def index() -> Index:
    """The value sets of a code, among all that are loaded."""
    return Index(loaded().values())


def smoking_status(answer: Coding) -> SmokingStatus | None:
    """The status that an answer code stands for, None where the code is not known."""
    return next((status for entry, status in SMOKING_ANSWERS if entry.matches(answer)), None)


def is_pregnant(answer: Coding | str) -> bool | None:
    """What an answer to a question for pregnancy says; None where it says neither yes nor no."""
    if isinstance(answer, str):
        return {"yes": True, "y": True, "true": True}.get(
            answer.strip().casefold(), False if is_negative(answer) else None
        )
    return next((stated for entry, stated in PREGNANCY_ANSWERS if entry.matches(answer)), None)


def is_negative(answer: Coding | str) -> bool:
    """True for the answers "no" and "absent", coded or as the plain words that HL7 v2 and FHIR booleans become."""
    if isinstance(answer, str):
        return answer.strip().casefold() in {"false", "no", "n", "absent"}
    return any(entry.matches(answer) for entry in NEGATIVE_ANSWERS)


def is_no_known_allergy(code: Coding) -> bool:
    """True for an entry of an allergy list that says that there is nothing to list."""
    return (system(code.system), code.code) in _NO_KNOWN


__all__ = [
    "ALL",
    "CESSATION_ORDERED",
    "CESSATION_REQUEST",
    "COPD",
    "CPT",
    "DCM",
    "EMPHYSEMA",
    "HAEMOPTYSIS",
    "ICD10",
    "ICD10_CM",
    "LAA_950",
    "LOINC",
    "LOW_DOSE_CT",
    "LOW_DOSE_CT_ORDERED",
    "LUNG_CANCER",
    "LUNG_VOLUME",
    "NEGATIVE_ANSWERS",
    "NO_KNOWN_ALLERGIES",
    "OVERRIDE_REASONS",
    "PACK_YEARS",
    "PERC_15",
    "PREGNANCY",
    "PREGNANCY_ANSWERS",
    "QUIT_DATE",
    "SCREENING_VISIT_REQUEST",
    "SIGHTLINE_ACTION",
    "SIGHTLINE_OBSERVATION",
    "SIGHTLINE_OVERRIDE",
    "SIGHTLINE_TOPIC",
    "SMOKING_ANSWERS",
    "SMOKING_STATUS",
    "SNOMED",
    "SPIROMETRY",
    "SPIROMETRY_ORDERED",
    "SPIROMETRY_REQUEST",
    "UCUM",
    "WEIGHT_LOSS",
    "Entry",
    "Index",
    "ValueSet",
    "index",
    "is_negative",
    "is_no_known_allergy",
    "is_pregnant",
    "loaded",
    "smoking_status",
    "system",
]
