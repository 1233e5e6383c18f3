"""Drugs and vaccinations: what was given (RXA) and what was prescribed (RXE), HL7 v2.5.1 sections 4.14.4 and 4.14.7."""

from __future__ import annotations

from datetime import date
from typing import Literal

from adapters.hl7.coded import SYSTEMS, coding
from adapters.hl7.context import Context
from adapters.hl7.groups import Group, read_groups
from adapters.hl7.message import Message, Segment
from cds.domain.coding import Coding
from cds.domain.message import RecordValue

#: HL7 table 0322 (RXA-20): refused, not administered.
_NOT_GIVEN = frozenset({"RE", "NA"})
#: HL7 table 0323 (RXA-21).
_DELETED = "D"
#: CVX 998 says that no vaccine was given; CVX 999, of RXA-6 too, that it is not known.
_NO_VACCINE = frozenset({"998", "999"})
_UNKNOWN_AMOUNT = "999"
#: HL7 table 0119 (ORC-1): the prescription does not stand any more.
_ENDED = frozenset({"CA", "DC", "OC", "OD", "CR", "DR"})


def read_medications(message: Message, context: Context) -> list[RecordValue]:
    """What was given and what was prescribed, each under the key by which a later message replaces it.

    What was refused or not given takes back what was said under the same key, and is no statement of its own.
    """
    if not any(segment.name in ("RXA", "RXE") for segment in message):
        return []
    absent = Segment("", message.syntax)
    groups = read_groups(message)
    inside = {id(segment) for group in groups for segment in group.rest}
    loose = [segment for segment in message if id(segment) not in inside]
    found: list[RecordValue | None] = []
    for group in (Group(absent, absent, loose), *groups):
        found += [_given(segment, group, message, context) for segment in group.all("RXA")]
        found += [_prescribed(segment, group, context) for segment in group.all("RXE")]
    return list({value.key: value for value in found if value}.values())


def _given(segment: Segment, group: Group, message: Message, context: Context) -> RecordValue | None:
    code = _drug(segment, 5, context)
    if code is None or (code.system == SYSTEMS["CVX"] and code.code in _NO_VACCINE):
        return None
    when = context.day(segment, 3)
    vaccine = code.system == SYSTEMS["CVX"] or message.first("MSH").text(9) == "VXU"
    category: Literal["immunization", "medication"] = "immunization" if vaccine else "medication"
    void = segment.text(20).upper() in _NOT_GIVEN or segment.text(21).upper() == _DELETED
    dose = "" if segment.text(6) == _UNKNOWN_AMOUNT else _dose(segment, 6, 7)
    key = _key("RXA", group, code, when, context)
    return RecordValue(category, key, code, dose or None, when, "entered-in-error" if void else "final")


def _prescribed(segment: Segment, group: Group, context: Context) -> RecordValue | None:
    code = _drug(segment, 2, context)
    if code is None:
        return None
    starts = [context.moment(segment, 1, 4), *(context.moment(timing, 7) for timing in group.all("TQ1"))]
    starts.append(context.moment(group.orc, 9))
    when = next((at.astimezone(context.site.zone).date() for at in starts if at), None)
    status = "entered-in-error" if group.orc.text(1).upper() in _ENDED else "final"
    number = group.number(2, context) or group.number(3, context)
    key = _key("RXE", group, code, None if number else when, context)
    return RecordValue("medication", key, code, _dose(segment, 3, 5) or None, when, status)


def _drug(segment: Segment, number: int, context: Context) -> Coding | None:
    code = coding(segment.value(number), context)
    if code is None:
        context.note(f"a {segment.name} without a code in {segment.name}-{number} was left out")
    return code


def _dose(segment: Segment, amount: int, unit: int) -> str:
    """The amount with its unit as sent: a drug's units are forms as well, such as tablets."""
    written = segment.value(unit).text(1) or segment.value(unit).text(2)
    return f"{segment.text(amount)} {written}".strip() if segment.text(amount) else ""


def _key(kind: str, group: Group, code: Coding, when: date | None, context: Context) -> str:
    """The order's number with drug and day: registries send one number for all that they know only from history."""
    number = group.number(3, context) or group.number(2, context)
    order = f"{number.assigner}/{number.value}" if number else ""
    return f"{kind}:{order}:{code.system}|{code.code}@{when or ''}"
