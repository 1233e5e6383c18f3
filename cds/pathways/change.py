"""Change since the prior study: growth and new lesions raise every step that rests on the same finding.

A change counts where it is more than the measurement's own error and reaches a published threshold. What is not known
to be more than the error is told as such and raises nothing; from twice a threshold on a radiologist compares now.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from cds import action_codes as actions
from cds import finding_codes, procedure_codes
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import Measurement
from cds.domain.finding import Change, Finding, Findings, Presence
from cds.domain.recommendation import Advice, Case, Indicator, PathwayOutcome, Recommendation
from cds.pathways import Rule, pathway
from cds.pathways._aortic import in_palliative_care, palliative_said
from cds.pathways._change import (
    LUNG_RADS,
    NEW_NODULE,
    THRESHOLDS,
    WORSE,
    Threshold,
    is_new,
    millimetres,
    nodule_grew,
)
from cds.pathways._facts import Missing, Seen, where
from cds.pathways._guards import PALLIATIVE, amount, asked_already
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because

ID = "change"
TITLE = "Change since the earlier study"

TOLD = Rule(
    "told", "A change for the worse beyond the error that has no published threshold is told and raises nothing."
)
ERROR_UNKNOWN = Rule(
    "error-unknown",
    "Growth that reaches a threshold but is not known to be beyond the error is told as such and raises nothing.",
)
COMPARE = Rule(
    "compare",
    "Growth of twice a threshold, in all or by the year, with an unknown error is compared by a radiologist now.",
)
IN_PALLIATIVE_CARE = Rule("palliative", "In palliative care a growing haemorrhage is told, and no other change.")
WITHIN_ERROR = Rule("within-error", "A change within the error of the measurement makes no card.")
ASKED = Rule(
    "asked", "What was asked for already is not asked for again, but what rests on the growth is still raised."
)

_CUBIC = {"mm3": "mm³", "cm3": "mL"}
_NO_CODE = Coding("", "")
_BY_CODE: dict[str, tuple[Threshold, ...]] = {
    code.code: tuple(one for one in THRESHOLDS if code in one.codes) for each in THRESHOLDS for code in each.codes
}
_EARLIER = Threshold(NEW_NODULE, (finding_codes.LUNG_NODULE,), nodule_grew, THRESHOLDS[-1].action, LUNG_RADS)
_ACTIONS = (*dict.fromkeys(one.action for one in THRESHOLDS), actions.COMPARE_STUDIES)
_READ = tuple(dict.fromkeys(code for one in THRESHOLDS for code in one.codes))
_TOLD_ONLY = tuple(
    one for one in vars(finding_codes).values() if getattr(one, "code", None) in WORSE and one not in _READ
)


@dataclass(frozen=True, slots=True)
class _Grown:
    """A finding that reached a threshold, or is new (`change` is None)."""

    seen: Seen
    threshold: Threshold
    change: Change | None

    @property
    def counts(self) -> bool:
        """Whether it raises: it is new, or its change is more than the measurement's error."""
        return self.change is None or self.change.beyond_error is True

    @property
    def doubtful(self) -> bool:
        """Whether it is twice the threshold or more, and nobody can tell whether that is beyond the error."""
        since = self.change
        return since is not None and not self.counts and self.threshold.reached(self.seen.finding, since, 2.0)

    @property
    def speaks(self) -> bool:
        """Whether something is to be done about it."""
        return self.counts or self.doubtful


@pathway(
    id=ID,
    title=TITLE,
    source=LUNG_RADS,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=(*_READ, *_TOLD_ONLY),
    asks=(*(procedure_codes.ORDERED[action.code] for action in _ACTIONS), PALLIATIVE),
    rules=(
        *(one.rule for one in THRESHOLDS),
        NEW_NODULE,
        TOLD,
        ERROR_UNKNOWN,
        COMPARE,
        WITHIN_ERROR,
        ASKED,
        IN_PALLIATIVE_CARE,
    ),
    further=tuple(dict.fromkeys(one.source for one in THRESHOLDS)),
    limits=("Two studies that were made differently differ without any change in the patient.",),
    urgent=True,
)
def change(case: Case) -> PathwayOutcome:
    """Advise on what changed since the earlier study."""
    found = Reasoning(ID, TITLE, LUNG_RADS, case)
    changed = tuple(_changed(case))
    if not changed:
        return found.nothing("no finding of this study could be compared with an earlier one")
    palliative = found.apply(IN_PALLIATIVE_CARE, in_palliative_care(found))
    every = (one for seen in changed for one in _grown(found, seen))
    grown = tuple(_ordered(one for one in every if one.threshold.urgent or not palliative))
    told = () if palliative else tuple(seen for seen in changed if _worse(found, seen))
    if not grown and not told:
        if palliative:
            return found.nothing("palliative or hospice care is on record")
        return found.nothing("no change since the earlier study reaches a threshold beyond the measurement's error")
    for one in grown:
        _use(found, one.seen.finding, one.seen)
        _step(found, one)
    return _advised(found, grown, told)


