"""Messages that are applied again: read anew, filed as of when they came, so that nothing newer is undone.

A replay repairs what could not be read or applied, and what was read wrongly. It is no new message: what the same
sender said since under the same keys stands, demographics that were stated since stand, changes of identity are not
made twice, and where who is who was torn apart since, a person decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.audit import AuditEvent
from cds.domain.hold import HoldKind
from cds.domain.identity import HumanName, Identifier, IdentityEvent, Patient, Sex
from cds.domain.message import LoggedMessage, MessageContent, MessageState
from cds.domain.message_story import Replayed
from cds.errors import InvalidMessage
from cds.store import audit, holds, patients
from cds.store.decisions import Said, resolved, without_the_old
from cds.store.engine import Database, lock
from cds.store.identity import tree
from cds.store.message_outcomes import DISCARDED, state_of
from cds.store.realm import in_test
from cds.store.record import apply_content, verdict
from cds.store.safety_tables import IdentityChangeRow
from cds.store.tables import HoldRow, MessageOutcomeRow, PatientRow

_WAITS = "it waits to be applied in its turn"
_TORN = "who is who has changed since: what it says may be filed under somebody else now"
_KEPT = "it stays as it was"
#: What a replay that comes to nothing leaves alone: its effects are in the record, or a person sent it away.
_DECIDED = (MessageState.APPLIED.value, DISCARDED)
_UNDECIDED = (MessageState.QUARANTINED, MessageState.FAILED)
#: What takes from a patient what was filed under her.
_TEARING = (
    IdentityEvent.UNLINK.value, IdentityEvent.MOVE.value, IdentityEvent.CANCEL_VISIT.value, IdentityEvent.DELETE.value,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Then:
    """When a message had its turn; `shared` where others were applied in the same moment after it."""

    message_id: int
    at: datetime
    shared: bool


class Replays:
    """Applies messages again; `done` says of each what came of it."""

    def __init__(self, database: Database, by: str) -> None:
        self._database = database
        self._by = by
        self.done: list[Replayed] = []

    def apply(self, batch: Sequence[tuple[LoggedMessage, MessageContent | InvalidMessage]], now: datetime) -> None:
        """Apply again in one transaction under the record's lock, each with its outcome, its hold and an audit line."""
        with self._database.writing() as session:
            lock(session, "record")
            done = [self._again(session, logged, content, now) for logged, content in batch]
        self.done += done

    def _again(
        self, session: Session, logged: LoggedMessage, content: MessageContent | InvalidMessage, now: datetime
    ) -> Replayed:
        outcome = session.get(MessageOutcomeRow, logged.id)
        was = state_of(outcome)
        if outcome is None:
            return Replayed(logged.id, was, was, applied=False, reason=_WAITS)
        then = _then(session, logged.id)
        if isinstance(content, MessageContent):
            content = _as_filed(content, applied=was is MessageState.APPLIED)
        state, reason = _judge(session, logged, content, then)
        detail = (f"message {logged.id}", f"{was.value}, now {state.value}", *filter(None, [reason]))
        audit.append(session, AuditEvent(now, self._by, "message replayed", detail=detail))
        if state is not MessageState.APPLIED and outcome.state in _DECIDED:
            return Replayed(logged.id, was, was, applied=False, reason=f"{reason or state.value}; {_KEPT}")
        if state is MessageState.APPLIED and isinstance(content, MessageContent):
            _apply(session, logged, content, then, now)
            reason = "; ".join(filter(None, [reason, "replayed"]))  # the audit log has when and by whom
        outcome.state, outcome.reason = state.value, reason  # when it had its turn stays: newer is what came behind it
        outcome.notes = "\n".join(content.warnings) if isinstance(content, MessageContent) else ""
        session.add(outcome)
        self._settle(session, logged.id, state, reason, now)
        return Replayed(logged.id, was, state, applied=state is MessageState.APPLIED, reason=reason)

    def _settle(self, session: Session, message_id: int, state: MessageState, reason: str, now: datetime) -> None:
        """Who waited for a person waits no more, or waits for the reason of now; also one who was sent away before."""
        row = session.get(HoldRow, f"message:{message_id}")
        if state not in _UNDECIDED:
            if row is not None and row.resolved_at is None:
                resolved(session, row, Said("replayed", self._by, now))
        elif row is None:
            holds.put(session, f"message:{message_id}", HoldKind.QUARANTINED, reason, now, message_id=message_id)
        else:
            row.reason, row.resolved_at, row.resolution, row.resolved_by = reason, None, "", ""
            session.add(row)


