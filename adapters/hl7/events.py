"""Which messages are read here, what they do to who is who, and why the others are not read."""

from __future__ import annotations

from cds.domain.event import StudyEventKind
from cds.domain.identity import IdentityEvent

ORDER_TYPES = frozenset({"ORM", "OMG", "OMI"})
#: Types that say something of a patient here, and must name one.
PATIENT_TYPES = ORDER_TYPES | {"ADT", "ORU", "PPR"}
#: Types that are read where they name a patient, as their structures let them (HL7 v2.5.1 chapters 4 and 10).
_READ_IF_NAMED = frozenset({"RDE", "SIU", "VXU"})
NOBODY = "the message names no patient"
#: A person's answer to a critical result of ours, not of its transport: ORA^R33 (HL7 v2.5), ORA^R41 of alerts (2.6).
ACKNOWLEDGMENT_TYPES = frozenset({"ORA"})
#: ADT events that name no patient.
WITHOUT_PATIENT = frozenset({"A20"})
#: ADT events that change who is who (HL7 v2.5.1 chapter 3). A23 deletes a visit where it names one, see `identity`.
_CHANGES = {
    IdentityEvent.MERGE: "A18 A30 A34 A36 A39 A40 A47",
    IdentityEvent.MOVE: "A35 A41 A42 A43 A44 A45 A49 A50",
    IdentityEvent.LINK: "A24",
    IdentityEvent.UNLINK: "A37",
    IdentityEvent.CANCEL_VISIT: "A11 A27 A38",
    IdentityEvent.DELETE: "A23 A29",
}
#: SIU events of an appointment (HL7 v2.5.1 section 10.4): booked, moved, modified, cancelled, discontinued, deleted,
#: and the patient who did not appear. S14 states the appointment as it is now.
SCHEDULE_EVENTS = {
    "S12": StudyEventKind.SCHEDULED,
    "S13": StudyEventKind.RESCHEDULED,
    "S14": StudyEventKind.SCHEDULED,
    **dict.fromkeys(("S15", "S16", "S17"), StudyEventKind.APPOINTMENT_CANCELLED),
    "S26": StudyEventKind.NO_SHOW,
}
#: ADT events from which nothing follows here.
_NOT_READ = {
    "bed management is not read": "A17 A20",
    "an external or alternate patient identifier (PID-2, PID-4) names nobody here": "A46 A48",
    "an alternate visit identifier (PV1-50) files nothing here": "A51",
    "no exam depends on a transfer, discharge, absence or tracking that is cancelled": "A12 A13 A25 A26 A32 A33 A52 A53"
    " A55",
}
_WITH_SEVERAL = (IdentityEvent.MERGE, IdentityEvent.MOVE, IdentityEvent.LINK, IdentityEvent.UNLINK)


def identity_event(kind: str, event: str) -> IdentityEvent | None:
    """What an ADT event does to who is who; None where it does nothing."""
    found = (change for change, events in _CHANGES.items() if kind == "ADT" and event in events.split())
    return next(found, None)


def may_name_several(kind: str, event: str) -> bool:
    """True for events that may name more than one patient in PID."""
    return identity_event(kind, event) in _WITH_SEVERAL or bool(_not_read(kind, event))


def ignored(kind: str, event: str) -> str:
    """Why a message is accepted without being read; empty where it is read."""
    if kind not in PATIENT_TYPES | ACKNOWLEDGMENT_TYPES | _READ_IF_NAMED:
        return "messages of this type are not read"
    if kind == "ORU" and event not in ("", "R01"):
        return "of ORU only R01 is read"
    if kind == "SIU" and event not in SCHEDULE_EVENTS:
        return "of SIU only what becomes of an appointment is read: S12 to S17, S26"
    return _not_read(kind, event)


def need_not_name(kind: str) -> bool:
    """True for types that are read where they name a patient, and may name none."""
    return kind in _READ_IF_NAMED


def _not_read(kind: str, event: str) -> str:
    reasons = (reason for reason, events in _NOT_READ.items() if kind == "ADT" and event in events.split())
    return next(reasons, "")
