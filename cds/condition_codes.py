"""Value sets of diseases, symptoms and family history, with the evidence of each code.

What a person had (Z85, "history of") counts where the question is for ever: breast cancer for a risk of breast cancer.
Where it is of now, as for cancer, the past has a value set of its own.
"""

from __future__ import annotations

from cds.circulation_codes import (
    ABDOMINAL_AORTIC_ANEURYSM,
    ACUTE_KIDNEY_INJURY,
    AORTIC_ANEURYSM,
    AORTOPATHY,
    ASCVD,
    ATRIAL_FIBRILLATION,
    CARDIAC_DEVICE,
    CHRONIC_KIDNEY_DISEASE,
    DIABETES,
    DIALYSIS,
    FAMILIAL_HYPERCHOLESTEROLAEMIA,
    HEART_FAILURE,
    HYPERTENSION,
    INTRACRANIAL_HAEMORRHAGE,
    STROKE,
    THORACIC_AORTIC_ANEURYSM,
    VENOUS_THROMBOEMBOLISM,
)
from cds.domain.coding import Coding
from cds.symptom_codes import (
    ABDOMINAL_PAIN,
    BACK_PAIN,
    CHEST_PAIN,
    CONFUSION,
    COUGH,
    DYSPNOEA,
    FAMILY_AORTIC_ANEURYSM,
    FAMILY_BREAST_CANCER,
    FAMILY_LUNG_CANCER,
    FAMILY_PREMATURE_HEART_DISEASE,
    FEVER,
    HEADACHE,
    LEG_SWELLING,
    MEMORY_COMPLAINT,
    THUNDERCLAP_HEADACHE,
    is_of_family,
)
from cds.value_sets import ICD10_CM, Entry, ValueSet, icd, snomed

_WHO = "ICD-10, WHO tabular list (https://icd.who.int/browse10/2019/en)"
_CM = "ICD-10-CM, tabular list; not in the WHO list"
_GECCO = "GECCO value sets of the German COVID-19 research network (FHIR)"
_UNDERLYING = "FHIR value sets of conditions that underlie COVID-19 (FSH)"
_LIVER = "DICOM PS3.16 CID 12325, liver ultrasound study indication"
_ECQM = "public expansions of US eCQM value sets"
_LUNG_SEEN = "as in the value set of lung cancer"
_LISTS = "public code lists and FHIR examples, with this meaning"


def _condition(name: str, title: str, *entries: Entry) -> ValueSet:
    return ValueSet(name, title, "condition", entries)


def _cm(code: str, display: str, *, prefix: bool = True) -> Entry:
    return Entry(Coding(ICD10_CM, code, display), _CM, prefix=prefix)


