"""The answer of the person who has a critical result: ORA^R33 (HL7 v2.5 chapter 7), ORA^R41 of alerts (2.6)."""

from __future__ import annotations

from adapters.hl7.context import Context
from adapters.hl7.message import Message, Value
from cds.errors import InvalidMessage

_WHO = (("ORC", 11), ("ORC", 10), ("PRT", 5))
_NO_PERSON = "want the person who acknowledges a critical result, in ORC-11, ORC-10 or PRT-5"


def read_acknowledgment(message: Message, context: Context) -> tuple[str, str]:
    """The MSH-10 that an ORA acknowledges (MSA-2) and the person who does; two empty texts where it refuses.

    Raise InvalidMessage where it names no message or no person: a system's own answer is no acknowledgment.
    """
    msa = message.first("MSA")
    if msa.text(1) not in ("AA", "CA"):
        context.note("the result was not accepted (MSA-1): it is not acknowledged")
        return "", ""
    if not msa.text(2):
        raise InvalidMessage("want the acknowledged message in MSA-2", location="MSA^1^2", condition="101")
    who = (_person(message.first(name).value(number)) for name, number in _WHO if message.first(name).name)
    by = next(filter(None, who), "")
    if not by:
        raise InvalidMessage(_NO_PERSON, location="ORC^1^11", condition="101")
    return msa.text(2), by


def _person(value: Value) -> str:
    """XCN as a name and a number: "Given Family (id)"."""
    number, name = value.text(1), f"{value.text(3)} {value.text(2)}".strip()
    return f"{name} ({number})" if name and number else name or number