def _changed(case: Case) -> Iterator[Seen]:
    """Every finding that was compared, and every nodule of an answer of which something was."""
    for outcome in case.outcomes:
        if isinstance(outcome, Findings):
            for finding in outcome.findings:
                if finding.presence in (Presence.PRESENT, Presence.MEASURED) and _is_read(finding, outcome):
                    yield Seen(finding, outcome)


def _is_read(finding: Finding, by: Findings) -> bool:
    if finding.change is not None:
        return finding.code.code in _BY_CODE or finding.code.code in WORSE
    return finding.code.same(finding_codes.LUNG_NODULE) and bool(is_new(Seen(finding, by)))


def _grown(found: Reasoning, seen: Seen) -> Iterator[_Grown]:
    finding, since = seen.finding, seen.finding.change
    if since is None:
        size = millimetres(finding.value) if finding.value else None
        if found.apply(NEW_NODULE, None if size is None else size >= 4.0):
            yield _Grown(seen, _EARLIER, None)
        return
    for threshold in _BY_CODE.get(finding.code.code, ()):
        reached = threshold.reached(finding, since, 1.0)
        if reached and since.beyond_error is False:
            found.apply(WITHIN_ERROR, True)
            continue
        found.apply(threshold.rule, (True if since.beyond_error else None) if reached else False)
        if reached:
            yield _Grown(seen, threshold, since)


def _ordered(grown: Iterator[_Grown]) -> list[_Grown]:
    """The most urgent first, the same whatever the order of the answers."""
    ranks = {one.rule.key: index for index, one in enumerate(THRESHOLDS)}
    return sorted(
        grown,
        key=lambda one: (not one.counts, not one.doubtful, ranks.get(one.threshold.rule.key, 9), _name(one.seen)),
    )


def _name(seen: Seen) -> tuple[str, str, str, str]:
    finding = seen.finding
    return seen.by.model, finding.key, finding.laterality, finding.tracking_id


def _worse(found: Reasoning, seen: Seen) -> bool:
    """A change for the worse that has no threshold: told where it is beyond the error."""
    since, direction = seen.finding.change, WORSE.get(seen.finding.code.code)
    if since is None or direction is None or since.absolute * direction <= 0:
        return False
    rule = WITHIN_ERROR if since.beyond_error is False else TOLD
    held = found.apply(rule, since.beyond_error is not None or None)
    return rule is TOLD and bool(held)


# --- what it says ----------------------------------------------------------------------------------------------------


def _use(found: Reasoning, finding: Finding, seen: Seen) -> None:
    if finding.value is not None:
        found.measured(found.say(finding.code.display), _shown(finding.value), where(found.case, seen))
    since = finding.change
    if since is not None:
        source = found.say("earlier study, {model}", model=seen.by.model)
        found.measured(found.say(finding.code.display), _shown(since.prior), source, since.prior_date)


def _step(found: Reasoning, grown: _Grown) -> None:
    threshold = grown.threshold
    if not grown.counts:
        found.apply(ERROR_UNKNOWN, True)
        if found.apply(COMPARE, grown.doubtful):
            _compare(found, grown)
        found.missing.append(
            Missing(
                found.say("error of the measurement of {what}", what=found.say(grown.seen.finding.code.display)),
                (grown.change.note if grown.change else "") or found.say("no figure is stated for it"),
                found.say("compare both studies side by side"),
            )
        )
        return
    if any(one.code == threshold.action for one in found.recommendations):
        return
    if found.apply(ASKED, asked_already(found, threshold.action, urgent=True)):
        return
    found.recommend(
        Recommendation(
            key=f"{threshold.rule.key}-step",
            action=_action(found, threshold),
            code=threshold.action,
            reason=_said(found, grown.seen),
            source=threshold.source,
            priority=threshold.priority,
            by=found.case.today if threshold.urgent else None,
            because=_because(found, grown),
            would_change=(found.say("A measurement of both studies by a radiologist that finds no growth."),),
            acr_category=threshold.acr_category,
        )
    )


