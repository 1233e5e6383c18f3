"""What is Sightline's own and comes back: no fact about the patient, no report, no event (SAFETY section 3)."""

from __future__ import annotations

from adapters.hl7.message import Message, Segment
from adapters.hl7.segments import OUR_CODES, OUR_NAME


def is_own(message: Message) -> bool:
    """True for a message that Sightline sent (MSH-3)."""
    return message.first("MSH").text(3).upper() == OUR_NAME


def is_own_result(obr: Segment) -> bool:
    """True for a result that Sightline made, whoever passes it on: by the code in OBR-4, or whose number OBR-3 is."""
    named = obr.value(4)
    return OUR_CODES in (named.text(3), named.text(6)) or obr.text(3, 2) == OUR_NAME
