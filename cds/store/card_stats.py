"""Cards counted by what came of them. A card counts once, by its newest answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from cds.domain.hook import Outcome
from cds.domain.hook_stats import NO_REASON, CardCount
from cds.domain.recommendation import Indicator
from cds.store import card_contents
from cds.store.card_contents import KeptBack, KeptCard
from cds.store.card_rows import unpacked
from cds.store.engine import Database
from cds.store.hook_tables import HookAnswerRow, HookCallRow, HookContentRow
from cds.store.tables import AppBase

_CALL, _CONTENT, _ANSWER = (
    AppBase.metadata.tables[str(row.__tablename__)] for row in (HookCallRow, HookContentRow, HookAnswerRow)
)
#: Service, pathway, models, site.
_Group = tuple[str, str, tuple[str, ...], str]


@dataclass(slots=True)
class _Counts:
    shown: int = 0
    critical: int = 0
    accepted: int = 0
    overridden: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    suppressed: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def told(self, group: _Group) -> CardCount:
        service, pathway, models, site = group
        answered = self.accepted + sum(self.overridden.values())
        return CardCount(
            service,
            pathway,
            models,
            site,
            shown=self.shown,
            critical=self.critical,
            accepted=self.accepted,
            overridden=dict(self.overridden),
            unanswered=self.shown - answered,
            suppressed=dict(self.suppressed),
        )


def stats(database: Database, since: datetime) -> Sequence[CardCount]:
    """The cards that were shown or held back since then, by service, pathway, models and site."""
    counts: defaultdict[_Group, _Counts] = defaultdict(_Counts)
    with database.reading() as session:
        connection = session.connection()
        for service, body, times in connection.execute(_calls(since)):
            content = card_contents.read(body)
            for card in content.cards:
                _show(counts[_group(service, card)], card, times)
            for held in content.held:
                counts[_group(service, held)].suppressed[held.why] += times
        for service, pathway, models, site, outcome, reason, count in connection.execute(_answers(since)):
            _add(counts[service, pathway, unpacked(models), site], Outcome(outcome), reason, count)
    return [counts[group].told(group) for group in sorted(counts)]


def _group(service: str, about: KeptCard | KeptBack) -> _Group:
    return service, about.pathway, about.models, about.site


def _show(counts: _Counts, card: KeptCard, times: int) -> None:
    counts.shown += times
    counts.critical += times if card.indicator == Indicator.CRITICAL else 0


def _add(counts: _Counts, outcome: Outcome, reason: str, count: int) -> None:
    if outcome is Outcome.ACCEPTED:
        counts.accepted += count
    else:
        counts.overridden[reason or NO_REASON] += count


def _calls(since: datetime) -> sa.Select[Any]:
    """What was said since then by each service, and how often."""
    often = (
        sa.select(_CALL.c.service, _CALL.c.content, sa.func.count().label("times"))
        .where(_CALL.c.at >= since)
        .group_by(_CALL.c.service, _CALL.c.content)
        .subquery()
    )
    return sa.select(often.c.service, _CONTENT.c.body, often.c.times).join_from(
        often, _CONTENT, _CONTENT.c.id == often.c.content
    )


def _answers(since: datetime) -> sa.Select[Any]:
    """The newest answer to each card that was shown since then."""
    answer, later = _ANSWER.c, _ANSWER.alias("later").c
    newer = sa.or_(later.at > answer.at, sa.and_(later.at == answer.at, later.id > answer.id))
    what = (*(answer[name] for name in ("service", "pathway", "models", "site")), answer.outcome, answer.reason_code)
    return (
        sa.select(*what, sa.func.count())
        .where(answer.shown_at >= since, ~sa.exists().where(later.card == answer.card, newer))
        .group_by(*what)
    )