#: Not osteopenia (M85.8).
OSTEOPOROSIS = _condition(
    "osteoporosis",
    "osteoporosis",
    snomed("64859006", "Osteoporosis", _LISTS),
    snomed("203438009", "Vertebral osteoporosis", "public FHIR value set of chest CT findings"),
    icd("M80", "Osteoporosis with pathological fracture", _WHO),
    icd("M81", "Osteoporosis without pathological fracture", _WHO),
    icd("M82", "Osteoporosis in diseases classified elsewhere", _WHO),
)
#: Not of the neck (S12), which breaks in accidents; nor M80.x8, which in the WHO list is a rib as well.
VERTEBRAL_FRACTURE = _condition(
    "vertebral-fracture",
    "vertebral fracture",
    snomed("42942008", "Compression fracture of vertebral column", "public FHIR value set of chest CT findings"),
    snomed("207938004", "Closed fracture of thoracic vertebra", _LISTS),
    snomed("207957008", "Closed fracture of lumbar vertebra", _LISTS),
    icd("M48.5", "Collapsed vertebra, not elsewhere classified", _WHO),
    icd("M49.5", "Collapsed vertebra in diseases classified elsewhere", _WHO),
    icd("S22.0", "Fracture of thoracic vertebra", _WHO),
    icd("S22.1", "Multiple fractures of thoracic spine", _WHO),
    icd("S32.0", "Fracture of lumbar vertebra", _WHO),
    icd("T08", "Fracture of spine, level unspecified", _WHO),
)
#: Natural or not. N95 is of the years around it too: who is in them is close to the risk that is asked for.
MENOPAUSE = _condition(
    "menopause",
    "menopause",
    snomed("76498008", "Postmenopausal state", _LISTS),
    snomed("289903006", "Menopause present", _LISTS),
    icd("Z78.0", "Asymptomatic menopausal state", _WHO),
    icd("N95", "Menopausal and other perimenopausal disorders", _WHO),
    icd("E28.3", "Primary ovarian failure", _WHO),
    icd("E89.4", "Postprocedural ovarian failure", _WHO),
)
FATTY_LIVER = _condition(
    "fatty-liver",
    "fatty liver disease",
    snomed("197321007", "Steatosis of liver", _GECCO),
    snomed("197315008", "Nonalcoholic fatty liver", f"{_UNDERLYING}; {_LIVER}"),
    snomed("442685003", "Nonalcoholic steatohepatitis", _LISTS),
    icd("K76.0", "Fatty (change of) liver, not elsewhere classified", _WHO),
    icd("K70.0", "Alcoholic fatty liver", _WHO),
    _cm("K75.81", "Nonalcoholic steatohepatitis"),
)
#: Fat alone is a question of its own. Not acute hepatitis, nor E83.1 of the WHO list, any disorder of iron.
CHRONIC_LIVER_DISEASE = _condition(
    "chronic-liver-disease",
    "cirrhosis or other chronic liver disease",
    snomed("19943007", "Cirrhosis of liver", f"{_GECCO}; {_LIVER}"),
    snomed("328383001", "Chronic liver disease", _UNDERLYING),
    snomed("708248004", "End stage liver disease", _UNDERLYING),
    snomed("10295004", "Chronic viral hepatitis", _GECCO),
    snomed("61977001", "Chronic type B viral hepatitis", _UNDERLYING),
    snomed("128302006", "Chronic hepatitis C", _UNDERLYING),
    snomed("408335007", "Autoimmune hepatitis", _UNDERLYING),
    snomed("235890007", "Autoimmune liver disease", _GECCO),
    icd("B18", "Chronic viral hepatitis", _WHO),
    icd("K70.2", "Alcoholic fibrosis and sclerosis of liver", _WHO),
    icd("K70.3", "Alcoholic cirrhosis of liver", _WHO),
    icd("K70.4", "Alcoholic hepatic failure", _WHO),
    icd("K70.9", "Alcoholic liver disease, unspecified", _WHO),
    icd("K71.7", "Toxic liver disease with fibrosis and cirrhosis of liver", _WHO),
    icd("K72.1", "Chronic hepatic failure", _WHO),
    icd("K73", "Chronic hepatitis, not elsewhere classified", _WHO),
    icd("K74", "Fibrosis and cirrhosis of liver", _WHO),
    icd("K75.4", "Autoimmune hepatitis", _WHO),
    icd("K76.6", "Portal hypertension", _WHO),
    icd("K76.7", "Hepatorenal syndrome", _WHO),
    _cm("K83.01", "Primary sclerosing cholangitis"),
    _cm("E83.01", "Wilson's disease"),
    _cm("E83.11", "Haemochromatosis"),
)
#: Not one intoxication (F10.0), nor use of which nobody says that it harms (F10.9).
ALCOHOL_USE_DISORDER = _condition(
    "alcohol-use-disorder",
    "alcohol use disorder",
    snomed("7200002", "Alcoholism", _LISTS),
    snomed("15167005", "Alcohol abuse", "ISiK, FHIR profile of the German specification for hospitals"),
    snomed("66590003", "Alcohol dependence", _LISTS),
    icd("F10.1", "Harmful use of alcohol", _WHO),
    icd("F10.2", "Alcohol dependence syndrome", _WHO),
    icd("F10.3", "Alcohol withdrawal state", _WHO),
    icd("F10.4", "Alcohol withdrawal state with delirium", _WHO),
    icd("F10.5", "Psychotic disorder due to use of alcohol", _WHO),
    icd("F10.6", "Amnesic syndrome due to use of alcohol", _WHO),
    icd("F10.7", "Residual and late-onset psychotic disorder due to use of alcohol", _WHO),
)
#: The categories of ICD-10 chapter II that are malignant; C44, other skin cancer, hardly ever spreads and is not asked.
_MALIGNANT = (*range(27), *range(30, 35), *range(37, 42), 43, *range(45, 59), *range(60, 87), 88, *range(90, 98))
CANCER = _condition(
    "cancer",
    "cancer",
    snomed("363346000", "Malignant neoplastic disease", _GECCO),
    snomed("128462008", "Secondary malignant neoplastic disease", f"{_UNDERLYING}; HL7 mCODE"),
    snomed("448882009", "Malignant neoplasm of intraabdominal organ", _UNDERLYING),
    snomed("93841009", "Primary malignant neoplasm of intrathoracic organs", _UNDERLYING),
    snomed("363358000", "Malignant tumor of lung", _LUNG_SEEN),
    snomed("254637007", "Non-small cell lung cancer", _LUNG_SEEN),
    snomed("254632001", "Small cell carcinoma of lung", _LUNG_SEEN),
    snomed("93880001", "Primary malignant neoplasm of lung", _LUNG_SEEN),
    snomed("254837009", "Malignant neoplasm of breast", "breast value sets and profiles (FHIR) of Germany; lists"),
    snomed("363406005", "Malignant neoplasm of colon", _LISTS),
    snomed("399068003", "Malignant neoplasm of prostate", _LISTS),
    snomed("372244006", "Malignant melanoma", _LISTS),
    snomed("118600007", "Malignant lymphoma", _UNDERLYING),
    snomed("93143009", "Leukemia", _UNDERLYING),
    snomed("109989006", "Multiple myeloma", _UNDERLYING),
    *(icd(f"C{n:02}", "Malignant neoplasm", _WHO) for n in _MALIGNANT),
    _cm("C4A", "Merkel cell carcinoma"),
    _cm("C7A", "Malignant neuroendocrine tumours"),
    _cm("C7B", "Secondary neuroendocrine tumours"),
)
#: Z85.8 of the WHO list, other organs, is melanoma too, and with it other skin cancer; ICD-10-CM tells them apart.
CANCER_HISTORY = _condition(
    "cancer-history",
    "cancer in the past",
    snomed("266987004", "History of malignant neoplasm", "public FHIR examples and value sets of oncology"),
    snomed("429087003", "History of malignant neoplasm of breast", "HL7 Lithuania, value set of breast history"),
    *(icd(f"Z85.{n}", "Personal history of malignant neoplasm", _WHO) for n in range(8)),
    icd("Z85.8", "Personal history of malignant neoplasms of other organs and systems", _WHO, prefix=False),
    icd("Z85.9", "Personal history of malignant neoplasm, unspecified", _WHO),
    *(_cm(f"Z85.{n}", "Personal history of malignant neoplasm of other sites") for n in (81, 83, 84, 85, 89)),
    _cm("Z85.820", "Personal history of malignant melanoma of skin"),
    _cm("Z85.821", "Personal history of Merkel cell carcinoma"),
)
#: Transplants of what is rejected: not cornea, skin or bone (Z94.5 to Z94.7).
IMMUNOSUPPRESSION = _condition(
    "immunosuppression",
    "immunosuppression",
    snomed("370388006", "Patient immunocompromised", _UNDERLYING),
    snomed("370391006", "Patient immunosuppressed", _UNDERLYING),
    snomed("234532001", "Immunodeficiency disorder", _UNDERLYING),
    snomed("36138009", "Congenital immunodeficiency disease", _GECCO),
    snomed("86406008", "Human immunodeficiency virus infection", _UNDERLYING),
    snomed("62479008", "Acquired immune deficiency syndrome", _UNDERLYING),
    snomed("86553008", "Immunosuppressive therapy", _UNDERLYING),
    snomed("234646005", "Graft-versus-host disease", _UNDERLYING),
    *(icd(f"B{n}", "Human immunodeficiency virus disease", _WHO) for n in range(20, 25)),
    icd("Z21", "Asymptomatic human immunodeficiency virus infection status", _WHO),
    icd("D70", "Agranulocytosis", _WHO),
    *(icd(f"D{n}", "Immunodeficiency", _WHO) for n in range(80, 85)),
    _cm("D89.81", "Graft-versus-host disease"),
    *(icd(f"Z94.{n}", "Transplanted organ", _WHO) for n in range(5)),
    icd("Z94.8", "Other transplanted organ and tissue, as bone marrow", _WHO),
    _cm("Z79.52", "Long term (current) use of systemic steroids"),
    _cm("Z79.6", "Long term (current) use of immunomodulators and immunosuppressants"),
)
#: Whom BCRAT is not for: now or in the past, in situ too (https://bcrisktool.cancer.gov/about.html).
BREAST_CANCER = _condition(
    "breast-cancer",
    "breast cancer or lobular carcinoma in situ",
    snomed("254837009", "Malignant neoplasm of breast", "breast value sets and profiles (FHIR) of Germany; lists"),
    snomed("109889007", "Ductal carcinoma in situ of breast", "breast value sets and profiles (FHIR) of Germany"),
    snomed("109888004", "Lobular carcinoma in situ of breast", "public FHIR examples of pathology"),
    snomed("444739008", "Classic lobular carcinoma in situ of breast", "breast value sets (FHIR) of Germany"),
    snomed("444591006", "Pleomorphic lobular carcinoma in situ of breast", "breast value sets (FHIR) of Germany"),
    snomed("429087003", "History of malignant neoplasm of breast", "HL7 Lithuania, value set of breast history"),
    snomed("11001921000119108", "History of carcinoma in situ of breast", "HL7 Lithuania, value set of breast history"),
    icd("C50", "Malignant neoplasm of breast", _WHO),
    icd("D05", "Carcinoma in situ of breast", _WHO),
    icd("Z85.3", "Personal history of malignant neoplasm of breast", _WHO),
    _cm("Z86.000", "Personal history of in-situ neoplasm of breast", prefix=False),
)
#: Z15.01 is of any gene: BCRAT is for none of those who carry one.
BRCA = _condition(
    "brca",
    "BRCA1 or BRCA2 mutation",
    snomed("412734009", "BRCA1 gene mutation positive", "ICHOM breast cancer value sets (FHIR)"),
    snomed("412738007", "BRCA2 gene mutation positive", "ICHOM breast cancer value sets (FHIR)"),
    _cm("Z15.01", "Genetic susceptibility to malignant neoplasm of breast"),
)
#: Most codes do not say where: they count, and the reader sees their words.
CHEST_RADIATION = _condition(
    "chest-radiation",
    "radiation therapy of the chest",
    snomed("143501000119107", "History of radiation therapy to breast area", "public FHIR value set of breast imaging"),
    snomed("429479009", "History of radiation therapy", "public FHIR value sets of breast imaging and oncology"),
    icd("Z92.3", "Personal history of irradiation", _WHO),
)
#: Not interstitial (J84).
PNEUMONIA = _condition(
    "pneumonia",
    "pneumonia",
    snomed("233604007", "Pneumonia", _LISTS),
    snomed("385093006", "Community acquired pneumonia", _LISTS),
    snomed("53084003", "Bacterial pneumonia", _LISTS),
    snomed("75570004", "Viral pneumonia", _LISTS),
    *(icd(f"J{n}", "Pneumonia", _WHO) for n in range(12, 19)),
    icd("J10.0", "Influenza with pneumonia, seasonal influenza virus identified", _WHO),
    icd("J11.0", "Influenza with pneumonia, virus not identified", _WHO),
    icd("J69.0", "Pneumonitis due to food and vomit", _WHO),
    icd("J85.1", "Abscess of lung with pneumonia", _WHO),
    icd("A48.1", "Legionnaires' disease", _WHO),
)
DEMENTIA = _condition(
    "dementia",
    "dementia",
    snomed("52448006", "Dementia", _GECCO),
    snomed("26929004", "Alzheimer's disease", _LISTS),
    snomed("429998004", "Vascular dementia", _LISTS),
    snomed("230270009", "Frontotemporal dementia", _LISTS),
    snomed("80098002", "Diffuse Lewy body disease", _LISTS),
    *(icd(f"F0{n}", "Dementia", _WHO) for n in range(4)),
    icd("F05.1", "Delirium superimposed on dementia", _WHO),
    icd("G30", "Alzheimer's disease", _WHO),
    icd("G31.0", "Circumscribed brain atrophy", _WHO),
    _cm("G31.83", "Neurocognitive disorder with Lewy bodies"),
)
MILD_COGNITIVE_IMPAIRMENT = _condition(
    "mild-cognitive-impairment",
    "mild cognitive impairment",
    snomed("386805003", "Mild cognitive disorder", _LISTS),
    icd("F06.7", "Mild cognitive disorder", _WHO),
    _cm("G31.84", "Mild cognitive impairment of uncertain or unknown etiology"),
)
PALLIATIVE_CARE = _condition(
    "palliative-care",
    "palliative or hospice care",
    snomed("103735009", "Palliative care", _ECQM),
    snomed("385763009", "Hospice care", _ECQM),
    snomed("385736008", "Dying care", _ECQM),
    icd("Z51.5", "Palliative care", _WHO),
)
THYROID_DISEASE = _condition(
    "hyperthyroidism",
    "hyperthyroidism",
    snomed("34486009", "Hyperthyroidism", _LISTS),
    snomed("353295004", "Toxic diffuse goiter", _LISTS),
    icd("E05", "Thyrotoxicosis", _WHO),
)
#: Of the skull or what is in it: not skin alone (S00, S01), nor the bones of the face.
HEAD_INJURY = _condition(
    "head-injury",
    "head injury",
    snomed("82271004", "Injury of head", _LISTS),
    snomed("110030002", "Concussion injury of brain", _LISTS),
    snomed("62106007", "Concussion with no loss of consciousness", _LISTS),
    snomed("62564004", "Concussion with loss of consciousness", _LISTS),
    snomed("127295002", "Traumatic brain injury", _UNDERLYING),
    icd("S02.0", "Fracture of vault of skull", _WHO),
    icd("S02.1", "Fracture of base of skull", _WHO),
    icd("S06", "Intracranial injury", _WHO),
    icd("S07", "Crushing injury of head", _WHO),
    icd("S09.8", "Other specified injuries of head", _WHO),
    icd("S09.9", "Unspecified injury of head", _WHO),
)
#: With epilepsy: who has it may have had one, and a rule for people without a seizure is not for them.
SEIZURE = _condition(
    "seizure",
    "seizure",
    snomed("91175000", "Seizure", "GECCO value set of symptoms of SARS-CoV-2 (FHIR)"),
    snomed("128613002", "Seizure disorder", _UNDERLYING),
    snomed("84757009", "Epilepsy", _GECCO),
    icd("R56", "Convulsions, not elsewhere classified", _WHO),
    icd("G40", "Epilepsy", _WHO),
    icd("G41", "Status epilepticus", _WHO),
)
NURSING_HOME = _condition(
    "nursing-home",
    "living in a nursing home",
    snomed("160734000", "Lives in a nursing home", _ECQM),
    icd("Z59.3", "Problems related to living in residential institution", _WHO),
)

