"""Orders as HL7 v2 and FHIR brought them, and the studies that they touch, inside the transaction of whoever asks."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain import lifecycle
from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier
from cds.domain.lifecycle import Effect, Event
from cds.domain.matching import MatchState, dates_fit
from cds.domain.order import OrderChange, OrderStatus, ServiceRequest, merge_order
from cds.domain.proposal import WITHIN
from cds.domain.report import Report
from cds.store import holds, timeline
from cds.store.batch import NumberColumn, batch_of, rows_with, update
from cds.store.patients import identifiers_of, leaf
from cds.store.revisions import locked, rematch
from cds.store.tables import OrderRow, ReportRow, StudyRow
from cds.store.values import dump, parse

#: Older than everything that was ever stated.
NEVER = datetime(1, 1, 1, tzinfo=UTC)
_ORDER_CAME = "the order came after the images"
_ORDER_CHANGED = "the order changed after the images came"
_CANCELLED = "the order was cancelled after the images came"


@dataclass(frozen=True, slots=True)
class FiledUnder:
    """The patient, with everybody who is one with her, and the account and visit that a message files under."""

    patient_id: str
    tree: tuple[str, ...]
    account: Identifier | None = None
    visit: Identifier | None = None


def order_of(row: OrderRow) -> ServiceRequest:
    """The order of a row, with its id."""
    order: ServiceRequest = parse(ServiceRequest, row.body)
    return replace(order, id=row.id)


def key(identifier: Identifier | None) -> str | None:
    """How an identifier stands in a column: "value|authority"."""
    return f"{identifier.value}|{identifier.assigner}" if identifier else None


def number_in(order: ServiceRequest, column: NumberColumn) -> str | None:
    """A number of an order as it stands in its column."""
    if column == "accession_number":
        return order.accession.value if order.accession else None
    return key(order.placer_order_number if column == "placer_order_number" else order.filler_order_number)


def apply_order(
    session: Session, filed: FiledUnder, change: OrderChange, now: datetime, *, by_study: bool = False
) -> tuple[set[str], str]:
    """Apply what a message says of an order; answers the studies to match again, and why.

    `by_study` where the message has several exams under the same numbers: their studies alone tell them apart.
    """
    rows = _same_orders(session, filed.tree, change.order)
    if by_study:
        rows = [row for row in rows if order_of(row).study_instance_uid in (None, change.order.study_instance_uid)]
    if not rows:
        return _new(session, filed, change, now), _ORDER_CAME
    touched: set[str] = set()
    for row in rows:
        before = order_of(row)
        after, reason = _merged(before, change)
        if after == before:
            _file(row, filed)
            _tell_of_none(session, row, change, reason, now)
            continue
        _file(row, filed)
        update(row, **_columns(after, now))
        batch_of(session).ordered(row)
        for number in _numbers(after) - _numbers(before):
            batch_of(session).exams.forget(number)  # a person may have attached a study to this order
        timeline.write(session, now, "order", f"order changed ({change.control})", order_id=row.id, detail=(reason,))
        if after.status is OrderStatus.REVOKED and before.status is not OrderStatus.REVOKED:
            event = _close(session, after, now)
        else:
            event = Event.ORDER_CHANGED
        if lifecycle.row(event).does(Effect.MATCH_AGAIN):
            touched |= studies_with(session, _numbers(before) | _numbers(after), test=after.test)
    return touched, _ORDER_CHANGED


def _tell_of_none(session: Session, row: OrderRow, change: OrderChange, reason: str, now: datetime) -> None:
    """FHIR says all of an order again with each version of its study: of that nothing is told twice."""
    if change.order.source:
        timeline.write_once(session, now, "order", "no change", order_id=row.id, detail=(reason,))
    else:
        timeline.write(session, now, "order", "no change", order_id=row.id, detail=(reason,))


def _merged(before: ServiceRequest, change: OrderChange) -> tuple[ServiceRequest, str]:
    """As `merge_order`. Of an order that FHIR brought, even an old message of HL7 v2 says by which numbers others of
    HL7 v2 will name it: a cancel may name it by no other.
    """
    said = change.order
    after, reason = merge_order(before, _fitting(before, change))
    if after != before or said.source or not before.source:
        return after, reason
    placer, filler = said.placer_order_number, said.filler_order_number
    numbered = replace(
        before,
        placer_order_number=placer or before.placer_order_number,
        filler_order_number=filler or before.filler_order_number,
    )
    return numbered, reason if numbered == before else "HL7 v2 numbers it"


def _fitting(before: ServiceRequest, change: OrderChange) -> OrderChange:
    """The change without what it only assumes of an order that is known.

    What is known of the accession number stays where a message assumes one. FHIR adds numbers and replaces none, for
    messages of HL7 v2 find the order by them; where it does not say since when, it is older than what says so.
    """
    said = change.order
    if before.accession and _assumed(said):
        said = replace(said, accession=None)
    if said.source:
        undated = before.changed_at and said.changed_at is None and said.status is not OrderStatus.REVOKED
        said = replace(
            said,
            placer_order_number=before.placer_order_number or said.placer_order_number,
            filler_order_number=before.filler_order_number or said.filler_order_number,
            changed_at=NEVER if undated else said.changed_at,
        )
    return replace(change, order=said)


def exams_apart(changes: Sequence[OrderChange]) -> Iterator[tuple[OrderChange, bool]]:
    """The changes of one message, each with whether another of them has the same numbers and another study."""
    studies: dict[tuple[Identifier | None, ...], set[str | None]] = {}
    numbers = [(c.order.placer_order_number, c.order.filler_order_number, c.order.accession) for c in changes]
    for change, own in zip(changes, numbers, strict=True):
        studies.setdefault(own, set()).add(change.order.study_instance_uid)
    yield from ((change, len(studies[own] - {None}) > 1) for change, own in zip(changes, numbers, strict=True))


def studies_with(session: Session, numbers: Collection[str], *, test: bool = False) -> set[str]:
    """The studies with these accession numbers, or that a person attached to such an order.

    An order of the test realm touches none that production ordered.
    """
    exams = batch_of(session).exams
    numbers = {number for number in numbers if not exams.is_empty(number)}
    if not numbers:
        return set()
    if test:
        rows = session.exec(select(OrderRow).where(col(OrderRow.accession_number).in_(numbers))).all()
        numbers = set(numbers) - {row.accession_number for row in rows if not order_of(row).test}
    attached = select(OrderRow.id).where(col(OrderRow.accession_number).in_(numbers))
    theirs = sa.or_(col(StudyRow.accession_number).in_(numbers), col(StudyRow.decided_order_id).in_(attached))
    return set(session.exec(select(StudyRow.uid).where(theirs)))


def studies_of(session: Session, patients: Sequence[str]) -> set[str]:
    """The studies that orders of these patients touch, by accession number or because a person attached them."""
    rows = batch_of(session).orders_of.all_of(
        patients, lambda: rows_with(session, OrderRow, OrderRow.patient_id, patients)
    )
    if not rows:
        return set()
    orders = [order_of(row) for row in rows]
    touched = set(session.exec(select(StudyRow.uid).where(col(StudyRow.decided_order_id).in_([r.id for r in rows]))))
    for test in (False, True):
        numbers = {order.accession.value for order in orders if order.accession and order.test is test}
        touched |= studies_with(session, numbers, test=test)
    return touched


def images_of(session: Session, order: ServiceRequest) -> list[str]:
    """The studies with the accession number and issuer of an order, made about its time."""
    if order.accession is None:
        return []
    accession = order.accession.as_sent()
    uids = studies_with(session, {accession.value}, test=order.test)
    if not uids:
        return []
    rows = session.exec(select(StudyRow).where(col(StudyRow.uid).in_(uids)).order_by(col(StudyRow.uid))).all()
    return [row.uid for row in rows if row.accession_issuer == accession.assigner and dates_fit(row.study_date, order)]


def rematch_all(session: Session, uids: Iterable[str], reason: str, now: datetime) -> None:
    """What orders or their patient say has changed: these studies are matched again, each once."""
    for uid in sorted(set(uids)):
        rematch(session, uid, reason, now)


def _new(session: Session, filed: FiledUnder, change: OrderChange, now: datetime) -> set[str]:
    order = replace(change.order, id=str(uuid.uuid4()))
    owner = leaf(session, order.patient) or filed.patient_id
    row = OrderRow(
        id=order.id or "",
        patient_id=owner,
        account=key(filed.account) or "",
        visit=key(filed.visit) or "",
        created_at=now,
        **_columns(order, now),
    )
    session.add(row)
    batch_of(session).ordered(row)
    timeline.write(session, now, "order", f"order received ({change.control})", order_id=row.id)
    event = _close(session, order, now) if order.status is OrderStatus.REVOKED else Event.ORDER_AFTER_IMAGES
    if not lifecycle.row(event).does(Effect.MATCH_AGAIN):
        return set()
    return studies_with(session, _numbers(order), test=order.test) | _without_order(session, filed.tree, order)


def _without_order(session: Session, tree: Sequence[str], order: ServiceRequest) -> set[str]:
    """The patient's studies of about the time of a new order that have none: a person may be asked to attach them."""
    when = order.scheduled_at or order.requested_at
    if order.test or order.status is OrderStatus.REVOKED or when is None:
        return set()
    theirs = {(one.value, one.assigner) for one in identifiers_of(session, tree)}
    numbers = {value for value, _ in theirs}
    if all(batch_of(session).pictured.is_empty(number) for number in numbers):
        return set()
    day = when.date()
    rows = session.exec(
        select(StudyRow).where(
            col(StudyRow.patient_value).in_(numbers),
            col(StudyRow.study_date).between(day - WITHIN, day + WITHIN),
            StudyRow.decided == "",
            StudyRow.stopped == "",
        )
    ).all()
    found = [row.uid for row in rows if (row.patient_value, row.patient_assigner) in theirs]
    return {uid for uid in found if _is_unmatched(session, uid)}


