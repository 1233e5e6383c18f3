"""Value sets of symptoms and of family history, with the evidence of each code."""

from __future__ import annotations

from functools import lru_cache

from cds.domain.coding import Coding
from cds.value_sets import ICD10_CM, Entry, ValueSet, icd, snomed

_WHO = "ICD-10, WHO tabular list (https://icd.who.int/browse10/2019/en)"
_CM = "ICD-10-CM, tabular list; not in the WHO list"
_GECCO = "GECCO value set of symptoms of SARS-CoV-2 (FHIR)"
_BELGIUM = "HL7 Belgium, value set of heart failure symptoms"
_LISTS = "public code lists and FHIR examples, with this meaning"
_FAMILY_CID = "DICOM PS3.16 CID 3758, cardiovascular family history"
_LUNG_SEEN = "as in the value set of lung cancer"
_HEART_SEEN = "as in the value set of atherosclerotic disease"
_AORTA_SEEN = "as in the value set of aortic aneurysm"


def _symptom(name: str, title: str, *entries: Entry) -> ValueSet:
    return ValueSet(name, title, "symptom", entries)


def _family(name: str, title: str, *entries: Entry) -> ValueSet:
    return ValueSet(name, title, "family-history", entries)


def _cm(code: str, display: str, *, prefix: bool = True) -> Entry:
    return Entry(Coding(ICD10_CM, code, display), _CM, prefix=prefix)


DYSPNOEA = _symptom(
    "dyspnoea",
    "shortness of breath",
    snomed("267036007", "Dyspnea", _GECCO),
    snomed("60845006", "Dyspnea on exertion", "public German value set of diagnoses (FSH); FHIR examples"),
    snomed("248548009", "Nocturnal shortness of breath", _BELGIUM),
    icd("R06.0", "Dyspnoea", _WHO),
)
COUGH = _symptom(
    "cough",
    "cough",
    snomed("49727002", "Cough", _GECCO),
    snomed("28743005", "Productive cough", _GECCO),
    snomed("11833005", "Dry cough", _GECCO),
    icd("R05", "Cough", _WHO),
)
FEVER = _symptom(
    "fever",
    "fever",
    snomed("386661006", "Fever", _GECCO),
    snomed("426000000", "Fever greater than 100.4 Fahrenheit / 38 Celsius", _GECCO),
    icd("R50", "Fever of other and unknown origin", _WHO),
)
#: Not pain in the throat (R07.0).
CHEST_PAIN = _symptom(
    "chest-pain",
    "chest pain",
    snomed("29857009", "Chest pain", _GECCO),
    icd("R07.1", "Chest pain on breathing", _WHO),
    icd("R07.2", "Precordial pain", _WHO),
    icd("R07.3", "Other chest pain", _WHO),
    icd("R07.4", "Chest pain, unspecified", _WHO),
    _cm("R07.8", "Other chest pain"),
    _cm("R07.9", "Chest pain, unspecified"),
)
#: That is new: not dementia, which is a question of its own.
CONFUSION = _symptom(
    "confusion",
    "confusion",
    snomed("40917007", "Clouded consciousness", f"{_GECCO}; {_BELGIUM}, as confusion"),
    snomed("130987000", "Acute confusion", _LISTS),
    snomed("419284004", "Altered mental status", _LISTS),
    snomed("2776000", "Delirium", _LISTS),
    icd("R41.0", "Disorientation, unspecified", _WHO),
    _cm("R41.82", "Altered mental status, unspecified"),
    icd("F05", "Delirium, not induced by alcohol and other psychoactive substances", _WHO),
)
#: R60.0 is the oedema of a part of the body, the legs in nearly all; R60.1, of the whole body, is none.
LEG_SWELLING = _symptom(
    "leg-swelling",
    "leg swelling",
    snomed("102572006", "Edema of lower extremity", _LISTS),
    snomed("271809000", "Peripheral edema", _LISTS),
    snomed("297142003", "Foot swelling", _BELGIUM),
    icd("R22.4", "Localized swelling, mass and lump, lower limb", _WHO),
    icd("R60.0", "Localized oedema", _WHO),
)
#: Not the amnesia for an accident (R41.1, R41.2), nor transient global amnesia (G45.4).
MEMORY_COMPLAINT = _symptom(
    "memory-complaint",
    "memory complaint",
    snomed("386807006", "Memory impairment", _LISTS),
    icd("R41.3", "Other amnesia", _WHO),
    _cm("R41.81", "Age-related cognitive decline"),
)
#: Not of neck (M54.2) or thorax (M54.6), nor where the place is not named (M54.9).
BACK_PAIN = _symptom(
    "low-back-pain",
    "low back pain",
    snomed("279039007", "Low back pain", "HL7 personal health record format, symptom codes; lists"),
    snomed("278860009", "Chronic low back pain", _LISTS),
    icd("M54.4", "Lumbago with sciatica", _WHO),
    icd("M54.5", "Low back pain", _WHO),
)
HEADACHE = _symptom(
    "headache",
    "headache",
    snomed("25064002", "Headache", _GECCO),
    snomed("37796009", "Migraine", "GECCO value set of neurological diseases (FHIR)"),
    icd("R51", "Headache", _WHO),
    icd("G43", "Migraine", _WHO),
    icd("G44", "Other headache syndromes", _WHO),
)
#: The WHO list has no code for it.
THUNDERCLAP_HEADACHE = _symptom(
    "thunderclap-headache", "thunderclap headache", _cm("G44.53", "Primary thunderclap headache")
)
#: Not of pelvis and perineum (R10.2).
ABDOMINAL_PAIN = _symptom(
    "abdominal-pain",
    "abdominal pain",
    snomed("21522001", "Abdominal pain", _GECCO),
    icd("R10.0", "Acute abdomen", _WHO),
    icd("R10.1", "Pain localized to upper abdomen", _WHO),
    icd("R10.3", "Pain localized to other parts of lower abdomen", _WHO),
    icd("R10.4", "Other and unspecified abdominal pain", _WHO),
    _cm("R10.8", "Other abdominal pain"),
    _cm("R10.9", "Unspecified abdominal pain"),
)

