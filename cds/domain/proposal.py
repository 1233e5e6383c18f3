"""Which order images without one may belong to: a proposal that a person accepts, never a match (SAFETY section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from cds.domain.identity import Identifier, Patient
from cds.domain.imaging import Study
from cds.domain.matching import MatchState, match
from cds.domain.order import ServiceRequest

#: Images and the order that is proposed for them lie within this time of each other.
WITHIN = timedelta(days=1)

_SAME = Identifier("proposed", "proposed")


def propose(study: Study, candidates: Sequence[tuple[ServiceRequest, Patient]]) -> ServiceRequest | None:
    """The one order that the images would match if they carried its accession number; None where none or several do.

    `candidates` are the orders of the study's patient that no other study has, each with its patient.
    """
    if study.patient is None or study.study_date is None or study.decided or study.contradiction:
        return None
    fitting = [order for order, patient in candidates if _fits(study, order) and _would_match(study, order, patient)]
    return fitting[0] if len(fitting) == 1 else None


def _fits(study: Study, order: ServiceRequest) -> bool:
    """Time and procedure: the modality where both state one, else the name of the procedure."""
    when = order.scheduled_at or order.requested_at
    if order.test or when is None or study.study_date is None or abs(when.date() - study.study_date) > WITHIN:
        return False
    if order.modality and study.modalities:
        return order.modality in study.modalities
    named = order.procedure.display if order.procedure else ""
    return bool(named) and _words(named) == _words(study.description)


def _would_match(study: Study, order: ServiceRequest, patient: Patient) -> bool:
    """Nothing but the accession number stands between them: identifier, birth date, sex, UID and dates agree."""
    asked = replace(study, accession=_SAME)
    return match(asked, ((replace(order, accession=_SAME), patient),)).state is MatchState.MATCHED


def _words(text: str) -> list[str]:
    return text.casefold().split()