def _then(session: Session, message_id: int) -> _Then:
    """The log is applied in its order: what came later was applied no earlier, also where a person decided of this."""
    at = session.exec(
        select(sa.func.min(MessageOutcomeRow.applied_at)).where(MessageOutcomeRow.message_id >= message_id)
    ).one()
    beside = select(MessageOutcomeRow.message_id).where(
        MessageOutcomeRow.message_id > message_id, MessageOutcomeRow.applied_at == at
    )
    return _Then(message_id, at, session.exec(beside.limit(1)).first() is not None)


def _as_filed(content: MessageContent, *, applied: bool) -> MessageContent:
    """In its realm; without changes of identity that were made already, which hold or which a person undid."""
    content = in_test(content) if content.test else content
    if not applied or not content.identity:
        return content
    patient = content.patient
    kept = replace(patient, identifiers=content.identity[-1].survivor) if patient else None
    return replace(content, patient=kept, identity=())


def _judge(
    session: Session, logged: LoggedMessage, content: MessageContent | InvalidMessage, then: _Then
) -> tuple[MessageState, str]:
    state, reason = verdict(session, logged, content)
    if state is MessageState.APPLIED and isinstance(content, MessageContent) and _is_torn(session, content, then):
        return MessageState.QUARANTINED, _TORN
    return state, reason


def _is_torn(session: Session, content: MessageContent, then: _Then) -> bool:
    """True where a later message or a person took something from one of its patients, or undid what held then."""
    named = {row.id for row in _rows(session, content)}
    about = sa.or_(col(IdentityChangeRow.survivor_id).in_(named), col(IdentityChangeRow.prior_id).in_(named))
    by_person = sa.and_(col(IdentityChangeRow.message_id).is_(None), col(IdentityChangeRow.at) > then.at)
    since = sa.or_(col(IdentityChangeRow.message_id) > then.message_id, by_person)
    tearing = sa.and_(col(IdentityChangeRow.event).in_(_TEARING), since)
    undone = col(IdentityChangeRow.undone_at) > then.at
    return session.exec(select(IdentityChangeRow.id).where(about, sa.or_(tearing, undone)).limit(1)).first() is not None


def _apply(session: Session, logged: LoggedMessage, content: MessageContent, then: _Then, now: datetime) -> None:
    known = {row.id: row.updated_at for row in _rows(session, content)}
    stated = max(known.values(), default=None)
    is_newer = stated is not None and (stated > then.at or (stated == then.at and then.shared))
    if content.patient is not None:
        owners = patients.owners(session, content.patient.identifiers)
        content = without_the_old(session, logged, content, owners)
        if is_newer and len(owners) == 1:
            missing = _what_is_missing(content.patient, patients.load(session, owners.pop()))
            content = replace(content, patient=missing)
    apply_content(session, logged, content, now)
    session.flush()
    for row in _rows(session, content):
        if row.updated_at == now:
            row.updated_at = known.get(row.id, then.at) if is_newer else then.at
            session.add(row)


def _what_is_missing(said: Patient | None, known: Patient) -> Patient | None:
    """Demographics that nobody has stated since; what is newer stands."""
    if said is None:
        return None
    return replace(
        said,
        name=said.name if known.name == HumanName() else HumanName(),
        birth_date=None if known.birth_date else said.birth_date,
        sex=said.sex if known.sex is Sex.UNKNOWN else Sex.UNKNOWN,
        deceased=said.deceased if known.deceased is None else None,
    )


def _rows(session: Session, content: MessageContent) -> list[PatientRow]:
    """Everybody whom a message names, with those who are one with them."""
    identifiers: list[Identifier] = list(content.patient.identifiers) if content.patient else []
    for change in content.identity:
        identifiers += [*change.survivor, *change.prior]
    return [row for owner in sorted(patients.owners(session, identifiers)) for row in tree(session, owner)]
