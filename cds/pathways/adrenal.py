"""A mass of the adrenal that nobody looked for: the next step by its size, its attenuation and the prior.

ACR Incidental Findings Committee (Mayo-Smith et al., J Am Coll Radiol 2017;14(8):1038-1044,
doi:10.1016/j.jacr.2017.05.001). It is for adults; no biopsy before a phaeochromocytoma is ruled out:
doi:10.1201/9781003027577-16.
"""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, procedure_codes
from cds.domain.ehr import Unknown
from cds.domain.order import Priority
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.pathways import Rule, pathway
from cds.pathways._adrenal_masses import INVASIVE, LARGE_CM, STEPS, Mass, judged, prior, score
from cds.pathways._facts import values, where
from cds.pathways._guards import asked_already, known
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because, under_age, unmeasured
from cds.risk.adrenal_acr_2017 import SCORE

ID = "adrenal"
TITLE = "Mass of the adrenal"
ACR = SCORE.source
BIOPSY = Source("Adrenal incidental adenomas, 2021", "https://doi.org/10.1201/9781003027577-16")

CHILD = Rule("child", "Below 18 years a mass of the adrenal is told to paediatrics, whatever its size.")
AGE = Rule("age", "Without a known age the pathway cannot tell.")
SMALL = Rule("small", "An adrenal mass below 1 cm needs no follow-up.")
ADENOMA = Rule("adenoma", "An adrenal mass of 10 HU or less without contrast is an adenoma and needs no follow-up.")
STABLE = Rule("stable", "An adrenal mass that has been stable for a year or more needs no follow-up.")
WORK_UP = Rule("work-up", "Any other adrenal mass of 1 cm or more is worked up.")
WORST = Rule("worst", "Of several masses each is judged for itself, and the most suspicious one counts.")
ATTENUATION = Rule("attenuation", "Where the attenuation was not measured CT without contrast comes first.")
HORMONES = Rule("hormones", "Before a biopsy or a resection the hormones are tested.", source=BIOPSY)
URGENT = Rule("urgent", "From 4 cm on, or with a cancer on record, the work-up is urgent.")
ASKED = Rule(
    "asked", "A work-up that was asked for stops another one if it was after these images, and no paediatrician."
)
LIMITS = (
    "Hormones are judged apart: every mass from 1 cm on may be tested.",
    "Fat, a cyst or old blood in the mass make it benign: a radiologist sees that, and this was not looked for.",
    "Of who has symptoms of the adrenal, or a disease that runs in the family, the white paper does not speak.",
)


@pathway(
    id=ID,
    title=TITLE,
    source=ACR,
    version="1.1.0",
    reviewed=date(2026, 11, 22),
    reads=(finding_codes.ADRENAL_MASS, finding_codes.ADRENAL_ATTENUATION),
    asks=(condition_codes.CANCER, procedure_codes.ORDERED[actions.ADRENAL_WORK_UP.code]),
    rules=(CHILD, AGE, SMALL, ADENOMA, STABLE, WORK_UP, WORST, ATTENUATION, HORMONES, URGENT, ASKED),
    scores=(SCORE.id,),
    further=(BIOPSY,),
    limits=LIMITS,
)
def adrenal(case: Case) -> PathwayOutcome:
    """Advise on the most suspicious adrenal mass that was measured."""
    found = Reasoning(ID, TITLE, ACR, case)
    if not values(case, finding_codes.ADRENAL_MASS):
        if unmeasured(found, found.say("size of the adrenal mass"), finding_codes.ADRENAL_MASS):
            return found.could_not_tell(found.say("the adrenal was not measured"))
        return found.nothing("no adrenal mass was measured on this study")
    child = under_age(found)
    if found.apply(AGE, child is None):
        return found.could_not_tell(found.say("the next step depends on the age"))
    cancer = known(found, condition_codes.CANCER)
    masses = judged(case, cancer)
    worst = masses[0]
    _told(found, masses)
    if found.apply(CHILD, child):
        _paediatrics(found, worst)
        return _advised(found, masses, Indicator.WARNING)
    _applied(found, worst, cancer)
    if not found.apply(WORK_UP, bool(worst.actions), " / ".join(worst.actions)):
        return found.nothing("no adrenal mass that was measured needs follow-up")
    urgent = bool(found.apply(URGENT, worst.centimetres >= LARGE_CM or cancer))
    if not found.apply(ASKED, asked_already(found, actions.ADRENAL_WORK_UP, urgent=urgent)):
        _work_up(found, worst, urgent)
    return _advised(found, masses, Indicator.WARNING if urgent else Indicator.INFO)


