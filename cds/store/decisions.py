"""What a person decides: every action of a hold, in one transaction with its effect, and the wrong patient found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session, col, select

from cds.domain import lifecycle
from cds.domain.audit import AuditEvent
from cds.domain.hold import ACTIONS, NEEDS, Action, Hold, HoldKind
from cds.domain.lifecycle import Effect, Event
from cds.domain.message import LoggedMessage, MessageContent
from cds.domain.order import OrderStatus
from cds.errors import Conflict, InvalidInput, NotFound
from cds.store import audit, criticals, fhir_notices, holds, patients, timeline, wanted
from cds.store.engine import Database, lock
from cds.store.identity import members
from cds.store.instances import resolve_conflict
from cds.store.orders import order_of
from cds.store.realm import in_test
from cds.store.record import apply_content
from cds.store.revisions import decide_match, locked, open_work, rematch, stop
from cds.store.sending_again import send_again
from cds.store.tables import HoldRow, MessageOutcomeRow, OrderRow, StatementRow, StudyRow

#: Reads a message of the inbox again, under the settings of now; raises NotFound or InvalidMessage.
Reread = Callable[[int], tuple[LoggedMessage, MessageContent]]

#: Doubts about whose the images are: one decision ends them all.
_OF_MATCH = (
    HoldKind.MATCH_IN_DOUBT,
    HoldKind.MATCH_PROPOSED,
    HoldKind.STUDY_IDENTITY,
    HoldKind.ORDER_CANCELLED,
    HoldKind.VISIT_CANCELLED,
    HoldKind.WRONG_PATIENT,
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said: the action with its argument, who, when, and why in words that name no patient."""

    action: str
    by: str
    now: datetime
    to: str = ""
    reason: str = ""

    @property
    def words(self) -> str:
        """The action with its reason, as the hold keeps it."""
        return f"{self.action}: {self.reason}" if self.reason else self.action


class DecisionStore:
    """Carries out what people decide.

    `reread` is asked for a quarantined message that is to be applied; `remove` takes a file below the data folder away
    that no row names any more.
    """

    def __init__(self, database: Database, reread: Reread, remove: Callable[[str], None]) -> None:
        self._database = database
        self._reread = reread
        self._remove = remove

    def resolve(self, short: str, said: Said) -> Hold:
        """Do what a person chose about a hold and resolve it, all or nothing.

        Raise NotFound or Conflict where it is not there or resolved, InvalidInput where it has no such action.
        """
        with self._database.reading() as session:
            message_id = holds.find(session, short).message_id
        applied = self._reread(message_id) if message_id is not None and said.action == Action.APPLY else None
        with self._database.writing() as session:
            row = holds.claimed(session, short)
            action = _action(row, said)
            stale = None
            if applied is not None:
                _apply(session, row, applied, said)
            else:
                stale = _EFFECTS[action](session, row, said)
            resolved(session, row, said)
        if stale:
            self._remove(stale)
        return holds.told(row)

    def attach(self, number: str, order: str, said: Said) -> str:
        """Attach a study, by UID or accession number, to an order; answers the study's UID."""
        with self._database.writing() as session:
            uid = _study(session, number)
            _decide(session, uid, "attach", _open_order(session, order).id, said)
            return uid

    def wrong_patient(self, number: str, said: Said) -> Sequence[AuditEvent]:
        """The study is not its patient's: stopped, taken back, held. Answers who saw something of it."""
        row = lifecycle.row(Event.WRONG_PATIENT)
        with self._database.writing() as session:
            uid = _study(session, number)
            study = locked(session, uid)
            _refuse_twice(session, uid)
            seen = audit.seen_by(session, uid)
            viewers = _viewers(seen)
            if row.does(Effect.ASK):
                key = f"wrong-patient:{uid}:{study.match_revision}"
                reason = f"{said.reason or 'a person says that the images are of another patient'}; seen by: {viewers}"
                holds.put(session, key, HoldKind.WRONG_PATIENT, reason, said.now, study_uid=uid)
            if row.does(Effect.RETRACT):
                stop(session, uid, said.reason or row.title, said.now)
            if row.does(Effect.TELL_WHO_SAW):
                timeline.write(
                    session, said.now, "wrong patient", "found", study_uid=uid, detail=(f"seen by: {viewers}",)
                )
            detail = (viewers, *filter(None, (said.reason,)))
            audit.append(session, AuditEvent(said.now, said.by, row.title, uid, detail=detail))
            return seen


