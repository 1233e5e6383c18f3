"""Low back pain: the signs of danger, and which procedure of the ACR's table an order is."""

from __future__ import annotations

from cds import codes, condition_codes, medication_codes
from cds.codes import ValueSet
from cds.domain.imaging_order import Contrast, Exam
from cds.ordering._signs import Sign

CANCER_OR_INFECTION = "suspected_cancer_infection_or_immunosuppression"
FRAGILE = "low_velocity_trauma_osteoporosis_elderly_or_steroids"
CAUDA_EQUINA = "suspected_cauda_equina"
AFTER_SURGERY = "prior_lumbar_surgery_new_symptoms"
PERSISTENT = "surgery_candidate_persistent_after_6_weeks"
NO_SIGN = ("acute_no_red_flags_no_prior_management", "subacute_chronic_no_red_flags_no_prior_management")

#: Diseases of the record that are a sign of danger, by the variant of the ACR that they lead to.
DISEASES: tuple[tuple[ValueSet, str], ...] = (
    (condition_codes.CANCER, CANCER_OR_INFECTION),
    (condition_codes.CANCER_HISTORY, CANCER_OR_INFECTION),
    (condition_codes.IMMUNOSUPPRESSION, CANCER_OR_INFECTION),
    (condition_codes.OSTEOPOROSIS, FRAGILE),
    (condition_codes.VERTEBRAL_FRACTURE, FRAGILE),
)
#: Drugs, likewise; corticosteroids are among them.
DRUGS: tuple[tuple[ValueSet, str], ...] = ((medication_codes.IMMUNOSUPPRESSANT, CANCER_OR_INFECTION),)
#: What only who sees the patient can say.
SIGNS: tuple[tuple[Sign, str], ...] = (
    (Sign("cauda-equina", "loss of bladder or bowel control, or numb saddle region"), CAUDA_EQUINA),
    (Sign("leg-weakness", "weakness of a leg that is severe or gets worse"), CAUDA_EQUINA),
    (Sign("fever", "fever", (condition_codes.FEVER,)), CANCER_OR_INFECTION),
    (Sign("weight-loss", "unexplained weight loss", (codes.WEIGHT_LOSS,)), CANCER_OR_INFECTION),
    (Sign("intravenous-drugs", "use of intravenous drugs"), CANCER_OR_INFECTION),
    (Sign("recent-infection", "urinary or other infection of late"), CANCER_OR_INFECTION),
    (Sign("spine-trauma", "an accident or a fall"), FRAGILE),
    (Sign("lumbar-surgery", "an operation of the lumbar spine"), AFTER_SURGERY),
    (Sign("six-weeks-treated", "six weeks of treatment without relief"), PERSISTENT),
)

_WITHOUT, _WITH = "without", ("with", "without_and_with")
_PREFIX = {"CT": "ct_lumbar", "MR": "mri_lumbar"}


def procedures(exam: Exam) -> tuple[str, ...]:
    """The procedures of the table that an exam of the spine may be; several where the order does not say which."""
    if exam.modality in ("DX", "CR"):
        return ("radiography_lumbar",)
    prefix = _PREFIX.get(exam.modality)
    if prefix is None:
        return ()
    if exam.contrast is Contrast.NONE:
        return (f"{prefix}_{_WITHOUT}",)
    with_contrast = tuple(f"{prefix}_{one}" for one in _WITH)
    return with_contrast if exam.contrast is not None else (f"{prefix}_{_WITHOUT}", *with_contrast)