def _compare(found: Reasoning, grown: _Grown) -> None:
    """Who sees both studies tells at once whether it is growth or the error of the measurement."""
    if any(one.code == actions.COMPARE_STUDIES for one in found.recommendations):
        return
    if found.apply(ASKED, asked_already(found, actions.COMPARE_STUDIES, urgent=True)):
        return
    threshold = grown.threshold
    found.recommend(
        Recommendation(
            key="compare",
            action=found.say("Radiologist compares both studies now"),
            code=actions.COMPARE_STUDIES,
            reason=found.say(
                "{said} It is at least twice the limit, and the error of the measurement is not known.",
                said=_said(found, grown.seen),
            ),
            source=threshold.source,
            priority=threshold.priority,
            by=found.case.today if threshold.urgent else None,
            because=_because(found, grown),
            would_change=(found.say("A measurement of both studies by a radiologist that finds no growth."),),
            acr_category=threshold.acr_category,
        )
    )


def _because(found: Reasoning, grown: _Grown) -> tuple[str, ...]:
    return (*because(found, found.say(grown.seen.finding.code.display)), *_doubling(found, grown.change))


def _action(found: Reasoning, threshold: Threshold) -> str:
    return {
        "stroke-team-call": found.say("Call the stroke team now: the haemorrhage has grown"),
        "vascular-surgery-referral": found.say("Referral to vascular surgery because of growth"),
        "thoracic-aorta-referral": found.say("Referral to cardiology or cardiac surgery because of growth"),
        "nodule-clinic-referral": found.say("Referral to a lung nodule clinic because of growth"),
        "earlier-follow-up": found.say("Earlier follow-up because of change"),
    }[threshold.action.code]


def _said(found: Reasoning, seen: Seen) -> str:
    finding, since = seen.finding, seen.finding.change
    what, now = found.say(finding.code.display), _shown(finding.value) if finding.value else ""
    if since is None:
        return found.say("{what}: {now}, not there in the compared earlier study.", what=what, now=now)
    text = "{what}: {now} now, {then} on {day} ({by}, {days} days)."
    return found.say(
        text if since.days != 1 else "{what}: {now} now, {then} on {day} ({by}, 1 day).",
        what=what,
        now=now,
        then=_shown(since.prior),
        day=since.prior_date,
        by=f"{'+' if since.absolute > 0 else ''}{_shown(Quantity(since.absolute, since.prior.unit))}",
        days=since.days,
    )


def _doubling(found: Reasoning, since: Change | None) -> tuple[str, ...]:
    if since is None or since.doubling_days is None:
        return ()
    return (found.say("It doubles its volume in {days} days.", days=math.floor(since.doubling_days)),)


def _error(found: Reasoning, grown: _Grown) -> str:
    if grown.change is None:
        return found.say("It could be new, or not matched with its earlier image.")
    if grown.counts and not grown.change.error:
        return found.say("It is more than the error of the measurement.")
    if grown.counts:
        return found.say("It is more than the error of the measurement ({error}).", error=grown.change.error)
    return found.say("It is not known to be beyond the error of the measurement.")


def _advised(found: Reasoning, grown: tuple[_Grown, ...], told: tuple[Seen, ...]) -> Advice:
    sure = tuple(one for one in grown if one.counts)
    names = [one.seen.finding.code for one in (sure or grown)] or [seen.finding.code for seen in told]
    what = ", ".join(dict.fromkeys(found.say(code.display) for code in names))
    first = found.say("Change since the earlier study (AI): {what}", what=what)
    every = (*(one.seen for one in grown), *sorted(told, key=_name))
    seen = (f"{_said(found, one.seen)} {_error(found, one)}" for one in grown)
    return found.advice(
        first if len(first) < 140 else f"{first[:138]}…",
        grown[0].threshold.indicator if grown and grown[0].speaks else Indicator.INFO,
        tuple(dict.fromkeys(one.finding.key for one in every)),
        seen=(*dict.fromkeys(seen), *(_said(found, one) for one in sorted(told, key=_name))),
        meaning=palliative_said(found),
        limits=tuple(dict.fromkeys(limit for one in every for limit in one.by.limits)),
        further=tuple(dict.fromkeys(one.threshold.source for one in grown)),
        raises=tuple(dict.fromkeys(f"{one.seen.by.model}.{one.seen.finding.key}" for one in sure)),
    )


def _shown(quantity: Quantity) -> str:
    """A value as people write it."""
    unit = _CUBIC.get(quantity.unit, quantity.unit)
    return amount(Measurement(_NO_CODE, Quantity(quantity.value, unit)))