def _is_unmatched(session: Session, uid: str) -> bool:
    """True where the newest report, if there is any, found no order."""
    newest = select(ReportRow.body).where(ReportRow.study_uid == uid).order_by(col(ReportRow.version).desc())
    body = session.exec(newest.limit(1)).first()
    if body is None:
        return True
    report: Report = parse(Report, body)
    return report.match.state is MatchState.UNMATCHED


def _close(session: Session, order: ServiceRequest, now: datetime) -> Event:
    """An order ends: a person is asked about images that are there already and that no other order wants."""
    images = images_of(session, order)
    event = Event.CANCEL_AFTER_IMAGES if images else Event.CANCEL_BEFORE_IMAGES
    title = lifecycle.row(event).title
    timeline.write(session, now, "order", "closed", order_id=order.id, detail=(title,))
    if lifecycle.row(event).does(Effect.ASK) and not _another_wants(session, order):
        for uid in images:
            if not holds.waits(session, HoldKind.ORDER_CANCELLED, uid):
                hold = f"order-cancelled:{uid}:{order.id}:{locked(session, uid).match_revision}"
                holds.put(session, hold, HoldKind.ORDER_CANCELLED, _CANCELLED, now, study_uid=uid)
            timeline.write(session, now, "order", "held", study_uid=uid, order_id=order.id, detail=(_CANCELLED,))
    return event


