"""The audit log searched by who, what, study and time: newest first, a page at a time. Shown cards are lines of it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from cds.domain.audit import CARD_SHOWN, AuditEvent
from cds.store import card_contents
from cds.store.engine import Database
from cds.store.hook_tables import HookAboutRow, HookCallRow, HookContentRow
from cds.store.safety_tables import AuditRow
from cds.store.values import parse
from cds.ui.operations_values import AuditAsked, Paged, paged

_Detail = tuple[str, ...]
#: Rows that are fetched at once where many may be looked through.
_AT_ONCE = 200


def search(database: Database, asked: AuditAsked, size: int) -> Paged[AuditEvent]:
    """The page of lines that fit; `who` and `action` count wherever they stand in the line's own, in any case."""
    wanted = max(asked.page, 1) * size + 1
    with database.reading() as session:
        rows = session.exec(_query(asked).limit(wanted)).all()
        shown = _cards(session, asked, wanted)
    lines = [AuditEvent(r.at, r.actor, r.action, r.study_uid, r.patient_id, parse(_Detail, r.detail)) for r in rows]
    return paged(sorted((*lines, *shown), key=lambda event: event.at, reverse=True), asked.page, size)


def _query(asked: AuditAsked) -> SelectOfScalar[AuditRow]:
    query = select(AuditRow).order_by(col(AuditRow.at).desc(), col(AuditRow.id).desc())
    if asked.who:
        query = query.where(col(AuditRow.actor).icontains(asked.who, autoescape=True))
    if asked.action:
        query = query.where(col(AuditRow.action).icontains(asked.action, autoescape=True))
    if asked.study:
        query = query.where(AuditRow.study_uid == asked.study)
    if asked.since is not None:
        query = query.where(AuditRow.at >= asked.since)
    if asked.until is not None:
        query = query.where(AuditRow.at < asked.until)
    return query


def _cards(session: Session, asked: AuditAsked, wanted: int) -> list[AuditEvent]:
    """Cards that people were shown, newest first: they are kept with the calls of CDS Hooks."""
    if asked.action.lower() not in CARD_SHOWN:
        return []
    with closing(_shown(session, asked)) as shown:
        return list(islice(shown, wanted))


def _shown(session: Session, asked: AuditAsked) -> Generator[AuditEvent, None, None]:
    found = session.connection().execute(_calls(asked), execution_options={"yield_per": _AT_ONCE})
    with found:
        for at, service, who, body in found:
            for note in reversed(card_contents.read(body).notes):
                if note.shown and who and asked.study in ("", note.study_uid):
                    said = (f"{note.shown} shown by {service}",)
                    yield AuditEvent(at, who, CARD_SHOWN, note.study_uid, note.patient_id, said)


def _calls(asked: AuditAsked) -> sa.Select[datetime, str, Any, str]:
    """When, which service, who – the EHR where it does not say who its user is –, and what was shown."""
    call, content, about = HookCallRow, HookContentRow, HookAboutRow
    who = sa.func.coalesce(sa.func.nullif(col(call.user_id), ""), col(call.client))
    query = sa.select(col(call.at), col(call.service), who, col(content.body)).where(
        col(content.id) == col(call.content)
    )
    if asked.who:
        query = query.where(who.icontains(asked.who, autoescape=True))
    if asked.study:
        query = query.where(col(call.content).in_(sa.select(col(about.content)).where(col(about.about) == asked.study)))
    if asked.since is not None:
        query = query.where(col(call.at) >= asked.since)
    if asked.until is not None:
        query = query.where(col(call.at) < asked.until)
    return query.order_by(col(call.at).desc(), col(call.id).desc())
