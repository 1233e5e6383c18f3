"""What the tables of orders mean: control codes (0119), states (0038), priorities (0485, 0027), sections (0074)."""

from __future__ import annotations

from collections.abc import Iterable

from adapters.hl7.context import Context
from cds.domain.modality import ACQUIRED
from cds.domain.order import OrderStatus, Priority

#: HL7 table 0119: these end the order. CA is a request, but what was asked to be cancelled is no longer to be worked
#: on; RP, RQ and RU end the order that another one (RO) replaces (HL7 v2.5.1 section 4.5.1.1).
ENDS = frozenset({"CA", "DC", "OC", "OD", "CR", "DR", "RP", "RQ", "RU"})
#: HL7 table 0119: the order that is replaced, and the one that takes its place.
REPLACED, REPLACEMENT = frozenset({"RP", "RQ", "RU"}), "RO"
#: HL7 table 0119: a parent, which its children do not change.
PARENT, CHILD = "PA", "CH"
#: HL7 table 0119: an order that begins with this message; ORC-9 is when it was requested.
BEGINS = frozenset({"NW", "SN", "RO", "PA", "CH"})
#: HL7 table 0119: ORC-5 says what the order's state became.
STATUS_CHANGED = "SC"
_HOLDS = frozenset({"HD", "OH", "HR"})
_RELEASES = frozenset({"RL", "OE", "OR"})
#: HL7 table 0038, for a control code that says nothing itself. ER says nothing of the order.
_STATUS = {
    **dict.fromkeys(("CA", "DC", "RP"), OrderStatus.REVOKED),
    **dict.fromkeys(("A", "IP", "SC"), OrderStatus.ACTIVE),
    "CM": OrderStatus.COMPLETED,
    "HD": OrderStatus.ON_HOLD,
}
_NOT_FOUND = "ER"
_REFUSED = "ORC-1 says that a request was not carried out: the order stays as it is"
_NO_FACT = "ORC-1 speaks of a query, a refill, a charge or a link: nothing is taken of the order"
#: HL7 table 0119: what says nothing of an order, unless ORC-5 does; and groups that are none.
_NOT_DONE = dict.fromkeys(("DE", "UA", "UC", "UD", "UF", "UH", "UM", "UR", "UX"), _REFUSED)
_NEVER = {
    "PR": "a group of previous results (ORC-1 PR) is no order",
    **dict.fromkeys(("AF", "DF", "FU", "LI", "MC", "NR", "OF", "RF", "SS", "UN"), _NO_FACT),
}
#: HL7 tables 0485 and 0027, and words that senders use, to the letter and what it means here. P, C and PRN say what an
#: exam is for; v2-to-fhir has no priority for them either.
_PRIORITIES: dict[str, tuple[str, Priority]] = {
    **dict.fromkeys(("S", "STAT"), ("S", Priority.STAT)),
    **dict.fromkeys(("A", "ASAP"), ("A", Priority.ASAP)),
    **dict.fromkeys(("R", "ROUTINE"), ("R", Priority.ROUTINE)),
    **dict.fromkeys(("U", "URGENT"), ("U", Priority.URGENT)),
    **{letter: (letter, Priority.ROUTINE) for letter in ("P", "C", "PRN")},
}
_FOR_SOMETHING = frozenset({"P", "C", "PRN"})
_TIMING_CRITICAL = ("", "S", "M", "H", "D", "W", "L")
#: HL7 table 0074 where it names a modality otherwise than DICOM PS3.3 section C.7.3.1.1.1.
_SECTIONS = {"NMR": "MR", "RUS": "US", "OUS": "US", "VUS": "US", "CUS": "US", "NMS": "NM"}
#: HL7 table 0074, the sections of a laboratory. SR (serology) is left out: in imaging it is a structured report.
LABORATORY = frozenset(
    {"BG", "BLB", "CG", "CH", "CP", "GE", "HM", "IMM", "LAB", "MB", "MCB", "MYC", "OSL", "PAR", "PAT", "SP", "TX"}
    | {"URN", "VR"}
)


def stated_status(control: str, state: str) -> OrderStatus | None:
    """ORC-1 where it closes or holds the order, else ORC-5, else the end of a hold; None where nothing is said."""
    if control in ENDS:
        return OrderStatus.REVOKED
    if control in _HOLDS:
        return OrderStatus.ON_HOLD
    return _STATUS.get(state) or (OrderStatus.ACTIVE if control in _RELEASES else None)


def why_no_order(control: str, state: str) -> str:
    """Why a group with this ORC-1 and ORC-5 states no order; empty where it does."""
    if stated_status(control, state) is not None and control not in _NEVER:
        return ""
    if state == _NOT_FOUND and control not in BEGINS:
        return "ORC-5 says that the order was not found: nothing is taken of it"
    return _NEVER.get(control) or _NOT_DONE.get(control, "")


def is_state(state: str) -> bool:
    """True for a code of table 0038."""
    return state in _STATUS or state == _NOT_FOUND


def stated_priority(codes: Iterable[str], context: Context) -> tuple[str, Priority | None]:
    """The letter of the first code that has a meaning, and what it means; "" and None where nothing is stated.

    A code without a meaning, and none with one after it, is routine, with a warning and no letter.
    """
    stated = [code.upper() for code in codes if code]
    if not stated:
        return "", None
    known = [found for found in map(_priority, stated) if found]
    if len({priority for _, priority in known}) > 1:
        context.note("TQ1-9, ORC-7.6, OBR-27.6 and OBR-5 say different priorities: the first of them is taken")
    if not known:
        context.note("the priority is no code of table 0485: it is read as routine")
        return "", Priority.ROUTINE
    if known[0][0] in _FOR_SOMETHING:
        context.note("the priority (P, C, PRN) says what the exam is for, not how urgent it is: it is read as routine")
    return known[0]


def modality(code: str, context: Context) -> str | None:
    """The DICOM modality of IPC-5 or OBR-24; None, with a warning, for a code that is none."""
    wanted = code.upper()
    found = _SECTIONS.get(wanted, wanted)
    if found in ACQUIRED:
        return found
    if code:
        context.note("the modality of the order is not known")
    return None


def _priority(code: str) -> tuple[str, Priority] | None:
    """Timing critical (T, TS10, TM5 …) has a number behind it."""
    if code[0] == "T" and code[1:].rstrip("0123456789") in _TIMING_CRITICAL:
        return "T", Priority.URGENT
    return _PRIORITIES.get(code)
