"""PET-CT for a lung nodule by the Brock probability, as BTS 2015 says."""

from __future__ import annotations

from cds import action_codes as actions
from cds import procedure_codes
from cds.domain.order import Priority
from cds.domain.recommendation import Recommendation
from cds.pathways import _nodule_plan as plans
from cds.pathways._facts import Missing
from cds.pathways._guards import asked_already, recent
from cds.pathways._nodule import Nodule, Person
from cds.pathways._nodule_words import size
from cds.pathways._pregnant import guarded
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways._undated import undated
from cds.pathways.declaration import Rule
from cds.risk import Answer, NotScored, Scored
from cds.risk.brock import SCORE as BROCK
from cds.risk.bts_brock import SCORE as BTS

PET_ORDERED = Rule("pet-ordered", "A PET-CT that was ordered after the images is not asked for again.")
PET_RECENT = Rule("pet-recent", "A PET-CT of the last 3 months is not asked for again.")
_PET_MONTHS = 3
_BTS_WORDS = {
    "no_followup": "no follow-up",
    "ct_3mo": "CT at 3 months",
    "ct_surveillance": "CT surveillance",
    "pet_ct": "PET-CT",
}
#: The values that the probability rests on, as they stand among those used.
_NAMES = ("nodule", "age", "smoking status", "emphysema", "LAA-950", "lung cancer in the family")


def pet_ct(found: Reasoning, nodules: tuple[Nodule, ...], who: Person, number: int) -> None:
    """PET-CT by BTS 2015 for the most probable of the nodules; its Brock probability stands in the card anyway."""
    rated = [(plans.brock(one, who, number), one) for one in nodules]
    (answer, low, high), nodule = max(rated, key=lambda one: (one[0][1], one[1].diameter))
    found.risk(BROCK, answer, percent(low), probability=low if isinstance(answer, Scored) else None)
    needed = found.apply(plans.PET, plans.needs_pet(nodule, low, high), size(found, nodule))
    if needed is not False and who.smoked is not True:
        found.note(found.say("The Brock probability was made for people who smoke or smoked: beyond, it is a guess."))
    if needed is None:
        found.missing.append(_brock_missing(found, answer, low, high))
        return
    bts = BTS(_bts(nodule, low))
    found.risk(BTS, bts, found.say(_BTS_WORDS[str(bts.outputs["action"])]) if isinstance(bts, Scored) else "")
    if not needed or found.apply(PET_ORDERED, asked_already(found, actions.PET_CT, urgent=True)):
        return
    if found.apply(PET_RECENT, recent(found, procedure_codes.PET_CT, _PET_MONTHS)):
        found.note(found.say("PET-CT: one of the last 3 months is on record: see its result."), "PET-CT is on record")
        return
    undated(found, procedure_codes.PET_CT)
    least = percent(low) if isinstance(answer, Scored) else found.say("at least {low}", low=percent(low))
    found.recommend(guarded(found, _step(found, nodule, least)))


def _step(found: Reasoning, nodule: Nodule, probability: str) -> Recommendation:
    return Recommendation(
        key="pet-ct",
        action=found.say("PET-CT, by the nodule clinic"),
        code=actions.PET_CT,
        reason=found.say(
            "Solid nodule of {size} with a Brock probability of {low}.",
            size=f"{nodule.diameter:.1f} mm",
            low=probability,
        ),
        source=BTS.source,
        priority=Priority.URGENT,
        because=because(found, *map(found.say, _NAMES)),
        would_change=(found.say("A Brock probability below 10 % with the values of a radiologist."),),
        acr_category=3,
    )


def _bts(nodule: Nodule, probability: float) -> dict[str, object]:
    solid = nodule.kind == "solid" if nodule.kind else None
    return {"solid_nodule": solid, "diameter_mm": nodule.diameter, "brock_probability": probability}


def _brock_missing(found: Reasoning, answer: Answer, low: float, high: float) -> Missing:
    names = answer.missing if isinstance(answer, NotScored) else ()
    lacking = ", ".join(found.say(BROCK.title_of(name)) for name in names) or found.say("nodule type")
    why = found.say(
        "not known: {lacking}; it is between {low} and {high}", lacking=lacking, low=percent(low), high=percent(high)
    )
    return Missing(found.say("Brock probability"), why, found.say("read them off the images and ask the patient"))


def percent(probability: float) -> str:
    """A probability in words."""
    return f"{100 * probability:.1f} %"
