"""How images find their order (SAFETY section 1): a pure function and its three answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from cds.domain.identity import Patient, Sex
from cds.domain.imaging import Study
from cds.domain.order import OrderStatus, ServiceRequest

#: Accession numbers are reused: an order and its images lie within this time of each other.
ACCESSION_REUSE_WINDOW = timedelta(days=180)


_AGREE = ("accession number and issuer agree", "patient identifier and authority agree")


class MatchState(StrEnum):
    """MATCHED reports to the EHR; UNMATCHED to the radiologist's worklist alone; HELD to nobody, a person decides.

    DETACHED: the patient is known, the order was cancelled after the images came. What was told stays told.
    """

    MATCHED = "matched"
    UNMATCHED = "unmatched"
    DETACHED = "detached"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Match:
    """The answer with its reasons; `order_id` and `patient_id` are the store's ids where matched."""

    state: MatchState
    reasons: tuple[str, ...]
    order_id: str | None = None
    patient_id: str | None = None


def match(study: Study, candidates: tuple[tuple[ServiceRequest, Patient], ...]) -> Match:
    """Attach a study to its order, or say why not.

    `candidates` are the orders that share the accession number value, whatever their issuer, with their patients.
    """
    if study.contradiction:
        return Match(MatchState.HELD, (study.contradiction,))
    if study.decided == "leave":
        return Match(MatchState.UNMATCHED, ("a person decided that the images have no order here",))
    order = _candidate(study, candidates)
    if isinstance(order, Match):
        return order
    contradictions = _contradictions(study, *order)
    if contradictions:
        return Match(MatchState.HELD, contradictions)
    return Match(MatchState.MATCHED, _AGREE, order[0].id, order[1].id)


def attached(study: Study, order: ServiceRequest, patient: Patient) -> Match:
    """The match that a person decided: their word stands against accession number, birth date and sex.

    Not against the images themselves where these contradict each other, nor for a record that was deleted.
    """
    if study.contradiction or patient.deleted:
        return Match(MatchState.HELD, (study.contradiction or patient.deleted,))
    if order.status is OrderStatus.REVOKED:
        reasons = ("a person attached the images to the order", "the order was cancelled")
        return Match(MatchState.DETACHED, reasons, None, patient.id)
    return Match(MatchState.MATCHED, ("a person attached the images to the order",), order.id, patient.id)


def _candidate(
    study: Study, candidates: tuple[tuple[ServiceRequest, Patient], ...]
) -> tuple[ServiceRequest, Patient] | Match:
    if study.accession is None:
        return Match(MatchState.UNMATCHED, ("the images carry no accession number",))
    same = [(o, p) for o, p in candidates if o.accession and o.accession.as_sent() == study.accession]
    fitting = [(o, p) for o, p in same if dates_fit(study.study_date, o)]
    # Images do not say that they are a test: only where production ordered nothing, a test order may be theirs.
    timely = [(o, p) for o, p in fitting if not o.test] or fitting
    living = [(o, p) for o, p in timely if o.status is not OrderStatus.REVOKED]
    if not living:
        return _cancelled(study, timely) if timely else Match(MatchState.UNMATCHED, (_why_none(same),))
    doubt = _doubt(study, living)
    if doubt:
        return Match(MatchState.HELD, (doubt,))
    # Several procedures of one patient may share a number; the one that names these images comes first.
    return min(living, key=lambda one: one[0].study_instance_uid != study.study_instance_uid)


def _cancelled(study: Study, orders: Sequence[tuple[ServiceRequest, Patient]]) -> Match:
    """The order was cancelled: whose images these are is known all the same, where nothing contradicts."""
    theirs = next((patient for order, patient in orders if not _contradictions(study, order, patient)), None)
    if theirs is None or study.study_date is None:
        return Match(MatchState.UNMATCHED, ("the order was cancelled",))
    return Match(MatchState.DETACHED, (*_AGREE, "the order was cancelled"), None, theirs.id)


def _why_none(same: Sequence[object]) -> str:
    if not same:
        return "no order has this accession number and issuer"
    return "orders with this accession number are too far in time: it was reused"


def _doubt(study: Study, living: Sequence[tuple[ServiceRequest, Patient]]) -> str:
    if study.study_date is None:
        return "the images carry no date: the accession number may have been reused"
    if len({patient.id for _, patient in living}) > 1:
        return "open orders of several patients have this accession number"
    return ""


def _contradictions(study: Study, order: ServiceRequest, patient: Patient) -> tuple[str, ...]:
    found = [patient.deleted] if patient.deleted else []
    if study.patient is None:
        found.append("the images carry no patient identifier with an assigning authority")
    elif study.patient not in {identifier.as_sent() for identifier in patient.known_as}:
        found.append("the images' patient identifier is not the order's")
    if study.patient_birth_date and patient.birth_date and study.patient_birth_date != patient.birth_date:
        found.append("the images' birth date contradicts the order's patient")
    stated = {Sex.FEMALE, Sex.MALE}
    if study.patient_sex in stated and patient.sex in stated and study.patient_sex is not patient.sex:
        found.append("the images' sex contradicts the order's patient")
    if order.study_instance_uid and order.study_instance_uid != study.study_instance_uid:
        found.append("the order names another Study Instance UID")
    return tuple(found)


def dates_fit(study_date: date | None, order: ServiceRequest) -> bool:
    """True where an order and images with its accession number are about the same exam, not a reused number."""
    when = order.scheduled_at or order.requested_at or order.changed_at
    if study_date is None or when is None:
        return True
    return abs(study_date - when.date()) <= ACCESSION_REUSE_WINDOW
