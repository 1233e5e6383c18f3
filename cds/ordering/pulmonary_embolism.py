"""CT pulmonary angiography: D-dimer first, or none, where pulmonary embolism is unlikely.

Wells 2000 (doi:10.1055/s-0037-1613830), YEARS 2017 (doi:10.1016/S0140-6736(17)30885-1) and PERC 2004
(doi:10.1111/j.1538-7836.2004.00790.x). Nothing is said against the exam unless Wells is known in full and unlikely.
"""

from __future__ import annotations

from datetime import date

from cds import action_codes, codes, condition_codes, measurement_codes, medication_codes, procedure_codes
from cds.domain.imaging_order import Exam, ImagingOrder
from cds.domain.order import Priority
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.exam_codes import indicated, of_pulmonary_arteries
from cds.ordering import _reasons as reasons
from cds.ordering._embolism import (
    BOTH,
    IMPROBABLE,
    LEG,
    OUTSIDE,
    OWN,
    OXYGEN,
    OXYGEN_LOW,
    RECENT,
    TRAUMA,
    Patient,
    operated,
    patient,
)
from cds.ordering._lately import ordered_lately
from cds.ordering._order import (
    DRUG_MONTHS,
    REACH,
    REACH_LIMIT,
    UNREAD,
    asked,
    measured_lately,
    more_than_read,
    says_more,
    signed,
    sought,
    taken,
)
from cds.ordering._pregnancy import ASKS, NOT_PREGNANT_DAYS
from cds.ordering._signs import CONTRADICTED, told
from cds.pathways import Option, Rule, pathway
from cds.pathways._facts import Missing
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
IMPLAUSIBLE = Rule("implausible", "A D-dimer below 20 ng/mL is not believed but asked for.")
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

D_DIMER_DAYS = Option("d_dimer_days", "A D-dimer counts for so many days", "1", "d", 0, 1)
LIMITS = (
    REACH_LIMIT,
    "Wells and YEARS ask what who sees the patient thinks: an order can say it.",
    "D-dimer units (DDU) are about half of FEU: values in them are not read.",
)
#: What laboratories measure ends above: less was sent in another unit (0.4 mg/L).
_LEAST_NG_ML = 20
_SUSPECTED = (
    condition_codes.VENOUS_THROMBOEMBOLISM,
    condition_codes.DYSPNOEA,
    condition_codes.CHEST_PAIN,
    condition_codes.LEG_SWELLING,
    codes.HAEMOPTYSIS,
)
#: The complaints by which the exam may be spoken against.
_COMPLAINT = (
    reasons.SUSPECTED_EMBOLISM,
    condition_codes.DYSPNOEA,
    condition_codes.CHEST_PAIN,
    condition_codes.LEG_SWELLING,
    codes.HAEMOPTYSIS,
)


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
        condition_codes.LEG_SWELLING,
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
    rules=(
        OTHER,
        UNCODED,
        OUTSIDE,
        OXYGEN_LOW,
        RECENT,
        LIKELY,
        BOTH,
        EXCLUDED,
        POSITIVE,
        IMPLAUSIBLE,
        RULED_OUT,
        D_DIMER,
        QUESTIONS,
        UNREAD,
        REACH,
        CONTRADICTED,
    ),
    options=(D_DIMER_DAYS, NOT_PREGNANT_DAYS),
    scores=(WELLS.id, YEARS.id, PERC.id),
    further=(YEARS.source, PERC.source),
    limits=LIMITS,
    signs=OWN,
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
    who = patient(found, order)
    if who.outside:
        return found.nothing("the rules on D-dimer are not for this patient")
    return _by_rules(found, order, who)


def _angiography(exam: Exam) -> bool:
    return exam.modality == "CT" and exam.region == "chest" and exam.angiography is True


def _by_rules(found: Reasoning, order: ImagingOrder, who: Patient) -> PathwayOutcome:
    wells = _wells(found, who)
    if found.apply(LIKELY, None if not wells else wells == "PE likely", wells):
        return found.nothing("by Wells embolism is likely: nothing is said against the exam")
    if says_more(found, order, _COMPLAINT, OWN):
        return more_than_read(found)
    if found.apply(QUESTIONS, not wells or who.outside is None):
        return _questions(found)
    how = found.say("blood test: D-dimer")
    value = measured_lately(found, measurement_codes.D_DIMER, number(found.case, ID, D_DIMER_DAYS), how)
    if value is None:
        return _without_d_dimer(found, order, who)
    if found.apply(IMPLAUSIBLE, value < _LEAST_NG_ML, f"{value:g} ng/mL"):
        return _implausible(found)
    return _by_d_dimer(found, who, value)


