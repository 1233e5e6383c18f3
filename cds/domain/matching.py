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


class MatchState(StrEnum):
    """MATCHED reports to the EHR; UNMATCHED to the radiologist's worklist alone; HELD to nobody, a person decides."""

    MATCHED = "matched"
    UNMATCHED = "unmatched"
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
    order = _candidate(study, candidates)
    if isinstance(order, Match):
        return order
    contradictions = _contradictions(study, *order)
    if contradictions:
        return Match(MatchState.HELD, contradictions)
    return Match(
        MatchState.MATCHED,
        ("accession number and issuer agree", "patient identifier and authority agree"),
        order[0].id,
        order[1].id,
    )


def _candidate(
    study: Study, candidates: tuple[tuple[ServiceRequest, Patient], ...]
) -> tuple[ServiceRequest, Patient] | Match:
    if study.accession is None:
        return Match(MatchState.UNMATCHED, ("the images carry no accession number",))
    same = [(o, p) for o, p in candidates if o.accession == study.accession]
    timely = [(o, p) for o, p in same if _dates_fit(study.study_date, o)]
    living = [(o, p) for o, p in timely if o.status is not OrderStatus.REVOKED]
    if not living:
        return Match(MatchState.UNMATCHED, (_why_none(same, timely),))
    doubt = _doubt(study, living)
    if doubt:
        return Match(MatchState.HELD, (doubt,))
    # Several procedures of one patient may share a number; the one that names these images comes first.
    return min(living, key=lambda one: one[0].study_instance_uid != study.study_instance_uid)


def _why_none(same: Sequence[object], timely: Sequence[object]) -> str:
    if not same:
        return "no order has this accession number and issuer"
    if not timely:
        return "orders with this accession number are too far in time: it was reused"
    return "the order was cancelled"


def _doubt(study: Study, living: Sequence[tuple[ServiceRequest, Patient]]) -> str:
    if study.study_date is None:
        return "the images carry no date: the accession number may have been reused"
    if len({patient.id for _, patient in living}) > 1:
        return "open orders of several patients have this accession number"
    return ""


def _contradictions(study: Study, order: ServiceRequest, patient: Patient) -> tuple[str, ...]:
    found = []
    if study.patient is None:
        found.append("the images carry no patient identifier with an assigning authority")
    elif study.patient not in patient.identifiers:
        found.append("the images' patient identifier is not the order's")
    if study.patient_birth_date and patient.birth_date and study.patient_birth_date != patient.birth_date:
        found.append("the images' birth date contradicts the order's patient")
    stated = {Sex.FEMALE, Sex.MALE}
    if study.patient_sex in stated and patient.sex in stated and study.patient_sex is not patient.sex:
        found.append("the images' sex contradicts the order's patient")
    if order.study_instance_uid and order.study_instance_uid != study.study_instance_uid:
        found.append("the order names another Study Instance UID")
    return tuple(found)


def _dates_fit(study_date: date | None, order: ServiceRequest) -> bool:
    when = order.scheduled_at or order.requested_at or order.changed_at
    if study_date is None or when is None:
        return True
    return abs(study_date - when.date()) <= ACCESSION_REUSE_WINDOW
