"""Whom the intervals of Fleischner 2017 are not made for: who is told of a lung nodule, or asked, instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cds import action_codes as actions
from cds import codes, condition_codes, medication_codes
from cds.domain.coding import Coding
from cds.domain.ehr import Known
from cds.domain.order import Priority
from cds.domain.recommendation import Recommendation
from cds.pathways._facts import Missing
from cds.pathways._guards import asked_already
from cds.pathways._nodule import Nodule, Person, still_taken
from cds.pathways._nodule_words import size
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import Rule
from cds.risk.fleischner_2017 import SCORE as FLEISCHNER

CANCER = Rule(
    "cancer",
    "With known cancer no interval of Fleischner 2017 is given and the oncologist, or a nodule clinic, is told.",
)
CANCER_LARGE = Rule(
    "cancer-large",
    "With known cancer a nodule of 8 mm or more, or with a solid part of 6 mm or more, is told urgently.",
)
IMMUNOSUPPRESSED = Rule(
    "immunosuppressed",
    "With immunosuppression no interval of Fleischner 2017 is given and who treats it is told.",
)
STEROID = Rule(
    "steroid", "A steroid of more than 12 months ago, or without a date, does not tell whether it is taken now."
)
YOUNG = Rule("young", "From 18 to 34 years no interval of Fleischner 2017 is given and the radiologist is asked.")
CHILD = Rule(
    "child",
    "Below 18 years no CT and no PET-CT is suggested; paediatric radiology is asked, urgently from 8 mm on.",
)
RULES = (CHILD, CANCER, CANCER_LARGE, IMMUNOSUPPRESSED, STEROID, YOUNG)
ACTIONS = (
    actions.TELL_ONCOLOGIST,
    actions.TELL_IMMUNOSUPPRESSION_TEAM,
    actions.ASK_RADIOLOGIST,
    actions.ASK_PAEDIATRIC_RADIOLOGY,
)
_UNCHANGED = "An earlier CT that shows it unchanged."


@dataclass(frozen=True, slots=True)
class _Told:
    """A step that tells or asks somebody: its texts are English, `names` are the values that it rests on."""

    key: str
    code: Coding
    action: str
    why: str
    names: tuple[str, ...]


_ONCOLOGIST = _Told(
    "tell-oncologist",
    actions.TELL_ONCOLOGIST,
    "Tell the treating oncologist of the lung nodule; without an oncologist: the nodule clinic",
    "{nodule} With known cancer it may be a metastasis or another cancer.",
    (condition_codes.CANCER.title, codes.LUNG_CANCER.title),
)
_IMMUNOSUPPRESSION = _Told(
    "tell-immunosuppression-team",
    actions.TELL_IMMUNOSUPPRESSION_TEAM,
    "Tell who treats the immunosuppression of the lung nodule; CT at their choice",
    "{nodule} With immunosuppression it may be an infection.",
    (condition_codes.IMMUNOSUPPRESSION.title, medication_codes.IMMUNOSUPPRESSANT.title),
)
_YOUNG = _Told(
    "ask-radiologist",
    actions.ASK_RADIOLOGIST,
    "Individual decision on the lung nodule: ask the radiologist",
    "{nodule} Below 35 years it is rarely cancer, and no interval is published.",
    ("age",),
)
_CHILD = _Told(
    "ask-paediatric-radiology",
    actions.ASK_PAEDIATRIC_RADIOLOGY,
    "Ask paediatric radiology what the lung nodule calls for; no CT before",
    "{nodule} The rules for lung nodules are made for adults.",
    ("age",),
)


def is_child(found: Reasoning, who: Person) -> bool | None:
    """Whether the patient was below 18 years; None where the age is not known."""
    return found.apply(CHILD, None if who.age is None else who.child)


def child(found: Reasoning, nodules: tuple[Nodule, ...]) -> None:
    """Paediatric radiology instead of every rule for adults."""
    _tell(found, _CHILD, nodules, urgent=_large(nodules))


def cancer(found: Reasoning, nodules: tuple[Nodule, ...], who: Person) -> bool | None:
    """Whether cancer is known: then the oncologist is told; a nodule of which no size is known counts as large."""
    held = found.apply(CANCER, who.cancer)
    if held:
        large = found.apply(CANCER_LARGE, not nodules or _large(nodules))
        _tell(found, _ONCOLOGIST, nodules, urgent=bool(large))
    return held


def instead(found: Reasoning, nodules: tuple[Nodule, ...], who: Person) -> bool:
    """Whether Fleischner 2017 is not made for this adult, beside cancer; then somebody is told or asked."""
    young = found.apply(YOUNG, None if who.age is None else who.age < 35)
    if found.apply(IMMUNOSUPPRESSED, who.immunosuppressed):
        text = found.say(
            "Follow-up by Fleischner 2017: it is not made for immunosuppressed patients; consider infection."
        )
        found.note(text, "immunosuppression")
        _tell(found, _IMMUNOSUPPRESSION, nodules, urgent=False)
        return True
    if young:
        found.note(found.say("Follow-up by Fleischner 2017: it is made for adults of 35 years or more."), "age")
        _tell(found, _YOUNG, nodules, urgent=False)
    return bool(young)


def use_steroid(found: Reasoning) -> None:
    """A steroid of which nobody can tell whether it is taken now stands as missing."""
    drug = found.case.ehr.medication(medication_codes.IMMUNOSUPPRESSANT.name)
    open_ = isinstance(drug, Known) and still_taken(drug, found.case.today) is None
    if found.apply(STEROID, open_):
        why = found.say("the entry is of more than 12 months ago, or has no date")
        how = found.say("ask the patient whether it is taken now")
        found.missing.append(Missing(found.say(medication_codes.IMMUNOSUPPRESSANT.title), why, how))


def _large(nodules: Iterable[Nodule]) -> bool:
    return any(one.large for one in nodules)


def _tell(found: Reasoning, told: _Told, nodules: tuple[Nodule, ...], *, urgent: bool) -> None:
    if asked_already(found, told.code, urgent=urgent):
        return
    nodule = (
        found.say("Lung nodule, {size}.", size=size(found, nodules[0]))
        if nodules
        else found.say("Lung nodule of unknown size.")
    )
    found.recommend(
        Recommendation(
            key=told.key,
            action=found.say(told.action),
            code=told.code,
            reason=found.say(told.why, nodule=nodule),
            source=FLEISCHNER.source,
            priority=Priority.URGENT if urgent else Priority.ROUTINE,
            because=because(found, found.say("nodule"), *map(found.say, told.names)),
            would_change=(found.say(_UNCHANGED),),
            acr_category=3 if urgent else None,
        )
    )
