"""Fat of the liver on unenhanced CT, from attenuation.

Boyce et al., AJR 2010;194:623-628, doi:10.2214/AJR.09.2590: 40 HU or less is moderate to severe steatosis. Pickhardt et
al., Eur Radiol 2012;22:1075-1082, doi:10.1007/s00330-011-2349-2: 48 HU is 100 % specific for at least 30 % of fat.
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, Output, Score
from cds.risk._facts import Fact, decide, flag, number


def _evaluate(given: Given) -> Answer:
    rules = (
        (flag(given, "contrast"), "not_applicable_contrast"),
        (number(given, "liver_hu", lambda hu: hu <= 40), "moderate_severe_steatosis"),
        (number(given, "liver_hu", lambda hu: hu <= 48), "high_specificity_band_le48"),
        (_darker_than_spleen(given), "steatosis_by_spleen_difference_gt10"),
    )
    return decide("finding", rules, otherwise="none")


def _darker_than_spleen(given: Given) -> Fact:
    """The liver more than 10 HU below the spleen; a spleen that nobody measured has no say where that is told."""
    missing = tuple(name for name in ("liver_hu", "spleen_hu") if name not in given)
    if "spleen_hu" in missing and flag(given, "spleen_measured").holds is False:
        return Fact(False)
    # The difference of two decimals is not exact: 16.1 - 6.1 is 10 HU, not more.
    return Fact(None, missing) if missing else Fact(round(given.number("spleen_hu") - given.number("liver_hu"), 6) > 10)


SCORE = Score(
    id="liver_ct_steatosis",
    title="Fat of the liver on unenhanced CT",
    source=Source("Boyce 2010, steatosis on unenhanced CT", "https://doi.org/10.2214/AJR.09.2590"),
    population="adults with an unenhanced CT that shows the liver",
    outcome="moderate to severe fat of the liver",
    horizon_years=None,
    inputs=(
        # From air to the end of the usual scale of CT: no limits of the method.
        Input("liver_hu", "attenuation of the liver", unit="[hnsf'U]", low=-1024, high=3071, needed=False),
        Input("spleen_hu", "attenuation of the spleen", unit="[hnsf'U]", low=-1024, high=3071, needed=False),
        Input("spleen_measured", "the spleen was measured too", kind="boolean", needed=False, unmentioned=False),
        Input("contrast", "contrast was given", kind="boolean", needed=False),
    ),
    evaluate=_evaluate,
    outputs=(Output("finding", "what the attenuation says of fat"),),
    further=(Source("Pickhardt 2012, specificity at 48 HU", "https://doi.org/10.1007/s00330-011-2349-2"),),
    notes=(
        "Unenhanced CT alone. Iron, amiodarone and glycogen raise the attenuation of the liver.",
        "None of the criteria met does not exclude fat: CT misses mild steatosis.",
        "Who says that the spleen was not measured is answered by the liver alone.",
        "The difference from the spleen (more than 10 HU) was read in a secondary source, not in its paper.",
    ),
)
