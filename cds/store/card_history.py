"""What a reader was shown and everybody answered, read at every call: one statement for all of it.

A patient's cards are those of whoever they are merged with (SAFETY section 1).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from cds.domain.coding import Coding
from cds.domain.hook import CardHistory, Outcome, PastAnswer, Reader
from cds.store.card_rows import Row, unpacked
from cds.store.driver_values import key_text, marked, times
from cds.store.engine import Database

Unwritten = Callable[[str, str], Iterable[tuple[str, Row]]]

#: Everybody who is one with a patient: up the chain of merges, and down all of it again.
_TREE: Final = (
    "WITH RECURSIVE up (id, parent) AS (SELECT id, merged_into FROM patient WHERE id = ?"
    " UNION SELECT p.id, p.merged_into FROM patient AS p JOIN up ON p.id = up.parent),"
    " tree (id) AS (SELECT CAST(? AS VARCHAR) UNION SELECT id FROM up),"
    " everybody (id) AS (SELECT id FROM tree"
    " UNION SELECT p.id FROM patient AS p JOIN everybody ON p.merged_into = everybody.id) "
)
#: In words that make PostgreSQL go down an index for each of them, however many it expects.
_THEIRS: Final = {
    "sqlite": "whose IN (SELECT id FROM everybody)",
    "postgresql": "whose = ANY(ARRAY(SELECT id FROM everybody))",
}
_ANSWERS: Final = (
    "SELECT 'answer', key, digest, at, outcome, client, user_id, roles, accepted, reason_system, reason_code,"
    " reason_display FROM hook_answer WHERE {theirs}"
)
_OWN: Final = ", advices, '', at, '', '', '', '', '', '', '', '' FROM hook_seen WHERE client = ? AND user_id = ? AND "
_SEEN: Final = " UNION ALL SELECT 'seen'" + _OWN + "at >= ? AND {theirs}"
_TODAY: Final = " UNION ALL SELECT 'today'" + _OWN + "at >= ?"


def _all_is_written(client: str, user: str) -> Iterator[tuple[str, Row]]:
    return iter(())


class CardHistories:
    """Reads histories from one database.

    `unwritten` says what of a reader, by client and user, is not there yet: patients, and when who was shown what.
    """

    def __init__(self, database: Database, unwritten: Unwritten | None = None) -> None:
        self._database, self._unwritten = database, unwritten or _all_is_written
        dialect = database.reader.dialect
        self._written, self._read = times(dialect)
        theirs = _THEIRS[dialect.name]
        asked = _TREE + _ANSWERS.replace("{theirs}", theirs)
        self._of_nobody = marked(asked, dialect)
        self._of_reader = marked(asked + _SEEN.replace("{theirs}", theirs) + _TODAY, dialect)

    def history(self, reader: Reader, whose: str, *, since: datetime, midnight: datetime) -> CardHistory:
        """See `cds.ports.CardLog`. Nobody knows what a reader without a name was shown."""
        client, user, about = key_text(reader.client), key_text(reader.user), key_text(whose)
        own = (client, user, self._hour(since), client, user, self._written(midnight)) if user else ()
        asked, values = self._of_reader if user else self._of_nobody, (about, about, *own)
        with self._database.looking() as look:
            found: CardHistory | None = look.foreseen.get((asked, values))
            if found is None:
                found = self._told(look.cursor.execute(asked, values).fetchall())
                look.foreseen[asked, values] = found
        seen = {what: at for what, at in found.seen.items() if at >= since}
        late = self._unwritten(client, user) if user else ()
        return self._with(replace(found, seen=seen), late, about)

    def _with(self, found: CardHistory, late: Iterable[tuple[str, Row]], about: str) -> CardHistory:
        """With what this process showed a moment ago: it is of today, and newer than any bound."""
        seen, today = dict(found.seen), found.today
        for whose, (at, advices) in late:
            told = _advices(str(advices))
            today |= {key for key, _, is_critical in told if not is_critical}
            if whose == about:
                seen |= dict.fromkeys([(key, digest) for key, digest, _ in told], self._read(at))
        return CardHistory(found.answers, seen, today)

    def _hour(self, since: datetime) -> object:
        """A bound that many calls have in common; who asks looks at the times again."""
        return self._written(since.replace(minute=0, second=0, microsecond=0))

    def _told(self, rows: Sequence[Any]) -> CardHistory:
        answers = [self._answer(row) for row in rows if row[0] == "answer"]
        seen: dict[tuple[str, str], datetime] = {}
        today: set[str] = set()
        for part, advices, _, at, *_ in rows:
            if part == "seen":  # once for each patient of a tree, and for what was shown together
                for key, digest, _ in _advices(advices):
                    seen[key, digest] = max(self._read(at), seen.get((key, digest), self._read(at)))
            elif part == "today":
                today.update(key for key, _, is_critical in _advices(advices) if not is_critical)
        return CardHistory(tuple(sorted(answers, key=lambda one: one.at)), seen, frozenset(today))

    def _answer(self, row: Any) -> PastAnswer:
        _, key, digest, at, outcome, client, user, roles, accepted, system, code, display = row
        reader = _reader(client, user, roles)
        reason = Coding(system, code, display) if code else None
        return PastAnswer(key, digest, Outcome(outcome), self._read(at), reader, tuple(json.loads(accepted)), reason)


@lru_cache(maxsize=1024)
def _advices(packed: str) -> Sequence[tuple[str, str, bool]]:
    """Key, digest and whether it is critical, of what was shown together."""
    return tuple((key, digest, is_critical) for key, digest, is_critical in json.loads(packed))


@lru_cache(maxsize=1024)
def _reader(client: str, user: str, roles: str) -> Reader:
    return Reader(client, user, unpacked(roles))
