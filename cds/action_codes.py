"""What pathways suggest, as codes: a public code where one was verified, else Sightline's own, which goes out as text.

A site maps each of them to its own orderable (setting `orderables`, by the action's code). Each has the value set of
its open requests, so that nobody is asked for the same twice. Each has a code of its own among the actions: two that
public codes do not tell apart (a CT for screening, and one that follows up) have at most one public code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cds.domain.coding import Coding
from cds.value_sets import LOINC, SNOMED, Entry, ValueSet

#: What Sightline suggests, where no public code says it exactly; goes out as text.
SIGHTLINE_ACTION = "urn:sightline:action"
_OWN = "the code of the drafts that Sightline's own cards suggest"
#: What actions with a public code are called.
_NAMES: dict[tuple[str, str], str] = {}


def _own(code: str, display: str) -> Coding:
    return Coding(SIGHTLINE_ACTION, code, display)


def _public(name: str, system: str, code: str, display: str) -> Coding:
    """An action that a public code says exactly; where the code was seen stands in `cds.procedure_codes`."""
    _NAMES[(system, code)] = name
    return Coding(system, code, display)


LIPID_VISIT = _own("lipid-treatment-visit", "Visit to discuss lipid treatment")
CARDIOLOGY_REFERRAL = _public("cardiology-referral", SNOMED, "183519002", "Referral to cardiology")
REPEAT_CALCIUM_SCORE = _public(
    "repeat-coronary-calcium-ct", SNOMED, "504981000119108", "Repeat CT for coronary calcium"
)
CHEST_CT_FOLLOW_UP = _public(
    "chest-ct-follow-up", SNOMED, "16334891000119106", "Follow-up CT of the chest, low dose, without contrast"
)
LOW_DOSE_SCREENING_CT = _own("low-dose-screening-ct", "Low-dose screening CT of the chest")
DIAGNOSTIC_CHEST_CT = _public("diagnostic-chest-ct", SNOMED, "169069000", "Diagnostic CT of the chest")
PET_CT = _public("pet-ct", SNOMED, "450436003", "PET-CT")
NODULE_CLINIC_REFERRAL = _own("nodule-clinic-referral", "Referral to a lung nodule clinic")
TELL_ONCOLOGIST = _own("tell-treating-oncologist", "Tell the treating oncologist")
TELL_IMMUNOSUPPRESSION_TEAM = _own("tell-immunosuppression-team", "Tell who treats the immunosuppression")
ASK_RADIOLOGIST = _own("ask-radiologist", "Individual decision: ask the radiologist")
ASK_PAEDIATRIC_RADIOLOGY = _own("ask-paediatric-radiology", "Ask paediatric radiology")
DXA = _public("dxa", SNOMED, "413841000119101", "Bone density by DXA of hip and spine")
OSTEOPOROSIS_REVIEW = _own("osteoporosis-treatment-review", "Review of the treatment of osteoporosis")
RULE_OUT_METASTASIS = _own("rule-out-spinal-metastasis", "Rule out metastasis of the spine")
LIVER_BLOOD_TESTS = _own("fib-4-blood-tests", "AST, ALT and platelets (for FIB-4)")
REPEAT_FIB4 = _own("repeat-fib-4", "Repeat FIB-4 in primary care")
ELASTOGRAPHY = _own("liver-elastography", "Liver stiffness by elastography")
HEPATOLOGY_REFERRAL = _own("hepatology-referral", "Referral to hepatology")
ACUTE_LIVER_ASSESSMENT = _own("acute-liver-assessment", "Look for acute liver disease now")
NT_PROBNP = _public("nt-probnp", LOINC, "33762-6", "NT-proBNP")
ECHOCARDIOGRAPHY = _public("echocardiography", SNOMED, "433236007", "Transthoracic echocardiography")
ACUTE_ASSESSMENT = _own("acute-assessment", "Clinical assessment today: possible acute heart failure")
HEART_FAILURE_REFERRAL = _own("heart-failure-assessment", "Specialist heart failure assessment with echocardiography")
AORTIC_SURVEILLANCE = _own("aortic-surveillance-imaging", "Surveillance ultrasound of the abdominal aorta")
THORACIC_AORTA_IMAGING = _own("thoracic-aorta-imaging", "Surveillance imaging of the thoracic aorta")
AORTIC_SCREENING = _own("abdominal-aortic-screening", "One-time ultrasound screening of the abdominal aorta")
VASCULAR_SURGERY_REFERRAL = _own("vascular-surgery-referral", "Referral to vascular surgery")
ANEURYSM_EXAMINATION = _own("painful-aneurysm-examination", "Examination of a painful aneurysm")
THORACIC_AORTA_REFERRAL = _own("thoracic-aorta-referral", "Referral to cardiology or cardiac surgery for the aorta")
NEUROSURGERY_CALL = _own("neurosurgery-call", "Call neurosurgery now")
STROKE_TEAM_CALL = _own("stroke-team-call", "Call the stroke team now")
ANTICOAGULATION_REVERSAL = _own("anticoagulation-reversal", "Check anticoagulation and consider reversal now")
BREAST_DENSITY_VISIT = _own("breast-density-visit", "Visit to discuss breast density")
BREAST_RISK_VISIT = _own("breast-risk-visit", "Visit to discuss lowering breast cancer risk")
BREAST_GENETICS_REFERRAL = _own("breast-genetics-referral", "Referral for family-history risk assessment")
BREAST_RECALL = _own("breast-recall", "Recall for diagnostic breast imaging")
BREAST_SHORT_FOLLOW_UP = _own("breast-short-follow-up", "Short-interval follow-up breast imaging")
BREAST_BIOPSY = _public("breast-biopsy", SNOMED, "122548005", "Breast biopsy")
CURB65_VALUES = _own(
    "curb-65-values", "Urea, respiratory rate, blood pressure, mental state (CURB-65) and oxygen saturation"
)
ADMISSION_ASSESSMENT = _own("hospital-assessment", "Hospital assessment for pneumonia")
HOME_CARE = _own("home-care-pneumonia", "Care at home with a safety net")
SUPERVISED_CARE = _own("supervised-care-pneumonia", "Short stay or hospital-supervised care for pneumonia")
FOLLOW_UP_CHEST_X_RAY = _public("follow-up-chest-x-ray", SNOMED, "399208008", "Follow-up chest X-ray")
MEMORY_ASSESSMENT = _own("memory-assessment", "Memory assessment")
COGNITIVE_TEST = _own("cognitive-test", "Cognitive test in primary care")
COMPARE_STUDIES = _own("compare-studies", "Comparison of both studies by a radiologist")
EARLIER_FOLLOW_UP = _own("earlier-follow-up", "Earlier follow-up because of change")
ADRENAL_WORK_UP = _own("adrenal-work-up", "Work-up of an adrenal mass")
NO_IMAGING = _own("no-imaging", "No imaging now")
D_DIMER = _public("d-dimer", LOINC, "48065-7", "D-dimer")
CT_PULMONARY_ANGIOGRAPHY = _own("ct-pulmonary-angiography", "CT pulmonary angiography")
CT_HEAD_UNENHANCED = _public("ct-head-unenhanced", SNOMED, "383371000119108", "CT of the head without contrast")
CREATININE_TEST = _own("creatinine-egfr", "Creatinine with eGFR")
PREGNANCY_TEST = _own("pregnancy-test", "Pregnancy test")
SALINE = _own("saline-prophylaxis", "Intravenous saline before iodinated contrast")
METFORMIN_HOLD = _own("metformin-hold", "Hold metformin around contrast")
OTHER_GADOLINIUM = _own("gadolinium-group-ii", "Gadolinium agent of group II")
CONTRAST_DECISION = _own("contrast-decision", "Decision of the radiologist on contrast medium")
OTHER_TEST_OR_AGENT = _own("contrast-alternative", "Other test, or another contrast agent")
WITHOUT_GADOLINIUM = _own("mri-without-gadolinium", "MRI without gadolinium")
WITHOUT_RADIATION = _own("imaging-without-radiation", "Ultrasound or MRI in place of X-rays")
ABDOMINAL_ULTRASOUND = _public("abdominal-ultrasound", LOINC, "24558-9", "Ultrasound of the abdomen")
PELVIC_ULTRASOUND = _public("pelvic-ultrasound", LOINC, "24869-0", "Ultrasound of the pelvis")
LUMBAR_MRI = _public("lumbar-mri", LOINC, "30679-5", "MRI of the lumbar spine without contrast")
LUMBAR_MRI_WITH = _public(
    "lumbar-mri-with-contrast", LOINC, "24967-2", "MRI of the lumbar spine without and with contrast"
)

#: Every action of this file by its code.
ACTIONS = {one.code: one for one in list(vars().values()) if isinstance(one, Coding)}

#: Those that make images of a kind that pathways read: an open request of the day of a study, or from before, may be
#: what it was made for. No study that they read is a bone density measurement.
IMAGING_ACTIONS = frozenset(
    {
        ADRENAL_WORK_UP,
        AORTIC_SCREENING,
        AORTIC_SURVEILLANCE,
        BREAST_RECALL,
        BREAST_SHORT_FOLLOW_UP,
        CHEST_CT_FOLLOW_UP,
        CT_HEAD_UNENHANCED,
        CT_PULMONARY_ANGIOGRAPHY,
        DIAGNOSTIC_CHEST_CT,
        EARLIER_FOLLOW_UP,
        ECHOCARDIOGRAPHY,
        ELASTOGRAPHY,
        FOLLOW_UP_CHEST_X_RAY,
        LOW_DOSE_SCREENING_CT,
        PET_CT,
        REPEAT_CALCIUM_SCORE,
        THORACIC_AORTA_IMAGING,
    }
)


def name_of(action: Coding) -> str:
    """What an action is called in names of value sets and settings, whatever code it has."""
    return _NAMES.get((action.system, action.code), action.code)


def ordered(action: Coding, *entries: Entry) -> ValueSet:
    """The value set of open requests for an action: its own code, and public codes that ask for the same."""
    stated = any(entry.coding.system == action.system and entry.coding.code == action.code for entry in entries)
    own = () if stated else (Entry(action, _OWN),)
    return ValueSet(request_of(action), f"open request: {action.display}", "request", (*own, *entries))


def request_of(action: Coding) -> str:
    """The name of the value set of an action's open requests, as `EhrData.request` takes it."""
    return f"{name_of(action)}-request"


def with_orderables(value_sets: Iterable[ValueSet], orderables: dict[str, Coding]) -> dict[str, ValueSet]:
    """The value sets by name, those of open requests with the code that a site orders the action by.

    A request that a person signed in the EHR has the site's code alone where no public one says what was suggested.
    `orderables` are by the action's code or by its name.
    """
    found = {one.name: one for one in value_sets}
    for action in ACTIONS.values():
        code, name = orderables.get(action.code, orderables.get(name_of(action))), request_of(action)
        if code is not None and name in found:
            entry = Entry(code, "the site's own catalogue of orders")
            found[name] = replace(found[name], entries=(*found[name].entries, entry))
    return found
