"""What several pathways say of one study, as one answer: nothing twice, the most urgent first, contradictions shown.

Nothing is dropped here: a report has every recommendation (`together`). Who shows them to a person shows each once
(`merged`), and the first few of them (`first`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date

from cds import action_codes as actions
from cds import codes
from cds.domain.coding import Coding
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Indicator, PathwayOutcome, Recommendation
from cds.pathways.language import say

_INDICATORS = (Indicator.CRITICAL, Indicator.WARNING, Indicator.INFO)
_PRIORITIES = (Priority.STAT, Priority.ASAP, Priority.URGENT, Priority.ROUTINE)
_FAR = date.max
#: Steps that cannot both be right: care at home and in hospital, no imaging and an image.
_AGAINST = (
    (
        {actions.HOME_CARE},
        {
            actions.ACUTE_ASSESSMENT,
            actions.ADMISSION_ASSESSMENT,
            actions.SUPERVISED_CARE,
            actions.HEART_FAILURE_REFERRAL,
        },
    ),
    (
        {actions.NO_IMAGING},
        {
            actions.CHEST_CT_FOLLOW_UP,
            actions.DIAGNOSTIC_CHEST_CT,
            actions.PET_CT,
            actions.CT_HEAD_UNENHANCED,
            actions.CT_PULMONARY_ANGIOGRAPHY,
        },
    ),
    (
        {actions.LOW_DOSE_SCREENING_CT, codes.SCREENING_VISIT_REQUEST},
        {
            actions.CHEST_CT_FOLLOW_UP,
            actions.DIAGNOSTIC_CHEST_CT,
            actions.PET_CT,
            actions.NODULE_CLINIC_REFERRAL,
        },
    ),
    ({actions.REPEAT_FIB4}, {actions.HEPATOLOGY_REFERRAL}),
)
#: How many steps a reader is shown of one study, where the site says nothing else.
SHOWN = 5


def together(outcomes: Iterable[PathwayOutcome]) -> tuple[PathwayOutcome, ...]:
    """The advices first, the most urgent first, raised by change, with contradictions; then what is no advice.

    Each keeps its own steps: a report numbers them, and people answer them one by one.
    """
    said = tuple(outcomes)
    advices = [one for one in said if isinstance(one, Advice)]
    raised = sorted((_raised(one, advices) for one in advices), key=_urgency)
    told = [_contradicted(one, raised) for one in raised]
    return (*told, *(one for one in said if not isinstance(one, Advice)))


def merged(outcomes: Iterable[PathwayOutcome]) -> tuple[PathwayOutcome, ...]:
    """The same for a reader: what several ask for stands once, where it is asked for most urgently."""
    said = together(outcomes)
    advices = once([one for one in said if isinstance(one, Advice)])
    return (*advices, *(one for one in said if not isinstance(one, Advice)))


def first(advices: Sequence[Advice], most: int = SHOWN) -> tuple[tuple[Advice, ...], int]:
    """The advices with no more steps in all than a reader can act on, and how many were left out.

    A critical advice is always whole, and does not use up the places of the others.
    """
    shown: list[Advice] = []
    places, left_out = most, 0
    for advice in advices:
        if advice.indicator is Indicator.CRITICAL:
            shown.append(advice)
            continue
        kept = advice.recommendations[:places]
        places -= len(kept)
        left_out += len(advice.recommendations) - len(kept)
        if kept or not advice.recommendations:
            shown.append(replace(advice, recommendations=kept))
    return tuple(shown), left_out


def urgency(step: Recommendation) -> tuple[int, date]:
    """The order of steps: priority, then the day by which."""
    return _PRIORITIES.index(step.priority), step.by or _FAR


def _urgency(advice: Advice) -> tuple[int, tuple[int, date], str]:
    soonest = min(map(urgency, advice.recommendations), default=(len(_PRIORITIES), _FAR))
    return _INDICATORS.index(advice.indicator), soonest, advice.pathway


def _raised(advice: Advice, all_: Sequence[Advice]) -> Advice:
    """Change since the prior raises every other step that rests on the same finding."""
    why = [other for other in all_ if other is not advice and any(_rests(advice, name) for name in other.raises)]
    if not why or advice.raises:
        return advice
    told = say(advice.language, "Raised because of change since the prior: {summary}", summary=why[0].summary)
    steps = tuple(
        replace(one, priority=_higher(one.priority), because=(*one.because, told)) for one in advice.recommendations
    )
    indicator = Indicator.WARNING if advice.indicator is Indicator.INFO else advice.indicator
    return replace(advice, recommendations=steps, indicator=indicator)


def _rests(advice: Advice, name: str) -> bool:
    """Whether an advice rests on a finding that is named "<model>.<key>".

    Its keys alone tell where no other model has them. Decisions of before name findings by the key alone.
    """
    if name in advice.finding_keys:
        return True
    return name in advice.rests_on or (
        not advice.rests_on and any(name.endswith(f".{key}") for key in advice.finding_keys)
    )


def _higher(priority: Priority) -> Priority:
    return Priority.URGENT if priority is Priority.ROUTINE else priority


def once(advices: Sequence[Advice]) -> list[Advice]:
    """Each step once, where it is asked for most urgently; it names who else asks for it."""
    asked: dict[tuple[str, str], list[tuple[Advice, Recommendation]]] = {}
    for advice in advices:
        for step in advice.recommendations:
            asked.setdefault(_code(step), []).append((advice, step))
    kept = {key: _united(found) for key, found in asked.items()}
    return [_left(advice, kept) for advice in advices]


def _code(step: Recommendation) -> tuple[str, str]:
    return step.code.system, step.code.code


def _united(found: Sequence[tuple[Advice, Recommendation]]) -> tuple[str, str, Recommendation]:
    advice, step = min(found, key=lambda one: urgency(one[1]))
    others = tuple(dict.fromkeys(other.title for other, _ in found if other is not advice))
    by = min((one.by for _, one in found if one.by is not None), default=None)
    early = step.not_before is not None and by is not None and by < step.not_before
    united = replace(
        step,
        also=tuple(dict.fromkeys((*step.also, *others))),
        by=by,
        not_before=None if early else step.not_before,
        acr_category=min((one.acr_category for _, one in found if one.acr_category), default=None),
    )
    return advice.pathway, step.key, united


def _left(advice: Advice, kept: dict[tuple[str, str], tuple[str, str, Recommendation]]) -> Advice:
    steps: list[Recommendation] = []
    notes = list(advice.notes)
    for step in advice.recommendations:
        pathway, key, united = kept[_code(step)]
        if (pathway, key) == (advice.pathway, step.key):
            steps.append(replace(united, recommended=step.recommended))
        else:
            notes.append(say(advice.language, "{action}: asked for above.", action=step.action))
    if tuple(steps) == advice.recommendations:
        return advice
    return replace(advice, recommendations=tuple(_one_first(steps)), notes=tuple(notes))


def _one_first(steps: Sequence[Recommendation]) -> Iterator[Recommendation]:
    """Where the step that was meant first went elsewhere, the next one is."""
    meant = any(step.recommended for step in steps)
    for index, step in enumerate(steps):
        yield step if meant or index else replace(step, recommended=True)


def _contradicted(advice: Advice, all_: Sequence[Advice]) -> Advice:
    """What others suggest that cannot be right together with it: a person has to see both."""
    told = [
        say(
            advice.language,
            "{own} and {other} ({title}) contradict each other: a person decides.",
            own=step.action,
            other=other.action,
            title=against.title,
        )
        for step in advice.recommendations
        for against in all_
        for other in against.recommendations
        if _contradict(step.code, other.code)
    ]
    return replace(advice, contradictions=tuple(dict.fromkeys(told))) if told else advice


def _contradict(one: Coding, other: Coding) -> bool:
    return any((one in a and other in b) or (one in b and other in a) for a, b in _AGAINST)