def _another_wants(session: Session, order: ServiceRequest) -> bool:
    """True where another order with the same accession number, not cancelled, still wants the images."""
    number = order.accession.value if order.accession else None
    rows = session.exec(select(OrderRow).where(OrderRow.accession_number == number, OrderRow.id != order.id)).all()
    others = [order_of(row) for row in rows if row.status != OrderStatus.REVOKED.value]
    return any(other.accession == order.accession for other in others)


def _same_orders(session: Session, tree: Sequence[str], order: ServiceRequest) -> Sequence[OrderRow]:
    """The stored orders that a message or a ServiceRequest speaks of."""
    if rows := _by_number(session, tree, order):
        return rows
    rows = _of_another_wire(session, tree, order)
    return rows if len(rows) == 1 else []


def is_unclear(session: Session, tree: Sequence[str], order: ServiceRequest) -> bool:
    """True where nothing tells which of several orders of another wire is meant."""
    return not _by_number(session, tree, order) and len(_of_another_wire(session, tree, order)) > 1


def _by_number(session: Session, tree: Sequence[str], order: ServiceRequest) -> Sequence[OrderRow]:
    """By placer, else filler number; an accession number narrows.

    A filler number finds an order whose placer number is not known, or the same. Where no accession number tells exams
    apart, another filler number does.
    """
    placer, filler = key(order.placer_order_number), key(order.filler_order_number)
    rows = _with_number(session, tree, "placer_order_number", placer) if placer else []
    if not rows and filler:
        found = _with_number(session, tree, "filler_order_number", filler)
        rows = [row for row in found if placer is None or row.placer_order_number in (None, placer)]
    if exactly := [row for row in rows if filler and row.filler_order_number == filler]:
        rows = exactly
    if order.accession is None:
        return [row for row in rows if row.accession_number or filler in (None, row.filler_order_number or filler)]
    meant = [row for row in rows if row.accession_number in (None, order.accession.value)]
    return meant or ([row for row in rows if row.filler_order_number in (None, filler)] if _assumed(order) else [])


