"""Which messages are read here, and why the others are not."""

from __future__ import annotations

ORDER_TYPES = frozenset({"ORM", "OMG", "OMI"})
#: Types that say something of a patient here; all others are accepted, kept and not read.
PATIENT_TYPES = ORDER_TYPES | {"ADT", "ORU", "PPR"}
#: ADT events that name no patient.
WITHOUT_PATIENT = frozenset({"A20"})
#: ADT events that change who is who or name two patients (HL7 v2.5.1 chapter 3): never demographics of one.
_NOT_APPLIED = {
    "merge is not applied yet": "A18 A30 A34 A35 A36 A39 A40 A41 A42 A46 A47 A48 A49 A50 A51",
    "move is not applied yet": "A43 A44 A45",
    "link is not applied yet": "A24 A37",
    "deletion is not applied yet": "A23 A29",
    "bed management is not read": "A17 A20",
}


def not_applied(kind: str, event: str) -> str:
    """Why an ADT event is accepted without being applied; empty where it is applied."""
    reasons = (reason for reason, events in _NOT_APPLIED.items() if kind == "ADT" and event in events.split())
    return next(reasons, "")


def ignored(kind: str, event: str) -> str:
    """Why a message is accepted without being read; empty where it is read."""
    if kind not in PATIENT_TYPES:
        return "messages of this type are not read"
    if kind == "ORU" and event not in ("", "R01"):
        return "of ORU only R01 is read"
    return not_applied(kind, event)