def _by_d_dimer(found: Reasoning, who: Patient, value: float) -> PathwayOutcome:
    answer = YEARS({"years_items": who.years_items, "d_dimer_ng_ml_feu": value})
    result = str(answer.outputs["result"]) if isinstance(answer, Scored) else ""
    found.risk(YEARS, answer, result)
    if found.apply(EXCLUDED, result == "pe_excluded", f"{value:g} ng/mL"):
        return _excluded(found)
    found.apply(POSITIVE, result == "ctpa", f"{value:g} ng/mL")
    return found.nothing("the D-dimer does not exclude embolism")


def _wells(found: Reasoning, who: Patient) -> str:
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


def _without_d_dimer(found: Reasoning, order: ImagingOrder, who: Patient) -> PathwayOutcome:
    """No test at all where the clinician finds it improbable and PERC is negative; else D-dimer first."""
    if found.apply(RULED_OUT, signed(order, IMPROBABLE.code) and _perc_negative(found, order, who)):
        return _no_test_by_perc(found)
    found.apply(D_DIMER, True)
    if not ordered_lately(found, action_codes.D_DIMER, int(number(found.case, ID, D_DIMER_DAYS))):
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


def _perc_negative(found: Reasoning, order: ImagingOrder, who: Patient) -> bool:
    """Whether none of the PERC criteria is there; what is not known does not rule out."""
    on_air = told(found, order, ID, OXYGEN) is False
    answer = PERC(
        {
            "age": who.years,
            "heart_rate": who.heart_rate,
            "spo2_room_air": who.saturation if on_air else None,
            "prior_vte": who.previous,
            "unilateral_leg_swelling": told(found, order, ID, LEG),
            "estrogen_use": taken(found, medication_codes.OESTROGEN, back=DRUG_MONTHS),
            "recent_surgery_trauma": True if operated(found) else told(found, order, ID, TRAUMA),
            "haemoptysis": who.haemoptysis,
        }
    )
    negative = isinstance(answer, Scored) and answer.outputs["perc_negative"] is True
    found.risk(PERC, answer, "negative" if negative else "positive")
    return negative


def _excluded(found: Reasoning) -> PathwayOutcome:
    _recommend_none(found, found.say("By Wells embolism is unlikely, and the D-dimer excludes it."), YEARS.source)
    return _told(found, found.say("Pulmonary embolism excluded: CT is not needed."), Indicator.WARNING, ())


def _no_test_by_perc(found: Reasoning) -> PathwayOutcome:
    _recommend_none(found, found.say("Embolism is improbable, and no PERC criterion is there."), PERC.source)
    return _told(found, found.say("Pulmonary embolism: no test is needed by PERC."), Indicator.WARNING, ())


def _recommend_none(found: Reasoning, reason: str, source: Source) -> None:
    found.missing.clear()
    found.recommend(
        Recommendation(
            key="no-angiography",
            action=found.say("No CT pulmonary angiography now: look for another cause"),
            code=action_codes.NO_IMAGING,
            reason=reason,
            source=source,
            because=because(found),
            would_change=(
                found.say("A sign of deep vein thrombosis, or embolism becoming the most likely diagnosis."),
                found.say("An anticoagulant that was given before the D-dimer was drawn."),
            ),
            instead=True,
        )
    )


def _implausible(found: Reasoning) -> PathwayOutcome:
    """A value that no laboratory sends: neither low nor high, until somebody says its unit."""
    why = found.say("the value is too low to be one in ng/mL")
    found.missing.append(Missing(found.say("D-dimer"), why, found.say("ask the laboratory for the unit, or repeat it")))
    ask = found.say("Ask before the exam: {what}.", what=sought(found))
    return _told(found, found.say("Suspected embolism: the D-dimer cannot be right."), Indicator.INFO, (ask,))


def _questions(found: Reasoning) -> PathwayOutcome:
    ask = found.say("Ask and measure before the exam: {what}.", what=sought(found))
    then = found.say("Where the Wells score is 4 or less, D-dimer comes first.")
    return _told(found, found.say("Suspected embolism: what decides is not known yet."), Indicator.INFO, (ask, then))


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