def _of_another_wire(session: Session, tree: Sequence[str], order: ServiceRequest) -> Sequence[OrderRow]:
    """By accession number, where FHIR brought either order: a wire may number orders by itself, or not at all.

    Where several of the patient's orders have it, one that is still wanted, or is of the same procedure.
    """
    if order.accession is None:
        return []
    when = order.scheduled_at or order.requested_at or order.changed_at
    rows = [
        row
        for row in _with_number(session, tree, "accession_number", order.accession.value)
        if (known := order_of(row)).accession == order.accession
        and (known.source or order.source)
        and not _numbered_apart(known, order)
        and dates_fit(when.date() if when else None, known)
    ]
    if order.status is not OrderStatus.REVOKED:
        rows = [row for row in rows if row.status != OrderStatus.REVOKED.value] or rows
    return [row for row in rows if _same_procedure(order_of(row), order)] or rows


def _same_procedure(one: ServiceRequest, other: ServiceRequest) -> bool:
    return bool(one.procedure and other.procedure and one.procedure.same(other.procedure))


def _numbered_apart(one: ServiceRequest, other: ServiceRequest) -> bool:
    """True where somebody gave the two different numbers: they are two orders."""
    pairs = (
        (one.placer_order_number, other.placer_order_number),
        (one.filler_order_number, other.filler_order_number),
    )
    return any(a and b and a.assigner == b.assigner and a.value != b.value for a, b in pairs)


def _assumed(order: ServiceRequest) -> bool:
    """True for an accession number that repeats an order number (`CDS_ACCESSION_FALLBACK`): it contradicts none."""
    numbers = (order.placer_order_number, order.filler_order_number)
    return order.accession is not None and order.accession.value in {one.value for one in numbers if one}


def _with_number(session: Session, tree: Sequence[str], column: NumberColumn, number: str) -> list[OrderRow]:
    def ask() -> Iterable[OrderRow]:
        theirs = col(OrderRow.patient_id).in_(tree), getattr(OrderRow, column) == number
        return session.exec(select(OrderRow).where(*theirs))

    rows = batch_of(session).orders(tree, column, number, ask)
    return [row for row in rows if getattr(row, column) == number and row.patient_id in tree]


def _numbers(order: ServiceRequest) -> set[str]:
    return {order.accession.value} if order.accession else set()


def _file(row: OrderRow, filed: FiledUnder) -> None:
    """What a message leaves empty is no change."""
    update(row, account=key(filed.account) or row.account, visit=key(filed.visit) or row.visit)


def _columns(order: ServiceRequest, now: datetime) -> dict[str, Any]:
    """How an order stands in its row."""
    return {
        "placer_order_number": key(order.placer_order_number),
        "filler_order_number": key(order.filler_order_number),
        "accession_number": order.accession.value if order.accession else None,
        "status": order.status.value,
        "body": dump(ServiceRequest, order),
        "updated_at": now,
    }
