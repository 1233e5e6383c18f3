"""The rows of calls, as the driver takes them: for many calls at once, with one statement for each table.

Who is shown a card waits until these are committed, so nothing here goes through the ORM, and most calls are two rows:
the call, and that its reader saw it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Final

import sqlalchemy as sa

from cds.domain.card_names import beginning, card_names
from cds.domain.hook import HookCall, ShownCard
from cds.store import card_contents
from cds.store.card_contents import Offered, Written
from cds.store.driver_values import insertion, key_text, text, times

Row = tuple[object, ...]
#: What the cards of a call have in common, the cards, and what they say with all that the call says else.
_Part = tuple[str, Iterable[ShownCard], Written]

_CALL = (
    *("id", "at", "service", "hook", "instance", "client", "user_id", "roles", "whose", "names", "content"),
)  # fmt: skip
_SEEN_KEY = ("client", "user_id", "whose", "shown")
_SEEN = (*_SEEN_KEY, "at", "advices")
_SAID_BEFORE: Final = "ON CONFLICT DO NOTHING"
_AGAIN: Final = f"ON CONFLICT ({', '.join(_SEEN_KEY)}) DO UPDATE SET at = excluded.at"
_TABLES: Final = {
    "hook_content": (("id", "body"), _SAID_BEFORE),
    "hook_about": (("about", "content"), _SAID_BEFORE),
    "hook_call": (_CALL, _SAID_BEFORE),
    "hook_seen": (_SEEN, _AGAIN),
}
#: Rows of one statement: there are few statements, and the driver keeps them prepared.
_AT_ONCE: Final = 16
#: Roles of one person that are kept: a client may send any number.
_MOST_ROLES = 20
#: Contents that are known to be written; then all are written again, which does nothing.
_MOST_KNOWN = 50_000


@dataclass(slots=True)
class CallRows:
    """What one call writes, or several."""

    calls: list[Row] = field(default_factory=list)
    #: By their ids.
    contents: dict[str, Written] = field(default_factory=dict)
    #: Client, user, patient and the digest of what they saw → when, and what.
    seen: dict[Row, Row] = field(default_factory=dict)

    def tables(self) -> Iterator[tuple[str, Sequence[Row]]]:
        """The rows of each table: in an order that is always the same, as two processes lock rows in the same order."""
        contents = sorted(self.contents.values(), key=lambda one: one.id)
        yield "hook_content", [(one.id, one.body) for one in contents]
        yield "hook_about", sorted((about, one.id) for one in contents for about in one.about)
        yield "hook_call", self.calls
        yield "hook_seen", [(*key, *self.seen[key]) for key in sorted(self.seen)]

    def add(self, other: CallRows) -> None:
        """Put another's rows to these."""
        self.calls += other.calls
        self.contents |= other.contents
        self.seen |= other.seen


class CardRows:
    """Makes the rows of calls and writes them; see `cds.store.grouped.Kind`."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._written, _ = times(dialect)
        self._dialect = dialect
        self._known: set[str] = set()
        self._new: dict[str, Written] = {}

    def write(self, cursor: Any, items: Sequence[CallRows]) -> Sequence[None]:
        """All rows of these, but for contents that are there already."""
        rows = CallRows()
        for item in items:
            rows.add(item)
        self._new = rows.contents = {key: one for key, one in rows.contents.items() if key not in self._known}
        for table, told in rows.tables():
            for at in range(0, len(told), _AT_ONCE):
                some = told[at : at + _AT_ONCE]
                cursor.execute(_insertion(self._dialect, table, len(some)), [value for row in some for value in row])
        return [None] * len(items)

    def committed(self) -> None:
        """What was written last is there for everybody: it is not written again."""
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known.update(self._new)

    def of(self, call: HookCall) -> CallRows:
        """The rows of a call."""
        at, reader = self._written(call.at), call.reader
        client, user, whose = key_text(reader.client), key_text(reader.user), key_text(call.whose)
        who = (call.service, call.hook, text(call.instance), client, user, packed_roles(reader.roles), whose)
        rows = CallRows()
        for begins, cards, content in _parts(call):
            rows.calls.append((begins, at, *who, card_contents.names(begins, cards), content.id))
            rows.contents[content.id] = content
            if user and content.advices:
                rows.seen[client, user, whose, content.advices_id] = (at, content.advices)
        return rows


def _parts(call: HookCall) -> Iterator[_Part]:
    """A call by what its cards' names begin with, which is the same for all; what it says else is in the first."""
    groups: dict[str, list[ShownCard]] = {}
    for card in call.shown:
        groups.setdefault(beginning(card.uuid), []).append(card)
    if not groups and (call.suppressed or call.studies):
        groups[beginning(next(card_names()))] = []
    held, notes = call.suppressed, call.studies
    for begins, cards in groups.items():
        shown = tuple([(one.about, tuple(one.suggestions.values()), Offered(one.steps)) for one in cards])
        yield begins, cards, card_contents.written(shown, held, notes)
        held, notes = (), ()


@cache
def _insertion(dialect: sa.Dialect, table: str, rows: int) -> str:
    columns, then = _TABLES[table]
    return insertion(table, columns, dialect, then=then, rows=rows)


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
