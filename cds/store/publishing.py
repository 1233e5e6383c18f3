"""What committing a report does beyond the report: resources, deliveries, retractions.

All of it happens in the commit's transaction, so that what is told and what was told never differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import orjson
import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.hold import HoldKind
from cds.domain.imaging import OwnInstance
from cds.domain.matching import MatchState
from cds.domain.report import DeliveryKind, DeliveryState, Report
from cds.domain.resource import WITHDRAWABLE, Encode, NewResource
from cds.errors import SightlineError
from cds.store import holds, timeline
from cds.store.deliveries import enqueue
from cds.store.fhir_tables import ResourceRow
from cds.store.resource_versions import put_all
from cds.store.tables import DeliveryRow, OwnInstanceRow, ReportRow
from cds.store.values import parse

#: What belongs to no one study.
_SHARED = ("Patient", "Device")


def emit(session: Session, report: Report, encode: Encode, now: datetime) -> None:
    """The report's resources as the next versions; what it does not renew is withdrawn (entered-in-error)."""
    study_uid = report.work.study_instance_uid
    resources = encode.resources(report)
    renewed = {(resource.type, resource.id) for resource in resources}
    stale = session.exec(
        select(ResourceRow).where(
            ResourceRow.study_uid == study_uid,
            col(ResourceRow.is_current).is_(True),
            col(ResourceRow.type).in_(WITHDRAWABLE),
        )
    ).all()
    withdrawn = [
        encode.withdraw(orjson.loads(row.body), row.patient_id) for row in stale if (row.type, row.id) not in renewed
    ]
    made = [*withdrawn, *resources]
    put_all(session, [(one, None if one.type in _SHARED else study_uid) for one in made], now)


def send(session: Session, report: Report, encode: Encode, now: datetime) -> list[str]:
    """The deliveries of a version: first what takes back what a destination may not have, then the version itself."""
    overtake(session, report, now)
    held = _held_by_destinations(session, report)
    said = encode.deliveries(report, held)
    told = {destination for _, destination, _ in said}
    ids = _retract(session, report, encode, now, {d: r for d, r in held.items() if _is_void(r, report, d in told)})
    for delivery_id, destination, payload in said:
        if isinstance(payload, str):  # it keeps what it has, and a person is asked
            _not_encoded(session, report, destination, payload, now)
            continue
        ids.append(_enqueue(session, report, (delivery_id, destination, payload), now, report))
        _remember(session, report, encode.made(destination, payload), now)
    return ids


def overtake(session: Session, report: Report, now: datetime) -> None:
    """What an earlier version still has to send is not sent any more; what it has to take back is."""
    waiting = session.exec(
        select(DeliveryRow).where(
            DeliveryRow.state == DeliveryState.PENDING.value,
            DeliveryRow.kind == DeliveryKind.REPORT.value,
            DeliveryRow.study_uid == report.work.study_instance_uid,
        )
    ).all()
    for row in waiting:
        row.state = DeliveryState.SUPERSEDED.value
        row.acknowledgment = f"version {report.version} of the report came first"
        row.updated_at = now
        session.add(row)


def _is_void(earlier: Report, report: Report, renewed: bool) -> bool:
    """True for what a destination may not have any more."""
    return earlier.episode != report.episode or not renewed


def _retract(
    session: Session, report: Report, encode: Encode, now: datetime, void: Mapping[str, Report]
) -> list[str]:  # fmt: skip
    """Take back what destinations have of a patient before, or of what they may not see any more."""
    ids = []
    for destination, earlier in sorted(void.items()):
        reason = retraction_reason(report, earlier)
        try:
            made = encode.retract(earlier, destination, reason)
            why = f"{destination} has a result that is withdrawn, and is not configured any more: {reason}"
        except SightlineError as error:  # the other destinations learn it all the same
            made, why = None, f"{destination} has a result that is withdrawn, and cannot be told: {error}"
        if made is None:
            _not_encoded(session, report, destination, why, now)
            continue
        delivery_id, payload = made
        ids.append(_enqueue(session, report, (delivery_id, destination, payload), now, earlier))
        _remember(session, report, encode.made(destination, payload), now)
        timeline.write(
            session, now, "retract", destination, study_uid=report.work.study_instance_uid, work_id=report.work.id,
            detail=(f"version {earlier.version}", reason),
        )  # fmt: skip
    return ids


