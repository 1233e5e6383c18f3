"""The same finding then and now: change, change per year, and whether it is more than the measurement's own error.

Pure functions over stored values. What cannot be compared stays without a change and says why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date

from cds.domain.coding import Quantity
from cds.domain.finding import Change, Finding, Findings, Presence, kind_of

#: A rate per year from a shorter interval would be noise times a large number.
_SHORTEST_RATE_DAYS = 30
_DAYS_PER_YEAR = 365.25
#: A volume that grew by a quarter has grown, as for lung nodules in doi:10.1056/NEJMoa0906085.
_GROWN = 1.25
#: A tracking identifier that means the same lesion in every study; a number within one study says nothing of another.
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_VOLUMES = frozenset({"mL", "mm3", "cm3"})
#: Passed gates whose values, where they differ, make two measurements of other acquisitions.
_ACQUISITION = frozenset({"kernel", "slice thickness", "tube voltage", "contrast", "weighting"})


@dataclass(frozen=True, slots=True)
class Repeatability:
    """By how much a measurement differs when nothing changed: the larger of both bounds, and who says so.

    `absolute` in the finding's unit, `percent` of the larger of the two values.
    """

    source: str
    absolute: float = 0.0
    percent: float = 0.0

    def bound(self, one: float, other: float) -> float:
        """The difference that may be error alone, in the finding's unit."""
        return max(self.absolute, self.percent / 100.0 * max(abs(one), abs(other)))


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the same model said of an earlier study: its UID, its day and its findings."""

    study_instance_uid: str
    study_date: date
    findings: Findings


@dataclass(frozen=True, slots=True)
class Values:
    """The same measurement then and now, and the days between."""

    then: Quantity
    now: Quantity
    days: int


@dataclass(frozen=True, slots=True)
class Compared:
    """The change of one finding, by what names it within its study."""

    model: str
    version: str
    key: str
    laterality: str
    tracking_id: str
    change: Change

    def is_of(self, model: str, finding: Finding) -> bool:
        """True where it is the change of this finding."""
        names = (model, finding.key, finding.laterality, finding.tracking_id)
        return names == (self.model, self.key, self.laterality, self.tracking_id)


def compare(
    now: Findings, today: date, earlier: Earlier, error: Callable[[str], Repeatability | None]
) -> tuple[Compared, ...]:
    """The change of every finding with a value that the earlier study has too.

    Matched by code, body site and laterality, and by tracking id: a lesion among several of its kind is compared only
    where the id is the same in both, one that is alone in both studies is the same one. `error` answers the
    repeatability of a finding by its key.
    """
    found: list[Compared] = []
    for finding in now.findings:
        then = _same(finding, now.findings, earlier.findings.findings)
        if then is None or then.value is None or finding.value is None or then.value.unit != finding.value.unit:
            continue
        values = Values(then.value, finding.value, (today - earlier.study_date).days)
        change = _change(finding, then, values, earlier, error(finding.key))
        found.append(Compared(now.model, now.version, finding.key, finding.laterality, finding.tracking_id, change))
    return tuple(found)


def with_changes(findings: Findings, changes: Iterable[Compared]) -> Findings:
    """The findings with what was found to have changed."""
    known = tuple(change for change in changes if change.version == findings.version)

    def one(finding: Finding) -> Finding:
        mine = next((c.change for c in known if c.is_of(findings.model, finding)), None)
        return replace(finding, change=mine) if mine else finding

    return replace(findings, findings=tuple(one(finding) for finding in findings.findings))


def doubling_days(then: float, now: float, days: int) -> float | None:
    """The volume doubling time by exponential growth, days; None where it did not grow by a quarter.

    Schwartz 1961, doi:10.1002/1097-0142(196111/12)14:6<1272::AID-CNCR2820140618>3.0.CO;2-H.
    """
    if then <= 0 or days <= 0 or now < _GROWN * then:
        return None
    return days * math.log(2.0) / math.log(now / then)


def _same(finding: Finding, here: tuple[Finding, ...], there: tuple[Finding, ...]) -> Finding | None:
    """The finding of the earlier study that is this one; None where there is none, or where it is not certain which."""
    if finding.presence is Presence.NOT_EVALUATED:
        return None
    alike = [one for one in there if _alike(one, finding)]
    if finding.tracking_id and not _UID.fullmatch(finding.tracking_id):
        alone = sum(1 for one in here if _alike(one, finding)) == 1
        return alike[0] if alone and len(alike) == 1 else None
    exact = [one for one in alike if one.tracking_id == finding.tracking_id]
    return exact[0] if len(exact) == 1 else None


def _alike(one: Finding, other: Finding) -> bool:
    sites = (one.body_site, other.body_site)
    same_kind = one.code.same(other.code) and kind_of(one.key) == kind_of(other.key)
    same_site = sites == (None, None) or (None not in sites and _same_code(one, other))
    return same_kind and same_site and one.laterality == other.laterality


def _same_code(one: Finding, other: Finding) -> bool:
    return one.body_site is not None and other.body_site is not None and one.body_site.same(other.body_site)


def _change(now: Finding, then: Finding, values: Values, earlier: Earlier, error: Repeatability | None) -> Change:
    before, after, days = values.then.value, values.now.value, values.days
    other = _other_acquisition(then, now)
    beyond = None if error is None or other else abs(after - before) > error.bound(before, after)
    return Change(
        prior_study_instance_uid=earlier.study_instance_uid,
        prior_date=earlier.study_date,
        days=days,
        prior=values.then,
        absolute=after - before,
        percent=100.0 * (after - before) / abs(before) if before else None,
        per_year=(after - before) / days * _DAYS_PER_YEAR if days >= _SHORTEST_RATE_DAYS else None,
        beyond_error=beyond,
        error=error.source if error else "",
        doubling_days=doubling_days(before, after, days) if _is_lesion(now) else None,
        note=other,
    )


def _is_lesion(finding: Finding) -> bool:
    return bool(finding.tracking_id) and finding.value is not None and finding.value.unit in _VOLUMES


def _other_acquisition(then: Finding, now: Finding) -> str:
    """In words, by which acquisition the two differ; "" where they do not, as far as the gates tell."""
    before, after = _gates(then), _gates(now)
    different = [name for name in before if name in after and before[name] != after[name]]
    return "; ".join(f"{name} was {before[name]} and is {after[name]}" for name in different)


def _gates(finding: Finding) -> dict[str, str]:
    pairs = (gate.partition(": ") for gate in finding.gates)
    return {name: value for name, _, value in pairs if name in _ACQUISITION}
