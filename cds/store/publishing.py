"""What committing a report does beyond the report: resources, deliveries, retractions, follow-ups.

All of it happens in the commit's transaction, so that what is told and what was told never differ.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

import orjson
import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.hold import HoldKind
from cds.domain.imaging import OwnInstance
from cds.domain.matching import MatchState
from cds.domain.recommendation import Advice
from cds.domain.report import Audience, DeliveryKind, DeliveryState, Report
from cds.domain.resource import WITHDRAWABLE, Encode, NewResource
from cds.errors import SightlineError
from cds.store import holds, timeline
from cds.store.deliveries import enqueue
from cds.store.engine import lock
from cds.store.safety_tables import FollowUpRow
from cds.store.tables import DeliveryRow, OwnInstanceRow, ReportRow, ResourceIdentifierRow, ResourceRow
from cds.store.values import parse

#: What belongs to no one study.
_SHARED = ("Patient", "Device")
_OPEN = "open"


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
    for row in stale:
        if (row.type, row.id) not in renewed:
            put(session, encode.withdraw(orjson.loads(row.body), row.patient_id), study_uid, now)
    for resource in resources:
        shared = resource.type in _SHARED
        put(session, resource, None if shared else study_uid, now)


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


def follow_up(session: Session, report: Report, now: datetime) -> None:
    """Recommendations that primary care may see are open follow-ups; those that do not hold any more are closed."""
    study_uid, wanted = report.work.study_instance_uid, _recommended(report)
    for row in session.exec(
        select(FollowUpRow).where(FollowUpRow.study_uid == study_uid, FollowUpRow.state == _OPEN)
    ).all():
        if row.id not in wanted:
            row.state, row.updated_at = "closed", now
            row.reason = f"version {report.version}: {_why_void(report)}"
            session.add(row)
            timeline.write(
                session, now, "follow-up", "closed", study_uid=study_uid, work_id=report.work.id,
                detail=(f"{row.pathway}.{row.recommendation}", row.reason),
            )  # fmt: skip
    for key, row in wanted.items():
        known = session.get(FollowUpRow, key)
        if known is None:
            row.created_at = row.updated_at = now
            session.add(row)
            timeline.write(
                session, now, "follow-up", "open", study_uid=study_uid, work_id=report.work.id,
                detail=(f"{row.pathway}.{row.recommendation}", f"due {row.due}" if row.due else "no date"),
            )  # fmt: skip
        elif known.state != _OPEN and known.reason.startswith("version "):
            known.state, known.reason, known.updated_at = _OPEN, "", now
            session.add(known)


def _recommended(report: Report) -> dict[str, FollowUpRow]:
    """What the report recommends to primary care, by follow-up id; nothing of it where it is not released to them."""
    if report.patient is None or report.patient.id is None or not report.decision.release.allows(Audience.REFERRAL):
        return {}
    found = {}
    for advice in report.decision.outcomes:
        for step in advice.recommendations if isinstance(advice, Advice) else ():
            name = f"{report.work.study_instance_uid}/{report.episode}/{advice.pathway}/{step.key}"
            key = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
            found[key] = FollowUpRow(
                id=key,
                study_uid=report.work.study_instance_uid,
                patient_id=report.patient.id,
                work_id=report.work.id,
                pathway=advice.pathway,
                recommendation=step.key,
                action=step.action,
                due=step.by,
                state=_OPEN,
                created_at=report.issued,
                updated_at=report.issued,
            )
    return found


def _why_void(report: Report) -> str:
    if report.match.state is not MatchState.MATCHED:
        return "; ".join(report.match.reasons)
    return "; ".join(report.decision.release.withheld) or "it is not recommended any more, or not to this patient"


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
    lock(session, "resource", resource.type, resource.id)
    current = session.exec(
        select(ResourceRow).where(
            ResourceRow.type == resource.type, ResourceRow.id == resource.id, col(ResourceRow.is_current).is_(True)
        )
    ).first()
    version = current.version + 1 if current else 1
    if current is not None:
        if _content(orjson.loads(current.body)) == _content(resource.body):
            return
        current.is_current = False
        session.add(current)
        session.flush()
    session.add(
        ResourceRow(
            type=resource.type,
            id=resource.id,
            version=version,
            last_updated=now,
            patient_id=resource.patient_id,
            study_uid=study_uid,
            made_by=f" {' '.join(resource.made_by)} " if resource.made_by else "",
            is_current=True,
            body=orjson.dumps(_stamped(resource, version, now)),
        )
    )
    session.execute(
        sa.delete(ResourceIdentifierRow).where(
            col(ResourceIdentifierRow.type) == resource.type, col(ResourceIdentifierRow.id) == resource.id
        )
    )
    for system, value in dict.fromkeys(resource.identifiers):
        session.add(ResourceIdentifierRow(type=resource.type, id=resource.id, system=system, value=value))
    session.flush()


def _stamped(resource: NewResource, version: int, now: datetime) -> dict[str, object]:
    content = _content(resource.body)
    meta = content.pop("meta")
    stamps = {"versionId": str(version), "lastUpdated": instant(now)}
    return {
        "resourceType": resource.type,
        "id": resource.id,
        "meta": {**(meta if isinstance(meta, dict) else {}), **stamps},
        **content,
    }


def _content(body: Mapping[str, object]) -> dict[str, object]:
    """A resource without what the store stamps on it."""
    content = {k: v for k, v in body.items() if k not in ("resourceType", "id")}
    meta = content.get("meta")
    kept: dict[str, object] = dict(meta) if isinstance(meta, dict) else {}
    for stamp in ("versionId", "lastUpdated"):
        kept.pop(stamp, None)
    content["meta"] = kept
    return content


def instant(at: datetime) -> str:
    """FHIR instant with milliseconds (R4 datatypes, instant)."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
