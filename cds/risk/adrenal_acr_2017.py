"""ACR white paper of 2017: what follows an incidental mass of the adrenal.

Mayo-Smith et al., J Am Coll Radiol 2017;14:1038-1044, doi:10.1016/j.jacr.2017.05.001.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score
from cds.risk._facts import choice, decide, flag, number

_BIOPSY = "consider_biopsy_or_petct"
_PRIORS = ("none", "stable_ge_1y", "enlarging", "new", "new_or_enlarging")
_WASHOUTS = ("not_done", "no_enhancement", "absolute_ge60_or_relative_ge40", "less")


def _evaluate(given: Given) -> Answer:
    cancer = flag(given, "cancer_history")
    large = number(given, "size_cm", lambda cm: cm >= 4)
    grown = choice(given, "prior", "enlarging", "new", "new_or_enlarging")
    small = number(given, "size_cm", lambda cm: cm <= 2)
    rules = (
        (number(given, "size_cm", lambda cm: cm < 1), "no_follow_up"),
        (flag(given, "benign_features"), "no_follow_up"),
        (number(given, "hu_unenhanced", lambda hu: hu <= 10), "benign_adenoma_no_follow_up"),
        (large & cancer, _BIOPSY),
        (large, "consider_resection"),
        (choice(given, "prior", "stable_ge_1y"), "no_follow_up"),
        (grown & cancer, _BIOPSY),
        (grown, "consider_ct_12mo_or_resection"),
        (small & ~cancer, "probably_benign_consider_ct_12mo"),
        (choice(given, "washout", "not_done"), "adrenal_protocol_ct"),
        (choice(given, "washout", "no_enhancement"), "no_follow_up"),
        (choice(given, "washout", "absolute_ge60_or_relative_ge40"), "benign_adenoma_no_follow_up"),
    )
    return decide("action", rules, otherwise="imaging_follow_up_biopsy_petct_or_resection")


SCORE = Score(
    id="adrenal_acr_2017",
    title="Incidental adrenal mass (ACR 2017)",
    source=Source("ACR 2017, incidental adrenal masses", "https://doi.org/10.1016/j.jacr.2017.05.001"),
    population="adults with an incidental adrenal mass and no symptoms of the adrenal",
    outcome="the next step",
    horizon_years=None,
    inputs=(
        # Refuses millimetres.
        Input("size_cm", "largest diameter", unit="cm", low=0, high=50, needed=False),
        Input("hu_unenhanced", "attenuation without contrast", "number", "[hnsf'U]", -1024, 3071, needed=False),
        Input(
            "benign_features",
            "myelolipoma (macroscopic fat), no enhancement (cyst, haemorrhage) or benign calcification",
            kind="boolean",
            needed=False,
            unmentioned=False,
        ),
        # A short description of a case would mention a cancer, and what earlier images show.
        Input("cancer_history", "history of cancer", kind="boolean", needed=False, unmentioned=False),
        Input("prior", "compared with earlier images", "choice", choices=_PRIORS, needed=False, unmentioned="none"),
        Input("washout", "washout", kind="choice", choices=_WASHOUTS, needed=False, unmentioned="not_done"),
    ),
    evaluate=_evaluate,
    outputs=(Output("action", "the next step"),),
    notes=(
        "10 HU itself counts as lipid-rich adenoma (ACR; a secondary source prints less than 10).",
        "Absolute washout of 60 % or relative washout of 40 % at 15 minutes says adenoma. A drop of signal on chemical-"
        "shift MRI counts as attenuation of 10 HU or less.",
        "Hormones are judged apart: every mass from 1 cm on may be tested.",
    ),
)