def is_retraction(session: Session, delivery_id: str) -> bool:
    """True for a delivery that takes something back."""
    return session.get_one(DeliveryRow, delivery_id).kind == DeliveryKind.RETRACTION.value


def retraction_reason(report: Report, earlier: Report) -> str:
    """Why an earlier version does not hold, in words that name nobody."""
    if report.match.state is MatchState.HELD:
        return "; ".join(report.match.reasons)
    if earlier.episode != report.episode:
        return "it was reported for another patient, or under a patient identifier that is not used any more"
    reasons = dict.fromkeys(reason.partition(": ")[2] for reason in report.decision.release.withheld)
    return "; ".join(reasons) or "nothing of it may be told any more"


def _held_by_destinations(session: Session, report: Report) -> dict[str, Report]:
    """The newest version that each destination has, or may have, and that was not taken back since."""
    rows = session.exec(
        select(DeliveryRow.destination, DeliveryRow.kind, DeliveryRow.work_id)
        .where(
            DeliveryRow.study_uid == report.work.study_instance_uid,
            col(DeliveryRow.kind).in_([DeliveryKind.REPORT.value, DeliveryKind.RETRACTION.value]),
            sa.or_(
                col(DeliveryRow.kind) == DeliveryKind.RETRACTION.value,
                # Once it was tried it may have arrived, in whole or in part, whatever the answer was.
                col(DeliveryRow.attempts) > 0,
            ),
        )
        .order_by(col(DeliveryRow.sequence))
    ).all()
    newest: dict[str, str | None] = {}
    for destination, kind, work_id in rows:
        newest[destination] = work_id if kind == DeliveryKind.REPORT.value else None
    found = {}
    for destination, held in newest.items():
        row = session.get(ReportRow, held) if held else None
        if row is not None:
            found[destination] = parse(Report, row.body)
    return found


def _not_encoded(session: Session, report: Report, destination: str, why: str, now: datetime) -> None:
    uid, work_id = report.work.study_instance_uid, report.work.id
    kind, key = HoldKind.DELIVERY_NOT_ENCODED, f"encode:{destination}:{work_id}"
    holds.put(session, key, kind, why, now, study_uid=uid, work_id=work_id)


def _enqueue(session: Session, report: Report, delivery: tuple[str, str, bytes], now: datetime, of: Report) -> str:
    """`of` is the version that is told: the report's own, or the earlier one that it takes back."""
    delivery_id, destination, payload = delivery
    return enqueue(
        session,
        delivery_id=delivery_id,
        destination=destination,
        kind=DeliveryKind.REPORT if of is report else DeliveryKind.RETRACTION,
        payload=payload,
        now=now,
        work_id=report.work.id,
        study_uid=report.work.study_instance_uid,
        patient_id=of.patient.id if of.patient else None,
    )


def _remember(session: Session, report: Report, leaving: Sequence[OwnInstance], now: datetime) -> None:
    """The DICOM instances that leave, so that they are recognised when they come back."""
    for made in leaving:
        if session.get(OwnInstanceRow, made.sop_instance_uid) is None:
            session.add(
                OwnInstanceRow(
                    sop_instance_uid=made.sop_instance_uid,
                    series_uid=made.series_instance_uid,
                    study_uid=report.work.study_instance_uid,
                    work_id=report.work.id,
                    kind=made.kind,
                    at=now,
                )
            )


def put(session: Session, resource: NewResource, study_uid: str | None, now: datetime) -> None:
    """Add the next version of a resource; one whose content did not change gets none."""
    put_all(session, [(resource, study_uid)], now)
