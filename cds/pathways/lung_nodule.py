"""Lung nodules: when to look again, PET-CT or the nodule clinic, and CT for what a radiograph shows.

A nodule on a screening CT follows Lung-RADS v2022, one that was found by chance Fleischner 2017; the Brock probability
and BTS 2015 say who has PET-CT. What of all that is not known makes no follow-up later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cds import action_codes as actions
from cds import codes, condition_codes, finding_codes, medication_codes, procedure_codes
from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.ehr import Known, Unknown
from cds.domain.finding import Presence
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.pathways import Rule, pathway
from cds.pathways import _nodule_plan as plans
from cds.pathways._facts import Missing, Seen, findings, refused, where, words
from cds.pathways._guards import asked_already, known, taken
from cds.pathways._nodule import Nodule, Person, count, earlier_ct, nodules, person, risk, screening_exam
from cds.pathways._nodule_pet import PET_ORDERED, PET_RECENT, pet_ct
from cds.pathways._nodule_plan import Planned
from cds.pathways._nodule_words import categories, meaning, size, step
from cds.pathways._reasoning import Reasoning
from cds.risk.brock import SCORE as BROCK
from cds.risk.bts_brock import SCORE as BTS
from cds.risk.fleischner_2017 import SCORE as FLEISCHNER
from cds.risk.lung_rads_2022 import SCORE as LUNG_RADS

ID = "lung_nodule"
TITLE = "Lung nodule"
ACR = Source(
    "ACR Appropriateness Criteria 2023, indeterminate lung nodule", "https://doi.org/10.1016/j.jacr.2023.08.024"
)

SCREENED = Rule("screening", "A nodule on a screening CT is followed as Lung-RADS v2022 says.", LUNG_RADS.source)
BY_CHANCE = Rule("incidental", "A nodule found by chance is followed as Fleischner 2017 says.")
EXAM_UNKNOWN = Rule(
    "exam-unknown", "Where nobody can tell whether the CT was a screening exam the sooner of both follow-ups counts."
)
RADIOGRAPH = Rule("radiograph", "A nodule on a radiograph is characterised by CT of the chest without contrast.", ACR)
UNSIZED = Rule("unsized", "A nodule on CT that has no diameter is measured before any interval is given.")
ORDERED = Rule("ordered", "A CT of the chest that is ordered or was done since is not asked for again.")

#: DICOM modalities of radiographs (PS3.3 C.7.3.1.1.1).
_RADIOGRAPHS = frozenset({"CR", "DX"})
_ACTIONS = (
    actions.CHEST_CT_FOLLOW_UP,
    actions.LOW_DOSE_SCREENING_CT,
    actions.DIAGNOSTIC_CHEST_CT,
    actions.PET_CT,
    actions.NODULE_CLINIC_REFERRAL,
    actions.TELL_ONCOLOGIST,
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
    *(procedure_codes.ORDERED[action.code] for action in _ACTIONS),
)


@dataclass(frozen=True, slots=True)
class _Study:
    """The nodules of one CT and what is known of the exam and the patient."""

    seen: tuple[Seen, ...]
    nodules: tuple[Nodule, ...]
    who: Person
    screening: bool | None

    @property
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
        plans.CANCER,
        plans.IMMUNOSUPPRESSED,
        plans.YOUNG,
        RADIOGRAPH,
        UNSIZED,
        ORDERED,
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
    if case.modality in _RADIOGRAPHS:
        return _radiograph(found, seen)
    sized = nodules(case, seen, earlier_ct(case))
    if not sized:
        return _unsized(found, seen)
    return _sized(found, _Study(seen, sized, person(case), screening_exam(case)))


# --- without a size --------------------------------------------------------------------------------------------------


def _radiograph(found: Reasoning, seen: tuple[Seen, ...]) -> Advice:
    found.apply(RADIOGRAPH, True)
    for one in seen:
        found.measured(found.say("nodule"), found.say("marked"), where(found.case, one))
    if not _done_since(found) and not found.apply(ORDERED, asked_already(found, actions.DIAGNOSTIC_CHEST_CT)):
        found.recommend(
            Recommendation(
                key="characterise",
                action=found.say("CT of the chest without contrast, to characterise the nodule"),
                code=actions.DIAGNOSTIC_CHEST_CT,
                reason=found.say("A nodule was marked on the radiograph; compare with earlier images first."),
                source=ACR,
                strength="usually appropriate",
                would_change=(found.say("An earlier image that shows it unchanged for 2 years, or calcified."),),
            )
        )
    return found.advice(
        found.say("Possible lung nodule on the radiograph of {day} (AI).", day=found.case.study_date),
        Indicator.INFO,
        _keys(seen),
        seen=(found.say("A nodule was marked on the radiograph: a radiologist has to look at it."),),
        limits=_limits(seen),
    )


def _unsized(found: Reasoning, seen: tuple[Seen, ...]) -> Advice:
    found.apply(UNSIZED, True)
    found.missing.append(
        Missing(found.say("mean diameter"), found.say("no model measured it"), found.say("measure the nodule"))
    )
    return found.advice(
        found.say("Possible lung nodule on CT {day} (AI), not measured.", day=found.case.study_date),
        Indicator.INFO,
        _keys(seen),
        seen=(found.say("A nodule was marked on CT; no diameter is known."),),
        limits=_limits(seen),
    )


# --- with a size -----------------------------------------------------------------------------------------------------


def _sized(found: Reasoning, study: _Study) -> PathwayOutcome:
    _use(found, study)
    found.apply(EXAM_UNKNOWN, study.screening is None)
    screened = plans.lung_rads(study.nodules) if found.apply(SCREENED, study.screening) is not False else None
    by_chance = _by_chance(found, study)
    options = [one for one in (screened, by_chance) if one is not None]
    if study.screening is None:
        # Yearly screening is no follow-up of a nodule for whoever is not screened.
        options = [one for one in options if one.plan.rule is not plans.RADS_2]
    for one in options:
        _scored(found, study, one)
    chosen = min(options, key=lambda one: one.plan.rank, default=None)
    if chosen is not None:
        _follow_up(found, chosen, study.who)
    if study.who.cancer is not True:
        pet_ct(found, study.nodules, study.who, study.number)
        _pet_first(found)
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
    young = found.apply(plans.YOUNG, None if who.age is None else who.age < 35)
    if found.apply(plans.CANCER, who.cancer):
        found.note(found.say("Follow-up by Fleischner 2017: it is not made for patients with known cancer."), "cancer")
        if not asked_already(found, actions.TELL_ONCOLOGIST):
            found.recommend(_tell_oncologist(found, study))
        return None
    if found.apply(plans.IMMUNOSUPPRESSED, who.immunosuppressed):
        text = found.say(
            "Follow-up by Fleischner 2017: it is not made for immunosuppressed patients; consider infection."
        )
        found.note(text, "immunosuppression")
        return None
    if young:
        found.note(found.say("Follow-up by Fleischner 2017: it is made for adults of 35 years or more."), "age")
        return None
    found.apply(plans.RISK_OPEN, found.apply(plans.RISK, risk(who, study.nodules[0])) is None)
    found.lacks(found.say("age"), found.case.ehr.birth_date, found.say("correct the birth date in the registration"))
    return plans.fleischner(study.nodules, who, study.number > 1)


def _follow_up(found: Reasoning, planned: Planned, who: Person) -> None:
    found.apply(planned.plan.rule, True, size(found, planned.nodule))
    draft = step(found, planned, who)
    if draft is None:
        return
    if draft.code != actions.NODULE_CLINIC_REFERRAL and _done_since(found):
        return
    if not found.apply(ORDERED, _is_asked(found, draft.code)):
        found.recommend(draft)


def _pet_first(found: Reasoning) -> None:
    """Lung-RADS 4A is low-dose CT or, from 8 mm of solid nodule, PET-CT: both at once contradict each other."""
    drafts = found.recommendations
    if any(one.code == actions.PET_CT for one in drafts):
        waiting = [one for one in drafts if one.code == actions.LOW_DOSE_SCREENING_CT]
        found.recommendations = [one for one in drafts if one not in waiting]
        for one in waiting:
            found.note(found.say("{action}: where PET-CT is not done.", action=one.action))


def _is_asked(found: Reasoning, action: Coding) -> bool:
    """Whether the follow-up, or a diagnostic CT instead of it, is ordered."""
    same = (action, actions.DIAGNOSTIC_CHEST_CT) if action == actions.CHEST_CT_FOLLOW_UP else (action,)
    return any([asked_already(found, one) for one in same])


def _done_since(found: Reasoning) -> bool:
    """Whether a CT of the chest was made after these images: it shows what a follow-up would."""
    fact = found.case.ehr.procedure(procedure_codes.CHEST_CT.name)
    if not isinstance(fact, Known) or fact.effective is None or fact.effective <= found.case.study_date:
        return False
    found.apply(ORDERED, True)
    found.note(
        found.say(
            "Follow-up CT: a CT of the chest was made since ({day}, {source}): compare with it.",
            day=fact.effective,
            source=fact.source,
        ),
        "a CT of the chest was made since",
    )
    return True


def _tell_oncologist(found: Reasoning, study: _Study) -> Recommendation:
    return Recommendation(
        key="tell-oncologist",
        action=found.say("Tell the treating oncologist of the lung nodule"),
        code=actions.TELL_ONCOLOGIST,
        reason=found.say("Lung nodule, {size}, with known cancer.", size=size(found, study.nodules[0])),
        source=FLEISCHNER.source,
        would_change=(found.say("An earlier CT that shows it unchanged."),),
    )


# --- the card --------------------------------------------------------------------------------------------------------


def _use(found: Reasoning, study: _Study) -> None:
    ehr = found.case.ehr
    for one in study.nodules:
        found.measured(found.say("nodule"), size(found, one), where(found.case, one.seen))
    smoking = ehr.smoking_status
    found.use(found.say("smoking status"), smoking, lambda status: found.say(status.value))
    if study.who.smoked is None:
        told = Unknown(found.say("it is recorded as unknown")) if isinstance(smoking, Known) else smoking
        found.lacks(found.say("smoking status"), told, found.say("ask the patient and record it (LOINC 72166-2)"))
    for value_set in (condition_codes.CANCER, codes.LUNG_CANCER, condition_codes.IMMUNOSUPPRESSION, codes.EMPHYSEMA):
        known(found, value_set)
    taken(found, medication_codes.IMMUNOSUPPRESSANT)
    family = ehr.relative(condition_codes.FAMILY_LUNG_CANCER.name)
    found.use(found.say(condition_codes.FAMILY_LUNG_CANCER.title), family, words)
    found.unasked(found.say(condition_codes.FAMILY_LUNG_CANCER.title), family, found.say("ask the patient"))
    if len(study.seen) > len(study.nodules):
        why = found.say("no model measured it, or the value cannot be one")
        found.missing.append(Missing(found.say("diameter of a nodule"), why, found.say("measure the nodule")))
    if study.screening is None:
        why = found.say("the codes of the exam do not tell")
        found.missing.append(Missing(found.say("whether it was a screening CT"), why, found.say("look at the order")))


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
    urgent = any(one.priority is not Priority.ROUTINE for one in found.recommendations)
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
        Indicator.WARNING if urgent else Indicator.INFO,
        _keys(study.seen),
        seen=tuple(found.say("Lung nodule: {size}.", size=size(found, one)) for one in study.nodules),
        meaning=(*(meaning(found, one) for one in options), *earlier),
        limits=_limits(study.seen),
        further=tuple(dict.fromkeys(one.plan.source for one in options if one.plan.source != found.source)),
    )


def _compare(found: Reasoning) -> str:
    return found.say("Whether it is new or grew is not known: compare with earlier CTs of the chest first.")


def _keys(seen: tuple[Seen, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sorted(one.finding.key for one in seen)))


def _limits(seen: tuple[Seen, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sorted(limit for one in seen for limit in one.by.limits)))