def _told(found: Reasoning, masses: list[Mass]) -> None:
    """Each mass stands among the values used."""
    for one in masses:
        source = where(found.case, one.measured)
        found.measured(found.say("adrenal mass"), _said(found, one), source)
    found.apply(WORST, len(masses) > 1)


def _said(found: Reasoning, mass: Mass) -> str:
    """Side, size and attenuation of one mass."""
    laterality = mass.measured.finding.laterality
    side = found.say(laterality) if laterality else ""
    size = f"{round(mass.centimetres, 2):.4g} cm"
    if mass.hu is None:
        return found.say("{side} {size}, attenuation not known", side=side, size=size).strip()
    return found.say("{side} {size}, {hu} HU", side=side, size=size, hu=f"{mass.hu:.4g}").strip()


def _applied(found: Reasoning, worst: Mass, cancer: bool | None) -> None:
    """The rules by which the white paper judges the mass that counts, and what it would need to be sure."""
    found.apply(SMALL, worst.centimetres < 1)
    found.apply(ADENOMA, None if worst.hu is None else worst.hu <= 10)
    before = prior(worst.measured.finding.change)
    found.apply(STABLE, None if before is None else before == "stable_ge_1y")
    said = [found.say(STEPS[one]) for one in worst.actions] or [found.say("no follow-up")]
    found.risk(SCORE, score(worst.measured, worst.hu, cancer), "; ".join(said))
    if not worst.actions:
        return
    if before is None:
        why = Unknown(found.say("there is none that it could be compared with for certain"))
        found.lacks(found.say("earlier images"), why, found.say("look for them at other hospitals"))
    if found.apply(ATTENUATION, worst.hu is None):
        why = Unknown(found.say("no model measured it of this mass on images without contrast medium"))
        how = found.say("CT of the adrenals without contrast")
        found.lacks(found.say("attenuation of the adrenal mass without contrast"), why, how)


def _work_up(found: Reasoning, worst: Mass, urgent: bool) -> None:
    size = f"{round(worst.centimetres, 2):.4g} cm"
    found.recommend(
        Recommendation(
            key="work-up",
            action=found.say("Work-up of an adrenal mass: {step}", step=_step(found, worst)),
            code=actions.ADRENAL_WORK_UP,
            reason=found.say("The adrenal mass measures {size}.", size=size),
            source=ACR,
            priority=Priority.URGENT if urgent else Priority.ROUTINE,
            because=because(found),
            acr_category=3 if urgent else None,
            would_change=(found.say("An earlier image that shows it unchanged for a year, or 10 HU or less."),),
        )
    )


def _step(found: Reasoning, worst: Mass) -> str:
    """What is done first, then what the white paper says, for both answers where nobody knows of a cancer."""
    steps = [found.say(STEPS[one]) for one in worst.actions]
    if len(steps) > 1:
        known_cancer, none = steps
        steps = [found.say("{one} with a history of cancer, {other} without", one=known_cancer, other=none)]
    if found.apply(HORMONES, not INVASIVE.isdisjoint(worst.actions)):
        steps.insert(0, found.say("hormone tests before any biopsy or resection (phaeochromocytoma)"))
    if worst.hu is None:
        steps.insert(0, found.say("CT of the adrenals without contrast first"))
    return found.say("; then ").join(steps)


def _paediatrics(found: Reasoning, worst: Mass) -> None:
    """A request of before stops nothing: who was asked did not know of this mass, and it is a child."""
    found.recommend(
        Recommendation(
            key="paediatrics",
            action=found.say("Ask paediatrics now what follows: mass of the adrenal in a child"),
            code=actions.ADRENAL_WORK_UP,
            reason=found.say("What is said of masses of the adrenal in adults does not hold in children."),
            source=ACR,
            priority=Priority.URGENT,
            because=because(found),
            acr_category=3,
            would_change=(found.say("Paediatrics knows of the mass already."),),
        )
    )


def _advised(found: Reasoning, masses: list[Mass], indicator: Indicator) -> PathwayOutcome:
    size = f"{round(masses[0].centimetres, 2):.4g} cm"
    return found.advice(
        found.say("Adrenal mass of {size} on {day} (AI).", size=size, day=found.case.study_date),
        indicator,
        tuple(dict.fromkeys(one.measured.finding.key for one in masses)),
        seen=tuple(found.say("Adrenal mass: {said}.", said=_said(found, one)) for one in masses),
        limits=tuple(dict.fromkeys((*(x for one in masses for x in one.measured.by.limits), *map(found.say, LIMITS)))),
        further=(BIOPSY,),
    )
