"""The findings of one study that a pathway reads, in an order that does not depend on that of the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from cds import units
from cds.domain.coding import Coding
from cds.domain.ehr import Known
from cds.domain.finding import NO_SERIES, Finding, Findings, NotEvaluated, Presence
from cds.domain.recommendation import Case
from cds.pathways._facts import Seen
from cds.pathways._guards import requested
from cds.pathways._reasoning import Reasoning


def codes(*wanted: Coding) -> Mapping[str, Coding]:
    """Codes by themselves: most findings of a study are none of a pathway's, and are passed over at one look."""
    return MappingProxyType({one.code: one for one in wanted})


def looked(case: Case, wanted: Mapping[str, Coding]) -> tuple[Seen, ...]:
    """Every finding of some codes that was evaluated, whichever model found it."""
    found = [
        Seen(finding, outcome)
        for outcome in case.outcomes
        if isinstance(outcome, Findings)
        for finding in outcome.findings
        if _is_one(finding, wanted) and finding.presence is not Presence.NOT_EVALUATED
    ]
    return tuple(sorted(found, key=_order)) if found else ()


def refusals(case: Case, wanted: Mapping[str, Coding], models: Iterable[str] = ()) -> tuple[str, ...]:
    """Why findings of some codes were not evaluated; of some models also why they could not look at the study at all.

    A study that has nothing for a model is no refusal.
    """
    told: dict[str, None] = {}
    for outcome in case.outcomes:
        if isinstance(outcome, NotEvaluated):
            whole = outcome.model in models and outcome.gate != NO_SERIES
            told |= {f"{outcome.model}: {reason}": None for reason in outcome.reasons if whole}
            continue
        for finding in outcome.findings:
            if finding.presence is Presence.NOT_EVALUATED and _is_one(finding, wanted):
                told[f"{outcome.model}: {finding.reason}"] = None
    return tuple(sorted(told))


def millilitres(seen: Seen) -> float | None:
    """A volume in mL; None where it has none. Without the registry of units where the unit is the usual one."""
    value = seen.finding.value
    if value is None:
        return None
    return value.value if value.unit in ("mL", "cm3") else units.convert(value, "mL").value


def asked_on(found: Reasoning, action: Coding) -> tuple[str, ...]:
    """That somebody asked for what cannot wait: it is told, and keeps nobody from asking again."""
    request = requested(found.case, action)
    if not isinstance(request, Known):
        return ()
    said = "An open request of {day} is on record ({source}): call all the same, who made it may not know of this."
    return (found.say(said, day=request.effective, source=request.source),)


def _is_one(finding: Finding, wanted: Mapping[str, Coding]) -> bool:
    code = wanted.get(finding.code.code)
    return code is not None and finding.code.same(code)


def _order(seen: Seen) -> tuple[str, str, str, str, float, str]:
    finding, change = seen.finding, seen.finding.change
    value = finding.value.value if finding.value else 0.0
    course = f"{change.absolute:+} {change.beyond_error}" if change else ""
    return finding.code.code, finding.key, finding.laterality, f"{seen.by.model} {seen.by.version}", -value, course