def _refuse_twice(session: Session, uid: str) -> None:
    known = select(HoldRow.id).where(
        HoldRow.study_uid == uid,
        HoldRow.kind == HoldKind.WRONG_PATIENT.value,
        col(HoldRow.resolved_at).is_(None),
    )
    if (hold_id := session.exec(known).first()) is not None:
        raise Conflict(f"this is known and waits to be decided: cds holds show {hold_id}")


def _action(row: HoldRow, said: Said) -> Action:
    """The action by its name, with the argument that it wants; raise InvalidInput where this kind has none such."""
    possible = {action.value: action for action in ACTIONS[HoldKind(row.kind)]}
    if said.action not in possible:
        raise InvalidInput(f"{row.kind} can be resolved by: {', '.join(possible)}")
    action = possible[said.action]
    if action in NEEDS and not said.to:
        raise InvalidInput(f"{action.value} wants --to: {NEEDS[action]}")
    if said.to and action not in NEEDS:
        raise InvalidInput(f"{action.value} takes no --to")
    return action


def resolved(session: Session, row: HoldRow, said: Said) -> None:
    """The hold waits for nobody any more; the timeline and the audit log tell by whom."""
    row.resolved_at, row.resolution, row.resolved_by = said.now, said.words, said.by
    session.add(row)
    what = (row.id, row.kind, said.words)
    timeline.write(session, said.now, "hold", said.action, study_uid=row.study_uid, work_id=row.work_id, detail=what)
    audit.append(session, AuditEvent(said.now, said.by, "hold resolved", row.study_uid, detail=what))


def _attach(session: Session, row: HoldRow, said: Said) -> None:
    _decide(session, _uid(row), "attach", _open_order(session, said.to).id, said)


def _leave(session: Session, row: HoldRow, said: Said) -> None:
    _decide(session, _uid(row), "leave", None, said)


def _decide(session: Session, uid: str, decided: str, order_id: str | None, said: Said) -> None:
    """Whose the images are, by a person: every doubt about it is over."""
    decide_match(session, uid, decided, order_id, said.by, said.now)
    for kind in _OF_MATCH:
        holds.end(session, kind, uid, said.now, said.words, by=said.by)
    audit.append(session, AuditEvent(said.now, said.by, f"match decided: {decided}", uid, detail=(said.words,)))


def _retract(session: Session, row: HoldRow, said: Said) -> None:
    stop(session, _uid(row), said.reason or "a person took the result back", said.now)


def _keep_first(session: Session, row: HoldRow, said: Said) -> str:
    return resolve_conflict(session, row.key, use_new=False, by=said.by, now=said.now)


def _use_new(session: Session, row: HoldRow, said: Said) -> str:
    return resolve_conflict(session, row.key, use_new=True, by=said.by, now=said.now)


def _discard(session: Session, row: HoldRow, said: Said) -> None:
    outcome = _quarantined(session, row)
    outcome.state, outcome.applied_at = "discarded", said.now
    session.add(outcome)


def _apply(session: Session, row: HoldRow, read: tuple[LoggedMessage, MessageContent], said: Said) -> None:
    """Apply a message against the doubt about whom it speaks of; what its sender said later of the same stays.

    Identifiers of several patients stay a doubt that a merge alone ends: nobody could say under whom to file it.
    """
    logged, content = read
    outcome = _quarantined(session, row)
    if content.ignored or not (content.patient or content.identity or content.acknowledges or content.events):
        raise InvalidInput(content.ignored or "the message names no patient: there is nothing to apply")
    lock(session, "record")
    content = in_test(content) if content.test else content
    if content.patient and not content.identity:
        owners = patients.owners(session, content.patient.identifiers)
        if len(owners) > 1:
            raise Conflict("the identifiers in PID-3 belong to more than one patient: merge them first, or discard it")
        content = without_the_old(session, logged, content, owners)
    apply_content(session, logged, content, said.now)
    outcome.state, outcome.reason, outcome.applied_at = "applied", f"{outcome.reason}; a person decided", said.now
    session.add(outcome)


def without_the_old(
    session: Session, logged: LoggedMessage, content: MessageContent, owners: Collection[str]
) -> MessageContent:
    """The message without the values that its sender has stated again since."""
    tree = [one for owner in owners for one in members(session, owner)]
    since = session.exec(
        select(StatementRow.key).where(
            col(StatementRow.patient_id).in_(tree),
            StatementRow.source == f"HL7 {logged.message.sender}",
            StatementRow.message_id > logged.id,
        )
    ).all()
    later = set(since)
    return replace(content, values=tuple(value for value in content.values if value.key not in later))


