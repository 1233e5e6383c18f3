"""Reminders of follow-ups as ORU^R01 of HL7 v2.5.1, each under a number of its own.

It is preliminary, names no exam's order, and says in words what is due: it can neither complete the exam's order nor
touch the radiologist's report (SAFETY section 3). What takes it back has the same filler number.
"""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from adapters.hl7.encode import Encoded, components, field, segment
from adapters.hl7.notice import NoticeOru
from adapters.hl7.segments import OUR_CODES, day_of, notes, patient_id, request
from adapters.hl7.statement import prose
from adapters.hl7.timestamp import written
from cds.domain.follow_up import ReminderStep
from cds.domain.follow_up_care import ReminderNotice, message_number
from cds.domain.ids import report_number

#: OBR-25 (HL7 table 0123 has no W) and OBX-11 (table 0085), of a reminder and of what takes it back.
_STATUS, _VOID = ("P", "P"), ("X", "W")


class ReminderOru(NoticeOru[ReminderNotice]):
    """Reminders of follow-ups to one destination."""

    def _number(self, delivery_id: str) -> str:
        return message_number(delivery_id)

    def _segments(self, notice: ReminderNotice, zone: ZoneInfo) -> Iterator[Encoded]:
        return _reminder(notice, zone)


def _reminder(notice: ReminderNotice, zone: ZoneInfo) -> Iterator[Encoded]:
    due = notice.due
    of_request, of_value = _VOID if due.step is ReminderStep.WITHDRAWN else _STATUS
    number = f"{report_number(due.study, due.episode)}-F{due.follow_up.id.partition('-')[0]}"
    yield patient_id(due.patient, None)
    yield request(number, notice.sent_at, zone, {7: field(written(notice.sent_at, zone)), 25: field(of_request)})
    yield from notes(notice.lines)
    kind, action = prose(due.follow_up.action)
    said = (
        ("AI-FOLLOW-UP", "Follow-up that waits", kind, action),
        ("AI-FOLLOW-UP-DUE", "Day on which the follow-up is due", "DT", day_of(due.due)),
        ("AI-FOLLOW-UP-STEP", "How urgent the reminder is", "ST", field(due.step.value)),
    )
    for place, (code, title, value_type, value) in enumerate(said, 1):
        yield segment(
            "OBX",
            {
                1: field(str(place)),
                2: field(value_type),
                3: components(code, title, OUR_CODES),
                4: field(due.follow_up.id.partition("-")[0]),
                5: value,
                11: field(of_value),
                19: field(written(notice.sent_at, zone)),
            },
        )
