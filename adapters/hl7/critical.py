"""Critical results as ORU^R01 of HL7 v2.5.1.

The message is preliminary, under a number of its own, so that withdrawing it leaves the AI report standing, and that
report never replaces it. Where whose images they are is in doubt there is no PID, no accession number in OBR-18 and no
parent, so that nobody can file it to somebody else's chart; a note says how to find the study.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from adapters.hl7.encode import Encoded, components, field, segment
from adapters.hl7.notice import NoticeOru
from adapters.hl7.segments import (
    OUR_CODES,
    exam,
    images_made,
    notes,
    patient_id,
    request,
)
from adapters.hl7.statement import prose
from adapters.hl7.timestamp import written
from cds.domain.critical import CriticalNotice, message_number
from cds.domain.ids import report_number

_VERY_ABNORMAL = "AA"  # HL7 table 0078: analogous to panic limits
_STAT = "S"  # OBR-5 and TQ.6
_SUB_ID_DIGITS = 20


class CriticalOru(NoticeOru[CriticalNotice]):
    """Critical results to one destination."""

    def _number(self, delivery_id: str) -> str:
        return message_number(delivery_id)

    def _segments(self, notice: CriticalNotice, zone: ZoneInfo) -> Iterator[Encoded]:
        return _result(notice, zone)


def _result(notice: CriticalNotice, zone: ZoneInfo) -> Iterator[Encoded]:
    if notice.patient is not None:
        yield patient_id(notice.patient, notice.order)
    result = notice.result
    made = images_made(result.images_at, notice.study.study_date, zone)
    yield _request(notice, zone, made)
    yield from notes(filter(None, (*notice.lines, notice.found_by)))
    kind, title = prose(result.title)
    finding = {
        1: field("1"),
        2: field(kind),
        3: components("AI-CRITICAL-FINDING", "Critical AI finding", OUR_CODES),
        4: field(hashlib.sha256(result.finding.encode()).hexdigest()[:_SUB_ID_DIGITS]),
        5: title,
        8: field(_VERY_ABNORMAL),
        11: field("W" if notice.withdrawn else "P"),
        14: made,
        17: components(result.finding.partition(".")[0], "", OUR_CODES),
        19: field(written(result.created_at, zone)),
    }
    yield segment("OBX", finding)


def _request(notice: CriticalNotice, zone: ZoneInfo, made: Encoded) -> Encoded:
    """OBR-25 is P, or X for a withdrawal (HL7 table 0123 has no W); that one names no exam that it could cancel."""
    result, order = notice.result, notice.order
    number = f"{report_number(notice.study, result.episode)}-{result.id.partition('-')[0]}"
    about = exam(order, order.accession) if order is not None and not notice.withdrawn else {}
    more = {
        5: field(_STAT),
        7: made,
        25: field("X" if notice.withdrawn else "P"),
        27: components("", "", "", "", "", _STAT),
        **about,
    }
    return request(number, notice.sent_at, zone, more)