def _run_again(session: Session, row: HoldRow, said: Said) -> None:
    """A failed work runs in the next analysis run, since the engine knows its id; a study that is not complete waits.

    What was not encoded is decided again, with the same findings; what was not fetched is wanted again, and what a FHIR
    server told is read again.
    """
    if row.kind == HoldKind.RETRIEVAL_FAILED:
        if not wanted.again_by_person(session, row.key, said.now):
            raise NotFound("the retrieval is not there any more")
        return
    if row.kind == HoldKind.NOTICE_FAILED:
        if not fhir_notices.again_by_person(session, row.key, said.now):
            raise NotFound("what the FHIR server told is worked off already")
        return
    if row.kind == HoldKind.DELIVERY_NOT_ENCODED:
        rematch(session, _uid(row), "a person asked to encode its deliveries again", said.now)
        return
    study = locked(session, _uid(row))
    study.analysis_run += 1
    session.add(study)
    if not study.revision_open:
        open_work(session, study, said.now, "a person asked for another run")


def _send_again(session: Session, row: HoldRow, said: Said) -> None:
    send_again(session, row.delivery_id or "", said.now)


def _acknowledge(session: Session, row: HoldRow, said: Said) -> None:
    """A critical result is acknowledged with its hold; the others are only closed."""
    if row.kind == HoldKind.CRITICAL_UNACKNOWLEDGED:
        criticals.acknowledge_hold(session, row.key, said.by, said.now)


def _give_up(session: Session, row: HoldRow, said: Said) -> None:
    """Nothing more happens: what failed or was refused stays so."""
    if row.kind == HoldKind.NOTICE_FAILED:
        fhir_notices.give_up(session, row.key)


#: An effect answers the path of a file that is not wanted any more, where there is one.
_EFFECTS: dict[Action, Callable[[Session, HoldRow, Said], str | None]] = {
    Action.ATTACH: _attach,
    Action.LEAVE: _leave,
    Action.RETRACT: _retract,
    Action.KEEP_FIRST: _keep_first,
    Action.USE_NEW: _use_new,
    Action.DISCARD: _discard,
    Action.RUN_AGAIN: _run_again,
    Action.SEND_AGAIN: _send_again,
    Action.GIVE_UP: _give_up,
    Action.ACKNOWLEDGE: _acknowledge,
}


def _quarantined(session: Session, row: HoldRow) -> MessageOutcomeRow:
    outcome = session.get(MessageOutcomeRow, row.message_id)
    if outcome is None:
        raise NotFound("the message is not there any more")
    return outcome


def _uid(row: HoldRow) -> str:
    if row.study_uid is None:
        raise NotFound("this held item names no study")
    return row.study_uid


def _study(session: Session, number: str) -> str:
    """The UID of a study by itself or by its accession number; raise NotFound, or Conflict where several have it."""
    if session.get(StudyRow, number) is not None:
        return number
    uids = session.exec(select(StudyRow.uid).where(StudyRow.accession_number == number)).all()
    if not uids:
        raise NotFound("no study has this Study Instance UID or accession number")
    if len(uids) > 1:
        raise Conflict("several studies have this accession number: give the Study Instance UID")
    return uids[0]


def _open_order(session: Session, number: str) -> OrderRow:
    """The order by its id or accession number that is not cancelled; raise NotFound, or Conflict where several are.

    An order of the test realm is nobody's of production: what a person attached to it would be lost to everybody.
    """
    known = session.get(OrderRow, number)
    found = [known] if known else session.exec(select(OrderRow).where(OrderRow.accession_number == number)).all()
    rows = [row for row in found if not order_of(row).test]
    if found and not rows:
        raise Conflict("this is an order of a test message: images are attached to orders of production alone")
    living = [row for row in rows if row.status != OrderStatus.REVOKED.value]
    if not living:
        raise NotFound("no open order has this accession number or id" if not rows else "the order was cancelled")
    if len(living) > 1:
        ids = ", ".join(sorted(row.id for row in living))
        raise Conflict(f"several open orders have this accession number; give the id of one: {ids}")
    return living[0]


def _viewers(seen: Sequence[AuditEvent]) -> str:
    """Who saw it and how often; a patient or relative who looked is not named."""
    named = Counter(e.actor if e.actor.startswith("Practitioner") else e.actor.partition("/")[0] for e in seen)
    return ", ".join(f"{actor} ({times})" for actor, times in named.items()) or "nobody that is known of"
