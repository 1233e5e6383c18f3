"""Which speciality carries an action out: ServiceRequest.performerType of a draft.

Codes: FHIR R4 value set c80-practice-codes (SNOMED CT specialities). What is not here is open: whoever accepts it says
who does it.
"""

from __future__ import annotations

from cds import action_codes as actions
from cds.domain.coding import Coding
from cds.domain.recommendation import Recommendation
from cds.value_sets import SNOMED

CARDIOLOGY = Coding(SNOMED, "394579002", "Cardiology")
GENERAL_PRACTICE = Coding(SNOMED, "394814009", "General practice")
HEPATOLOGY = Coding(SNOMED, "408472002", "Hepatology")
NEUROSURGERY = Coding(SNOMED, "394610002", "Neurosurgery")
PULMONARY_MEDICINE = Coding(SNOMED, "418112009", "Pulmonary medicine")
RADIOLOGY = Coding(SNOMED, "394914008", "Radiology")
VASCULAR_SURGERY = Coding(SNOMED, "408463005", "Vascular surgery")

_BY = {
    CARDIOLOGY: (actions.CARDIOLOGY_REFERRAL, actions.ECHOCARDIOGRAPHY, actions.HEART_FAILURE_REFERRAL),
    GENERAL_PRACTICE: (
        actions.LIPID_VISIT,
        actions.COGNITIVE_TEST,
        actions.LIVER_BLOOD_TESTS,
        actions.NT_PROBNP,
        actions.REPEAT_FIB4,
        actions.BREAST_DENSITY_VISIT,
        actions.BREAST_RISK_VISIT,
    ),
    HEPATOLOGY: (actions.HEPATOLOGY_REFERRAL,),
    NEUROSURGERY: (actions.NEUROSURGERY_CALL,),
    PULMONARY_MEDICINE: (actions.NODULE_CLINIC_REFERRAL,),
    RADIOLOGY: (
        actions.CHEST_CT_FOLLOW_UP,
        actions.DIAGNOSTIC_CHEST_CT,
        actions.LOW_DOSE_SCREENING_CT,
        actions.PET_CT,
        actions.AORTIC_SURVEILLANCE,
        actions.THORACIC_AORTA_IMAGING,
        actions.COMPARE_STUDIES,
        actions.DXA,
        actions.FOLLOW_UP_CHEST_X_RAY,
        actions.REPEAT_CALCIUM_SCORE,
        actions.CT_HEAD_UNENHANCED,
        actions.CT_PULMONARY_ANGIOGRAPHY,
        actions.BREAST_RECALL,
        actions.BREAST_SHORT_FOLLOW_UP,
    ),
    VASCULAR_SURGERY: (actions.VASCULAR_SURGERY_REFERRAL,),
}
_OF = {(action.system, action.code): speciality for speciality, done in _BY.items() for action in done}


def performer(step: Recommendation) -> Coding | None:
    """What the pathway says, or else who usually carries the action out; None where that is open."""
    return step.performer or _OF.get((step.code.system, step.code.code))
