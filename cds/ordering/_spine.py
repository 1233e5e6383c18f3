"""Low back pain: the signs of danger, and which procedure of the ACR's table an order is."""

from __future__ import annotations

from cds import codes, condition_codes, medication_codes
from cds.codes import ValueSet
from cds.domain.imaging_order import Contrast, Exam, ImagingOrder
from cds.domain.order import Priority
from cds.exam_codes import indicated
from cds.ordering import _reasons as reasons
from cds.ordering._order import signed
from cds.ordering._signs import (
    FEVER_COUNTS,
    FEVER_DAYS,
    WEIGHT_LOSS_COUNTS,
    WEIGHT_LOSS_DAYS,
    Sign,
    by_order,
    own_codings,
)

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
    (
        Sign("cauda-equina", "loss of bladder or bowel control, or numb saddle region", (reasons.CAUDA_EQUINA,)),
        CAUDA_EQUINA,
    ),
    (Sign("leg-weakness", "weakness of a leg that is severe or gets worse"), CAUDA_EQUINA),
    (Sign("fever", "fever", (condition_codes.FEVER,), FEVER_DAYS, FEVER_COUNTS), CANCER_OR_INFECTION),
    (
        Sign("weight-loss", "unexplained weight loss", (codes.WEIGHT_LOSS,), WEIGHT_LOSS_DAYS, WEIGHT_LOSS_COUNTS),
        CANCER_OR_INFECTION,
    ),
    (Sign("intravenous-drugs", "use of intravenous drugs"), CANCER_OR_INFECTION),
    (
        Sign("recent-infection", "urinary or other infection of late", (reasons.SPINAL_INFECTION,)),
        CANCER_OR_INFECTION,
    ),
    (Sign("spine-trauma", "an accident or a fall", (reasons.SPINE_TRAUMA,)), FRAGILE),
    (Sign("lumbar-surgery", "an operation of the lumbar spine", (reasons.SPINE_OPERATED,)), AFTER_SURGERY),
    (Sign("six-weeks-treated", "six weeks of treatment without relief"), PERSISTENT),
)
OWN = own_codings((sign for sign, _ in SIGNS), (one for one, _ in (*DISEASES, *DRUGS)))
#: Every value set by which the check reads a reason of an order.
READ = (
    condition_codes.BACK_PAIN,
    *(one for one, _ in (*DISEASES, *DRUGS)),
    *(value_set for sign, _ in SIGNS for value_set in sign.value_sets),
)


def emergency(order: ImagingOrder) -> bool:
    """Whether an order itself says that the cauda equina may be in danger, whatever exam it asks for.

    Codes of bladder and bowel count with low back pain, or for an exam of the spine; Sightline's own signs always.
    """
    there = [sign for sign, variant in SIGNS if variant == CAUDA_EQUINA and by_order(order, sign)]
    of_spine = order.exam is not None and order.exam.region == "spine"
    pain = indicated(order, condition_codes.BACK_PAIN) is True
    return bool(there) and (of_spine or pain or any(signed(order, sign.code) for sign in there))


def is_mri(order: ImagingOrder) -> bool:
    """Whether an order is for MRI of the spine."""
    exam = order.exam
    return exam is not None and exam.modality == "MR" and exam.region in ("spine", None)


def at_once(order: ImagingOrder) -> bool:
    """Whether an order is for MRI of the spine, to be made at once."""
    return is_mri(order) and order.priority is Priority.STAT


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
