"""Orders that an ImagingStudy of another FHIR server brings along: applied by the rules of an HL7 v2 order.

A FHIR server states a patient and an order as they are now, and says it all again with each version of the study. It
registers nobody: what is known of a patient stays, and what contradicts it is for a person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlmodel import Session, col, select

from cds.domain import lifecycle
from cds.domain.fhir_news import ImagesThere, Ordered
from cds.domain.hold import HoldKind
from cds.domain.identity import HumanName, Patient, Sex
from cds.domain.lifecycle import Effect, Event
from cds.domain.message import MessageContent
from cds.store import holds, patients, timeline
from cds.store.fhir_notices import PUSHED
from cds.store.identity import members
from cds.store.identity_changes import PATIENT_CHANGED
from cds.store.orders import FiledUnder, apply_order, is_unclear, rematch_all, studies_of
from cds.store.realm import in_test
from cds.store.tables import HoldRow

_SEVERAL = "the identifiers of the order's Patient belong to more than one patient here"
_UNCLEAR = "several orders here have its accession number, and nothing tells which of them it is"


def apply_orders(session: Session, news: ImagesThere, now: datetime) -> str:
    """Apply the orders that images are of, in the transaction of the event and under the lock of the record.

    Answers why a person has to look, and then nothing of them was applied; empty where nobody has to.
    """
    ordered, source = news.ordered, news.event.source
    for reason in ordered.left_out:
        _tell(session, news, f"not taken from {source}", reason, now)
    contents = _by_realm(ordered)
    doubt = ordered.doubt or next(filter(None, (_doubt(session, content) for content in contents)), "")
    if doubt:
        _tell(session, news, f"held, from {source}", doubt, now)
        return doubt
    for content in contents:
        _apply(session, news, content, now)
    return ""


def ask_about_pushed(session: Session, news: ImagesThere, doubt: str, now: datetime) -> None:
    """A person is asked once about what a sender pushed, until its order comes without a doubt (`doubt` is empty)."""
    event = news.event
    named = f"{event.source}\0{event.study_instance_uid or event.accession}"
    prefix = f"{PUSHED}{hashlib.sha256(named.encode()).hexdigest()}@"
    waiting = select(HoldRow).where(col(HoldRow.key).startswith(prefix), col(HoldRow.resolved_at).is_(None))
    reason, hold = f"{event.source}, ImagingStudy: {doubt}", session.exec(waiting).first()
    if hold is not None and doubt:
        hold.reason = reason
    elif hold is not None and news.ordered.orders:
        hold.resolved_at, hold.resolution = now, "it came again, and nothing speaks against its order"
    elif doubt:
        key, uid = prefix + now.isoformat(), event.study_instance_uid
        holds.put(session, key, HoldKind.NOTICE_FAILED, reason, now, study_uid=uid, work_id="pushed")


def _by_realm(ordered: Ordered) -> Sequence[MessageContent]:
    """Orders of production, then those of tests, each about patients of their realm."""
    found = []
    for test in (False, True):
        orders = tuple(change for change in ordered.orders if change.order.test is test)
        content = MessageContent(ordered.patient, orders=orders, test=test)
        if orders and ordered.patient:
            found.append(in_test(content) if test else content)
    return found


def _doubt(session: Session, content: MessageContent) -> str:
    """As the doubt about an order of HL7 v2 (SAFETY section 1); empty where there is none."""
    said = content.patient
    owners = patients.owners(session, said.identifiers) if said else set()
    if said is None or not owners:
        return ""
    if len(owners) > 1:
        return _SEVERAL
    differs = patients.contradicted(patients.load(session, owners.pop()), said)
    return f"the patient who has the identifiers of the order's Patient has another {differs} here" if differs else ""


def _apply(session: Session, news: ImagesThere, content: MessageContent, now: datetime) -> None:
    """Her patient, then her orders; each study that any of it touches is matched again once."""
    if content.patient is None:
        raise ValueError("want the orders of a patient")
    patient_id, changed = patients.upsert(session, _what_is_new(session, content.patient), now)
    filed = FiledUnder(patient_id, members(session, patient_id))
    again = changed and lifecycle.row(Event.PATIENT_CHANGED).does(Effect.MATCH_AGAIN)
    touched, reason = studies_of(session, filed.tree) if again else set(), ""
    for change in content.orders:
        if is_unclear(session, filed.tree, change.order):
            _tell(session, news, f"not taken from {news.event.source}", _UNCLEAR, now)
            continue
        studies, reason = apply_order(session, filed, change, now)
        touched |= studies
    rematch_all(session, touched, reason or PATIENT_CHANGED, now)


def _what_is_new(session: Session, said: Patient) -> Patient:
    """Without what is known of her: registration alone corrects that. One statement of death is enough."""
    owner = next(iter(patients.owners(session, said.identifiers)), None)
    if owner is None:
        return said
    known = patients.load(session, owner)
    return replace(
        said,
        name=HumanName() if known.name != HumanName() else said.name,
        birth_date=None if known.birth_date else said.birth_date,
        sex=Sex.UNKNOWN if known.sex is not Sex.UNKNOWN else said.sex,
        deceased=said.deceased if known.deceased is None or said.deceased else None,
    )


def _tell(session: Session, news: ImagesThere, outcome: str, reason: str, now: datetime) -> None:
    uid = news.event.study_instance_uid
    timeline.write_once(session, now, "order", outcome, study_uid=uid, detail=(reason,))
