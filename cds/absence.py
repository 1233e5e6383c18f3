"""What was not found: who was asked for it, how far back that reaches, and who could not be (SAFETY section 6).

Rule 9 of `cds.record`. Most of what pathways ask of a record is not there: what the same sources were asked for is
worked out once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Protocol

from cds.domain.ehr import NotFoundSince, Unknown
from cds.domain.message import RecordStatements, Searched, Unasked
from cds.value_sets import ValueSet

#: A feed that is younger has hardly told anything of a patient.
_YOUNG = timedelta(days=30)


class _Covering(Protocol):
    """What speaks for some value sets by name, or for all."""

    @property
    def covers(self) -> tuple[str, ...] | None:
        """Their names; None for all."""
        ...


class Absences:
    """The absences of one record, as of `latest`."""

    def __init__(self, record: RecordStatements, latest: date) -> None:
        self._record, self._latest = record, latest
        self._searched, self._unasked = _by_name(record.searched), _by_name(record.unasked)
        self._found: dict[tuple[int, ...], NotFoundSince | None] = {}

    def of(self, value_set: ValueSet) -> NotFoundSince | Unknown:
        """Absence is claimed for who was asked, and only if nobody who may hold it could not be."""
        asked = self._searched.get(value_set.name, self._searched[None])
        if asked not in self._found:
            self._found[asked] = _reached([self._record.searched[index] for index in asked], self._latest)
        found = self._found[asked]
        away = self._unasked.get(value_set.name, self._unasked[None])
        silent: list[Unasked] = [self._record.unasked[index] for index in away]
        if found is not None and not (silent and any(one.blind for one in silent)):
            return found
        reasons = dict.fromkeys(f"{one.source} {one.reason}" for one in silent)
        if found is not None:
            reasons[found.sentence(value_set.title)] = None
        return Unknown("; ".join(reasons)) if reasons else Unknown(f"no source was asked for {value_set.title}")


def _by_name(sources: Sequence[_Covering]) -> dict[str | None, tuple[int, ...]]:
    """Which of them, by place, speak for each value set that one of them names; under None for all others."""
    everything = tuple(place for place, one in enumerate(sources) if one.covers is None)
    named: dict[str, set[int]] = {}
    for place, one in enumerate(sources):
        for name in one.covers or ():
            named.setdefault(name, set(everything)).add(place)
    return {None: everything, **{name: tuple(sorted(places)) for name, places in named.items()}}


def _reached(searched: Sequence[Searched], latest: date) -> NotFoundSince | None:
    """Who was asked and since when they know anything; one that has been heard for days only says so.

    Sources of one reach share it; where they differ each carries its own date, so that none seems to reach further
    than it does, and `since` is None.
    """
    asked: dict[str, date | None] = {}
    for source in searched:
        asked[source.source] = _longer(asked.get(source.source, source.since), source.since)
    if not asked:
        return None
    reaches = set(asked.values())
    if len(reaches) > 1:
        return NotFoundSince(tuple(f"{n} ({_reach(since, latest)})" for n, since in asked.items()), None)
    since = reaches.pop()
    few = _few_days(since, latest)
    return NotFoundSince(tuple(f"{name} ({few})" if few else name for name in asked), since)


def _longer(one: date | None, other: date | None) -> date | None:
    return None if one is None or other is None else min(one, other)


def _reach(since: date | None, latest: date) -> str:
    if since is None:
        return "whole record"
    return ", ".join(filter(None, (f"since {since.isoformat()}", _few_days(since, latest))))


def _few_days(since: date | None, latest: date) -> str:
    """That a source knows little, where it does; empty where its reach speaks for itself."""
    if since is None or latest - since >= _YOUNG:
        return ""
    days = max((latest - since).days, 0) + 1
    return f"heard for {days} day{'s' if days > 1 else ''} only"
