"""Wiring of the pages of operations: the callables of the commands, with a reason and a name for everything done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from cds.bootstrap import Stores
from cds.bootstrap.deliveries import Outbox, outbox
from cds.bootstrap.hl7_log import MessageBook, book
from cds.bootstrap.people import Desk, desk
from cds.bootstrap.ui_operations_overview import overview
from cds.bootstrap.ui_operations_peers import peer_desk
from cds.domain.audit import AuditEvent
from cds.domain.delivery_story import DeliveryEntry
from cds.domain.hold import Action, Hold
from cds.domain.identity import AppliedIdentity
from cds.domain.message import MessageEntry, MessageState
from cds.domain.message_story import Replayed
from cds.domain.report import Mode
from cds.domain.switch import SwitchKind
from cds.errors import Conflict
from cds.ports import AuditLog, Clock
from cds.settings import Settings
from cds.store import audit, audit_search, patients
from cds.store import operations as store
from cds.store.decisions import Said
from cds.store.engine import Database
from cds.store.identity_undo import history, undo
from cds.store.why import why
from cds.ui.operations import (
    PAGE_SIZE,
    DeliveriesAsked,
    DeliveryDesk,
    HoldDesk,
    IdentityDesk,
    MessageDesk,
    MessagesAsked,
    OperationsServices,
    SwitchDesk,
)
from cds.ui.operations_settings import configuration
from cds.ui.operations_values import DEAD_LETTERS, AuditAsked, DeadLetters, Paged, ReplayedAll, Switchable, paged

_FAILED_SHOWN = 200
#: Messages that are applied again before the page answers.
_REPLAYED_AT_ONCE = 200


def operations(settings: Settings, held: Stores, clock: Clock) -> OperationsServices:
    """Everything below /operations; `held` are durable stores: who acts is answered once it is kept."""
    opened, messages, deliveries = desk(settings), book(settings), outbox(settings)
    return OperationsServices(
        overview=overview(settings, held.database, messages.inbox, clock),
        holds=hold_desk(opened, held, clock),
        switches=switch_desk(settings, opened, held, clock),
        messages=message_desk(messages, held.audit, clock),
        deliveries=delivery_desk(deliveries, opened, clock),
        peers=peer_desk(settings, held.database, clock),
        identity=identity_desk(held.database, clock),
        dead_letters=lambda: dead_letters(opened, messages),
        why=partial(why, held.database),
        configuration=partial(configuration, settings),
        audit=audit_searched(held, clock),
    )


def hold_desk(opened: Desk, held: Stores, clock: Clock) -> HoldDesk:
    """What `cds holds` does."""

    def resolved(page: int) -> Paged[Hold]:
        found = store.resolved_holds(held.database, (page - 1) * PAGE_SIZE, PAGE_SIZE + 1)
        return Paged(tuple(found[:PAGE_SIZE]), page, len(found) > PAGE_SIZE)

    def resolve(hold_id: str, action: str, *, by: str, to: str, reason: str) -> Hold:
        return opened.decisions.resolve(hold_id, Said(action, by, clock.now(), to, reason))

    return HoldDesk(
        open=opened.holds.open,
        resolved=resolved,
        find=opened.holds.find,
        take=lambda hold_id, by: opened.holds.take(hold_id, by, clock.now()),
        resolve=resolve,
    )


def switch_desk(settings: Settings, opened: Desk, held: Stores, clock: Clock) -> SwitchDesk:
    """What `cds disable`, `cds enable` and `cds switches` do."""

    def everything() -> tuple[Switchable, ...]:
        off = {(one.kind, one.name): one for one in opened.switches.all()}
        waiting = store.waiting_deliveries(held.database)
        named = [(kind, name) for kind, names in opened.names.items() for name in names]
        named += [pair for pair in off if pair not in named]  # it is off, and no setting names it any more
        return tuple(
            Switchable(kind, name, _modes(settings, kind, name), off.get((kind, name)), waiting.get(name, 0))
            for kind, name in named
        )

    def turn(kind: SwitchKind, name: str, *, on: bool, by: str, reason: str) -> int:
        now, said = clock.now(), f"{kind.value} {name} was switched {'on' if on else 'off'}"
        if on:
            opened.switches.enable(kind, name, by=by, reason=reason, now=now)
        else:
            opened.switches.disable(kind, opened.known(kind, name), by=by, reason=reason, now=now)
        return opened.switches.decide_again(kind, name, said, now)

    return SwitchDesk(everything, turn)


def _modes(settings: Settings, kind: SwitchKind, name: str) -> tuple[tuple[str, Mode], ...]:
    """What the settings let it do here, and at every site that says otherwise."""
    if kind is SwitchKind.DESTINATION:
        return ()
    mode: Callable[[str, str], Mode] = settings.model_mode if kind is SwitchKind.MODEL else settings.pathway_mode
    general = mode(name, "")
    return (("", general), *((site, mode(name, site)) for site in settings.sites if mode(name, site) is not general))


def message_desk(opened: MessageBook, log: AuditLog, clock: Clock) -> MessageDesk:
    """What `cds hl7 log` and `cds hl7 replay` do."""

    def entries(asked: MessagesAsked) -> Paged[MessageEntry]:
        found = opened.entries(
            state=asked.state,
            sender=asked.sender,
            message_type=asked.message_type,
            control_id=asked.control_id,
            answer=asked.answer,
            refused=asked.refused,
            since=asked.since,
            limit=asked.page * PAGE_SIZE + 1,
        )
        return paged(found, asked.page, PAGE_SIZE)

    def replay(message_id: int, by: str, reason: str) -> Replayed:
        opened.story(message_id)  # raises NotFound before anything is said of it
        log.write(AuditEvent(clock.now(), by, "message replay asked", detail=(f"message {message_id}", reason)))
        (done,) = opened.replay([message_id], by)
        return done

    def replay_all(state: MessageState, by: str, reason: str) -> ReplayedAll:
        ids = opened.with_state(state)
        log.write(AuditEvent(clock.now(), by, "message replay asked", detail=(f"all that are {state.value}", reason)))
        done = opened.replay(ids[:_REPLAYED_AT_ONCE], by)
        applied = sum(one.applied for one in done)
        return ReplayedAll(applied, len(done) - applied, len(ids) - len(done))

    return MessageDesk(entries, opened.story, opened.text, replay, replay_all)


def delivery_desk(opened: Outbox, people: Desk, clock: Clock) -> DeliveryDesk:
    """What `cds deliveries` does; what was refused is sent again by way of its hold, as `cds holds resolve` does."""

    def entries(asked: DeliveriesAsked) -> Paged[DeliveryEntry]:
        limit = asked.page * PAGE_SIZE + 1
        return paged(
            opened.entries(destination=asked.destination, state=asked.state, limit=limit), asked.page, PAGE_SIZE
        )

    def resend(delivery_id: str, by: str, reason: str) -> Hold:
        story = opened.story(delivery_id)
        if story.hold is None or Action.SEND_AGAIN not in story.hold.actions:
            raise Conflict("nothing of this delivery waits for a person: there is nothing to send again")
        said = Said(Action.SEND_AGAIN.value, by, clock.now(), reason=reason)
        return people.decisions.resolve(story.hold.id, said)

    return DeliveryDesk(people.names[SwitchKind.DESTINATION], entries, opened.story, opened.raw, resend)


def identity_desk(database: Database, clock: Clock) -> IdentityDesk:
    """What `cds identity` does."""

    def changes(number: str) -> Sequence[AppliedIdentity]:
        if not number:
            return history(database)[::-1]
        with database.reading() as session:
            ids = patients.with_number(session, number)
        found = {change.id: change for patient_id in ids for change in history(database, patient_id)}
        return [found[change_id] for change_id in sorted(found, reverse=True)]

    def take_back(change: int, by: str, reason: str) -> None:
        now = clock.now()
        with database.writing() as session:
            undo(session, change, by, now)
            audit.append(session, AuditEvent(now, by, "reason of undo", detail=(f"change {change}", reason)))

    return IdentityDesk(changes, take_back)


def dead_letters(opened: Desk, messages: MessageBook) -> DeadLetters:
    """What ended in vain, oldest first, and the newest messages that broke our code."""
    waiting = tuple(hold for hold in opened.holds.open() if hold.kind in DEAD_LETTERS)
    return DeadLetters(waiting, tuple(messages.entries(state=MessageState.FAILED, limit=_FAILED_SHOWN)))


def audit_searched(held: Stores, clock: Clock) -> Callable[[AuditAsked, str], Paged[AuditEvent]]:
    """The audit log, searched; that it was, by whom and for what, is in it before anything is shown."""

    def searched(asked: AuditAsked, by: str) -> Paged[AuditEvent]:
        found = audit_search.search(held.database, asked, PAGE_SIZE)
        event = AuditEvent(clock.now(), by, "audit log searched", asked.study or None, detail=asked.words)
        held.audit.write(event)
        return found

    return searched
