"""Lung nodules: when to look again, PET-CT or the nodule clinic, and CT for what a radiograph shows.

A nodule on a screening CT follows Lung-RADS v2022, one that was found by chance Fleischner 2017; the Brock probability
and BTS 2015 say who has PET-CT. What of all that is not known makes no follow-up later. Children, young adults, people
with cancer and people with immunosuppression are told of to whoever decides for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

from cds import action_codes as actions
from cds import codes, condition_codes, finding_codes, medication_codes, procedure_codes
from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.ehr import Known, Unknown
from cds.domain.finding import Presence
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Case, PathwayOutcome
from cds.pathways import Rule, pathway
from cds.pathways import _nodule_plan as plans
from cds.pathways import _nodule_tell as tell
from cds.pathways._emphysema import RADIOGRAPHS, largest
from cds.pathways._facts import Missing, Seen, add_months, findings, refused, values, where, words
from cds.pathways._guards import asked_already, known, taken
from cds.pathways._nodule import Nodule, Person, count, earlier_ct, nodules, person, risk, screening_exam
from cds.pathways._nodule_pet import PET_ORDERED, PET_RECENT, pet_ct
from cds.pathways._nodule_plan import Planned
from cds.pathways._nodule_since import BEFORE, ORDERED, SINCE, done_since
from cds.pathways._nodule_unsized import ACR, radiograph, unsized
from cds.pathways._nodule_unsized import RULES as UNSIZED
from cds.pathways._nodule_words import (
    categories,
    indicator,
    keys,
    lacks_age,
    limits,
    meaning,
    size,
    step,
    use_age,
)
from cds.pathways._pregnant import ASKS as PREGNANCY
from cds.pathways._pregnant import NOW, WAITS, guarded
from cds.pathways._reasoning import Reasoning
from cds.risk.brock import SCORE as BROCK
from cds.risk.bts_brock import SCORE as BTS
from cds.risk.fleischner_2017 import SCORE as FLEISCHNER
from cds.risk.lung_rads_2022 import SCORE as LUNG_RADS

ID = "lung_nodule"
TITLE = "Lung nodule"

SCREENED = Rule("screening", "A nodule on a screening CT is followed as Lung-RADS v2022 says.", LUNG_RADS.source)
BY_CHANCE = Rule("incidental", "A nodule found by chance is followed as Fleischner 2017 says.")
EXAM_UNKNOWN = Rule(
    "exam-unknown", "Where nobody can tell whether the CT was a screening exam the sooner of both follow-ups counts."
)
PET_FIRST = Rule("pet-first", "Where PET-CT is suggested CT at 3 months is noted in its place only.", BTS.source)

_ACTIONS = (
    actions.CHEST_CT_FOLLOW_UP,
    actions.LOW_DOSE_SCREENING_CT,
    actions.DIAGNOSTIC_CHEST_CT,
    actions.PET_CT,
    actions.NODULE_CLINIC_REFERRAL,
    *tell.ACTIONS,
)
_ASKS: tuple[ValueSet, ...] = (
    codes.SMOKING_STATUS,
    codes.LUNG_CANCER,
    codes.EMPHYSEMA,
    codes.LOW_DOSE_CT,
    condition_codes.CANCER,
    condition_codes.IMMUNOSUPPRESSION,
    medication_codes.IMMUNOSUPPRESSANT,
    condition_codes.FAMILY_LUNG_CANCER,
    procedure_codes.CHEST_CT,
    procedure_codes.PET_CT,
    *PREGNANCY,
    *(procedure_codes.ORDERED[action.code] for action in _ACTIONS),
)


@dataclass(frozen=True)
class _Study:
    """The nodules of one CT and what is known of the exam and the patient."""

    seen: tuple[Seen, ...]
    nodules: tuple[Nodule, ...]
    who: Person
    screening: bool | None

    @cached_property
    def number(self) -> int:
        """How many nodules there are."""
        return count(self.seen)


@pathway(
    id=ID,
    title=TITLE,
    source=FLEISCHNER.source,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=(
        finding_codes.LUNG_NODULE,
        finding_codes.NODULE_SOLID_PART,
        finding_codes.NODULE_SPICULATION,
        finding_codes.EMPHYSEMA,
        finding_codes.LAA_950,
    ),
    asks=_ASKS,
    rules=(
        SCREENED,
        BY_CHANCE,
        EXAM_UNKNOWN,
        plans.RADS_2,
        plans.RADS_3,
        plans.RADS_4A,
        plans.RADS_4B,
        plans.NO_FOLLOW_UP,
        plans.OPTIONAL,
        plans.SIX_TO_TWELVE,
        plans.THREE_TO_SIX,
        plans.LARGE,
        plans.SUSPICIOUS,
        plans.RISK,
        plans.RISK_OPEN,
        plans.PET,
        *tell.RULES,
        WAITS,
        NOW,
        *UNSIZED,
        ORDERED,
        SINCE,
        BEFORE,
        PET_FIRST,
        PET_ORDERED,
        PET_RECENT,
    ),
    scores=(FLEISCHNER.id, LUNG_RADS.id, BROCK.id, BTS.id),
    further=(LUNG_RADS.source, BTS.source, BROCK.source, ACR),
    limits=(
        "A nodule with a benign pattern of calcification or fat, or on a fissure, needs no follow-up: look at it.",
        "Features such as enlarged lymph nodes raise the suspicion and are not measured here.",
    ),
)
def lung_nodule(case: Case) -> PathwayOutcome:
    """Advise on the lung nodules of a study."""
    found = Reasoning(ID, TITLE, FLEISCHNER.source, case)
    every = tuple(findings(case, finding_codes.LUNG_NODULE))
    seen = tuple(one for one in every if one.present or one.finding.presence is Presence.MEASURED)
    if not seen:
        if reasons := refused(case, finding_codes.LUNG_NODULE):
            return found.could_not_tell(found.say("nodules were not evaluated: {reasons}", reasons="; ".join(reasons)))
        return found.nothing("no lung nodule was told of on this study, which does not exclude one")
    if case.modality in RADIOGRAPHS:
        return radiograph(found, seen)
    sized = nodules(case, seen, earlier_ct(case))
    if not sized:
        return unsized(found, seen)
    return _sized(found, _Study(seen, sized, person(case), screening_exam(case)))


# --- with a size -----------------------------------------------------------------------------------------------------


def _sized(found: Reasoning, study: _Study) -> PathwayOutcome:
    _use(found, study)
    cancer = tell.cancer(found, study.nodules, study.who)
    if tell.is_child(found, study.who):
        tell.child(found, study.nodules)
        return _advised(found, study, [])
    found.apply(EXAM_UNKNOWN, study.screening is None)
    screened = plans.lung_rads(study.nodules) if found.apply(SCREENED, study.screening) is not False else None
    by_chance = _by_chance(found, study)
    options = [one for one in (screened, by_chance) if one is not None]
    if study.screening is None or cancer:
        # Yearly screening is no follow-up of a nodule for whoever is not screened, as with known cancer.
        options = [one for one in options if one.plan.rule is not plans.RADS_2]
    for one in options:
        _scored(found, study, one)
    chosen = min(options, key=lambda one: one.plan.rank, default=None)
    if chosen is not None:
        _follow_up(found, chosen, study.who)
    if not cancer:
        pet_ct(found, study.nodules, study.who, study.number)
        _pet_first(found, chosen)
    if not found.recommendations and not found.notes and not _open(study):
        if chosen is None:
            return found.could_not_tell(found.say("the nodules fit no category of the guideline"))
        return found.nothing("no nodule of this study needs follow-up as Fleischner 2017 says")
    return _advised(found, study, options)


def _by_chance(found: Reasoning, study: _Study) -> Planned | None:
    """The Fleischner follow-up, unless it is not made for this exam or this patient."""
    if found.apply(BY_CHANCE, None if study.screening is None else not study.screening) is False:
        return None
    who = study.who
    if who.cancer:
        found.note(found.say("Follow-up by Fleischner 2017: it is not made for patients with known cancer."), "cancer")
    if tell.instead(found, study.nodules, who) or who.cancer:
        return None
    found.apply(plans.RISK_OPEN, found.apply(plans.RISK, risk(who, study.nodules[0])) is None)
    lacks_age(found)
    return plans.fleischner(study.nodules, who, study.number > 1)


def _follow_up(found: Reasoning, planned: Planned, who: Person) -> None:
    found.apply(planned.plan.rule, True, size(found, planned.nodule))
    draft = step(found, planned, who)
    if draft is None:
        return
    first = planned.plan.first
    if first is not None and done_since(found, SINCE, add_months(found.case.study_date, first)):
        return
    urgent = draft.priority is not Priority.ROUTINE
    if not found.apply(ORDERED, _is_asked(found, draft.code, urgent=urgent)):
        found.recommend(draft if first is None else guarded(found, draft))


def _pet_first(found: Reasoning, chosen: Planned | None) -> None:
    """Lung-RADS 4A and Fleischner give CT at 3 months or PET-CT: both at once contradict each other."""
    drafts = found.recommendations
    pet = any(one.code == actions.PET_CT for one in drafts)
    waits = chosen is not None and chosen.plan.rule in (plans.LARGE, plans.RADS_4A)
    if not found.apply(PET_FIRST, pet and waits):
        return
    waiting = [one for one in drafts if one.key == "follow-up"]
    found.recommendations = [one for one in drafts if one not in waiting]
    for one in waiting:
        found.note(found.say("CT of the chest at 3 months (by {day}): where PET-CT is not done.", day=one.by))


def _is_asked(found: Reasoning, action: Coding, *, urgent: bool) -> bool:
    """Whether the follow-up, or a diagnostic CT instead of it, is ordered."""
    same = (action, actions.DIAGNOSTIC_CHEST_CT) if action == actions.CHEST_CT_FOLLOW_UP else (action,)
    return any([asked_already(found, one, urgent=urgent) for one in same])


# --- the card --------------------------------------------------------------------------------------------------------


def _use(found: Reasoning, study: _Study) -> None:
    ehr = found.case.ehr
    for one in study.nodules:
        found.measured(found.say("nodule"), size(found, one), where(found.case, one.seen))
    use_age(found)
    smoking = ehr.smoking_status
    found.use(found.say("smoking status"), smoking, lambda status: found.say(status.value))
    if study.who.smoked is None:
        told = Unknown(found.say("it is recorded as unknown")) if isinstance(smoking, Known) else smoking
        found.lacks(found.say("smoking status"), told, found.say("ask the patient and record it (LOINC 72166-2)"))
    for value_set in (condition_codes.CANCER, codes.LUNG_CANCER, condition_codes.IMMUNOSUPPRESSION, codes.EMPHYSEMA):
        known(found, value_set)
    taken(found, medication_codes.IMMUNOSUPPRESSANT)
    tell.use_steroid(found)
    _use_density(found, study.who)
    family = ehr.relative(condition_codes.FAMILY_LUNG_CANCER.name)
    found.use(found.say(condition_codes.FAMILY_LUNG_CANCER.title), family, words)
    found.unasked(found.say(condition_codes.FAMILY_LUNG_CANCER.title), family, found.say("ask the patient"))
    if len(study.seen) > len(study.nodules):
        why = found.say("no model measured it, or the value cannot be one")
        found.missing.append(Missing(found.say("diameter of a nodule"), why, found.say("measure the nodule")))
    if study.screening is None:
        why = found.say("the codes of the exam do not tell")
        found.missing.append(Missing(found.say("whether it was a screening CT"), why, found.say("look at the order")))


def _use_density(found: Reasoning, who: Person) -> None:
    """LAA-950 where it alone makes the emphysema that raises the risk."""
    if who.by_density:
        percent, laa = largest(values(found.case, finding_codes.LAA_950))
        found.measured(found.say("LAA-950"), f"{percent:.4g} %", where(found.case, laa))


def _open(study: _Study) -> bool:
    """Whether something is not known that could make a nodule matter that otherwise needs no follow-up."""
    unknown = None in (study.who.age, study.who.cancer, study.who.immunosuppressed)
    return unknown or len(study.seen) > len(study.nodules)


def _scored(found: Reasoning, study: _Study, planned: Planned) -> None:
    score = LUNG_RADS if planned.plan.source is LUNG_RADS.source else FLEISCHNER
    answer = plans.answers(planned, study.who, study.number > 1, study.screening)
    text = categories(planned) if score is LUNG_RADS else meaning(found, planned)
    found.risk(score, answer, text)


def _advised(found: Reasoning, study: _Study, options: list[Planned]) -> Advice:
    largest = study.nodules[0]
    rads = next((one for one in options if one.plan.source is LUNG_RADS.source), None)
    earlier = () if rads is None or len(rads.nodule.courses) == 1 else (_compare(found),)
    return found.advice(
        found.say(
            "Lung nodules on CT {day} (AI): {number}, the largest {size}.",
            day=found.case.study_date,
            number=study.number,
            size=size(found, largest),
        )
        if study.number > 1
        else found.say("Lung nodule on CT {day} (AI): {size}.", day=found.case.study_date, size=size(found, largest)),
        indicator(found),
        keys(study.seen),
        seen=tuple(found.say("Lung nodule: {size}.", size=size(found, one)) for one in study.nodules),
        meaning=(*(meaning(found, one) for one in options), *earlier),
        limits=limits(study.seen),
        further=tuple(dict.fromkeys(one.plan.source for one in options if one.plan.source != found.source)),
    )


def _compare(found: Reasoning) -> str:
    return found.say("Whether it is new or grew is not known: compare with earlier CTs of the chest first.")
