"""The rows of calls, as the driver takes them: for many calls at once, with one statement for each table.

Who is shown a card waits until these are committed, so nothing here goes through the ORM.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa

from cds.domain.audit import CARD_SHOWN
from cds.domain.hook import HookCall, ShownCard, StudyNote, Suppressed
from cds.domain.recommendation import Indicator
from cds.store.driver_values import insertion, key_text, text, times

Row = tuple[object, ...]

_CARD = (
    *("uuid", "service", "hook", "instance", "at", "client", "user_id", "roles", "whose", "study_uid", "episode"),
    *("pathway", "key", "digest", "indicator", "site", "models", "suggestions"),
)
_SEEN_KEY = ("client", "user_id", "whose", "key", "digest")
_SEEN = (*_SEEN_KEY, "at", "is_critical")
_HELD = ("at", "service", "pathway", "key", "why", "client", "user_id", "whose", "study_uid", "site", "models")
_LINE = ("at", "step", "outcome", "study_uid", "detail")
_AUDIT = ("at", "actor", "action", "study_uid", "patient_id", "detail")
_AGAIN: Final = (
    f"ON CONFLICT ({', '.join(_SEEN_KEY)}) DO UPDATE SET at = excluded.at, is_critical = excluded.is_critical"
)
#: The tables in the order in which they are written, always the same: two processes lock rows in the same order.
_TABLES: Final = {
    "hook_card": (_CARD, ""),
    "hook_seen": (_SEEN, _AGAIN),
    "hook_suppressed": (_HELD, ""),
    "timeline": (_LINE, ""),
    "audit": (_AUDIT, ""),
}
#: Roles of one person that are kept: a client may send any number.
_MOST_ROLES = 20


class CardRows:
    """Writes calls; see `cds.store.grouped.Kind`."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._written, _ = times(dialect)
        self._statements = {
            table: insertion(table, columns, dialect, then=then) for table, (columns, then) in _TABLES.items()
        }

    def write(self, cursor: Any, calls: Sequence[HookCall]) -> Sequence[None]:
        """All rows of these calls."""
        rows: defaultdict[str, list[Row]] = defaultdict(list)
        for call in calls:
            _Call(call, self._written(call.at)).add(rows)
        rows["hook_seen"].sort(key=lambda row: row[: len(_SEEN_KEY)])
        for name, statement in self._statements.items():
            if rows[name]:
                cursor.executemany(statement, rows[name])
        return [None] * len(calls)


class _Call:
    """One call with what all its rows have in common."""

    __slots__ = ("_at", "_call", "_client", "_roles", "_user", "_whose")

    def __init__(self, call: HookCall, at: object) -> None:
        self._call, self._at = call, at
        self._client, self._user = key_text(call.reader.client), key_text(call.reader.user)
        self._roles = packed_roles(call.reader.roles)
        self._whose = key_text(call.whose)

    def add(self, rows: defaultdict[str, list[Row]]) -> None:
        """Put the rows of this call to those of the others."""
        call = self._call
        rows["hook_card"] += map(self._card, call.shown)
        if self._user:
            rows["hook_seen"] += (self._seen(card) for card in call.shown if card.about.pathway)
        rows["hook_suppressed"] += map(self._held, call.suppressed)
        for note in call.studies:
            held = [one for one in call.suppressed if one.about.study_instance_uid == note.study_instance_uid]
            shown = max(note.cards - len(held), 0)
            outcome = f"{shown} shown by {call.service}"
            rows["timeline"].append(self._line(note, outcome, held))
            rows["audit"] += self._audited(note, outcome) if shown else ()

    def _card(self, card: ShownCard) -> Row:
        call, about = self._call, card.about
        return (
            *(card.uuid, call.service, call.hook, text(call.instance), self._at, self._client, self._user, self._roles),
            *(self._whose, about.study_instance_uid, about.episode, about.pathway, key_text(about.key), about.digest),
            *(about.indicator.value, about.site, packed(about.models), json.dumps(dict(card.suggestions))),
        )

    def _seen(self, card: ShownCard) -> Row:
        about = card.about
        is_critical = about.indicator is Indicator.CRITICAL
        return (self._client, self._user, self._whose, key_text(about.key), about.digest, self._at, is_critical)

    def _held(self, one: Suppressed) -> Row:
        about = one.about
        return (
            *(
                self._at,
                self._call.service,
                about.pathway,
                key_text(about.key),
                one.why.value,
                self._client,
                self._user,
            ),
            *(self._whose, about.study_instance_uid, about.site, packed(about.models)),
        )

    def _line(self, note: StudyNote, outcome: str, held: Iterable[Suppressed]) -> Row:
        told = (*note.quiet, *(f"{one.about.pathway}: held back ({one.why.value})" for one in held))
        return (self._at, "card", outcome, note.study_instance_uid, packed(told))

    def _audited(self, note: StudyNote, outcome: str) -> Iterator[Row]:
        """Who saw it; the EHR where it does not say who its user is."""
        who = self._user or self._client
        if who:
            yield (self._at, who, CARD_SHOWN, note.study_instance_uid, note.patient_id, packed((outcome,)))


@lru_cache(maxsize=1024)
def packed(texts: tuple[str, ...]) -> str:
    """Texts as JSON; the same few come again and again."""
    return json.dumps(texts, ensure_ascii=False)


@lru_cache(maxsize=1024)
def packed_roles(roles: tuple[str, ...]) -> str:
    """Roles as JSON, no more than a person has."""
    return packed(tuple(map(key_text, roles[:_MOST_ROLES])))


def unpacked(packed_texts: str) -> tuple[str, ...]:
    """What `packed` packed."""
    return tuple(json.loads(packed_texts))