# A relative's disease comes under the code of the disease, or under one that says itself that it runs in the family.
_LUNG_SITUATIONS = (
    snomed("429011007", "Family history of malignant neoplasm of lung", "public FHIR questionnaire of lung screening"),
    icd("Z80.1", "Family history of malignant neoplasm of trachea, bronchus and lung", _WHO),
)
_BREAST_SITUATIONS = (
    snomed("429740004", "Family history of breast cancer", "DICOM PS3.16 CID 6081, breast cancer risk factors"),
    icd("Z80.3", "Family history of malignant neoplasm of breast", _WHO),
)
#: Z82.4 is of any disease of heart and vessels: the ICD has no narrower code.
_HEART_SITUATIONS = (
    snomed("266897007", "Family history of myocardial infarction", _FAMILY_CID),
    snomed("430091005", "Family history of coronary arteriosclerosis", _FAMILY_CID),
    snomed("134439009", "Family history: premature coronary heart disease", "HL7 registry protocols; FHIR examples"),
    snomed("297242006", "Family history of cardiac disorder", "public FHIR examples of cardiology"),
    icd("Z82.4", "Family history of ischaemic heart disease and other diseases of the circulatory system", _WHO),
)
#: ICD-10, WHO tabular list: Z80 to Z84 are the family history of a disease, whatever list of a record they stand on.
_SITUATIONS = (
    *(icd(f"Z{n}", "Family history", _WHO) for n in range(80, 85)),
    *_LUNG_SITUATIONS,
    *_BREAST_SITUATIONS,
    *_HEART_SITUATIONS,
)

FAMILY_LUNG_CANCER = _family(
    "family-lung-cancer",
    "lung cancer in the family",
    *_LUNG_SITUATIONS,
    snomed("363358000", "Malignant tumor of lung", _LUNG_SEEN),
    snomed("254637007", "Non-small cell lung cancer", _LUNG_SEEN),
    snomed("254632001", "Small cell carcinoma of lung", _LUNG_SEEN),
    snomed("93880001", "Primary malignant neoplasm of lung", _LUNG_SEEN),
    icd("C34", "Malignant neoplasm of bronchus and lung", _WHO),
)
FAMILY_BREAST_CANCER = _family(
    "family-breast-cancer",
    "breast cancer in the family",
    *_BREAST_SITUATIONS,
    snomed("254837009", "Malignant neoplasm of breast", "as in the value set of breast cancer"),
    icd("C50", "Malignant neoplasm of breast", _WHO),
)
#: How early is for the reader to see: the codes but one do not say it.
FAMILY_PREMATURE_HEART_DISEASE = _family(
    "family-heart-disease",
    "heart attack or heart disease in the family",
    *_HEART_SITUATIONS,
    snomed("53741008", "Coronary arteriosclerosis", _HEART_SEEN),
    snomed("414545008", "Ischemic heart disease", _HEART_SEEN),
    snomed("22298006", "Myocardial infarction", _HEART_SEEN),
    snomed("57054005", "Acute myocardial infarction", _HEART_SEEN),
    snomed("399211009", "History of myocardial infarction", _HEART_SEEN),
    *(icd(f"I{n}", "Ischaemic heart disease", _WHO) for n in range(20, 26)),
)
FAMILY_AORTIC_ANEURYSM = _family(
    "family-aortic-aneurysm",
    "aortic aneurysm in the family",
    snomed("67362008", "Aortic aneurysm", _AORTA_SEEN),
    snomed("233985008", "Abdominal aortic aneurysm", _AORTA_SEEN),
    snomed("433068007", "Aneurysm of thoracic aorta", _AORTA_SEEN),
    snomed("308546005", "Aortic dissection", _AORTA_SEEN),
    icd("I71", "Aortic aneurysm and dissection", _WHO),
)


@lru_cache(maxsize=4096)
def is_of_family(code: Coding) -> bool:
    """True for a code that says itself that a relative has the disease, so that it is none of the patient's own."""
    return any(entry.matches(code) for entry in _SITUATIONS)
