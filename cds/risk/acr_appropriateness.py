"""ACR Appropriateness Criteria: a short table of our own for low back pain, headache and pancreatic cysts.

Read on the ACR's portal (topics 141, 140 and 277) and in its summary for patients. A row that is not here has no
rating, which says nothing about the procedure.
"""

from __future__ import annotations

from collections.abc import Mapping

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored

YES, MAYBE, NO = "usually_appropriate", "may_be_appropriate", "usually_not_appropriate"
_LUMBAR = (
    "radiography_lumbar",
    "mri_lumbar_without",
    "mri_lumbar_with",
    "mri_lumbar_without_and_with",
    "ct_lumbar_without",
    "ct_lumbar_with",
    "ct_lumbar_without_and_with",
    "ct_myelography_lumbar",
)
_HEAD_MRI = ("mri_head_without", "mri_head_with", "mri_head_without_and_with")
_HEAD_CT = ("ct_head_with", "ct_head_without_and_with")
_HEAD_MRA = ("mra_head_without", "mra_head_with", "mra_head_without_and_with")


def _ratings(yes: str = "", maybe: str = "", no: str = "") -> dict[str, str]:
    rated = ((YES, yes), (MAYBE, maybe), (NO, no))
    return {procedure: rating for rating, procedures in rated for procedure in procedures.split()}


_NO_LUMBAR = dict.fromkeys(("any_imaging", *_LUMBAR), NO)
#: Ratings by topic, variant and procedure.
TABLE: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("low_back_pain", "acute_no_red_flags_no_prior_management"): _NO_LUMBAR,
    ("low_back_pain", "subacute_chronic_no_red_flags_no_prior_management"): _NO_LUMBAR,
    ("low_back_pain", "surgery_candidate_persistent_after_6_weeks"): _ratings(
        yes="mri_lumbar_without",
        maybe="radiography_lumbar mri_lumbar_without_and_with ct_lumbar_without ct_myelography_lumbar",
    ),
    ("low_back_pain", "suspected_cauda_equina"): _ratings(
        yes="mri_lumbar_without mri_lumbar_without_and_with",
        maybe="ct_lumbar_without ct_myelography_lumbar",
    ),
    ("low_back_pain", "prior_lumbar_surgery_new_symptoms"): _ratings(
        yes="radiography_lumbar mri_lumbar_without mri_lumbar_without_and_with",
        maybe="ct_lumbar_without ct_myelography_lumbar",
    ),
    ("low_back_pain", "low_velocity_trauma_osteoporosis_elderly_or_steroids"): _ratings(
        yes="radiography_lumbar mri_lumbar_without ct_lumbar_without",
        maybe="mri_lumbar_without_and_with ct_myelography_lumbar",
    ),
    ("low_back_pain", "suspected_cancer_infection_or_immunosuppression"): _ratings(
        yes="mri_lumbar_without mri_lumbar_without_and_with",
        maybe="radiography_lumbar ct_lumbar_without ct_lumbar_with ct_myelography_lumbar",
    ),
    ("headache", "thunderclap_within_1h"): {
        "ct_head_without": YES,
        "cta_head": MAYBE,
        **dict.fromkeys((*_HEAD_MRI, *_HEAD_CT, *_HEAD_MRA), NO),
    },
    ("headache", "primary_migraine_or_tension_normal_exam"): dict.fromkeys(
        ("ct_head_without", *_HEAD_MRI, *_HEAD_CT, *_HEAD_MRA), NO
    ),
    ("pancreatic_cyst", "le_2_5cm"): _ratings(
        yes="mri_mrcp_without_and_with",
        maybe="mri_mrcp_without ct_abdomen_with_multiphase",
        no="eus ct_abdomen_without ct_abdomen_without_and_with",
    ),
    ("pancreatic_cyst", "gt_2_5cm_no_high_risk_stigmata"): _ratings(
        yes="mri_mrcp_without_and_with",
        maybe="eus mri_mrcp_without ct_abdomen_with_multiphase",
        no="ct_abdomen_without ct_abdomen_without_and_with",
    ),
    ("pancreatic_cyst", "gt_2_5cm_high_risk_stigmata"): _ratings(
        yes="eus mri_mrcp_without_and_with",
        maybe="mri_mrcp_without ct_abdomen_with_multiphase",
        no="ct_abdomen_without ct_abdomen_without_and_with",
    ),
}


#: Other names. MRI with MRCP is the ACR's one without and with contrast medium; every MRA of the head is rated alike.
_SAME_PROCEDURE = {
    "mri_mrcp": "mri_mrcp_without_and_with",
    "mri_abdomen_without_and_with_mrcp": "mri_mrcp_without_and_with",
    "mra_head": "mra_head_without_and_with",
    "xray_lumbar": "radiography_lumbar",
}
_SAME_VARIANT = {
    "cauda_equina": "suspected_cauda_equina",
    "suspected_cauda_equina_syndrome": "suspected_cauda_equina",
}


def _evaluate(given: Given) -> Answer:
    variant, procedure = given.text("variant"), given.text("procedure")
    variant, procedure = _SAME_VARIANT.get(variant, variant), _SAME_PROCEDURE.get(procedure, procedure)
    rating = TABLE.get((given.text("topic"), variant), {}).get(procedure)
    if rating is None:
        reason = f"no rating of {procedure} for this topic and variant was verified"
        return NotScored(out_of_range=("procedure",), reasons=(reason,))
    return Scored({"rating": rating})


def _names(index: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key[index] for key in TABLE))


_PORTAL = "https://gravitas.acr.org/ACPortal/TopicNarrative?topicId="

SCORE = Score(
    id="acr_appropriateness",
    title="ACR Appropriateness Criteria, short table",
    source=Source("ACR Appropriateness Criteria, low back pain (2021)", f"{_PORTAL}141"),
    population="adults; initial imaging of the variant that is named",
    outcome="how appropriate a procedure is",
    horizon_years=None,
    inputs=(
        Input("topic", "topic", kind="choice", choices=_names(0)),
        Input("variant", "variant", kind="choice", choices=(*_names(1), *_SAME_VARIANT)),
        Input(
            "procedure",
            "procedure",
            kind="choice",
            choices=(*dict.fromkeys(p for row in TABLE.values() for p in row), *_SAME_PROCEDURE),
        ),
    ),
    evaluate=_evaluate,
    outputs=(Output("rating", "usually appropriate, may be appropriate, usually not appropriate"),),
    further=(
        Source("ACR Appropriateness Criteria, headache (2022)", f"{_PORTAL}140"),
        Source("ACR Appropriateness Criteria, pancreatic cyst", f"{_PORTAL}277"),
        Source("ACR and RSNA, low back pain for patients", "https://radiologyinfo.org/en/info/acs-low-back-pain"),
    ),
    notes=(
        "A procedure that is not in the table has no rating here: that says nothing about it.",
        "Low back pain with red flags or after six weeks was read in the summary for patients alone.",
    ),
    licence="The criteria are the ACR's (copyright): short facts of our own and links; ask it before commercial use.",
)
