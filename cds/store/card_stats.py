"""Cards counted by what came of them. A card counts once, by its newest answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from cds.domain.hook import Outcome
from cds.domain.hook_stats import NO_REASON, CardCount
from cds.domain.recommendation import Indicator
from cds.store.card_rows import unpacked
from cds.store.engine import Database
from cds.store.hook_tables import HookAnswerRow, HookCardRow, HookSuppressedRow
from cds.store.tables import AppBase

_CARD, _ANSWER, _HELD = (
    AppBase.metadata.tables[str(row.__tablename__)] for row in (HookCardRow, HookAnswerRow, HookSuppressedRow)
)
#: Service, pathway, models, site.
_Group = tuple[str, str, str, str]


@dataclass(slots=True)
class _Counts:
    shown: int = 0
    critical: int = 0
    accepted: int = 0
    overridden: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    suppressed: dict[str, int] = field(default_factory=dict)

    def told(self, group: _Group) -> CardCount:
        service, pathway, models, site = group
        answered = self.accepted + sum(self.overridden.values())
        return CardCount(
            service,
            pathway,
            unpacked(models),
            site,
            shown=self.shown,
            critical=self.critical,
            accepted=self.accepted,
            overridden=dict(self.overridden),
            unanswered=self.shown - answered,
            suppressed=self.suppressed,
        )


def stats(database: Database, since: datetime) -> Sequence[CardCount]:
    """The cards that were shown or held back since then, by service, pathway, models and site."""
    counts: defaultdict[_Group, _Counts] = defaultdict(_Counts)
    with database.reading() as session:
        connection = session.connection()
        for *group, shown, critical in connection.execute(_shown(since)):
            found = counts[_group(group)]
            found.shown, found.critical = shown, int(critical)
        for *group, outcome, reason, count in connection.execute(_answers(since)):
            _add(counts[_group(group)], Outcome(outcome), reason, count)
        for *group, why, count in connection.execute(_held(since)):
            counts[_group(group)].suppressed[why] = count
    return [counts[group].told(group) for group in sorted(counts)]


def _group(columns: Iterable[Any]) -> _Group:
    service, pathway, models, site = columns
    return service, pathway, models, site


def _add(counts: _Counts, outcome: Outcome, reason: str, count: int) -> None:
    if outcome is Outcome.ACCEPTED:
        counts.accepted += count
    else:
        counts.overridden[reason or NO_REASON] += count


def _by(table: sa.Table) -> list[sa.Column[Any]]:
    return [table.c[name] for name in ("service", "pathway", "models", "site")]


def _shown(since: datetime) -> sa.Select[Any]:
    critical = sa.func.sum(sa.case((_CARD.c.indicator == Indicator.CRITICAL.value, 1), else_=0))
    return sa.select(*_by(_CARD), sa.func.count(), critical).where(_CARD.c.at >= since).group_by(*_by(_CARD))


def _answers(since: datetime) -> sa.Select[Any]:
    """The newest answer to each card."""
    answer, later = _ANSWER.c, _ANSWER.alias("later").c
    newer = sa.or_(later.at > answer.at, sa.and_(later.at == answer.at, later.id > answer.id))
    what = (*_by(_CARD), answer.outcome, answer.reason_code)
    return (
        sa.select(*what, sa.func.count())
        .join_from(_CARD, _ANSWER, answer.card == _CARD.c.uuid)
        .where(_CARD.c.at >= since, ~sa.exists().where(later.card == answer.card, newer))
        .group_by(*what)
    )


def _held(since: datetime) -> sa.Select[Any]:
    what = (*_by(_HELD), _HELD.c.why)
    return sa.select(*what, sa.func.count()).where(_HELD.c.at >= since).group_by(*what)
