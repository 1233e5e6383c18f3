"""CT pulmonary angiography: D-dimer first, or none, where pulmonary embolism is unlikely.

Wells 2000 (doi:10.1055/s-0037-1613830), YEARS 2017 (doi:10.1016/S0140-6736(17)30885-1) and PERC 2004
(doi:10.1111/j.1538-7836.2004.00790.x). Nothing is said against the exam unless Wells is known in full and unlikely.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from cds import action_codes, codes, condition_codes, measurement_codes, medication_codes, procedure_codes
from cds.domain.ehr import Known
from cds.domain.imaging_order import Exam, ImagingOrder
from cds.domain.order import Priority
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation
from cds.exam_codes import indicated, of_pulmonary_arteries
from cds.ordering._order import age, asked, measured_lately, sought
from cds.ordering._pregnancy import ASKS, NOT_PREGNANT_DAYS, pregnant
from cds.ordering._signs import SIGHTLINE_SIGN, Sign, told
from cds.pathways import Option, Rule, pathway
from cds.pathways._bedside import any_of
from cds.pathways._facts import words
from cds.pathways._guards import asked_already, known, taken
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import number
from cds.risk import Scored
from cds.risk.perc import SCORE as PERC
from cds.risk.wells_pe import SCORE as WELLS
from cds.risk.years import SCORE as YEARS

ID = "pulmonary_embolism"
TITLE = "CT pulmonary angiography"

OTHER = Rule("other", "For other exams than CT angiography for a suspected embolism the check is silent.")
UNCODED = Rule("uncoded", "Where the reason of a CT angiography of the chest is not coded the check cannot tell.")
OUTSIDE = Rule(
    "outside",
    "Below 18 years, in pregnancy, with an anticoagulant or below 90 mmHg nothing is said against it.",
    YEARS.source,
)
LIKELY = Rule("likely", "A Wells score above 4 leads to CT pulmonary angiography.")
EXCLUDED = Rule(
    "excluded",
    "With a Wells score of 4 or less a D-dimer below the threshold of YEARS excludes embolism without CT.",
    YEARS.source,
)
POSITIVE = Rule(
    "positive", "A D-dimer at or above the threshold of YEARS leads to CT pulmonary angiography.", YEARS.source
)
RULED_OUT = Rule(
    "perc",
    "Where the clinician finds embolism improbable and no PERC criterion is there no test is needed.",
    PERC.source,
)
D_DIMER = Rule("d-dimer", "With a Wells score of 4 or less and no D-dimer that is measured first.")
QUESTIONS = Rule("questions", "Where a criterion of the Wells score is not known the criteria are listed.")

D_DIMER_DAYS = Option("d_dimer_days", "A D-dimer counts for so many days", "1", "d", 0, 3)
DVT = Sign("dvt-signs", "clinical signs of deep vein thrombosis")
MOST_LIKELY = Sign("pe-most-likely", "no other diagnosis as likely as pulmonary embolism")
IMMOBILE = Sign("immobilised-or-operated", "immobilised for 3 days, or an operation within 4 weeks")
HAEMOPTYSIS = Sign("haemoptysis", "coughing up blood", (codes.HAEMOPTYSIS,))
LEG = Sign("one-leg-swollen", "swelling of one leg")
TRAUMA = Sign("surgery-or-trauma-4-weeks", "an operation or an accident within 4 weeks")
OXYGEN = Sign("on-oxygen", "breathing oxygen")
#: Only an order says it; without it nothing is missing: D-dimer is measured.
IMPROBABLE = Sign("pe-improbable", "pulmonary embolism improbable by the clinician's own estimate")
LIMITS = (
    "What was searched for and not found counts as no, as far back as the search reached: ask for what is older.",
    "Wells and YEARS ask what who sees the patient thinks: an order can say it.",
    "D-dimer units (DDU) are about half of FEU: values in them are not read.",
)
#: Systolic, ESC 2019 (doi:10.1093/eurheartj/ehz405): haemodynamic instability.
_SHOCK_MM_HG, _ADULT = 90, 18
_FOUR_WEEKS = timedelta(weeks=4)
_SUSPECTED = (
    condition_codes.VENOUS_THROMBOEMBOLISM,
    condition_codes.DYSPNOEA,
    condition_codes.CHEST_PAIN,
    condition_codes.LEG_SWELLING,
    codes.HAEMOPTYSIS,
)


@dataclass(frozen=True, slots=True)
class _Patient:
    """What Wells, YEARS and PERC ask; None where it is not known."""

    years: int | None
    heart_rate: float | None
    dvt: bool | None
    most_likely: bool | None
    immobile: bool | None
    previous: bool | None
    haemoptysis: bool | None
    cancer: bool | None

    @property
    def years_items(self) -> int | None:
        """How many items of YEARS are there; None where one is not known."""
        items = (self.dvt, self.haemoptysis, self.most_likely)
        return None if None in items else sum(bool(one) for one in items)


@pathway(
    id=ID,
    title=TITLE,
    source=WELLS.source,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    asks=(
        condition_codes.VENOUS_THROMBOEMBOLISM,
        condition_codes.CANCER,
        codes.HAEMOPTYSIS,
        medication_codes.ANTICOAGULANT,
        medication_codes.OESTROGEN,
        procedure_codes.SURGERY,
        measurement_codes.HEART_RATE,
        measurement_codes.SYSTOLIC,
        measurement_codes.OXYGEN_SATURATION,
        measurement_codes.D_DIMER,
        *ASKS,
        procedure_codes.ORDERED[action_codes.D_DIMER.code],
    ),
    rules=(OTHER, UNCODED, OUTSIDE, LIKELY, EXCLUDED, POSITIVE, RULED_OUT, D_DIMER, QUESTIONS),
    options=(D_DIMER_DAYS, NOT_PREGNANT_DAYS),
    scores=(WELLS.id, YEARS.id, PERC.id),
    further=(YEARS.source, PERC.source),
    limits=LIMITS,
)
def pulmonary_embolism(case: Case) -> PathwayOutcome:
    """Say whether a suspected pulmonary embolism asks for CT pulmonary angiography."""
    found = Reasoning(ID, TITLE, WELLS.source, case)
    wanted = asked(found)
    if not isinstance(wanted, tuple):
        return wanted
    order, exam = wanted
    suspected = True if of_pulmonary_arteries(order.codes) else indicated(order, *_SUSPECTED)
    if found.apply(OTHER, not _angiography(exam) or suspected is False):
        return found.nothing("it is no CT angiography for a suspected embolism")
    if found.apply(UNCODED, suspected is None):
        return found.could_not_tell(found.say("it is not known whether an embolism is suspected"))
    years = age(found)
    outside = _outside(found, years)
    if found.apply(OUTSIDE, outside):
        return found.nothing("the rules on D-dimer are not for this patient")
    return _by_rules(found, order, _patient(found, order, years), known_outside=outside is not None)


def _angiography(exam: Exam) -> bool:
    return exam.modality == "CT" and exam.region == "chest" and exam.angiography is True


def _outside(found: Reasoning, years: int | None) -> bool | None:
    """Whether the rules are not for this patient; None where that is not known."""
    pressure = measured_lately(found, measurement_codes.SYSTOLIC, 1, found.say("measure it"))
    return any_of(
        (
            None if years is None else years < _ADULT,
            pregnant(found, number(found.case, ID, NOT_PREGNANT_DAYS)),
            taken(found, medication_codes.ANTICOAGULANT),
            None if pressure is None else pressure < _SHOCK_MM_HG,
        )
    )


def _patient(found: Reasoning, order: ImagingOrder, years: int | None) -> _Patient:
    return _Patient(
        years=years,
        heart_rate=measured_lately(found, measurement_codes.HEART_RATE, 1, found.say("measure it")),
        dvt=told(found, order, ID, DVT),
        most_likely=told(found, order, ID, MOST_LIKELY),
        immobile=True if _operated(found) else told(found, order, ID, IMMOBILE),
        previous=known(found, condition_codes.VENOUS_THROMBOEMBOLISM),
        haemoptysis=told(found, order, ID, HAEMOPTYSIS),
        cancer=known(found, condition_codes.CANCER),
    )


def _operated(found: Reasoning) -> bool:
    """Whether an operation of the last four weeks is on record; that none is found says little."""
    fact = found.case.ehr.procedure(procedure_codes.SURGERY.name)
    if isinstance(fact, Known) and fact.effective is not None and fact.effective + _FOUR_WEEKS >= found.case.today:
        found.use(procedure_codes.SURGERY.title, fact, words)
        return True
    return False


def _by_rules(found: Reasoning, order: ImagingOrder, who: _Patient, *, known_outside: bool) -> PathwayOutcome:
    wells = _wells(found, who)
    if found.apply(LIKELY, None if not wells else wells == "PE likely", wells):
        return found.nothing("by Wells embolism is likely: nothing is said against the exam")
    if found.apply(QUESTIONS, not wells or not known_outside):
        return _questions(found)
    how = found.say("blood test: D-dimer")
    value = measured_lately(found, measurement_codes.D_DIMER, number(found.case, ID, D_DIMER_DAYS), how)
    if value is None:
        return _without_d_dimer(found, order, who)
    answer = YEARS({"years_items": who.years_items, "d_dimer_ng_ml_feu": value})
    result = str(answer.outputs["result"]) if isinstance(answer, Scored) else ""
    found.risk(YEARS, answer, result)
    if found.apply(EXCLUDED, result == "pe_excluded", f"{value:g} ng/mL"):
        return _no_test(found, found.say("By Wells embolism is unlikely, and the D-dimer excludes it."), "years")
    found.apply(POSITIVE, result == "ctpa", f"{value:g} ng/mL")
    return found.nothing("the D-dimer does not exclude embolism")


def _wells(found: Reasoning, who: _Patient) -> str:
    """Likely or unlikely; "" where a criterion that decides is not known."""
    answer = WELLS(
        {
            "clinical_signs_dvt": who.dvt,
            "pe_most_likely": who.most_likely,
            "heart_rate": who.heart_rate,
            "immobilisation_or_surgery": who.immobile,
            "previous_dvt_pe": who.previous,
            "haemoptysis": who.haemoptysis,
            "malignancy": who.cancer,
        }
    )
    tier = str(answer.outputs["two_tier"]) if isinstance(answer, Scored) else ""
    found.risk(WELLS, answer, tier)
    return tier


def _without_d_dimer(found: Reasoning, order: ImagingOrder, who: _Patient) -> PathwayOutcome:
    """No test at all where the clinician finds it improbable and PERC is negative; else D-dimer first."""
    improbable = any(one.system == SIGHTLINE_SIGN and one.code == IMPROBABLE.code for one in order.reasons)
    if found.apply(RULED_OUT, improbable and _perc_negative(found, order, who)):
        return _no_test(found, found.say("Embolism is improbable, and no PERC criterion is there."), "perc")
    found.apply(D_DIMER, True)
    if not asked_already(found, action_codes.D_DIMER):
        found.recommend(
            Recommendation(
                key="d-dimer",
                action=found.say("D-dimer first"),
                code=action_codes.D_DIMER,
                reason=found.say("By Wells embolism is unlikely, and a low D-dimer would exclude it."),
                source=WELLS.source,
                priority=Priority.URGENT,
                because=because(found),
                would_change=(found.say("A D-dimer that cannot be had in time, or a change for the worse."),),
                instead=True,
            )
        )
    return _told(found, found.say("Pulmonary embolism unlikely by Wells: D-dimer first."), Indicator.WARNING, ())


def _perc_negative(found: Reasoning, order: ImagingOrder, who: _Patient) -> bool:
    """Whether none of the PERC criteria is there; what is not known does not rule out."""
    how = found.say("measure it on room air")
    saturation = measured_lately(found, measurement_codes.OXYGEN_SATURATION, 1, how)
    on_air = told(found, order, ID, OXYGEN) is False
    answer = PERC(
        {
            "age": who.years,
            "heart_rate": who.heart_rate,
            "spo2_room_air": saturation if on_air else None,
            "prior_vte": who.previous,
            "unilateral_leg_swelling": told(found, order, ID, LEG),
            "estrogen_use": taken(found, medication_codes.OESTROGEN),
            "recent_surgery_trauma": True if _operated(found) else told(found, order, ID, TRAUMA),
            "haemoptysis": who.haemoptysis,
        }
    )
    negative = isinstance(answer, Scored) and answer.outputs["perc_negative"] is True
    found.risk(PERC, answer, "negative" if negative else "positive")
    return negative


def _no_test(found: Reasoning, reason: str, by: str) -> PathwayOutcome:
    found.missing.clear()
    found.recommend(
        Recommendation(
            key="no-angiography",
            action=found.say("No CT pulmonary angiography now: look for another cause"),
            code=action_codes.NO_IMAGING,
            reason=reason,
            source=PERC.source if by == "perc" else YEARS.source,
            because=because(found),
            would_change=(
                found.say("A sign of deep vein thrombosis, or embolism becoming the most likely diagnosis."),
                found.say("An anticoagulant that was given before the D-dimer was drawn."),
            ),
            instead=True,
        )
    )
    return _told(found, found.say("Pulmonary embolism excluded: CT is not needed."), Indicator.WARNING, ())


def _questions(found: Reasoning) -> PathwayOutcome:
    ask = found.say("Ask and measure before the exam: {what}.", what=sought(found))
    then = found.say("Where the Wells score is 4 or less, D-dimer comes first.")
    return _told(found, found.say("Suspected embolism: the Wells score is not known."), Indicator.INFO, (ask, then))


def _told(found: Reasoning, summary: str, indicator: Indicator, meaning: tuple[str, ...]) -> PathwayOutcome:
    return found.advice(
        summary,
        indicator,
        (),
        seen=(found.say("The order is for CT pulmonary angiography."),),
        meaning=meaning,
        limits=tuple(map(found.say, LIMITS)),
        further=(YEARS.source, PERC.source),
    )
