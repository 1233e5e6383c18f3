"""Who was shown what of a study, as the timeline and the audit log tell it: read from the calls themselves."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

import sqlalchemy as sa
from sqlmodel import Session

from cds.domain.audit import CARD_SHOWN, AuditEvent
from cds.domain.report import TimelineEvent
from cds.store import card_contents
from cds.store.card_contents import KeptNote
from cds.store.hook_tables import HookAboutRow, HookCallRow, HookContentRow
from cds.store.tables import AppBase

#: Rows that are fetched at once where many may be asked for.
_AT_ONCE: Final = 500
_CALL, _CONTENT, _ABOUT = (
    AppBase.metadata.tables[str(row.__tablename__)].c for row in (HookCallRow, HookContentRow, HookAboutRow)
)


@dataclass(frozen=True, slots=True)
class _Noted:
    """What one call did with one study."""

    at: datetime
    service: str
    #: Who saw it; the EHR where it does not say who its user is.
    who: str
    note: KeptNote

    @property
    def outcome(self) -> str:
        return f"{self.note.shown} shown by {self.service}"

    @property
    def was_seen(self) -> bool:
        return bool(self.note.shown and self.who)


def lines(session: Session, studies: Collection[str]) -> Sequence[TimelineEvent]:
    """What calls did with these studies, oldest first."""
    return [
        TimelineEvent(one.at, "card", one.outcome, one.note.study_uid, detail=one.note.told)
        for one in _noted(session, _about(studies))
        if one.note.study_uid in studies
    ]


def seen(session: Session, *, studies: Collection[str], patients: Collection[str] = ()) -> Sequence[AuditEvent]:
    """Who was shown cards of these studies, or of any study of these patients (by random id), oldest first."""
    return [
        _event(one)
        for one in _noted(session, _about({*studies, *patients}))
        if one.was_seen and (one.note.study_uid in studies or one.note.patient_id in patients)
    ]


def newest(session: Session, *, since: datetime | None, limit: int | None) -> Sequence[AuditEvent]:
    """Who was shown cards of any study, oldest first; of more than `limit` the newest."""
    wanted = _CALL.at >= since if since is not None else sa.true()
    with closing(_noted(session, wanted, newest_first=True)) as found:
        return list(islice((_event(one) for one in found if one.was_seen), limit))[::-1]


def was_shown(session: Session, study_uid: str, patients: Collection[str]) -> bool:
    """Whether anybody was shown a card of this study as one of these patients'."""
    with closing(_noted(session, _about({study_uid}))) as found:
        return any(
            one.was_seen and one.note.study_uid == study_uid and one.note.patient_id in patients for one in found
        )


def _about(things: Collection[str]) -> sa.ColumnElement[bool]:
    return _CALL.content.in_(sa.select(_ABOUT.content).where(_ABOUT.about.in_(things)))


def _noted(
    session: Session, wanted: sa.ColumnElement[bool], *, newest_first: bool = False
) -> Generator[_Noted, None, None]:
    """All that these calls noted; within a call in its own order."""
    order = (_CALL.at, _CALL.id)
    query = (
        sa.select(_CALL.at, _CALL.service, _CALL.user_id, _CALL.client, _CONTENT.body)
        .where(_CONTENT.id == _CALL.content, wanted)
        .order_by(*((one.desc() for one in order) if newest_first else order))
    )
    with session.connection().execute(query, execution_options={"yield_per": _AT_ONCE}) as found:
        for at, service, user, client, body in found:
            notes = card_contents.read(body).notes
            for note in reversed(notes) if newest_first else notes:
                yield _Noted(at, service, user or client, note)


def _event(one: _Noted) -> AuditEvent:
    return AuditEvent(one.at, one.who, CARD_SHOWN, one.note.study_uid, one.note.patient_id, (one.outcome,))
