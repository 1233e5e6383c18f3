"""A lung nodule of which no size is known: on a radiograph CT characterises it, on CT somebody measures it first."""

from __future__ import annotations

from cds import action_codes as actions
from cds import codes, condition_codes
from cds.domain.recommendation import Advice, Recommendation, Source
from cds.pathways import _nodule_tell as tell
from cds.pathways._facts import Missing, Seen, where
from cds.pathways._guards import asked_already, known
from cds.pathways._nodule import Person, person
from cds.pathways._nodule_since import ORDERED, done_since
from cds.pathways._nodule_words import indicator, keys, lacks_age, limits, use_age
from cds.pathways._pregnant import guarded
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import Rule

ACR = Source(
    "ACR Appropriateness Criteria 2023, indeterminate lung nodule", "https://doi.org/10.1016/j.jacr.2023.08.024"
)
RADIOGRAPH = Rule("radiograph", "A nodule on a radiograph is characterised by CT of the chest without contrast.", ACR)
CHARACTERISED = Rule("characterised", "After a radiograph any later CT of the chest is the one that was wanted.")
UNSIZED = Rule("unsized", "A nodule on CT that has no diameter is measured before any interval is given.")
RULES = (RADIOGRAPH, CHARACTERISED, UNSIZED)


def radiograph(found: Reasoning, seen: tuple[Seen, ...]) -> Advice:
    """A nodule that was marked on a radiograph."""
    who = _whose(found, seen)
    if not who.child:
        found.apply(RADIOGRAPH, True)
        _characterise(found, who)
    return found.advice(
        found.say("Possible lung nodule on the radiograph of {day} (AI).", day=found.case.study_date),
        indicator(found),
        keys(seen),
        seen=(found.say("A nodule was marked on the radiograph: a radiologist has to look at it."),),
        limits=limits(seen),
    )


def _whose(found: Reasoning, seen: tuple[Seen, ...]) -> Person:
    """Whose nodule it is that has no size, and who has to be told whatever its size is."""
    for one in seen:
        found.measured(found.say("nodule"), found.say("marked"), where(found.case, one))
    use_age(found)
    for value_set in (condition_codes.CANCER, codes.LUNG_CANCER):
        known(found, value_set)
    who = person(found.case)
    tell.cancer(found, (), who)
    if tell.is_child(found, who):
        tell.child(found, ())
    return who


def _characterise(found: Reasoning, who: Person) -> None:
    if done_since(found, CHARACTERISED, found.case.study_date):
        return
    if found.apply(ORDERED, asked_already(found, actions.DIAGNOSTIC_CHEST_CT)):
        return
    marked = found.say("A nodule was marked on the radiograph; compare with earlier images first.")
    ageless = found.say("{told} The age is not known: CT is for adults.", told=marked)
    if who.age is None:
        lacks_age(found)
    draft = Recommendation(
        key="characterise",
        action=found.say("CT of the chest without contrast, to characterise the nodule"),
        code=actions.DIAGNOSTIC_CHEST_CT,
        reason=marked if who.age is not None else ageless,
        source=ACR,
        because=because(found, found.say("nodule")),
        strength="usually appropriate",
        would_change=(found.say("An earlier image that shows it unchanged for 2 years, or calcified."),),
    )
    found.recommend(guarded(found, draft))


def unsized(found: Reasoning, seen: tuple[Seen, ...]) -> Advice:
    """A nodule that was marked on CT and not measured."""
    found.apply(UNSIZED, True)
    _whose(found, seen)
    found.missing.append(
        Missing(found.say("mean diameter"), found.say("no model measured it"), found.say("measure the nodule"))
    )
    return found.advice(
        found.say("Possible lung nodule on CT {day} (AI), not measured.", day=found.case.study_date),
        indicator(found),
        keys(seen),
        seen=(found.say("A nodule was marked on CT; no diameter is known."),),
        limits=limits(seen),
    )