ALL = tuple(one for one in list(vars().values()) if isinstance(one, ValueSet))

__all__ = [
    "ABDOMINAL_AORTIC_ANEURYSM",
    "ABDOMINAL_PAIN",
    "ACUTE_KIDNEY_INJURY",
    "ALCOHOL_USE_DISORDER",
    "ALL",
    "AORTIC_ANEURYSM",
    "AORTOPATHY",
    "ASCVD",
    "ATRIAL_FIBRILLATION",
    "BACK_PAIN",
    "BRCA",
    "BREAST_CANCER",
    "CANCER",
    "CANCER_HISTORY",
    "CARDIAC_DEVICE",
    "CHEST_PAIN",
    "CHEST_RADIATION",
    "CHRONIC_KIDNEY_DISEASE",
    "CHRONIC_LIVER_DISEASE",
    "CONFUSION",
    "COUGH",
    "DEMENTIA",
    "DIABETES",
    "DIALYSIS",
    "DYSPNOEA",
    "FAMILIAL_HYPERCHOLESTEROLAEMIA",
    "FAMILY_AORTIC_ANEURYSM",
    "FAMILY_BREAST_CANCER",
    "FAMILY_LUNG_CANCER",
    "FAMILY_PREMATURE_HEART_DISEASE",
    "FATTY_LIVER",
    "FEVER",
    "HEADACHE",
    "HEAD_INJURY",
    "HEART_FAILURE",
    "HYPERTENSION",
    "IMMUNOSUPPRESSION",
    "INTRACRANIAL_HAEMORRHAGE",
    "LEG_SWELLING",
    "MEMORY_COMPLAINT",
    "MENOPAUSE",
    "MILD_COGNITIVE_IMPAIRMENT",
    "NURSING_HOME",
    "OSTEOPOROSIS",
    "PALLIATIVE_CARE",
    "PNEUMONIA",
    "SEIZURE",
    "STROKE",
    "THORACIC_AORTIC_ANEURYSM",
    "THUNDERCLAP_HEADACHE",
    "THYROID_DISEASE",
    "VENOUS_THROMBOEMBOLISM",
    "VERTEBRAL_FRACTURE",
    "is_of_family",
]
