"""Tokens of clients that were used: who sends one again is not believed (RFC 7519 section 4.1.7, `jti`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

import sqlalchemy as sa

from cds.ports import Clock
from cds.store.driver_values import insertion, key_text, marked, times
from cds.store.grouped import Given, GroupWriter, Kind

#: Who calls waits so long at most; then nobody knows whether the token is new, and the call is not answered.
_PATIENCE_S: Final = 2.0
#: Groups between two looks for what counts no more, and what one look removes at most: as many as they can bring.
_GROUPS: Final = 16
_AT_ONCE: Final = 4096
#: Clocks of other processes may be behind; whoever reads tokens grants some time beyond `until`.
_LONGER: Final = timedelta(minutes=10)
_NAMES: Final = ("issuer", "jti", "until")
_PURGE: Final = (
    "DELETE FROM hook_token WHERE (issuer, jti) IN (SELECT issuer, jti FROM hook_token WHERE until < ? LIMIT ? {skip})"
)
#: Another process may look at the same time.
_SKIP: Final = {"postgresql": "FOR UPDATE SKIP LOCKED"}


@dataclass(frozen=True, slots=True)
class _Token:
    issuer: str
    jti: str
    until: object

    @property
    def key(self) -> tuple[str, str]:
        return self.issuer, self.jti


class TokenLog:
    """The tokens of all processes of an installation."""

    def __init__(self, writer: GroupWriter, clock: Clock) -> None:
        self._writer, self._clock = writer, clock
        self._dialect = writer.dialect
        self._written, _ = times(self._dialect)
        self._purge = marked(_PURGE.format(skip=_SKIP.get(self._dialect.name, "")), self._dialect)
        self._kind = Kind("tokens", self._write)
        self._groups = 0

    def fresh(self, issuer: str, jti: str, until: datetime) -> Callable[[], bool]:
        """Begin to keep a token; the answer waits until that is committed, and is True for one caller alone.

        Unavailable where that takes too long: nobody knows then.
        """
        hidden = hashlib.sha256(jti.encode("utf-8", "surrogatepass")).hexdigest()
        given: Given[bool] = self._writer.give_later(self._kind, _Token(key_text(issuer), hidden, self._written(until)))
        return lambda: given.result(_PATIENCE_S)

    def _write(self, cursor: Any, tokens: Sequence[_Token]) -> Sequence[bool]:
        first: dict[tuple[str, str], _Token] = {}
        for one in tokens:
            first.setdefault(one.key, one)
        rows = [(*key, first[key].until) for key in sorted(first)]  # sorted: two processes lock in the same order
        cursor.execute(_insertion(self._dialect, len(rows)), [value for row in rows for value in row])
        new = {tuple(row) for row in cursor.fetchall()}
        self._groups += 1
        if self._groups % _GROUPS == 1:
            cursor.execute(self._purge, (self._written(self._clock.now() - _LONGER), _AT_ONCE))
        return [one.key in new and first[one.key] is one for one in tokens]


@cache
def _insertion(dialect: sa.Dialect, rows: int) -> str:
    """One statement for the tokens of a group; it answers those that are new."""
    taken = "ON CONFLICT DO NOTHING RETURNING issuer, jti"
    return insertion("hook_token", _NAMES, dialect, then=taken, rows=rows)
